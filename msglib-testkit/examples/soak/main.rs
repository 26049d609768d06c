//! A broker over sockets for minutes or hours, with all that can be unpleasant at once: honest clients who come and go, every client of
//! the abuse suite, faults in its transport, and far too few descriptors. `cargo run --release --example soak -- --minutes 10`
//!
//! It is calm, storms and rests in turns. In each rest everything must be as it was in the first one: no message lost, none twice for the first
//! time, no connection, no byte that waits; memory and descriptors flat. The first storm only warms up.
//!
//! Two witnesses, whose connections have no faults, exchange messages at a steady pace: each is confirmed and delivered, and how many there are,
//! and how long they take, is compared between the storms and the calm before them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

mod attacker;
mod child;
mod hoarder;
mod learn;
mod random;
mod serve;
mod witness;
mod worker;

use attacker::Attacker;
use child::{Report, Server};
use learn::Script;
use lexopt::prelude::*;
use random::Random;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use witness::{Company, Seen, Witnesses};
use worker::{Tally, Worker};

type Result<T> = core::result::Result<T, Box<dyn std::error::Error>>;

const HELP: &str = "\
A broker over sockets, honest clients, every client of the abuse suite, and faults, all at once.

usage: soak [options]
  --minutes N    for how long                         [10]
  --seconds N    the same in seconds
  --seed N       of all that is random                [1]";

const WORKERS: u64 = 40;
const ATTACKERS: usize = 80;
/// How long everything may take to be over in a rest.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much more memory than in the first half of the rests there may be in the second: pages that the allocator has not given back.
const SLACK: u64 = 2 << 20;
/// What the witnesses must keep of their service in a storm: by far less than they do keep, for the machine may be busy with other things.
const SHARE: f64 = 0.5;
/// One of so many attackers is a hoarder.
const HOARDERS: u64 = 8;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut length, mut seed) = (Duration::from_secs(600), 1);
    let mut options = lexopt::Parser::from_env();
    while let Some(option) = options.next()? {
        match option {
            Long("minutes") => length = Duration::from_secs(60 * options.value()?.parse::<u64>()?),
            Long("seconds") => length = Duration::from_secs(options.value()?.parse()?),
            Long("seed") => seed = options.value()?.parse()?,
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            Value(word) if word == "serve" => return serve::serve(options.value()?.parse()?),
            other => return Err(format!("{}; see --help", other.unexpected()).into()),
        }
    }
    soak(length, seed)
}

/// What was found in one rest.
#[derive(Clone, Copy, Debug)]
struct Rest {
    resident: u64,
    descriptors: usize,
}

fn soak(length: Duration, seed: u64) -> Result<()> {
    let (scripts, hoarder) = (learn::scripts(), hoarder::script()?);
    let learned = scripts.iter().map(Vec::len).sum::<usize>();
    println!("{learned} clients learned from the abuse suite; {WORKERS} honest ones and {ATTACKERS} of those at once");
    let mut server = Server::start(seed)?;
    let mut witnesses = Witnesses::start(server.witnesses);
    let mut crowd = Crowd::new(&scripts, &hoarder, seed);
    let storm = (length / 30).clamp(Duration::from_secs(1), Duration::from_secs(15));
    let end = Instant::now() + length;
    let mut rests = Vec::new();
    crowd.storm(&server, storm)?;
    let (_, fresh) = crowd.rest(&mut server)?;
    while rests.len() < 2 || Instant::now() + storm < end {
        witnesses.watch(Company::Honest)?;
        crowd.calm(&server, storm / 3)?;
        witnesses.watch(Company::Abusive)?;
        server.order("resume")?;
        crowd.storm(&server, storm)?;
        witnesses.rest()?;
        let (report, rest) = crowd.rest(&mut server)?;
        println!("{}", line(&report, rest, &crowd.tally));
        if rest.descriptors != fresh.descriptors {
            return Err(format!("{} descriptors are open, and {} were", rest.descriptors, fresh.descriptors).into());
        }
        rests.push(rest);
    }
    let report = server.report()?;
    println!("\n{}", report.iter().map(|(name, number)| format!("{name} {number}")).collect::<Vec<_>>().join(", "));
    println!("{:?}", crowd.tally);
    if report["inbound-limits"] == 0 {
        return Err("the limit on what has come and is not whole was never met".into());
    }
    compare(witnesses.end()?)?;
    judge(&rests, server.peak_resident()?)
}

fn line(report: &Report, rest: Rest, tally: &Tally) -> String {
    let of = |name| report.get(name).copied().unwrap_or(0);
    format!(
        "{} connections, {} frames, {} faults; {} confirmed, {} received, {} again; {} KiB, {} descriptors",
        of("connected"),
        of("frames"),
        of("faults"),
        tally.confirmed,
        tally.received,
        tally.again,
        rest.resident / 1024,
        rest.descriptors
    )
}

fn judge(rests: &[Rest], peak: u64) -> Result<()> {
    let (first, second) = rests.split_at(rests.len() / 2);
    let most = |rests: &[Rest]| rests.iter().map(|rest| rest.resident).max().unwrap_or(0);
    let (before, after) = (most(first), most(second));
    println!(
        "resident in rest: at most {} KiB in the first half, {} KiB in the second; {} KiB at the worst; descriptors as at the beginning",
        before / 1024,
        after / 1024,
        peak / 1024
    );
    match after <= before + SLACK {
        true => Ok(()),
        false => Err("memory grows".into()),
    }
}

/// Whether the witnesses had what they should in bad company.
fn compare([calm, storm]: [Seen; 2]) -> Result<()> {
    for (seen, name) in [(&calm, "calm"), (&storm, "storm")] {
        let (messages, seconds) = (seen.messages(), seen.time.as_secs_f64());
        let (median, p99) = (seen.percentile(50), seen.percentile(99));
        println!(
            "witnesses in a {name}: {messages} messages in {seconds:.1} s, all confirmed and delivered, {} times busy at first; \
             median {median:.0} µs, p99 {p99:.0} µs",
            seen.busy
        );
    }
    let ratio = |of: &dyn Fn(&Seen) -> f64| of(&storm) / of(&calm).max(f64::MIN_POSITIVE);
    let share = ratio(&Seen::rate);
    let (median, p99) = (ratio(&|seen| seen.percentile(50)), ratio(&|seen| seen.percentile(99)));
    println!("a storm to a calm: {share:.2} of the messages, median latency × {median:.2}, p99 × {p99:.2}");
    match share >= SHARE {
        true => Ok(()),
        false => Err(format!("the witnesses keep {share:.2} of their service, and {SHARE} is the least").into()),
    }
}

/// Everybody but the broker.
struct Crowd<'s> {
    scripts: &'s [Vec<Script>],
    hoarder: &'s Script,
    workers: Vec<Worker>,
    attackers: Vec<Attacker<'s>>,
    random: Random,
    tally: Tally,
}

impl<'s> Crowd<'s> {
    fn new(scripts: &'s [Vec<Script>], hoarder: &'s Script, seed: u64) -> Crowd<'s> {
        let workers = (0..WORKERS).map(Worker::new).collect();
        Crowd { scripts, hoarder, workers, attackers: Vec::new(), random: Random::new(seed), tally: Tally::default() }
    }

    /// Honest clients alone, over a transport without faults.
    fn calm(&mut self, server: &Server, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.turn(server, false)?;
        }
        Ok(())
    }

    fn storm(&mut self, server: &Server, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        while Instant::now() < end {
            if self.attackers.len() < ATTACKERS {
                // Each case as often as any other, however many clients it has.
                let case = self.random.one_of(self.scripts);
                let is_hoarder = self.random.below(HOARDERS) == 0;
                let script = if is_hoarder { self.hoarder } else { self.random.one_of(case) };
                self.attackers.extend(Attacker::new(server.address, script, &mut self.random));
            }
            self.turn(server, false)?;
        }
        Ok(())
    }

    fn turn(&mut self, server: &Server, rest: bool) -> Result<()> {
        self.attackers.retain_mut(Attacker::turn);
        for worker in &mut self.workers {
            worker.turn(server.address, rest, &mut self.random, &mut self.tally)?;
        }
        Ok(())
    }

    /// The attackers go, the transport is healed, the workers finish what they have begun; then nothing may be left.
    fn rest(&mut self, server: &mut Server) -> Result<(Report, Rest)> {
        self.attackers.clear();
        server.order("heal")?;
        let end = Instant::now() + PATIENCE;
        while !self.workers.iter().all(Worker::is_done) {
            self.turn(server, true)?;
            if Instant::now() > end {
                return Err(format!("messages are missing: {:?}", server.report()?).into());
            }
        }
        // What is left belongs to attackers, or to workers who do not know whether it was accepted.
        let mut report = server.report()?;
        while !["connections", "draining", "outbound", "inbound", "queues", "messages"]
            .iter()
            .all(|name| report[*name] == 0)
        {
            if report["connections"] == 0 {
                server.order("clear")?;
            }
            if Instant::now() > end || report["unbalanced"] > 0 {
                return Err(format!("something is left, or missing in the books: {report:?}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
            report = server.report()?;
        }
        self.workers.iter_mut().for_each(Worker::forget_unknown);
        let rest = Rest { resident: server.resident()?, descriptors: server.descriptors()? };
        Ok((report, rest))
    }
}
