//! Of each key only the last message.

use super::super::keys::KeyId;
use super::super::line::Line;
use super::super::messages::{Messages, Ticket};
use super::{Next, Order};

/// A line, and by key the message in it.
#[derive(Debug, Default)]
pub(super) struct LastValue {
    line: Line,
    /// By the index of the key.
    waiting: Vec<Option<Ticket>>,
    /// How many of them are something.
    keyed: usize,
}

impl Order for LastValue {
    /// What was accepted last stays, in the place of the other; so a key whose values come faster than they are taken has its turn.
    fn insert(&mut self, messages: &mut Messages, ticket: Ticket) -> Option<Ticket> {
        let record = messages.record(ticket);
        let (id, Some(key)) = (record.id, record.key) else {
            self.line.insert(messages, ticket);
            return None;
        };
        if self.waiting.len() <= key.index() {
            self.waiting.resize(key.index() + 1, None);
        }
        let place = &mut self.waiting[key.index()];
        match *place {
            Some(other) if messages.record(other).id > id => Some(ticket),
            Some(older) => {
                *place = Some(ticket);
                match messages.record(ticket).deliveries {
                    0 => self.line.replace(messages, older, ticket),
                    _ => {
                        self.line.remove(messages, older);
                        self.line.insert(messages, ticket);
                    }
                }
                Some(older)
            }
            None => {
                *place = Some(ticket);
                self.keyed += 1;
                self.line.insert(messages, ticket);
                None
            }
        }
    }

    fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
        if let Some(place) = messages.record(ticket).key.and_then(|key| self.waiting.get_mut(key.index())) {
            *place = None;
            self.keyed -= 1;
            // What many keys took goes back when there are none.
            if self.keyed == 0 && self.waiting.len() > 64 {
                self.waiting = Vec::new();
            }
        }
        self.line.remove(messages, ticket);
    }

    fn next(&mut self, _: &Messages) -> Option<Next> {
        self.line.front().map(Next::to_anyone)
    }

    fn has_next(&self) -> bool {
        !self.line.is_empty()
    }

    fn replaced_by(&self, _: &Messages, key: KeyId) -> Option<Ticket> {
        self.waiting.get(key.index()).copied().flatten()
    }
}
