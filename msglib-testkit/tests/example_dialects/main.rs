//! The dialects of the examples, in memory: what they decode, in any pieces, and what their brokers do. That real clients get on
//! with them is tried by `tests/real_clients/`.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod ancestor;
mod beanstalkd;
mod chunking;
mod world;
