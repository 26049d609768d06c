//! Runs one seed of the simulation again, or a part of its schedule, and tells what happens.
//!
//! ```sh
//! cargo run --release --example replay -- --seed 7 --operations 200
//! ```
//!
//! The story of a failure ends with the options that it takes. `--step` waits for the Enter key before each operation, so that a
//! debugger can be stopped where it matters: set a breakpoint in `about_to_play` below, and in the handler. `--wire` adds
//! what the broker itself read and wrote; `--svg FILE` and `--mermaid FILE` draw it. Exits with 1 if there was a violation.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_testkit::simulate::{Operation, Simulation, parse_kept};
use msglib_testkit::{Transcript, TranscriptLog};
use std::cell::RefCell;
use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    use lexopt::prelude::*;
    let (mut seed, mut operations, mut keep, mut is_calm, mut steps, mut wire) = (1, 7_500, None, false, false, false);
    let (mut svg, mut mermaid) = (None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(option) = parser.next()? {
        match option {
            Long("seed") => seed = parser.value()?.parse()?,
            Long("operations") => operations = parser.value()?.parse()?,
            Long("keep") => keep = Some(parse_kept(&parser.value()?.string()?)?),
            Long("calm") => is_calm = true,
            Long("step") => steps = true,
            Long("wire") => wire = true,
            Long("svg") => svg = Some(parser.value()?),
            Long("mermaid") => mermaid = Some(parser.value()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut simulation = Simulation::new(seed).operations(operations).calm(is_calm);
    if let Some(keep) = keep {
        simulation = simulation.keep(keep);
    }
    if steps {
        simulation = simulation.before_each(about_to_play);
    }
    let logs: Rc<RefCell<Vec<TranscriptLog>>> = Rc::default();
    if wire {
        let logs = Rc::clone(&logs);
        simulation = simulation.transport(move |manager| {
            let transcript = Transcript::keeping(manager, 100_000);
            logs.borrow_mut().push(transcript.log());
            Box::new(transcript)
        });
    }
    let story = simulation.story();
    println!("{story}");
    for (file, drawing) in [(svg, story.diagram().svg()), (mermaid, story.diagram().mermaid())] {
        file.map_or(Ok(()), |file| std::fs::write(file, drawing))?;
    }
    for (number, log) in (1..).zip(logs.borrow().iter()) {
        println!("what broker {number} read and wrote:\n{log}");
    }
    Ok(if story.report.failure.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A place for a breakpoint.
#[inline(never)]
fn about_to_play(index: usize, operation: &Operation) {
    println!("#{index} {operation} ⏎");
    let mut line = String::new();
    // At the end of the input it goes on without a stop.
    let _ = std::io::stdin().read_line(&mut line);
}
