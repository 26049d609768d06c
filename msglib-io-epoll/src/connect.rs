//! How a client gets its stream.

use crate::error::{Action, during, failed};
use crate::stream::SocketStream;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Connects to the first address of `address` that answers, within `timeout`, which also becomes the stream's
/// time-out for reading and writing (see [`SocketStream::set_timeout`]).
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
    if timeout.is_zero() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "cannot connect with a time-out of zero"));
    }
    let addresses: Vec<SocketAddr> =
        address.to_socket_addrs().map_err(during("resolving the address to connect to"))?.collect();
    let start = Instant::now();
    let mut attempts = Vec::new();
    for (tried, &address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = timeout.saturating_sub(start.elapsed()) / untried;
        match open(address, share, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => attempts.push((address, error)),
        }
    }
    Err(failed(Action::Connect, attempts))
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
    stream.set_nodelay(true)?;
    let stream = SocketStream::new(stream);
    stream.set_timeout(Some(timeout))?;
    Ok(stream)
}
