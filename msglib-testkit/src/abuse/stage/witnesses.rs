//! A publisher and a consumer who do their work while others are attacked, and notice everything.

use crate::conformance::RawPeer;
use msglib_client::{Event, Session, SessionConfig};
use msglib_proto::{ChannelKind, ChannelName, LinkNumber, Payload};
use std::io::ErrorKind;

/// Messages that may be under way at once.
const WINDOW: u64 = 4;

pub(super) struct Witnesses<P> {
    publisher: Client<P>,
    consumer: Client<P>,
    published: u64,
    confirmed: u64,
    /// How many messages have arrived, each once and in order.
    pub(super) received: u64,
    /// Whether the publisher goes on.
    pub(super) publishes: bool,
}

impl<P: RawPeer> Witnesses<P> {
    pub(super) fn new(publisher: P, consumer: P) -> Witnesses<P> {
        let publisher = Client::new(publisher, true);
        let mut consumer = Client::new(consumer, false);
        consumer.session.grant(consumer.link, u64::MAX).expect("a link of its own, for deliveries");
        Witnesses { publisher, consumer, published: 0, confirmed: 0, received: 0, publishes: true }
    }

    /// Whether every message is confirmed, received and acked, as far as the witnesses can do anything about it.
    pub(super) fn is_done(&self) -> bool {
        let all_written = self.publisher.session.pending().is_empty() && self.consumer.session.pending().is_empty();
        self.confirmed == self.published && self.received == self.published && all_written
    }

    /// Bytes that both have written, and read.
    pub(super) fn traffic(&self) -> (u64, u64) {
        let (publisher, consumer) = (&self.publisher, &self.consumer);
        (publisher.written + consumer.written, publisher.read + consumer.read)
    }

    /// Does what goes; an error is what went wrong, in words.
    pub(super) fn turn(&mut self) -> Result<(), String> {
        self.publish();
        for event in self.publisher.turn().map_err(|why| format!("the publisher {why}"))? {
            match event {
                Event::Confirmed { upto, .. } => self.confirmed = upto,
                Event::Welcome | Event::Opened { .. } | Event::Credit { .. } => {}
                other => return Err(format!("the publisher was told {other:?}")),
            }
        }
        for event in self.consumer.turn().map_err(|why| format!("the consumer {why}"))? {
            match event {
                Event::Delivery { link, tag, count, payload, .. } => {
                    let expected = (self.received + 1).to_be_bytes();
                    if payload[..] != expected || count != 1 {
                        return Err(format!(
                            "the consumer expected {expected:?} for the first time, and got {payload:?}, attempt {count}"
                        ));
                    }
                    self.received += 1;
                    self.consumer.session.ack(link, tag..=tag).map_err(|error| format!("no ack: {error}"))?;
                    self.consumer.session.flush_acks(link);
                }
                Event::Welcome | Event::Opened { .. } => {}
                other => return Err(format!("the consumer was told {other:?}")),
            }
        }
        Ok(())
    }

    fn publish(&mut self) {
        let Client { session, link, .. } = &mut self.publisher;
        while self.publishes && self.published < self.received.min(self.confirmed) + WINDOW {
            let number = (self.published + 1).to_be_bytes();
            // Without credit, later.
            if session.publish(*link, Payload::from(&number), true).is_err() {
                return;
            }
            self.published += 1;
        }
    }
}

/// One well-behaved client.
struct Client<P> {
    peer: P,
    session: Session,
    link: LinkNumber,
    written: u64,
    read: u64,
}

impl<P: RawPeer> Client<P> {
    fn new(peer: P, publishes: bool) -> Client<P> {
        let mut session = Session::new(&SessionConfig::default()).expect("a HELLO without a name");
        let name = ChannelName::bytes(b"witness").expect("a name of seven bytes");
        let link = session.open(ChannelKind::QUEUE, name, publishes, !publishes).expect("the first link");
        Client { peer, session, link, written: 0, read: 0 }
    }

    fn turn(&mut self) -> Result<Vec<Event>, String> {
        self.peer.drive();
        self.write()?;
        self.read()
    }

    fn write(&mut self) -> Result<(), String> {
        while !self.session.pending().is_empty() {
            match self.peer.try_write(self.session.pending().first_segment()) {
                Ok(count) => {
                    self.session.sent(count);
                    self.written += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot write: {error}")),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Vec<Event>, String> {
        let mut buf = [0; 4096];
        let mut events = Vec::new();
        loop {
            match self.peer.try_read(&mut buf) {
                Ok(0) => return Err(String::from("was cut off")),
                Ok(count) => {
                    self.read += count as u64;
                    let taken = self.session.handle_input(&buf[..count], &mut events);
                    taken.map_err(|error| format!("was sent nonsense: {error}"))?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(events),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot read: {error}")),
            }
        }
    }
}
