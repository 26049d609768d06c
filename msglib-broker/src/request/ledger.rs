//! The books of a service.

/// What became of every request.
///
/// Each request that was taken is counted in exactly one of `waiting`, `in_hand`, the outcomes (`replied` to `caller_too_slow`) and
/// `abandoned`; and each that has an outcome in exactly one of `told`, `untold` and `unheard`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RequestLedger {
    /// Requests that were taken.
    pub requested: u64,
    /// Those that wait for a responder.
    pub waiting: u64,
    /// Those that a responder has.
    pub in_hand: u64,
    /// Those that got a reply.
    pub replied: u64,
    /// Those that a responder refused, or could not take.
    pub refused: u64,
    /// Those that there was no responder for.
    pub no_responder: u64,
    /// Those whose deadline came first.
    pub timed_out: u64,
    /// Those whose responder went away with them in hand.
    pub responder_gone: u64,
    /// Those whose caller had no room for the reply.
    pub caller_too_slow: u64,
    /// Those whose caller went away before there was an outcome.
    pub abandoned: u64,
    /// Outcomes that the caller has.
    pub told: u64,
    /// Outcomes that the caller has not taken yet.
    pub untold: u64,
    /// Outcomes whose caller went away before it took them.
    pub unheard: u64,
    /// Answers that came too late, or to nothing, and had no effect.
    pub late: u64,
    /// Requests that were not taken, for the service was full.
    pub turned_away: u64,
}

impl RequestLedger {
    /// Whether the books add up. They always do, else the service has a bug.
    pub const fn is_balanced(&self) -> bool {
        let outcomes = self.replied
            + self.refused
            + self.no_responder
            + self.timed_out
            + self.responder_gone
            + self.caller_too_slow;
        self.requested == self.waiting + self.in_hand + outcomes + self.abandoned
            && outcomes == self.told + self.untold + self.unheard
    }
}
