//! The broker's side: a manager of listeners and connections.

use crate::acceptor::{Accepted, Acceptor};
use crate::address;
use crate::builder::{EpollSocketManagerBuilder, Settings};
use crate::connection::{Connection, Discard, News};
use crate::drains::{Drains, READS_PER_POLL};
use crate::error::{during, no_such};
use crate::listener::{Listener, Listening, Wildcard, listen_on_first, no_delay};
use crate::selector::Selector;
use crate::stats::SocketStats;
use crate::token::Source;
use crate::unix::BoundPath;
use mio::Interest;
use msglib_proto::Instant;
use msglib_proto::transport::{
    Address, Close, ConnectionId, ConnectionManager, ConnectionTable, ListenerId, Peer, Readiness, Waker,
};
use socket2::Socket;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// Moves a broker's bytes over TCP and Unix sockets, with epoll.
///
/// - Several listeners of both kinds, and sockets that were made elsewhere ([`adopt_listener`](Self::adopt_listener),
///   [`adopt_stream`](Self::adopt_stream), and the same for Unix). Every TCP connection has no-delay set.
/// - A poll does a bounded amount of work, whatever the peers do. It waits until something is ready, at most 100 ms
///   unless the [builder](Self::builder) is told otherwise.
/// - [`max_connections`](EpollSocketManagerBuilder::max_connections) bounds how many there are; more peers wait.
/// - When the system runs out of descriptors, accepting pauses (10 ms, doubling up to 1 s, or until a connection is
///   closed) and the connections that are there go on.
/// - [`stop_accepting`](ConnectionManager::stop_accepting) closes the listeners: their ports refuse, the paths of Unix sockets that were made
///   here are unlinked, and peers that wait to be accepted are reset. A listener that another process has as well goes on there.
/// - An error of `read` or `write` other than `WouldBlock` closes the connection; its id is `NotFound` from there on.
/// - An IPv4 peer that comes through `[::]` is reported with its IPv4 address.
/// - Dropping the manager closes everything and does not wait. Of what was accepted for a connection, open or draining,
///   the system delivers what it can, but for open ones with unread input, which are reset. The path of a Unix socket
///   that was made here is unlinked.
///
/// ```
/// use msglib_io_epoll::{EpollSocketManager, connect};
/// use msglib_proto::transport::{ConnectionManager, Readiness};
/// use std::time::Duration;
///
/// let mut manager = EpollSocketManager::bind("[::1]:0")?;
/// let address = manager.local_addr().expect("it has a listener");
/// let client = connect(address, Duration::from_secs(10))?;
///
/// let mut ready = Vec::new();
/// while ready.is_empty() {
///     manager.poll(&mut ready, None)?;
/// }
/// let Readiness::Opened(id, peer) = &ready[0] else { panic!("{ready:?}") };
/// assert_eq!(peer.to_string(), client.local_addr()?.to_string());
/// assert_eq!(manager.stats().open, 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct EpollSocketManager {
    start: std::time::Instant,
    poll_timeout: Duration,
    max_connections: usize,
    selector: Selector,
    acceptor: Acceptor,
    connections: ConnectionTable<Connection>,
    drains: Drains,
    stats: SocketStats,
    /// Adopted, and not reported yet (T1).
    adopted: Vec<(ConnectionId, Peer)>,
    /// Connections whose end is known and was not returned yet (T5).
    ends: Vec<ConnectionId>,
    /// Connections with room, of which no edge will tell (T13).
    rooms: Vec<ConnectionId>,
    /// The caller has read from one of `ends` since they were reported, so it may be waiting for the next report.
    owes_end: bool,
}

impl EpollSocketManager {
    /// Listens on the first address of `address` that works, with the default settings. Port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// As [`build`](EpollSocketManagerBuilder::build), and when the name cannot be resolved.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let addresses = address.to_socket_addrs().map_err(during("resolving the address to listen on"))?;
        let listener = listen_on_first(addresses, Wildcard::BothFamilies, Listening::default())?;
        let mut manager = Self::new(&Settings::default())?;
        manager.adopt_listener(listener)?;
        Ok(manager)
    }

    /// For several listeners, and other settings.
    pub fn builder() -> EpollSocketManagerBuilder {
        EpollSocketManagerBuilder::new()
    }

    pub(crate) fn new(settings: &Settings) -> io::Result<Self> {
        Ok(EpollSocketManager {
            start: std::time::Instant::now(),
            poll_timeout: settings.poll_timeout,
            max_connections: settings.max_connections,
            selector: Selector::new(settings.spin)?,
            acceptor: Acceptor::new(settings.accepts_per_poll),
            connections: ConnectionTable::new(),
            drains: Drains::default(),
            stats: SocketStats::default(),
            adopted: Vec::new(),
            ends: Vec::new(),
            rooms: Vec::new(),
            owes_end: false,
        })
    }

    /// Accepts from a listener that was made elsewhere (inherited from a supervisor, or with options of its own), as
    /// the next in the order of listeners. Connections that wait there already are accepted too.
    ///
    /// # Errors
    ///
    /// Those of the system, when it cannot be made non-blocking or be registered.
    pub fn adopt_listener(&mut self, listener: std::net::TcpListener) -> io::Result<ListenerId> {
        listener.set_nonblocking(true).map_err(during("adopting a listener"))?;
        self.add_listener(Listener::Internet(mio::net::TcpListener::from_std(listener)))
    }

    /// As [`adopt_listener`](Self::adopt_listener), for a Unix socket. Its path stays when the manager is dropped: it is
    /// not the manager's.
    ///
    /// # Errors
    ///
    /// As [`adopt_listener`](Self::adopt_listener).
    pub fn adopt_unix_listener(&mut self, listener: UnixListener) -> io::Result<ListenerId> {
        listener.set_nonblocking(true).map_err(during("adopting a listener"))?;
        self.add_unix_listener(None, listener)
    }

    /// Takes over a connection that was made elsewhere: handed over by another program, or dialled by the broker. The
    /// next poll reports it as opened, as if it had come through the first listener. Keep no clone of it: a clone would
    /// keep it open after it was closed here. [`max_connections`](EpollSocketManagerBuilder::max_connections) does not
    /// keep it out.
    ///
    /// # Errors
    ///
    /// `NotConnected` when it is not, or no longer, connected; those of the system, when it cannot be made
    /// non-blocking or be registered.
    pub fn adopt_stream(&mut self, stream: std::net::TcpStream) -> io::Result<ConnectionId> {
        let from = stream.peer_addr().map_err(during("adopting a stream"))?;
        let stream = Socket::from(stream);
        no_delay(&stream);
        self.adopt(stream, address::internet(from))
    }

    /// As [`adopt_stream`](Self::adopt_stream), for a Unix socket: one of a pair, say, whose other end a child process
    /// has.
    ///
    /// # Errors
    ///
    /// As [`adopt_stream`](Self::adopt_stream).
    pub fn adopt_unix_stream(&mut self, stream: UnixStream) -> io::Result<ConnectionId> {
        let from = stream.peer_addr().map_err(during("adopting a stream"))?;
        self.adopt(Socket::from(OwnedFd::from(stream)), address::unix(&from))
    }

    /// The address of the first TCP listener, with the port that the system chose; `None` if there is none.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addrs().next()
    }

    /// The addresses of all TCP listeners, in the order in which they were added.
    pub fn local_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners().filter_map(|address| match address {
            Address::Socket(address) => Some(*address),
            _ => None,
        })
    }

    /// The addresses of all listeners of both kinds, in the order of their [`ListenerId`]s; also of those that were closed since.
    pub fn listeners(&self) -> impl Iterator<Item = &Address> {
        self.acceptor.addresses()
    }

    /// What it has done, and what it holds now.
    pub fn stats(&self) -> SocketStats {
        let draining = self.drains.len();
        SocketStats { open: self.connections.len() - draining, draining, ..self.stats }
    }
}

/// How listeners and connections come in.
impl EpollSocketManager {
    fn add_listener(&mut self, mut listener: Listener) -> io::Result<ListenerId> {
        let address = listener.address().map_err(during("asking a listener for its address"))?;
        // There are fewer listeners than descriptors, of which there are fewer than 2³¹.
        let position = self.acceptor.len() as u32;
        self.selector
            .add(listener.source(), Source::Listener(position), Interest::READABLE)
            .map_err(during("registering a listener"))?;
        self.acceptor.add(listener, address);
        Ok(ListenerId(position))
    }

    /// `path`: if it is to be unlinked in the end. The listener is non-blocking.
    pub(crate) fn add_unix_listener(
        &mut self,
        path: Option<BoundPath>,
        socket: UnixListener,
    ) -> io::Result<ListenerId> {
        self.add_listener(Listener::Unix { _path: path, socket: mio::net::UnixListener::from_std(socket) })
    }

    fn adopt(&mut self, stream: Socket, from: Address) -> io::Result<ConnectionId> {
        stream.set_nonblocking(true).map_err(during("adopting a stream"))?;
        let id = admit(stream, &self.selector, &mut self.connections).map_err(during("adopting a stream"))?;
        self.adopted.push((id, Peer::new(from)));
        Ok(id)
    }

    /// How many more connections may come through listeners. Draining ones count, for they hold a descriptor.
    fn room(&self) -> usize {
        self.max_connections.saturating_sub(self.connections.len())
    }
}

/// The parts of a poll.
impl EpollSocketManager {
    /// How long the next wait may be: not at all if something is left over.
    fn longest_wait(&self, timeout: Option<Duration>) -> Duration {
        if self.owes_end || !self.adopted.is_empty() || !self.rooms.is_empty() {
            return Duration::ZERO;
        }
        let longest = timeout.map_or(self.poll_timeout, |timeout| timeout.min(self.poll_timeout));
        let accept = if self.room() > 0 { self.acceptor.due() } else { None };
        match accept.into_iter().chain(self.drains.due()).min() {
            Some(due) => longest.min(due.since(self.now())),
            None => longest,
        }
    }

    /// Tells what no edge will tell.
    fn report_leftovers(&mut self, ready: &mut Vec<Readiness>) {
        let connections = &self.connections;
        let is_open = |id: ConnectionId| connections.get(id).is_some_and(Connection::is_open);
        let adopted = self.adopted.drain(..).filter(|(id, _)| is_open(*id));
        ready.extend(adopted.map(|(id, peer)| Readiness::Opened(id, peer)));

        let rooms = self.rooms.drain(..).filter(|id| is_open(*id));
        ready.extend(rooms.map(Readiness::Writable));

        self.owes_end = false;
        self.ends.retain(|id| connections.get(*id).is_some_and(Connection::owes_end));
        ready.extend(self.ends.iter().copied().map(Readiness::Readable));
    }

    /// Notes and tells what the last wait has brought. Frees no slot.
    fn report_events(&mut self, ready: &mut Vec<Readiness>) {
        for event in self.selector.events() {
            let id = match Source::of(event.token()) {
                Source::Waker => continue,
                Source::Listener(position) => {
                    self.acceptor.mark(position);
                    continue;
                }
                Source::Connection(id) => id,
            };
            // Nothing is found when the event is older than the slot's present user.
            let news = self.connections.get_mut(id).map_or(News::default(), |connection| connection.on_event(event));
            if news.readable {
                ready.push(Readiness::Readable(id));
            }
            if news.writable {
                ready.push(Readiness::Writable(id));
            }
            if news.ended {
                self.ends.push(id);
            }
            if news.discard {
                self.drains.push_unread(id);
            }
        }
    }

    /// Throws away what draining connections have sent, a bounded amount, and ends those that are done or too late.
    fn serve_drains(&mut self) {
        for _ in 0..READS_PER_POLL {
            let Some((id, waste)) = self.drains.next_unread() else { break };
            match self.connections.get_mut(id).map(|connection| connection.discard(waste)) {
                Some(Discard::More) => self.drains.push_unread(id),
                Some(Discard::End) => self.release(id),
                Some(Discard::Empty) | None => {}
            }
        }
        if self.drains.len() == 0 {
            return;
        }
        let now = self.now();
        while let Some(id) = self.drains.first_expired(now) {
            self.stats.drain_timeouts += 1;
            self.abort(id);
        }
    }

    fn accept(&mut self, ready: &mut Vec<Readiness>) {
        if self.acceptor.due().is_none() {
            return;
        }
        let (now, room) = (self.now(), self.room());
        let (selector, connections) = (&self.selector, &mut self.connections);
        self.acceptor.accept(now, room, &mut self.stats, |Accepted { stream, from, listener }| {
            let id = admit(stream, selector, connections)?;
            ready.push(Readiness::Opened(id, Peer::new(from).with_listener(listener)));
            Ok(())
        });
    }

    fn abort(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(id) {
            connection.abort();
        }
        self.release(id);
    }

    /// Forgets the connection and closes its socket.
    fn release(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(id) else { return };
        if let Some(deadline) = connection.deadline() {
            self.drains.remove(id, deadline);
        }
        // Closing would do, but for adopted streams that somebody has kept a clone of.
        self.selector.remove_connection(connection.stream());
        self.acceptor.descriptor_is_free();
    }
}

impl ConnectionManager for EpollSocketManager {
    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        self.selector.wait(self.longest_wait(timeout))?;
        self.report_leftovers(ready);
        self.report_events(ready);
        self.serve_drains();
        self.accept(ready);
        Ok(())
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let connection = self.connections.get_mut(id).filter(|c| c.is_open()).ok_or_else(|| no_such(id))?;
        match connection.read(buf) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.release(id);
                Err(error)
            }
            result => {
                self.owes_end |= connection.owes_end();
                result
            }
        }
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let connection = self.connections.get_mut(id).filter(|c| c.is_open()).ok_or_else(|| no_such(id))?;
        match connection.write(bufs) {
            Ok(written) => {
                if written.has_room {
                    self.rooms.push(id);
                }
                Ok(written.count)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.release(id);
                }
                Err(error)
            }
        }
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        match how {
            Close::Abort => self.abort(id),
            Close::Drain { deadline } => {
                let now = self.now();
                let Some(connection) = self.connections.get_mut(id).filter(|c| c.is_open()) else { return };
                if connection.start_drain(deadline, now) {
                    self.drains.add(id, deadline);
                } else {
                    self.release(id);
                }
            }
        }
    }

    fn draining(&self) -> usize {
        self.drains.len()
    }

    fn stop_accepting(&mut self) -> bool {
        for mut listener in self.acceptor.take_listeners() {
            self.selector.remove(listener.source());
        }
        true
    }

    fn waker(&self) -> Option<Waker> {
        Some(self.selector.waker())
    }

    fn seed(&mut self) -> u128 {
        crate::system::seed()
    }
}

impl Drop for EpollSocketManager {
    /// What draining connections have sent by now is thrown away once more, for unread input would turn the close
    /// into a reset.
    fn drop(&mut self) {
        for (_, connection) in self.connections.iter_mut().filter(|(_, connection)| !connection.is_open()) {
            for _ in 0..READS_PER_POLL {
                if connection.discard(self.drains.waste()) != Discard::More {
                    break;
                }
            }
        }
    }
}

/// Registers a non-blocking stream and gives it an id.
fn admit(
    stream: Socket,
    selector: &Selector,
    connections: &mut ConnectionTable<Connection>,
) -> io::Result<ConnectionId> {
    selector.add_connection(&stream, connections.next_id())?;
    Ok(connections.insert(Connection::new(stream)))
}
