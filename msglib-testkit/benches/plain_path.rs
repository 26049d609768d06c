//! What one message costs inside the process: codec, send queue, queue, and the whole way through a broker in memory.
//!
//! `cargo bench --bench plain_path`; figures are for each message (128 bytes) or frame.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use msglib_broker::{Broker, ConnectionHandler, Queue, QueueConfig, Store};
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::{ChannelKind, ChannelName, Decoder, Frame, Hello, Limits, Open, Payload, SendQueue, encode};
use std::cell::RefCell;
use std::io::{Read, Write};

const MESSAGES: u64 = 20_000;
/// Messages between two moves of the broker; as much as is in flight for one producer.
const BATCH: u64 = 1_000;

fn main() {
    divan::main();
}

fn bytes_of<'a>(frames: impl IntoIterator<Item = Frame<'a>>) -> Vec<u8> {
    let mut queue = SendQueue::new();
    for frame in frames {
        encode(&frame, &mut queue).expect("a well-formed frame");
    }
    queue.to_vec()
}

fn publish(number: u64, payload: &[u8]) -> Frame<'_> {
    Frame::Publish { link: 1, number, confirm: true, payload: Payload::from(payload) }
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let payload = [7; 128];
    let bytes = bytes_of((1..=BATCH).map(|number| publish(number, &payload)));
    bencher.counter(ItemsCount::new(BATCH)).bench(|| {
        let mut decoder = Decoder::new(&Limits::default());
        let mut input = black_box(&bytes[..]);
        let mut frames = 0;
        while let Ok(Some(frame)) = decoder.decode(&mut input) {
            frames += black_box(frame).link();
        }
        frames
    });
}

#[divan::bench]
fn encode_and_send(bencher: Bencher<'_, '_>) {
    let payload = [7; 128];
    let mut queue = SendQueue::new();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for number in 1..=BATCH {
            let _ = encode(black_box(&publish(number, &payload)), &mut queue);
        }
        black_box(queue.first_segment());
        queue.advance(queue.len());
    });
}

#[divan::bench]
fn queue_alone(bencher: Bencher<'_, '_>) {
    let payload = [7; 128];
    let mut store = Store::new();
    let mut queue = Queue::new(QueueConfig::default());
    let consumer = queue.add_consumer(0);
    queue.allow(consumer, u64::MAX);
    let mut tag = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            let _ = queue.push(&mut store, black_box(&payload));
        }
        queue.dispatch(&store, usize::MAX, |offer| {
            black_box(offer.payload);
            Ok(())
        });
        queue.ack(&mut store, consumer, tag + 1..=tag + BATCH);
        tag += BATCH;
    });
}

/// A broker in memory between a publisher and a consumer whose bytes are made beforehand: what is measured is the broker, and two
/// copies between buffers for each byte in place of the kernel's.
struct World {
    broker: Broker<ConnectionHandler, InMemoryConnectionManager>,
    publisher: MemoryStream,
    consumer: MemoryStream,
    ack_each: bool,
    published: u64,
    block: Vec<u8>,
}

/// What the publisher says before each move of the broker, and what the consumer does after it.
type Script = Vec<(Vec<u8>, Vec<u8>)>;

impl World {
    fn new(ack_each: bool) -> World {
        let transport = Transport::builder().pipe_capacity(1 << 20).build();
        let manager = InMemoryConnectionManager::new(&transport, "broker").expect("its own transport");
        let mut broker = Broker::new(ConnectionHandler::new(), manager);
        let mut connect = |publishes| {
            let mut stream = transport.connect("broker").expect("the broker is there");
            let hello = Hello {
                min_version: 1,
                max_version: 1,
                features: 0,
                max_payload: 1 << 20,
                idle_ms: 0,
                name: "bench",
                mechanism: "",
                credentials: b"",
            };
            let (kind, name) = (ChannelKind::QUEUE, ChannelName::id(1));
            let open = Open { link: 1, publishes, consumes: !publishes, kind, name, arguments: b"" };
            let mut bytes = bytes_of([Frame::Hello(hello), Frame::Open(open)]);
            if !publishes {
                bytes.extend(bytes_of([Frame::Credit { link: 1, upto: u64::MAX }]));
            }
            stream.write_all(&bytes).expect("there is room");
            broker.process_connections().expect("memory does not fail");
            stream
        };
        let (publisher, consumer) = (connect(true), connect(false));
        World { broker, publisher, consumer, ack_each, published: 0, block: vec![0; 1 << 20] }
    }

    fn script(&mut self) -> Script {
        let payload = [7; 128];
        let ack = |first, last| Frame::Ack { link: 1, first, last };
        let batches = (0..MESSAGES / BATCH).map(|_| {
            let (first, last) = (self.published + 1, self.published + BATCH);
            self.published = last;
            let acks = match self.ack_each {
                true => bytes_of((first..=last).map(|tag| ack(tag, tag))),
                false => bytes_of([ack(first, last)]),
            };
            (bytes_of((first..=last).map(|number| publish(number, &payload))), acks)
        });
        batches.collect()
    }

    fn run(&mut self, script: &Script) {
        for (publishes, acks) in script {
            self.publisher.write_all(publishes).expect("there is room");
            self.broker.process_connections().expect("memory does not fail");
            // The deliveries may take more than one step, for a connection's outbound has a mark.
            let mut due = BATCH as usize * (24 + 128);
            while due > 0 {
                match self.consumer.read(&mut self.block) {
                    Ok(n) => due = due.saturating_sub(n),
                    Err(_) => drop(self.broker.process_connections()),
                }
            }
            self.consumer.write_all(acks).expect("there is room");
            while self.publisher.read(&mut self.block).is_ok_and(|n| n > 0) {}
        }
        while self.broker.process_connections().is_ok_and(|step| !step.is_idle()) {}
    }
}

#[divan::bench(args = [false, true])]
fn in_memory(bencher: Bencher<'_, '_>, ack_each: bool) {
    let world = RefCell::new(World::new(ack_each));
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| world.borrow_mut().script())
        .bench_local_refs(|script| world.borrow_mut().run(script));
    let world = world.into_inner();
    let queue = world.broker.handler().queue(1).expect("it was opened");
    assert_eq!(queue.ledger.acked, world.published, "all were published, delivered and acked");
}
