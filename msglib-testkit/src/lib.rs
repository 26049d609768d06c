//! Tests for the broker that you wrote.
//!
//! - [`Harness`]: your handler and its clients in memory, on one thread; a test decides who moves when.
//! - [`Tap`]: records what passes through any handler.
//! - [`Transcript`]: records what passes between a broker and its connections, frame by frame.
//! - [`mod@diagram`]: what passed as a sequence diagram, as Mermaid text or SVG.
//! - [`mod@faults`]: over any connection manager, from a seed or a script, counted.
//! - [`mod@conformance`]: does a backend keep the contract? One test for each case of each rule.
//! - [`mod@replay`]: plays a production broker's recording back, exactly, or to another build of it.
//! - [`mod@abuse`]: what hostile clients do to a broker over a backend, and whether it bears it.
//! - [`mod@simulate`]: many clients and a broker from one seed, with faults, checkers, and a short story of a failure.
//! - [`mod@model`]: what a work queue promises, done in the simplest way, and any operations in any order to compare a queue with it.
//! - [`mod@strategies`]: proptest strategies for frames, streams and conversations, and a client that checks its broker.
//! - [`Transform`]: records and a keystream over any transport, the shape of TLS.
#![forbid(unsafe_code)]

pub mod abuse;
pub mod conformance;
pub mod diagram;
pub mod faults;
mod harness;
pub mod model;
pub mod replay;
pub mod simulate;
pub mod strategies;
mod tap;
mod transcript;
mod transform;

pub use harness::{Harness, HarnessBroker, HarnessConfig};
pub use tap::Tap;
pub use transcript::{Transcript, TranscriptLog};
pub use transform::{MAX_RECORD, Transform, TransformStream};

/// The README's code compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// And so does the guide's.
#[cfg(doctest)]
#[doc = include_str!("../../docs/testing.md")]
struct Guide;
