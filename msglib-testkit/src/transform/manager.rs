//! The broker's side: a decorator over any connection manager.

use super::connection::{Connection, send};
use super::record::{MAX_RECORD, Sealer};
use core::fmt;
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, IoSlice};

/// How many reads of 16 KiB one poll spends on throwing away what comes in on a connection that drains.
const READS_PER_DRAIN: usize = 16;

/// Records and a keystream over the connections of another manager; the peers use
/// [`TransformStream`](super::TransformStream) with the same key. The shape of TLS, not security.
///
/// Keeps the rules T1 to T17 where the inner manager does, and these of its own:
///
/// - For each connection it holds at most 32 KiB of sealed bytes and two records of opened ones.
/// - `write` takes bytes while there is room for them here, whether there is room below or not.
/// - A connection that is closed with a drain first gets what waits here, during later polls, and then drains below,
///   all by the one deadline.
/// - A stream that ends inside a record is `UnexpectedEof`, a record of an impossible length is `InvalidData`; both end
///   the connection (T14).
pub struct Transform<M> {
    inner: M,
    key: u64,
    connections: BTreeMap<ConnectionId, Connection>,
    draining: BTreeMap<ConnectionId, Draining>,
    /// Read from in part since the last poll: a report is owed, and no poll below will know of it (T5).
    due: BTreeSet<ConnectionId>,
    /// With an end that is known and not yet returned: reported with every poll (T5).
    ended: BTreeSet<ConnectionId>,
    scratch: Box<[u8]>,
    reports: Vec<Readiness>,
}

/// Closed by the user, with records that are not sent yet (T8).
struct Draining {
    unsent: Sealer,
    deadline: Instant,
    /// The peer may have sent something that was not thrown away yet.
    noisy: bool,
}

impl<M: ConnectionManager> Transform<M> {
    /// Decorates `inner`. Both ends of a connection must have the same `key`.
    pub fn new(inner: M, key: u64) -> Transform<M> {
        Transform {
            inner,
            key,
            connections: BTreeMap::new(),
            draining: BTreeMap::new(),
            due: BTreeSet::new(),
            ended: BTreeSet::new(),
            scratch: vec![0; MAX_RECORD].into(),
            reports: Vec::new(),
        }
    }

    /// The manager below.
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// The manager below, for what is its own; moving bytes past the decorator breaks the records.
    pub fn inner_mut(&mut self) -> &mut M {
        &mut self.inner
    }

    /// Not at all while there is something to tell or to do, and no longer than to the next deadline.
    fn wait(&self, timeout: Option<Duration>) -> Option<Duration> {
        if !self.due.is_empty() || self.draining.values().any(|draining| draining.noisy) {
            return Some(Duration::ZERO);
        }
        let Some(next) = self.draining.values().map(|draining| draining.deadline).min() else { return timeout };
        let left = next - self.inner.now();
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }

    /// Passes on what was reported below, where it means something above.
    fn translate(&mut self, report: Readiness, ready: &mut Vec<Readiness>) {
        let id = report.id();
        match report {
            Readiness::Opened(..) => {
                self.connections.insert(id, Connection::new(self.key));
                ready.push(report);
            }
            Readiness::Readable(_) => {
                if let Some(draining) = self.draining.get_mut(&id) {
                    draining.noisy = true;
                } else if self.connections.contains_key(&id) {
                    ready.push(report);
                }
            }
            Readiness::Writable(_) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    if connection.send_on(&mut self.inner, id) {
                        ready.push(report);
                    }
                    // Sending has failed: `read` has the reason, if the user does not write.
                    if connection.owes_end() {
                        self.ended.insert(id);
                    }
                } else {
                    self.drain_on(id);
                }
            }
        }
    }

    fn report_what_is_here(&mut self, ready: &mut Vec<Readiness>) {
        self.due.extend(&self.ended);
        ready.extend(self.due.iter().copied().map(Readiness::Readable));
        self.due.clear();
    }

    /// Sends on for a connection that drains; when all is sent the manager below takes over.
    fn drain_on(&mut self, id: ConnectionId) {
        let Some(draining) = self.draining.get_mut(&id) else { return };
        let how = match send(&mut draining.unsent, &mut self.inner, id) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Ok(()) => Close::Drain { deadline: draining.deadline },
            Err(_) => Close::Abort,
        };
        self.draining.remove(&id);
        self.inner.close(id, how);
    }

    /// Throws away what comes in on connections that drain, lest their peers wait for us to read before they do.
    fn discard_noise(&mut self) {
        let mut broken = Vec::new();
        for (id, draining) in self.draining.iter_mut().filter(|(_, draining)| draining.noisy) {
            for _ in 0..READS_PER_DRAIN {
                match self.inner.read(*id, &mut self.scratch) {
                    Ok(count) if count == self.scratch.len() => continue,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() != ErrorKind::WouldBlock => broken.push(*id),
                    // A short count, no more for now, or the end: sending goes on (T9).
                    _ => {}
                }
                draining.noisy = false;
                break;
            }
        }
        for id in broken {
            self.abort(id);
        }
    }

    fn give_up_at_deadlines(&mut self) {
        if self.draining.is_empty() {
            return;
        }
        let now = self.inner.now();
        let late = |(id, draining): (&ConnectionId, &Draining)| (draining.deadline <= now).then_some(*id);
        let late: Vec<ConnectionId> = self.draining.iter().filter_map(late).collect();
        for id in late {
            self.abort(id);
        }
    }

    fn abort(&mut self, id: ConnectionId) {
        self.forget(id);
        self.draining.remove(&id);
        self.inner.close(id, Close::Abort);
    }

    fn forget(&mut self, id: ConnectionId) -> Option<Connection> {
        self.due.remove(&id);
        self.ended.remove(&id);
        self.connections.remove(&id)
    }

    /// After an error that ends the connection for good (T14) nothing of it is kept.
    fn settle<T>(&mut self, id: ConnectionId, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome
            && !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        {
            self.abort(id);
        }
        outcome
    }
}

impl<M: ConnectionManager> ConnectionManager for Transform<M> {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        let mut reports = core::mem::take(&mut self.reports);
        let outcome = self.inner.poll(&mut reports, self.wait(timeout));
        for report in reports.drain(..) {
            self.translate(report, ready);
        }
        self.reports = reports;
        self.report_what_is_here(ready);
        self.discard_noise();
        self.give_up_at_deadlines();
        outcome
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let connection = self.connections.get_mut(&id).ok_or_else(|| not_found(id))?;
        let outcome = connection.read(&mut self.inner, id, buf, &mut self.scratch);
        if connection.owes_report() {
            self.due.insert(id);
        }
        if connection.owes_end() {
            self.ended.insert(id);
        } else {
            self.ended.remove(&id);
        }
        self.settle(id, outcome)
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let connection = self.connections.get_mut(&id).ok_or_else(|| not_found(id))?;
        let outcome = connection.write(&mut self.inner, id, bufs, &mut self.scratch);
        self.settle(id, outcome)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        let unsent = self.forget(id).and_then(Connection::into_unsent);
        match (how, unsent) {
            (Close::Drain { deadline }, Some(unsent)) => {
                // Also what was reported before, and not read.
                self.draining.insert(id, Draining { unsent, deadline, noisy: true });
            }
            // A second drain changes nothing.
            (Close::Drain { .. }, None) if self.draining.contains_key(&id) => {}
            (how, _) => {
                self.draining.remove(&id);
                self.inner.close(id, how);
            }
        }
    }

    fn draining(&self) -> usize {
        self.draining.len() + self.inner.draining()
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

fn not_found(id: ConnectionId) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("{id} is not open: it was closed, has failed, or never was"))
}

impl<M: fmt::Debug> fmt::Debug for Transform<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the key nor the bytes.
        f.debug_struct("Transform")
            .field("inner", &self.inner)
            .field("connections", &self.connections.len())
            .field("draining", &self.draining.len())
            .finish_non_exhaustive()
    }
}
