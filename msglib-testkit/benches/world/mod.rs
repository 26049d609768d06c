//! The world in which the plain path is measured: a broker, one publisher, one consumer, one queue, one thread, and a script
//! that is the same each time. The benchmarks time it, the example `plain_path` is counted, the tests hold it to its figures.
#![allow(dead_code, reason = "each of them uses a part")]

pub(crate) mod bytes;
pub(crate) mod clients;
pub(crate) mod fan_out;
pub(crate) mod peers;

/// Bytes of each payload.
pub(crate) const PAYLOAD: usize = 128;

/// Messages between two moves of the broker: as much as is in flight for one producer.
pub(crate) const BATCH: u64 = 1_000;
