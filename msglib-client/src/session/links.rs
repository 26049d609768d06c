//! The client's links: their numbers, their states, what was numbered and allowed on each (PROTOCOL §5, §6).

use crate::number_ranges::NumberRanges;
use msglib_proto::{INITIAL_PUBLISH_CREDIT, LINKS_BEFORE_WELCOME, LinkNumber, LinkState};
use std::collections::BTreeSet;

/// One link that is not free.
#[derive(Debug)]
pub(super) struct Link {
    /// `Opening`, `Open` or `Closing`. `Closed` never lasts: the broker's `CLOSED` is answered at once.
    pub(super) state: LinkState,
    pub(super) publishes: bool,
    pub(super) consumes: bool,
    /// The number of the last publish that was queued.
    pub(super) published: u64,
    /// The last number that the broker allows.
    pub(super) publish_credit: u64,
    /// All up to this number have their outcome.
    pub(super) confirmed: u64,
    /// The tag of the last delivery.
    pub(super) delivered: u64,
    /// The last tag that this side allows.
    pub(super) granted: u64,
    /// Acks that wait for company.
    pub(super) acks: NumberRanges,
}

impl Link {
    fn new(publishes: bool, consumes: bool) -> Link {
        Link {
            state: LinkState::Opening,
            publishes,
            consumes,
            published: 0,
            publish_credit: INITIAL_PUBLISH_CREDIT,
            confirmed: 0,
            delivered: 0,
            granted: 0,
            acks: NumberRanges::default(),
        }
    }

    /// Whether deliveries on it are accepted, and not only thrown away (PROTOCOL §10.2).
    pub(super) fn takes_deliveries(&self) -> bool {
        self.consumes && self.state == LinkState::Open
    }

    /// Takes the delivery with this tag, if it is the one that is due and within the credit; nothing has changed if not.
    #[inline]
    pub(super) fn deliver(&mut self, tag: u64) -> bool {
        let is_due = self.delivered.checked_add(1) == Some(tag) && tag <= self.granted;
        if is_due {
            self.delivered = tag;
        }
        is_due
    }

    /// Whether this side may still send on it.
    pub(super) fn is_usable(&self) -> bool {
        self.state != LinkState::Closing
    }
}

/// All links, by number.
#[derive(Debug)]
pub(super) struct Links {
    /// Number 1 first; `None` where a number is free again.
    slots: Vec<Option<Link>>,
    free: BTreeSet<LinkNumber>,
    max: u32,
}

impl Links {
    pub(super) fn new() -> Links {
        Links { slots: Vec::new(), free: BTreeSet::new(), max: LINKS_BEFORE_WELCOME }
    }

    pub(super) fn max(&self) -> u32 {
        self.max
    }

    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max;
    }

    /// The number that the next link gets: the lowest free one, else the next new one (PROTOCOL §5.2).
    pub(super) fn next_number(&self) -> Option<LinkNumber> {
        let new = u32::try_from(self.slots.len()).ok().and_then(|used| used.checked_add(1));
        self.free.first().copied().or(new).filter(|&number| number <= self.max)
    }

    /// Takes the number that [`next_number`](Self::next_number) gave.
    pub(super) fn open(&mut self, number: LinkNumber, publishes: bool, consumes: bool) {
        let link = Some(Link::new(publishes, consumes));
        match self.slots.get_mut(index(number)) {
            Some(slot) => *slot = link,
            None => self.slots.push(link),
        }
        self.free.remove(&number);
    }

    pub(super) fn get(&self, number: LinkNumber) -> Option<&Link> {
        self.slots.get(index(number))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: LinkNumber) -> Option<&mut Link> {
        self.slots.get_mut(index(number))?.as_mut()
    }

    pub(super) fn state(&self, number: LinkNumber) -> LinkState {
        self.get(number).map_or(LinkState::Free, |link| link.state)
    }

    /// Makes the number free again.
    pub(super) fn remove(&mut self, number: LinkNumber) -> Option<Link> {
        let link = self.slots.get_mut(index(number))?.take()?;
        self.free.insert(number);
        Some(link)
    }

    /// The numbers that are in use, in ascending order.
    pub(super) fn numbers(&self) -> Vec<LinkNumber> {
        let used = self.slots.iter().zip(1..).filter(|(slot, _)| slot.is_some());
        used.map(|(_, number)| number).collect()
    }
}

/// Number 0, which no link has, gives an index that no slot has.
fn index(number: LinkNumber) -> usize {
    (number as usize).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_the_lowest_free_one_is_taken_again() {
        let mut links = Links::new();
        for expected in 1..=16 {
            assert_eq!(links.next_number(), Some(expected));
            links.open(expected, true, false);
        }
        assert_eq!(links.next_number(), None, "16 before WELCOME");
        links.remove(3);
        links.remove(2);
        assert_eq!(links.next_number(), Some(2));
        links.open(2, true, false);
        links.set_max(17);
        assert_eq!(links.next_number(), Some(3));
        links.open(3, true, false);
        assert_eq!(links.next_number(), Some(17));
        assert_eq!(links.state(0), LinkState::Free);
    }
}
