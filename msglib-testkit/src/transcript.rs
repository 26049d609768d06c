//! A decorator that writes down what passes between a broker and its connections, in readable lines.

use crate::diagram::{Diagram, Participant};
use crate::faults::Fault;
use core::fmt;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Peer, Readiness, Waker};
use msglib_proto::{Decoder, Feature, Frame, Instant, Limits, ProtocolError};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many lines a transcript keeps unless it is told otherwise.
const KEPT: usize = 200;

/// Wraps any connection manager and keeps the last lines of what went over it, frame by frame.
///
/// Nothing about the connections changes. Read it through the [`TranscriptLog`], also while a broker owns the manager.
///
/// ```
/// use msglib_io_memory::{InMemoryConnectionManager, Transport};
/// use msglib_testkit::Transcript;
/// use msglib_broker::{Broker, ConnectionHandler};
///
/// let transport = Transport::new();
/// let manager = Transcript::new(InMemoryConnectionManager::new(&transport, "broker")?);
/// let log = manager.log();
/// let mut broker = Broker::new(ConnectionHandler::new(), manager);
/// let stream = transport.connect("broker")?;
/// broker.process_connections()?;
/// assert!(log.to_string().contains("c0 opened"));
/// # drop(stream);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Transcript<M> {
    inner: M,
    log: TranscriptLog,
}

/// The lines of a [`Transcript`]; cheap to clone, and readable from anywhere.
#[derive(Clone, Debug)]
pub struct TranscriptLog {
    lines: Arc<Mutex<Lines>>,
}

impl<M: ConnectionManager> Transcript<M> {
    /// Keeps the last 200 lines.
    pub fn new(inner: M) -> Transcript<M> {
        Transcript::keeping(inner, KEPT)
    }

    /// Keeps the last `lines` lines.
    pub fn keeping(inner: M, lines: usize) -> Transcript<M> {
        Transcript { inner, log: TranscriptLog::keeping(lines) }
    }

    /// The lines, for whoever wants to read them.
    pub fn log(&self) -> TranscriptLog {
        self.log.clone()
    }

    /// The manager inside.
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// The manager inside.
    pub fn inner_mut(&mut self) -> &mut M {
        &mut self.inner
    }
}

impl TranscriptLog {
    /// The lines, the oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.lock().kept.iter().map(Entry::to_string).collect()
    }

    /// Takes the lines out, the oldest first.
    pub fn take(&self) -> Vec<String> {
        self.lock().kept.drain(..).map(|entry| entry.to_string()).collect()
    }

    /// Writes a line of the test's own between the others.
    pub fn note(&self, line: impl fmt::Display) {
        self.lock().push(Entry { at: None, whom: None, what: What::Note, words: line.to_string() });
    }

    /// What it has kept as a sequence diagram: the broker in the middle, a participant for each connection. They are called as in
    /// the lines (`c0`); [`rename`](Diagram::rename) gives them better names.
    ///
    /// ```
    /// use msglib_broker::ConnectionHandler;
    /// use msglib_client::publish_to_q;
    /// use msglib_testkit::Harness;
    ///
    /// let mut harness = Harness::new(ConnectionHandler::new());
    /// publish_to_q(&harness.connect(), "greetings", b"Hello, world!")?;
    /// harness.settle();
    /// let mut diagram = harness.transcript().diagram("hello");
    /// diagram.rename("c0", "publisher");
    /// assert!(diagram.mermaid().contains("participant p0 as publisher"));
    /// # Ok::<(), msglib_client::Error>(())
    /// ```
    pub fn diagram(&self, title: &str) -> Diagram {
        let lines = self.lock();
        let mut diagram = Diagram::new(title);
        let mut clients: Vec<ConnectionId> = Vec::new();
        for id in lines.kept.iter().filter_map(|entry| entry.whom) {
            if !clients.contains(&id) {
                clients.push(id);
            }
        }
        let (left, right) = clients.split_at(clients.len().div_ceil(2));
        for id in left {
            diagram.participant(id.to_string());
        }
        let broker = diagram.participant("broker");
        for id in right {
            diagram.participant(id.to_string());
        }
        if lines.left_out > 0 {
            diagram.note(None, None, format!("… {} lines before", lines.left_out));
        }
        for entry in &lines.kept {
            entry.draw(&mut diagram, broker);
        }
        diagram
    }

    /// A fault was fired.
    pub(crate) fn fault(&self, now: Instant, id: Option<ConnectionId>, fault: Fault) {
        self.lock().push(Entry { at: Some(now), whom: id, what: What::Fault, words: fault.to_string() });
    }

    pub(crate) fn keeping(lines: usize) -> TranscriptLog {
        let lines = Lines { kept: VecDeque::new(), limit: lines.max(1), left_out: 0, streams: BTreeMap::new() };
        TranscriptLog { lines: Arc::new(Mutex::new(lines)) }
    }

    pub(crate) fn opened(&self, now: Instant, id: ConnectionId, peer: &Peer) {
        self.lock().change(now, id, What::Change, format!("opened from {peer}"));
    }

    /// A connection whose beginning is not known.
    pub(crate) fn joined(&self, id: ConnectionId) {
        self.lock().streams.entry(id).or_insert([Stream::Raw, Stream::Raw]);
    }

    /// What a `read` returned; nothing is the end of the stream.
    pub(crate) fn received(&self, now: Instant, id: ConnectionId, bytes: &[u8]) {
        let mut lines = self.lock();
        match bytes {
            [] => lines.change(now, id, What::ToBroker, "(end of stream)".to_owned()),
            bytes => lines.bytes(now, id, false, bytes),
        }
    }

    /// The first `taken` bytes of what a `write` was given.
    pub(crate) fn sent(&self, now: Instant, id: ConnectionId, bufs: &[IoSlice<'_>], taken: usize) {
        let mut lines = self.lock();
        let mut left = taken;
        for buf in bufs {
            let taken = left.min(buf.len());
            left -= taken;
            if taken > 0 {
                lines.bytes(now, id, true, &buf[..taken]);
            }
        }
    }

    /// What ended a connection; that it would block, or was interrupted, says nothing.
    pub(crate) fn failed(&self, now: Instant, id: ConnectionId, from_broker: bool, error: &io::Error) {
        let what = if from_broker { What::FailedFromBroker } else { What::FailedToBroker };
        if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
            self.lock().change(now, id, what, format!("(failed: {error})"));
        }
    }

    pub(crate) fn closed(&self, now: Instant, id: ConnectionId, how: Close) {
        let how = match how {
            Close::Drain { .. } => "closed",
            Close::Abort => "cut off",
        };
        let mut lines = self.lock();
        if lines.streams.remove(&id).is_some() {
            lines.change(now, id, What::Change, format!("{how} by the broker"));
        }
    }

    /// A test that panicked while it held the lock still has its lines.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line each, the oldest first.
impl fmt::Display for TranscriptLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lock();
        if lines.left_out > 0 {
            writeln!(f, "  … {} lines before", lines.left_out)?;
        }
        for line in &lines.kept {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// What happened to one connection, or to none.
#[derive(Debug)]
struct Entry {
    at: Option<Instant>,
    whom: Option<ConnectionId>,
    what: What,
    words: String,
}

#[derive(Clone, Copy, Debug)]
enum What {
    ToBroker,
    FromBroker,
    /// What was on its way, and did not come whole.
    FailedToBroker,
    FailedFromBroker,
    /// Opened or closed.
    Change,
    Fault,
    Note,
}

/// As a line.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{at:>9.3?}  ")?;
        }
        match (self.what, self.whom) {
            (What::ToBroker | What::FailedToBroker, Some(id)) => write!(f, "{id} → broker  {}", self.words),
            (What::FromBroker | What::FailedFromBroker, Some(id)) => write!(f, "broker → {id}  {}", self.words),
            (What::Fault, Some(id)) => write!(f, "{id}  (fault: {})", self.words),
            (What::Fault, None) => write!(f, "(fault: {})", self.words),
            (_, Some(id)) => write!(f, "{id} {}", self.words),
            (_, None) => f.write_str(&self.words),
        }
    }
}

impl Entry {
    fn draw(&self, diagram: &mut Diagram, broker: Participant) {
        let whom = self.whom.map(|id| diagram.participant(id.to_string()));
        let (at, words) = (self.at.unwrap_or_default(), short(&self.words));
        match (self.what, whom) {
            (What::ToBroker, Some(client)) => diagram.sent(at, client, broker, words),
            (What::FromBroker, Some(client)) => diagram.sent(at, broker, client, words),
            (What::FailedToBroker, Some(client)) => diagram.lost(at, client, broker, words),
            (What::FailedFromBroker, Some(client)) => diagram.lost(at, broker, client, words),
            (What::Fault, _) => diagram.fault(at, whom, words),
            _ => diagram.note(self.at, whom, words),
        }
    }
}

/// `Hello { … }` for `Hello(Hello { … })`, to save room.
fn short(words: &str) -> &str {
    let Some((name, rest)) = words.split_once('(') else { return words };
    let inner = rest.strip_suffix(')').filter(|inner| !name.is_empty() && inner.starts_with(name));
    inner.unwrap_or(words)
}

#[derive(Debug)]
struct Lines {
    kept: VecDeque<Entry>,
    limit: usize,
    left_out: u64,
    streams: BTreeMap<ConnectionId, [Stream; 2]>,
}

/// One direction of one connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Frames(Decoder),
    /// It did not decode, or its beginning is not known; only its bytes are counted.
    Raw,
}

/// What a stream brought.
pub(crate) enum Passed<'a> {
    Frame(Frame<'a>),
    /// The rest of the stream is raw.
    NotAFrame(ProtocolError, &'a [u8]),
    Bytes(&'a [u8]),
}

impl Stream {
    pub(crate) fn new() -> Stream {
        // What passes here was, or will be, checked by whoever it is for; also which features were agreed on.
        let mut decoder = Decoder::new(&Limits::default().with_max_payload(u32::MAX - 1024));
        decoder.agree_on(Feature::all_bits());
        Stream::Frames(decoder)
    }

    /// Hands over what is whole in these bytes and those before.
    pub(crate) fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(Passed<'_>)) {
        let Stream::Frames(decoder) = self else { return each(Passed::Bytes(bytes)) };
        loop {
            match decoder.decode(&mut bytes) {
                Ok(Some(frame)) => each(Passed::Frame(frame)),
                Ok(None) => return,
                Err(error) => {
                    each(Passed::NotAFrame(error, bytes));
                    *self = Stream::Raw;
                    return;
                }
            }
        }
    }
}

impl fmt::Display for Passed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Passed::Frame(frame) => write!(f, "{frame:?}"),
            Passed::NotAFrame(error, bytes) => {
                let shown = bytes[..bytes.len().min(32)].escape_ascii();
                write!(f, "not a frame ({error}): \"{shown}\"")
            }
            Passed::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl Lines {
    fn push(&mut self, entry: Entry) {
        if self.kept.len() == self.limit {
            self.kept.pop_front();
            self.left_out += 1;
        }
        self.kept.push_back(entry);
    }

    fn bytes(&mut self, now: Instant, id: ConnectionId, from_broker: bool, bytes: &[u8]) {
        let what = if from_broker { What::FromBroker } else { What::ToBroker };
        let mut words = Vec::new();
        let streams = self.streams.entry(id).or_insert_with(|| [Stream::new(), Stream::new()]);
        streams[usize::from(from_broker)].take(bytes, |passed| words.push(passed.to_string()));
        words.into_iter().for_each(|words| self.change(now, id, what, words));
    }

    fn change(&mut self, now: Instant, id: ConnectionId, what: What, words: String) {
        self.push(Entry { at: Some(now), whom: Some(id), what, words });
    }
}

impl<M: ConnectionManager> ConnectionManager for Transcript<M> {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        let before = ready.len();
        self.inner.poll(ready, timeout)?;
        let now = self.inner.now();
        for readiness in &ready[before..] {
            if let Readiness::Opened(id, peer) = readiness {
                self.log.opened(now, *id, peer);
            }
        }
        Ok(())
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(id, buf);
        let now = self.inner.now();
        match &result {
            Ok(n) if *n > 0 || !buf.is_empty() => self.log.received(now, id, &buf[..*n]),
            Ok(_) => {}
            Err(error) => self.log.failed(now, id, false, error),
        }
        result
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.inner.write(id, bufs);
        let now = self.inner.now();
        match &result {
            Ok(written) => self.log.sent(now, id, bufs, *written),
            Err(error) => self.log.failed(now, id, true, error),
        }
        result
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        self.log.closed(self.inner.now(), id, how);
        self.inner.close(id, how);
    }

    fn draining(&self) -> usize {
        self.inner.draining()
    }

    fn stop_accepting(&mut self) -> bool {
        self.inner.stop_accepting()
    }

    fn waker(&self) -> Option<Waker> {
        self.inner.waker()
    }

    fn announce(&mut self, waker: Waker) -> bool {
        self.inner.announce(waker)
    }

    fn aside(&mut self, told: &mut Vec<Vec<u8>>) {
        self.inner.aside(told);
    }

    fn seed(&mut self) -> u128 {
        self.inner.seed()
    }
}
