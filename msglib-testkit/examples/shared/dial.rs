//! Where a client program finds its broker.

use msglib_io_epoll::{SocketStream, connect, connect_unix};
use std::io;
use std::time::Duration;

/// Connects to `HOST:PORT`, or to a Unix socket if it is written as `unix:PATH`.
pub(crate) fn dial(address: &str) -> io::Result<SocketStream> {
    let timeout = Duration::from_secs(10);
    match address.strip_prefix("unix:") {
        Some(path) => connect_unix(path, timeout),
        None => connect(address, timeout),
    }
}
