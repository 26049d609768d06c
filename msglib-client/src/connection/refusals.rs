//! Refused publishes that nobody waits for: kept until they are asked for, bounded.

use core::ops::RangeInclusive;
use msglib_proto::{ChannelKind, ErrorCode, OwnedName};
use std::collections::VecDeque;
use std::sync::Arc;

/// The most refusals that are kept; a text has at most 1,024 bytes.
const KEPT: usize = 256;

/// Publishes that the broker did not accept and that nobody waits for; see
/// [`Connection::take_refusals`](super::Connection::take_refusals).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The kind of the channel that they were meant for.
    pub kind: ChannelKind,
    /// Its name.
    pub channel: OwnedName,
    /// Their numbers on their link: 1 is the first publish to the channel on this connection, or since its link was last
    /// closed.
    pub numbers: RangeInclusive<u64>,
    /// Why.
    pub code: ErrorCode,
    /// Why, for a person.
    pub text: Arc<str>,
}

/// The refusals since the last time they were taken.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Refusals {
    /// In the order in which the broker told them; neighbours with the same reason are one. At most 256.
    pub list: Vec<Refusal>,
    /// How many publishes were refused whose refusals are not in the list, because it was full.
    pub dropped: u64,
}

#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    kept: VecDeque<Refusal>,
    dropped: u64,
}

impl RefusalLog {
    pub(super) fn push(&mut self, refusal: Refusal) {
        if let Some(last) = self.kept.back_mut()
            && continues(last, &refusal)
        {
            last.numbers = *last.numbers.start()..=*refusal.numbers.end();
        } else if self.kept.len() < KEPT {
            self.kept.push_back(refusal);
        } else {
            let (first, last) = refusal.numbers.into_inner();
            self.dropped = self.dropped.saturating_add((last - first).saturating_add(1));
        }
    }

    pub(super) fn take(&mut self) -> Refusals {
        let log = core::mem::take(self);
        Refusals { list: log.kept.into(), dropped: log.dropped }
    }
}

fn continues(last: &Refusal, next: &Refusal) -> bool {
    let follows = last.numbers.end().checked_add(1) == Some(*next.numbers.start());
    follows && (last.kind, &last.channel, last.code, &last.text) == (next.kind, &next.channel, next.code, &next.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(numbers: RangeInclusive<u64>) -> Refusal {
        let channel = msglib_proto::ChannelName::id(1).to_owned();
        Refusal { kind: ChannelKind::QUEUE, channel, numbers, code: ErrorCode::QUEUE_FULL, text: "full".into() }
    }

    #[test]
    fn neighbours_are_one_and_the_list_is_bounded() {
        let mut log = RefusalLog::default();
        log.push(refusal(1..=1));
        log.push(refusal(2..=5));
        assert_eq!(log.take().list, [refusal(1..=5)]);
        (0..=KEPT as u64).for_each(|i| log.push(refusal(10 * i + 1..=10 * i + 3)));
        let taken = log.take();
        assert_eq!((taken.list.len(), taken.dropped), (KEPT, 3));
        assert_eq!(log.take(), Refusals::default());
    }
}
