//! The broker of the guide "Testing the broker you wrote" (`docs/testing.md`), and a program that simulates it.
//!
//! ```sh
//! cargo run --release --example guide_broker -- --first-version
//! ```
//!
//! Looks for the first of a hundred seeds that fails, and tells its story; `--svg FILE` and `--mermaid FILE` draw it. `--seed`,
//! `--operations`, `--keep` and `--calm`, as a story ends with them, tell that run again; `--brief` says only how it ended.
//! `--first-version` is the broker as it was when the guide's reader had just written it. Exits with 1 if a promise was not kept.
#![allow(clippy::print_stdout, reason = "it is a program")]

use bytes::Bytes;
use msglib_broker::{ConnectionId, Context, Event, Frame, Handler, LinkNumber, Reject, Verdict};
use msglib_testkit::simulate::{Simulation, Story, parse_kept};
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::ops::RangeInclusive;
use std::process::ExitCode;

/// A queue, the same one whatever name a client opens: the oldest job goes to the first worker that has room.
#[derive(Default)]
pub struct JobQueue {
    waiting: VecDeque<Job>,
    /// What each worker has got and not settled, by tag.
    held: BTreeMap<Worker, BTreeMap<u64, Job>>,
}

/// A link on which a client consumes.
type Worker = (ConnectionId, LinkNumber);

struct Job {
    deliveries: u32,
    payload: Bytes,
}

impl Handler for JobQueue {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Frame { from, frame } => self.frame(cx, from, frame),
            Event::Disconnected { id, .. } => self.forget(|(gone, _)| gone == id),
            _ => {}
        }
        Ok(())
    }

    /// The clients of an earlier broker are gone.
    fn started(&mut self, _: &mut Context<'_>) {
        self.forget(|_| true);
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        while let Some(job) = self.waiting.front() {
            // Who has no credit, or no room now, is asked again in the next step.
            let taken = self.held.iter_mut().find_map(|(&(id, link), held)| {
                let tag = cx.deliver(id, link, job.deliveries + 1, &job.payload).ok()?;
                Some((tag, held))
            });
            let Some((tag, held)) = taken else { return };
            if let Some(Job { deliveries, payload }) = self.waiting.pop_front() {
                held.insert(tag, Job { deliveries: deliveries + 1, payload });
            }
        }
    }
}

impl JobQueue {
    fn frame(&mut self, cx: &mut Context<'_>, from: ConnectionId, frame: Frame<'_>) {
        match frame {
            Frame::Open(open) => {
                if open.consumes {
                    self.held.insert((from, open.link), BTreeMap::new());
                }
                if open.publishes {
                    let _ = cx.send(from, Frame::Credit { link: open.link, upto: u64::MAX }); // gone: then nobody publishes
                }
            }
            Frame::Publish { link, number, payload, .. } => {
                self.waiting.push_back(Job { deliveries: 0, payload: payload.share() });
                let _ = cx.send(from, Frame::Confirmed { link, upto: number });
            }
            Frame::Ack { link, first, last } => drop(self.take((from, link), first..=last)),
            Frame::Refuse { link, first, last, verdict } => {
                let refused = self.take((from, link), first..=last);
                if verdict == Verdict::Again {
                    self.give_back(refused);
                }
            }
            Frame::Close { link } => self.forget(|worker| worker == (from, link)),
            _ => {}
        }
    }

    /// Takes the jobs with these tags from a worker, the oldest first.
    fn take(&mut self, worker: Worker, tags: RangeInclusive<u64>) -> Vec<Job> {
        let Some(held) = self.held.get_mut(&worker) else { return Vec::new() };
        let tags: Vec<u64> = held.range(tags).map(|(tag, _)| *tag).collect();
        tags.iter().filter_map(|tag| held.remove(tag)).collect()
    }

    fn give_back(&mut self, jobs: Vec<Job>) {
        jobs.into_iter().rev().for_each(|job| self.waiting.push_front(job));
    }

    /// Gives back what these workers held.
    fn forget(&mut self, is_gone: impl Fn(Worker) -> bool) {
        let gone: Vec<Worker> = self.held.keys().copied().filter(|worker| is_gone(*worker)).collect();
        for worker in gone {
            let jobs = self.held.remove(&worker).unwrap_or_default();
            self.give_back(jobs.into_values().collect());
        }
    }
}

/// The broker before the guide's reader had thought of `Frame::Close`: a wrapper that keeps it from the handler.
#[derive(Default)]
pub struct FirstVersion(JobQueue);

impl Handler for FirstVersion {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Frame { frame: Frame::Close { .. }, .. } => Ok(()),
            event => self.0.handle(cx, event),
        }
    }

    fn started(&mut self, cx: &mut Context<'_>) {
        self.0.started(cx);
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        self.0.end_of_step(cx);
    }
}

/// Operations of a run.
pub const OPERATIONS: usize = 300;

/// One run of a job queue: it has one queue for all names, and no limits.
pub fn simulation<H: Handler + Default + 'static>(seed: u64) -> Simulation<H> {
    let simulation = Simulation::new(seed).handler(|_| H::default()).operations(OPERATIONS);
    simulation.adjust(|setup| (setup.queues, setup.payload, setup.stock) = (1, 20, Default::default()))
}

/// The story of the first seed that fails, as short as it gets; `None` if none of a hundred does.
pub fn search<H: Handler + Default + 'static>() -> Option<Story> {
    (1..=100).map(simulation::<H>).find_map(|simulation| {
        let failure = simulation.run().failure?;
        Some(simulation.explain(&failure))
    })
}

#[derive(Default)]
struct Options {
    first_version: bool,
    seed: Option<u64>,
    operations: Option<usize>,
    keep: Option<Vec<usize>>,
    is_calm: bool,
    is_brief: bool,
    drawings: Vec<(&'static str, std::ffi::OsString)>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    if options.first_version { run::<FirstVersion>(options) } else { run::<JobQueue>(options) }
}

fn run<H: Handler + Default + 'static>(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    let story = match options.seed {
        Some(seed) => {
            let simulation = simulation::<H>(seed).operations(options.operations.unwrap_or(OPERATIONS));
            let simulation = simulation.calm(options.is_calm);
            Some(options.keep.into_iter().fold(simulation, Simulation::keep).story())
        }
        None => search::<H>(),
    };
    let Some(story) = story else {
        println!("100 seeds of {OPERATIONS} operations: no violation");
        return Ok(ExitCode::SUCCESS);
    };
    match options.is_brief {
        true => println!("{}", story.report),
        false => println!("{story}"),
    }
    for (kind, file) in options.drawings {
        let diagram = story.diagram();
        std::fs::write(file, if kind == "svg" { diagram.svg() } else { diagram.mermaid() })?;
    }
    Ok(if story.report.failure.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options() -> Result<Options, Box<dyn Error>> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(option) = parser.next()? {
        match option {
            Long("first-version") => options.first_version = true,
            Long("seed") => options.seed = Some(parser.value()?.parse()?),
            Long("operations") => options.operations = Some(parser.value()?.parse()?),
            Long("keep") => options.keep = Some(parse_kept(&parser.value()?.string()?)?),
            Long("calm") => options.is_calm = true,
            Long("brief") => options.is_brief = true,
            Long("svg") => options.drawings.push(("svg", parser.value()?)),
            Long("mermaid") => options.drawings.push(("mermaid", parser.value()?)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}
