//! One entry of a recording, as a value and in words.

use super::RecordedError;
use core::fmt;
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, Readiness};

/// One call that a broker made to its connection manager, with what came of it; or what the program put between them.
///
/// Shown with `{}` it is a line for a person, without the bytes.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Record<'a> {
    /// [`now`](msglib_proto::transport::ConnectionManager::now) was this.
    Now(Instant),
    /// [`poll`](msglib_proto::transport::ConnectionManager::poll): a step began.
    Poll {
        /// The longest wait that was asked for.
        timeout: Option<Duration>,
        /// The reports, in their order.
        result: Result<Vec<Readiness>, RecordedError>,
    },
    /// [`read`](msglib_proto::transport::ConnectionManager::read).
    Read {
        /// From whom.
        id: ConnectionId,
        /// The length of the buffer, in bytes.
        room: usize,
        /// The bytes; none are the end of the stream.
        result: Result<&'a [u8], RecordedError>,
    },
    /// [`write`](msglib_proto::transport::ConnectionManager::write). The bytes are not recorded, for a replay makes them again.
    Write {
        /// To whom.
        id: ConnectionId,
        /// How many bytes were offered.
        offered: usize,
        /// How many of them were taken.
        result: Result<usize, RecordedError>,
    },
    /// [`close`](msglib_proto::transport::ConnectionManager::close).
    Close {
        /// Who was closed.
        id: ConnectionId,
        /// How.
        how: Close,
    },
    /// [`draining`](msglib_proto::transport::ConnectionManager::draining) was this.
    Draining(usize),
    /// [`stop_accepting`](msglib_proto::transport::ConnectionManager::stop_accepting): whether it has.
    StopAccepting(bool),
    /// [`waker`](msglib_proto::transport::ConnectionManager::waker): whether there was one.
    Waker(bool),
    /// [`seed`](msglib_proto::transport::ConnectionManager::seed) was asked for once more, and was this. The first is
    /// [`Recording::seed`](super::Recording::seed).
    Seed(u128),
    /// [`aside`](msglib_proto::transport::ConnectionManager::aside): this was told from beside the connections.
    Aside(&'a [u8]),
    /// The program shut its broker down; see [`RecordLog::shutting_down`](super::RecordLog::shutting_down).
    Shutdown {
        /// What [`Broker::shutdown`](crate::Broker::shutdown) was given.
        within: Duration,
    },
    /// What the program wrote into the recording; see [`RecordLog::note`](super::RecordLog::note).
    Note(&'a str),
}

impl Record<'_> {
    /// Whether the program put it there, and no call to the connection manager.
    pub fn is_mark(&self) -> bool {
        matches!(self, Record::Shutdown { .. } | Record::Note(_))
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Now(at) => write!(f, "now: {at:?}"),
            Record::Poll { timeout, result } => poll(f, *timeout, result),
            Record::Read { id, room, result: Ok([]) } => write!(f, "read {room} bytes from {id}: end of stream"),
            Record::Read { id, room, result: Ok(bytes) } => write!(f, "read {room} bytes from {id}: {}", bytes.len()),
            Record::Read { id, room, result: Err(error) } => write!(f, "read {room} bytes from {id}: {error}"),
            Record::Write { id, offered, result: Ok(n) } => write!(f, "write {offered} bytes to {id}: {n}"),
            Record::Write { id, offered, result: Err(error) } => write!(f, "write {offered} bytes to {id}: {error}"),
            Record::Close { id, how: Close::Drain { deadline } } => write!(f, "close {id} in order, by {deadline:?}"),
            Record::Close { id, how: Close::Abort } => write!(f, "cut {id} off"),
            Record::Draining(count) => write!(f, "draining: {count}"),
            Record::StopAccepting(true) => f.write_str("no new connections are taken"),
            Record::StopAccepting(false) => {
                f.write_str("new connections were to be taken no more, which the transport cannot do")
            }
            Record::Waker(true) => f.write_str("waker: one"),
            Record::Waker(false) => f.write_str("waker: none"),
            Record::Seed(seed) => write!(f, "seed: {seed}"),
            Record::Aside(told) => write!(f, "told aside: {} bytes", told.len()),
            Record::Shutdown { within } => write!(f, "the program shuts the broker down within {within:?}"),
            Record::Note(text) => write!(f, "note: {text}"),
        }
    }
}

fn poll(
    f: &mut fmt::Formatter<'_>,
    timeout: Option<Duration>,
    result: &Result<Vec<Readiness>, RecordedError>,
) -> fmt::Result {
    match timeout {
        Some(timeout) => write!(f, "poll for {timeout:?} at most:")?,
        None => f.write_str("poll:")?,
    }
    match result {
        Ok(reports) if reports.is_empty() => f.write_str(" nothing"),
        Ok(reports) => reports.iter().try_for_each(|report| match report {
            Readiness::Opened(id, peer) => write!(f, " {id} opened from {peer};"),
            Readiness::Readable(id) => write!(f, " {id} readable;"),
            Readiness::Writable(id) => write!(f, " {id} writable;"),
        }),
        Err(error) => write!(f, " {error}"),
    }
}
