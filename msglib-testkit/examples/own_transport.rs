//! Rung 6 of the ladder of control: how bytes move. Here a decorator over any transport, which counts what is read and
//! written; a whole backend is in `examples/out-of-tree-backend`.
//!
//! Run it with `cargo run --example own_transport`; it plays a small scene in memory and tells what happens.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::{Broker, ConnectionHandler};
use msglib_client::{Connection, publish_to_q};
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::io::{self, IoSlice};
use std::time::Duration;

struct Metered<M> {
    inner: M,
    read: usize,
    written: usize,
}

impl<M: ConnectionManager> ConnectionManager for Metered<M> {
    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(id, buf).inspect(|n| self.read += n)
    }
    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write(id, bufs).inspect(|n| self.written += n)
    }
    fn now(&self) -> Instant {
        self.inner.now()
    }
    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.poll(ready, timeout)
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        self.inner.close(id, how);
    }
    fn draining(&self) -> usize {
        self.inner.draining()
    }
    fn stop_accepting(&mut self) -> bool {
        self.inner.stop_accepting()
    }
    fn waker(&self) -> Option<Waker> {
        self.inner.waker()
    }
    fn seed(&mut self) -> u128 {
        self.inner.seed()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let transport = Transport::new();
    let inner = InMemoryConnectionManager::new(&transport, "broker")?;
    let mut broker = Broker::new(ConnectionHandler::new(), Metered { inner, read: 0, written: 0 });
    let client = Connection::new(transport.connect("broker")?);
    publish_to_q(&client, "greetings", "Hello, world!")?;
    broker.process_connections()?;
    let Metered { read, written, .. } = broker.connection_manager();
    println!("{read} bytes were read, and {written} written");
    Ok(())
}
