//! Statistics and lists, in YAML. Fields that mean nothing here (a binlog, the system's accounts) are left out.

use super::command::Command;
use super::server::Server;
use super::tube::{Job, JobId, Place, Tube};
use msglib_broker::Instant;
use std::fmt::{Display, Write};

/// A table, line by line.
struct Table(String);

impl Table {
    fn new() -> Table {
        Table("---\n".to_owned())
    }

    fn row(mut self, name: impl Display, value: impl Display) -> Table {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{name}: {value}");
        self
    }
}

pub(crate) fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.fold("---\n".to_owned(), |list, name| list + "- " + name + "\n")
}

/// What was asked for; `None` if it is not there.
pub(crate) fn table(server: &mut Server, now: Instant, command: Command<'_>) -> Option<String> {
    match command {
        Command::StatsJob { id } => {
            let (id, job, tube, _) = server.job(id)?;
            Some(of_job(id, job, tube, now))
        }
        Command::StatsTube { tube } => {
            let id = *server.names.get(tube)?;
            Some(of_tube(server.tube(id), now))
        }
        _ => Some(of_server(server, now)),
    }
}

fn of_job(id: JobId, job: &Job, tube: &Tube, now: Instant) -> String {
    let (state, left) = match job.place {
        Place::Ready => ("ready", 0),
        Place::Delayed(until) => ("delayed", until.since(now).as_secs()),
        Place::Reserved(hold) => ("reserved", hold.until.since(now).as_secs()),
        Place::Buried(_) => ("buried", 0),
    };
    Table::new()
        .row("id", id)
        .row("tube", &tube.name)
        .row("state", state)
        .row("pri", job.priority)
        .row("age", now.since(job.made).as_secs())
        .row("delay", job.delay)
        .row("ttr", job.ttr)
        .row("time-left", left)
        .row("file", 0)
        .row("reserves", job.counts.reserves)
        .row("timeouts", job.counts.timeouts)
        .row("releases", job.counts.releases)
        .row("buries", job.counts.buries)
        .row("kicks", job.counts.kicks)
        .0
}

/// How many jobs are ready, reserved, delayed and buried.
fn jobs(tube: &Tube) -> [u64; 4] {
    let ledger = tube.queue.ledger();
    let buried = tube.buried.len() as u64;
    [ledger.ready, ledger.in_flight, ledger.delayed - buried, buried]
}

const STATES: [&str; 4] =
    ["current-jobs-ready", "current-jobs-reserved", "current-jobs-delayed", "current-jobs-buried"];

fn of_tube(tube: &Tube, now: Instant) -> String {
    let (pause, left) = tube.pause.map_or((0, 0), |(until, seconds)| (seconds, until.since(now).as_secs()));
    let table = Table::new().row("name", &tube.name);
    let table = STATES.iter().zip(jobs(tube)).fold(table, |table, (state, jobs)| table.row(state, jobs));
    table
        .row("total-jobs", tube.queue.ledger().accepted)
        .row("current-using", tube.using)
        .row("current-watching", tube.watching)
        .row("current-waiting", tube.waiting.len())
        .row("cmd-delete", tube.deletes)
        .row("cmd-pause-tube", tube.pauses)
        .row("pause", pause)
        .row("pause-time-left", left)
        .0
}

fn of_server(server: &Server, now: Instant) -> String {
    let all =
        server.tubes.values().map(jobs).fold([0; 4], |all, jobs| [0, 1, 2, 3].map(|state| all[state] + jobs[state]));
    let clients = |is: fn(&super::tube::Client) -> bool| server.clients.values().filter(|client| is(client)).count();
    let table = STATES.iter().zip(all).fold(Table::new(), |table, (state, jobs)| table.row(state, jobs));
    let commands = server.totals.commands.iter();
    let table = commands.fold(table, |table, (name, count)| table.row(format_args!("cmd-{name}"), count));
    table
        .row("job-timeouts", server.totals.timeouts)
        .row("total-jobs", server.totals.jobs)
        .row("max-job-size", server.totals.max_job)
        .row("current-tubes", server.tubes.len())
        .row("current-connections", server.clients.len())
        .row("current-producers", clients(|client| client.has_put))
        .row("current-workers", clients(|client| client.has_reserved))
        .row("current-waiting", clients(|client| client.waits.is_some()))
        .row("total-connections", server.totals.connections)
        .row("version", concat!("\"msglib ", env!("CARGO_PKG_VERSION"), "\""))
        .row("uptime", now.as_nanos() / 1_000_000_000)
        .row("draining", server.is_draining)
        .0
}
