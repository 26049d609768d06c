//! What a broker counts when somebody misbehaves.

use msglib_broker::Counters;

/// A counter that stays where it is for whoever keeps to the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::abuse) enum Counter {
    ProtocolErrors,
    Rejected,
    HandshakeTimeouts,
    TurnedAway,
    IdleTimeouts,
    WriteTimeouts,
    ClosingsCut,
    OutboundLimits,
    InboundLimits,
    Evicted,
    AnswersTurnedAway,
    AnswerTimeouts,
}

impl Counter {
    pub(super) const ALL: [Counter; 12] = [
        Counter::ProtocolErrors,
        Counter::Rejected,
        Counter::HandshakeTimeouts,
        Counter::TurnedAway,
        Counter::IdleTimeouts,
        Counter::WriteTimeouts,
        Counter::ClosingsCut,
        Counter::OutboundLimits,
        Counter::InboundLimits,
        Counter::Evicted,
        Counter::AnswersTurnedAway,
        Counter::AnswerTimeouts,
    ];

    pub(super) fn read(self, counters: &Counters) -> u64 {
        match self {
            Counter::ProtocolErrors => counters.protocol_errors,
            Counter::Rejected => counters.rejected,
            Counter::HandshakeTimeouts => counters.handshake_timeouts,
            Counter::TurnedAway => counters.turned_away,
            Counter::IdleTimeouts => counters.idle_timeouts,
            Counter::WriteTimeouts => counters.write_timeouts,
            Counter::ClosingsCut => counters.closings_cut,
            Counter::OutboundLimits => counters.outbound_limits,
            Counter::InboundLimits => counters.inbound_limits,
            Counter::Evicted => counters.evicted,
            Counter::AnswersTurnedAway => counters.answers_turned_away,
            Counter::AnswerTimeouts => counters.answer_timeouts,
        }
    }
}
