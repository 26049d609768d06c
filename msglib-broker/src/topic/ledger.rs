//! The books of topics.

/// What became of every message, for every subscription that it was meant for.
///
/// A *copy* is a message and a subscription whose filter means its topic; a group has one copy of each message, whoever of its
/// members gets it. Each copy is counted in exactly one of `delivered`, `waiting`, `lost` and `abandoned`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct TopicLedger {
    /// Messages that were taken.
    pub published: u64,
    /// Those of them that nobody had subscribed to.
    pub unmatched: u64,
    /// Copies.
    pub copies: u64,
    /// Those that were delivered.
    pub delivered: u64,
    /// Those that wait.
    pub waiting: u64,
    /// Those that a full buffer had no room for, or that gave way to a newer one.
    pub lost: u64,
    /// How many of the lost ones the subscribers were told of; the others will be, unless they leave.
    pub announced: u64,
    /// Those that waited when their subscription ended.
    pub abandoned: u64,
    /// Last values that were delivered to new subscriptions, beside the copies.
    pub retained_delivered: u64,
    /// Messages that were not taken, for a limit was reached.
    pub turned_away: u64,
    /// Those of them that would have been a last value, and there was no room for it in all.
    pub values_turned_away: u64,
    /// Topics that were not opened, for there were too many.
    pub topics_turned_away: u64,
    /// Topics that were not opened, and last values that were not kept, for an identity had too many.
    pub identity_limits: u64,
    /// Subscribers that were not taken, for there were too many.
    pub subscribers_turned_away: u64,
    /// Topics whose list of subscriptions was forgotten, for there were too many in all lists.
    pub matches_forgotten: u64,
    /// Subscribers that were too slow for a subscription that ends rather than lose something.
    pub disconnected: u64,
}

impl TopicLedger {
    /// Whether the books add up. They always do, else the topics have a bug.
    pub const fn is_balanced(&self) -> bool {
        self.copies == self.delivered + self.waiting + self.lost + self.abandoned && self.announced <= self.lost
    }
}
