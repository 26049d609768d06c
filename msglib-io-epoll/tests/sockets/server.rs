//! What every case needs: a manager, clients of it, and loops that poll until something holds.

use msglib_io_epoll::{EpollSocketManager, EpollSocketManagerBuilder, SocketStream, connect};
use msglib_proto::transport::{ConnectionId, ConnectionManager, Peer, Readiness};
use std::io::{ErrorKind, IoSlice};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// When a case has failed. No case that works comes near it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A wait that must not happen: who waits for it has failed, but within seconds.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(12);

/// A manager, and the reports that no one has asked for yet.
pub(crate) struct Server {
    pub(crate) manager: EpollSocketManager,
    reports: Vec<Readiness>,
}

impl Server {
    /// On a port of `[::1]`.
    pub(crate) fn new() -> Server {
        Server::with(|builder| builder)
    }

    /// On a port of `[::1]`, with other settings.
    pub(crate) fn with(settings: impl FnOnce(EpollSocketManagerBuilder) -> EpollSocketManagerBuilder) -> Server {
        let builder = settings(EpollSocketManager::builder().listen((Ipv6Addr::LOCALHOST, 0).into()));
        Server::over(builder.build().expect("these tests need the IPv6 loopback address [::1]"))
    }

    pub(crate) fn over(manager: EpollSocketManager) -> Server {
        Server { manager, reports: Vec::new() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.manager.local_addr().expect("a listener")
    }

    pub(crate) fn connect(&self) -> SocketStream {
        connect(self.address(), PATIENCE).expect("a connection")
    }

    /// A client and its connection.
    pub(crate) fn pair(&mut self) -> (SocketStream, ConnectionId) {
        let client = self.connect();
        (client, self.opened().0)
    }

    /// One poll, and what it brought. Earlier reports that nobody has asked for are dropped.
    pub(crate) fn poll(&mut self, timeout: Option<Duration>) -> Vec<Readiness> {
        let mut reports = std::mem::take(&mut self.reports);
        reports.clear();
        self.manager.poll(&mut reports, timeout).expect("poll");
        reports
    }

    /// Polls until `wanted` takes a report; those before it are dropped, those after it are kept.
    pub(crate) fn wait_for<T>(&mut self, what: &str, mut wanted: impl FnMut(&Readiness) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let mut found = None;
            while !self.reports.is_empty() && found.is_none() {
                found = wanted(&self.reports.remove(0));
            }
            if let Some(found) = found {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
            self.manager.poll(&mut self.reports, None).expect("poll");
        }
    }

    /// Polls until `holds`; what is reported on the way is dropped.
    pub(crate) fn run_until(&mut self, what: &str, mut holds: impl FnMut(&EpollSocketManager) -> bool) {
        let start = Instant::now();
        while !holds(&self.manager) {
            assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
            self.poll(None);
        }
    }

    pub(crate) fn opened(&mut self) -> (ConnectionId, Peer) {
        self.wait_for("a connection", |report| match report {
            Readiness::Opened(id, peer) => Some((*id, peer.clone())),
            _ => None,
        })
    }

    pub(crate) fn readable(&mut self, id: ConnectionId) {
        self.wait_for("data or an end", |report| (*report == Readiness::Readable(id)).then_some(()));
    }

    pub(crate) fn writable(&mut self, id: ConnectionId) {
        self.wait_for("room", |report| (*report == Readiness::Writable(id)).then_some(()));
    }

    /// Reads until there are `count` bytes, waiting only where T5 promises a report.
    pub(crate) fn read_exactly(&mut self, id: ConnectionId, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.manager.read(id, &mut bytes[filled..]) {
                Ok(0) => panic!("the stream ended after {filled} of {count} bytes"),
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.readable(id),
                Err(e) => panic!("read failed after {filled} of {count} bytes: {e}"),
            }
        }
        bytes
    }

    /// Writes all of `bytes`, waiting only where T13 promises a report; says how often it had to.
    pub(crate) fn write_all(&mut self, id: ConnectionId, mut bytes: &[u8]) -> usize {
        let mut waits = 0;
        while !bytes.is_empty() {
            let written = match self.manager.write(id, &[IoSlice::new(bytes)]) {
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
                Err(e) => panic!("write failed with {} bytes left: {e}", bytes.len()),
            };
            bytes = &bytes[written..];
            if !bytes.is_empty() {
                waits += 1;
                self.writable(id);
            }
        }
        waits
    }

    /// Writes until the system takes no more; says how much it took.
    pub(crate) fn fill(&mut self, id: ConnectionId) -> usize {
        let block = vec![7; 1 << 20];
        let mut taken = 0;
        loop {
            match self.manager.write(id, &[IoSlice::new(&block)]) {
                Ok(n) => taken += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return taken,
                Err(e) => panic!("write failed after {taken} bytes: {e}"),
            }
        }
    }

    pub(crate) fn read_error(&mut self, id: ConnectionId) -> ErrorKind {
        self.manager.read(id, &mut [0; 64]).expect_err("read should fail").kind()
    }
}

/// Bytes that are different at each place, so that a lost or doubled one shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
