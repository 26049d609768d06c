//! The stock broker under simulation: many seeds, on all cores.
//!
//! ```sh
//! cargo run --release --example simulate -- --seeds 2000 --first-seed 1
//! ```
//!
//! Prints its progress, the story of each failure (at most three, each shrunk), and one last line: seeds, operations, faults that
//! fired, violations, and a hash of all that happened. Exits with 1 if there was a violation. Options: `--seeds N` (2000),
//! `--first-seed N` (1), `--operations N` for each seed (7500), `--threads N` (all cores), `--out DIR` for the stories as text, Mermaid and SVG.
//! `--planted` looks for planted bugs instead, each with up to 1,000 seeds; `--canary` has a checker that must fail.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

#[allow(dead_code, unreachable_pub)]
#[path = "../tests/planted/mod.rs"]
mod planted;

use msglib_broker::{ConnectionHandler, Frame};
use msglib_testkit::faults::Tally;
use msglib_testkit::simulate::{Checker, Facts, Report, Seen, Simulation};
use std::borrow::Cow;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct Options {
    seeds: u64,
    first_seed: u64,
    operations: usize,
    threads: usize,
    out: Option<std::path::PathBuf>,
    mode: Mode,
}

#[derive(PartialEq)]
enum Mode {
    Stock,
    Planted,
    Canary,
}

/// Sums over all seeds.
#[derive(Default)]
struct Sum {
    seeds: u64,
    operations: u64,
    messages: u64,
    deliveries: u64,
    time: Duration,
    network: Tally,
    process: u64,
    hash: u64,
    failed: Vec<Report>,
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.operations += report.operations;
        self.messages += report.messages;
        self.deliveries += report.deliveries;
        self.time += report.time;
        self.network += &report.network_faults;
        self.process += report.process_faults;
        // In whatever order the threads come.
        self.hash = self.hash.wrapping_add(report.hash);
        if report.failure.is_some() {
            self.failed.push(report);
        }
    }

    fn faults(&self) -> u64 {
        self.network.fired() + self.process
    }
}

/// Stories that are told of one run of this program.
const STORIES: usize = 3;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    if options.mode == Mode::Planted {
        return Ok(search_planted(&options));
    }
    let started = Instant::now();
    let next = AtomicU64::new(options.first_seed);
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| work(&options, &next, &sum, started));
        }
    });
    let mut sum = sum.into_inner()?;
    sum.failed.sort_by_key(|report| report.seed);
    for report in sum.failed.iter().take(STORIES) {
        tell(&options, report)?;
    }
    let minutes = sum.time.as_secs() / 60;
    println!(
        "{:.1} s for {minutes} simulated minutes; faults of the network:\n{}",
        started.elapsed().as_secs_f64(),
        sum.network
    );
    println!(
        "{} seeds from {}, {} operations, {} messages, {} deliveries, {} faults fired, {} violations, hash {:016x}",
        sum.seeds,
        options.first_seed,
        sum.operations,
        sum.messages,
        sum.deliveries,
        sum.faults(),
        sum.failed.len(),
        sum.hash,
    );
    Ok(if sum.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn simulation(options: &Options, seed: u64) -> Simulation<ConnectionHandler> {
    let simulation = Simulation::new(seed).operations(options.operations);
    if options.mode == Mode::Canary { simulation.check(Canary) } else { simulation }
}

/// Dies of the first message that comes again: if this does not fail, the simulation looks at nothing.
#[derive(Clone)]
struct Canary;

impl Checker<ConnectionHandler> for Canary {
    fn name(&self) -> &'static str {
        "the canary"
    }
    fn sees(&mut self, _: &Facts, seen: &Seen<'_>) -> Result<(), Cow<'static, str>> {
        match seen {
            Seen::Received(_, Frame::Delivery { count: 2.., .. }) => Err("a message came again".into()),
            _ => Ok(()),
        }
    }
}

/// Looks for a seed for each planted bug, 1,000 at most.
fn search_planted(options: &Options) -> ExitCode {
    let mut missed = 0;
    for bug in planted::PLANTED {
        let seeds = options.first_seed..options.first_seed + options.seeds.min(1_000);
        let mut others = 0;
        let found = seeds.clone().find(|seed| {
            let report = bug.run(*seed);
            let is_caught = bug.is_caught(&report);
            others += u64::from(!is_caught && report.failure.is_some());
            is_caught
        });
        match found {
            Some(seed) => {
                println!("{}: seed {seed}, by {:?}; {others} times by others before", bug.name, bug.caught_by);
            }
            None => {
                missed += 1;
                let other = seeds.into_iter().find_map(|seed| bug.run(seed).failure);
                println!("{}: MISSED by {:?}; {others} times by others: {other:?}", bug.name, bug.caught_by);
            }
        }
    }
    println!("{} planted bugs, {missed} missed", planted::PLANTED.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One seed after the other, until there are none.
fn work(options: &Options, next: &AtomicU64, sum: &Mutex<Sum>, started: Instant) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= options.first_seed + options.seeds {
            return;
        }
        let report = simulation(options, seed).run();
        if report.failure.is_some() {
            eprintln!("{report}");
        }
        let Ok(mut sum) = sum.lock() else { return };
        sum.add(report);
        if sum.seeds.is_multiple_of((options.seeds / 20).max(1)) {
            eprintln!(
                "{:>6.1} s  {} seeds, {} operations, {} violations",
                started.elapsed().as_secs_f64(),
                sum.seeds,
                sum.operations,
                sum.failed.len()
            );
        }
    }
}

/// The story of a failure, as short as it gets.
fn tell(options: &Options, report: &Report) -> Result<(), Box<dyn Error>> {
    let Some(failure) = &report.failure else { return Ok(()) };
    let story = simulation(options, report.seed).explain(failure);
    println!("{story}");
    if let Some(dir) = &options.out {
        std::fs::create_dir_all(dir)?;
        let file = |ending: &str| dir.join(format!("seed-{}.{ending}", report.seed));
        std::fs::write(file("txt"), story.to_string())?;
        std::fs::write(file("mmd"), story.diagram().mermaid())?;
        std::fs::write(file("svg"), story.diagram().svg())?;
        println!("drawn: {}, {}", file("svg").display(), file("mmd").display());
    }
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error>> {
    use lexopt::prelude::*;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { seeds: 2_000, first_seed: 1, operations: 7_500, threads, out: None, mode: Mode::Stock };
    let mut parser = lexopt::Parser::from_env();
    while let Some(option) = parser.next()? {
        match option {
            Long("seeds") => options.seeds = parser.value()?.parse()?,
            Long("first-seed") => options.first_seed = parser.value()?.parse()?,
            Long("operations") => options.operations = parser.value()?.parse()?,
            Long("threads") => options.threads = parser.value()?.parse()?,
            Long("planted") => options.mode = Mode::Planted,
            Long("canary") => options.mode = Mode::Canary,
            Long("out") => options.out = Some(parser.value()?.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}
