//! Keys take turns, each with the same number of bytes.

use super::super::line::Line;
use super::super::messages::{Messages, Ticket};
use super::{Next, Order, group, group_of};
use std::collections::VecDeque;

/// Deficit round robin (Shreedhar, Varghese, 1995). When a key's turn comes it may have so many bytes more than it had left over, and as
/// long as its next message fits into that, it is next. So a noisy key takes no more than its share, whatever the size of its messages.
#[derive(Debug, Default)]
pub(super) struct FairByKey {
    /// By the index of the key and one; the first is that of the messages without one.
    groups: Vec<Group>,
    /// The keys that have messages, the one whose turn it is first. May name some that have none any more.
    turns: VecDeque<usize>,
    /// How many of them have messages.
    waiting: usize,
    /// Whether the first has been given the bytes of its turn.
    is_served: bool,
}

#[derive(Debug, Default)]
struct Group {
    line: Line,
    /// Bytes that it may have before the next has its turn.
    credit: usize,
    is_listed: bool,
}

/// Bytes for each turn: a few dozen small messages.
const QUANTUM: usize = 4096;

impl FairByKey {
    /// The group whose turn it is, and its next message.
    fn turn(&mut self, messages: &Messages) -> Option<Ticket> {
        let mut visits = 0;
        loop {
            let index = *self.turns.front()?;
            let group = &mut self.groups[index];
            let Some(ticket) = group.line.front() else {
                group.is_listed = false;
                self.turns.pop_front();
                self.is_served = false;
                continue;
            };
            if !self.is_served {
                group.credit = group.credit.saturating_add(QUANTUM);
                self.is_served = true;
            }
            if messages.size(ticket) <= group.credit {
                return Some(ticket);
            }
            self.turns.rotate_left(1);
            self.is_served = false;
            visits += 1;
            if visits >= self.turns.len() {
                self.skip_rounds(messages);
                visits = 0;
            }
        }
    }

    /// What many keys took goes back when there are none.
    fn relax(&mut self) {
        const SMALL: usize = 64;
        if self.waiting == 0 && self.groups.len() > SMALL {
            *self = FairByKey::default();
        }
    }

    /// A whole round has passed and nobody's message fits: as many more rounds as it takes at once, but for the last.
    fn skip_rounds(&mut self, messages: &Messages) {
        let lacking = |group: &Group| Some(messages.size(group.line.front()?).saturating_sub(group.credit));
        let least = self.turns.iter().filter_map(|index| lacking(&self.groups[*index])).min();
        let rounds = least.unwrap_or(0).div_ceil(QUANTUM).saturating_sub(1);
        for index in &self.turns {
            let group = &mut self.groups[*index];
            group.credit = group.credit.saturating_add(rounds * QUANTUM);
        }
    }
}

impl Order for FairByKey {
    fn insert(&mut self, messages: &mut Messages, ticket: Ticket) -> Option<Ticket> {
        let index = group(messages.record(ticket).key);
        if self.groups.len() <= index {
            self.groups.resize_with(index + 1, Group::default);
        }
        let group = &mut self.groups[index];
        self.waiting += usize::from(group.line.is_empty());
        group.line.insert(messages, ticket);
        if !group.is_listed {
            group.is_listed = true;
            self.turns.push_back(index);
        }
        None
    }

    fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
        let group = &mut self.groups[group(messages.record(ticket).key)];
        group.line.remove(messages, ticket);
        if group.line.is_empty() {
            // What it had left over is gone with its last message: being idle earns nothing.
            group.credit = 0;
            self.waiting -= 1;
            self.relax();
        }
    }

    fn next(&mut self, messages: &Messages) -> Option<Next> {
        self.turn(messages).map(Next::to_anyone)
    }

    fn has_next(&self) -> bool {
        self.waiting > 0
    }

    fn deliver(&mut self, messages: &mut Messages, ticket: Ticket, _: super::ConsumerId) {
        let size = messages.size(ticket);
        let group = &mut self.groups[group(messages.record(ticket).key)];
        group.credit = group.credit.saturating_sub(size);
        self.remove(messages, ticket);
    }

    /// Of its own key, so that who is noisy pushes out nobody else's; else of the key whose turn is last.
    fn victim(&mut self, messages: &Messages, key: Option<&[u8]>) -> Option<Ticket> {
        let own = group_of(messages, key).and_then(|index| self.groups.get(index)?.line.front());
        if own.is_some() {
            return own;
        }
        while let Some(index) = self.turns.back() {
            let group = &mut self.groups[*index];
            if let Some(ticket) = group.line.front() {
                return Some(ticket);
            }
            group.is_listed = false;
            self.turns.pop_back();
        }
        None
    }
}
