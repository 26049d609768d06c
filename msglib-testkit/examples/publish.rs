//! Publishes to a queue: `cargo run --example publish -- --connect '[::1]:7777' --queue jobs --message 'Hello, world!'`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

#[path = "shared/dial.rs"]
mod dial;

use dial::dial;
use lexopt::prelude::*;
use msglib_client::{ChannelName, Connection};
use std::error::Error;
use std::process::ExitCode;

const HELP: &str = "\
Publishes a message to a queue and waits until the broker has accepted it.

usage: publish --queue NAME --message TEXT [options]
  --connect ADDRESS   where the broker is, or unix:PATH       [[::1]:7777]
  --queue NAME        the queue
  --message TEXT      the message
  --count N           how many times                          [1]
  --help              this text";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("publish: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut address, mut queue, mut message, mut count) = (String::from("[::1]:7777"), None, None, 1u64);
    let mut options = lexopt::Parser::from_env();
    while let Some(option) = options.next()? {
        match option {
            Long("connect") => address = options.value()?.string()?,
            Long("queue") => queue = Some(options.value()?.string()?),
            Long("message") => message = Some(options.value()?.string()?),
            Long("count") => count = options.value()?.parse()?,
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(format!("{}; see --help", other.unexpected()).into()),
        }
    }
    let queue = queue.ok_or("which queue? say --queue NAME")?;
    let message = message.ok_or("which message? say --message TEXT")?;
    let name = ChannelName::bytes(queue.as_bytes())?;

    let connection = Connection::new(dial(&address)?);
    let mut publisher = connection.publisher_to_q(name)?;
    let mut batch = publisher.batch();
    for _ in 0..count {
        batch.publish(&message)?;
    }
    batch.wait()?;
    connection.close()?;
    println!("published {count} to {queue}");
    Ok(())
}
