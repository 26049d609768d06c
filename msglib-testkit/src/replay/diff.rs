//! What another build of a handler would have said.

use super::{Build, Line, Outputs, outputs};
use core::fmt;
use msglib_broker::record::Recording;
use msglib_broker::{Dialect, Handler};
use msglib_proto::transport::ConnectionId;
use similar::{Algorithm, DiffOp, capture_diff_slices};

/// From the first difference of a connection on, so many lines are matched with each other; what is behind counts as different.
const MATCHED: usize = 10_000;

/// How many differences of a connection, and how many connections, are shown as text.
const SHOWN: usize = 20;

/// What two builds say differently to the same inputs. Shown with `{}` it is a report for a person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Diff {
    /// Connections that hear something else, by their ids.
    pub connections: Vec<ConnectionDiff>,
    /// How many connections hear the same.
    pub same: usize,
    /// Where the first build's handler panicked, and where the second's.
    pub panics: [Option<Line>; 2],
}

/// What one connection hears differently.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConnectionDiff {
    /// Who.
    pub id: ConnectionId,
    /// How many lines are the same.
    pub same: usize,
    /// The others, in their order.
    pub changes: Vec<Change>,
}

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The first build says it, and the second does not.
    Gone(Line),
    /// The second build says it, and the first does not.
    New(Line),
}

impl Diff {
    /// Whether the two do the same.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.panics[0] == self.panics[1]
    }
}

/// Feeds a recording to two handlers and compares what each connection hears from them, frame by frame; when a frame is sent makes no
/// difference, but its place among the others of its connection does. [`outputs`] says what is fed, and what that can show.
///
/// ```
/// # use msglib_broker::{Broker, ConnectionHandler, QueueConfig, StockConfig, record::{Recorder, Recording}};
/// # use msglib_client::{Connection, publish_to_q};
/// # use msglib_io_memory::{InMemoryConnectionManager, Transport};
/// # let transport = Transport::new();
/// # let recorder = Recorder::new(InMemoryConnectionManager::new(&transport, "broker")?);
/// # let log = recorder.log();
/// # let mut broker = Broker::new(ConnectionHandler::new(), recorder);
/// # let client = Connection::new(transport.connect("broker")?);
/// # for _ in 0..3 { publish_to_q(&client, "jobs", "a job")?; }
/// # broker.process_connections()?;
/// # let mut file = Vec::new();
/// # log.write_to(&mut file)?;
/// use msglib_testkit::replay::diff;
///
/// let recording = Recording::read(&file[..])?;
/// let shorter = StockConfig::default().with_queue(QueueConfig::default().with_max_messages(2));
/// let diff = diff(&recording, ConnectionHandler::new(), ConnectionHandler::with_config(shorter));
/// assert!(!diff.is_empty(), "the third publish would have been refused:");
/// println!("{diff}");
/// # assert!(diff.to_string().contains("Refused"), "{diff}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn diff<A: Handler, B: Handler>(recording: &Recording, first: A, second: B) -> Diff {
    diff_builds(recording, Build::new(first), Build::new(second))
}

/// As [`diff`], for brokers that differ in more than their handlers.
pub fn diff_builds<A, B, D, E>(recording: &Recording, first: Build<A, D>, second: Build<B, E>) -> Diff
where
    A: Handler<D>,
    B: Handler<E>,
    D: Dialect,
    E: Dialect,
{
    compare(&outputs(recording, first), &outputs(recording, second))
}

fn compare(first: &Outputs, second: &Outputs) -> Diff {
    let panics = [first.panic().cloned(), second.panic().cloned()];
    let mut diff = Diff { panics, ..Diff::default() };
    let ids: std::collections::BTreeSet<ConnectionId> =
        first.connections().chain(second.connections()).map(|(id, _)| id).collect();
    for id in ids {
        let (same, changes) = changes(first.of(id), second.of(id));
        match changes.is_empty() {
            true => diff.same += 1,
            false => diff.connections.push(ConnectionDiff { id, same, changes }),
        }
    }
    diff
}

/// How many lines are the same, and the others.
fn changes(first: &[Line], second: &[Line]) -> (usize, Vec<Change>) {
    let prefix = first.iter().zip(second).take_while(|(a, b)| a.text == b.text).count();
    let (first, second) = (&first[prefix..], &second[prefix..]);
    let (head, tail) = first.split_at(first.len().min(MATCHED));
    let (new_head, new_tail) = second.split_at(second.len().min(MATCHED));
    let texts = |lines: &[Line]| lines.iter().map(|line| line.text.clone()).collect::<Vec<String>>();
    let mut same = prefix;
    let mut changes = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &texts(head), &texts(new_head)) {
        if let DiffOp::Equal { len, .. } = op {
            same += len;
            continue;
        }
        changes.extend(head[op.old_range()].iter().cloned().map(Change::Gone));
        changes.extend(new_head[op.new_range()].iter().cloned().map(Change::New));
    }
    changes.extend(tail.iter().cloned().map(Change::Gone));
    changes.extend(new_tail.iter().cloned().map(Change::New));
    (same, changes)
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let differing = self.connections.len();
        writeln!(f, "{differing} connections hear something else, {} the same", self.same)?;
        self.connections.iter().take(SHOWN).try_for_each(|connection| write!(f, "{connection}"))?;
        if differing > SHOWN {
            writeln!(f, "… and {} connections more", differing - SHOWN)?;
        }
        for (sign, panic) in ["-", "+"].iter().zip(&self.panics) {
            panic.iter().try_for_each(|line| writeln!(f, "{sign} {line}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for ConnectionDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gone = self.changes.iter().filter(|change| matches!(change, Change::Gone(_))).count();
        let new = self.changes.len() - gone;
        writeln!(f, "{}: {} frames the same, {gone} gone, {new} new", self.id, self.same)?;
        self.changes.iter().take(SHOWN).try_for_each(|change| writeln!(f, "  {change}"))?;
        if self.changes.len() > SHOWN {
            writeln!(f, "  … and {} more", self.changes.len() - SHOWN)?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Gone(line) => write!(f, "- {line}"),
            Change::New(line) => write!(f, "+ {line}"),
        }
    }
}
