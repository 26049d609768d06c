//! What the codec costs, counted and not timed: memory that is bounded by what was received, and work that is linear in it.
//!
//! A binary of its own with one test, for the allocator counts for all threads.

use msglib_proto::{Decoder, FrameType, Limits, SendQueue, encode};
use msglib_testkit::strategies::{OwnedFrame, almost_frames, cases, chunkings, valid_streams};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What the test harness may allocate beside us, and the decoder's first buffer.
const SLACK: usize = 4096 + 2048;

#[test]
fn the_codec_costs_what_was_received() {
    memory_is_bounded_by_what_was_received();
    a_header_that_claims_much_allocates_little();
    a_large_frame_byte_by_byte_is_linear();
    frames_that_are_whole_in_the_input_cost_nothing();
    what_is_queued_and_sent_over_and_over_costs_no_memory();
}

/// Bytes that are allocated now, beyond those at the beginning of the region.
fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    (change.bytes_allocated).saturating_sub(change.bytes_deallocated)
}

/// At most twice what has arrived of one frame, and the first buffer, at any time, for any bytes in any pieces.
fn memory_is_bounded_by_what_was_received() {
    let bytes = prop_oneof![almost_frames(), valid_streams().prop_map(|stream| stream.bytes)];
    let mut runner = TestRunner::new(cases(256));
    let result = runner.run(&(bytes, chunkings(5000)), |(bytes, chunking)| {
        let region = Region::new(ALLOCATOR);
        let mut decoder = Decoder::new(&Limits::default());
        let mut received = 0;
        let (mut most, mut too_much) = (0, None);
        'all: for mut piece in chunking.cut(&bytes) {
            received += piece.len();
            loop {
                let result = decoder.decode(&mut piece).map(|frame| frame.is_some());
                let held = held(&region);
                most = most.max(held);
                if held > 2 * received + SLACK {
                    too_much = Some((held, received));
                }
                match result {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) => break 'all,
                }
            }
        }
        let buffered = decoder.buffered();
        prop_assert_eq!(too_much, None, "(bytes held, bytes received)");
        prop_assert!(buffered <= most + SLACK, "the decoder says {} of {}", buffered, most);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// 16 MiB announced, and a few bytes sent.
fn a_header_that_claims_much_allocates_little() {
    let mut header = Vec::new();
    header.extend((16_u32 << 20).to_be_bytes());
    header.extend(FrameType::Publish.value().to_be_bytes());
    header.extend([0, 0, 0, 0, 0, 1]);
    header.extend([7; 100]);
    let region = Region::new(ALLOCATOR);
    let mut decoder = Decoder::new(&Limits::default());
    for byte in &header {
        let result = decoder.decode(&mut std::slice::from_ref(byte)).map(|frame| frame.is_none());
        assert_eq!(result, Ok(true));
    }
    assert!(held(&region) <= SLACK, "{} bytes for {}", held(&region), header.len());
}

/// Work: a logarithm of reallocations, and a constant times the size allocated (and so copied) in all.
fn a_large_frame_byte_by_byte_is_linear() {
    let n = 3 << 20;
    let payload = vec![1; n];
    let bytes = publish(&payload).to_bytes();
    for piece in [1, 1000, 65_536] {
        let region = Region::new(ALLOCATOR);
        let mut decoder = Decoder::new(&Limits::default());
        let mut frames = 0;
        for mut piece in bytes.chunks(piece) {
            while decoder.decode(&mut piece).expect("a valid frame").is_some() {
                frames += 1;
            }
        }
        let change = region.change();
        assert_eq!(frames, 1);
        let steps = change.allocations + change.reallocations;
        assert!(steps <= 2 * n.ilog2() as usize, "{steps} allocations in pieces of {piece}");
        let total = change.bytes_allocated;
        assert!(total <= 4 * n + SLACK, "{total} bytes allocated for {n}, in pieces of {piece}");
    }
}

fn frames_that_are_whole_in_the_input_cost_nothing() {
    let bytes: Vec<u8> = (0..1000).flat_map(|_| publish(b"hello").to_bytes()).collect();
    let region = Region::new(ALLOCATOR);
    let mut decoder = Decoder::new(&Limits::default());
    let (mut input, mut frames) = (&bytes[..], 0);
    while decoder.decode(&mut input).expect("valid frames").is_some() {
        frames += 1;
    }
    let allocated = region.change().bytes_allocated;
    assert_eq!(frames, 1000);
    assert!(allocated <= 512, "{allocated} bytes for frames that are borrowed");
}

fn what_is_queued_and_sent_over_and_over_costs_no_memory() {
    let frame = publish(&[3; 100]);
    let mut queue = SendQueue::new();
    let region = Region::new(ALLOCATOR);
    for _ in 0..10_000 {
        encode(&frame.as_frame(), &mut queue).expect("a valid frame");
        queue.advance(queue.len());
    }
    assert!(held(&region) <= 1024, "{} bytes held", held(&region));
    let allocated = region.change().bytes_allocated;
    assert!(allocated <= 1024, "{allocated} bytes allocated for 10,000 frames, one at a time");
}

fn publish(payload: &[u8]) -> OwnedFrame {
    let payload = msglib_proto::Payload::from(payload);
    OwnedFrame::from(msglib_proto::Frame::Publish { link: 1, number: 1, confirm: false, payload })
}
