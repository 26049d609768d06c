//! What waiting messages and empty queues take, counted to the byte.
//!
//! A binary of its own with one test, for the allocator counts for all threads. What grows by doubling is counted with that: at the number of
//! messages that is worst for it the bound holds too.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and what they share")]

use msglib_broker::queue::{DispatchKind, OrderKind, Redelivery};
use msglib_broker::{
    Bytes, ConnectionHandler, Core, CoreConfig, Instant, Native, NewMessage, Payload, Queue, QueueConfig, Store,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated since the beginning of the region, and were not given back.
fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    (change.bytes_allocated).saturating_sub(change.bytes_deallocated)
}

/// Just behind a power of two, when what doubles has just done so.
const MANY: usize = (1 << 17) + 1;
static PAYLOAD: [u8; 128] = [7; 128];

#[test]
fn what_waits_takes_little_more_than_its_payload() {
    let redelivery = Redelivery::default()
        .with_lease(Duration::from_secs(30))
        .with_max_deliveries(5)
        .with_backoff(Duration::from_secs(1), Duration::from_secs(60))
        .with_dead_letter("dead");
    let full = QueueConfig::default()
        .with_order(OrderKind::FairByKey)
        .with_dispatch(DispatchKind::LeastLoaded)
        .with_redelivery(redelivery)
        .with_ttl(Duration::from_secs(3600));
    let everything = full.clone().with_index().with_history(16);
    let with_all = |payload: &'static [u8; 128]| {
        NewMessage::from(payload).with_priority(3).with_key(b"tenant").with_ttl(Duration::from_secs(60))
    };
    at_most(128 + 48, "a message in a plain queue", each_of_many(QueueConfig::default(), NewMessage::from));
    at_most(128 + 96, "one with a key, a priority, a time to live and a lease", each_of_many(full, with_all));
    at_most(128 + 96, "one with everything", each_of_many(everything, with_all));
    at_most(512, "an empty queue", each_queue(0));
    at_most(1_723, "a queue with ten messages", each_queue(10));
    at_most(2_048, "a queue of the stock handler with ten messages", each_stock_queue(10));
    at_most(512, "a message of 16 bytes in a block of 256 KiB that nobody else needs", each_of_small_from_a_block());
}

fn at_most(bound: usize, what: &str, bytes: usize) {
    assert!(bytes <= bound, "{what}: {bytes} bytes, above {bound}");
    println!("{what}: {bytes} bytes, {bound} is the bound");
}

/// The bytes that each waiting message takes in one queue.
fn each_of_many(config: QueueConfig, message: impl Fn(&'static [u8; 128]) -> NewMessage<'static>) -> usize {
    let region = Region::new(ALLOCATOR);
    let (mut store, mut queue) = (Store::new(), Queue::<u32>::new(config));
    for _ in 0..MANY {
        queue.push(&mut store, Instant::ZERO, message(&PAYLOAD)).unwrap();
    }
    let each = held(&region).div_ceil(MANY);
    queue.discard(&mut store);
    each
}

/// The bytes that each of many queues takes, itself included, with so many messages.
fn each_queue(messages: usize) -> usize {
    const QUEUES: usize = 10_000;
    let config = Arc::new(QueueConfig::default());
    let mut queues = Vec::with_capacity(QUEUES);
    let region = Region::new(ALLOCATOR);
    let mut store = Store::new();
    for _ in 0..QUEUES {
        let mut queue = Queue::<u32>::new(Arc::clone(&config));
        for _ in 0..messages {
            queue.push(&mut store, Instant::ZERO, &PAYLOAD).unwrap();
        }
        queues.push(queue);
    }
    let each = held(&region).div_ceil(QUEUES) + size_of::<Queue<u32>>();
    queues.into_iter().for_each(|queue| queue.discard(&mut store));
    each
}

/// The same of a broker's queues, with their names, which are numbers, and their places in the table.
fn each_stock_queue(messages: usize) -> usize {
    // Above what doubles, as it is most of the time: not just behind it.
    const QUEUES: u64 = 12_000;
    let mut core = Core::new(ConnectionHandler::new(), Native::default(), CoreConfig::default(), 1);
    core.act(Instant::ZERO, |handler, cx| handler.publish(cx, 0, NewMessage::from(&PAYLOAD))).unwrap();
    let region = Region::new(ALLOCATOR);
    core.act(Instant::ZERO, |handler, cx| {
        for _ in 0..messages {
            for name in 1..=QUEUES {
                handler.publish(cx, name, NewMessage::from(&PAYLOAD)).unwrap();
            }
        }
    });
    held(&region).div_ceil(QUEUES as usize)
}

/// The bytes that each message holds on to that is a small piece of a large block.
fn each_of_small_from_a_block() -> usize {
    let region = Region::new(ALLOCATOR);
    let (mut store, mut queue) = (Store::new(), Queue::<u32>::new(QueueConfig::default()));
    const BLOCKS: usize = 100;
    for _ in 0..BLOCKS {
        let block = Bytes::from(vec![7; 256 * 1024]);
        let piece = block.slice(..16);
        queue.push(&mut store, Instant::ZERO, Payload::from(&piece)).unwrap();
    }
    let each = held(&region) / BLOCKS;
    queue.discard(&mut store);
    each
}
