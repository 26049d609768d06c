//! Listening sockets, and what a failed accept means.

use crate::address;
use crate::error::{Action, failed};
use crate::unix::BoundPath;
use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use msglib_proto::transport::Address;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A socket that peers connect to.
#[derive(Debug)]
pub(crate) enum Listener {
    Internet(TcpListener),
    Unix {
        /// If the path is ours: it is unlinked when this is dropped, which is before the socket is closed.
        _path: Option<BoundPath>,
        socket: UnixListener,
    },
}

/// What `[::]` means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wildcard {
    /// Every address of the machine, IPv4 too.
    BothFamilies,
    Ipv6Only,
}

/// What listeners have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listening {
    pub(crate) backlog: i32,
    /// Accepted sockets have it from their listener, so that it costs no call for each.
    pub(crate) keep_alive: Option<Duration>,
}

impl Default for Listening {
    fn default() -> Listening {
        Listening { backlog: 1024, keep_alive: Some(KEEP_ALIVE) }
    }
}

/// How long nothing may come before a peer is asked whether it is still there, unless told otherwise.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(60);

impl Listener {
    /// The next peer, non-blocking, and where it is.
    pub(crate) fn accept(&self) -> io::Result<(Socket, Address)> {
        match self {
            Listener::Internet(socket) => {
                let (stream, from) = socket.accept()?;
                let stream = Socket::from(OwnedFd::from(stream));
                no_delay(&stream);
                Ok((stream, address::internet(from)))
            }
            Listener::Unix { socket, .. } => {
                let (stream, from) = socket.accept()?;
                Ok((Socket::from(OwnedFd::from(stream)), address::unix(&from)))
            }
        }
    }

    pub(crate) fn address(&self) -> io::Result<Address> {
        match self {
            // Not as a peer's: `[::ffff:0.0.0.0]` is what was asked for, if it was.
            Listener::Internet(socket) => socket.local_addr().map(Address::Socket),
            Listener::Unix { socket, .. } => socket.local_addr().map(|address| address::unix(&address)),
        }
    }

    /// What to register.
    pub(crate) fn source(&mut self) -> &mut dyn Source {
        match self {
            Listener::Internet(socket) => socket,
            Listener::Unix { socket, .. } => socket,
        }
    }
}

/// Frames are written when they are due, and whole batches at once: the kernel need not wait for more.
pub(crate) fn no_delay(stream: &Socket) {
    // It fails only when the connection has failed before, which `read` will tell (T10).
    drop(stream.set_tcp_nodelay(true));
}

/// How often a peer that does not answer is asked again, and how often in the time that it has before: one that has vanished is
/// found out after twice that time.
const PROBES: u32 = 4;

/// Asks the peers of a socket, or of all that it accepts, whether they are still there when nothing has come for `after`.
pub(crate) fn keep_alive(socket: &Socket, after: Duration) -> io::Result<()> {
    // The system counts in whole seconds, of which there must be one.
    let second = Duration::from_secs(1);
    let settings = TcpKeepalive::new().with_time(after.max(second)).with_retries(PROBES);
    socket.set_tcp_keepalive(&settings.with_interval((after / PROBES).max(second)))
}

/// Listens on the first of `addresses` that works; if none does, the error names them all.
pub(crate) fn listen_on_first(
    addresses: impl Iterator<Item = SocketAddr>,
    wildcard: Wildcard,
    how: Listening,
) -> io::Result<std::net::TcpListener> {
    let mut attempts = Vec::new();
    for address in addresses {
        match open(address, wildcard, how) {
            Ok(listener) => return Ok(listener),
            Err(error) => attempts.push((Address::Socket(address), error)),
        }
    }
    Err(failed(Action::Listen, attempts))
}

fn open(address: SocketAddr, wildcard: Wildcard, how: Listening) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let SocketAddr::V6(v6) = address {
        // The system's default may be either.
        socket.set_only_v6(!v6.ip().is_unspecified() || wildcard == Wildcard::Ipv6Only)?;
    }
    // A restarted broker must not wait for the old one's connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    if let Some(after) = how.keep_alive {
        keep_alive(&socket, after)?;
    }
    socket.bind(&address.into())?;
    socket.listen(how.backlog)?;
    Ok(socket.into())
}

/// What to do about an error of `accept`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Nobody waits: an edge will tell of the next one.
    Empty,
    /// The error was about one peer, which is gone: go on with the next.
    Next,
    /// The system is out of descriptors or memory, or something worse: not now.
    Pause,
}

/// Errors of a connection's network that `accept` passes on (`accept(2)`), and that std has no kind for.
const PASSED_ON: [i32; 5] = [EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EOPNOTSUPP];
const ENONET: i32 = 64;
const EPROTO: i32 = 71;
const ENOPROTOOPT: i32 = 92;
const EOPNOTSUPP: i32 = 95;
const EHOSTDOWN: i32 = 112;

/// Judges an error of `accept`. What is unknown is a reason to pause: that costs a second at most, and never spins.
pub(crate) fn judge(error: &io::Error) -> Verdict {
    use io::ErrorKind::*;
    match error.kind() {
        WouldBlock => Verdict::Empty,
        Interrupted | ConnectionAborted | ConnectionReset | TimedOut => Verdict::Next,
        NetworkDown | NetworkUnreachable | HostUnreachable => Verdict::Next,
        // A firewall's rule forbids this peer.
        PermissionDenied => Verdict::Next,
        _ if error.raw_os_error().is_some_and(|number| PASSED_ON.contains(&number)) => Verdict::Next,
        _ => Verdict::Pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an accepted connection has of it: after how long, how often and how many times.
    fn probes(how: Listening) -> io::Result<Option<(Duration, Duration, u32)>> {
        let listener = open(([127, 0, 0, 1], 0).into(), Wildcard::BothFamilies, how)?;
        let _client = std::net::TcpStream::connect(listener.local_addr()?)?;
        let peer = Socket::from(listener.accept()?.0);
        let settings = (peer.tcp_keepalive_time()?, peer.tcp_keepalive_interval()?, peer.tcp_keepalive_retries()?);
        Ok(peer.keepalive()?.then_some(settings))
    }

    #[test]
    fn accepted_connections_notice_when_their_peer_vanishes() -> io::Result<()> {
        let seconds = Duration::from_secs;
        assert_eq!(probes(Listening::default())?, Some((seconds(60), seconds(15), 4)));
        let how = |millis| Listening { keep_alive: Some(Duration::from_millis(millis)), ..Listening::default() };
        assert_eq!(probes(how(20_000))?, Some((seconds(20), seconds(5), 4)));
        assert_eq!(probes(how(1))?, Some((seconds(1), seconds(1), 4)));
        assert_eq!(probes(Listening { keep_alive: None, ..Listening::default() })?, None);
        Ok(())
    }

    #[test]
    fn accepted_connections_do_not_hold_small_writes_back() -> io::Result<()> {
        let socket = open(([127, 0, 0, 1], 0).into(), Wildcard::BothFamilies, Listening::default())?;
        let address = socket.local_addr()?;
        // Without waiting: the peer is there when its connect has returned.
        let listener = Listener::Internet(TcpListener::from_std(socket));
        let client = std::net::TcpStream::connect(address)?;
        let (accepted, from) = listener.accept()?;
        assert_eq!(from, Address::Socket(client.local_addr()?));
        assert!(accepted.tcp_nodelay()? && !client.nodelay()?, "this end's doing");
        Ok(())
    }

    #[test]
    fn errors_of_one_peer_are_passed_over_and_shortages_pause() {
        let verdict = |number| judge(&io::Error::from_raw_os_error(number));
        assert_eq!(verdict(11), Verdict::Empty, "EAGAIN");
        for (number, name) in [
            (103, "ECONNABORTED"),
            (71, "EPROTO"),
            (92, "ENOPROTOOPT"),
            (95, "EOPNOTSUPP"),
            (100, "ENETDOWN"),
            (101, "ENETUNREACH"),
            (112, "EHOSTDOWN"),
            (113, "EHOSTUNREACH"),
            (64, "ENONET"),
            (1, "EPERM"),
            (4, "EINTR"),
        ] {
            assert_eq!(verdict(number), Verdict::Next, "{name}");
        }
        for (number, name) in [(24, "EMFILE"), (23, "ENFILE"), (105, "ENOBUFS"), (12, "ENOMEM"), (22, "EINVAL")] {
            assert_eq!(verdict(number), Verdict::Pause, "{name}");
        }
    }
}
