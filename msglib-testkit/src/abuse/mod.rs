//! The abuse suite: what a hostile client can do to a broker, over any backend.
//!
//! The author of a backend who has a [`Fixture`](crate::conformance::Fixture) stamps the suite with
//! [`abuse!`](crate::abuse!): one `#[test]` for each case. A case starts a stock broker over the fixture's manager, with a
//! publisher and a consumer as **witnesses**, and lets attackers do their worst with raw bytes. Each checks that
//!
//! - the attacker gets the `ERROR` that PROTOCOL.md asks for, with its offset, and then the end; or is served, if what it
//!   does is allowed;
//! - the witnesses never wait for long, and each of their messages is confirmed, and arrives once and in order;
//! - what is kept of each connection, and in the queues, is below its limit in every step;
//! - the broker has counted what it should and nothing else, and afterwards serves the two witnesses and nobody else, and holds nothing of anybody.
//!
//! What goes on without end does so 10,000 times in a debug build, and a million times in every other. `docs/abuse.md` in the repository has each case,
//! what must happen, and which counter says so.
//!
//! The suite knows the broker from outside: its bytes, its counters, its number of connections. What it asks of a backend
//! is the contract of [`msglib_proto::transport`] and nothing else, so try [`mod@crate::conformance`] first.

pub mod cases;
mod raw;
mod stage;

#[doc(hidden)]
pub use stage::Setup;
