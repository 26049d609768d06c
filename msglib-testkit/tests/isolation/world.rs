//! A broker in memory with little room, many clients who go about their business, and some who do not.

use msglib_broker::{Broker, BrokerConfig, ConnectionHandler, CoreConfig, Native, StockConfig};
use msglib_client::{Event, Session, SessionConfig};
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::{ChannelKind, ChannelName, LinkNumber, Payload};
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

/// Bytes that a pipe takes in each direction.
pub(crate) const PIPE: usize = 4_096;
pub(crate) const HIGH_WATER: usize = 8_192;
pub(crate) const RESERVE: usize = 4_096;
/// Less than what a pipe has for it, so that a turn can leave something.
pub(crate) const READ_BLOCK: usize = 1_024;
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a message of those who want more than their share.
pub(crate) const LARGE: usize = 1_000;
/// Deliveries of one step: hardly more than what a thousand normal clients want.
const DELIVERIES: usize = 2_100;
/// Messages that a normal client has under way.
const WINDOW: u64 = 2;

pub(crate) struct World {
    pub(crate) broker: Broker<ConnectionHandler, InMemoryConnectionManager>,
    pub(crate) normal: Vec<Normal>,
    pub(crate) others: Vec<Box<dyn Peer>>,
    transport: Transport,
}

/// Somebody who has a turn in each step.
pub(crate) trait Peer {
    fn turn(&mut self);
}

impl World {
    pub(crate) fn new() -> World {
        let transport = Transport::builder().pipe_capacity(PIPE).backlog(10_000).build();
        let manager = InMemoryConnectionManager::new(&transport, "broker").expect("a free name");
        // So that nothing is fair merely because there is room for all.
        let core = CoreConfig::default()
            .with_high_water(HIGH_WATER)
            .with_reserve(RESERVE)
            .with_frames_per_turn(64)
            .with_write_timeout(WRITE_TIMEOUT);
        let config = BrokerConfig::default().with_core(core).with_read_block(READ_BLOCK).with_reads_per_turn(1);
        let stock = StockConfig::default().with_deliveries_per_step(DELIVERIES).with_deliveries_per_turn(16);
        let broker = Broker::with_config(ConnectionHandler::with_config(stock), manager, Native::default(), config);
        World { broker, normal: Vec::new(), others: Vec::new(), transport }
    }

    pub(crate) fn with_normal(mut self, count: u64) -> World {
        self.normal = (0..count).map(|id| Normal::new(self.line(), id)).collect();
        self
    }

    pub(crate) fn line(&self) -> Line {
        let stream = self.transport.connect("broker").expect("the broker listens");
        Line { session: Session::new(&SessionConfig::default()).expect("no name"), stream }
    }

    /// One step of the broker's, and a turn of everybody else; a millisecond goes by.
    pub(crate) fn step(&mut self) {
        self.broker.process_connections().expect("a broker that goes on");
        for peer in &mut self.normal {
            peer.turn();
        }
        for peer in &mut self.others {
            peer.turn();
        }
        self.transport.clock().advance(Duration::from_millis(1));
    }

    pub(crate) fn steps(&mut self, count: usize) {
        (0..count).for_each(|_| self.step());
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.transport.clock().advance(by);
    }
}

/// A connection and the client's side of the protocol on it.
pub(crate) struct Line {
    pub(crate) session: Session,
    stream: MemoryStream,
}

impl Line {
    pub(crate) fn open(&mut self, queue: u64, publishes: bool, consumes: bool) -> LinkNumber {
        let name = ChannelName::id(queue);
        self.session.open(ChannelKind::QUEUE, name, publishes, consumes).expect("a link")
    }

    /// Reads `most` bytes at most.
    pub(crate) fn read(&mut self, most: usize) -> Vec<Event> {
        let (mut events, mut buf, mut left) = (Vec::new(), [0; 2_048], most);
        while left > 0 {
            let room = buf.len().min(left);
            match self.stream.read(&mut buf[..room]) {
                Ok(0) => break,
                Ok(count) => {
                    self.session.handle_input(&buf[..count], &mut events).expect("a broker that keeps to the protocol");
                    left -= count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => break,
            }
        }
        events
    }

    pub(crate) fn write(&mut self) {
        while !self.session.pending().is_empty() {
            match self.stream.write(self.session.pending().first_segment()) {
                Ok(count) => self.session.sent(count),
                // No room, or nobody.
                Err(_) => return,
            }
        }
    }
}

/// Publishes to a queue of its own, and consumes it: each message once, in order.
pub(crate) struct Normal {
    line: Line,
    link: LinkNumber,
    published: u64,
    pub(crate) received: u64,
    pub(crate) publishes: bool,
}

impl Normal {
    fn new(mut line: Line, id: u64) -> Normal {
        let link = line.open(1_000_000 + id, true, true);
        line.session.grant(link, u64::MAX).expect("a link of its own");
        Normal { line, link, published: 0, received: 0, publishes: true }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.received == self.published
    }
}

impl Peer for Normal {
    fn turn(&mut self) {
        for event in self.line.read(usize::MAX) {
            match event {
                Event::Delivery { link, tag, count, payload, .. } => {
                    self.received += 1;
                    assert_eq!((&payload[..8], count), (&self.received.to_be_bytes()[..], 1), "once, and in order");
                    self.line.session.ack(link, tag..=tag).expect("an ack");
                }
                Event::Welcome | Event::Opened { .. } | Event::Credit { .. } => {}
                other => panic!("a normal client was told {other:?}"),
            }
        }
        self.line.session.flush_acks(self.link);
        while self.publishes && self.published < self.received + WINDOW {
            let mut payload = [7; 64];
            payload[..8].copy_from_slice(&(self.published + 1).to_be_bytes());
            if self.line.session.publish(self.link, Payload::from(&payload), false).is_err() {
                break;
            }
            self.published += 1;
        }
        self.line.write();
    }
}

/// Allows all deliveries that there are, of several queues, and reads so many bytes in a turn: none, or one.
pub(crate) struct Deaf {
    line: Line,
    reads: usize,
}

impl Deaf {
    pub(crate) fn new(mut line: Line, queues: impl Iterator<Item = u64>, reads: usize) -> Deaf {
        for queue in queues {
            let link = line.open(queue, false, true);
            line.session.grant(link, u64::MAX).expect("a link of its own");
        }
        Deaf { line, reads }
    }
}

impl Peer for Deaf {
    fn turn(&mut self) {
        self.line.read(self.reads);
        self.line.write();
    }
}

/// Publishes messages of one size to several queues, as fast as it is allowed to.
pub(crate) struct Flooder {
    line: Line,
    links: Vec<LinkNumber>,
    payload: Vec<u8>,
    left: u64,
}

impl Flooder {
    pub(crate) fn new(mut line: Line, queues: impl Iterator<Item = u64>, size: usize, messages: u64) -> Flooder {
        let links = queues.map(|queue| line.open(queue, true, false)).collect();
        Flooder { line, links, payload: vec![1; size], left: messages }
    }
}

impl Peer for Flooder {
    fn turn(&mut self) {
        self.line.read(usize::MAX);
        for &link in &self.links {
            while self.left > 0 && self.line.session.pending().len() < 4 * PIPE {
                if self.line.session.publish(link, Payload::from(&self.payload[..]), false).is_err() {
                    break;
                }
                self.left -= 1;
            }
        }
        self.line.write();
    }
}

/// Sends pings without end and reads no answer.
pub(crate) struct Pinger(pub(crate) Line);

impl Peer for Pinger {
    fn turn(&mut self) {
        if self.0.session.welcome().is_none() {
            self.0.read(usize::MAX);
        }
        while self.0.session.pending().len() < 4 * PIPE && self.0.session.ping(1).is_ok() {}
        self.0.write();
    }
}

/// Takes and settles all that a queue has.
pub(crate) struct Heir {
    line: Line,
    link: LinkNumber,
    pub(crate) received: std::rc::Rc<std::cell::Cell<u64>>,
}

impl Heir {
    pub(crate) fn new(mut line: Line, queue: u64) -> Heir {
        let link = line.open(queue, false, true);
        line.session.grant(link, u64::MAX).expect("a link of its own");
        Heir { line, link, received: std::rc::Rc::default() }
    }
}

impl Peer for Heir {
    fn turn(&mut self) {
        for event in self.line.read(usize::MAX) {
            if let Event::Delivery { link, tag, .. } = event {
                self.received.set(self.received.get() + 1);
                self.line.session.ack(link, tag..=tag).expect("an ack");
            }
        }
        self.line.session.flush_acks(self.link);
        self.line.write();
    }
}
