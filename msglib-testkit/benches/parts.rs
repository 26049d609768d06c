//! What the parts cost that a message goes through: codec, send queue, queue, topics, service, timers.
//!
//! `cargo bench --bench parts`; figures are for each frame, message or copy of one (128 bytes), request or timer.

mod world;

use core::time::Duration;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use msglib_broker::{
    Context, Core, CoreConfig, Event, Handler, Instant, Native, Queue, QueueConfig, Reject, Requests, RequestsConfig,
    Store, SubscribeOptions, TimerId, TopicFilter, TopicName, TopicOffer, Topics, TopicsConfig,
};
use msglib_proto::{Decoder, Frame, Limits, SendQueue, encode};
use std::io::IoSlice;
use world::bytes::{ack, bytes_of, publish};
use world::{BATCH, PAYLOAD};

fn main() {
    divan::main();
}

fn decode_all(bencher: Bencher<'_, '_>, frame: impl Fn(u64) -> Frame<'static>) {
    let bytes = bytes_of((1..=BATCH).map(frame));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
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
fn decode_publish(bencher: Bencher<'_, '_>) {
    decode_all(bencher, publish);
}

#[divan::bench]
fn decode_ack(bencher: Bencher<'_, '_>) {
    decode_all(bencher, |tag| ack(tag, tag));
}

fn encode_all(bencher: Bencher<'_, '_>, frame: impl Fn(u64) -> Frame<'static>) {
    let mut queue = SendQueue::new();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for number in 1..=BATCH {
            let _ = encode(black_box(&frame(number)), &mut queue);
        }
        black_box(queue.first_segment());
        queue.advance(queue.len());
    });
}

#[divan::bench]
fn encode_publish(bencher: Bencher<'_, '_>) {
    encode_all(bencher, publish);
}

#[divan::bench]
fn encode_ack(bencher: Bencher<'_, '_>) {
    encode_all(bencher, |tag| ack(tag, tag));
}

/// Payloads that are copied, or shared, on their way out in vectored writes of 64 KiB.
#[divan::bench(args = [128, 64 * 1024])]
fn send_queue(bencher: Bencher<'_, '_>, payload: usize) {
    let payload = bytes::Bytes::from(vec![7; payload]);
    let mut queue = SendQueue::new();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            queue.put(black_box(&[0; 24]));
            queue.put_payload(black_box(&payload).into());
        }
        while !queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            black_box(queue.io_slices(&mut slices));
            queue.advance(queue.len().min(64 * 1024));
        }
    });
}

/// A queue without a broker around it, with so many messages ahead.
#[divan::bench(args = [0, 100, 10_000, 1_000_000])]
fn queue(bencher: Bencher<'_, '_>, waiting: u64) {
    let payload = [7; PAYLOAD];
    let mut store = Store::new();
    let mut queue = Queue::new(QueueConfig::default());
    let consumer = queue.add_consumer(0);
    queue.allow(consumer, u64::MAX);
    for _ in 0..waiting {
        queue.push(&mut store, Instant::ZERO, &payload).expect("there is room");
    }
    let mut tag = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            let _ = queue.push(&mut store, Instant::ZERO, black_box(&payload));
        }
        queue.dispatch(&mut store, Instant::ZERO, BATCH as usize, |offer| {
            black_box(offer.payload);
            Ok(())
        });
        queue.ack(&mut store, Instant::ZERO, consumer, tag + 1..=tag + BATCH);
        tag += BATCH;
    });
    assert_eq!((queue.len() as u64, queue.ledger().acked), (waiting, tag));
}

/// A queue with so many consumers, all of whom have allowed as much as comes.
#[divan::bench(args = [1, 100, 10_000])]
fn queue_among_consumers(bencher: Bencher<'_, '_>, consumers: u64) {
    let (mut store, mut queue) = (Store::new(), Queue::new(QueueConfig::default()));
    let ids: Vec<_> = (0..consumers).map(|key| queue.add_consumer(key)).collect();
    ids.iter().for_each(|id| queue.allow(*id, u64::MAX));
    let mut given = Vec::new();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            let _ = queue.push(&mut store, Instant::ZERO, black_box(&[7; PAYLOAD]));
        }
        queue.dispatch(&mut store, Instant::ZERO, BATCH as usize, |offer| {
            given.push((*offer.consumer, offer.tag));
            Ok(())
        });
        for (consumer, tag) in given.drain(..) {
            queue.ack(&mut store, Instant::ZERO, ids[consumer as usize], tag..=tag);
        }
    });
}

/// So many queues, each of which is used in turn: what grows is what the caches do not hold.
#[divan::bench(args = [1, 100, 100_000])]
fn queue_among_queues(bencher: Bencher<'_, '_>, count: u64) {
    let config = std::sync::Arc::new(QueueConfig::default());
    let mut store = Store::new();
    let mut queues: Vec<_> = (0..count)
        .map(|_| {
            let mut queue = Queue::new(std::sync::Arc::clone(&config));
            let consumer = queue.add_consumer(0);
            queue.allow(consumer, u64::MAX);
            (queue, consumer, 0)
        })
        .collect();
    let mut next = 0;
    let mut pass = |messages: u64| {
        for _ in 0..messages {
            let (queue, consumer, tag) = &mut queues[next];
            let _ = queue.push(&mut store, Instant::ZERO, black_box(&[7; PAYLOAD]));
            queue.dispatch(&mut store, Instant::ZERO, 1, |_| Ok(()));
            *tag += 1;
            queue.ack(&mut store, Instant::ZERO, *consumer, *tag..=*tag);
            next = if next + 1 == queues.len() { 0 } else { next + 1 };
        }
    };
    // The first message of each makes its rings.
    pass(count);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| pass(BATCH));
}

/// Topics with so many subscribers to one, for each copy of a message; beside 10,000 subscriptions to others.
#[divan::bench(args = [1, 16, 1_000])]
fn topic(bencher: Bencher<'_, '_>, subscribers: u64) {
    let payload = [7; PAYLOAD];
    let mut store = Store::new();
    let mut topics = Topics::new(TopicsConfig::default());
    let mut subscribe = |filter: &str| {
        let filter = TopicFilter::new(filter).expect("it is one");
        let id = topics.subscribe(filter, &SubscribeOptions::default(), ()).expect("there is room");
        topics.allow(id, u64::MAX);
    };
    (0..10_000).for_each(|number| subscribe(&format!("site/{number}/+/heat")));
    (0..subscribers).for_each(|_| subscribe("house/+/heat"));
    let topic = topics.open(TopicName::new("house/kitchen/heat").expect("it is one")).expect("there is room");
    bencher.counter(ItemsCount::new(BATCH * subscribers)).bench_local(|| {
        let mut run = topics.run(&mut store, topic);
        for _ in 0..BATCH {
            let _ = run.publish(black_box(&payload));
        }
        drop(run);
        topics.dispatch_turns(&mut store, usize::MAX, |turn| {
            while let Some(TopicOffer::Message { payload, .. }) = turn.next() {
                black_box(payload);
            }
            Ok(())
        });
    });
    assert_eq!(topics.ledger().lost + topics.ledger().waiting, 0);
}

/// Requests, with a reply each.
#[divan::bench]
fn request(bencher: Bencher<'_, '_>) {
    let payload = [7; PAYLOAD];
    let (mut store, now) = (Store::new(), Instant::ZERO);
    let mut service = Requests::new(RequestsConfig::default());
    let (caller, responder) = (service.add_caller(()), service.add_responder(()));
    service.allow(responder, u64::MAX);
    let mut number = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            number += 1;
            let _ = service.request(&mut store, now, caller, number, None, black_box(&payload));
        }
        service.dispatch(&mut store, now, usize::MAX, |offer| {
            black_box(offer.payload);
            Ok(())
        });
        for tag in number - BATCH + 1..=number {
            let _ = service.reply(&mut store, responder, tag, black_box(&payload));
        }
        service.dispatch_outcomes(&mut store, usize::MAX, |offer| {
            black_box(offer.outcome);
            Ok(())
        });
    });
    assert_eq!(service.ledger().told, number);
}

/// Sets a batch of timers at the end of each step, and cancels them or lets them fire.
struct Timers {
    cancels: bool,
    set: Vec<TimerId>,
    fired: u64,
}

impl Handler for Timers {
    fn handle(&mut self, _: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        if let Event::Timer { .. } = event {
            self.fired += 1;
        }
        Ok(())
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        self.set.extend((1..=BATCH).map(|nanos| cx.set_timer(now + Duration::from_nanos(nanos), nanos)));
        for timer in self.set.drain(..) {
            if self.cancels {
                cx.cancel_timer(timer);
            }
        }
    }
}

fn timers(bencher: Bencher<'_, '_>, others: u64, cancels: bool) {
    let handler = Timers { cancels: false, set: Vec::new(), fired: 0 };
    let mut core = Core::new(handler, Native::default(), CoreConfig::default(), 1);
    let far = Instant::from_nanos(u64::MAX / 2);
    for _ in 0..others / BATCH {
        core.end_of_step(far);
    }
    core.handler_mut().cancels = cancels;
    let (mut now, mut steps) = (0, 0);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        core.end_of_step(Instant::from_nanos(now));
        now += BATCH;
        core.handle_timeout(Instant::from_nanos(now));
        steps += 1;
    });
    assert_eq!(core.handler().fired, if cancels { 0 } else { steps * BATCH });
}

/// Beside so many others that are not due.
#[divan::bench(args = [0, 1_000, 100_000])]
fn timers_set_and_fire(bencher: Bencher<'_, '_>, others: u64) {
    timers(bencher, others, false);
}

#[divan::bench(args = [0, 1_000, 100_000])]
fn timers_set_and_cancel(bencher: Bencher<'_, '_>, others: u64) {
    timers(bencher, others, true);
}
