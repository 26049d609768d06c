//! Every limit of the core, with its default and its reason.

use core::time::Duration;
use msglib_proto::MAX_HELLO;

/// How much a core takes on; the limits of the wire are [`Limits`](msglib_proto::Limits).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CoreConfig {
    /// From this many bytes waiting for one connection on, deliveries to it are
    /// [`Full`](crate::SendError::Full). Default 256 KiB: as much as one write takes well.
    pub high_water: usize,
    /// Beside the deliveries, the answers to what a peer sends have this much room; when it is used up nothing more is read from
    /// that peer until some of it is written. Deliveries do not use it up, so that who does not read can still settle.
    /// Default 64 KiB.
    pub reserve: usize,
    /// From this many bytes of a peer on [`hold`](crate::Context::hold) on, nothing more is read from it. Default 64 KiB: enough for whoever
    /// sends ahead, and the end of others is noticed.
    pub hold_ahead: usize,
    /// Frames handled for one connection before the others have their turn. Default 16,384.
    pub frames_per_turn: usize,
    /// Timers fired in one step. Default 4,096.
    pub timers_per_step: usize,
    /// How long a new connection has for its handshake. Default 10 s.
    pub handshake_timeout: Duration,
    /// Bytes that one read takes from a peer whose handshake is not done, so that one whose `HELLO` is answered later
    /// ([`Context::answer_later`](crate::Context::answer_later)) has little kept for it. Default 16 KiB: all that a client may send before
    /// its `WELCOME` (PROTOCOL §4.4).
    pub handshake_read: usize,
    /// Answers that may be put off at once. What their peers send meanwhile is kept, one read of each. Default 1,024.
    pub max_pending_answers: usize,
    /// How long an answer may be put off; then it is a refusal. Default 10 s.
    pub answer_timeout: Duration,
    /// How long what waits for a connection may take to be written when the connection ends. Default 5 s.
    pub close_timeout: Duration,
}

impl Default for CoreConfig {
    fn default() -> CoreConfig {
        CoreConfig {
            high_water: 256 * 1024,
            reserve: 64 * 1024,
            hold_ahead: 64 * 1024,
            frames_per_turn: 16_384,
            timers_per_step: 4_096,
            handshake_timeout: Duration::from_secs(10),
            handshake_read: MAX_HELLO as usize,
            max_pending_answers: 1_024,
            answer_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
        }
    }
}

/// Sets one field, for code outside of this crate, where the struct is not exhaustive.
macro_rules! setters {
    ($($(#[$doc:meta])* $setter:ident, $field:ident: $type:ty;)*) => {
        impl CoreConfig {
            $($(#[$doc])* pub fn $setter(mut self, value: $type) -> CoreConfig {
                self.$field = value;
                self
            })*
        }
    };
}

setters! {
    /// With another [`high_water`](CoreConfig::high_water), in bytes; with 0 there would never be room, so it counts as 1.
    with_high_water, high_water: usize;
    /// With another [`reserve`](CoreConfig::reserve), in bytes.
    with_reserve, reserve: usize;
    /// With another [`hold_ahead`](CoreConfig::hold_ahead), in bytes.
    with_hold_ahead, hold_ahead: usize;
    /// With another [`frames_per_turn`](CoreConfig::frames_per_turn); 0 counts as 1.
    with_frames_per_turn, frames_per_turn: usize;
    /// With another [`timers_per_step`](CoreConfig::timers_per_step); 0 counts as 1.
    with_timers_per_step, timers_per_step: usize;
    /// With another [`handshake_timeout`](CoreConfig::handshake_timeout).
    with_handshake_timeout, handshake_timeout: Duration;
    /// With another [`handshake_read`](CoreConfig::handshake_read), in bytes; 0 counts as 1.
    with_handshake_read, handshake_read: usize;
    /// With another [`max_pending_answers`](CoreConfig::max_pending_answers).
    with_max_pending_answers, max_pending_answers: usize;
    /// With another [`answer_timeout`](CoreConfig::answer_timeout).
    with_answer_timeout, answer_timeout: Duration;
    /// With another [`close_timeout`](CoreConfig::close_timeout).
    with_close_timeout, close_timeout: Duration;
}

/// What a core has done since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that were opened.
    pub connected: u64,
    /// Connections that are over.
    pub disconnected: u64,
    /// Frames that were received, the ones that the handler did not see included.
    pub frames_received: u64,
    /// Frames that the handler sent.
    pub frames_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes written.
    pub bytes_sent: u64,
    /// Connections that ended because the peer broke the protocol.
    pub protocol_errors: u64,
    /// Frames that the handler refused.
    pub rejected: u64,
    /// Times that a connection was found full.
    pub full: u64,
    /// Connections that were cut off with something still to be written to them, by a deadline or for good.
    pub aborted: u64,
    /// Connections that did not finish their handshake in time.
    pub handshake_timeouts: u64,
    /// Answers that were put off.
    pub answers_put_off: u64,
    /// Those that could not be put off, for too many were.
    pub answers_turned_away: u64,
    /// Those that were not given in time.
    pub answer_timeouts: u64,
}
