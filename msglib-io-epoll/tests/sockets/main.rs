//! The manager and the client's stream over the loopback interface. Cases that bear a rule's number show that rule.

mod accepting;
mod client;
mod closing;
mod reading;
mod server;
mod signals;
mod unix;
mod waiting;
mod writing;
