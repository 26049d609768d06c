//! Which message may be next, which may make room, and to whom one may go.

use super::message::{At, Message};
use super::queue::{Consumer, QueueModel};
use bytes::Bytes;
use core::cmp::Reverse;
use msglib_broker::queue::{DispatchKind, OrderKind};

impl QueueModel {
    /// The messages that are ready, in the order of their line: what came back first, as it was accepted.
    fn line(&self) -> Vec<&Message> {
        let mut line: Vec<&Message> = self.messages.iter().filter(|message| message.at == At::Ready).collect();
        line.sort_by_key(|message| match message.deliveries {
            0 => (1, message.turn),
            _ => (0, message.id as i64),
        });
        if self.config.order == OrderKind::Priority {
            line.sort_by_key(|message| Reverse(message.priority));
        }
        line
    }

    /// The first of each key.
    fn firsts(&self) -> Vec<&Message> {
        let mut firsts: Vec<&Message> = Vec::new();
        for message in self.line() {
            if firsts.iter().all(|first| first.key != message.key) {
                firsts.push(message);
            }
        }
        firsts
    }

    /// Those that may be next, if nobody stands in their way.
    pub(super) fn nexts(&self) -> Vec<&Message> {
        match self.config.order {
            OrderKind::FairByKey | OrderKind::StickyByKey => self.firsts(),
            _ => self.line().into_iter().take(1).collect(),
        }
    }

    /// Those of which one makes room for a message with this key.
    pub(super) fn victims(&self, key: Option<&Bytes>) -> Vec<u64> {
        let victims: Vec<&Message> = match self.config.order {
            OrderKind::FairByKey | OrderKind::StickyByKey => {
                let firsts = self.firsts();
                match firsts.iter().find(|first| first.key.as_ref() == key) {
                    Some(own) => vec![own],
                    None => firsts,
                }
            }
            OrderKind::Priority => {
                let lowest = self.line().into_iter().map(|message| message.priority).min();
                self.line().into_iter().filter(|message| Some(message.priority) == lowest).take(1).collect()
            }
            _ => self.line().into_iter().take(1).collect(),
        };
        victims.into_iter().map(|message| message.id).collect()
    }

    /// Who alone may have messages of a key, where that matters: whoever got the last, as long as one of them is in flight.
    pub(super) fn bound(&self, key: Option<&Bytes>) -> Option<u32> {
        let bound = *self.bound.get(key?)?;
        let is_in_flight = |message: &Message| matches!(message.at, At::InFlight { .. }) && message.key.as_ref() == key;
        let is_bound = self.config.order == OrderKind::StickyByKey && self.messages.iter().any(is_in_flight);
        (is_bound && self.consumers.iter().any(|consumer| consumer.number == bound)).then_some(bound)
    }

    /// How many deliveries a consumer holds.
    pub(super) fn held(&self, number: u32) -> usize {
        let is_held = |m: &&Message| matches!(m.at, At::InFlight { consumer, .. } if consumer == number);
        self.messages.iter().filter(is_held).count()
    }

    /// How far the tags of what it holds spread.
    pub(super) fn span(&self, consumer: &Consumer) -> u64 {
        let held = self.messages.iter().filter_map(|message| match message.at {
            At::InFlight { consumer: to, tag } if to == consumer.number => Some(tag),
            _ => None,
        });
        held.min().map_or(0, |oldest| consumer.last_tag + 1 - oldest)
    }

    /// Whether a consumer can have a message.
    pub(super) fn has_room(&self, consumer: &Consumer) -> bool {
        let is_first = self.consumers.first().is_some_and(|first| first.number == consumer.number);
        let may = self.config.dispatch != DispatchKind::Exclusive || is_first;
        let span = self.span(consumer) < self.config.max_in_flight as u64;
        may && !consumer.is_blocked && consumer.last_tag < consumer.allowed && span
    }

    /// A message that waits, and somebody who could have it: at rest there is no such pair (I12).
    pub fn can_deliver(&self) -> Option<(u64, u32)> {
        if self.is_paused {
            return None;
        }
        let mut pairs = self.nexts().into_iter().filter_map(|message| {
            let bound = self.bound(message.key.as_ref());
            let may = |consumer: &&Consumer| bound.is_none_or(|bound| bound == consumer.number);
            let mut free = self.consumers.iter().filter(|consumer| self.has_room(consumer)).filter(may);
            free.next().map(|consumer| (message.id, consumer.number))
        });
        pairs.next()
    }
}
