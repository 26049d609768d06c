//! A broker of work queues as a program: `cargo run --example broker -- --listen '[::1]:7777'`.
//!
//! It serves until its standard input closes or it is terminated; then it says goodbye to its clients and prints what it did.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use lexopt::prelude::*;
use msglib_broker::record::{RecordLog, Recorder};
use msglib_broker::{Broker, ConnectionHandler, ConnectionManager, QueueConfig, StockConfig};
use msglib_io_epoll::EpollSocketManager;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
A broker of work queues in memory. A restart loses what it held.

usage: broker [options]
  --listen ADDRESS      where to listen, or unix:PATH; may be given several times  [[::1]:7777]
  --max-messages N      messages that one queue may hold              [10000000]
  --max-queue-bytes N   bytes that one queue may hold                 [1073741824]
  --max-queues N        queues                                        [1000000]
  --record FILE         record all that it is told into FILE, credentials and payloads too
  --record-ring BYTES   keep only the last BYTES of that, in memory; written to FILE at the end, on a panic, and
                        whenever something comes on standard input
  --drain SECONDS       how long clients may settle what they have at the end; not with --record  [0]
  --help                this text

It prints `listening on ADDRESS` for each address, serves until its standard input closes or it is terminated, and then
prints its counters. The example `replay_recording` plays a recording back.";

/// How long clients have to take what is due to them at the end.
const GOODBYE: Duration = Duration::from_secs(5);

/// Where a recording goes, and how much of it is kept.
#[derive(Default)]
struct Record {
    file: Option<PathBuf>,
    ring: Option<usize>,
}

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
    let (mut record, mut drain) = (Record::default(), Duration::ZERO);
    let mut options = lexopt::Parser::from_env();
    while let Some(option) = options.next()? {
        match option {
            Long("listen") => addresses.push(options.value()?.string()?),
            Long("max-messages") => queue = queue.with_max_messages(options.value()?.parse()?),
            Long("max-queue-bytes") => queue = queue.with_max_bytes(options.value()?.parse()?),
            Long("max-queues") => config = config.with_max_queues(options.value()?.parse()?),
            Long("drain") => drain = Duration::from_secs(options.value()?.parse()?),
            Long("record") => record.file = Some(options.value()?.into()),
            Long("record-ring") => record.ring = Some(options.value()?.parse()?),
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
    if record.ring.is_some() && record.file.is_none() {
        return Err("--record-ring says how much is kept; --record FILE says where it is written".into());
    }
    if record.file.is_some() && !drain.is_zero() {
        return Err("--drain and --record do not go together: a recording has no drain".into());
    }
    let handler = ConnectionHandler::with_config(config.with_queue(queue));
    let manager = listen(&addresses)?;
    let Record { file: Some(path), ring } = record else { return serve(Broker::new(handler, manager), drain, None) };
    let recorder = match ring {
        None => Recorder::to_stream(manager, File::create(&path)?),
        Some(bytes) => Recorder::in_ring(manager, bytes).dump_on_panic({
            let path = path.clone();
            move || File::create(&path)
        }),
    };
    let recorder = recorder.about(std::env::args().collect::<Vec<_>>().join(" "));
    let recording = Recording { log: recorder.log(), dump: ring.map(|_| path) };
    serve(Broker::new(handler, recorder), drain, Some(recording))
}

/// A recording under way; `dump` is where a ring is written to.
#[derive(Clone)]
struct Recording {
    log: RecordLog,
    dump: Option<PathBuf>,
}

impl Recording {
    fn write(&self) {
        let Some(path) = &self.dump else { return };
        match File::create(path).and_then(|file| self.log.write_to(file)) {
            Ok(()) => eprintln!("broker: the recording is in {}", path.display()),
            Err(error) => eprintln!("broker: the recording could not be written to {}: {error}", path.display()),
        }
    }
}

fn listen(addresses: &[String]) -> Result<EpollSocketManager, Box<dyn Error>> {
    let mut manager = EpollSocketManager::builder();
    for address in addresses {
        if let Some(path) = address.strip_prefix("unix:") {
            manager = manager.listen_unix(path, 0o600);
            continue;
        }
        let parsed = address.parse().map_err(|error| {
            format!("--listen {address}: {error}; it takes an IP address and a port, as [::1]:7777, or unix:PATH")
        })?;
        manager = manager.listen(parsed);
    }
    let manager = manager.build()?;
    for address in manager.listeners() {
        println!("listening on {address}");
    }
    std::io::stdout().flush()?;
    Ok(manager)
}

fn serve<M: ConnectionManager>(
    mut broker: Broker<ConnectionHandler, M>,
    drain: Duration,
    recording: Option<Recording>,
) -> Result<(), Box<dyn Error>> {
    let stop = broker.stopper();
    ctrlc::set_handler({
        let stop = stop.clone();
        move || stop.stop()
    })?;
    let asked = recording.clone();
    std::thread::spawn(move || {
        let mut ignored = [0; 4096];
        // Until its end, or until it fails, which is as good as its end.
        while std::io::stdin().read(&mut ignored).is_ok_and(|n| n > 0) {
            asked.iter().for_each(Recording::write);
        }
        eprintln!("broker: standard input is closed, so this is the end");
        stop.stop();
    });
    broker.run()?;
    if !drain.is_zero() {
        let drained = broker.drain(drain)?;
        println!("drained: {} deliveries and requests are not settled", drained.unsettled);
    }
    recording.iter().for_each(|recording| recording.log.shutting_down(GOODBYE));
    let end = broker.shutdown(GOODBYE)?;
    report(&broker, end.aborted);
    recording.iter().for_each(Recording::write);
    drop(broker);
    match recording.and_then(|recording| recording.log.error()) {
        Some(error) => Err(format!("the recording is not whole: {error}").into()),
        None => Ok(()),
    }
}

fn report<M: ConnectionManager>(broker: &Broker<ConnectionHandler, M>, aborted: usize) {
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
