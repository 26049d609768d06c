//! The conformance kit for transports: does a backend keep the rules T1 to T17 of [`msglib_proto::transport`]?
//!
//! The author of a backend writes a [`Fixture`] (its documentation has a complete one) and stamps the kit with
//! [`conformance!`](crate::conformance!): one `#[test]` for each case, named by its rule. A case drives `poll` a
//! bounded number of times, so that a report which never comes is a failure and not a hang; it fails with the rule, what
//! was expected, what was seen, and the last calls. A case that needs what the backend cannot do says so
//! ([`Fixture::skipped`]).
//!
//! The cases know of no clock but the manager's, and rely on nothing but the contract. [`cases`] has them as
//! plain functions, for those who want to try a manager that is broken on purpose.

pub mod cases;
mod fixture;
mod log;
mod rule;
mod run;
mod trial;

pub use fixture::{Fixture, RawPeer};
pub use rule::Rule;
pub use run::{Outcome, Skipped, run};
