//! What a message on the plain path allocates, counted.
//!
//! A binary of its own with one test, for the allocator counts for all threads.

#[path = "../benches/world/mod.rs"]
mod world;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use world::BATCH;
use world::clients::Clients;
use world::peers::{Batch, Script, World};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCHES: u64 = 20;

#[test]
fn messages_allocate_next_to_nothing() {
    let passing = (1, 16);
    let waiting = (1, 1);
    for (script, behind, (most, messages)) in [
        (Script::Ranges, 0, passing),
        (Script::Each, 0, passing),
        (Script::Waiting, 0, waiting),
        (Script::Waiting, 10_000, waiting),
    ] {
        let count = allocations_of_a_broker(script, behind);
        let allowed = BATCHES * BATCH * most / messages;
        assert!(
            count <= allowed,
            "{script:?} behind {behind}: {count} allocations for {} messages; {most} for each {messages} is the bound",
            BATCHES * BATCH
        );
    }
    // A client's message is in the reader's hands, in memory of its own; and the caller of this keeps the confirmations in a list.
    let (count, allowed) = (allocations_of_clients(), BATCHES * (BATCH + BATCH / 4));
    assert!(count <= allowed, "with clients: {count} allocations, above {allowed}");
}

/// In the second half of a run, for the first one makes the buffers.
fn allocations_of_a_broker(script: Script, behind: u64) -> u64 {
    let mut world = World::in_memory(script);
    world.fill(behind);
    let batches: Vec<Batch> = (0..2 * BATCHES).map(|_| world.batch()).collect();
    let (first, second) = batches.split_at(BATCHES as usize);
    first.iter().for_each(|batch| world.run(batch));
    let count = count(|| second.iter().for_each(|batch| world.run(batch)));
    world.finish();
    count
}

fn allocations_of_clients() -> u64 {
    let mut clients = Clients::in_memory();
    (0..BATCHES).for_each(|_| clients.run());
    let count = count(|| (0..BATCHES).for_each(|_| clients.run()));
    clients.finish();
    count
}

/// New ones, and those that became larger.
fn count(work: impl FnOnce()) -> u64 {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    (change.allocations + change.reallocations) as u64
}
