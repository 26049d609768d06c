//! Consumes from a queue: `cargo run --example consume -- --connect '[::1]:7777' --queue jobs`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

#[path = "shared/dial.rs"]
mod dial;

use dial::dial;
use lexopt::prelude::*;
use msglib_client::{ChannelName, Connection, subscribe_with_prefetch};
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
Prints the messages of a queue, one in each line, and acks each after it was printed.

usage: consume --queue NAME [options]
  --connect ADDRESS   where the broker is, or unix:PATH             [[::1]:7777]
  --queue NAME        the queue
  --count N           how many messages; without it, for ever
  --timeout SECONDS   how long to wait for each; without it, for ever
  --prefetch N        messages that the broker may send ahead       [100]
  --help              this text";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("consume: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut address, mut queue, mut prefetch) = (String::from("[::1]:7777"), None, 100u32);
    let (mut count, mut timeout): (Option<u64>, Option<f64>) = (None, None);
    let mut options = lexopt::Parser::from_env();
    while let Some(option) = options.next()? {
        match option {
            Long("connect") => address = options.value()?.string()?,
            Long("queue") => queue = Some(options.value()?.string()?),
            Long("count") => count = Some(options.value()?.parse()?),
            Long("timeout") => timeout = Some(options.value()?.parse()?),
            Long("prefetch") => prefetch = options.value()?.parse()?,
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(format!("{}; see --help", other.unexpected()).into()),
        }
    }
    let queue = queue.ok_or("which queue? say --queue NAME")?;
    let name = ChannelName::bytes(queue.as_bytes())?;
    let timeout = timeout.map(Duration::try_from_secs_f64).transpose()?;

    let stream = dial(&address)?;
    stream.set_timeout(timeout)?;
    let connection = Connection::new(stream);
    // What is not printed must not be held: with a count, the broker sends no more than that ahead.
    let prefetch = count.map_or(prefetch, |count| prefetch.min(u32::try_from(count).unwrap_or(u32::MAX)).max(1));
    let mut subscription = subscribe_with_prefetch(&connection, name, prefetch)?;
    let mut out = std::io::stdout().lock();
    for _ in 0..count.unwrap_or(u64::MAX) {
        let message = subscription.next()?;
        out.write_all(message.payload())?;
        out.write_all(b"\n")?;
        out.flush()?;
        message.ack()?;
    }
    subscription.close()?;
    connection.close()?;
    Ok(())
}
