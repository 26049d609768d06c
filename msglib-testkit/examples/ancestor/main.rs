//! A broker for the clients of msglib 0.2.0, the Python package that this project grew out of: `pip install msglib==0.2.0`.
//!
//! Run it with `cargo run --example ancestor -- '[::1]:7777'`; Python's `publish_to_q` and `blocking_pull_subscribe_to_queue` work as
//! they did. All that there is to it are the format (`dialect.rs`) and what the messages mean (`handler.rs`).
#![allow(clippy::print_stdout, reason = "it is a program")]

mod dialect;
mod handler;
#[path = "../shared/serve.rs"]
mod serve;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    serve::serve(handler::Queues::default(), dialect::Ancestor, "[::1]:7777", |_| true)
}
