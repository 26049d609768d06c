//! A wire format of one's own: lines of text, on the stock queue's parts. The same broker, loop and transports.
//!
//! `PUT some text` adds a message, `GET` waits for one and gets `MSG some text`; it is done with when the next `GET` comes.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use msglib_broker::{
    Broker, ConnectionId, ConsumerId, Context, Dialect, Event, FrameBuffer, Handler, Peer, Queue, QueueConfig, Reason,
    Received, Reject, SendError, Store, Undeliverable,
};
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::{ErrorCode, SendQueue};
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// Lines of at most 100 bytes.
struct Lines;

fn line_length(front: &[u8]) -> Result<usize, &'static str> {
    match front.iter().take(100).position(|byte| *byte == b'\n') {
        Some(end) => Ok(end + 1),
        None if front.len() < 100 => Ok(front.len() + 1),
        None => Err("a line has at most 100 bytes"),
    }
}

impl Dialect for Lines {
    type Decoder = FrameBuffer;
    type Session = ();
    type Frame<'a> = &'a [u8];
    type Answer<'a> = &'a [u8];
    type Error = &'static str;

    fn open(&self, _: &Peer) -> (FrameBuffer, ()) {
        (FrameBuffer::new(), ())
    }

    fn decode<'a, 'i: 'a>(
        decoder: &'a mut FrameBuffer,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8]>, &'static str> {
        let line = decoder.next(input, line_length)?;
        Ok(line.map(|line| &line[..line.len() - 1]))
    }

    fn receive(&self, (): &mut (), frame: &&[u8], _: u64, _: &mut SendQueue) -> Result<Received, &'static str> {
        Ok(if *frame == b"QUIT" { Received::End(Reason::Goodbye) } else { Received::Pass })
    }

    fn rejected(&self, (): &mut (), reject: &Reject, out: &mut SendQueue) -> bool {
        out.put(format!("NO {}\n", reject.text()).as_bytes());
        true
    }

    fn send(&self, (): &mut (), answer: &&[u8], out: &mut SendQueue) -> Result<(), SendError> {
        out.put(answer);
        out.put(b"\n");
        Ok(())
    }

    fn farewell(&self, (): &mut (), _: &Reason, out: &mut SendQueue) {
        out.put(b"BYE\n");
    }

    fn failed(&self, (): &mut (), error: &&'static str, out: &mut SendQueue) {
        out.put(format!("ERROR {error}\n").as_bytes());
    }
}

/// One queue, on the part that the stock handler is made of.
struct OneQueue {
    store: Store,
    queue: Queue<ConnectionId>,
    consumers: BTreeMap<ConnectionId, (ConsumerId, u64)>,
}

impl Handler<Lines> for OneQueue {
    fn handle(&mut self, cx: &mut Context<'_, Lines>, event: Event<'_, Lines>) -> Result<(), Reject> {
        match event {
            Event::Frame { frame, .. } if frame.starts_with(b"PUT ") => {
                let message = Bytes::copy_from_slice(&frame[4..]);
                self.queue
                    .push(&mut self.store, cx.now(), &message)
                    .map(|_| ())
                    .map_err(|full| Reject::new(ErrorCode::QUEUE_FULL, full.to_string()))
            }
            Event::Frame { from, frame: b"GET" } => {
                let queue = &mut self.queue;
                let (consumer, allowed) = self.consumers.entry(from).or_insert_with(|| (queue.add_consumer(from), 0));
                queue.ack(&mut self.store, cx.now(), *consumer, 1..=*allowed);
                *allowed += 1;
                queue.allow(*consumer, *allowed);
                Ok(())
            }
            Event::Frame { .. } => Err(Reject::new(ErrorCode::NOT_ALLOWED, "PUT, GET or QUIT")),
            Event::Disconnected { id, .. } => {
                if let Some((consumer, _)) = self.consumers.remove(&id) {
                    self.queue.remove_consumer(&mut self.store, cx.now(), consumer);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end_of_step(&mut self, cx: &mut Context<'_, Lines>) {
        self.queue.dispatch(&mut self.store, cx.now(), 1000, |offer| {
            let line = [b"MSG ", &offer.payload[..]].concat();
            cx.send(*offer.consumer, &line).map_err(|_| Undeliverable::Gone)
        });
    }
}

struct World {
    transport: Transport,
    broker: Broker<OneQueue, InMemoryConnectionManager, Lines>,
}

impl World {
    fn new() -> World {
        let transport = Transport::new();
        let manager = InMemoryConnectionManager::new(&transport, "lines").unwrap();
        let handler = OneQueue {
            store: Store::new(),
            queue: Queue::new(QueueConfig::default().with_max_messages(2)),
            consumers: BTreeMap::new(),
        };
        let broker = Broker::with_config(handler, manager, Lines, msglib_broker::BrokerConfig::default());
        World { transport, broker }
    }

    fn connect(&self) -> MemoryStream {
        self.transport.connect("lines").unwrap()
    }

    fn say(&mut self, mut peer: &MemoryStream, text: &str) {
        peer.write_all(text.as_bytes()).unwrap();
        self.settle();
    }

    fn settle(&mut self) {
        while !self.broker.process_connections().unwrap().is_idle() {}
    }

    fn hear(&mut self, mut peer: &MemoryStream) -> String {
        let mut heard = [0; 1000];
        let n = peer.read(&mut heard).unwrap_or(0);
        String::from_utf8_lossy(&heard[..n]).into_owned()
    }
}

#[test]
fn a_handler_of_another_dialect_sees_its_frames_and_uses_the_same_queue() {
    let mut world = World::new();
    let (first, second) = (world.connect(), world.connect());
    world.say(&first, "GET\n");
    assert_eq!(world.hear(&first), "", "it waits");
    world.say(&second, "PUT one\nPUT two\nPUT th");
    assert_eq!(world.hear(&first), "MSG one\n");
    world.say(&second, "ree\n");
    assert_eq!(world.hear(&second), "NO the queue is full: 2 messages, 134 bytes with their overhead\n");
    world.say(&first, "GET\n");
    assert_eq!(world.hear(&first), "MSG two\n");

    drop(first);
    world.settle();
    world.say(&second, "GET\nWHAT\n");
    world.say(&second, "QUIT\nPUT lost\n");
    let heard = world.hear(&second);
    assert!(heard.contains("MSG two\n"), "what the first one held comes back: {heard}");
    assert!(heard.contains("NO PUT, GET or QUIT\n") && heard.ends_with("BYE\n"), "{heard}");
    assert_eq!(world.broker.handler().queue.ledger().accepted, 2, "nothing behind the QUIT counts");
    assert_eq!(world.broker.connections(), 0);
}

#[test]
fn a_peer_that_breaks_the_dialect_is_told_so_and_the_others_go_on() {
    let mut world = World::new();
    let (bad, good) = (world.connect(), world.connect());
    world.say(&bad, &"x".repeat(200));
    assert_eq!(world.hear(&bad), "ERROR a line has at most 100 bytes\n");
    world.say(&good, "PUT a\nGET\n");
    assert_eq!(world.hear(&good), "MSG a\n");
    assert_eq!(world.broker.counters().protocol_errors, 1);
}
