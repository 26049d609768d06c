//! Plays a recording of `examples/broker.rs` back: `cargo run --example replay_recording -- FILE`.
//!
//! For a broker of one's own, copy it and put one's own handler where `ConnectionHandler` is. Under a debugger, a breakpoint in the
//! handler and `--pause` go through an incident step by step.
#![allow(clippy::print_stderr, reason = "it is a program")]

#[path = "broker/draining.rs"]
#[allow(dead_code, reason = "a part of it is the broker's alone")]
mod draining;
#[path = "broker/reading.rs"]
mod reading;
#[path = "broker/settings.rs"]
#[allow(dead_code, reason = "likewise")]
mod settings;
#[path = "broker/stats.rs"]
#[allow(dead_code, reason = "likewise")]
mod stats;
#[path = "broker/values.rs"]
#[allow(dead_code, reason = "likewise")]
mod values;

use lexopt::prelude::*;
use msglib_broker::ConnectionHandler;
use msglib_broker::record::Recording;
use msglib_testkit::replay::{Build, Progress, Replayer, diff_builds, lines, outputs};
use reading::Reader;
use settings::Settings;
use stats::OwnStats;
use std::error::Error;
use std::fs::File;
use std::io::{Write, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
Plays a recording of the broker back, exactly, and shows what passes.

usage: replay_recording FILE [options]
  --config FILE, --order ORDER, --max-messages N, …
                        as the recorded broker was given them (see `broker --help`)
  --from STEP           show nothing before this step                 [1]
  --pause               wait for the return key after each step
  --list                show what was recorded, without a broker; also of a ring that was full
  --diff [options]      feed the same inputs to two brokers, the second with the options that follow,
                        and show who would have heard what else; ends with 1 if anybody does
  --outputs             feed the inputs to this broker, and print each frame that it sends: two builds
                        of this program can be compared with diff(1)
  --help                this text";

/// What to do with the recording.
#[derive(Default)]
enum Mode {
    #[default]
    Replay,
    List,
    Diff,
    Outputs,
}

#[derive(Default)]
struct Options {
    file: Option<PathBuf>,
    mode: Mode,
    from: u64,
    pause: bool,
    /// The recorded broker's settings, and behind `--diff` the other one's.
    first: Reader,
    second: Option<Reader>,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(ExitCode::SUCCESS), |options| run(&options))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("replay_recording: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` when there was nothing to do but to help.
fn options() -> Result<Option<Options>, Box<dyn Error>> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(option) = parser.next()? {
        match option {
            Value(file) if options.file.is_none() => options.file = Some(file.into()),
            Long("from") => options.from = parser.value()?.parse()?,
            Long("pause") => options.pause = true,
            Long("list") => options.mode = Mode::List,
            Long("outputs") => options.mode = Mode::Outputs,
            Long("diff") => {
                options.mode = Mode::Diff;
                options.second = Some(options.first.clone());
            }
            Long("help") | Short('h') => {
                writeln!(stdout(), "{HELP}")?;
                return Ok(None);
            }
            Long(name) => {
                let name = name.to_owned();
                if !options.second.as_mut().unwrap_or(&mut options.first).take(&name, &mut parser)? {
                    return Err(format!("there is no option --{name}; see --help").into());
                }
            }
            other => return Err(format!("{}; see --help", other.unexpected()).into()),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let path = options.file.as_ref().ok_or("which recording? See --help")?;
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (recording, fault) = Recording::recover(file)?;
    fault.iter().for_each(|fault| eprintln!("replay_recording: {fault}; this is what is before"));
    eprintln!("replay_recording: {} records of {:?}", recording.len(), recording.about());
    let mut out = stdout().lock();
    let settings = options.first.clone().settings()?;
    match options.mode {
        Mode::Replay => replay(options, &settings, &recording, &mut out)?,
        Mode::List => lines(&recording).try_for_each(|line| writeln!(out, "{line}"))?,
        Mode::Outputs => write!(out, "{}", outputs(&recording, build(&settings)))?,
        Mode::Diff => {
            let second = options.second.as_ref().unwrap_or(&options.first).clone().settings()?;
            let diff = diff_builds(&recording, build(&settings), build(&second));
            write!(out, "{diff}")?;
            return Ok(if diff.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The broker under test: put your own handler here.
fn build(settings: &Settings) -> Build<ConnectionHandler> {
    let handler = settings.handler().with_admission(OwnStats);
    Build::new(handler).with_dialect(settings.dialect()).with_config(settings.broker())
}

fn replay(
    options: &Options,
    settings: &Settings,
    recording: &Recording,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let mut replayer = Replayer::new(recording, build(settings))?;
    loop {
        let progress = replayer.step();
        let lines = replayer.transcript().take();
        let step = replayer.broker().connection_manager().steps();
        if step >= options.from && (!lines.is_empty() || options.pause) {
            writeln!(out, "step {step}")?;
            lines.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
        match progress? {
            None => break,
            Some(Progress::Stepped(_)) => {}
            Some(Progress::Note(text)) if text == draining::NOTE => draining::drain(replayer.broker_mut()),
            Some(other) => writeln!(out, "the program: {other:?}")?,
        }
        if options.pause && step >= options.from {
            stdin().read_line(&mut String::new())?;
        }
    }
    let replay = replayer.broker().connection_manager();
    writeln!(out, "{} steps and {} records, each call as it was recorded", replay.steps(), replay.record())?;
    for queue in replayer.broker().handler().queues().take(100) {
        writeln!(out, "queue {}: {:?}", queue.name, queue.ledger)?;
    }
    Ok(())
}
