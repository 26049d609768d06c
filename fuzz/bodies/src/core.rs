//! A core with the stock handler, fed by several connections with anything between a good conversation and noise.

use crate::client::{Client, Link};
use crate::input::Input;
use msglib_broker::{ConnectionHandler, Core, CoreConfig, End, Native, QueueConfig, StockConfig};
use msglib_proto::transport::{Address, Close, ConnectionId, Peer};
use msglib_proto::{
    ChannelKind, ChannelName, ErrorCode, Frame, Hello, Instant, Limits, LinkState, Open, Payload, SendQueue, Verdict,
    encode,
};
use std::collections::BTreeSet;
use std::time::Duration;

const CONNECTIONS: usize = 4;

struct World {
    core: Core<ConnectionHandler, Native>,
    now: Instant,
    opened: u32,
    clients: Vec<Option<(ConnectionId, Client)>>,
    /// Every payload that was published; a delivery of another is invented (I3).
    published: BTreeSet<Vec<u8>>,
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut world = World::new(input.u8());
    for _ in 0..300 {
        if input.is_empty() {
            break;
        }
        world.operation(&mut input);
        world.check_books();
    }
    world.tear_down();
}

impl World {
    fn new(limits: u8) -> World {
        let mut config = CoreConfig::default().with_handshake_timeout(Duration::from_secs(1));
        let mut queue = QueueConfig::default();
        if limits & 1 != 0 {
            config = config.with_high_water(64).with_reserve(64).with_frames_per_turn(2).with_timers_per_step(1);
        }
        if limits & 2 != 0 {
            queue = queue.with_max_messages(3).with_max_in_flight(2);
        }
        let mut stock = StockConfig::default().with_queue(queue);
        if limits & 4 != 0 {
            stock = stock.with_max_queues(2).with_publish_window(16).with_deliveries_per_step(1);
        }
        let dialect = Native::new(Limits::default().with_max_payload(1024).with_max_links(5));
        World {
            core: Core::new(ConnectionHandler::with_config(stock), dialect, config, 1),
            now: Instant::ZERO,
            opened: 0,
            clients: (0..CONNECTIONS).map(|_| None).collect(),
            published: BTreeSet::new(),
        }
    }

    fn operation(&mut self, input: &mut Input<'_>) {
        let operation = input.u8();
        let slot = operation as usize % CONNECTIONS;
        let Some((id, _)) = self.clients[slot] else { return self.connect(slot) };
        match operation / CONNECTIONS as u8 {
            0..=31 => self.good_frame(slot, input),
            32..=35 => {
                self.wild(slot);
                let n = input.u8() as usize;
                self.core.handle_input(self.now, id, input.bytes(n));
            }
            36..=39 => self.wild_frame(slot, input),
            40..=43 => {
                self.wild(slot);
                self.core.handle_end(self.now, id, End::OfStream);
            }
            44 => {
                self.wild(slot);
                self.core.handle_end(self.now, id, End::Failed(std::io::ErrorKind::ConnectionReset.into()));
            }
            45..=47 => self.now += Duration::from_millis(input.number().min(20_000)),
            48..=51 => self.write(id, input.u16() as usize),
            _ => self.step(usize::MAX),
        }
    }

    fn connect(&mut self, slot: usize) {
        let id = ConnectionId::new(slot as u32, self.opened);
        self.opened += 1;
        self.clients[slot] = Some((id, Client::new()));
        self.core.handle_open(self.now, id, Peer::new(Address::Memory(0)));
        let hello = Hello {
            min_version: 1,
            max_version: 1,
            features: 0,
            max_payload: 512,
            idle_ms: 0,
            name: "fuzz",
            mechanism: "",
            credentials: b"",
        };
        self.send(slot, &Frame::Hello(hello));
    }

    /// A frame that the protocol allows now, if the client has kept to it so far.
    fn good_frame(&mut self, slot: usize, input: &mut Input<'_>) {
        let Some((_, client)) = &mut self.clients[slot] else { return };
        let number = u32::from(input.u8() % 5) + 1;
        let (mut kept, what) = (None, input.u8() % 8);
        let frame = match client.links.get_mut(&number) {
            None => {
                let next = client.highest + 1;
                let number = number.min(next);
                if client.links.contains_key(&number) {
                    return;
                }
                client.highest = client.highest.max(number);
                let consumes = what & 2 != 0;
                let publishes = what & 1 != 0 || !consumes;
                client.links.insert(number, Link::new(publishes, consumes));
                let way = input.u8();
                let (name, kind) = (ChannelName::id(u64::from(way % 3)), ChannelKind(1 + u16::from(way == 255)));
                Frame::Open(Open { link: number, publishes, consumes, kind, name, arguments: b"" })
            }
            Some(link) if link.state == LinkState::Closed => {
                client.links.remove(&number);
                Frame::Close { link: number }
            }
            Some(link) if !link.is_usable() => return,
            Some(link) => match what {
                0..=2 if link.publishes && link.published < link.publish_credit => {
                    link.published += 1;
                    let payload = input.bytes(usize::from(what) * 3).to_vec();
                    self.published.insert(payload.clone());
                    let payload = kept.insert(payload);
                    let confirm = what != 1;
                    Frame::Publish { link: number, number: link.published, confirm, payload: Payload::from(&*payload) }
                }
                7 => {
                    link.state = LinkState::Closing;
                    Frame::Close { link: number }
                }
                _ => return self.consume(slot, number, what, input),
            },
        };
        self.send(slot, &frame);
    }

    fn consume(&mut self, slot: usize, number: u32, what: u8, input: &mut Input<'_>) {
        let Some((_, client)) = &mut self.clients[slot] else { return };
        let Some(link) = client.links.get_mut(&number).filter(|link| link.consumes) else { return };
        let first = input.number().max(1);
        let last = first.saturating_add(input.number());
        let verdict = if what == 6 { Verdict::ForGood } else { Verdict::Again };
        let frame = match what {
            3 => {
                link.granted = link.granted.saturating_add(input.number());
                Frame::Credit { link: number, upto: link.granted }
            }
            4 => Frame::Ack { link: number, first, last },
            _ => Frame::Refuse { link: number, first, last, verdict },
        };
        self.send(slot, &frame);
    }

    /// A frame that is well formed, and whatever else.
    fn wild_frame(&mut self, slot: usize, input: &mut Input<'_>) {
        self.wild(slot);
        let link = u32::from(input.u8() % 7) + 1;
        let (first, n) = (input.number().max(1), input.number());
        let frame = match input.u8() % 12 {
            0 => Frame::Ping { token: n },
            1 => Frame::Pong { token: n },
            2 => Frame::Goodbye { code: ErrorCode::NONE, text: "" },
            3 => Frame::Error { code: ErrorCode::INTERNAL, offset: n, text: "oh" },
            4 => Frame::Publish { link, number: first, confirm: true, payload: Payload::from("wild") },
            5 => Frame::Credit { link, upto: n },
            6 => Frame::Ack { link, first, last: u64::MAX },
            7 => Frame::Close { link },
            8 => Frame::User { kind: 0x8000, flags: 1, link, body: Payload::from("own") },
            9 => Frame::Delivery { link, tag: first, count: 1, payload: Payload::from("from a client") },
            10 => Frame::Opened { link },
            _ => Frame::Refuse { link, first, last: first, verdict: Verdict::Again },
        };
        self.published.insert(b"wild".to_vec());
        self.send(slot, &frame);
    }

    /// From here on the client does not keep to the protocol, or to its own books.
    fn wild(&mut self, slot: usize) {
        if let Some((_, client)) = &mut self.clients[slot] {
            client.is_wild = true;
        }
    }

    fn send(&mut self, slot: usize, frame: &Frame<'_>) {
        let Some((id, _)) = self.clients[slot] else { return };
        let mut out = SendQueue::new();
        encode(frame, &mut out).expect("a well-formed frame");
        self.core.handle_input(self.now, id, &out.to_vec());
    }

    /// One step of a driver.
    fn step(&mut self, room: usize) {
        self.core.handle_timeout(self.now);
        self.core.end_of_step(self.now);
        while let Some(id) = self.core.poll_transmit() {
            self.write(id, room);
        }
        while self.core.poll_resume().is_some() {}
        while let Some((id, how)) = self.core.poll_close() {
            let slot = &mut self.clients[id.index()];
            let Some((_, client)) = slot.take_if(|(known, _)| *known == id) else { panic!("{id} closed twice") };
            if let Close::Drain { .. } = how {
                assert!(client.is_over || client.is_wild, "closed in order, without a last word");
            }
        }
    }

    fn write(&mut self, id: ConnectionId, room: usize) {
        let Some(pending) = self.core.pending(id) else { return };
        let mut bytes = pending.to_vec();
        bytes.truncate(room);
        self.core.handle_sent(self.now, id, bytes.len());
        let published = &self.published;
        if let Some((known, client)) = &mut self.clients[id.index()]
            && *known == id
        {
            client.receive(&bytes, |frame| {
                if let Frame::Delivery { payload, .. } = frame {
                    assert!(published.contains(payload.as_slice()), "{frame:?} was never published (I3)");
                }
            });
        }
        if self.core.pending(id).is_some() {
            self.core.handle_writable(self.now, id);
        }
    }

    fn check_books(&self) {
        for queue in self.core.handler().queues() {
            assert!(queue.ledger.is_balanced(), "{queue:?} (I1)");
            let least = (queue.ledger.ready + queue.ledger.in_flight) as usize;
            assert!(queue.bytes >= 64 * least && queue.bytes <= least * (64 + 1024), "{queue:?} (I23)");
        }
    }

    /// After the end nothing is left, and what was not acked is still there (I2, I27).
    fn tear_down(&mut self) {
        for slot in 0..CONNECTIONS {
            if let Some((id, _)) = self.clients[slot] {
                self.wild(slot);
                self.core.handle_end(self.now, id, End::OfStream);
            }
        }
        for _ in 0..2000 {
            self.step(usize::MAX);
            if self.core.poll_timeout().is_none_or(|at| at > self.now) {
                break;
            }
        }
        self.now += Duration::from_secs(60);
        for _ in 0..2000 {
            self.step(usize::MAX);
        }
        assert_eq!(self.core.connections(), 0, "everyone is gone (I27)");
        let counters = self.core.counters();
        assert_eq!(counters.connected, counters.disconnected);
        for queue in self.core.handler().queues() {
            assert_eq!((queue.consumers, queue.links, queue.ledger.in_flight), (0, 0, 0), "{queue:?} (I27)");
            assert!(queue.ledger.is_balanced(), "{queue:?} (I1)");
        }
        assert_eq!(self.core.poll_timeout().filter(|at| *at <= self.now), None, "at rest");
    }
}
