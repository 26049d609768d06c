//! A core on a bench: peers that speak in frames, time that a test moves, and no transport at all.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use msglib_broker::{Core, CoreConfig, End, Handler, Native};
use msglib_proto::transport::{Address, Close, ConnectionId, Peer};
use msglib_proto::{
    ChannelKind, ChannelName, Decoder, Feature, Frame, Hello, Instant, Limits, Open, Payload, SendQueue, encode,
};
use std::collections::BTreeMap;
use std::time::Duration;

pub struct Bench<H> {
    pub core: Core<H, Native>,
    pub now: Instant,
    opened: u32,
    received: BTreeMap<ConnectionId, Vec<u8>>,
    pub closed: Vec<(ConnectionId, Close)>,
    /// Bytes that each write takes; `None` takes all.
    pub room: BTreeMap<ConnectionId, usize>,
}

impl<H: Handler> Bench<H> {
    pub fn new(handler: H) -> Bench<H> {
        Bench::with_config(handler, CoreConfig::default())
    }

    pub fn with_config(handler: H, config: CoreConfig) -> Bench<H> {
        Bench::with_dialect(handler, Native::default(), config)
    }

    pub fn with_dialect(handler: H, dialect: Native, config: CoreConfig) -> Bench<H> {
        Bench {
            core: Core::new(handler, dialect, config, 1),
            now: Instant::ZERO,
            opened: 0,
            received: BTreeMap::new(),
            closed: Vec::new(),
            room: BTreeMap::new(),
        }
    }

    /// A peer that has said nothing yet.
    pub fn open(&mut self) -> ConnectionId {
        self.open_from(Address::Memory(u64::from(self.opened + 1)))
    }

    pub fn open_from(&mut self, address: Address) -> ConnectionId {
        let id = ConnectionId::new(self.opened, 0);
        self.opened += 1;
        self.core.handle_open(self.now, id, Peer::new(address));
        id
    }

    /// A peer whose handshake is done.
    pub fn greeted(&mut self) -> ConnectionId {
        let id = self.open();
        self.send(id, &[hello()]);
        assert_eq!(self.names(id), ["Welcome"]);
        id
    }

    /// A peer that has agreed on these features.
    pub fn greeted_with(&mut self, features: u64) -> ConnectionId {
        let id = self.open();
        self.send(id, &[hello_with(features)]);
        assert_eq!(self.names(id), ["Welcome"]);
        id
    }

    /// The peer sends these, and the broker makes a step.
    pub fn send(&mut self, id: ConnectionId, frames: &[Frame<'_>]) {
        self.send_bytes(id, &bytes_of(frames));
    }

    pub fn send_bytes(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.core.handle_input(self.now, id, bytes);
        self.step();
    }

    pub fn end(&mut self, id: ConnectionId) {
        self.core.handle_end(self.now, id, End::OfStream);
        self.step();
    }

    pub fn advance(&mut self, by: Duration) {
        self.now += by;
        self.step();
    }

    /// Steps until the core has nothing more to do by itself.
    pub fn step(&mut self) {
        for _ in 0..1000 {
            let mut told = Vec::new();
            self.core.poll_told(&mut told);
            told.iter().for_each(|told| self.core.handle_told(self.now, told));
            self.core.handle_timeout(self.now);
            self.core.end_of_step(self.now);
            while let Some(id) = self.core.poll_transmit() {
                self.write(id);
            }
            while let Some(close) = self.core.poll_close() {
                self.closed.push(close);
            }
            while self.core.poll_resume().is_some() {}
            if self.core.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
        }
        panic!("the core does not come to rest");
    }

    /// The frames that came to the peer since the last call, by name.
    pub fn names(&mut self, id: ConnectionId) -> Vec<String> {
        self.lines(id).iter().map(|line| line.split([' ', '(']).next().unwrap().to_owned()).collect()
    }

    /// The frames that came to the peer since the last call.
    pub fn lines(&mut self, id: ConnectionId) -> Vec<String> {
        let bytes = self.received.remove(&id).unwrap_or_default();
        let mut decoder = Decoder::new(&Limits::default());
        decoder.agree_on(Feature::all_bits());
        let mut input = &bytes[..];
        let mut lines = Vec::new();
        while let Some(frame) = decoder.decode(&mut input).expect("what a broker sends decodes") {
            lines.push(format!("{frame:?}"));
        }
        assert!(decoder.is_between_frames(), "half a frame");
        lines
    }

    pub fn is_closed(&self, id: ConnectionId) -> bool {
        self.closed.iter().any(|(closed, _)| *closed == id)
    }

    fn write(&mut self, id: ConnectionId) {
        let Some(pending) = self.core.pending(id) else { return };
        let mut bytes = pending.to_vec();
        bytes.truncate(self.room.get(&id).copied().unwrap_or(usize::MAX));
        self.core.handle_sent(self.now, id, bytes.len());
        if !bytes.is_empty() {
            self.received.entry(id).or_default().extend(bytes);
        }
    }

    /// The peer reads `bytes` at most, once.
    pub fn read(&mut self, id: ConnectionId, bytes: usize) {
        let before = self.room.insert(id, bytes);
        self.core.handle_writable(self.now, id);
        while let Some(id) = self.core.poll_transmit() {
            self.write(id);
        }
        self.room.insert(id, 0);
        if before.is_none() {
            self.room.remove(&id);
        }
        self.step();
    }
}

pub fn bytes_of(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut queue = SendQueue::new();
    for frame in frames {
        encode(frame, &mut queue).unwrap();
    }
    queue.to_vec()
}

pub fn hello() -> Frame<'static> {
    hello_with(0)
}

pub fn hello_with(features: u64) -> Frame<'static> {
    Frame::Hello(Hello {
        min_version: 1,
        max_version: 1,
        features,
        max_payload: 1 << 20,
        idle_ms: 0,
        name: "test",
        mechanism: "",
        credentials: b"",
    })
}

pub fn open(link: u32, publishes: bool, consumes: bool) -> Frame<'static> {
    open_as(link, publishes, consumes, ChannelKind::QUEUE, b"")
}

pub fn open_as(
    link: u32,
    publishes: bool,
    consumes: bool,
    kind: ChannelKind,
    arguments: &'static [u8],
) -> Frame<'static> {
    Frame::Open(Open { link, publishes, consumes, kind, name: ChannelName::id(7), arguments })
}

pub fn publish(link: u32, number: u64, payload: &'static str) -> Frame<'static> {
    Frame::Publish { link, number, confirm: true, payload: Payload::from(payload) }
}
