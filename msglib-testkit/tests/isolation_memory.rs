//! What peers cost that do not read, or do not finish what they send: memory, counted by the allocator.
//!
//! A binary of its own with one test, for the allocator counts for all threads.
#![allow(dead_code, reason = "the world is another test's as well")]

#[path = "isolation/world.rs"]
mod world;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use world::{Deaf, Flooder, HIGH_WATER, LARGE, PIPE, World};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Both ends' state, the pipes' included, of a connection that has said hello and opened a link.
const CONNECTION: usize = 2 * PIPE + 4_096;

/// Bytes that are held more than before.
fn growth(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

#[test]
fn a_deaf_peer_costs_its_share_and_no_more() {
    let mut world = World::new();
    world.others.push(Box::new(Flooder::new(world.line(), 1..2, LARGE, 2_000)));
    world.steps(3_000);
    let mut costs = Vec::new();
    for deaf in [1, 10, 100] {
        let grown = growth(|| {
            for _ in 0..deaf {
                world.others.push(Box::new(Deaf::new(world.line(), 1..2, 0)));
            }
            world.steps(30);
        });
        // A buffer that grows has up to twice the room of what is in it.
        let most = deaf * (CONNECTION + 2 * (HIGH_WATER + LARGE));
        assert!(grown <= most, "{deaf} deaf peers cost {grown} bytes, and may cost {most}");
        costs.push(grown / deaf);
    }
    assert!(costs[2] > HIGH_WATER, "the test needs peers who are full: {costs:?}");
    // Nothing is left of them; the queue has its messages back.
    let before = world.broker.handler().queue(1).map(|queue| queue.ledger.ready);
    world.others.truncate(1);
    world.steps(10);
    let after = world.broker.handler().queue(1).map(|queue| queue.ledger.ready);
    assert!(after > before && after == Some(2_000), "{before:?}, then {after:?}");
    assert_eq!((world.broker.load().outbound, world.broker.connections()), (0, 1));
}
