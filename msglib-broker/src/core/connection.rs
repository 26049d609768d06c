//! One connection, as the core keeps it.

use super::answers::AnswerId;
use super::spares::Spares;
use super::timers::TimerId;
use super::volume::Share;
use crate::core::config::CoreConfig;
use crate::dialect::Dialect;
use crate::identity::Identity;
use crate::reason::Reason;
use msglib_proto::transport::{ConnectionId, Peer};
use msglib_proto::{Instant, SendQueue};

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
    /// What of the outbound is answers to the peer.
    pub(crate) answers: Answers,
    /// Bytes that were written so far.
    pub(crate) sent: u64,
    /// How much of what all connections hold is its.
    pub(crate) share: Share,
    /// The handshake's deadline; after that the one for what waits to be written, and in the end the one for the last words.
    pub(crate) deadline: Option<TimerId>,
    /// Few have one of these two, so they are elsewhere: when the peer must have heard something, and what it had been sent when that was set.
    pub(crate) sign_of_life: Option<Box<(TimerId, u64)>>,
    /// If the peer must not be silent for long.
    pub(crate) silence: Option<Box<Silence>>,
    pub(crate) identity: Option<Identity>,
    /// The answer to its last frame that is put off; nothing more of it is handled until then.
    owed: Option<AnswerId>,
}

/// When the peer was heard last, and when that is looked at again.
#[derive(Debug)]
pub(crate) struct Silence {
    pub(crate) timer: TimerId,
    pub(crate) heard: Instant,
}

/// How much of an outbound is answers, to within one turn-over of it.
///
/// The reserve is for answers, and deliveries must not use it up: else a consumer that does not read could not settle either,
/// and a peer that publishes and consumes could wait for itself.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Queued before `mark` was reached, and not sent for all that is known.
    before: u32,
    /// Queued since then.
    since: u32,
    /// A place in the stream; when all before it is sent, a new one is taken.
    mark: u64,
}

impl Answers {
    pub(crate) fn waiting(&self) -> usize {
        self.before.saturating_add(self.since) as usize
    }

    fn queued(&mut self, bytes: usize) {
        // Four GiB are far above any reserve.
        self.since = self.since.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// The stream was sent up to `sent`, and `queued` is its end.
    fn sent(&mut self, sent: u64, queued: u64) {
        if sent >= self.mark {
            self.before = core::mem::take(&mut self.since);
            self.mark = queued;
        }
        if sent == queued {
            self.before = 0;
        }
    }
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Frames come and go.
    Live,
    /// Nothing more is taken from the peer; the end comes at the end of the step, after what is due to it.
    Ending(Box<Reason>),
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
    /// The handshake is done, or there is none.
    pub(crate) greeted: bool,
    /// Held input waits for room in the outbound.
    pub(crate) stalled: bool,
    /// Why no further frames are handled for now.
    pub(crate) holds: Holds,
}

/// Why a peer's frames have to wait for something that this side does; in one byte, for it is looked at for each frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Holds(u8);

impl Holds {
    /// The handler wants it.
    pub(crate) const HANDLER: Holds = Holds(1);
    /// The answer to the last frame is put off.
    pub(crate) const ANSWER: Holds = Holds(2);

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn has(self, hold: Holds) -> bool {
        self.0 & hold.0 != 0
    }

    /// Sets or clears one of them, and says whether it was set before.
    pub(crate) fn set(&mut self, hold: Holds, is_set: bool) -> bool {
        let was_set = self.0 & hold.0 != 0;
        self.0 = if is_set { self.0 | hold.0 } else { self.0 & !hold.0 };
        was_set
    }
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
            answers: Answers::default(),
            sent: 0,
            share: Share::default(),
            deadline: None,
            sign_of_life: None,
            silence: None,
            identity: None,
            owed: None,
        }
    }

    /// The answer that is put off.
    pub(crate) fn owed(&self) -> Option<AnswerId> {
        self.owed
    }

    /// An answer is put off, or is not any more; returns the one before.
    pub(crate) fn owe(&mut self, answer: Option<AnswerId>) -> Option<AnswerId> {
        self.flags.holds.set(Holds::ANSWER, answer.is_some());
        core::mem::replace(&mut self.owed, answer)
    }

    /// The first `n` bytes that waited are written.
    pub(crate) fn advance(&mut self, n: usize) {
        self.out.advance(n);
        self.sent += n as u64;
        self.answers.sent(self.sent, self.sent + self.out.len() as u64);
    }

    /// Something is about to be queued.
    #[inline]
    pub(crate) fn take_spare(&mut self, spares: &mut Spares) {
        if self.out.capacity() == 0
            && let Some(buffer) = spares.take()
        {
            self.out.adopt(buffer);
        }
    }

    /// What was queued since the outbound had `before` bytes is an answer.
    pub(crate) fn answered(&mut self, before: usize) {
        self.answers.queued(self.out.len().saturating_sub(before));
    }

    /// The reason of an end that is due at the end of the step, taken out.
    pub(crate) fn take_ending(&mut self) -> Option<Reason> {
        match core::mem::replace(&mut self.phase, Phase::Live) {
            Phase::Ending(reason) => Some(*reason),
            other => {
                self.phase = other;
                None
            }
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
        self.answers.waiting() <= config.reserve
    }

    /// Whether frames of the peer can be handled now.
    pub(crate) fn may_handle(&self, config: &CoreConfig) -> bool {
        self.is_live() && self.flags.holds.is_none() && self.has_reserve(config)
    }

    /// Whether the handler holds back what the peer has sent before its end.
    pub(crate) fn is_held_at_end(&self) -> bool {
        self.is_live() && self.flags.holds.has(Holds::HANDLER) && self.flags.input_over && !self.held.is_empty()
    }

    /// Whether more can be read from the peer now. On hold as well, until something is kept, and if the handler holds it until enough is,
    /// so that its end is noticed.
    pub(crate) fn may_read(&self, config: &CoreConfig) -> bool {
        let may_keep =
            || self.flags.holds.has(Holds::HANDLER) && self.held.len() < config.hold_ahead && !self.flags.input_over;
        self.is_live() && self.has_reserve(config) && (self.held.is_empty() || may_keep())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Native;

    /// Ten thousand idle connections cost no more than 750 bytes each, with what the handler and the transport keep of them: what is rare
    /// belongs elsewhere.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection<Native>>() <= 464, "{} bytes", size_of::<Connection<Native>>());
    }
}
