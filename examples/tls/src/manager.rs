//! The broker's side: a decorator over any connection manager.

use crate::below::Below;
use crate::connection::{Connection, Handshake, READS};
use crate::limits::{TlsLimits, TlsStats};
use crate::session::Session;
use crate::waiting::Waiting;
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Peer, Readiness, Waker};
use rustls::{ServerConfig, ServerConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::Duration;

/// Bytes that one read from below may bring. One block for all connections.
const BLOCK: usize = 64 * 1024;

/// TLS over the connections of another manager; the peers use [`TlsStream`](crate::TlsStream), or any other TLS 1.3.
///
/// Keeps the rules T1 to T17 where the inner manager does, and these of its own:
///
/// - A connection is reported as opened when its handshake is done, with the [certificate](Peer::certificate) that its peer showed.
///   Handshakes that go on are bounded in number and in time ([`TlsLimits`]), and counted ([`TlsStats`]).
/// - For each connection it holds at most 64 KiB of sealed bytes that wait to be sent, and the plain bytes of what one read has brought.
/// - `write` takes bytes while there is room for them here, whether there is room below or not.
/// - A connection that is closed with a drain first gets what waits here, and a `close_notify` behind it, during later polls, and then
///   drains below, all by the one deadline.
/// - A stream that ends without a `close_notify` is `UnexpectedEof`, what is no TLS is `InvalidData`; both end the connection (T14).
pub struct TlsManager<M> {
    inner: M,
    config: Arc<ServerConfig>,
    limits: TlsLimits,
    stats: TlsStats,
    handshakes: Waiting<(Connection, Peer)>,
    connections: BTreeMap<ConnectionId, Connection>,
    draining: Waiting<Draining>,
    /// Handshakes whose turn was over before all was read.
    unfinished: BTreeSet<ConnectionId>,
    /// Read from in part since the last poll: a report is owed, and no poll below will know of it (T5).
    due: BTreeSet<ConnectionId>,
    /// With an end that is known and not yet returned: reported with every poll (T5).
    ended: BTreeSet<ConnectionId>,
    scratch: Box<[u8]>,
    reports: Vec<Readiness>,
}

/// Closed by the user, with something that is not sent yet (T8).
struct Draining {
    session: Session,
    deadline: Instant,
    /// The peer may have sent something that was not thrown away yet.
    noisy: bool,
}

impl<M: ConnectionManager> TlsManager<M> {
    /// Decorates `inner`; [`server_config`](crate::server_config) makes a `config`.
    pub fn new(inner: M, config: Arc<ServerConfig>) -> TlsManager<M> {
        TlsManager::with_limits(inner, config, TlsLimits::default())
    }

    /// With other limits for handshakes.
    pub fn with_limits(inner: M, config: Arc<ServerConfig>, limits: TlsLimits) -> TlsManager<M> {
        TlsManager {
            inner,
            config,
            limits,
            stats: TlsStats::default(),
            handshakes: Waiting::default(),
            connections: BTreeMap::new(),
            draining: Waiting::default(),
            unfinished: BTreeSet::new(),
            due: BTreeSet::new(),
            ended: BTreeSet::new(),
            scratch: vec![0; BLOCK].into(),
            reports: Vec::new(),
        }
    }

    /// The manager below.
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// The manager below, for what is its own; moving bytes past the decorator breaks the connection.
    pub fn inner_mut(&mut self) -> &mut M {
        &mut self.inner
    }

    /// From here on, new connections are made with this: for a certificate that was renewed.
    pub fn set_config(&mut self, config: Arc<ServerConfig>) {
        self.config = config;
    }

    /// What became of the handshakes.
    pub fn stats(&self) -> TlsStats {
        TlsStats { pending: self.handshakes.len(), ..self.stats }
    }

    /// Not at all while there is something to tell or to do, and no longer than to the next deadline.
    fn wait(&self, timeout: Option<Duration>) -> Option<Duration> {
        if !self.due.is_empty() || !self.unfinished.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadlines = self.handshakes.next_deadline().into_iter().chain(self.draining.next_deadline());
        let Some(next) = deadlines.min() else { return timeout };
        let left = next - self.inner.now();
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }

    /// Passes on what was reported below, where it means something above.
    fn translate(&mut self, report: Readiness, ready: &mut Vec<Readiness>) {
        let id = report.id();
        match report {
            Readiness::Opened(_, peer) => self.welcome(id, peer),
            _ if self.handshakes.contains(id) => self.shake_hands(id, ready),
            Readiness::Readable(_) => {
                if let Some(draining) = self.draining.get_mut(id) {
                    draining.noisy = true;
                    self.discard_noise(id);
                } else if self.connections.contains_key(&id) {
                    ready.push(report);
                }
            }
            Readiness::Writable(_) => {
                let below = &mut Below { manager: &mut self.inner, id };
                if let Some(connection) = self.connections.get_mut(&id) {
                    if connection.send_on(below) {
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

    /// A handshake begins, if there is room for one more.
    fn welcome(&mut self, id: ConnectionId, peer: Peer) {
        let connection = match self.handshakes.len() < self.limits.max_handshakes {
            true => ServerConnection::new(Arc::clone(&self.config)).ok(),
            false => None,
        };
        match connection {
            Some(tls) => {
                let deadline = self.inner.now() + self.limits.handshake_timeout;
                self.handshakes.insert(id, deadline, (Connection::new(tls), peer));
            }
            None => {
                self.stats.turned_away += 1;
                self.inner.close(id, Close::Abort);
            }
        }
    }

    fn shake_hands(&mut self, id: ConnectionId, ready: &mut Vec<Readiness>) {
        self.unfinished.remove(&id);
        let Some((connection, _)) = self.handshakes.get_mut(id) else { return };
        let below = &mut Below { manager: &mut self.inner, id };
        match connection.shake_hands(below, &mut self.scratch) {
            Handshake::GoesOn if connection.owes_report() => drop(self.unfinished.insert(id)),
            Handshake::GoesOn => {}
            Handshake::Failed => {
                self.stats.failed += 1;
                self.handshakes.remove(id);
                // What the peer is told of it shall arrive.
                let deadline = self.inner.now() + self.limits.handshake_timeout;
                self.inner.close(id, Close::Drain { deadline });
            }
            Handshake::Done => {
                let Some((_, (connection, peer))) = self.handshakes.remove(id) else { return };
                self.stats.completed += 1;
                let peer = match connection.certificate() {
                    Some(certificate) => peer.with_certificate(certificate.into()),
                    None => peer,
                };
                ready.push(Readiness::Opened(id, peer));
                // Of what came right behind the handshake, read already or not, no report from below will tell.
                self.due.insert(id);
                if connection.owes_end() {
                    self.ended.insert(id);
                }
                self.connections.insert(id, connection);
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
        let Some(Draining { session, deadline, .. }) = self.draining.get_mut(id) else { return };
        let how = match session.send(&mut Below { manager: &mut self.inner, id }) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Ok(()) => Close::Drain { deadline: *deadline },
            Err(_) => Close::Abort,
        };
        self.draining.remove(id);
        self.inner.close(id, how);
    }

    /// Throws away what comes in on a connection that drains, lest its peer waits for us to read before it does.
    fn discard_noise(&mut self, id: ConnectionId) {
        let Some(draining) = self.draining.get_mut(id).filter(|draining| draining.noisy) else { return };
        for _ in 0..READS {
            match self.inner.read(id, &mut self.scratch) {
                Ok(count) if count == self.scratch.len() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() != ErrorKind::WouldBlock => return self.abort(id),
                // A short count, no more for now, or the end: sending goes on (T9).
                _ => {
                    draining.noisy = false;
                    return;
                }
            }
        }
        // In the next poll.
        self.unfinished.insert(id);
    }

    /// Goes on with those whose turn was over in the last poll.
    fn go_on(&mut self, ready: &mut Vec<Readiness>) {
        for id in std::mem::take(&mut self.unfinished) {
            self.shake_hands(id, ready);
            self.discard_noise(id);
        }
    }

    fn give_up_at_deadlines(&mut self) {
        let now = self.inner.now();
        while let Some(id) = self.handshakes.pop_late(now) {
            self.stats.timed_out += 1;
            self.unfinished.remove(&id);
            self.inner.close(id, Close::Abort);
        }
        while let Some(id) = self.draining.pop_late(now) {
            self.abort(id);
        }
    }

    fn abort(&mut self, id: ConnectionId) {
        self.forget(id);
        self.draining.remove(id);
        self.unfinished.remove(&id);
        self.inner.close(id, Close::Abort);
    }

    fn forget(&mut self, id: ConnectionId) -> Option<Connection> {
        self.due.remove(&id);
        self.ended.remove(&id);
        self.connections.remove(&id)
    }

    /// After an error that ends the connection for good (T14) nothing of it is kept. What its peer is told of it is on the way.
    fn settle<T>(&mut self, id: ConnectionId, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome
            && !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        {
            self.forget(id);
            let deadline = self.inner.now() + self.limits.handshake_timeout;
            self.inner.close(id, Close::Drain { deadline });
        }
        outcome
    }
}

impl<M: ConnectionManager> ConnectionManager for TlsManager<M> {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        let mut reports = std::mem::take(&mut self.reports);
        let outcome = self.inner.poll(&mut reports, self.wait(timeout));
        self.go_on(ready);
        for report in reports.drain(..) {
            self.translate(report, ready);
        }
        self.reports = reports;
        self.report_what_is_here(ready);
        self.give_up_at_deadlines();
        outcome
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let connection = self.connections.get_mut(&id).ok_or_else(|| not_found(id))?;
        let below = &mut Below { manager: &mut self.inner, id };
        let outcome = connection.read(below, buf, &mut self.scratch);
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
        let outcome = connection.write(&mut Below { manager: &mut self.inner, id }, bufs);
        self.settle(id, outcome)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        match how {
            Close::Abort => self.abort(id),
            Close::Drain { deadline } => match self.forget(id) {
                Some(connection) => {
                    // Also what was reported before, and not read, is thrown away.
                    let draining = Draining { session: connection.into_last_words(), deadline, noisy: true };
                    self.draining.insert(id, deadline, draining);
                    self.unfinished.insert(id);
                    self.drain_on(id);
                }
                // A second drain changes nothing.
                None if self.draining.contains(id) => {}
                None => self.inner.close(id, how),
            },
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

    /// What is held back here is reported by the next poll in any case, which does not wait then.
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

impl<M: fmt::Debug> fmt::Debug for TlsManager<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither keys nor bytes.
        f.debug_struct("TlsManager")
            .field("inner", &self.inner)
            .field("connections", &self.connections.len())
            .field("handshakes", &self.handshakes.len())
            .field("draining", &self.draining.len())
            .finish_non_exhaustive()
    }
}
