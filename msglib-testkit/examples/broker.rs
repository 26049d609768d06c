//! A broker of work queues as a program: `cargo run --example broker -- --listen '[::1]:7777'`.
//!
//! It serves until its standard input closes or it is terminated; then it says goodbye to its clients and prints what it did.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use lexopt::prelude::*;
use msglib_broker::{Broker, ConnectionHandler, QueueConfig, StockConfig};
use msglib_io_epoll::EpollSocketManager;
use std::error::Error;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
A broker of work queues in memory. A restart loses what it held.

usage: broker [options]
  --listen ADDRESS      where to listen; may be given several times  [[::1]:7777]
  --max-messages N      messages that one queue may hold              [10000000]
  --max-queue-bytes N   bytes that one queue may hold                 [1073741824]
  --max-queues N        queues                                        [1000000]
  --help                this text

It prints `listening on ADDRESS` for each address, serves until its standard input closes or it is terminated, and then
prints its counters.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut addresses, mut config, mut queue) = (Vec::new(), StockConfig::default(), QueueConfig::default());
    let mut options = lexopt::Parser::from_env();
    while let Some(option) = options.next()? {
        match option {
            Long("listen") => addresses.push(options.value()?.string()?),
            Long("max-messages") => queue = queue.with_max_messages(options.value()?.parse()?),
            Long("max-queue-bytes") => queue = queue.with_max_bytes(options.value()?.parse()?),
            Long("max-queues") => config = config.with_max_queues(options.value()?.parse()?),
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(format!("{}; see --help", other.unexpected()).into()),
        }
    }
    if addresses.is_empty() {
        addresses.push("[::1]:7777".into());
    }
    serve(&addresses, config.with_queue(queue))
}

fn serve(addresses: &[String], config: StockConfig) -> Result<(), Box<dyn Error>> {
    let mut manager = EpollSocketManager::builder();
    for address in addresses {
        let parsed = address.parse().map_err(|error| {
            format!("--listen {address}: {error}; it takes an IP address and a port, as [::1]:7777")
        })?;
        manager = manager.listen(parsed);
    }
    let manager = manager.build()?;
    for address in manager.local_addrs() {
        println!("listening on {address}");
    }
    std::io::stdout().flush()?;

    let mut broker = Broker::new(ConnectionHandler::with_config(config), manager);
    let stop = broker.stopper();
    ctrlc::set_handler({
        let stop = stop.clone();
        move || stop.stop()
    })?;
    std::thread::spawn(move || {
        let mut ignored = [0; 4096];
        // Until its end, or until it fails, which is as good as its end.
        while std::io::stdin().read(&mut ignored).is_ok_and(|n| n > 0) {}
        eprintln!("broker: standard input is closed, so this is the end");
        stop.stop();
    });
    broker.run()?;
    let end = broker.shutdown(Duration::from_secs(5))?;
    report(&broker, end.aborted);
    Ok(())
}

fn report(broker: &Broker<ConnectionHandler, EpollSocketManager>, aborted: usize) {
    let counters = broker.counters();
    println!("connections {} ({} cut off at the end)", counters.connected, aborted);
    println!("frames received {}, sent {}", counters.frames_received, counters.frames_sent);
    println!("bytes received {}, sent {}", counters.bytes_received, counters.bytes_sent);
    println!("protocol errors {}, frames refused by the handler {}", counters.protocol_errors, counters.rejected);
    for queue in broker.handler().queues().take(100) {
        let ledger = queue.ledger;
        println!(
            "queue {}: accepted {}, acked {}, refused {}, left {}, turned away {}",
            queue.name,
            ledger.accepted,
            ledger.acked,
            ledger.refused,
            ledger.ready + ledger.in_flight,
            ledger.turned_away
        );
    }
}
