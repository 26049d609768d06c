//! T16: what is announced, and how often.

use crate::support::{World, peer_read, peer_write};
use msglib_proto::transport::{ConnectionManager, Waker};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often the waker was called since somebody asked.
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn of(world: &mut World) -> Calls {
        let calls = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&calls);
        let waker = Waker::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        assert!(world.manager.announce(waker));
        Calls(calls)
    }

    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

#[test]
fn whatever_a_poll_would_report_anew_is_announced_once() {
    let mut world = World::with_capacity(2);
    let calls = Calls::of(&mut world);
    let (stream, id) = world.open();
    assert_eq!(calls.take(), 1, "a connection");
    let others: Vec<_> = (0..3).map(|_| world.connect()).collect();
    assert_eq!(calls.take(), 1, "three more, and nobody has polled");
    world.poll();

    peer_write(&stream, b"a").unwrap();
    peer_write(&stream, b"b").unwrap();
    assert_eq!(calls.take(), 1, "data");
    world.poll();
    world.read(id, 8).unwrap();
    assert_eq!(peer_read(&stream, 8).ok(), None);
    assert_eq!(calls.take(), 0, "nothing new");

    world.write(id, b"abc").unwrap();
    peer_read(&stream, 1).unwrap();
    assert_eq!(calls.take(), 1, "room");
    world.poll();

    stream.shutdown_write();
    assert_eq!(calls.take(), 1, "an end");
    world.poll();
    assert_eq!(world.poll().len(), 1, "told until it is read, but no news");
    assert_eq!(calls.take(), 0);
    drop(others);
    assert_eq!(calls.take(), 1, "three more ends");
}

#[test]
fn what_came_before_is_announced_at_once() {
    let mut world = World::new();
    let _early = world.connect();
    assert_eq!(Calls::of(&mut world).take(), 1);
    world.poll();
    assert_eq!(Calls::of(&mut world).take(), 0, "and nothing if there is nothing");
}

/// A waker is somebody else's code: it may come back to the transport.
#[test]
fn a_waker_may_use_the_transport() {
    let mut world = World::new();
    let (stream, _) = world.open();
    let again = stream.clone();
    assert!(world.manager.announce(Waker::new(move || {
        peer_write(&again, b"from the waker").unwrap();
    })));
    peer_write(&stream, b"x").unwrap();
    assert_eq!(world.poll().len(), 1);
}
