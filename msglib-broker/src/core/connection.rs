//! One connection, as the core keeps it.

use crate::core::config::CoreConfig;
use crate::dialect::Dialect;
use crate::reason::Reason;
use msglib_proto::SendQueue;
use msglib_proto::transport::{ConnectionId, Peer};

/// What the core knows of one connection.
pub(crate) struct Connection<D: Dialect> {
    pub(crate) id: ConnectionId,
    pub(crate) peer: Peer,
    pub(crate) session: D::Session,
    /// Taken out while the connection's frames are handled.
    pub(crate) decoder: Option<D::Decoder>,
    pub(crate) out: SendQueue,
    /// Input that was read and not decoded: over its turn's budget, or behind a full outbound.
    pub(crate) held: Vec<u8>,
    pub(crate) phase: Phase,
    pub(crate) flags: Flags,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Frames come and go.
    Live,
    /// Nothing more is taken from the peer; the end comes at the end of the step, after what is due to it.
    Ending(Reason),
    /// The handler was told that it is over; what waits is written, then it is closed.
    Draining,
    /// It is in the list of connections to close.
    Closing,
}

/// Which lists the connection is in, and what somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// In the list of connections with something to write.
    pub(crate) touched: bool,
    /// A send was refused as full: `Drained` is due when there is room.
    pub(crate) wants_room: bool,
    /// Input was refused: the driver is told when it is welcome again.
    pub(crate) wants_input: bool,
    /// The peer's stream has ended behind the held input.
    pub(crate) input_over: bool,
    /// Held input waits for room in the outbound.
    pub(crate) stalled: bool,
}

impl<D: Dialect> Connection<D> {
    pub(crate) fn new(id: ConnectionId, peer: Peer, (decoder, session): (D::Decoder, D::Session)) -> Self {
        Connection {
            id,
            peer,
            session,
            decoder: Some(decoder),
            out: SendQueue::new(),
            held: Vec::new(),
            phase: Phase::Live,
            flags: Flags::default(),
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// Whether frames can be sent: also while the end is near, for what is due must still go out.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Ending(_))
    }

    /// Whether the answers to further input would have room.
    pub(crate) fn has_reserve(&self, config: &CoreConfig) -> bool {
        self.out.len() <= config.high_water.saturating_add(config.reserve)
    }

    /// Whether frames of the peer can be handled now.
    pub(crate) fn may_handle(&self, config: &CoreConfig) -> bool {
        self.is_live() && self.has_reserve(config)
    }

    /// Whether more can be read from the peer now.
    pub(crate) fn may_read(&self, config: &CoreConfig) -> bool {
        self.may_handle(config) && self.held.is_empty()
    }
}
