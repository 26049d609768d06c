//! What a handler is told.

use crate::core::{AnswerId, TimerId};
use crate::dialect::Dialect;
use crate::native::Native;
use crate::reason::{Reason, Reject};
use core::fmt;
use msglib_proto::transport::{ConnectionId, Peer};

/// Something that happened. Payloads are borrowed for as long as the event lives.
#[non_exhaustive]
pub enum Event<'a, D: Dialect = Native> {
    /// A peer connected; nothing was read from it yet.
    Connected {
        /// The connection.
        id: ConnectionId,
        /// Who, as far as the transport can tell.
        peer: &'a Peer,
    },
    /// A frame came.
    Frame {
        /// Who sent it.
        from: ConnectionId,
        /// What it was.
        frame: D::Frame<'a>,
    },
    /// An answer that the handler has put off is given ([`Context::answer_later`](crate::Context::answer_later)). If it is no refusal, the
    /// handler does now what it would have done at once, and what it returns is the answer: `Ok`, or a refusal of its own.
    Answered {
        /// Whose frame it was.
        from: ConnectionId,
        /// Which answer.
        answer: AnswerId,
        /// If it is a refusal, which the peer will be told; also when it was not given in time.
        refusal: Option<&'a Reject>,
    },
    /// A peer on [`hold`](crate::Context::hold) has closed its sending side, behind something that is kept: the handler may want to wait no
    /// longer on its behalf, and to [go on](crate::Context::go_on) with what is left. Where nothing is kept, the connection is over instead.
    NoMoreInput {
        /// The connection.
        id: ConnectionId,
    },
    /// There is room again on a connection that was [`Full`](crate::SendError::Full).
    Drained {
        /// The connection.
        id: ConnectionId,
    },
    /// A connection is over; comes exactly once for each [`Connected`](Event::Connected), and nothing comes after it.
    Disconnected {
        /// The connection.
        id: ConnectionId,
        /// Why.
        reason: &'a Reason,
    },
    /// A timer that the handler has set is due.
    Timer {
        /// Which.
        timer: TimerId,
        /// What the handler gave it.
        token: u64,
    },
}

impl<D: Dialect> fmt::Debug for Event<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Connected { id, peer } => write!(f, "{id} connected from {peer}"),
            Event::Frame { from, frame } => write!(f, "{from} sent {frame:?}"),
            Event::Answered { from, refusal: None, .. } => write!(f, "{from} is let in"),
            Event::Answered { from, refusal: Some(reject), .. } => write!(f, "{from} is refused: {reject}"),
            Event::NoMoreInput { id } => write!(f, "{id} sends no more, and is on hold"),
            Event::Drained { id } => write!(f, "{id} has room again"),
            Event::Disconnected { id, reason } => write!(f, "{id} is over: {reason}"),
            Event::Timer { timer, token } => write!(f, "{timer:?} is due, token {token}"),
        }
    }
}
