//! A broker of any dialect in memory, and peers that speak in bytes.

use msglib_broker::{Broker, BrokerConfig, Dialect, Handler};
use msglib_io_memory::{Clock, InMemoryConnectionManager, MemoryStream, Transport};
use std::io::{Read, Write};
use std::time::Duration;

pub(crate) struct World<H, D: Dialect> {
    transport: Transport,
    clock: Clock,
    pub(crate) broker: Broker<H, InMemoryConnectionManager, D>,
}

impl<H: Handler<D>, D: Dialect> World<H, D> {
    pub(crate) fn new(handler: H, dialect: D) -> World<H, D> {
        let transport = Transport::new();
        let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
        let broker = Broker::with_config(handler, manager, dialect, BrokerConfig::default());
        World { clock: transport.clock(), transport, broker }
    }

    pub(crate) fn connect(&self) -> MemoryStream {
        self.transport.connect("broker").unwrap()
    }

    /// The peer sends `bytes`, and the broker does what it can.
    pub(crate) fn say(&mut self, mut peer: &MemoryStream, bytes: impl AsRef<[u8]>) {
        peer.write_all(bytes.as_ref()).unwrap();
        self.settle();
    }

    /// What has come to the peer since the last time.
    pub(crate) fn hear(&self, mut peer: &MemoryStream) -> Vec<u8> {
        let (mut heard, mut block) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = peer.read(&mut block) {
            heard.extend_from_slice(&block[..count]);
        }
        heard
    }

    pub(crate) fn leave(&mut self, peer: MemoryStream) {
        drop(peer);
        self.settle();
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.settle();
    }

    pub(crate) fn settle(&mut self) {
        while !self.broker.process_connections().unwrap().is_idle() {}
    }

    /// Whether the broker has closed the connection.
    pub(crate) fn is_over(&self, mut peer: &MemoryStream) -> bool {
        matches!(peer.read(&mut [0]), Ok(0))
    }
}
