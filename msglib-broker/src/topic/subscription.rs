//! One subscription: what waits for it, and whose turn it is.

use super::buffer::Buffer;
use super::name::TopicFilter;
use super::retained::Cursor;
use super::trie::Place;
use crate::table::{Key, Table};
use std::collections::VecDeque;

/// A filter, and those who share what it means: a group, or one alone.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) filter: Box<str>,
    pub(super) group: Option<Box<[u8]>>,
    pub(super) place: Place,
    pub(super) buffer: Buffer,
    /// The last values that are still to be delivered; they come before what waits.
    pub(super) cursor: Option<Cursor>,
    members: Vec<Key>,
    /// Members that can take a delivery, in the order of their turns. May name some that cannot any more, or are gone.
    eligible: VecDeque<Key>,
    /// How many of them are gone.
    stale: usize,
    /// Turns that are left of this round, and what each may have.
    round: (usize, usize),
    /// It is in the list of subscriptions with something to deliver.
    pub(super) is_listed: bool,
    pub(super) delivered: u64,
    pub(super) lost: u64,
}

/// A member of a subscription.
#[derive(Debug)]
pub(super) struct Subscriber<S> {
    pub(super) key: S,
    pub(super) subscription: Key,
    /// Its place among the members.
    at: u32,
    /// The last tag that was used.
    pub(super) delivered: u64,
    /// The last tag that it has allowed.
    pub(super) allowed: u64,
    /// There is no room on the way to it.
    pub(super) is_blocked: bool,
    /// It is in the order of turns.
    pub(super) is_listed: bool,
}

impl Subscription {
    pub(super) fn new(filter: TopicFilter<'_>, group: Option<&[u8]>, place: Place, buffer: Buffer) -> Subscription {
        Subscription {
            filter: filter.as_str().into(),
            group: group.map(Into::into),
            place,
            buffer,
            cursor: None,
            members: Vec::new(),
            eligible: VecDeque::new(),
            stale: 0,
            round: (0, 0),
            is_listed: false,
            delivered: 0,
            lost: 0,
        }
    }

    pub(super) fn filter(&self) -> TopicFilter<'_> {
        TopicFilter::trusted(&self.filter)
    }

    pub(super) fn members(&self) -> &[Key] {
        &self.members
    }

    /// A new member, who is made from the place that it has.
    pub(super) fn join<S>(&mut self, subscribers: &mut Table<Subscriber<S>>, key: S, subscription: Key) -> Key {
        let at = self.members.len() as u32;
        let (delivered, allowed, is_blocked, is_listed) = (0, 0, false, false);
        let member = Subscriber { key, subscription, at, delivered, allowed, is_blocked, is_listed };
        let id = subscribers.insert(member);
        self.members.push(id);
        id
    }

    /// A member is gone from the table.
    pub(super) fn left<S>(&mut self, subscribers: &mut Table<Subscriber<S>>, gone: &Subscriber<S>) {
        self.members.swap_remove(gone.at as usize);
        if let Some(moved) = self.members.get(gone.at as usize).and_then(|moved| subscribers.get_mut(*moved)) {
            moved.at = gone.at;
        }
        self.stale += usize::from(gone.is_listed);
        // Members that come and go while nothing waits must not pile up in the order of turns.
        if self.stale * 2 > self.eligible.len() {
            self.eligible.retain(|id| subscribers.get(*id).is_some());
            self.stale = 0;
        }
    }

    /// Whether somebody could take a message.
    pub(super) fn has_takers(&self) -> bool {
        !self.eligible.is_empty()
    }

    /// Whether somebody could be told something.
    pub(super) fn can_turn(&self) -> bool {
        !self.eligible.is_empty() && (self.cursor.is_some() || !self.buffer.is_silent())
    }

    /// Puts a member into the order of turns if it can take a delivery and is not there yet.
    pub(super) fn list<S>(&mut self, id: Key, member: &mut Subscriber<S>) {
        if !member.is_listed && member.room() > 0 {
            member.is_listed = true;
            self.eligible.push_back(id);
        }
    }

    /// Whose turn it is, and how much of `quantum` is its share: the same for everyone in a round.
    pub(super) fn next_turn(&mut self, quantum: usize) -> Option<(Key, usize)> {
        let (left, share) = &mut self.round;
        if *left == 0 {
            *left = self.eligible.len();
            *share = match self.cursor {
                // How many there are to come is not known.
                Some(_) => usize::MAX,
                None => self.buffer.len().max(1).div_ceil((*left).max(1)),
            };
        }
        *left = left.saturating_sub(1);
        Some((self.eligible.pop_front()?, quantum.min(*share)))
    }

    /// The member whose turn it was is gone.
    pub(super) fn was_stale(&mut self) {
        self.stale -= 1;
    }
}

impl<S> Subscriber<S> {
    /// How many more deliveries it can take now.
    pub(super) fn room(&self) -> u64 {
        if self.is_blocked { 0 } else { self.allowed.saturating_sub(self.delivered) }
    }
}
