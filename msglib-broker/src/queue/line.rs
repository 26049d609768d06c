//! Lists of waiting messages: what orders are made of.

use super::message::MessageId;
use super::messages::{Messages, Ticket};
use std::collections::BTreeMap;

/// Messages in a row. Everything takes the same time, however many there are; the links are in the messages' own records, so
/// that a message can be in one list at a time only.
///
/// ```
/// use msglib_broker::queue::{List, Messages, Next, Order, Ticket};
///
/// /// The message that came last is next.
/// #[derive(Debug, Default)]
/// struct LastInFirstOut(List);
///
/// impl Order for LastInFirstOut {
///     fn insert(&mut self, messages: &mut Messages, ticket: Ticket) -> Option<Ticket> {
///         self.0.push_front(messages, ticket);
///         None
///     }
///     fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
///         self.0.remove(messages, ticket);
///     }
///     fn next(&mut self, _: &Messages) -> Option<Next> {
///         self.0.front().map(Next::to_anyone)
///     }
///     fn has_next(&self) -> bool {
///         !self.0.is_empty()
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub struct List {
    ends: Option<(Ticket, Ticket)>,
}

impl List {
    /// An empty list.
    pub const fn new() -> List {
        List { ends: None }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// The first.
    pub fn front(&self) -> Option<Ticket> {
        self.ends.map(|(front, _)| front)
    }

    /// The last.
    pub fn back(&self) -> Option<Ticket> {
        self.ends.map(|(_, back)| back)
    }

    /// Puts a message, which is in no list, behind the others.
    pub fn push_back(&mut self, messages: &mut Messages, ticket: Ticket) {
        self.insert(messages, ticket, self.back(), None);
    }

    /// Puts a message, which is in no list, before the others.
    pub fn push_front(&mut self, messages: &mut Messages, ticket: Ticket) {
        self.insert(messages, ticket, None, self.front());
    }

    /// Takes out a message, which is in this list.
    pub fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
        let (before, behind) = messages.links(ticket);
        self.join(messages, before, behind);
    }

    /// Puts a message, which is in no list, in the place of another one, which is in this list.
    pub fn replace(&mut self, messages: &mut Messages, old: Ticket, new: Ticket) {
        let (before, behind) = messages.links(old);
        self.insert(messages, new, before, behind);
    }

    fn insert(&mut self, messages: &mut Messages, ticket: Ticket, before: Option<Ticket>, behind: Option<Ticket>) {
        messages.set_links(ticket, (before, behind));
        self.join(messages, before, Some(ticket));
        self.join(messages, Some(ticket), behind);
    }

    /// Makes two messages, or a message and an end, neighbours.
    fn join(&mut self, messages: &mut Messages, before: Option<Ticket>, behind: Option<Ticket>) {
        if let Some(before) = before {
            let (further, _) = messages.links(before);
            messages.set_links(before, (further, behind));
        }
        if let Some(behind) = behind {
            let (_, further) = messages.links(behind);
            messages.set_links(behind, (before, further));
        }
        self.ends = match (before, behind, self.ends) {
            (None, None, _) => None,
            (None, Some(front), Some((_, back))) => Some((front, back)),
            (Some(back), None, Some((front, _))) => Some((front, back)),
            (None, Some(only), None) | (Some(only), None, None) => Some((only, only)),
            (Some(_), Some(_), ends) => ends,
        };
    }
}

/// A line of messages as most orders want it: those that were delivered before come first, in the order in which they were accepted;
/// then the others, in the order in which they were inserted.
#[derive(Debug, Default)]
pub struct Line {
    returned: BTreeMap<MessageId, Ticket>,
    new: List,
}

impl Line {
    /// An empty line.
    pub const fn new() -> Line {
        Line { returned: BTreeMap::new(), new: List::new() }
    }

    /// Whether nobody waits in it.
    pub fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.new.is_empty()
    }

    /// The first.
    pub fn front(&self) -> Option<Ticket> {
        self.returned.first_key_value().map(|(_, ticket)| *ticket).or_else(|| self.new.front())
    }

    /// Puts a message, which is in no list, where it belongs.
    pub fn insert(&mut self, messages: &mut Messages, ticket: Ticket) {
        let record = messages.record(ticket);
        match record.deliveries {
            0 => self.new.push_back(messages, ticket),
            _ => {
                self.returned.insert(record.id, ticket);
            }
        }
    }

    /// Takes out a message, which is in this line.
    pub fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
        let record = messages.record(ticket);
        match record.deliveries {
            0 => self.new.remove(messages, ticket),
            _ => {
                self.returned.remove(&record.id);
            }
        }
    }

    /// Puts a new message, which is in no list, in the place of another one, which is in this line. If that one was delivered
    /// before, the new one, which was not, is the first of the others.
    pub(super) fn replace(&mut self, messages: &mut Messages, old: Ticket, new: Ticket) {
        let record = messages.record(old);
        match record.deliveries {
            0 => self.new.replace(messages, old, new),
            _ => {
                self.returned.remove(&record.id);
                self.new.push_front(messages, new);
            }
        }
    }

    /// Those that were delivered before.
    pub(super) fn has_returned(&self) -> bool {
        !self.returned.is_empty()
    }

    /// Those that were not.
    pub(super) fn new_ones(&self) -> &List {
        &self.new
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::tests::message;
    use super::super::store::Store;
    use super::*;
    use std::collections::VecDeque;

    fn ids(list: &List, messages: &Messages) -> Vec<u64> {
        let mut at = list.front();
        let forward: Vec<u64> = std::iter::from_fn(|| {
            let ticket = at?;
            at = messages.links(ticket).1;
            Some(messages.get(ticket).id.value())
        })
        .collect();
        let mut at = list.back();
        let mut backward: Vec<u64> = std::iter::from_fn(|| {
            let ticket = at?;
            at = messages.links(ticket).0;
            Some(messages.get(ticket).id.value())
        })
        .collect();
        backward.reverse();
        assert_eq!(forward, backward, "both ways the same");
        forward
    }

    /// Against a deque, with every operation at every place.
    #[test]
    fn a_list_is_a_list() {
        let (mut messages, mut store) = (Messages::new(), Store::new());
        let (mut list, mut expected) = (List::new(), VecDeque::new());
        let mut tickets = Vec::new();
        for round in 0..2000_u64 {
            let place = (round * 7919 % 13) as usize % (tickets.len() + 1);
            match round % 7 {
                0..=2 => {
                    let ticket = message(&mut messages, &mut store, round);
                    tickets.push(ticket);
                    match round % 2 {
                        0 => list.push_back(&mut messages, ticket),
                        _ => list.push_front(&mut messages, ticket),
                    }
                    match round % 2 {
                        0 => expected.push_back(round),
                        _ => expected.push_front(round),
                    }
                }
                3 if place < tickets.len() => {
                    let (old, new) = (tickets[place], message(&mut messages, &mut store, round));
                    let old_id = messages.get(old).id.value();
                    list.replace(&mut messages, old, new);
                    *expected.iter_mut().find(|id| **id == old_id).unwrap() = round;
                    tickets[place] = new;
                    store.remove(messages.remove(old).unwrap());
                }
                _ if place < tickets.len() && tickets.len() > 5 => {
                    let ticket = tickets.swap_remove(place);
                    let id = messages.get(ticket).id.value();
                    list.remove(&mut messages, ticket);
                    expected.retain(|other| *other != id);
                    store.remove(messages.remove(ticket).unwrap());
                }
                _ => {}
            }
            assert_eq!(VecDeque::from(ids(&list, &messages)), expected);
        }
    }

    #[test]
    fn in_a_line_those_that_came_back_are_first_and_in_order() {
        let (mut messages, mut store) = (Messages::new(), Store::new());
        let mut line = Line::new();
        let mut add = |line: &mut Line, id, deliveries| {
            let ticket = message(&mut messages, &mut store, id);
            messages.record_mut(ticket).deliveries = deliveries;
            line.insert(&mut messages, ticket);
            ticket
        };
        let _four = add(&mut line, 4, 0);
        let three = add(&mut line, 3, 1);
        let _five = add(&mut line, 5, 0);
        let _one = add(&mut line, 1, 7);
        line.remove(&mut messages, three);
        let mut seen = Vec::new();
        while let Some(ticket) = line.front() {
            seen.push(messages.get(ticket).id.value());
            line.remove(&mut messages, ticket);
        }
        assert_eq!(seen, [1, 4, 5]);
    }
}
