//! A broker that speaks beanstalkd's protocol, for clients such as greenstalk from PyPI.
//!
//! Run it with `cargo run --example beanstalkd -- '[::1]:11300'`. It begins in `dialect.rs`, which turns bytes into commands and replies
//! into bytes; `server.rs` says what each command does, with a `Queue` for each tube.
#![allow(clippy::print_stdout, reason = "it is a program")]

mod command;
mod dialect;
mod jobs;
mod order;
#[path = "../shared/serve.rs"]
mod serve;
mod server;
mod stats;
mod tube;
mod waiting;

/// As the real one's.
const MAX_JOB: u32 = 65_535;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dialect = dialect::Beanstalk { max_job: MAX_JOB };
    serve::serve(server::Server::new(MAX_JOB), dialect, "[::1]:11300", server::Server::drain)
}
