//! One seed, twice: every byte is the same.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use msglib_broker::{Broker, ConnectionHandler, Context, Event, Frame, Handler, Reject};
use msglib_client::{Connection, subscribe_with_prefetch};
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::Payload;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps every byte that passes, with who and which way.
struct EveryByte<M> {
    inner: M,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl<M> EveryByte<M> {
    fn keep(&self, way: u8, id: ConnectionId, bytes: &[u8]) {
        let mut seen = self.seen.lock().unwrap();
        seen.push(way);
        seen.extend((id.index() as u32).to_be_bytes());
        seen.extend(bytes);
    }
}

impl<M: ConnectionManager> ConnectionManager for EveryByte<M> {
    fn now(&self) -> msglib_proto::Instant {
        self.inner.now()
    }
    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.poll(ready, timeout)
    }
    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(id, buf)?;
        self.keep(b'r', id, &buf[..n]);
        Ok(n)
    }
    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let n = self.inner.write(id, bufs)?;
        let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.keep(b'w', id, &all[..n]);
        Ok(n)
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        self.keep(b'c', id, &[]);
        self.inner.close(id, how);
    }
    fn waker(&self) -> Option<Waker> {
        self.inner.waker()
    }
    fn seed(&mut self) -> u128 {
        self.inner.seed()
    }
}

/// Says a random number to whoever opens a link, so that the seed is seen.
struct Dice(ConnectionHandler);

impl Handler for Dice {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        if let Event::Frame { from, frame: Frame::Open(_) } = event {
            let number = cx.random().to_be_bytes();
            let _ = cx.send(from, Frame::User { kind: 0x8000, flags: 0, link: 0, body: Payload::from(&number) });
        }
        self.0.handle(cx, event)
    }
    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        self.0.end_of_step(cx);
    }
}

/// Many queues with names, so that a map whose order is random would show.
fn run(seed: u128) -> Vec<u8> {
    let transport = Transport::builder().seed(seed).pipe_capacity(512).build();
    let seen = Arc::default();
    let manager =
        EveryByte { inner: InMemoryConnectionManager::new(&transport, "broker").unwrap(), seen: Arc::clone(&seen) };
    let mut broker = Broker::new(Dice(ConnectionHandler::new()), manager);
    let clients: Vec<Connection> = (0..20).map(|_| Connection::new(transport.connect("broker").unwrap())).collect();
    let mut subscriptions = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        let queue = format!("queue {}", index % 7);
        subscriptions.push(subscribe_with_prefetch(client, queue.as_str(), 3).unwrap());
    }
    for round in 0..200 {
        let sender = &clients[round % clients.len()];
        let queue = format!("queue {}", round % 7);
        // Refused for want of room or credit: then this round has none.
        let _ = msglib_client::publish_to_q(sender, queue.as_str(), &format!("message {round}"));
        broker.process_connections().unwrap();
        for (index, subscription) in subscriptions.iter_mut().enumerate() {
            if let Ok(Some(message)) = subscription.try_next()
                && (round + index) % 5 != 0
            {
                message.ack().unwrap();
            }
        }
        if round == 100 {
            subscriptions.truncate(12);
        }
    }
    drop(broker);
    Arc::into_inner(seen).unwrap().into_inner().unwrap()
}

#[test]
fn one_seed_twice_is_the_same_in_every_byte() {
    let (first, second) = (run(7), run(7));
    assert!(first.len() > 10_000, "the run is worth comparing: {} bytes", first.len());
    assert!(first == second, "two runs of one seed differ");
    assert!(run(8) != first, "the seed has an effect, or the comparison would show nothing");
}
