//! A connection, to be looked at.

use super::Core;
use super::connection::Connection;
use crate::dialect::Dialect;
use crate::identity::Identity;
use msglib_proto::transport::{ConnectionId, Peer};

/// One connection, as a person or a test sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo<'a> {
    /// Its id.
    pub id: ConnectionId,
    /// Who is at the other end.
    pub peer: &'a Peer,
    /// Who that is, if that was decided.
    pub identity: Option<&'a Identity>,
    /// Bytes that were written to it so far.
    pub sent: u64,
    /// Bytes that wait to be written to it.
    pub queued: usize,
    /// Whether it is over, and only what waits is still written.
    pub is_ending: bool,
}

impl<H, D: Dialect> Core<H, D> {
    /// Every connection that is open, or has still something to be written, in the order of their slots.
    pub fn each_connection(&self) -> impl Iterator<Item = ConnectionInfo<'_>> {
        self.state.connections.iter().map(Connection::info)
    }
}

impl<D: Dialect> Connection<D> {
    fn info(&self) -> ConnectionInfo<'_> {
        ConnectionInfo {
            id: self.id,
            peer: &self.peer,
            identity: self.identity.as_ref(),
            sent: self.sent,
            queued: self.out.len(),
            is_ending: !self.is_live(),
        }
    }
}
