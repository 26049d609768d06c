//! Timers by due time, in the order in which they were set where that is the same.

use super::answers::AnswerId;
use core::num::NonZeroU64;
use msglib_proto::Instant;
use msglib_proto::transport::ConnectionId;
use std::collections::BTreeMap;

/// Names one timer that a handler has set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TimerId {
    at: Instant,
    /// From 1 on, so that no timer is as large as a timer.
    number: NonZeroU64,
}

/// What happens when a timer is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// The handler is told.
    Handler { token: u64 },
    /// The connection must be greeted by now.
    Handshake(ConnectionId),
    /// The peer must hear something by now.
    SignOfLife(ConnectionId),
    /// The peer must have said something by now, or is asked to.
    Silence(ConnectionId),
    /// More than so many bytes must have been written by now, or it is looked again.
    Progress { id: ConnectionId, sent: u64, looks: u8 },
    /// The answer that was put off must be given by now.
    Answer(AnswerId),
    /// What waits for a connection that ends must be written by now.
    Close(ConnectionId),
}

/// An ordered map: setting, cancelling and firing take logarithmic time, and two timers due at once fire in the order in
/// which they were set.
#[derive(Debug)]
pub(crate) struct Timers {
    due: BTreeMap<TimerId, Due>,
    /// Those that were due when they were set: for the next step, so that a timer that sets itself anew cannot hold this one.
    overdue: BTreeMap<TimerId, Due>,
    numbers: NonZeroU64,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers { due: BTreeMap::new(), overdue: BTreeMap::new(), numbers: NonZeroU64::MIN }
    }
}

impl Timers {
    pub(crate) fn set(&mut self, now: Instant, at: Instant, due: Due) -> TimerId {
        self.numbers = self.numbers.saturating_add(1);
        let id = TimerId { at, number: self.numbers };
        if at > now { &mut self.due } else { &mut self.overdue }.insert(id, due);
        id
    }

    pub(crate) fn cancel(&mut self, id: TimerId) -> bool {
        self.due.remove(&id).or_else(|| self.overdue.remove(&id)).is_some()
    }

    /// When the next step must come for them.
    pub(crate) fn next(&self) -> Option<Instant> {
        if !self.overdue.is_empty() {
            return Some(Instant::ZERO);
        }
        self.due.first_key_value().map(|(id, _)| id.at)
    }

    /// A step begins.
    pub(crate) fn begin(&mut self) {
        self.due.append(&mut self.overdue);
    }

    /// Whether one is due in this step.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.first_key_value().is_some_and(|(id, _)| id.at <= now)
    }

    /// Takes the first timer that is due, if there is one.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(TimerId, Due)> {
        let entry = self.due.first_entry()?;
        if entry.key().at > now {
            return None;
        }
        Some(entry.remove_entry())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_by_time_then_by_age() {
        let mut timers = Timers::default();
        let at = Instant::from_nanos;
        let late = timers.set(at(0), at(20), Due::Handler { token: 1 });
        let first = timers.set(at(0), at(10), Due::Handler { token: 2 });
        let second = timers.set(at(0), at(10), Due::Handler { token: 3 });
        let gone = timers.set(at(0), at(5), Due::Handler { token: 4 });
        assert!(timers.cancel(gone));
        assert!(!timers.cancel(gone), "only once");
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop(at(9)), None);
        assert_eq!(timers.pop(at(15)).map(|(id, _)| id), Some(first));
        assert_eq!(timers.pop(at(15)).map(|(id, _)| id), Some(second));
        assert_eq!(timers.pop(at(15)), None);
        assert_eq!(timers.pop(at(20)).map(|(id, _)| id), Some(late));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_that_is_due_when_it_is_set_waits_for_the_next_step() {
        let mut timers = Timers::default();
        let now = Instant::from_nanos(10);
        let first = timers.set(now, now, Due::Handler { token: 1 });
        let second = timers.set(now, Instant::ZERO, Due::Handler { token: 2 });
        assert_eq!(timers.pop(now), None);
        assert_eq!(timers.next(), Some(Instant::ZERO));
        assert!(timers.cancel(second));
        timers.begin();
        assert_eq!(timers.pop(now).map(|(id, _)| id), Some(first));
        assert_eq!(timers.next(), None);
    }
}
