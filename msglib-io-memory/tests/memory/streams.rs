//! The peer's side: halves, handles, resets.

use crate::patience::Patience;
use crate::support::{BROKER, World, peer_read, peer_write};
use msglib_proto::Instant;
use msglib_proto::transport::Readiness::{Opened, Readable};
use msglib_proto::transport::{Close, ConnectionManager};
use std::io::ErrorKind::{BrokenPipe, ConnectionReset, WouldBlock};
use std::io::{IoSlice, Read, Write};

#[test]
fn a_stream_never_blocks() {
    let mut world = World::with_capacity(3);
    let (stream, id) = world.open();
    assert_eq!(peer_read(&stream, 8), Err(WouldBlock));
    assert_eq!(peer_read(&stream, 0), Ok(vec![]));
    assert_eq!((peer_write(&stream, b"abcd"), peer_write(&stream, b"d")), (Ok(3), Err(WouldBlock)));
    assert_eq!(peer_write(&stream, b""), Ok(0));
    world.read(id, 1).unwrap();
    assert_eq!(peer_write(&stream, b"de"), Ok(1));
}

#[test]
fn a_vectored_write_is_one_write() {
    let mut world = World::with_capacity(6);
    let (mut stream, id) = world.open();
    let bufs = [IoSlice::new(b"ab"), IoSlice::new(b"cde"), IoSlice::new(b"fgh")];
    assert_eq!(stream.write_vectored(&bufs).unwrap(), 6);
    stream.flush().unwrap();
    assert_eq!(world.read(id, 8), Ok(b"abcdef".to_vec()));
}

#[test]
fn a_half_close_of_the_peer_leaves_the_other_half() {
    let mut world = World::new();
    let (stream, id) = world.open();
    peer_write(&stream, b"ask").unwrap();
    stream.shutdown_write();
    stream.shutdown_write();
    assert_eq!(peer_write(&stream, b"more"), Err(BrokenPipe));
    assert_eq!((world.read(id, 8), world.read(id, 8)), (Ok(b"ask".to_vec()), Ok(vec![])));
    world.write(id, b"answer").unwrap();
    world.drain(id);
    assert_eq!((peer_read(&stream, 8), peer_read(&stream, 8)), (Ok(b"answer".to_vec()), Ok(vec![])));
}

#[test]
fn a_close_of_the_broker_leaves_what_it_wrote() {
    let mut world = World::new();
    let (mut stream, id) = world.open();
    world.write(id, b"goodbye").unwrap();
    world.drain(id);
    peer_write(&stream, b"thrown away").unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all, "goodbye");
    let error = stream.write(b"x").unwrap_err();
    assert_eq!(error.kind(), BrokenPipe);
    assert!(error.to_string().contains("memory:0"), "{error}");
}

#[test]
fn a_reset_discards_both_directions() {
    let mut world = World::new();
    let (stream, id) = world.open();
    peer_write(&stream, b"lost").unwrap();
    world.write(id, b"lost").unwrap();
    stream.reset();
    stream.reset();
    stream.shutdown_write();
    assert_eq!((peer_read(&stream, 8), peer_write(&stream, b"x")), (Err(ConnectionReset), Err(ConnectionReset)));
    assert_eq!(world.poll(), [Readable(id)]);
    assert_eq!(world.read(id, 8), Err(ConnectionReset));

    let (stream, id) = world.open();
    stream.reset();
    assert_eq!(world.write(id, b"x"), Err(ConnectionReset), "a write sees it as well");
}

#[test]
fn only_the_last_handle_closes() {
    let mut world = World::new();
    let (stream, id) = world.open();
    let (reader, writer) = (stream.clone(), stream);
    assert_eq!(reader.address(), writer.address());
    peer_write(&writer, b"hello").unwrap();
    drop(writer);
    assert_eq!((world.read(id, 8), world.read(id, 8)), (Ok(b"hello".to_vec()), Err(WouldBlock)));
    world.write(id, b"answer").unwrap();
    assert_eq!(peer_read(&reader, 8), Ok(b"answer".to_vec()));
    drop(reader);
    assert_eq!(world.poll(), [Readable(id)]);
    assert_eq!(world.read(id, 8), Ok(vec![]));
    assert_eq!(world.write(id, b"x"), Err(BrokenPipe));
}

#[test]
fn a_peer_that_goes_leaves_what_it_wrote() {
    let mut world = World::new();
    let (stream, id) = world.open();
    world.write(id, b"unread").unwrap();
    peer_write(&stream, b"last words").unwrap();
    drop(stream);
    assert_eq!(world.poll(), [Readable(id)]);
    assert_eq!((world.read(id, 16), world.read(id, 16)), (Ok(b"last words".to_vec()), Ok(vec![])));
}

/// One thread writes, one reads, this one is an echo; each turns to the others when it has nothing to do.
#[test]
#[expect(clippy::disallowed_methods, reason = "handles on several threads are what this is about")]
fn handles_work_on_several_threads() {
    const BYTES: usize = 1 << 20;
    let mut world = World::with_capacity(1000);
    let stream = world.connect();
    let (mut reader, mut writer) = (stream.clone(), stream);
    let patience = Patience::new();
    let sender = std::thread::spawn(move || {
        let bytes: Vec<u8> = (0..BYTES).map(pattern).collect();
        let mut sent = 0;
        while sent < BYTES {
            sent += patience.unless_blocked(writer.write(&bytes[sent..])).unwrap_or(0);
        }
        writer.shutdown_write();
    });
    let receiver = std::thread::spawn(move || {
        let (mut got, mut buf) = (Vec::new(), [0; 777]);
        loop {
            match patience.unless_blocked(reader.read(&mut buf)) {
                Some(0) => return got,
                count => got.extend_from_slice(&buf[..count.unwrap_or(0)]),
            }
        }
    });
    while !sender.is_finished() || !receiver.is_finished() {
        echo_once(&mut world, patience);
        patience.turn();
    }
    sender.join().unwrap();
    let got = receiver.join().unwrap();
    assert_eq!(got.len(), BYTES);
    assert!(got.iter().enumerate().all(|(at, byte)| *byte == pattern(at)));
}

/// Lets the manager go by its reports alone, and send back what it reads.
fn echo_once(world: &mut World, patience: Patience) {
    for report in world.poll() {
        let Readable(id) = report else { continue };
        let mut buf = [0; 500];
        while let Some(count) = patience.unless_blocked(world.manager.read(id, &mut buf)) {
            if count == 0 {
                world.manager.close(id, Close::Drain { deadline: Instant::MAX });
                break;
            }
            let mut sent = 0;
            while sent < count {
                let rest = [IoSlice::new(&buf[sent..count])];
                sent += patience.unless_blocked(world.manager.write(id, &rest)).unwrap_or(0);
            }
        }
    }
}

fn pattern(at: usize) -> u8 {
    (at % 253) as u8
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the panic must not be this thread's")]
fn a_panic_elsewhere_leaves_the_world_usable() {
    let mut world = World::new();
    let transport = world.transport.clone();
    let stream = world.connect();
    let other = stream.clone();
    let panicked = std::thread::spawn(move || {
        let _held = (transport.connect(BROKER), other);
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    let reports = world.poll();
    let [Opened(id, _), Opened(gone, _), Readable(ended)] = reports[..] else { panic!("{reports:?}") };
    assert_eq!(gone, ended);
    peer_write(&stream, b"x").unwrap();
    assert_eq!(world.read(id, 8), Ok(b"x".to_vec()));
}
