//! The messages of a key go to one consumer at a time.

use super::super::ConsumerId;
use super::super::line::Line;
use super::super::messages::{Messages, Ticket};
use super::{Next, Order, group, group_of};
use std::collections::{BTreeSet, VecDeque};

/// Keys take turns, one message each. While one of a key is in flight, the key is bound to whoever has it; if that one can have no
/// more now, the key is put aside until it can, or until the key is free again. So it holds up nobody else.
#[derive(Debug, Default)]
pub(super) struct StickyByKey {
    /// By the index of the key and one; the first is that of the messages without one, which is never bound.
    groups: Vec<Group>,
    /// The groups that are in turn. May name some that have no message any more.
    turns: VecDeque<usize>,
    /// How many of them have messages.
    in_turn: usize,
    /// How many groups have messages, or are bound.
    in_use: usize,
    /// Those that were put aside, by the consumer that they are bound to and in the order in which they were. All of them have messages.
    aside: BTreeSet<(Aside, usize)>,
    /// How often one was put aside.
    parked: u64,
}

#[derive(Debug, Default)]
struct Group {
    line: Line,
    bound: Option<ConsumerId>,
    in_flight: u32,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Place {
    #[default]
    Nowhere,
    InTurn,
    Aside(Aside),
}

/// For whom a group was put aside, and when.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Aside {
    consumer: ConsumerId,
    stamp: u64,
}

impl Group {
    fn is_in_use(&self) -> bool {
        !self.line.is_empty() || self.in_flight > 0
    }
}

impl StickyByKey {
    /// Does something to a group, and keeps the counts.
    fn change<T>(&mut self, index: usize, act: impl FnOnce(&mut Group) -> T) -> T {
        let group = &mut self.groups[index];
        let counts = |group: &Group| {
            let is_next = group.place == Place::InTurn && !group.line.is_empty();
            (usize::from(is_next), usize::from(group.is_in_use()))
        };
        let before = counts(group);
        let result = act(group);
        let after = counts(group);
        self.in_turn = self.in_turn + after.0 - before.0;
        self.in_use = self.in_use + after.1 - before.1;
        result
    }

    fn put_in_turn(&mut self, index: usize) {
        self.put(index, Place::InTurn);
        self.turns.push_back(index);
    }

    fn put(&mut self, index: usize, place: Place) {
        if let Place::Aside(aside) = self.groups[index].place {
            self.aside.remove(&(aside, index));
        }
        if let Place::Aside(aside) = place {
            self.aside.insert((aside, index));
        }
        self.change(index, |group| group.place = place);
    }

    /// What many keys took goes back when there are none.
    fn relax(&mut self) {
        const SMALL: usize = 64;
        if self.in_use == 0 && self.groups.len() > SMALL {
            *self = StickyByKey::default();
        }
    }
}

impl Order for StickyByKey {
    fn insert(&mut self, messages: &mut Messages, ticket: Ticket) -> Option<Ticket> {
        let index = group(messages.record(ticket).key);
        if self.groups.len() <= index {
            self.groups.resize_with(index + 1, Group::default);
        }
        self.change(index, |group| group.line.insert(messages, ticket));
        if self.groups[index].place == Place::Nowhere {
            self.put_in_turn(index);
        }
        None
    }

    fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
        let index = group(messages.record(ticket).key);
        self.change(index, |group| group.line.remove(messages, ticket));
        let group = &self.groups[index];
        if group.line.is_empty() && matches!(group.place, Place::Aside(_)) {
            self.put(index, Place::Nowhere);
        }
        self.relax();
    }

    fn next(&mut self, _: &Messages) -> Option<Next> {
        loop {
            let index = *self.turns.front()?;
            let group = &self.groups[index];
            if let Some(ticket) = group.line.front() {
                return Some(Next { ticket, only: group.bound });
            }
            self.put(index, Place::Nowhere);
            self.turns.pop_front();
        }
    }

    fn has_next(&self) -> bool {
        self.in_turn > 0
    }

    fn deliver(&mut self, messages: &mut Messages, ticket: Ticket, to: ConsumerId) {
        let index = group(messages.record(ticket).key);
        self.change(index, |group| {
            if index > 0 {
                group.bound = Some(to);
                group.in_flight += 1;
            }
            group.line.remove(messages, ticket);
        });
        // Out of turn it may have gone to another than the one for which the key was put aside.
        if matches!(self.groups[index].place, Place::Aside(_)) {
            self.put_in_turn(index);
        }
        if self.turns.front() == Some(&index) {
            self.turns.rotate_left(1);
        }
    }

    fn settle(&mut self, messages: &mut Messages, ticket: Ticket) {
        let index = group(messages.record(ticket).key);
        if index == 0 {
            return;
        }
        let is_free_again = self.change(index, |group| {
            group.in_flight -= 1;
            if group.in_flight > 0 {
                return false;
            }
            group.bound = None;
            matches!(group.place, Place::Aside(_))
        });
        if is_free_again {
            self.put_in_turn(index);
        }
        self.relax();
    }

    fn park(&mut self, consumer: ConsumerId) {
        if let Some(index) = self.turns.pop_front() {
            self.parked += 1;
            self.put(index, Place::Aside(Aside { consumer, stamp: self.parked }));
        }
    }

    /// Others hold messages of the key, which they got out of turn; whoever gets the next has the key.
    fn gone(&mut self, _: ConsumerId) {
        if let Some(index) = self.turns.front().copied() {
            self.change(index, |group| group.bound = None);
        }
    }

    fn unpark(&mut self, consumer: ConsumerId) {
        let first = (Aside { consumer, stamp: 0 }, 0);
        while let Some((aside, index)) = self.aside.range(first..).next().copied()
            && aside.consumer == consumer
        {
            self.put_in_turn(index);
        }
    }

    /// Of its own key; else of the key whose turn is last, else of one that was put aside.
    fn victim(&mut self, messages: &Messages, key: Option<&[u8]>) -> Option<Ticket> {
        let own = group_of(messages, key).and_then(|index| self.groups.get(index)?.line.front());
        if own.is_some() {
            return own;
        }
        while let Some(index) = self.turns.back().copied() {
            if let Some(ticket) = self.groups[index].line.front() {
                return Some(ticket);
            }
            self.put(index, Place::Nowhere);
            self.turns.pop_back();
        }
        let (_, index) = self.aside.last()?;
        self.groups[*index].line.front()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::message::MessageId;
    use super::super::super::messages::Record;
    use super::super::super::store::Store;
    use super::*;

    /// To find one that makes room, all keys were looked through that have no message any more.
    #[test]
    fn keys_without_messages_are_passed_over_once() {
        let (mut messages, mut store, mut order) = (Messages::new(), Store::new(), StickyByKey::default());
        let mut add = |messages: &mut Messages, order: &mut StickyByKey, id: u64| {
            let record = Record::new(store.put("x".into()), MessageId::new(id));
            let ticket = messages.insert(record, Some(&id.to_be_bytes()));
            assert_eq!(order.insert(messages, ticket), None);
            ticket
        };
        let tickets: Vec<_> = (0..1000).map(|id| add(&mut messages, &mut order, id)).collect();
        tickets[1..].iter().for_each(|ticket| order.remove(&mut messages, *ticket));
        assert_eq!(order.victim(&messages, None), Some(tickets[0]));
        assert_eq!(order.turns, [1], "the others are not there to be looked at the next time");
        let consumer = ConsumerId { slot: 0, generation: 1 };
        order.park(consumer);
        assert_eq!(order.victim(&messages, Some(b"new")), Some(tickets[0]), "aside, but there");
        order.remove(&mut messages, tickets[0]);
        assert_eq!((order.victim(&messages, None), order.aside.len()), (None, 0));
        order.unpark(consumer);
        assert!(!order.has_next());
    }
}
