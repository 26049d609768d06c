//! The README's conversation as a sequence diagram: Mermaid text, or an SVG for a browser.
//!
//! `cargo run --example draw -- --svg hello.svg`, or `--mermaid hello.mmd`; without either, Mermaid to the standard output.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::ConnectionHandler;
use msglib_client::{blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_testkit::Harness;
use msglib_testkit::diagram::Diagram;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let diagram = hello()?;
    let mut is_written = false;
    let mut options = lexopt::Parser::from_env();
    while let Some(option) = options.next()? {
        let text = match option {
            lexopt::Arg::Long("svg") => diagram.svg(),
            lexopt::Arg::Long("mermaid") => diagram.mermaid(),
            _ => return Err(option.unexpected().into()),
        };
        std::fs::write(options.value()?, text)?;
        is_written = true;
    }
    if !is_written {
        print!("{}", diagram.mermaid());
    }
    Ok(())
}

/// One message from a publisher through the broker to a consumer.
fn hello() -> Result<Diagram, msglib_client::Error> {
    let mut harness = Harness::new(ConnectionHandler::new());
    let (sender, receiver) = (harness.connect(), harness.connect());
    publish_to_q(&sender, "greetings", b"Hello, world!")?;
    let mut sub = blocking_pull_subscribe_to_queue(&receiver, "greetings")?;
    harness.step_until_message(&mut sub).ack()?;
    receiver.flush()?;
    harness.settle();
    let mut diagram = harness.transcript().diagram("Hello, world!");
    diagram.rename("c0", "publisher");
    diagram.rename("c1", "consumer");
    Ok(diagram)
}
