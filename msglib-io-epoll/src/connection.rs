//! One connection: its socket, and what must be remembered because edges come once.

use crate::send::{send, split};
use mio::event::Event;
use msglib_proto::Instant;
use socket2::Socket;
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Connection {
    stream: Socket,
    phase: Phase,
    end: End,
    /// `write` has refused something: room is worth a report (T13).
    wants_room: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    /// Closed by the caller; what the peer still sends is thrown away.
    Draining {
        deadline: Instant,
        /// Whether it waits for its turn to be read.
        queued: bool,
    },
}

/// What is known of the end of the incoming stream (T4, T5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Unknown,
    /// An edge told of it, `read` has not returned it yet. The edge may have been one with data.
    Known,
    Returned,
}

/// What an event means for the caller and the manager.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct News {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The end became known: from here on it is owed to the caller.
    pub(crate) ended: bool,
    /// A draining connection has something to throw away.
    pub(crate) discard: bool,
}

/// How a write went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    pub(crate) count: usize,
    /// The kernel took all that one call may offer, and the caller has more: no edge will tell of the room.
    pub(crate) has_room: bool,
}

/// How far one read of a draining connection came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Discard {
    /// There may be more.
    More,
    /// Nothing now; an edge will tell.
    Empty,
    /// The peer has closed too, or is gone.
    End,
}

impl Connection {
    pub(crate) fn new(stream: Socket) -> Connection {
        Connection { stream, phase: Phase::Open, end: End::Unknown, wants_room: false }
    }

    /// Whether the caller can use it.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Until when it drains, if it does.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open => None,
            Phase::Draining { deadline, .. } => Some(deadline),
        }
    }

    /// Whether an end is known that `read` has not returned yet (T5).
    pub(crate) fn owes_end(&self) -> bool {
        self.is_open() && self.end == End::Known
    }

    pub(crate) fn stream(&self) -> &Socket {
        &self.stream
    }

    pub(crate) fn on_event(&mut self, event: &Event) -> News {
        // Flags of closing and failing are hints: what there is to know comes out of `read`.
        let closed = event.is_read_closed() || event.is_error();
        let readable = closed || event.is_readable();
        if let Phase::Draining { queued, .. } = &mut self.phase {
            let discard = readable && !*queued;
            *queued |= discard;
            return News { discard, ..News::default() };
        }
        let ended = closed && self.end == End::Unknown;
        if ended {
            self.end = End::Known;
        }
        let writable = self.wants_room && (event.is_writable() || event.is_write_closed() || event.is_error());
        self.wants_room &= !writable;
        News { readable: readable && self.end != End::Returned, writable, ended, discard: false }
    }

    /// `read` of an open connection.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.end == End::Returned {
            return Ok(0);
        }
        let result = retry(|| (&self.stream).read(buf));
        match &result {
            Ok(0) => self.end = End::Returned,
            // The hint was wrong, or was about something else: wait for another edge.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.end = End::Unknown,
            _ => {}
        }
        result
    }

    /// `write` of an open connection.
    pub(crate) fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<Written> {
        let (offered, rest) = split(bufs);
        let length: usize = offered.iter().map(|buf| buf.len()).sum();
        match retry(|| send(&self.stream, offered)) {
            Ok(count) => {
                let has_room = count == length && !rest.is_empty();
                self.wants_room = count < length;
                Ok(Written { count, has_room })
            }
            Err(error) => {
                self.wants_room = error.kind() == io::ErrorKind::WouldBlock;
                Err(error)
            }
        }
    }

    /// Stops sending after what the kernel has accepted, and starts to throw away what comes in: a socket that is
    /// closed with unread input resets the connection, and what was accepted is lost with it.
    ///
    /// `false`: nothing is left to wait for, drop it.
    pub(crate) fn start_drain(&mut self, deadline: Instant, now: Instant) -> bool {
        // After the drop the kernel goes on by itself; it must not do so for long after the deadline either.
        let patience = deadline.since(now).max(Duration::from_millis(1));
        let bounded = self.stream.set_tcp_user_timeout(Some(patience));
        // A deadline of more than 24 days is too far for the kernel, whose own limit then holds. A Unix socket has no such
        // thing and needs none: what the kernel has accepted is with the peer.
        drop(bounded);
        self.phase = Phase::Draining { deadline, queued: true };
        self.stream.shutdown(Shutdown::Write).is_ok() && self.end != End::Returned
    }

    /// One read of a draining connection into `waste`.
    pub(crate) fn discard(&mut self, waste: &mut [u8]) -> Discard {
        match retry(|| (&self.stream).read(waste)) {
            Ok(0) => Discard::End,
            Ok(_) => Discard::More,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Phase::Draining { queued, .. } = &mut self.phase {
                    *queued = false;
                }
                Discard::Empty
            }
            Err(_) => Discard::End,
        }
    }

    /// Makes the coming drop a reset, which frees everything at once on both sides. Unix sockets end at once in any case.
    pub(crate) fn abort(&self) {
        // It fails only when the connection has failed before, and then there is nothing to reset.
        drop(self.stream.set_linger(Some(Duration::ZERO)));
    }
}

fn retry<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
