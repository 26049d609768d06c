//! Faults for the broker that you wrote: [`Faulty`] puts them into any connection manager, in memory or over sockets.
//!
//! A [`FaultPlan`] says which, by chance from a seed, or by a script; a [`Tally`] counts what came of them.
//! [`heal`](Faulty::heal) ends them, so that a test can see what is left when the storm is over.
//!
//! | what a test wants | how |
//! | --- | --- |
//! | nothing may be lost | `FaultPlan::new(seed).with_all(Severity::Passing, 0.1)` |
//! | another mixture for each seed | [`FaultPlan::swarm`] |
//! | one fault at one place | [`FaultPlan::at`], [`FaultPlan::at_connection`] |
//! | a cut at every byte | [`FaultPlan::cut`], once for each byte |
//! | the same at the client's end | [`FaultyStream`] |
//!
//! # What is not here
//!
//! Latency by the clock is a matter of who moves it between the polls that a report is held for
//! ([`FaultPlan::with_longest_hold`]). Failing connects and an old connection beside the new one are the client's own doing; a
//! broker's restart, a handler that panics and limits at their least are a matter of whoever drives the broker.

mod book;
mod clock;
mod dice;
mod fault;
mod link;
mod manager;
mod plan;
mod reading;
mod reports;
mod stream;
mod tally;
mod writing;

pub use fault::{Fault, Severity};
pub use manager::Faulty;
pub use plan::FaultPlan;
pub use stream::{FaultyStream, StreamFaults};
pub use tally::{Counts, Tally};
