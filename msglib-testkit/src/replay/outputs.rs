//! What each connection hears from a broker that is fed with a recording.

use super::Build;
use super::feed::Feed;
use crate::strategies::OwnedFrame;
use crate::transcript::{Passed, Stream};
use core::fmt;
use msglib_broker::record::Recording;
use msglib_broker::{Broker, Dialect, Handler};
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A broker says nothing more that matters after so many steps behind the last recorded one.
const STEPS_BEHIND_THE_END: usize = 1_000;

/// All that a broker said, and to whom.
#[derive(Debug, Default)]
pub struct Outputs {
    connections: BTreeMap<ConnectionId, Vec<Line>>,
    streams: BTreeMap<ConnectionId, Stream>,
    panic: Option<Line>,
}

/// One frame that a broker sent, or the end that it made of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The step, counted from 1.
    pub step: u64,
    /// When, on the recorded clock.
    pub at: Instant,
    /// The frame; where not all of it is shown, with a number that stands for the rest.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} at {:.3?}  {}", self.step, self.at, self.text)
    }
}

impl Outputs {
    /// The connections that the broker said something to, and what.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &[Line])> {
        self.connections.iter().map(|(id, lines)| (*id, &lines[..]))
    }

    /// What one connection heard.
    pub fn of(&self, id: ConnectionId) -> &[Line] {
        self.connections.get(&id).map_or(&[], |lines| lines)
    }

    /// Where the handler panicked, and its words.
    pub fn panic(&self) -> Option<&Line> {
        self.panic.as_ref()
    }

    pub(super) fn bytes(&mut self, step: u64, at: Instant, id: ConnectionId, bytes: &[u8]) {
        let lines = self.connections.entry(id).or_default();
        let stream = self.streams.entry(id).or_insert_with(Stream::new);
        stream.take(bytes, |passed| lines.push(Line { step, at, text: whole(&passed) }));
    }

    pub(super) fn closed(&mut self, step: u64, at: Instant, id: ConnectionId, how: Close) {
        let text = match how {
            Close::Drain { .. } => "(closed)",
            Close::Abort => "(cut off)",
        };
        self.connections.entry(id).or_default().push(Line { step, at, text: text.to_owned() });
    }
}

/// Everything of each connection's, one line each; for a tool that compares texts. It leaves out steps and times.
impl fmt::Display for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, lines) in self.connections() {
            lines.iter().try_for_each(|line| writeln!(f, "{id}  {}", line.text))?;
        }
        self.panic.iter().try_for_each(|line| writeln!(f, "panic  {}", line.text))
    }
}

/// Feeds a recording to a broker and returns what it said.
///
/// The broker is told what the recorded one was told, in the same steps at the same times, and may do otherwise. What peers said is
/// recorded and stays as it is, and every write is taken whole, for how much was taken of other bytes says nothing. So
/// slow readers are fast here. Of a ring that has let go of its beginning there are the connections that were opened since, and a broker
/// that begins with nothing.
///
/// A handler that panics is at its end there; [`Outputs::panic`] says where.
pub fn outputs<H: Handler<D>, D: Dialect>(recording: &Recording, build: Build<H, D>) -> Outputs {
    let mut feed = Feed::new(recording);
    // The broker is gone after a panic, and what the feed holds are finished lines.
    let ended = catch_unwind(AssertUnwindSafe(|| drive(&mut feed, build)));
    let (step, at) = feed.place();
    let mut outputs = std::mem::take(feed.outputs_mut());
    if let Err(panic) = ended {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
        let text = format!("the handler panicked: {}", words.unwrap_or_default());
        outputs.panic = Some(Line { step, at, text });
    }
    outputs
}

fn drive<H: Handler<D>, D: Dialect>(feed: &mut Feed, build: Build<H, D>) {
    const NEVER_FAILS: &str = "a feed has no failure of its own";
    let mut broker = Broker::with_config(build.handler, feed, build.dialect, build.config);
    while !broker.connection_manager().is_at_end() {
        match broker.connection_manager_mut().shutdown() {
            Some(within) => drop(broker.shutdown(within).expect(NEVER_FAILS)),
            None => drop(broker.process_connections().expect(NEVER_FAILS)),
        }
    }
    for _ in 0..STEPS_BEHIND_THE_END {
        if broker.process_connections().expect(NEVER_FAILS).is_idle() {
            return;
        }
    }
}

/// The text, with a number for what it leaves out of a long payload.
fn whole(passed: &Passed<'_>) -> String {
    const SHOWN: usize = 32;
    let bytes = match passed {
        Passed::Frame(frame) => OwnedFrame::from(*frame).to_bytes(),
        Passed::NotAFrame(_, bytes) | Passed::Bytes(bytes) => bytes.to_vec(),
    };
    if bytes.len() <= SHOWN {
        return passed.to_string();
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    format!("{passed} #{:08x}", hasher.finish() as u32)
}
