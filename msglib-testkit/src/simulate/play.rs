//! What each operation does in a world.

use super::checker::Violation;
use super::facts::{LinkIndex, write_payload};
use super::schedule::{Action, Operation, Settling, Violence};
use super::setup::{Setup, queue_name};
use super::world::World;
use msglib_broker::Handler;
use msglib_proto::{ChannelKind, ErrorCode, Frame, LINKS_BEFORE_WELCOME, LinkState, MAX_HELLO, Open, Payload};
use std::time::Duration;

/// Bytes that any frame but a publish takes at most.
const SMALL_FRAME: usize = 64;

/// A header of a type that there is not.
const UNKNOWN_TYPE: [u8; 12] = [0, 0, 0, 12, 0, 0x77, 0, 0, 0, 0, 0, 0];

impl<H: Handler + 'static> World<'_, H> {
    /// Carries out an operation; false if it meant nothing as things were.
    pub(super) fn play(&mut self, operation: Operation) -> Result<bool, Violation> {
        match operation {
            Operation::Client(client, action) => return self.act(client % self.setup.clients, action),
            Operation::Featured(client, deed) => return self.do_deed(client, deed),
            Operation::Host(queue, act) => return Ok(self.setup.featured > 0 && self.host(queue, act)),
            Operation::Decide { pick, yes } => return Ok(self.decide(pick, yes)),
            Operation::Own(client, deed) => return self.do_own(client, deed),
            Operation::Answer { pick, answer } => return Ok(self.setup.own > 0 && self.answer_own(pick, answer)),
            Operation::Steps(count) => {
                for _ in 0..count {
                    self.tick()?;
                }
            }
            Operation::Rest => self.rest()?,
            Operation::Advance(micros) => {
                self.advance(Duration::from_micros(micros));
                if micros >= 1_000_000 {
                    self.lay_ghosts()?;
                }
            }
            Operation::Restart { orderly, fresh } => {
                self.process_faults += 1;
                self.replace_broker(orderly, fresh)?;
            }
            Operation::Panic { after, fresh } => self.plan_panic(after, fresh),
        }
        Ok(true)
    }

    fn act(&mut self, client: usize, action: Action) -> Result<bool, Violation> {
        let queues = self.setup.queues;
        match action {
            Action::Connect { takes } => {
                let most = self.setup.limits.max_payload;
                self.connect(client, takes.map_or(most, |takes| takes.min(most)))?;
                Ok(true)
            }
            Action::Open { queue, publishes, consumes } => {
                Ok(self.open(client, queue % queues, publishes, consumes)?.is_some())
            }
            Action::Close { pick } => {
                let Some(link) = self.pick_link(client, pick, |_| true) else { return Ok(false) };
                self.send(client, &Frame::Close { link })?;
                Ok(true)
            }
            Action::Publish { queue, times, confirm, size } => {
                self.publish(client, queue % queues, times, confirm, size)
            }
            Action::Credit { queue, more } => self.credit(client, queue % queues, more),
            Action::Settle { pick, from, count, how } => self.settle_held(client, pick, from, count, how),
            Action::SettleForeign { pick, beyond, how } => self.settle_foreign(client, pick, beyond, how),
            Action::Ping => {
                if !self.is_ready(client)? || !self.has_room_to_say(client, SMALL_FRAME) {
                    return Ok(false);
                }
                let token = self.facts.messages.len() as u64 + 1;
                self.send(client, &Frame::Ping { token })?;
                Ok(true)
            }
            Action::Goodbye => {
                self.if_ready(client, |world| world.send(client, &Frame::Goodbye { code: ErrorCode::NONE, text: "" }))
            }
            Action::HalfClose => self.if_ready(client, |world| {
                if let Some(open) = &mut world.clients[client] {
                    open.write(usize::MAX);
                    open.half_close();
                    let connection = open.connection;
                    world.facts.leaves(connection);
                }
                Ok(())
            }),
            Action::Reset { after } => self.if_ready(client, |world| {
                world.leave(client, |open| {
                    open.write(after);
                    open.reset();
                })
            }),
            Action::Drop { after } => self.if_ready(client, |world| {
                world.leave(client, |open| {
                    open.write(after);
                })
            }),
            Action::Stall => self.if_ready(client, |world| {
                world.stall(client, true);
                Ok(())
            }),
            Action::Resume => self.if_ready(client, |world| {
                world.stall(client, false);
                Ok(())
            }),
            Action::Trickle { bytes } => self.if_ready(client, |world| {
                if let Some(open) = &mut world.clients[client] {
                    open.trickle = Some(bytes);
                }
                Ok(())
            }),
            Action::Vanish => self.if_ready(client, |world| {
                world.vanish(client);
                Ok(())
            }),
            Action::Violate(how) => self.violate(client, how),
        }
    }

    fn if_ready(
        &mut self,
        client: usize,
        act: impl FnOnce(&mut Self) -> Result<(), Violation>,
    ) -> Result<bool, Violation> {
        let is_ready = self.clients[client].is_some() && self.is_ready(client)?;
        if is_ready {
            act(self)?;
        }
        Ok(is_ready)
    }

    /// Connects if there is no connection; false if the one that there is has said its last frame.
    fn is_ready(&mut self, client: usize) -> Result<bool, Violation> {
        if self.clients[client].is_none() {
            self.connect(client, self.setup.limits.max_payload)?;
        }
        let Some(open) = &self.clients[client] else { return Ok(false) };
        let facts = self.facts.connection(open.connection);
        Ok(!facts.is_leaving && facts.last_word.is_none())
    }

    /// Before its `WELCOME` a client may say only so much (PROTOCOL §4.4).
    fn has_room_to_say(&self, client: usize, bytes: usize) -> bool {
        let Some(open) = &self.clients[client] else { return false };
        self.facts.connection(open.connection).is_greeted || open.said + bytes <= MAX_HELLO as usize
    }

    /// The number of one of the client's links that can be used and that is `such`.
    fn pick_link(&self, client: usize, pick: usize, such: impl Fn(LinkIndex) -> bool) -> Option<u32> {
        let open = self.clients[client].as_ref()?;
        let connection = self.facts.connection(open.connection);
        if connection.is_leaving || !self.has_room_to_say(client, SMALL_FRAME) {
            return None;
        }
        let is_usable = |link: &&LinkIndex| {
            matches!(self.facts.link(**link).state, LinkState::Opening | LinkState::Open) && such(**link)
        };
        let links = || connection.numbers.iter().flatten().filter(is_usable);
        let link = links().nth(pick % links().count().max(1))?;
        Some(self.facts.link(*link).number)
    }

    /// A link that the client has to the queue for this, or a new one.
    fn link_to(&mut self, client: usize, queue: usize, publishes: bool) -> Result<Option<LinkIndex>, Violation> {
        if !self.is_ready(client)? {
            return Ok(None);
        }
        let there = self.pick_link(client, 0, |link| {
            let link = self.facts.link(link);
            link.queue == queue && if publishes { link.publishes } else { link.consumes }
        });
        match there {
            Some(number) => {
                let Some(open) = &self.clients[client] else { return Ok(None) };
                Ok(self.facts.find_link(open.connection, number))
            }
            None => self.open(client, queue, publishes, !publishes),
        }
    }

    fn open(
        &mut self,
        client: usize,
        queue: usize,
        publishes: bool,
        consumes: bool,
    ) -> Result<Option<LinkIndex>, Violation> {
        if !self.is_ready(client)? || !self.has_room_to_say(client, SMALL_FRAME) {
            return Ok(None);
        }
        let Some(open) = &self.clients[client] else { return Ok(None) };
        let connection = open.connection;
        let facts = self.facts.connection(connection);
        let free = facts.numbers.iter().position(Option::is_none).unwrap_or(facts.numbers.len());
        let most = self.setup.limits.max_links.min(if facts.is_greeted { u32::MAX } else { LINKS_BEFORE_WELCOME });
        if free >= most as usize {
            return Ok(None);
        }
        let link = free as u32 + 1;
        let (kind, name) = (ChannelKind::QUEUE, queue_name(queue));
        self.facts.opened(connection, link, queue, publishes, consumes);
        self.send(client, &Frame::Open(Open { link, publishes, consumes, kind, name, arguments: b"" }))?;
        Ok(self.facts.find_link(connection, link))
    }

    fn publish(
        &mut self,
        client: usize,
        queue: usize,
        times: usize,
        confirm: bool,
        size: usize,
    ) -> Result<bool, Violation> {
        let Some(index) = self.link_to(client, queue, true)? else { return Ok(false) };
        let size = Setup::LEAST_PAYLOAD + (self.setup.payload - Setup::LEAST_PAYLOAD) * size / 1000;
        let mut published = false;
        for _ in 0..times {
            let link = self.facts.link(index);
            if link.published >= link.credit || !self.has_room_to_say(client, size + SMALL_FRAME) {
                break;
            }
            let (link, number) = (link.number, link.published + 1);
            let mut payload = core::mem::take(&mut self.payload);
            write_payload(self.facts.next_message(), size, &mut payload);
            let frame = Frame::Publish { link, number, confirm, payload: Payload::from(&payload) };
            self.send(client, &frame)?;
            self.payload = payload;
            published = true;
        }
        Ok(published)
    }

    fn credit(&mut self, client: usize, queue: usize, more: u64) -> Result<bool, Violation> {
        let Some(index) = self.link_to(client, queue, false)? else { return Ok(false) };
        let link = self.facts.link(index);
        let upto = link.delivered.saturating_add(more).max(link.granted);
        let frame = Frame::Credit { link: link.number, upto };
        if !self.has_room_to_say(client, SMALL_FRAME) {
            return Ok(false);
        }
        self.send(client, &frame)?;
        Ok(true)
    }

    fn settle_held(
        &mut self,
        client: usize,
        pick: usize,
        from: usize,
        count: u64,
        how: Settling,
    ) -> Result<bool, Violation> {
        let picked = self.pick_link(client, pick, |link| self.facts.link(link).span() > 0);
        let (Some(number), Some(open)) = (picked, &self.clients[client]) else { return Ok(false) };
        let Some(index) = self.facts.find_link(open.connection, number) else { return Ok(false) };
        let link = self.facts.link(index);
        let held = link.held().count();
        let Some((first, _)) = link.held().nth(from % held.max(1)) else { return Ok(false) };
        // Not beyond what came: that would settle what nobody has seen.
        let last = first.saturating_add(count - 1).min(link.delivered);
        self.send(client, &settling_frame(number, first, last, how))?;
        Ok(true)
    }

    fn settle_foreign(&mut self, client: usize, pick: usize, beyond: bool, how: Settling) -> Result<bool, Violation> {
        let Some(number) = self.pick_link(client, pick, |link| self.facts.link(link).consumes) else {
            return Ok(false);
        };
        let Some(open) = &self.clients[client] else { return Ok(false) };
        let Some(index) = self.facts.find_link(open.connection, number) else { return Ok(false) };
        let link = self.facts.link(index);
        let (first, last) = match beyond {
            true => (link.granted.saturating_add(1), u64::MAX),
            false => (1, link.before),
        };
        if last < first {
            return Ok(false);
        }
        self.send(client, &settling_frame(number, first, last, how))?;
        Ok(true)
    }

    /// Says something that ends the connection; what is said later is not looked at.
    fn violate(&mut self, client: usize, how: Violence) -> Result<bool, Violation> {
        if !self.is_ready(client)? {
            return Ok(false);
        }
        let link = self.pick_link(client, 0, |link| self.facts.link(link).publishes);
        let consumer = self.pick_link(client, 0, |link| {
            let link = self.facts.link(link);
            link.consumes && link.granted > 0
        });
        let Some(open) = &mut self.clients[client] else { return Ok(false) };
        let connection = open.connection;
        let max_payload = self.setup.limits.max_payload;
        match how {
            Violence::HelloAgain => open.say_bytes(&hello_again()),
            Violence::WrongNumber => {
                let Some(link) = link else { return Ok(false) };
                let index = self.facts.find_link(connection, link);
                let number = index.map_or(2, |index| self.facts.link(index).published + 2);
                open.say(&Frame::Publish { link, number, confirm: false, payload: Payload::from("never") });
                // On a link that the broker has ended meanwhile it is ignored.
                open.say_bytes(&UNKNOWN_TYPE);
            }
            Violence::WrongLink => {
                open.say(&Frame::Publish { link: 4_000, number: 1, confirm: true, payload: Payload::from("never") });
            }
            Violence::CreditBack => {
                let Some(link) = consumer else { return Ok(false) };
                open.say(&Frame::Credit { link, upto: 0 });
                open.say_bytes(&UNKNOWN_TYPE);
            }
            Violence::BrokersFrame => open.say(&Frame::Opened { link: 1 }),
            Violence::UnknownType => open.say_bytes(&UNKNOWN_TYPE),
            Violence::ShortLength => open.say_bytes(&[0, 0, 0, 3, 0, 5, 0, 0, 0, 0, 0, 0]),
            Violence::TooLarge => {
                let mut header = [0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 1];
                header[..4].copy_from_slice(&(21 + max_payload).to_be_bytes());
                open.say_bytes(&header);
            }
            Violence::Noise => open.say_bytes(b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n"),
        }
        self.facts.turns_hostile(connection);
        self.note(|| super::trace::What::Client { client, words: format!("breaks the protocol: {how:?}") });
        Ok(true)
    }
}

fn settling_frame(link: u32, first: u64, last: u64, how: Settling) -> Frame<'static> {
    match how {
        Settling::Ack => Frame::Ack { link, first, last },
        Settling::Refuse(verdict) => Frame::Refuse { link, first, last, verdict },
    }
}

fn hello_again() -> Vec<u8> {
    let hello = msglib_proto::Hello {
        min_version: 1,
        max_version: 1,
        features: 0,
        max_payload: 1_000,
        idle_ms: 0,
        name: "again",
        mechanism: "",
        credentials: b"",
    };
    let mut out = msglib_proto::SendQueue::new();
    let encoded = msglib_proto::encode(&Frame::Hello(hello), &mut out);
    debug_assert!(encoded.is_ok());
    out.to_vec()
}

/// The end of a run.
impl<H: Handler + 'static> World<'_, H> {
    /// Heals, lets healthy consumers ack everything, and says goodbye.
    pub(super) fn wind_up(&mut self) -> Result<(), Violation> {
        self.heal()?;
        self.rest()?;
        if self.setup.own > 0 {
            self.drain_own()?;
        }
        self.drain()?;
        if self.setup.featured > 0 {
            self.drain_featured()?;
        }
        self.look(|checker, view| checker.drained(view))?;
        self.rest()?;
        self.tear_down()?;
        self.look(|checker, view| checker.at_end(view))
    }

    /// A client for each queue that takes everything, beside those that are there and ack what they hold.
    fn drain(&mut self) -> Result<(), Violation> {
        let (clients, queues) = (self.setup.clients, self.setup.queues);
        // Half of the others go away, and give back what they hold.
        for client in (0..clients).step_by(2) {
            self.leave(client, |_| {})?;
        }
        let budget = 1_000 + 200 * self.facts.open.len() * self.narrowness();
        for _ in 0..budget {
            for client in 0..clients {
                self.settle_all(client)?;
            }
            for queue in 0..queues {
                self.credit_by_drainer(clients + queue, queue)?;
                self.settle_all(clients + queue)?;
            }
            if !self.tick()? && self.nobody_holds_anything() {
                break;
            }
        }
        Ok(())
    }

    /// Steps that one frame may take.
    fn narrowness(&self) -> usize {
        let (reads, pipe) = (self.setup.broker.read_block * self.setup.broker.reads_per_turn, self.setup.pipe_capacity);
        1 + (self.setup.payload + SMALL_FRAME) / reads.min(pipe)
    }

    fn credit_by_drainer(&mut self, client: usize, queue: usize) -> Result<(), Violation> {
        let Some(index) = self.link_to(client, queue, false)? else { return Ok(()) };
        let link = self.facts.link(index);
        if link.granted < link.delivered + 50 {
            let frame = Frame::Credit { link: link.number, upto: link.delivered + 100 };
            self.send(client, &frame)?;
        }
        Ok(())
    }

    fn settle_all(&mut self, client: usize) -> Result<(), Violation> {
        while self.settle_held(client, 0, 0, u64::MAX, Settling::Ack)? {}
        Ok(())
    }

    fn nobody_holds_anything(&self) -> bool {
        self.facts.links().all(|(_, link)| link.gave_up || link.span() == 0)
    }

    /// Everybody goes: one half with a goodbye, the other without.
    fn tear_down(&mut self) -> Result<(), Violation> {
        for client in 0..self.clients.len() {
            if client % 2 == 0 && self.clients[client].is_some() {
                self.act(client, Action::Goodbye)?;
            } else {
                self.leave(client, |_| {})?;
            }
        }
        self.settle()?;
        // Whatever has a deadline has met it.
        for _ in 0..3 {
            self.advance(Duration::from_secs(60));
            self.settle()?;
        }
        Ok(())
    }
}
