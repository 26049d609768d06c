//! How a manager is configured.

use crate::listener::listen_on_first;
use crate::manager::EpollSocketManager;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Configures an [`EpollSocketManager`]; made by [`EpollSocketManager::builder`].
///
/// ```
/// use msglib_io_epoll::EpollSocketManager;
/// use std::net::{Ipv4Addr, Ipv6Addr};
/// use std::time::Duration;
///
/// let manager = EpollSocketManager::builder()
///     .listen((Ipv6Addr::LOCALHOST, 0).into())
///     .listen((Ipv4Addr::LOCALHOST, 0).into())
///     .poll_timeout(Duration::from_millis(1))
///     .build()?;
/// assert_eq!(manager.local_addrs().count(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing listens until build() is called"]
pub struct EpollSocketManagerBuilder {
    addresses: Vec<SocketAddr>,
    backlog: i32,
    settings: Settings,
}

/// What a manager is told once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) poll_timeout: Duration,
    pub(crate) spin: Duration,
    pub(crate) accepts_per_poll: usize,
}

/// The backlog unless told otherwise.
pub(crate) const BACKLOG: i32 = 1024;

impl Default for Settings {
    fn default() -> Settings {
        Settings { poll_timeout: Duration::from_millis(100), spin: Duration::ZERO, accepts_per_poll: 64 }
    }
}

impl EpollSocketManagerBuilder {
    pub(crate) fn new() -> EpollSocketManagerBuilder {
        EpollSocketManagerBuilder { addresses: Vec::new(), backlog: BACKLOG, settings: Settings::default() }
    }

    /// Listens on one more address. The order of these calls numbers the listeners
    /// ([`ListenerId`](msglib_proto::transport::ListenerId)), from 0. Port 0 lets the system choose; see
    /// [`EpollSocketManager::local_addrs`].
    ///
    /// An IPv6 address means IPv6 alone, but for `[::]`, which means every address of the machine, IPv4 too.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// The longest wait of a poll, 100 ms unless told otherwise. It bounds a time-out of `None` and any longer one.
    /// Waits are rounded up to whole milliseconds; zero makes every poll return at once.
    pub fn poll_timeout(mut self, longest: Duration) -> Self {
        self.settings.poll_timeout = longest;
        self
    }

    /// How long a poll that has to wait looks again and again before it sleeps, zero unless told otherwise.
    ///
    /// Buys latency with CPU: a sleeping thread needs tens of microseconds to wake up. Has no effect on a poll
    /// with a time-out of zero.
    pub fn spin(mut self, spin: Duration) -> Self {
        self.settings.spin = spin;
        self
    }

    /// The most connections that one poll accepts, over all listeners, 64 unless told otherwise; at least 1.
    pub fn accepts_per_poll(mut self, count: usize) -> Self {
        self.settings.accepts_per_poll = count;
        self
    }

    /// How many connections may wait to be accepted, for each listener, 1,024 unless told otherwise. The system has a
    /// maximum of its own (`net.core.somaxconn`).
    pub fn backlog(mut self, count: u32) -> Self {
        self.backlog = i32::try_from(count).unwrap_or(i32::MAX);
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// When an address cannot be listened on; the error names it, and its kind is the system's (`AddrInUse`,
    /// `PermissionDenied`, `AddrNotAvailable`). When the system is out of descriptors.
    pub fn build(self) -> io::Result<EpollSocketManager> {
        let mut manager = EpollSocketManager::new(&self.settings)?;
        for address in self.addresses {
            manager.adopt_listener(listen_on_first([address].into_iter(), self.backlog)?)?;
        }
        Ok(manager)
    }
}
