//! The highest priority first, strictly.

use super::super::line::Line;
use super::super::messages::{Messages, Ticket};
use super::{Next, Order};
use core::cmp::Reverse;
use std::collections::BTreeMap;

/// A line for each priority that has a message.
#[derive(Debug, Default)]
pub(super) struct Priority {
    lines: BTreeMap<Reverse<u32>, Line>,
}

impl Order for Priority {
    fn insert(&mut self, messages: &mut Messages, ticket: Ticket) -> Option<Ticket> {
        let priority = Reverse(messages.record(ticket).priority);
        self.lines.entry(priority).or_default().insert(messages, ticket);
        None
    }

    fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
        let priority = Reverse(messages.record(ticket).priority);
        let Some(line) = self.lines.get_mut(&priority) else { return };
        line.remove(messages, ticket);
        if line.is_empty() {
            self.lines.remove(&priority);
        }
    }

    fn next(&mut self, _: &Messages) -> Option<Next> {
        let (_, line) = self.lines.first_key_value()?;
        line.front().map(Next::to_anyone)
    }

    fn has_next(&self) -> bool {
        !self.lines.is_empty()
    }

    /// The first of the lowest priority.
    fn victim(&mut self, _: &Messages, _: Option<&[u8]>) -> Option<Ticket> {
        let (_, line) = self.lines.last_key_value()?;
        line.front()
    }
}
