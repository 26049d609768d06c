//! Moves a broker's bytes over Unix sockets: a backend as its author would write it, on mio and `msglib-proto`.
//!
//! An event does nothing but end a wait. After it every connection is reported as readable and writable, which the contract
//! allows (T3), so that there is nothing to remember about edges. What no edge would announce ends the next wait at once.
#![forbid(unsafe_code)]

use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token};
use msglib_proto::Instant;
use msglib_proto::transport::{Address, Close, ConnectionId, ConnectionManager};
use msglib_proto::transport::{ConnectionTable, Peer, Readiness, Waker};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::{net::Shutdown, sync::Arc, time::Duration};

/// Accepts in one poll, and reads of each draining connection: a bounded amount of work, whatever the peers do.
const TURNS: usize = 64;

/// A listener, and its connections.
pub struct UnixManager {
    start: std::time::Instant,
    poll: Poll,
    events: Events,
    waker: Arc<mio::Waker>,
    listener: Option<UnixListener>, // until it is to stop
    connections: ConnectionTable<Connection>,
    has_more: bool, // to tell or to do, that no edge will announce
}

/// One that drains was closed by the caller, and is kept for its last bytes until a deadline (T8).
struct Connection {
    stream: UnixStream,
    drains_until: Option<Instant>,
}

impl UnixManager {
    /// Accepts from a listener that its caller has bound, and whose path its caller removes in the end.
    pub fn new(listener: std::os::unix::net::UnixListener) -> io::Result<UnixManager> {
        listener.set_nonblocking(true)?;
        let (poll, mut listener) = (Poll::new()?, UnixListener::from_std(listener));
        poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), Token(0))?);
        let (start, events, listener) = (std::time::Instant::now(), Events::with_capacity(1024), Some(listener));
        Ok(UnixManager { start, poll, events, waker, listener, connections: ConnectionTable::new(), has_more: false })
    }

    fn open(&mut self, id: ConnectionId) -> io::Result<&mut Connection> {
        let open = self.connections.get_mut(id).filter(|connection| connection.drains_until.is_none());
        open.ok_or_else(|| io::Error::new(ErrorKind::NotFound, format!("no open connection {id}")))
    }

    /// Closing a Unix socket with unread input takes from the peer what it has not read yet: that input is read first.
    fn serve_drains(&mut self) {
        let (now, mut done) = (self.now(), Vec::new());
        for (id, connection) in self.connections.iter_mut() {
            let Some(deadline) = connection.drains_until else { continue };
            let is_over = (0..TURNS).find_map(|_| match connection.stream.read(&mut [0; 16_384]) {
                Ok(0) => Some(true),
                Ok(_) => None,
                Err(error) => Some(error.kind() != ErrorKind::WouldBlock),
            });
            self.has_more |= is_over.is_none();
            if is_over == Some(true) || deadline <= now {
                done.push(id);
            }
        }
        for id in done {
            self.connections.remove(id);
        }
    }

    /// Also when no event told of it: accepting may have failed before, for want of descriptors.
    fn accept(&mut self, ready: &mut Vec<Readiness>) {
        for _ in 0..TURNS {
            let Some(Ok((mut stream, _))) = self.listener.as_ref().map(UnixListener::accept) else { return };
            if self.poll.registry().register(&mut stream, Token(0), Interest::READABLE | Interest::WRITABLE).is_ok() {
                let id = self.connections.insert(Connection { stream, drains_until: None });
                ready.push(Readiness::Opened(id, Peer::new(Address::Unix(None))));
            }
        }
        self.has_more = true;
    }

    /// One read or write. After bytes there may be more (T5: the end; T13: room, for the system takes a limited number of slices),
    /// which is reported without a wait; after a failure the connection is gone (T14).
    fn on(&mut self, id: ConnectionId, io: impl FnOnce(&mut UnixStream) -> io::Result<usize>) -> io::Result<usize> {
        let result = io(&mut self.open(id)?.stream);
        self.has_more |= matches!(result, Ok(1..));
        result.inspect_err(|error| {
            if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) {
                self.connections.remove(id);
            }
        })
    }
}

impl ConnectionManager for UnixManager {
    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        let longest = if self.has_more { Duration::ZERO } else { Duration::from_secs(10) };
        let deadlines = self.connections.iter().filter_map(|(_, connection)| connection.drains_until);
        let waits = deadlines.map(|deadline| deadline.since(self.now())).chain(timeout);
        let wait = waits.fold(longest, Duration::min);
        let waited = self.poll.poll(&mut self.events, Some(wait));
        waited.or_else(|error| if error.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(error) })?;
        self.has_more = false;
        self.accept(ready);
        let open = self.connections.iter().filter(|(_, connection)| connection.drains_until.is_none());
        ready.extend(open.flat_map(|(id, _)| [Readiness::Readable(id), Readiness::Writable(id)]));
        self.serve_drains();
        Ok(())
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.on(id, |stream| stream.read(buf))
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.on(id, |stream| stream.write_vectored(bufs))
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        match how {
            Close::Abort => drop(self.connections.remove(id)),
            Close::Drain { deadline } => {
                let Ok(connection) = self.open(id) else { return };
                // It fails only when the peer is gone, which the next read will say.
                drop(connection.stream.shutdown(Shutdown::Write));
                connection.drains_until = Some(deadline);
                self.has_more = true;
            }
        }
    }

    fn draining(&self) -> usize {
        self.connections.iter().filter(|(_, connection)| connection.drains_until.is_some()).count()
    }

    /// Who waits in its backlog finds an end.
    fn stop_accepting(&mut self) -> bool {
        self.listener = None;
        true
    }

    fn waker(&self) -> Option<Waker> {
        let waker = Arc::clone(&self.waker);
        Some(Waker::new(move || drop(waker.wake())))
    }

    fn seed(&mut self) -> u128 {
        (0..2).fold(0, |seed, half| seed << 64 | u128::from(RandomState::new().hash_one(half)))
    }
}
