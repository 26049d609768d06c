//! A decorator that writes down what passes between a broker and its connections, in readable lines.

use crate::faults::Fault;
use core::fmt;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use msglib_proto::{Decoder, Instant, Limits};
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
        let lines = Lines { kept: VecDeque::new(), limit: lines.max(1), left_out: 0, streams: BTreeMap::new() };
        Transcript { inner, log: TranscriptLog { lines: Arc::new(Mutex::new(lines)) } }
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
        self.lock().kept.iter().cloned().collect()
    }

    /// Writes a line of the test's own between the others.
    pub fn note(&self, line: impl fmt::Display) {
        self.lock().push(line.to_string());
    }

    /// A fault was fired.
    pub(crate) fn fault(&self, now: Instant, id: Option<ConnectionId>, fault: Fault) {
        let whom = id.map_or(String::new(), |id| format!("{id}  "));
        self.lock().push(format!("{now:>9.3?}  {whom}(fault: {fault})"));
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

#[derive(Debug)]
struct Lines {
    kept: VecDeque<String>,
    limit: usize,
    left_out: u64,
    streams: BTreeMap<ConnectionId, [Stream; 2]>,
}

/// One direction of one connection.
#[derive(Debug)]
enum Stream {
    Frames(Decoder),
    /// It did not decode; from there on only its bytes are counted.
    Raw,
}

impl Lines {
    fn push(&mut self, line: String) {
        if self.kept.len() == self.limit {
            self.kept.pop_front();
            self.left_out += 1;
        }
        self.kept.push_back(line);
    }

    fn bytes(&mut self, now: Instant, id: ConnectionId, from_broker: bool, mut bytes: &[u8]) {
        let fresh = || {
            // What passes here was, or will be, checked by whoever it is for.
            let any = Limits::default().with_max_payload(u32::MAX - 1024);
            [Stream::Frames(Decoder::new(&any)), Stream::Frames(Decoder::new(&any))]
        };
        let way = if from_broker { format!("broker → {id}") } else { format!("{id} → broker") };
        let mut lines = Vec::new();
        let stream = &mut self.streams.entry(id).or_insert_with(fresh)[usize::from(from_broker)];
        let Stream::Frames(decoder) = stream else {
            return self.push(format!("{now:>9.3?}  {way}  {} bytes", bytes.len()));
        };
        loop {
            match decoder.decode(&mut bytes) {
                Ok(Some(frame)) => lines.push(format!("{now:>9.3?}  {way}  {frame:?}")),
                Ok(None) => break,
                Err(error) => {
                    let shown = bytes[..bytes.len().min(32)].escape_ascii();
                    lines.push(format!("{now:>9.3?}  {way}  not a frame ({error}): \"{shown}\""));
                    *stream = Stream::Raw;
                    break;
                }
            }
        }
        for line in lines {
            self.push(line);
        }
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
                self.log.lock().push(format!("{now:>9.3?}  {id} opened from {peer}"));
            }
        }
        Ok(())
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(id, buf);
        let now = self.inner.now();
        let mut lines = self.log.lock();
        match &result {
            Ok(0) if !buf.is_empty() => lines.push(format!("{now:>9.3?}  {id} → broker  (end of stream)")),
            Ok(n) => lines.bytes(now, id, false, &buf[..*n]),
            Err(error) if is_passing(error) => {}
            Err(error) => lines.push(format!("{now:>9.3?}  {id} → broker  (failed: {error})")),
        }
        result
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.inner.write(id, bufs);
        let now = self.inner.now();
        let mut lines = self.log.lock();
        match &result {
            Ok(written) => {
                let mut left = *written;
                for buf in bufs {
                    let taken = left.min(buf.len());
                    left -= taken;
                    if taken > 0 {
                        lines.bytes(now, id, true, &buf[..taken]);
                    }
                }
            }
            Err(error) if is_passing(error) => {}
            Err(error) => lines.push(format!("{now:>9.3?}  broker → {id}  (failed: {error})")),
        }
        result
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        let how_it_reads = match how {
            Close::Drain { .. } => "closed",
            Close::Abort => "cut off",
        };
        let now = self.inner.now();
        let mut lines = self.log.lock();
        if lines.streams.remove(&id).is_some() {
            lines.push(format!("{now:>9.3?}  {id} {how_it_reads} by the broker"));
        }
        drop(lines);
        self.inner.close(id, how);
    }

    fn draining(&self) -> usize {
        self.inner.draining()
    }

    fn waker(&self) -> Option<Waker> {
        self.inner.waker()
    }

    fn seed(&mut self) -> u128 {
        self.inner.seed()
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
