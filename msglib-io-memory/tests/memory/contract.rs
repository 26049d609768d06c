//! The rules of `msglib_proto::transport`, each by its number.

use crate::support::{BROKER, World, peer_read, peer_write};
use msglib_io_memory::MemoryStream;
use msglib_proto::Instant;
use msglib_proto::transport::Readiness::{Opened, Readable, Writable};
use msglib_proto::transport::{Address, Close, ConnectionId, ConnectionManager, Peer};
use std::collections::BTreeSet;
use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotFound, WouldBlock};
use std::io::IoSlice;
use std::time::Duration;

#[test]
fn t01_opened_comes_first_and_once() {
    let mut world = World::new();
    let stream = world.connect();
    peer_write(&stream, b"early").unwrap();
    let early = ConnectionId::new(0, 0);
    assert_eq!(world.read(early, 8), Err(NotFound), "not opened yet");
    world.abort(early);

    let peer = Peer::new(stream.address());
    assert!(matches!(peer.address, Address::Memory(_)));
    assert_eq!(world.poll(), [Opened(early, peer), Readable(early)]);
    peer_write(&stream, b"late").unwrap();
    stream.shutdown_write();
    for _ in 0..5 {
        assert!(world.poll().iter().all(|report| *report == Readable(early)));
    }
}

#[test]
fn t01_a_peer_that_came_and_went_is_opened_too() {
    let mut world = World::new();
    let (gone, reset) = (world.connect(), world.connect());
    peer_write(&gone, b"x").unwrap();
    drop(gone);
    peer_write(&reset, b"x").unwrap();
    reset.reset();
    let reports = world.poll();
    let [Opened(a, _), Opened(b, _), Readable(first), Readable(second)] = reports[..] else { panic!("{reports:?}") };
    assert_eq!((first, second), (a, b));
    assert_eq!((world.read(a, 8), world.read(a, 8)), (Ok(b"x".to_vec()), Ok(vec![])));
    assert_eq!(world.read(b, 8), Err(ConnectionReset));
}

#[test]
fn t02_an_id_is_never_used_again() {
    let mut world = World::new();
    let mut seen = BTreeSet::new();
    for round in 0..100 {
        let (stream, id) = world.open();
        assert!(seen.insert(id), "{id} came back");
        assert!(id.index() < 2, "slots are taken again, and {id} is not dense");
        match round % 4 {
            0 => world.abort(id),
            1 => world.drain(id),
            2 => stream.reset(),
            _ => {}
        }
        drop(stream);
        world.poll();
        world.abort(id);
        assert_eq!(world.read(id, 1), Err(NotFound));
    }
}

#[test]
fn t03_data_that_arrives_is_reported() {
    let mut world = World::new();
    let (stream, id) = world.open();
    assert_eq!(world.poll(), [], "nothing has happened");
    peer_write(&stream, b"a").unwrap();
    peer_write(&stream, b"b").unwrap();
    assert_eq!(world.poll(), [Readable(id)], "both at once");
    assert_eq!(world.poll(), [], "an edge, not a level");
    peer_write(&stream, b"c").unwrap();
    assert_eq!(world.poll(), [], "the broker has not read to the end since it was told");
    assert_eq!(world.read(id, 8), Ok(b"abc".to_vec()));
}

#[test]
fn t03_data_that_was_read_before_the_poll_is_not_reported() {
    let mut world = World::new();
    let (stream, id) = world.open();
    peer_write(&stream, b"a").unwrap();
    assert_eq!(world.read(id, 8), Ok(b"a".to_vec()));
    assert_eq!(world.poll(), []);
    peer_write(&stream, b"b").unwrap();
    assert_eq!(world.poll(), [Readable(id)]);
}

#[test]
fn t04_read_fills_at_most_the_buffer_and_the_end_sticks() {
    let mut world = World::new();
    let (stream, id) = world.open();
    peer_write(&stream, b"abcde").unwrap();
    assert_eq!(world.read(id, 0), Ok(vec![]), "no end: the buffer is empty");
    assert_eq!(world.read(id, 2), Ok(b"ab".to_vec()));
    drop(stream);
    assert_eq!(world.read(id, 2), Ok(b"cd".to_vec()));
    assert_eq!(world.read(id, 2), Ok(b"e".to_vec()));
    for _ in 0..3 {
        assert_eq!(world.read(id, 2), Ok(vec![]));
    }
}

#[test]
fn t04_the_end_sticks_through_a_reset() {
    let mut world = World::new();
    let (stream, id) = world.open();
    stream.shutdown_write();
    assert_eq!(world.read(id, 8), Ok(vec![]));
    stream.reset();
    assert_eq!(world.poll(), []);
    assert_eq!(world.read(id, 8), Ok(vec![]));
    assert_eq!(world.write(id, b"x"), Err(ConnectionReset));
}

#[test]
fn t05_would_block_arms_the_next_report() {
    let mut world = World::new();
    let (stream, id) = world.open();
    for _ in 0..3 {
        assert_eq!(world.read(id, 4), Err(WouldBlock));
        peer_write(&stream, b"abcd").unwrap();
        assert_eq!(world.poll(), [Readable(id)]);
        assert_eq!(world.read(id, 4), Ok(b"abcd".to_vec()));
    }
}

#[test]
fn t05_a_short_count_arms_the_next_report() {
    let mut world = World::new();
    let (stream, id) = world.open();
    for _ in 0..3 {
        peer_write(&stream, b"abcd").unwrap();
        assert_eq!(world.poll(), [Readable(id)]);
        assert_eq!(world.read(id, 5), Ok(b"abcd".to_vec()));
    }
}

#[test]
fn t05_a_full_count_does_not() {
    let mut world = World::new();
    let (stream, id) = world.open();
    peer_write(&stream, b"abcd").unwrap();
    assert_eq!(world.poll(), [Readable(id)]);
    assert_eq!(world.read(id, 4), Ok(b"abcd".to_vec()));
    peer_write(&stream, b"e").unwrap();
    assert_eq!(world.poll(), [], "there may have been more, it is for the broker to look");
    assert_eq!(world.read(id, 4), Ok(b"e".to_vec()));
    peer_write(&stream, b"f").unwrap();
    assert_eq!(world.poll(), [Readable(id)]);
}

#[test]
fn t05_a_known_end_is_reported_until_it_is_read() {
    let mut world = World::new();
    let (stream, id) = world.open();
    peer_write(&stream, b"data").unwrap();
    drop(stream);
    assert_eq!(world.poll(), [Readable(id)]);
    assert_eq!(world.read(id, 8), Ok(b"data".to_vec()), "a short count, and the end shared its edge");
    assert_eq!(world.poll(), [Readable(id)]);
    assert_eq!(world.poll(), [Readable(id)]);
    assert_eq!(world.read(id, 8), Ok(vec![]));
    assert_eq!(world.poll(), []);
}

#[test]
fn t05_a_known_reset_is_reported_until_it_is_read() {
    let mut world = World::new();
    let (stream, id) = world.open();
    stream.reset();
    assert_eq!(world.poll(), [Readable(id)]);
    assert_eq!(world.poll(), [Readable(id)]);
    assert_eq!(world.read(id, 8), Err(ConnectionReset));
    assert_eq!(world.poll(), []);
}

#[test]
fn t06_write_accepts_a_prefix_of_all_slices() {
    let mut world = World::with_capacity(8);
    let (stream, id) = world.open();
    let bufs = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"def"), IoSlice::new(b"ghijk")];
    assert_eq!(world.manager.write(id, &bufs).unwrap(), 8);
    assert_eq!(world.write(id, b"ijk"), Err(WouldBlock));
    assert_eq!(world.write(id, b""), Ok(0), "nothing needs no room");
    assert_eq!(peer_read(&stream, 2), Ok(b"ab".to_vec()));
    assert_eq!(world.write(id, b"ijk"), Ok(2));
    assert_eq!(peer_read(&stream, 16), Ok(b"cdefghij".to_vec()));
}

#[test]
fn t06_capacity_n_is_taken_and_n_plus_1_is_not() {
    for capacity in [1, 2, 100, 64 * 1024] {
        let mut world = World::with_capacity(capacity);
        let (stream, id) = world.open();
        let bytes = vec![7; capacity + 1];
        assert_eq!(world.write(id, &bytes[..capacity]), Ok(capacity));
        assert_eq!(world.write(id, &bytes[..1]), Err(WouldBlock));
        assert_eq!(peer_write(&stream, &bytes), Ok(capacity));
        assert_eq!(peer_write(&stream, &bytes[..1]), Err(WouldBlock));
        assert_eq!(peer_read(&stream, capacity + 1).map(|got| got.len()), Ok(capacity));
        assert_eq!(world.read(id, capacity + 1).map(|got| got.len()), Ok(capacity));
    }
}

#[test]
fn t07_bytes_arrive_once_in_order_unchanged() {
    let mut world = World::with_capacity(61);
    let (stream, id) = world.open();
    let sent: Vec<u8> = (0..10_000u32).map(|n| (n % 251) as u8).collect();
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let (mut written, mut returned) = (0, 0);
    for round in 1.. {
        written += peer_write(&stream, &sent[written..(written + round % 97).min(sent.len())]).unwrap_or(0);
        there.extend(world.read(id, 1 + round % 53).unwrap_or_default());
        returned += world.write(id, &there[returned..]).unwrap_or(0);
        back.extend(peer_read(&stream, 1 + round % 41).unwrap_or_default());
        if back.len() == sent.len() {
            break;
        }
        assert!(round < 10_000, "{} of {} bytes came back", back.len(), sent.len());
    }
    assert_eq!(back, sent);
    assert_eq!((world.read(id, 8), peer_read(&stream, 8)), (Err(WouldBlock), Err(WouldBlock)));
}

#[test]
fn t08_a_drain_delivers_what_was_accepted() {
    let mut world = World::new();
    let (stream, id) = world.open();
    world.write(id, b"last words").unwrap();
    peer_write(&stream, b"unread").unwrap();
    world.drain(id);
    assert_eq!((world.read(id, 8), world.write(id, b"x")), (Err(NotFound), Err(NotFound)));
    assert_eq!(world.poll(), [], "nothing is reported about a closed connection");
    world.drain(id);

    assert_eq!(peer_read(&stream, 4), Ok(b"last".to_vec()));
    assert_eq!(peer_write(&stream, &[0; 1 << 20]), Ok(1 << 20), "thrown away meanwhile");
    assert_eq!(peer_read(&stream, 16), Ok(b" words".to_vec()));
    assert_eq!(peer_write(&stream, b"x"), Err(BrokenPipe), "the drain is over");
    world.transport.clock().advance(Duration::from_secs(9));
    assert_eq!(world.poll(), []);
    world.abort(id);
    assert_eq!((peer_read(&stream, 8), peer_read(&stream, 8)), (Ok(vec![]), Ok(vec![])), "a drain that is over stays");
}

#[test]
fn t08_a_drain_of_nothing_ends_at_once() {
    let mut world = World::new();
    let (stream, id) = world.open();
    world.drain(id);
    assert_eq!((peer_write(&stream, b"x"), peer_read(&stream, 8)), (Err(BrokenPipe), Ok(vec![])));
}

#[test]
fn t08_a_drain_gives_up_at_its_deadline() {
    let mut world = World::new();
    let (slow, id) = world.open();
    let (slower, other) = world.open();
    world.write(other, b"for later").unwrap();
    world.manager.close(other, Close::Drain { deadline: Instant::MAX });
    world.write(id, b"too late").unwrap();
    world.drain(id);
    let clock = world.transport.clock();
    clock.advance(Duration::from_secs(1) - Duration::from_nanos(1));
    world.poll();
    assert_eq!(peer_read(&slow, 3), Ok(b"too".to_vec()), "one nanosecond to go");
    clock.advance(Duration::from_nanos(1));
    world.poll();
    assert_eq!((peer_read(&slow, 8), peer_write(&slow, b"x")), (Err(ConnectionReset), Err(ConnectionReset)));
    assert_eq!(peer_read(&slower, 16), Ok(b"for later".to_vec()));
}

#[test]
fn t08_an_abort_ends_at_once_and_overrides_a_drain() {
    for drained_before in [false, true] {
        let mut world = World::new();
        let (stream, id) = world.open();
        world.write(id, b"lost").unwrap();
        if drained_before {
            world.drain(id);
        }
        world.abort(id);
        assert_eq!((peer_read(&stream, 8), peer_write(&stream, b"x")), (Err(ConnectionReset), Err(ConnectionReset)));
        world.abort(id);
        world.drain(id);
        assert_eq!(peer_read(&stream, 8), Err(ConnectionReset));
        assert_eq!(world.read(id, 8), Err(NotFound));
    }
}

#[test]
fn t08_a_peer_that_leaves_ends_the_drain() {
    for leave in [drop, |stream: MemoryStream| stream.reset()] {
        let mut world = World::new();
        let (stream, id) = world.open();
        world.write(id, b"unread").unwrap();
        world.drain(id);
        leave(stream);
        world.transport.clock().advance(Duration::from_secs(2));
        assert_eq!(world.poll(), []);
        assert_eq!(world.open().1.index(), 0, "its slot is free");
    }
}

#[test]
fn t09_the_broker_writes_on_after_a_half_close() {
    let mut world = World::with_capacity(4);
    let (stream, id) = world.open();
    peer_write(&stream, b"ask").unwrap();
    stream.shutdown_write();
    assert_eq!(world.poll(), [Readable(id)]);
    assert_eq!((world.read(id, 3), world.read(id, 3)), (Ok(b"ask".to_vec()), Ok(vec![])));
    assert_eq!(world.write(id, b"answer"), Ok(4));
    assert_eq!(peer_read(&stream, 8), Ok(b"answ".to_vec()));
    assert_eq!(world.poll(), [Writable(id)]);
    assert_eq!(world.write(id, b"er"), Ok(2));
    assert_eq!(peer_read(&stream, 8), Ok(b"er".to_vec()));
    assert_eq!(peer_read(&stream, 8), Err(WouldBlock), "the broker has not closed");
}

#[test]
fn t10_a_failed_connection_fails_no_poll() {
    let mut world = World::new();
    let (well, well_id) = world.open();
    let (reset, _) = world.open();
    let (gone, gone_id) = world.open();
    world.write(gone_id, b"unread").unwrap();
    reset.reset();
    drop(gone);
    peer_write(&well, b"x").unwrap();
    for _ in 0..3 {
        let mut ready = Vec::new();
        world.manager.poll(&mut ready, None).unwrap();
        assert!(ready.len() >= 2, "{ready:?}");
    }
    assert_eq!(world.read(well_id, 8), Ok(b"x".to_vec()));
}

/// A poll that waits would keep this test from ending.
#[test]
fn t11_poll_never_blocks() {
    let mut world = World::new();
    let _idle = world.open();
    let mut ready = Vec::new();
    for timeout in [Some(Duration::ZERO), Some(Duration::MAX), None] {
        world.manager.poll(&mut ready, timeout).unwrap();
    }
    assert_eq!(ready, []);
}

#[test]
fn t11_poll_appends() {
    let mut world = World::new();
    let (stream, id) = world.open();
    let mut ready = vec![Writable(id)];
    peer_write(&stream, b"x").unwrap();
    world.manager.poll(&mut ready, None).unwrap();
    assert_eq!(ready, [Writable(id), Readable(id)]);
}

#[test]
fn t12_now_moves_only_forward_and_only_when_told() {
    let mut world = World::new();
    let clock = world.transport.clock();
    let start = world.manager.now();
    world.poll();
    assert_eq!(world.manager.now(), start);
    clock.advance(Duration::from_millis(5));
    assert_eq!(world.manager.now() - start, Duration::from_millis(5));
    clock.advance(Duration::MAX);
    clock.advance(Duration::from_secs(1));
    assert_eq!(world.manager.now(), Instant::MAX, "the end of time, not its beginning");
}

#[test]
fn t13_writable_follows_would_block_and_a_partial_write() {
    let mut world = World::with_capacity(4);
    let (stream, id) = world.open();
    assert_eq!(world.write(id, b"abcd"), Ok(4));
    peer_read(&stream, 1).unwrap();
    assert_eq!(world.poll(), [], "the broker was not told to wait");
    assert_eq!(world.write(id, b"ef"), Ok(1), "a partial write");
    assert_eq!(world.poll(), [], "there is no room yet");
    peer_read(&stream, 1).unwrap();
    assert_eq!(world.poll(), [Writable(id)]);
    assert_eq!(world.poll(), [], "an edge, not a level");

    assert_eq!(world.write(id, b"f"), Ok(1));
    assert_eq!(world.write(id, b"g"), Err(WouldBlock));
    peer_read(&stream, 4).unwrap();
    assert_eq!(world.poll(), [Writable(id)]);
}

#[test]
fn t13_room_that_was_taken_before_the_poll_is_reported_when_it_comes_back() {
    let mut world = World::with_capacity(2);
    let (stream, id) = world.open();
    assert_eq!(world.write(id, b"abc"), Ok(2));
    peer_read(&stream, 2).unwrap();
    assert_eq!(world.write(id, b"cd"), Ok(2), "all of it, but nothing was reported yet");
    assert_eq!(world.poll(), []);
    peer_read(&stream, 1).unwrap();
    assert_eq!(world.poll(), [Writable(id)]);
}

#[test]
fn t13_a_broker_that_waits_for_room_learns_that_the_peer_has_gone() {
    for (resets, kind) in [(false, BrokenPipe), (true, ConnectionReset)] {
        let mut world = World::with_capacity(1);
        let (stream, id) = world.open();
        stream.shutdown_write();
        assert_eq!(world.read(id, 8), Ok(vec![]));
        assert_eq!(world.write(id, b"ab"), Ok(1));
        assert_eq!(world.poll(), []);
        if resets {
            stream.reset();
        }
        drop(stream);
        assert_eq!(world.poll(), [Writable(id)]);
        assert_eq!(world.write(id, b"b"), Err(kind));
    }
}

#[test]
fn t14_an_error_ends_the_connection_for_good() {
    let mut world = World::new();
    let (stream, id) = world.open();
    peer_write(&stream, b"unread").unwrap();
    stream.reset();
    assert_eq!(world.read(id, 8), Err(ConnectionReset), "what was under way is lost");
    assert_eq!((world.read(id, 8), world.write(id, b"x")), (Err(NotFound), Err(NotFound)));

    let (stream, id) = world.open();
    drop(stream);
    assert_eq!(world.write(id, b"x"), Err(BrokenPipe));
    assert_eq!((world.read(id, 8), world.write(id, b"x")), (Err(NotFound), Err(NotFound)));
    assert_eq!(world.poll(), [], "nothing is reported about it either");
    world.drain(id);
    world.abort(id);
}

#[test]
fn t14_an_unknown_id_is_not_found() {
    let mut world = World::new();
    let (_stream, id) = world.open();
    for unknown in [ConnectionId::new(0, 1), ConnectionId::new(1, 0), ConnectionId::new(u32::MAX, u32::MAX)] {
        assert_ne!(unknown, id);
        assert_eq!((world.read(unknown, 8), world.write(unknown, b"x")), (Err(NotFound), Err(NotFound)));
        world.abort(unknown);
        world.drain(unknown);
    }
    let error = world.manager.read(ConnectionId::new(1, 2), &mut [0]).unwrap_err();
    assert!(error.to_string().contains("c1.2"), "{error}");
}

#[test]
fn t15_a_poll_that_never_waits_needs_no_waker() {
    let world = World::new();
    assert!(world.manager.waker().is_none());
    assert_eq!(world.manager.endpoint(), BROKER);
}
