//! What a message costs the broker, beside what moving its bytes costs: `cargo run --release --example bench --
//! --quick`.
//!
//! The broker runs as a process of its own on one core, the load on another, and so does the floor: a relay that
//! parses nothing. They take turns, so that a machine that is slow for a while is slow for both. How to read the
//! table is in CONTRIBUTING.md.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

mod frames;
mod load;
mod machine;
mod options;
mod plan;
mod relay;
mod report;
mod sample;
mod scenario;
mod serve;
mod server;
mod socket;
mod summary;
mod target;
mod turns;

use machine::Cores;
use options::{HELP, Options};
use scenario::{Row, Settings};
use std::process::ExitCode;
use std::time::Duration;
use target::Target;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut parser = lexopt::Parser::from_env();
    if parser.try_raw_args().and_then(|args| args.peek().map(|first| first == "serve")) == Some(true) {
        return serve::serve(&mut parser).map(|()| ExitCode::SUCCESS);
    }
    let options = Options::parse(&mut parser)?;
    if options.help {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let settings = settings(&options)?;
    let rows = chosen(scenario::all(&settings), options.rows.as_deref())?;
    if options.list {
        report::table::list(&rows);
        return Ok(ExitCode::SUCCESS);
    }
    measure(&options, &settings, &rows)
}

fn measure(options: &Options, settings: &Settings, rows: &[Row]) -> Result<ExitCode> {
    if settings.cores.is_shared() {
        eprintln!("bench: there is one core only: believe the CPU times, and nothing else");
    }
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build; what it measures means nothing. Use --release");
    }
    // Before the first turn, for what cannot be written should not be found out after the last.
    let mut files = report::Files::create(options)?;
    let turns = options.turns.unwrap_or(3);
    let outcomes = turns::take(rows, settings, turns, &brokers(options), &mut files)?;
    let summaries = summary::all(rows, &outcomes);
    report::table::print(&summaries, settings, turns);
    files.finish(&summaries)?;
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn settings(options: &Options) -> Result<Settings> {
    let quick = options.quick;
    let (warm_up, time) = if quick { (150, 300) } else { (500, 2_000) };
    Ok(Settings {
        cores: Cores::choose()?,
        warm_up: Duration::from_millis(warm_up),
        time: options.time.unwrap_or(Duration::from_millis(time)),
        quick,
        descriptors: machine::raise_descriptor_limit()?,
    })
}

/// The participants of every row beside the floor.
fn brokers(options: &Options) -> Vec<Target> {
    let other = |name, command: &String| Target::Other { name, command: command.clone() };
    let broker = options.broker.as_ref().map_or(Target::Broker, |command| other("broker", command));
    std::iter::once(broker).chain(options.also.as_ref().map(|command| other("also", command))).collect()
}

fn chosen(rows: Vec<Row>, names: Option<&[String]>) -> Result<Vec<Row>> {
    let Some(names) = names else { return Ok(rows) };
    let is_named = |row: &Row, name: &String| row.name == *name || row.growth.is_some_and(|growth| growth.of == name);
    if let Some(unknown) = names.iter().find(|name| !rows.iter().any(|row| is_named(row, name))) {
        return Err(format!("there is no row {unknown}; see --list").into());
    }
    Ok(rows.into_iter().filter(|row| names.iter().any(|name| is_named(row, name))).collect())
}
