//! A broker between a publisher and a consumer whose bytes are made beforehand, so that what is measured is the broker.

use super::bytes::{ack, bytes_of, credit, greeting, publish};
use super::{BATCH, PAYLOAD};
use msglib_broker::{Broker, ConnectionHandler, ConnectionManager, Step, StockConfig};
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use std::io::{ErrorKind, Read, Write};

/// How the consumer behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Script {
    /// It takes whatever there is, and acks each batch at once.
    Ranges,
    /// It takes whatever there is, and acks each message.
    Each,
    /// It allows a batch only after all of it waits in the queue, and acks it at once.
    Waiting,
}

/// What is said in one batch.
pub(crate) struct Batch {
    publishes: Vec<u8>,
    credit: Vec<u8>,
    acks: Vec<u8>,
}

/// Bytes that the peers have written and read.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Traffic {
    pub(crate) publisher_wrote: u64,
    pub(crate) publisher_read: u64,
    pub(crate) consumer_wrote: u64,
    pub(crate) consumer_read: u64,
}

/// Bytes of a `DELIVERY` (PROTOCOL §3).
const DELIVERY: usize = 24 + PAYLOAD;

/// A broker and its two peers, whose streams do not wait.
pub(crate) struct World<M, S> {
    pub(crate) broker: Broker<ConnectionHandler, M>,
    pub(crate) publisher: S,
    pub(crate) consumer: S,
    pub(crate) traffic: Traffic,
    script: Script,
    /// Messages that the scripts which were made publish, and that they have the consumer take.
    published: u64,
    allowed: u64,
    /// Moves in a row that had nothing to do.
    idle: u32,
    /// Where the peers read to.
    block: Vec<u8>,
}

impl World<InMemoryConnectionManager, MemoryStream> {
    pub(crate) fn in_memory(script: Script) -> Self {
        let transport = Transport::builder().pipe_capacity(1 << 20).seed(1).build();
        let manager = InMemoryConnectionManager::new(&transport, "broker").expect("its own transport");
        World::new(manager, script, || transport.connect("broker").expect("the broker is there"))
    }
}

impl<M: ConnectionManager, S: Read + Write> World<M, S> {
    pub(crate) fn new(manager: M, script: Script, mut connect: impl FnMut() -> S) -> Self {
        // The publisher does not look at its credit. Half of the window is the least that it has at any time.
        let handler = ConnectionHandler::with_config(StockConfig::default().with_publish_window(2 * BATCH));
        let mut world = World {
            broker: Broker::new(handler, manager),
            publisher: connect(),
            consumer: connect(),
            traffic: Traffic::default(),
            script,
            published: 0,
            allowed: 0,
            idle: 0,
            block: vec![0; 1 << 20],
        };
        world.publish(&greeting(true));
        world.confirmed();
        world.consume(&greeting(false));
        world.take(1);
        if script != Script::Waiting {
            world.consume(&bytes_of([credit(u64::MAX)]));
        }
        world
    }

    /// The next batch: its numbers go on from those of the one that was made before.
    pub(crate) fn batch(&mut self) -> Batch {
        let publishes = self.publishes(BATCH);
        let (first, last) = (self.allowed + 1, self.allowed + BATCH);
        self.allowed = last;
        let (credit, acks) = match self.script {
            Script::Ranges => (Vec::new(), bytes_of([ack(first, last)])),
            Script::Each => (Vec::new(), bytes_of((first..=last).map(|tag| ack(tag, tag)))),
            Script::Waiting => (bytes_of([credit(last)]), bytes_of([ack(first, last)])),
        };
        Batch { publishes, credit, acks }
    }

    /// Makes the queue longer by some thousands of messages, for a consumer that allows them ([`Script::Waiting`]).
    pub(crate) fn fill(&mut self, messages: u64) {
        let mut left = messages;
        while left > 0 {
            let publishes = self.publishes(left.min(BATCH));
            self.publish(&publishes);
            self.confirmed();
            left = left.saturating_sub(BATCH);
        }
    }

    fn publishes(&mut self, messages: u64) -> Vec<u8> {
        let (first, last) = (self.published + 1, self.published + messages);
        self.published = last;
        bytes_of((first..=last).map(publish))
    }

    /// Publish → deliver → ack.
    pub(crate) fn run(&mut self, batch: &Batch) {
        self.publish(&batch.publishes);
        if self.script == Script::Waiting {
            self.confirmed();
            self.consume(&batch.credit);
        }
        self.take(BATCH as usize * DELIVERY);
        if self.script != Script::Waiting {
            self.confirmed();
        }
        self.consume(&batch.acks);
    }

    /// Lets the broker move until nothing is left to do, and looks whether all that was published was acked, but for what waits.
    pub(crate) fn finish(&mut self) {
        while !self.step().is_idle() {}
        let queue = self.broker.handler().queue(1).expect("it was opened");
        assert_eq!(queue.ledger.accepted, self.published, "messages that were accepted");
        assert_eq!(queue.ledger.acked, self.allowed, "messages that were acked");
    }

    /// One move of the broker. Not inlined, so that a profiler can tell the broker from its peers.
    #[inline(never)]
    fn step(&mut self) -> Step {
        self.broker.process_connections().expect("the transport works")
    }

    /// Moves because a peer waits; over sockets, what the peer waits for may still be under way when there is nothing to do.
    fn wait(&mut self) {
        self.idle = if self.step().is_idle() { self.idle + 1 } else { 0 };
        assert!(self.idle < 100, "a peer waits in vain: {:?}", self.broker.counters());
    }

    fn publish(&mut self, bytes: &[u8]) {
        self.traffic.publisher_wrote += bytes.len() as u64;
        self.write(bytes, |world| &mut world.publisher);
    }

    fn consume(&mut self, bytes: &[u8]) {
        self.traffic.consumer_wrote += bytes.len() as u64;
        self.write(bytes, |world| &mut world.consumer);
    }

    fn write(&mut self, mut bytes: &[u8], to: impl Fn(&mut Self) -> &mut S) {
        while !bytes.is_empty() {
            match to(self).write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(),
                Err(error) => panic!("writing to the broker: {error}"),
            }
        }
    }

    /// Waits until the publisher was answered.
    fn confirmed(&mut self) {
        self.traffic.publisher_read += self.read(1, |world| &mut world.publisher);
    }

    /// Waits until the consumer has read at least so many bytes. That may take more than one step, for a connection's
    /// outbound has a mark.
    fn take(&mut self, bytes: usize) {
        self.traffic.consumer_read += self.read(bytes, |world| &mut world.consumer);
    }

    fn read(&mut self, due: usize, from: impl Fn(&mut Self) -> &mut S) -> u64 {
        let mut total = 0;
        while total < due {
            let mut block = std::mem::take(&mut self.block);
            let result = from(self).read(&mut block);
            self.block = block;
            match result {
                Ok(0) => panic!("the broker ended the connection: {:?}", self.broker.counters()),
                Ok(n) => total += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(),
                Err(error) => panic!("reading from the broker: {error}"),
            }
        }
        total as u64
    }
}
