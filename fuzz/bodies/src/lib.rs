//! What the fuzz targets try, as ordinary functions: each takes any bytes and panics when a promise is broken.
//!
//! `fuzz_targets/` hands them to libFuzzer; `tests/corpus.rs` replays the corpus on a stable toolchain.
#![forbid(unsafe_code)]

pub mod chunking;
pub mod core;
pub mod decoder;
pub mod send_queue;
pub mod session;

mod client;
mod input;

/// The targets by name.
pub const TARGETS: [(&str, fn(&[u8])); 5] = [
    ("decoder", decoder::run),
    ("chunking", chunking::run),
    ("send_queue", send_queue::run),
    ("session", session::run),
    ("core", core::run),
];
