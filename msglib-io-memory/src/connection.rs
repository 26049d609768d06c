//! One connection as both of its ends see it: a small state machine over two pipes.

use crate::error;
use crate::pipe::{Pipe, Spares};
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId};
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, IoSlice};
use std::sync::{Arc, Condvar};

/// Something to tell at the next poll.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Report {
    Opened(ConnectionId),
    Readable(ConnectionId),
    Writable(ConnectionId),
}

/// What the connections of one manager share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// In the order in which things happened. At most one `Readable` and one `Writable` for each connection.
    pub(crate) reports: VecDeque<Report>,
    /// Something was added to the reports since somebody asked (T16).
    pub(crate) has_news: bool,
    /// The connections that are draining, the first to give up first.
    pub(crate) drains: BTreeSet<(Instant, ConnectionId)>,
    /// Memory for the pipes.
    pub(crate) spares: Spares,
    /// The most bytes that a pipe holds.
    pub(crate) capacity: usize,
}

impl Shared {
    pub(crate) fn report(&mut self, report: Report) {
        self.reports.push_back(report);
        self.has_news = true;
    }
}

/// How far the manager's side is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Broker {
    /// Connected, and not yet reported: the caller of the manager knows nothing of it (T1).
    Backlog,
    Open,
    /// Closed; the peer may read what was accepted, until the deadline (T8).
    Draining {
        deadline: Instant,
    },
    /// Closed; the peer may read what is left.
    Closed,
    /// Aborted, or given up.
    Reset,
}

/// How far the peer's side is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Peer {
    Open,
    /// It sends no more; it may still read (T9).
    ShutDown,
    Reset,
}

#[derive(Debug)]
pub(crate) struct Connection {
    id: ConnectionId,
    address: u64,
    broker: Broker,
    peer: Peer,
    /// Whether a handle on the peer's stream exists.
    held: bool,
    /// What those threads of the peer wait on that wait for a change; each of them has a share.
    changed: Option<Arc<Condvar>>,
    to_broker: Pipe,
    to_peer: Pipe,
    /// The broker knows that there is nothing to read: what comes next is worth a report (T5).
    read_armed: bool,
    /// The broker was told that there is no room: room is worth a report (T13).
    write_armed: bool,
    /// Whether a `Readable` about this connection is among the reports.
    readable_queued: bool,
    /// Whether a `Writable` about this connection is among the reports.
    writable_queued: bool,
    /// Whether `read` has returned the end, which sticks (T4).
    end_returned: bool,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, address: u64) -> Connection {
        Connection {
            id,
            address,
            broker: Broker::Backlog,
            peer: Peer::Open,
            held: true,
            changed: None,
            to_broker: Pipe::default(),
            to_peer: Pipe::default(),
            read_armed: true,
            write_armed: false,
            readable_queued: false,
            writable_queued: false,
            end_returned: false,
        }
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Whether neither end can come back to it.
    pub(crate) fn is_over(&self) -> bool {
        !self.held && matches!(self.broker, Broker::Draining { .. } | Broker::Closed | Broker::Reset)
    }
}

/// What the manager does.
impl Connection {
    /// Whether the manager's caller can use it.
    pub(crate) fn is_open(&self) -> bool {
        self.broker == Broker::Open
    }

    /// The caller is told of the connection now.
    pub(crate) fn accept(&mut self) {
        self.broker = Broker::Open;
    }

    /// The queued `Readable` is due: whether it is still worth telling. A known end is queued again at once (T5).
    pub(crate) fn take_readable(&mut self, shared: &mut Shared) -> bool {
        self.readable_queued = false;
        if !self.is_open() {
            return false;
        }
        if self.end_is_due() {
            self.queue_readable(shared);
            return true;
        }
        // Empty: it was read before anybody was told, and `read` has armed the next report.
        !self.to_broker.is_empty()
    }

    /// The queued `Writable` is due: whether it is still worth telling.
    pub(crate) fn take_writable(&mut self, shared: &Shared) -> bool {
        self.writable_queued = false;
        if !self.is_open() {
            return false;
        }
        // A peer that is gone leaves an empty pipe, so that the next `write` tells of it.
        let worth = self.to_peer.len() < shared.capacity;
        // The room was used up before anybody was told of it, so the promise is still owed (T13).
        self.write_armed |= !worth;
        worth
    }

    /// The caller must have seen that the connection [is open](Self::is_open).
    pub(crate) fn read(&mut self, buf: &mut [u8], shared: &mut Shared) -> io::Result<usize> {
        if buf.is_empty() || self.end_returned {
            return Ok(0);
        }
        if self.peer == Peer::Reset {
            self.finish(Broker::Closed, shared);
            return Err(error::reset_by_peer(self.address));
        }
        let count = if self.to_broker.is_empty() { 0 } else { self.to_broker.pull(buf, &mut shared.spares) };
        self.tell_those_who_wait();
        if self.peer == Peer::Open {
            self.read_armed |= count < buf.len();
            return if count == 0 { Err(error::would_block()) } else { Ok(count) };
        }
        self.end_returned = count == 0;
        Ok(count)
    }

    /// The caller must have seen that the connection [is open](Self::is_open).
    pub(crate) fn write(&mut self, bufs: &[IoSlice<'_>], shared: &mut Shared) -> io::Result<usize> {
        if self.peer == Peer::Reset {
            self.finish(Broker::Closed, shared);
            return Err(error::reset_by_peer(self.address));
        }
        if !self.held {
            self.finish(Broker::Closed, shared);
            return Err(error::peer_is_gone(self.address));
        }
        let offered = length(bufs);
        let room = shared.capacity - self.to_peer.len();
        self.write_armed |= room < offered;
        self.tell_those_who_wait();
        match room.min(offered) {
            0 if offered == 0 => Ok(0),
            0 => Err(error::would_block()),
            _ => Ok(self.to_peer.push(bufs, room, &mut shared.spares)),
        }
    }

    /// An open connection drains, ends, or is aborted; a draining one is aborted or stays as it is (T8).
    pub(crate) fn close(&mut self, how: Close, shared: &mut Shared) {
        match (self.broker, how) {
            (Broker::Open | Broker::Draining { .. }, Close::Abort) => self.abort(shared),
            (Broker::Open, Close::Drain { .. }) if self.to_peer.is_empty() => self.finish(Broker::Closed, shared),
            (Broker::Open, Close::Drain { deadline }) => {
                self.finish(Broker::Draining { deadline }, shared);
                shared.drains.insert((deadline, self.id));
            }
            _ => {}
        }
    }

    /// The peer loses what it has not read.
    pub(crate) fn abort(&mut self, shared: &mut Shared) {
        self.finish(Broker::Reset, shared);
        self.to_peer.clear(&mut shared.spares);
    }

    /// The manager is gone: the peer may read what is left, without a deadline.
    pub(crate) fn orphan(&mut self, shared: &mut Shared) {
        if self.broker != Broker::Reset {
            self.finish(Broker::Closed, shared);
        }
    }

    /// The manager's side is over: it reads nothing more, waits for no room, and has no drain unless `as_what` is one.
    fn finish(&mut self, as_what: Broker, shared: &mut Shared) {
        if let Broker::Draining { deadline } = self.broker {
            shared.drains.remove(&(deadline, self.id));
        }
        self.broker = as_what;
        self.write_armed = false;
        self.to_broker.clear(&mut shared.spares);
        self.tell_those_who_wait();
    }

    /// Whether `read` will return the end, or a reset, and has not yet.
    fn end_is_due(&self) -> bool {
        self.peer != Peer::Open && !self.end_returned
    }
}

/// What the peer does.
impl Connection {
    pub(crate) fn peer_read(&mut self, buf: &mut [u8], shared: &mut Shared) -> io::Result<usize> {
        if self.peer == Peer::Reset {
            return Err(error::reset_here(self.address));
        }
        if self.broker == Broker::Reset {
            return Err(error::reset_by_broker(self.address));
        }
        if buf.is_empty() {
            return Ok(0);
        }
        if self.to_peer.is_empty() {
            return if self.broker_may_write() { Err(error::would_block()) } else { Ok(0) };
        }
        let count = self.to_peer.pull(buf, &mut shared.spares);
        if self.write_armed {
            self.queue_writable(shared);
        }
        if self.to_peer.is_empty() && !self.broker_may_write() {
            self.finish(Broker::Closed, shared);
        }
        Ok(count)
    }

    pub(crate) fn peer_write(&mut self, bufs: &[IoSlice<'_>], shared: &mut Shared) -> io::Result<usize> {
        match (self.peer, self.broker) {
            (Peer::Reset, _) => return Err(error::reset_here(self.address)),
            (_, Broker::Reset) => return Err(error::reset_by_broker(self.address)),
            (_, Broker::Closed) => return Err(error::closed_by_broker(self.address)),
            (Peer::ShutDown, _) => return Err(error::shut_down_here(self.address)),
            (Peer::Open, Broker::Draining { .. }) => return Ok(length(bufs)),
            (Peer::Open, Broker::Backlog | Broker::Open) => {}
        }
        let offered = length(bufs);
        let room = shared.capacity - self.to_broker.len();
        if offered == 0 || room == 0 {
            return if offered == 0 { Ok(0) } else { Err(error::would_block()) };
        }
        let count = self.to_broker.push(bufs, room, &mut shared.spares);
        if self.read_armed {
            self.queue_readable(shared);
        }
        Ok(count)
    }

    pub(crate) fn peer_shutdown_write(&mut self, shared: &mut Shared) {
        if self.peer == Peer::Open {
            self.peer = Peer::ShutDown;
            self.tell_those_who_wait();
            self.tell_of_end(shared);
        }
    }

    pub(crate) fn peer_reset(&mut self, shared: &mut Shared) {
        if self.peer == Peer::Reset {
            return;
        }
        self.peer = Peer::Reset;
        self.tell_those_who_wait();
        self.to_broker.clear(&mut shared.spares);
        self.nobody_reads(shared);
        self.tell_of_end(shared);
    }

    /// The last handle is gone: an orderly end, unless the peer has reset the connection before.
    pub(crate) fn peer_drop(&mut self, shared: &mut Shared) {
        self.held = false;
        self.nobody_reads(shared);
        self.peer_shutdown_write(shared);
    }

    /// What is under way to the peer is lost; a broker that waits for room must learn that none will come.
    fn nobody_reads(&mut self, shared: &mut Shared) {
        self.to_peer.clear(&mut shared.spares);
        if let Broker::Draining { .. } = self.broker {
            self.finish(Broker::Closed, shared);
        }
        if self.write_armed {
            self.queue_writable(shared);
        }
    }

    fn tell_of_end(&mut self, shared: &mut Shared) {
        if self.end_is_due() && self.broker_may_write() {
            self.queue_readable(shared);
        }
    }

    #[cfg(test)]
    pub(crate) fn owns_memory(&self) -> bool {
        self.to_broker.owns_memory() || self.to_peer.owns_memory()
    }

    /// For a thread of the peer that is about to wait.
    pub(crate) fn changed(&mut self) -> Arc<Condvar> {
        Arc::clone(self.changed.get_or_insert_default())
    }

    /// What a thread of the peer waits for may have come. It holds the lock, so nobody wakes before the change is made.
    fn tell_those_who_wait(&self) {
        // A share beside this one belongs to one who waits; to notify nobody would be a system call for nothing.
        if let Some(changed) = self.changed.as_ref().filter(|changed| Arc::strong_count(changed) > 1) {
            changed.notify_all();
        }
    }

    fn broker_may_write(&self) -> bool {
        matches!(self.broker, Broker::Backlog | Broker::Open)
    }
}

impl Connection {
    fn queue_readable(&mut self, shared: &mut Shared) {
        self.read_armed = false;
        if !self.readable_queued {
            self.readable_queued = true;
            shared.report(Report::Readable(self.id));
        }
    }

    fn queue_writable(&mut self, shared: &mut Shared) {
        self.write_armed = false;
        if !self.writable_queued {
            self.writable_queued = true;
            shared.report(Report::Writable(self.id));
        }
    }
}

fn length(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
}
