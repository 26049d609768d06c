//! What can go wrong: two types for what a caller does to a transport, and the words for what happens to a connection.

use msglib_proto::transport::ConnectionId;
use std::io;

/// Why [`Transport::connect`](crate::Transport::connect) made no connection.
///
/// Converts into an [`io::Error`] of the kind `ConnectionRefused`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No manager is bound to the endpoint.
    #[error("connection refused: no manager is bound to {endpoint:?} in this transport; {}", those(.bound))]
    Refused {
        /// The endpoint that was asked for.
        endpoint: String,
        /// Those that are bound, in alphabetical order.
        bound: Vec<String>,
    },
    /// As many connections as the backlog has room for wait until the manager polls.
    #[error("connection refused: {waiting} connections wait at {endpoint:?}, its backlog is full; let its broker poll")]
    BacklogFull {
        /// The endpoint that was asked for.
        endpoint: String,
        /// The number of connections that wait.
        waiting: usize,
    },
}

/// Why no [`InMemoryConnectionManager`](crate::InMemoryConnectionManager) was made.
///
/// Converts into an [`io::Error`] of the kind `AddrInUse`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another manager is bound to the endpoint.
    #[error("a manager is already bound to {endpoint:?} in this transport; drop it first, or choose another name")]
    AlreadyBound {
        /// The endpoint that was asked for.
        endpoint: String,
    },
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionRefused, error)
    }
}

impl From<BindError> for io::Error {
    fn from(error: BindError) -> io::Error {
        io::Error::new(io::ErrorKind::AddrInUse, error)
    }
}

/// Says which endpoints are bound, the first few of many.
fn those(bound: &[String]) -> String {
    const SHOWN: usize = 8;
    match bound {
        [] => "nothing is bound".to_owned(),
        few if few.len() <= SHOWN => format!("bound: {few:?}"),
        many => format!("bound: {:?} and {} more", &many[..SHOWN], many.len() - SHOWN),
    }
}

/// Every day's answer, without an allocation.
pub(crate) fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

pub(crate) fn not_found(id: ConnectionId) -> io::Error {
    let text = format!("connection {id} is not open here: it never was, it was closed, or it has failed");
    io::Error::new(io::ErrorKind::NotFound, text)
}

pub(crate) fn reset_by_peer(address: u64) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, format!("memory:{address} has reset the connection"))
}

pub(crate) fn peer_is_gone(address: u64) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, format!("memory:{address} has dropped its stream, nobody reads this"))
}

pub(crate) fn reset_here(address: u64) -> io::Error {
    let text = format!("this stream, memory:{address}, was ended with reset()");
    io::Error::new(io::ErrorKind::ConnectionReset, text)
}

pub(crate) fn reset_by_broker(address: u64) -> io::Error {
    let text = format!("the broker has aborted the connection of memory:{address}, or gave up draining it");
    io::Error::new(io::ErrorKind::ConnectionReset, text)
}

pub(crate) fn closed_by_broker(address: u64) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, format!("the broker has closed the connection of memory:{address}"))
}

pub(crate) fn shut_down_here(address: u64) -> io::Error {
    let text = format!("this stream, memory:{address}, was shut down for writing");
    io::Error::new(io::ErrorKind::BrokenPipe, text)
}
