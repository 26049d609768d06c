//! Rules T11, T12 and T15, time-outs, and entropy.

use crate::server::{PATIENCE, Server, TOO_LONG};
use msglib_proto::transport::{Close, ConnectionManager, Readiness};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

#[test]
fn t11_a_zero_time_out_never_blocks() {
    // The spin must not apply either.
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG).spin(TOO_LONG));
    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(server.poll(Some(Duration::ZERO)), []);
        assert!(start.elapsed() < PATIENCE);
    }
}

#[test]
fn a_wait_is_bounded_by_the_managers_own() {
    let own = Duration::from_millis(5);
    let mut server = Server::with(|builder| builder.poll_timeout(own));
    for timeout in [None, Some(TOO_LONG), Some(Duration::MAX)] {
        let start = Instant::now();
        assert_eq!(server.poll(timeout), []);
        assert!((own..PATIENCE).contains(&start.elapsed()), "{timeout:?}: {:?}", start.elapsed());
    }
}

#[test]
fn a_wait_of_microseconds_is_rounded_up_and_not_a_spin() {
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG));
    for micros in [1, 100, 999] {
        let start = Instant::now();
        assert_eq!(server.poll(Some(Duration::from_micros(micros))), []);
        assert!((Duration::from_micros(micros)..PATIENCE).contains(&start.elapsed()), "{micros} µs");
    }
}

#[test]
fn a_spin_finds_what_comes_and_then_sleeps() {
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG).spin(Duration::from_millis(2)));
    let (mut client, id) = server.pair();
    client.write_all(b"x").expect("write");
    server.readable(id);
    server.read_exactly(id, 1);

    let wait = Duration::from_millis(6);
    let start = Instant::now();
    assert_eq!(server.poll(Some(wait)), []);
    assert!((wait..PATIENCE).contains(&start.elapsed()));
}

#[test]
fn t12_time_does_not_go_back() {
    let server = Server::new();
    let mut last = server.manager.now();
    for _ in 0..1000 {
        let now = server.manager.now();
        assert!(now >= last);
        last = now;
    }
    assert!(last - msglib_proto::Instant::ZERO < PATIENCE, "it starts with the manager");
}

#[test]
fn t15_a_wake_from_another_thread_ends_a_waiting_poll() {
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG));
    let waker = server.manager.waker().expect("this poll waits");
    let (wait, waiting) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for () in waiting {
                waker.wake();
            }
        });
        let start = Instant::now();
        for _ in 0..100 {
            wait.send(()).expect("the other thread");
            assert_eq!(server.poll(None), []);
            assert!(start.elapsed() < PATIENCE);
        }
        drop(wait);
    });
}

#[test]
fn t15_a_wake_while_nobody_waits_ends_the_next_poll() {
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG).spin(Duration::from_millis(1)));
    let waker = server.manager.waker().expect("this poll waits");
    let start = Instant::now();
    for _ in 0..3 {
        waker.wake();
        waker.clone().wake();
        assert_eq!(server.poll(None), []);
        assert!(start.elapsed() < PATIENCE);
    }
    drop(server);
    waker.wake();
}

#[test]
fn a_wake_hides_nothing_that_is_ready() {
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG));
    let (mut client, id) = server.pair();
    client.write_all(b"x").expect("write");
    server.manager.waker().expect("a waker").wake();
    server.readable(id);
}

#[test]
fn a_manager_can_be_moved_to_another_thread() {
    let mut server = Server::new();
    let mut client = server.connect();
    std::thread::spawn(move || {
        let (id, _) = server.opened();
        server.write_all(id, b"from there");
    });
    client.read_exact(&mut [0; 10]).expect("read");
}

#[test]
fn seeds_differ() {
    let [mut a, mut b] = [Server::new(), Server::new()];
    let seeds = [a.manager.seed(), a.manager.seed(), b.manager.seed()];
    assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2] && seeds[0] != seeds[2], "{seeds:?}");
    assert!(seeds.iter().all(|seed| seed >> 64 != seed & u128::from(u64::MAX)), "both halves count: {seeds:?}");
}

#[test]
fn a_trait_object_serves_as_well() {
    let server = Server::new();
    let mut client = server.connect();
    let mut manager: Box<dyn ConnectionManager> = Box::new(server.manager);
    client.write_all(b"x").expect("write");
    let (mut reports, start) = (Vec::new(), Instant::now());
    let id = loop {
        assert!(start.elapsed() < PATIENCE, "{reports:?}");
        manager.poll(&mut reports, None).expect("poll");
        if let Some(Readiness::Readable(id)) = reports.last() {
            break *id;
        }
    };
    assert_eq!(manager.read(id, &mut [0; 8]).expect("read"), 1);
    manager.close(id, Close::Abort);
}
