//! A broker of queues, topics and services as a program: `cargo run --example broker -- --listen '[::1]:7777'`.
//!
//! It serves until it is terminated, or until the pipe that is its standard input closes. Then it takes nothing new, lets consumers take what
//! is there, says goodbye, and tells what was not possible.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

#[path = "../shared/dial.rs"]
mod dial;
mod draining;
mod reading;
mod recording;
mod settings;
mod stats;
mod values;

use lexopt::prelude::*;
use msglib_broker::{Broker, ConnectionHandler, ConnectionManager, Stop};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::transport::CompositeConnectionManager;
use reading::Reader;
use recording::Recording;
use settings::Settings;
use stats::{OwnStats, Stats};
use std::error::Error;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tracing::level_filters::LevelFilter;

type Serving = Broker<ConnectionHandler, Box<dyn ConnectionManager>>;

/// How often is looked whether a broker that drains is empty: with many queues that takes a while.
const LOOK: Duration = Duration::from_millis(20);

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
    let (mut reader, mut only_checks) = (Reader::default(), false);
    let mut options = lexopt::Parser::from_env();
    while let Some(option) = options.next()? {
        match option {
            Long("help") | Short('h') => {
                println!("{}", include_str!("help.txt").trim_end());
                return Ok(());
            }
            Long("stats") => {
                print!("{}", stats::ask(dial::dial(&options.value()?.string()?)?)?);
                return Ok(());
            }
            Long("check") => only_checks = true,
            Long(name) => {
                let name = name.to_owned();
                if !reader.take(&name, &mut options)? {
                    return Err(format!("there is no option --{name}; see --help").into());
                }
            }
            other => return Err(format!("{}; see --help", other.unexpected()).into()),
        }
    }
    let settings = reader.settings()?;
    if settings.record_ring.is_some() && settings.record.is_none() {
        return Err("record-ring says how much is kept; record says in which file it is written".into());
    }
    if only_checks { Ok(()) } else { serve(&settings) }
}

fn serve(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let level = LevelFilter::from(settings.log.unwrap_or_default());
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false).init();

    // The program itself is a client too, over memory; see `stats`.
    let inside = Transport::new();
    let memory = InMemoryConnectionManager::new(&inside, "inside")?;
    let manager = CompositeConnectionManager::new((memory, listen(&settings.listen())?));
    let (manager, recording) = Recording::begin(settings, manager)?;
    let handler = settings.handler().with_admission(OwnStats);
    let mut broker = Broker::with_config(handler, manager, settings.dialect(), settings.broker());
    let hurry = stop_by_signal(broker.stopper())?;
    watch_standard_input(broker.stopper(), recording.clone());

    let mut stats = match settings.stats {
        Some(false) => None,
        _ => Some(Stats::new(inside.connect("inside")?)?),
    };
    while !broker.stopper().is_stopped() {
        step(&mut broker, &mut stats)?;
    }
    drain(&mut broker, &mut stats, &recording, (settings.drain(), &hurry))?;
    if stats.take().is_some() {
        // The program's own connection is not one of those to say goodbye to.
        broker.process_connections()?;
    }
    let goodbye = settings.goodbye();
    // What is in flight can still be settled.
    let drained = broker.drain(goodbye)?;
    println!("drained: {} deliveries and requests are not settled", drained.unsettled);
    recording.shutting_down(goodbye);
    let end = broker.shutdown(goodbye)?;
    report(&broker, end.aborted);
    recording.write();
    drop(broker);
    match recording.error() {
        Some(error) => Err(format!("the recording is not whole: {error}").into()),
        None => Ok(()),
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

/// A first signal ends the service, a second one the patience.
fn stop_by_signal(stop: Stop) -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let hurry = Arc::<AtomicBool>::default();
    let hurries = Arc::clone(&hurry);
    ctrlc::set_handler(move || {
        if stop.is_stopped() {
            hurries.store(true, Ordering::Release);
        }
        stop.stop();
    })?;
    Ok(hurry)
}

/// Whoever has started this with a pipe ends it by closing that. From a terminal, or from nowhere, a signal does. What comes has a ring written
/// out.
fn watch_standard_input(stop: Stop, recording: Recording) {
    let kind = std::fs::metadata("/dev/stdin").map(|metadata| metadata.file_type());
    let is_pipe = kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket());
    let is_asked = recording.is_ring() && std::io::stdin().is_terminal();
    if !is_pipe && !is_asked {
        return;
    }
    std::thread::spawn(move || {
        let mut ignored = [0; 4096];
        // Until its end, or until it fails, which is as good as its end.
        while std::io::stdin().read(&mut ignored).is_ok_and(|n| n > 0) {
            recording.write();
        }
        tracing::info!("standard input is closed");
        stop.stop();
    });
}

fn step(broker: &mut Serving, stats: &mut Option<Stats>) -> std::io::Result<()> {
    broker.process_connections()?;
    if let Some(Err(error)) = stats.as_mut().map(|stats| stats.answer(broker)) {
        tracing::warn!(%error, "no more statistics");
        *stats = None;
    }
    Ok(())
}

/// Nothing new is taken; what is there goes to those who take it, until it is gone, the time is over, or somebody is in a hurry.
fn drain(
    broker: &mut Serving,
    stats: &mut Option<Stats>,
    recording: &Recording,
    (within, hurry): (Duration, &AtomicBool),
) -> std::io::Result<()> {
    let (start, mut look) = (Instant::now(), Duration::ZERO);
    tracing::info!(?within, "draining");
    loop {
        let now = start.elapsed();
        if now >= look {
            if draining::is_due(broker) {
                recording.note(draining::NOTE);
                draining::drain(broker);
            } else if draining::is_done(broker) {
                return Ok(());
            } else {
                look = now + LOOK;
            }
        }
        if now >= within || hurry.load(Ordering::Acquire) {
            tracing::warn!("consumers have not taken all that is there");
            return Ok(());
        }
        step(broker, stats)?;
    }
}

/// What was done, and what was not possible.
fn report(broker: &Serving, cut_off: usize) {
    let counters = broker.counters();
    println!("connections {} ({cut_off} cut off at the end)", counters.connected);
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
            draining::left(&queue),
            ledger.turned_away
        );
    }
    let lost: Vec<u64> =
        broker.handler().queues().map(|queue| draining::left(&queue)).filter(|left| *left > 0).collect();
    if !lost.is_empty() {
        println!(
            "lost: {} messages in {} queues, which nobody has taken in time",
            lost.iter().sum::<u64>(),
            lost.len()
        );
    }
}
