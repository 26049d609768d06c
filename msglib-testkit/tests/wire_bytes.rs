//! What a message on the plain path takes on the wire, each way.

#[path = "../benches/world/mod.rs"]
mod world;

use world::BATCH;
use world::clients::Clients;
use world::peers::{Script, Traffic, World};

const BATCHES: u64 = 20;

/// The lengths of the frames (PROTOCOL §3).
const PUBLISH: u64 = 20 + 128;
const DELIVERY: u64 = 24 + 128;
const CONFIRMED: u64 = 20;
const CREDIT: u64 = 20;
const ACK: u64 = 28;

/// Bytes for each batch, when the handshake is over.
fn traffic(script: Script) -> Traffic {
    let mut world = World::in_memory(script);
    let before = world.traffic;
    for _ in 0..BATCHES {
        let batch = world.batch();
        world.run(&batch);
    }
    let after = world.traffic;
    world.finish();
    let each = |after: u64, before: u64| {
        assert_eq!((after - before) % BATCHES, 0, "each batch is like the others");
        (after - before) / BATCHES
    };
    Traffic {
        publisher_wrote: each(after.publisher_wrote, before.publisher_wrote),
        publisher_read: each(after.publisher_read, before.publisher_read),
        consumer_wrote: each(after.consumer_wrote, before.consumer_wrote),
        consumer_read: each(after.consumer_read, before.consumer_read),
    }
}

#[test]
fn a_broker_answers_a_batch_with_one_confirm_and_one_credit() {
    for script in [Script::Ranges, Script::Each, Script::Waiting] {
        let traffic = traffic(script);
        assert_eq!(traffic.publisher_wrote, BATCH * PUBLISH, "{script:?}");
        assert_eq!(traffic.publisher_read, CONFIRMED + CREDIT, "{script:?}");
        assert_eq!(traffic.consumer_read, BATCH * DELIVERY, "{script:?}");
    }
}

/// Who acks each message on its own gets one frame for many on the wire, and little else is said.
#[test]
fn a_client_acks_in_ranges() {
    let mut clients = Clients::in_memory();
    clients.run();
    let before = *clients.broker.counters();
    for _ in 0..BATCHES {
        clients.run();
    }
    let after = *clients.broker.counters();
    clients.finish();
    let from_clients = (after.bytes_received - before.bytes_received) - BATCHES * BATCH * PUBLISH;
    let to_clients = (after.bytes_sent - before.bytes_sent) - BATCHES * BATCH * DELIVERY;
    assert!(from_clients <= BATCHES * 4 * (ACK + CREDIT), "{from_clients} bytes of acks and credit");
    assert!(to_clients <= BATCHES * (CONFIRMED + CREDIT), "{to_clients} bytes of confirms and credit");
}
