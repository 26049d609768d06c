//! Which job of a tube is next: the most urgent, and of those the oldest.

use msglib_broker::queue::{MessageId, Messages, Next, Order, Ticket};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// By priority, higher first, then by number, also when a job comes back.
#[derive(Debug, Default)]
pub(crate) struct MostUrgent(BTreeMap<(Reverse<u32>, MessageId), Ticket>);

fn place(messages: &Messages, ticket: Ticket) -> (Reverse<u32>, MessageId) {
    let message = messages.get(ticket);
    (Reverse(message.priority), message.id)
}

impl Order for MostUrgent {
    fn insert(&mut self, messages: &mut Messages, ticket: Ticket) -> Option<Ticket> {
        self.0.insert(place(messages, ticket), ticket);
        None
    }

    fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
        self.0.remove(&place(messages, ticket));
    }

    fn next(&mut self, _: &Messages) -> Option<Next> {
        self.0.first_key_value().map(|(_, ticket)| Next::to_anyone(*ticket))
    }

    fn has_next(&self) -> bool {
        !self.0.is_empty()
    }
}
