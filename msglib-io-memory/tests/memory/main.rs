//! The in-memory transport from the outside: the rules of the contract, and what it promises beyond them.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in test functions; the helpers are for them")]

mod announcing;
mod blocking;
mod contract;
mod determinism;
mod lifecycle;
mod patience;
mod soak;
mod streams;
mod support;
