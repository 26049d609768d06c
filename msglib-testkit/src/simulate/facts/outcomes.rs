//! What follows from a frame for the messages of its link: their outcomes, and where they are.

use super::{ConnectionNumber, Facts, LinkIndex, MessageFacts, MessageNumber, Outcome, Place};
use crate::simulate::schedule::Settling;
use msglib_proto::{ErrorCode, LinkState};

impl Facts {
    pub(super) fn links_of(&self, connection: ConnectionNumber) -> Vec<LinkIndex> {
        self.connection(connection).numbers.iter().flatten().copied().collect()
    }

    pub(super) fn published(&mut self, index: LinkIndex, number: u64, confirm: bool, size: usize) {
        let message = self.next_message();
        let link = &mut self.links[index.0];
        link.published = number;
        link.wanted = if confirm { number } else { link.wanted };
        link.messages.push(message);
        let (queue, life) = (link.queue, self.life);
        self.queues[queue].attempted += 1;
        self.open.push(message);
        self.messages.push(MessageFacts {
            queue,
            link: index,
            number,
            size,
            confirm,
            life,
            outcome: Outcome::Pending,
            place: Place::Waiting,
            seen: 0,
            highest: 0,
            counts: 0,
        });
    }

    pub(super) fn settles(&mut self, index: LinkIndex, first: u64, last: u64, how: Settling) {
        let link = &mut self.links[index.0];
        let is_again = how == Settling::Refuse(msglib_proto::Verdict::Again);
        let from = first.max(link.before + 1);
        for tag in from..=last.min(link.before + link.held.len() as u64) {
            let at = (tag - link.before - 1) as usize;
            let Some(number) = link.held[at].take() else { continue };
            let message = &mut self.messages[number.0];
            if message.place != Place::InFlight(index, tag) {
                continue;
            }
            message.place = if is_again { Place::Waiting } else { Place::Settling(index, how) };
            if !is_again {
                link.settling.push(number);
                let queue = &mut self.queues[link.queue];
                *(if how == Settling::Ack { &mut queue.acks } else { &mut queue.refusals }) += 1;
            }
        }
        while let Some(None) = link.held.front() {
            link.held.pop_front();
            link.before += 1;
        }
    }

    pub(super) fn gives_up(&mut self, index: LinkIndex) {
        let link = &mut self.links[index.0];
        link.gave_up = true;
        link.before += link.held.len() as u64;
        for (number, tag) in link.held.drain(..).zip(1..) {
            let _ = tag as u64;
            let Some(number) = number else { continue };
            let message = &mut self.messages[number.0];
            if matches!(message.place, Place::InFlight(holder, _) if holder == index) {
                message.place = Place::Waiting;
            }
        }
    }

    pub(super) fn confirmed(&mut self, index: LinkIndex, upto: u64) {
        let link = &mut self.links[index.0];
        for number in link.confirmed + 1..=upto.min(link.published) {
            let message = &mut self.messages[link.messages[number as usize - 1].0];
            if message.outcome == Outcome::Pending {
                message.outcome = Outcome::Accepted;
            }
        }
        link.confirmed = link.confirmed.max(upto);
    }

    /// Gives every publish of the link that has no outcome this one.
    pub(super) fn unresolved(&mut self, index: LinkIndex, outcome: Outcome) {
        let link = &mut self.links[index.0];
        for number in &link.messages[(link.confirmed as usize).min(link.messages.len())..] {
            let message = &mut self.messages[number.0];
            if message.outcome == Outcome::Pending {
                message.outcome = outcome;
            }
        }
    }

    pub(super) fn delivered(&mut self, index: LinkIndex, tag: u64, count: u32, number: MessageNumber) {
        let link = &mut self.links[index.0];
        let message = &mut self.messages[number.0];
        let is_late = count < message.highest;
        message.seen += 1;
        message.highest = message.highest.max(count);
        message.counts |= 1 << (count.clamp(1, 64) - 1);
        if matches!(message.outcome, Outcome::Pending | Outcome::Unknown) {
            message.outcome = Outcome::Accepted;
        }
        link.delivered = link.delivered.max(tag);
        self.queues[link.queue].deliveries += 1;
        if link.gave_up {
            link.before += 1;
        } else {
            link.held.push_back(Some(number));
            if !is_late {
                message.place = Place::InFlight(index, tag);
            }
        }
        if count == 1 {
            let publisher = message.link;
            let number = message.number;
            let first_seen = &mut self.links[publisher.0].first_seen;
            *first_seen = (*first_seen).max(number);
        }
    }

    pub(super) fn closed(&mut self, index: LinkIndex, code: ErrorCode) {
        if self.links[index.0].state == LinkState::Closing && code == ErrorCode::NONE {
            self.settled(index);
            self.unresolved(index, Outcome::Accepted);
        } else {
            // Publishes that the broker had not answered had no effect (PROTOCOL §5.4).
            self.gives_up(index);
            self.perhaps(index);
            self.unresolved(index, Outcome::Refused);
        }
        let link = &mut self.links[index.0];
        link.state = LinkState::Free;
        let (connection, number) = (link.connection, link.number);
        self.connections[connection.0].numbers[number as usize - 1] = None;
    }

    /// The broker is known to have read all settlings of the link.
    pub(super) fn settled(&mut self, index: LinkIndex) {
        self.move_settling(index, Place::Settled);
    }

    /// Nobody will know whether the broker has read them.
    pub(super) fn perhaps(&mut self, index: LinkIndex) {
        self.move_settling(index, Place::Perhaps);
    }

    fn move_settling(&mut self, index: LinkIndex, to: impl Fn(Settling) -> Place) {
        for number in core::mem::take(&mut self.links[index.0].settling) {
            let message = &mut self.messages[number.0];
            if let Place::Settling(link, how) = message.place
                && link == index
            {
                message.place = to(how);
            }
        }
    }

    pub(super) fn forget_what_is_over(&mut self) {
        let Facts { open, messages, queues, .. } = self;
        open.retain(|number| {
            let message = &messages[number.0];
            if message.is_over() {
                queues[message.queue].over.count(message);
            }
            !message.is_over()
        });
    }
}
