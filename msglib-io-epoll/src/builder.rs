//! How a manager is configured.

use crate::listener::{Listening, Wildcard, listen_on_first};
use crate::manager::EpollSocketManager;
use crate::unix;
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::path::PathBuf;
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
    listeners: Vec<Listen>,
    how: Listening,
    settings: Settings,
}

/// A listener to be.
#[derive(Clone, Debug)]
enum Listen {
    Internet(SocketAddr, Wildcard),
    Unix { path: PathBuf, mode: u32 },
}

/// What a manager is told once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) max_connections: usize,
    pub(crate) poll_timeout: Duration,
    pub(crate) spin: Duration,
    pub(crate) accepts_per_poll: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            max_connections: usize::MAX,
            poll_timeout: Duration::from_millis(100),
            spin: Duration::ZERO,
            accepts_per_poll: 64,
        }
    }
}

impl EpollSocketManagerBuilder {
    pub(crate) fn new() -> EpollSocketManagerBuilder {
        EpollSocketManagerBuilder { listeners: Vec::new(), how: Listening::default(), settings: Settings::default() }
    }

    /// Listens on one more address. The order of these calls, and of those for Unix sockets, numbers the listeners
    /// ([`ListenerId`](msglib_proto::transport::ListenerId)), from 0. Port 0 lets the system choose; see
    /// [`EpollSocketManager::local_addrs`].
    ///
    /// An IPv6 address means IPv6 alone, but for `[::]`, which means every address of the machine, IPv4 too.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listeners.push(Listen::Internet(address, Wildcard::BothFamilies));
        self
    }

    /// As [`listen`](Self::listen), but `[::]` means the IPv6 addresses alone: for a machine where another listener has
    /// the IPv4 ones.
    pub fn listen_ipv6_only(mut self, address: SocketAddrV6) -> Self {
        self.listeners.push(Listen::Internet(address.into(), Wildcard::Ipv6Only));
        self
    }

    /// Listens on one more Unix socket, at `path`, which must be shorter than 108 bytes. `mode` says who may connect, as
    /// for a file: 0o600 this user, 0o660 its group too, 0o666 everybody who can reach the directory.
    ///
    /// A socket that nobody listens on any more, as a broker leaves it that was killed, is replaced; one that somebody
    /// listens on, and any other file, is left alone. When the manager is dropped the path is unlinked, if it is still
    /// its own.
    ///
    /// ```
    /// use msglib_io_epoll::{EpollSocketManager, connect_unix};
    /// use msglib_proto::transport::{ConnectionManager, Readiness};
    /// use std::time::Duration;
    ///
    /// let path = std::env::temp_dir().join(format!("msglib-{}.sock", std::process::id()));
    /// let mut manager = EpollSocketManager::builder().listen_unix(&path, 0o600).build()?;
    /// let client = connect_unix(&path, Duration::from_secs(10))?;
    /// let mut ready = Vec::new();
    /// while ready.is_empty() {
    ///     manager.poll(&mut ready, None)?;
    /// }
    /// let Readiness::Opened(_, peer) = &ready[0] else { panic!("{ready:?}") };
    /// assert_eq!(peer.to_string(), "unix:(unnamed)", "clients have no path of their own");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn listen_unix(mut self, path: impl Into<PathBuf>, mode: u32) -> Self {
        self.listeners.push(Listen::Unix { path: path.into(), mode });
        self
    }

    /// The most connections that there may be, unlimited unless told otherwise: then the limit of open files is the one
    /// that holds. Those that are draining count. With as many there, accepting stops until one is gone; further peers
    /// wait in the backlog. To tell them that there are too many instead, let a broker's own limit be lower.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.settings.max_connections = count;
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
        self.how.backlog = i32::try_from(count).unwrap_or(i32::MAX);
        self
    }

    /// After how long without a byte the system asks the peer of a TCP connection whether it is still there, in whole
    /// seconds; 60 s unless told otherwise, `None` for never. A peer whose machine or network has vanished is found out
    /// after twice that time, and its connection fails; peers that answer notice nothing. Adopted listeners and
    /// streams keep what they have.
    pub fn keep_alive(mut self, after: Option<Duration>) -> Self {
        self.how.keep_alive = after;
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// When an address cannot be listened on; the error names it, and its kind is the system's (`AddrInUse`,
    /// `PermissionDenied`, `AddrNotAvailable`; for a path also `AlreadyExists` and `NotFound`). When the system is out
    /// of descriptors.
    pub fn build(self) -> io::Result<EpollSocketManager> {
        let mut manager = EpollSocketManager::new(&self.settings)?;
        for listen in self.listeners {
            match listen {
                Listen::Internet(address, wildcard) => {
                    let listener = listen_on_first([address].into_iter(), wildcard, self.how)?;
                    manager.adopt_listener(listener)?;
                }
                Listen::Unix { path, mode } => {
                    let (listener, path) = unix::listen_at(&path, mode, self.how.backlog)?;
                    manager.add_unix_listener(Some(path), listener)?;
                }
            }
        }
        Ok(manager)
    }
}
