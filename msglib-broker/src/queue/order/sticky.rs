//! The messages of a key go to one consumer at a time.

use super::super::ConsumerId;
use super::super::keys::KeyId;
use super::super::line::Line;
use super::super::messages::{Messages, Ticket};
use super::{Next, Order};
use std::collections::{BTreeMap, VecDeque};

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
    /// Those that were put aside, by the consumer that they are bound to. May name some that are free again.
    aside: BTreeMap<ConsumerId, Vec<usize>>,
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
    Aside,
}

impl Group {
    fn is_in_use(&self) -> bool {
        !self.line.is_empty() || self.in_flight > 0
    }
}

impl StickyByKey {
    fn group(key: Option<KeyId>) -> usize {
        key.map_or(0, |key| key.index() + 1)
    }

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
        self.change(index, |group| group.place = Place::InTurn);
        self.turns.push_back(index);
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
        let index = Self::group(messages.record(ticket).key);
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
        let index = Self::group(messages.record(ticket).key);
        self.change(index, |group| group.line.remove(messages, ticket));
        self.relax();
    }

    fn next(&mut self, _: &Messages) -> Option<Next> {
        loop {
            let index = *self.turns.front()?;
            let group = &self.groups[index];
            if let Some(ticket) = group.line.front() {
                return Some(Next { ticket, only: group.bound });
            }
            self.change(index, |group| group.place = Place::Nowhere);
            self.turns.pop_front();
        }
    }

    fn has_next(&self) -> bool {
        self.in_turn > 0
    }

    fn deliver(&mut self, messages: &mut Messages, ticket: Ticket, to: ConsumerId) {
        let index = Self::group(messages.record(ticket).key);
        self.change(index, |group| {
            if index > 0 {
                group.bound = Some(to);
                group.in_flight += 1;
            }
            group.line.remove(messages, ticket);
        });
        // Out of turn it may have gone to another than the one for which the key was put aside.
        if self.groups[index].place == Place::Aside {
            self.put_in_turn(index);
        }
        if self.turns.front() == Some(&index) {
            self.turns.rotate_left(1);
        }
    }

    fn settle(&mut self, messages: &mut Messages, ticket: Ticket) {
        let index = Self::group(messages.record(ticket).key);
        if index == 0 {
            return;
        }
        let is_free_again = self.change(index, |group| {
            group.in_flight -= 1;
            if group.in_flight > 0 {
                return false;
            }
            group.bound = None;
            group.place == Place::Aside
        });
        if is_free_again {
            self.put_in_turn(index);
        }
        self.relax();
    }

    fn park(&mut self, consumer: ConsumerId) {
        if let Some(index) = self.turns.pop_front() {
            self.change(index, |group| group.place = Place::Aside);
            self.aside.entry(consumer).or_default().push(index);
        }
    }

    /// Others hold messages of the key, which they got out of turn; whoever gets the next has the key.
    fn gone(&mut self, _: ConsumerId) {
        if let Some(index) = self.turns.front().copied() {
            self.change(index, |group| group.bound = None);
        }
    }

    fn unpark(&mut self, consumer: ConsumerId) {
        for index in self.aside.remove(&consumer).unwrap_or_default() {
            let group = self.groups.get(index);
            if group.is_some_and(|group| group.place == Place::Aside && group.bound == Some(consumer)) {
                self.put_in_turn(index);
            }
        }
    }

    /// Of its own key; else of the key whose turn is last, else of one that was put aside.
    fn victim(&mut self, _: &Messages, key: Option<KeyId>) -> Option<Ticket> {
        let own = self.groups.get(Self::group(key)).and_then(|group| group.line.front());
        if own.is_some() {
            return own;
        }
        let front = |index: &usize| self.groups.get(*index)?.line.front();
        // One that is not empty is behind those that are, and those leave when their turn comes.
        let in_turn = if self.in_turn > 0 { self.turns.iter().rev().find_map(front) } else { None };
        in_turn.or_else(|| self.aside.values().flatten().rev().find_map(front))
    }
}
