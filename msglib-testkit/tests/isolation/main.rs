//! One bad peer costs the others nothing: many normal clients beside some who do not read, read a byte at a time, flood, or are
//! greedy. In memory, in steps and bytes, with budgets so small that they matter.

mod world;

use msglib_broker::Counters;
use std::time::Duration;
use world::{Deaf, Flooder, HIGH_WATER, Heir, LARGE, Peer, Pinger, READ_BLOCK, RESERVE, WRITE_TIMEOUT, World};

const NORMAL: u64 = 1_000;
const STEPS: usize = 40;

/// Messages that each normal client has received after [`STEPS`]. What a step reads from the others is bounded.
fn service(world: &mut World) -> Vec<u64> {
    // HELLO, OPEN, CREDIT and two messages, or two messages and an ack.
    let most = NORMAL * 252 + (world.others.len() * READ_BLOCK) as u64;
    for step in 0..STEPS {
        let before = world.broker.counters().bytes_received;
        world.step();
        let read = world.broker.counters().bytes_received - before;
        assert!(read <= most, "step {step} read {read} bytes, and {most} are all that there may be");
    }
    let received = world.normal.iter().map(|client| client.received).collect();
    for client in &mut world.normal {
        client.publishes = false;
    }
    for _ in 0..STEPS {
        if world.normal.iter().all(|client| client.is_done()) {
            return received;
        }
        world.step();
    }
    panic!("a message of a normal client is missing");
}

#[test]
fn a_thousand_normal_clients_do_not_notice_a_few_bad_ones() {
    let alone = service(&mut World::new().with_normal(NORMAL));
    let least = *alone.iter().min().expect("a thousand");
    assert!(least >= STEPS as u64 / 2, "the test needs clients that are busy, and they got {least}");

    // One queue could use up all that a step delivers: a heap of small messages, and many consumers who take them.
    let mut world = World::new();
    world.others.push(Box::new(Flooder::new(world.line(), 100..101, 8, u64::MAX)));
    world.steps(500);
    let mut world = world.with_normal(NORMAL);
    let heirs: Vec<Heir> = (0..24).map(|_| Heir::new(world.line(), 100)).collect();
    let taken: Vec<_> = heirs.iter().map(|heir| heir.received.clone()).collect();
    let mut others: Vec<Box<dyn Peer>> = heirs.into_iter().map(|heir| -> Box<dyn Peer> { Box::new(heir) }).collect();
    for n in 0..3 {
        let queues = 10 * n..10 * n + 10;
        others.push(Box::new(Deaf::new(world.line(), queues.clone().take(1), 0)));
        others.push(Box::new(Deaf::new(world.line(), queues.clone().skip(1).take(1), 1)));
        // Greedy: many links, all credit, and reads nothing.
        others.push(Box::new(Deaf::new(world.line(), queues.clone().skip(2), 0)));
        others.push(Box::new(Flooder::new(world.line(), queues, LARGE, u64::MAX)));
        others.push(Box::new(Pinger(world.line())));
    }
    world.others.extend(others);
    let beside = service(&mut world);
    for (client, (alone, beside)) in alone.iter().zip(&beside).enumerate() {
        // At most one twentieth of the service, for each of them.
        assert!(beside * 20 >= alone * 19, "client {client} got {beside} instead of {alone}");
    }
    let taken: u64 = taken.iter().map(|received| received.get()).sum();
    assert!(taken >= 16 * STEPS as u64, "the heap has its turns too, and {taken} were taken from it");
    let load = world.broker.load();
    // Nine do not read what is delivered to them, and three no answers.
    let most = 9 * (HIGH_WATER + LARGE + 100) + 3 * (RESERVE + 2 * READ_BLOCK);
    assert!(load.outbound <= most, "{} bytes wait to be written, and {most} may", load.outbound);
    let Counters { full, protocol_errors, .. } = *world.broker.counters();
    assert!(full > 0 && protocol_errors == 0, "the bad ones are full, and within the protocol");
}

/// A queue with one consumer that reads and one that does not: the one that reads gets its share, and in the end, when the other
/// was cut off, all the rest.
#[test]
fn who_shares_a_queue_with_a_deaf_consumer_gets_all_in_the_end() {
    const MESSAGES: u64 = 400;
    let mut world = World::new();
    let heir = Heir::new(world.line(), 1);
    let received = heir.received.clone();
    let publisher = Flooder::new(world.line(), 1..2, LARGE, MESSAGES);
    world.others = vec![Box::new(Deaf::new(world.line(), 1..2, 0)), Box::new(heir), Box::new(publisher)];
    world.steps(400);
    let withheld = MESSAGES - received.get();
    let most = ((HIGH_WATER + world::PIPE) / LARGE + 2) as u64;
    assert!((1..=most).contains(&withheld), "the deaf one holds {withheld}, and at most {most} fit");
    for _ in 0..6 {
        world.advance(WRITE_TIMEOUT / 4);
        world.steps(2);
    }
    assert_eq!(world.broker.counters().write_timeouts, 1);
    assert_eq!(received.get(), MESSAGES, "none is lost");
}

/// Those who read a byte now and then make progress and are not cut off; they hold what one connection may have, and no more.
#[test]
fn a_byte_now_and_then_keeps_a_connection_and_costs_no_more_than_its_share() {
    let mut world = World::new().with_normal(10);
    let drip = Deaf::new(world.line(), 1..2, 1);
    let flooder = Flooder::new(world.line(), 1..2, LARGE, u64::MAX);
    world.others = vec![Box::new(drip), Box::new(flooder)];
    for _ in 0..30 {
        world.advance(Duration::from_secs(10));
        world.steps(5);
        assert!(world.broker.load().outbound <= HIGH_WATER + LARGE + 2 * RESERVE);
    }
    assert_eq!(world.broker.counters().write_timeouts, 0);
    assert_eq!(world.broker.load().connections, 12);
}
