//! The last calls and what came of them, for the report of a failure.

use core::fmt;
use core::time::Duration;
use msglib_proto::transport::{Close, ConnectionId, Readiness};
use std::collections::VecDeque;
use std::io::ErrorKind;

/// How many entries a report shows; older ones are counted only.
const KEPT: usize = 40;

/// A bounded record of a trial, in which equal neighbours count as one.
#[derive(Default)]
pub(crate) struct Log {
    entries: VecDeque<(Entry, usize)>,
    forgotten: usize,
}

/// One call, by the manager's user or by a peer.
#[derive(PartialEq, Eq)]
pub(crate) enum Entry {
    Poll { timeout: Option<Duration>, outcome: Result<Vec<Readiness>, ErrorKind> },
    Read { id: ConnectionId, len: usize, outcome: Result<usize, ErrorKind> },
    Write { id: ConnectionId, len: usize, outcome: Result<usize, ErrorKind> },
    Close { id: ConnectionId, how: Close },
    StopAccepting { outcome: bool },
    Advance(Duration),
    PeerConnected { peer: usize },
    PeerRefused,
    PeerRead { peer: usize, outcome: Result<usize, ErrorKind> },
    PeerWrite { peer: usize, len: usize, outcome: Result<usize, ErrorKind> },
    PeerShutdown { peer: usize },
    PeerReset { peer: usize },
    PeerDropped { peer: usize },
}

impl Log {
    pub(crate) fn push(&mut self, entry: Entry) {
        if let Some((last, times)) = self.entries.back_mut()
            && *last == entry
        {
            *times += 1;
            return;
        }
        if self.entries.len() == KEPT {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back((entry, 1));
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.forgotten > 0 {
            writeln!(f, "    … {} earlier ones", self.forgotten)?;
        }
        for (entry, times) in &self.entries {
            match times {
                1 => writeln!(f, "    {entry}")?,
                _ => writeln!(f, "    {entry}   ({times} times)")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Poll { timeout: Some(timeout), outcome } => write!(f, "poll({timeout:?}) → {}", Polled(outcome)),
            Entry::Poll { timeout: None, outcome } => write!(f, "poll(None) → {}", Polled(outcome)),
            Entry::Read { id, len, outcome } => write!(f, "read({id}, {len} bytes) → {}", Counted(outcome)),
            Entry::Write { id, len, outcome } => write!(f, "write({id}, {len} bytes) → {}", Counted(outcome)),
            Entry::Close { id, how: Close::Abort } => write!(f, "close({id}, Abort)"),
            Entry::Close { id, how: Close::Drain { deadline } } => write!(f, "close({id}, Drain until {deadline:?})"),
            Entry::StopAccepting { outcome } => write!(f, "stop_accepting() → {outcome}"),
            Entry::Advance(by) => write!(f, "the clock is moved by {by:?}"),
            Entry::PeerConnected { peer } => write!(f, "peer {peer} connects"),
            Entry::PeerRefused => f.write_str("a peer is refused"),
            Entry::PeerRead { peer, outcome } => write!(f, "peer {peer} reads → {}", Counted(outcome)),
            Entry::PeerWrite { peer, len, outcome } => {
                write!(f, "peer {peer} writes {len} bytes → {}", Counted(outcome))
            }
            Entry::PeerShutdown { peer } => write!(f, "peer {peer} closes its sending side"),
            Entry::PeerReset { peer } => write!(f, "peer {peer} resets"),
            Entry::PeerDropped { peer } => write!(f, "peer {peer} closes"),
        }
    }
}

/// The outcome of a read or a write.
pub(crate) struct Counted<'a>(pub(crate) &'a Result<usize, ErrorKind>);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(count) => write!(f, "Ok({count})"),
            Err(kind) => write!(f, "{kind:?}"),
        }
    }
}

/// The outcome of a poll.
struct Polled<'a>(&'a Result<Vec<Readiness>, ErrorKind>);

impl fmt::Display for Polled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Err(kind) => write!(f, "{kind:?}"),
            Ok(reports) if reports.is_empty() => f.write_str("nothing"),
            Ok(reports) => {
                for (n, report) in reports.iter().enumerate() {
                    f.write_str(if n == 0 { "" } else { ", " })?;
                    match report {
                        Readiness::Opened(id, peer) => write!(f, "{id} opened from {peer}")?,
                        Readiness::Readable(id) => write!(f, "{id} readable")?,
                        Readiness::Writable(id) => write!(f, "{id} writable")?,
                    }
                }
                Ok(())
            }
        }
    }
}
