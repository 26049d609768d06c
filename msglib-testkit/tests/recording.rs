//! The flight recorder: what a broker was told is told again, and the broker does the same.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "recording/answers.rs"]
mod answers;
#[path = "recording/damage.rs"]
mod damage;
#[path = "recording/differences.rs"]
mod differences;
#[path = "recording/draining.rs"]
mod draining;
#[path = "recording/exact.rs"]
mod exact;
#[path = "recording/panics.rs"]
mod panics;
#[path = "recording/ring.rs"]
mod ring;
#[path = "recording/scene.rs"]
mod scene;
