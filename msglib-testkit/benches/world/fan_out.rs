//! A broker between a publisher and many subscribers to its topic, whose bytes are made beforehand.

use super::bytes::{bytes_of, credit, publish, subscribing};
use super::{BATCH, PAYLOAD};
use msglib_broker::{Broker, ConnectionHandler, StockConfig};
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use std::io::{ErrorKind, Read, Write};

/// Bytes of a `DELIVERY` (PROTOCOL §3).
const DELIVERY: usize = 24 + PAYLOAD;

/// Subscribers to the topic.
pub(crate) const SUBSCRIBERS: usize = 16;

pub(crate) struct FanOut {
    broker: Broker<ConnectionHandler, InMemoryConnectionManager>,
    publisher: MemoryStream,
    subscribers: Vec<MemoryStream>,
    published: u64,
    block: Vec<u8>,
}

impl FanOut {
    pub(crate) fn in_memory() -> FanOut {
        let transport = Transport::builder().pipe_capacity(1 << 20).seed(1).build();
        let manager = InMemoryConnectionManager::new(&transport, "broker").expect("its own transport");
        let handler = ConnectionHandler::with_config(StockConfig::default().with_publish_window(2 * BATCH));
        let connect = || transport.connect("broker").expect("the broker is there");
        let mut world = FanOut {
            broker: Broker::new(handler, manager),
            publisher: connect(),
            subscribers: (0..SUBSCRIBERS).map(|_| connect()).collect(),
            published: 0,
            block: vec![0; 1 << 20],
        };
        world.publisher.write_all(&subscribing(true)).expect("there is room");
        let allow = [subscribing(false), bytes_of([credit(u64::MAX)])].concat();
        world.subscribers.iter_mut().for_each(|subscriber| subscriber.write_all(&allow).expect("there is room"));
        world.step();
        for who in 0..=SUBSCRIBERS {
            world.read(who);
        }
        world
    }

    /// The publishes of the next batch.
    pub(crate) fn batch(&mut self) -> Vec<u8> {
        let first = self.published + 1;
        self.published += BATCH;
        bytes_of((first..=self.published).map(publish))
    }

    /// Publish → deliver to all, confirm.
    pub(crate) fn run(&mut self, batch: &[u8]) {
        self.publisher.write_all(batch).expect("there is room");
        self.step();
        assert!(self.read(0) > 0, "the publisher has its confirm");
        for who in 1..=SUBSCRIBERS {
            assert_eq!(self.read(who), BATCH as usize * DELIVERY, "bytes for subscriber {who}");
        }
    }

    pub(crate) fn finish(&mut self) {
        let ledger = self.broker.handler().topic_ledger();
        assert_eq!((ledger.published, ledger.lost), (self.published, 0));
        assert_eq!(ledger.delivered, self.published * SUBSCRIBERS as u64);
    }

    /// Moves of the broker, until there is nothing left to do. Not inlined, so that a profiler can tell the broker from its peers.
    #[inline(never)]
    fn step(&mut self) {
        while !self.broker.process_connections().expect("the transport works").is_idle() {}
    }

    /// All that there is for the publisher, 0, or a subscriber; how many bytes that are.
    fn read(&mut self, who: usize) -> usize {
        let stream = who.checked_sub(1).map_or(&mut self.publisher, |who| &mut self.subscribers[who]);
        let mut total = 0;
        loop {
            match stream.read(&mut self.block) {
                Ok(n) if n > 0 => total += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return total,
                result => panic!("reading from the broker: {result:?}"),
            }
        }
    }
}
