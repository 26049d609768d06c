//! Streams that wait for the broker, each on a thread of its own.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the threads are the test's")]

use crate::patience::Patience;
use crate::support::World;
use msglib_io_memory::MemoryStream;
use msglib_proto::transport::{ConnectionId, Readiness};
use std::io::ErrorKind::{BrokenPipe, ConnectionReset, WouldBlock};
use std::io::{self, Read, Write};
use std::thread::{self, JoinHandle};

/// Fails instead of hanging when a thread waits in vain.
fn joined<T>(thread: JoinHandle<T>) -> T {
    let patience = Patience::new();
    while !thread.is_finished() {
        patience.turn();
    }
    thread.join().unwrap()
}

fn blocking(stream: &MemoryStream) -> MemoryStream {
    stream.set_blocking(true);
    stream.clone()
}

/// Until the other thread has had time to begin to wait; what is tested holds in either order.
fn give_turns() {
    (0..100).for_each(|_| thread::yield_now());
}

#[test]
fn a_reader_gets_what_the_broker_writes_later() {
    let mut world = World::new();
    let (stream, id) = world.open();
    let mut reader = blocking(&stream);
    let reads = thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all)
    });
    for round in 0..1000u16 {
        if round % 10 == 0 {
            give_turns();
        }
        world.write(id, &round.to_be_bytes()).unwrap();
    }
    world.drain(id);
    let expected: Vec<u8> = (0..1000u16).flat_map(u16::to_be_bytes).collect();
    assert_eq!(joined(reads).unwrap(), expected);
}

#[test]
fn a_writer_gets_on_as_the_broker_reads() {
    let mut world = World::with_capacity(7);
    let (stream, id) = world.open();
    let mut writer = blocking(&stream);
    let data: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
    let writes = thread::spawn({
        let data = data.clone();
        move || writer.write_all(&data)
    });
    let (mut received, patience) = (Vec::new(), Patience::new());
    while received.len() < data.len() {
        match world.read(id, 5) {
            Ok(part) => received.extend(part),
            Err(kind) => assert_eq!(kind, WouldBlock),
        }
        patience.turn();
    }
    joined(writes).unwrap();
    assert_eq!(received, data);
}

type End = fn(World, MemoryStream, ConnectionId);
type Outcome = Result<usize, io::ErrorKind>;

/// Each way in which a connection ends, from either side, and what a read and a write say that wait for it.
const ENDS: [(&str, End, Outcome, Outcome); 5] = [
    ("the broker closes", |mut world, _, id| world.drain(id), Ok(0), Err(BrokenPipe)),
    ("the broker aborts", |mut world, _, id| world.abort(id), Err(ConnectionReset), Err(ConnectionReset)),
    ("the broker is gone", |world, _, _| drop(world), Ok(0), Err(BrokenPipe)),
    ("the peer resets", |_, stream, _| stream.reset(), Err(ConnectionReset), Err(ConnectionReset)),
    (
        "it fails for the broker",
        |mut world, stream, id| {
            stream.reset();
            assert_eq!(world.write(id, b"x"), Err(ConnectionReset));
        },
        Err(ConnectionReset),
        Err(ConnectionReset),
    ),
];

#[test]
fn every_end_ends_a_wait_to_read() {
    for (name, end, expected, _) in ENDS {
        let mut world = World::new();
        let (stream, id) = world.open();
        let mut reader = blocking(&stream);
        let reads = thread::spawn(move || reader.read(&mut [0; 8]).map_err(|error| error.kind()));
        give_turns();
        end(world, stream, id);
        assert_eq!(joined(reads), expected, "{name}");
    }
}

/// A writer that finds no room.
fn stuck(world: &mut World) -> (MemoryStream, ConnectionId, JoinHandle<Outcome>) {
    let (stream, id) = world.open();
    let mut writer = blocking(&stream);
    writer.write_all(b"x").unwrap();
    let writes = thread::spawn(move || writer.write(b"y").map_err(|error| error.kind()));
    give_turns();
    (stream, id, writes)
}

#[test]
fn every_end_ends_a_wait_to_write() {
    for (name, end, _, expected) in ENDS {
        let mut world = World::with_capacity(1);
        let (stream, id, writes) = stuck(&mut world);
        end(world, stream, id);
        assert_eq!(joined(writes), expected, "{name}");
    }
}

#[test]
fn a_drain_lets_a_writer_finish() {
    let mut world = World::with_capacity(1);
    let (_stream, id, writes) = stuck(&mut world);
    world.write(id, b"z").unwrap();
    world.drain(id);
    assert_eq!(joined(writes), Ok(1), "thrown away");
}

#[test]
fn a_half_close_elsewhere_ends_a_wait_to_write() {
    let mut world = World::with_capacity(1);
    let (stream, _, writes) = stuck(&mut world);
    stream.shutdown_write();
    assert_eq!(joined(writes), Err(BrokenPipe));
}

#[test]
fn it_can_be_turned_off_again() {
    let mut world = World::new();
    let (mut stream, _) = world.open();
    stream.set_blocking(true);
    stream.clone().set_blocking(false);
    assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), WouldBlock);
}

/// Several threads on several streams of one manager, each woken by its own news.
#[test]
fn many_wait_at_once_and_each_gets_its_own() {
    let mut world = World::new();
    let streams: Vec<MemoryStream> = (0..20).map(|_| world.connect()).collect();
    let threads: Vec<_> = streams
        .iter()
        .enumerate()
        .map(|(n, stream)| {
            let mut stream = blocking(stream);
            thread::spawn(move || {
                stream.write_all(&[n as u8; 100]).unwrap();
                let mut back = [0; 100];
                stream.read_exact(&mut back).unwrap();
                back
            })
        })
        .collect();
    let patience = Patience::new();
    while threads.iter().any(|thread| !thread.is_finished()) {
        for report in world.poll() {
            if let Readiness::Readable(id) = report {
                let part = world.read(id, 1000).unwrap();
                world.write(id, &part).unwrap();
            }
        }
        patience.turn();
    }
    for (n, thread) in threads.into_iter().enumerate() {
        assert_eq!(joined(thread), [n as u8; 100]);
    }
}
