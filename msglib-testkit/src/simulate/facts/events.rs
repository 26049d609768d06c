//! What happens, in the order in which clients see it.

use super::{ConnectionFacts, ConnectionNumber, Facts, LinkFacts, LinkIndex, MessageNumber, Outcome, QueueFacts};
use crate::simulate::featured::{Channel, Credentials};
use crate::simulate::schedule::Settling;
use msglib_proto::{ErrorCode, Frame, INITIAL_PUBLISH_CREDIT, LinkState};
use std::collections::VecDeque;

/// The checkers have seen each before it gets here.
impl Facts {
    pub(in crate::simulate) fn connected(
        &mut self,
        client: usize,
        takes: u32,
        credentials: Credentials,
    ) -> ConnectionNumber {
        self.connections.push(ConnectionFacts {
            client,
            since: self.now,
            takes,
            credentials,
            is_greeted: false,
            is_listening: true,
            is_leaving: false,
            left_at: None,
            said_goodbye: false,
            is_hostile: false,
            last_word: None,
            is_over: false,
            pings: VecDeque::new(),
            numbers: Vec::new(),
        });
        ConnectionNumber(self.connections.len() - 1)
    }

    /// A message gets its number before it is sent, for that is in the payload.
    pub(in crate::simulate) fn next_message(&self) -> MessageNumber {
        MessageNumber(self.messages.len())
    }

    /// A client opens a link to a queue, whose name the facts do not know.
    pub(in crate::simulate) fn opened(
        &mut self,
        connection: ConnectionNumber,
        number: u32,
        queue: usize,
        publishes: bool,
        consumes: bool,
    ) {
        let link = LinkIndex(self.links.len());
        self.links.push(LinkFacts {
            connection,
            number,
            queue,
            publishes,
            consumes,
            state: LinkState::Opening,
            published: 0,
            wanted: 0,
            confirmed: 0,
            credit: INITIAL_PUBLISH_CREDIT,
            granted: 0,
            delivered: 0,
            first_seen: 0,
            first_floor: 0,
            was_read: true,
            messages: Vec::new(),
            held: VecDeque::new(),
            before: 0,
            settling: Vec::new(),
            gave_up: false,
        });
        let numbers = &mut self.connections[connection.0].numbers;
        if numbers.len() < number as usize {
            numbers.resize(number as usize, None);
        }
        numbers[number as usize - 1] = Some(link);
    }

    pub(in crate::simulate) fn sent(&mut self, connection: ConnectionNumber, frame: &Frame<'_>) {
        match *frame {
            Frame::Ping { token } => self.connections[connection.0].pings.push_back(token),
            Frame::Goodbye { .. } => {
                let facts = &mut self.connections[connection.0];
                facts.said_goodbye = facts.last_word.is_none();
                self.leaves(connection);
            }
            _ => {}
        }
        if let Some(link) = self.featured.find(connection, frame.link()) {
            self.jobs.sent(&self.featured, link, frame, self.now);
        }
        self.featured.sent(connection, frame, self.now);
        self.own.sent(connection, frame);
        let Some(index) = self.find_link(connection, frame.link()) else { return };
        match *frame {
            Frame::Publish { number, confirm, payload, .. } => self.published(index, number, confirm, payload.len()),
            Frame::Credit { upto, .. } => self.links[index.0].granted = upto,
            Frame::Ack { first, last, .. } => self.settles(index, first, last, Settling::Ack),
            Frame::Refuse { first, last, verdict, .. } => self.settles(index, first, last, Settling::Refuse(verdict)),
            Frame::Close { .. } => {
                self.links[index.0].state = LinkState::Closing;
                self.gives_up(index);
            }
            _ => {}
        }
    }

    pub(in crate::simulate) fn received(&mut self, connection: ConnectionNumber, frame: &Frame<'_>) {
        match *frame {
            Frame::Welcome(_) => self.connections[connection.0].is_greeted = true,
            Frame::Pong { token } => {
                let pings = &mut self.connections[connection.0].pings;
                while pings.pop_front().is_some_and(|ping| ping != token) {}
            }
            Frame::Goodbye { code, .. } | Frame::Error { code, .. } => {
                let facts = &mut self.connections[connection.0];
                facts.last_word = Some(code);
                // The broker has read all up to the client's own GOODBYE.
                let has_read_all = !(self.is_ending || self.may_be_cut)
                    && facts.said_goodbye
                    && matches!(frame, Frame::Goodbye { code: ErrorCode::NONE, .. });
                self.leaves(connection);
                if has_read_all {
                    self.links_of(connection).into_iter().for_each(|link| self.settled(link));
                }
            }
            _ => {}
        }
        if let Some(link) = self.featured.find(connection, frame.link()) {
            self.jobs.received(&self.featured, link, frame, self.now);
        }
        self.featured.received(connection, frame);
        self.own.received(connection, frame);
        let Some(index) = self.find_link(connection, frame.link()) else { return };
        let link = &mut self.links[index.0];
        match *frame {
            Frame::Opened { .. } if link.state == LinkState::Opening => link.state = LinkState::Open,
            Frame::Credit { upto, .. } => link.credit = upto,
            Frame::Confirmed { upto, .. } => self.confirmed(index, upto),
            Frame::Refused { first, last, .. } => {
                for number in first..=last {
                    if let Some(message) = self.links[index.0].message(number) {
                        self.messages[message.0].outcome = Outcome::Refused;
                    }
                }
            }
            Frame::Delivery { tag, count, payload, .. } => {
                if let Some(message) = self.message_of(&payload) {
                    self.delivered(index, tag, count, message);
                }
            }
            Frame::Closed { code, .. } => self.closed(index, code),
            _ => {}
        }
    }

    /// The client breaks the protocol: whatever it held is the broker's to give back.
    pub(in crate::simulate) fn turns_hostile(&mut self, connection: ConnectionNumber) {
        self.connections[connection.0].is_hostile = true;
        self.leaves(connection);
    }

    /// The client will say nothing more.
    pub(in crate::simulate) fn leaves(&mut self, connection: ConnectionNumber) {
        let now = self.now;
        let facts = &mut self.connections[connection.0];
        facts.is_leaving = true;
        facts.left_at.get_or_insert(now);
        self.links_of(connection).into_iter().for_each(|link| self.gives_up(link));
    }

    /// Nothing passes on the connection any more.
    pub(in crate::simulate) fn ended(&mut self, connection: ConnectionNumber) {
        let facts = &mut self.connections[connection.0];
        facts.is_over = true;
        let has_seen_all = facts.last_word.is_some() && facts.is_listening;
        for index in self.links_of(connection) {
            self.gives_up(index);
            let link = &self.links[index.0];
            self.queues[link.queue].unseen_ends += u32::from(link.consumes && !has_seen_all);
            self.unresolved(index, Outcome::Unknown);
            self.perhaps(index);
            self.links[index.0].state = LinkState::Free;
        }
        self.connections[connection.0].numbers.clear();
        for (link, there) in self.featured.of(connection) {
            if let Channel::Jobs(queue) = there.channel {
                self.jobs.over(link, queue, Outcome::Unknown);
            }
        }
        self.featured.ended(connection);
        self.own.ended(connection);
    }

    /// The host program has decided about somebody at the door, who has given its connection's number.
    pub(in crate::simulate) fn decided(&mut self, name: &str, yes: bool) {
        let connection = name.parse().ok().and_then(|at: usize| self.connections.get_mut(at));
        if let Some(connection) = connection {
            connection.credentials = Credentials::Decided(yes);
        }
    }

    /// Another handler begins, which knows nothing of what was before.
    pub(in crate::simulate) fn begins_anew(&mut self) {
        self.life += 1;
        self.open.clear();
        self.queues.fill(QueueFacts::default());
        self.featured.begins_anew();
        self.jobs.begins_anew();
        self.own.begins_anew();
    }

    /// Everything is at rest, so whoever takes part has read all, and the broker has read all of theirs.
    pub(in crate::simulate) fn rested(&mut self) {
        for at in 0..self.links.len() {
            let link = &mut self.links[at];
            link.first_floor = link.first_seen;
            if link.state == LinkState::Free {
                continue;
            }
            let connection = &self.connections[link.connection.0];
            let takes_part = connection.is_listening && !connection.is_over;
            self.links[at].was_read = takes_part;
            if takes_part && !self.links[at].gave_up {
                self.unresolved(LinkIndex(at), Outcome::Accepted);
                self.settled(LinkIndex(at));
            }
        }
        self.forget_what_is_over();
        let Facts { featured, jobs, own, connections, now, .. } = self;
        let takes_part = |ConnectionNumber(at): ConnectionNumber| {
            let connection = &connections[at];
            connection.is_listening && !connection.is_over && !connection.is_leaving
        };
        featured.rested(*now, takes_part);
        own.rested(*now, takes_part);
        jobs.rested(*now, |link| {
            let link = featured.link(link);
            link.state != LinkState::Free && takes_part(link.connection)
        });
    }
}
