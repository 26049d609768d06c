//! What one message costs on its whole way through a broker in memory: publish → deliver → ack.
//!
//! `cargo bench --bench plain_path`; figures are for each message of 128 bytes. Beside the broker they contain two copies between
//! buffers for each byte, in place of the kernel's.

mod world;

use divan::Bencher;
use divan::counter::ItemsCount;
use std::cell::RefCell;
use world::BATCH;
use world::peers::{Batch, Script, World};

/// Batches in a sample.
const BATCHES: u64 = 20;

fn main() {
    divan::main();
}

#[divan::bench(args = [Script::Ranges, Script::Each, Script::Waiting])]
fn in_memory(bencher: Bencher<'_, '_>, script: Script) {
    through(bencher, script, 0);
}

/// With so many messages ahead in the queue: what one costs does not grow.
#[divan::bench(args = [100, 10_000, 1_000_000], sample_count = 20)]
fn behind_others(bencher: Bencher<'_, '_>, waiting: u64) {
    through(bencher, Script::Waiting, waiting);
}

fn through(bencher: Bencher<'_, '_>, script: Script, waiting: u64) {
    let world = RefCell::new(World::in_memory(script));
    world.borrow_mut().fill(waiting);
    bencher
        .counter(ItemsCount::new(BATCHES * BATCH))
        .with_inputs(|| -> Vec<Batch> { (0..BATCHES).map(|_| world.borrow_mut().batch()).collect() })
        .bench_local_refs(|batches| batches.iter().for_each(|batch| world.borrow_mut().run(batch)));
    world.into_inner().finish();
}
