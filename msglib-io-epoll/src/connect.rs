//! How a client gets its stream.

use crate::error::{Action, during, failed};
use crate::listener::{KEEP_ALIVE, keep_alive};
use crate::stream::SocketStream;
use msglib_proto::transport::Address;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

/// Connects to the first address of `address` that answers, within `timeout`, which also becomes the stream's
/// time-out for reading and writing (see [`SocketStream::set_timeout`]). A broker whose machine or network has vanished is
/// found out within two minutes, also without a time-out.
///
/// Several addresses are tried in their order. Each gets its share of the time that is left, so that one that never
/// answers leaves time for the others. The resolution of a name is the system's, and is not part of `timeout`.
///
/// # Errors
///
/// When no address answers; the error names each of them with its reason, and has the kind of the last:
/// `ConnectionRefused`, `TimedOut`, or another one of the system's. `InvalidInput` when `timeout` is zero or the name
/// has no address.
///
/// ```no_run
/// use std::time::Duration;
///
/// let stream = msglib_io_epoll::connect("[::1]:12345", Duration::from_secs(10))?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn connect(address: impl ToSocketAddrs, timeout: Duration) -> io::Result<SocketStream> {
    not_zero(timeout)?;
    let addresses: Vec<SocketAddr> =
        address.to_socket_addrs().map_err(during("resolving the address to connect to"))?.collect();
    let start = Instant::now();
    let mut attempts = Vec::new();
    for (tried, &address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = timeout.saturating_sub(start.elapsed()) / untried;
        match open(address, share, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => attempts.push((Address::Socket(address), error)),
        }
    }
    Err(failed(Action::Connect, attempts))
}

/// Connects to the Unix socket at `path` within `timeout`, which also becomes the stream's time-out for reading and
/// writing.
///
/// # Errors
///
/// When nobody listens there (`ConnectionRefused`, `NotFound`), the mode of the socket does not allow it
/// (`PermissionDenied`), or so many wait to be accepted that it takes longer than `timeout` (`TimedOut`); the error names
/// the path. `InvalidInput` when `timeout` is zero or the path too long.
///
/// ```no_run
/// use std::time::Duration;
///
/// let stream = msglib_io_epoll::connect_unix("/run/broker.sock", Duration::from_secs(10))?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn connect_unix(path: impl AsRef<Path>, timeout: Duration) -> io::Result<SocketStream> {
    not_zero(timeout)?;
    let path = path.as_ref();
    open_unix(path, timeout).map_err(|error| {
        let words = path.to_string_lossy().into_owned();
        // What the kernel says of a full backlog.
        let error = if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error };
        failed(Action::Connect, vec![(Address::Unix(Some(words.into())), error)])
    })
}

fn open_unix(path: &Path, timeout: Duration) -> io::Result<SocketStream> {
    let (socket, address) = (Socket::new(Domain::UNIX, Type::STREAM, None)?, SockAddr::unix(path)?);
    let start = Instant::now();
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // Linux bounds the wait for room in the backlog with it.
        socket.set_write_timeout(Some(left))?;
        match socket.connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    }
    let stream = SocketStream::new(socket);
    stream.set_timeout(Some(timeout))?;
    Ok(stream)
}

fn not_zero(timeout: Duration) -> io::Result<()> {
    match timeout.is_zero() {
        true => Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot connect with a time-out of zero")),
        false => Ok(()),
    }
}

fn open(address: SocketAddr, share: Duration, timeout: Duration) -> io::Result<SocketStream> {
    if share.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let stream = TcpStream::connect_timeout(&address, share)?;
    // Where nobody listens on a port that the system hands out to clients, it may connect a socket to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let stream = Socket::from(stream);
    stream.set_tcp_nodelay(true)?;
    // For who waits without a time-out of their own.
    keep_alive(&stream, KEEP_ALIVE)?;
    let stream = SocketStream::new(stream);
    stream.set_timeout(Some(timeout))?;
    Ok(stream)
}
