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
    /// How long a connection may have something to be written without taking a byte of it; it is cut off then
    /// ([`Reason::TooSlow`](crate::Reason::TooSlow)), and what it had not settled goes back. A quarter more if it took some since it was
    /// found full. Default 60 s: a peer that is busy with one message does not read meanwhile, and is found full only when the system's
    /// buffers are.
    pub write_timeout: Duration,
    /// Connections that may be open at once; the next is told `TOO_MANY_CONNECTIONS`, and the handler does not hear of it. Default
    /// 100,000: at less than a kilobyte for an idle one, below 100 MB.
    pub max_connections: usize,
    /// Those of one address: of an IPv4 address, or an IPv6 /64. Peers on the same machine, in memory or through Unix sockets, have none,
    /// and only the limit for all. Default without a limit, for behind a proxy all peers have one address.
    pub max_connections_per_address: usize,
    /// Connections that may be closing at once: over for the handler, with last words still to be written, or waiting for the
    /// peer to close too. More are cut off at once, but in a shutdown. Default 10,000: each holds a descriptor for up to
    /// [`close_timeout`](CoreConfig::close_timeout).
    pub max_closing: usize,
    /// Bytes that may wait to be written on all connections together. From there until half of it the broker is
    /// [busy](crate::Context::is_busy), and deliveries wait from [`busy_high_water`](CoreConfig::busy_high_water) on. Default 1 GiB: 4,096
    /// connections at their high-water mark.
    pub max_outbound: usize,
    /// Takes the place of [`high_water`](CoreConfig::high_water) while too much is waiting on all connections together: those who read go
    /// on, and who does not gets nothing more. Default 16 KiB.
    pub busy_high_water: usize,
    /// Bytes that may be kept of what peers have sent, frames that are not whole or not handled yet, on all connections that have more than
    /// 16 KiB of it: a connection may always have so much. When it is more, who has not finished a frame for longest is cut off (`BUSY`),
    /// until it is no more than that; the others notice nothing. Default 1 GiB: 64 of the largest frames.
    pub max_inbound: usize,
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
            write_timeout: Duration::from_secs(60),
            max_connections: 100_000,
            max_connections_per_address: usize::MAX,
            max_closing: 10_000,
            max_outbound: 1 << 30,
            busy_high_water: 16 * 1024,
            max_inbound: 1 << 30,
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
    /// With another [`write_timeout`](CoreConfig::write_timeout); [`Duration::MAX`] is for ever.
    with_write_timeout, write_timeout: Duration;
    /// With another [`max_connections`](CoreConfig::max_connections).
    with_max_connections, max_connections: usize;
    /// With another [`max_connections_per_address`](CoreConfig::max_connections_per_address).
    with_max_connections_per_address, max_connections_per_address: usize;
    /// With another [`max_closing`](CoreConfig::max_closing).
    with_max_closing, max_closing: usize;
    /// With another [`max_outbound`](CoreConfig::max_outbound), in bytes.
    with_max_outbound, max_outbound: usize;
    /// With another [`busy_high_water`](CoreConfig::busy_high_water), in bytes; 0 counts as 1, and more than
    /// [`high_water`](CoreConfig::high_water) as that.
    with_busy_high_water, busy_high_water: usize;
    /// With another [`max_inbound`](CoreConfig::max_inbound), in bytes.
    with_max_inbound, max_inbound: usize;
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
    /// Peers that were turned away, for there were too many connections, in all or from their address. They are not among the
    /// connected.
    pub turned_away: u64,
    /// Connections that were cut off because nothing came from them for too long.
    pub idle_timeouts: u64,
    /// Connections that were cut off because they took nothing of what waited for them for too long.
    pub write_timeouts: u64,
    /// Connections that were cut off at their end, for too many were closing already. They are among the aborted.
    pub closings_cut: u64,
    /// Times that too much waited to be written, in all.
    pub outbound_limits: u64,
    /// Times that it became too much what is kept of what peers have sent, in all.
    pub inbound_limits: u64,
    /// Connections that were cut off for that.
    pub evicted: u64,
    /// Answers that were put off.
    pub answers_put_off: u64,
    /// Those that could not be put off, for too many were.
    pub answers_turned_away: u64,
    /// Those that were not given in time.
    pub answer_timeouts: u64,
    /// Reads of peers who were not welcome yet and had sent as much as is read of these at once.
    pub handshake_reads: u64,
    /// Times that nothing more was read from a peer, for it had not taken the answers that it was owed.
    pub reserve_limits: u64,
    /// Turns of reading that had as many reads as one may have: there may be more to read.
    pub read_turns_cut: u64,
    /// Turns that ended with more frames to handle.
    pub frame_turns_cut: u64,
    /// Steps that ended with more timers due.
    pub timer_turns_cut: u64,
}

/// What a core holds now; see [`Core::load`](crate::Core::load).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Load {
    /// Connections that are open.
    pub connections: usize,
    /// Connections that are over, and have still something to be written.
    pub closing: usize,
    /// Bytes that wait to be written, on all connections together, as of the end of the last step.
    pub outbound: usize,
    /// Bytes of memory that hold what peers have sent and the handler has not seen: frames that are not whole, or wait.
    pub inbound: usize,
    /// Whether too much waits to be written; see [`Context::is_busy`](crate::Context::is_busy).
    pub is_busy: bool,
}
