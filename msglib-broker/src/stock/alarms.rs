//! When queues have to be looked at: one timer of the broker's for all of them.

use super::ConnectionHandler;
use super::queues::{QueueIndex, Queues};
use crate::core::{Context, TimerId};
use msglib_proto::Instant;
use std::collections::BTreeSet;

/// The queues by when something happens in them by itself.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    alarms: BTreeSet<(Instant, QueueIndex)>,
    /// Queues whose next time may have changed in this step, each once.
    touched: Vec<QueueIndex>,
    /// The broker's timer, and for when it is set.
    timer: Option<(Instant, TimerId)>,
}

impl Alarms {
    /// Something has changed in a queue.
    pub(super) fn touch(&mut self, queues: &mut Queues, index: QueueIndex) {
        let slot = queues.slot_mut(index);
        if !slot.is_timed {
            slot.is_timed = true;
            self.touched.push(index);
        }
    }

    /// The timers of an earlier broker are gone.
    pub(super) fn forget_timer(&mut self) {
        self.timer = None;
    }

    /// The first queue that is due.
    fn due(&self, now: Instant) -> Option<QueueIndex> {
        self.alarms.first().filter(|(at, _)| *at <= now).map(|(_, index)| *index)
    }

    /// Asks a queue when its next time is.
    fn update(&mut self, queues: &mut Queues, index: QueueIndex) {
        let slot = queues.slot_mut(index);
        let next = slot.queue.next_due().unwrap_or(Instant::MAX);
        if next == slot.alarm {
            return;
        }
        self.alarms.remove(&(slot.alarm, index));
        slot.alarm = next;
        if next != Instant::MAX {
            self.alarms.insert((next, index));
        }
    }
}

impl ConnectionHandler {
    /// A timer of the broker's. What is due is done, the earliest first, but no more than one step allows; then queues that nobody has used
    /// for too long are forgotten.
    pub(super) fn ring(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        if self.alarms.timer.take_if(|(_, set)| *set == timer).is_none() {
            return;
        }
        let (now, mut left) = (self.clock.now(), self.config.chores_per_step.max(1));
        while left > 0
            && let Some(index) = self.alarms.due(now)
        {
            let (queue, store) = self.queues.get_mut(index);
            // A queue that was due, and is not any more, is looked at all the same.
            left -= queue.advance(store, now, left).max(1);
            self.changed(cx, index);
            self.alarms.update(&mut self.queues, index);
            self.queues.used(index, now);
        }
        while left > 0
            && let Some(index) = self.queues.expire(now)
        {
            self.alarms.touch(&mut self.queues, index);
            left -= 1;
        }
        let is_more = self.alarms.due(now).is_some() || self.queues.next_expiry().is_some_and(|at| at <= now);
        self.chore_turns_cut += u64::from(is_more);
    }

    /// At the end of a step: the broker's timer is for the first alarm.
    pub(super) fn set_timer(&mut self, cx: &mut Context<'_>) {
        for index in core::mem::take(&mut self.alarms.touched) {
            self.queues.slot_mut(index).is_timed = false;
            self.alarms.update(&mut self.queues, index);
        }
        let alarm = self.alarms.alarms.first().map(|(at, _)| *at);
        let first = alarm.into_iter().chain(self.queues.next_expiry()).min();
        if self.alarms.timer.map(|(at, _)| at) == first {
            return;
        }
        if let Some((_, timer)) = self.alarms.timer.take() {
            cx.cancel_timer(timer);
        }
        if let Some(at) = first {
            let timer = cx.set_timer(self.clock.to_broker(at), 0);
            self.alarms.timer = Some((at, timer));
        }
    }
}
