//! Rules T1 to T5, and the ends of connections as a reader sees them.

use crate::server::{PATIENCE, Server, TOO_LONG};
use msglib_io_epoll::EpollSocketManager;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness};
use socket2::SockRef;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

#[test]
fn t01_opened_is_reported_first_and_once() {
    const CLIENTS: usize = 40;
    let mut server = Server::new();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write_all(b"at once").expect("write");
    }
    let mut reports: BTreeMap<ConnectionId, Vec<Readiness>> = BTreeMap::new();
    let start = Instant::now();
    while reports.len() < CLIENTS || reports.values().any(|of_one| of_one.len() < 2) {
        assert!(start.elapsed() < PATIENCE, "missing reports: {reports:?}");
        for report in server.poll(None) {
            reports.entry(report.id()).or_default().push(report);
        }
    }
    for (id, of_one) in reports {
        assert!(matches!(of_one[0], Readiness::Opened(..)), "{id}: {of_one:?}");
        let opened = of_one.iter().filter(|report| matches!(report, Readiness::Opened(..))).count();
        assert_eq!(opened, 1, "{id}: {of_one:?}");
    }
}

#[test]
fn t02_an_id_does_not_come_back_though_its_slot_does() {
    let mut server = Server::new();
    let mut ids = BTreeSet::new();
    for _ in 0..50 {
        let (_client, id) = server.pair();
        assert!(ids.insert(id), "{id} came back");
        server.manager.close(id, Close::Abort);
    }
    assert!(ids.iter().all(|id| id.index() < 2), "slots are taken again: {ids:?}");
    let (_client, _) = server.pair();
    for id in ids {
        assert_eq!(server.read_error(id), ErrorKind::NotFound, "{id} found somebody");
    }
}

/// A descriptor that somebody else still holds is not forgotten by the kernel when the manager closes its own.
#[test]
fn t02_events_of_a_closed_connection_do_not_reach_the_next_user_of_its_slot() {
    let listener = TcpListener::bind("[::1]:0").expect("[::1]");
    let mut manager = EpollSocketManager::builder().build().expect("a manager without listeners");
    let adopt = |manager: &mut EpollSocketManager| {
        let far = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (near, _) = listener.accept().expect("accept");
        let clone = near.try_clone().expect("clone");
        (far, clone, manager.adopt_stream(near).expect("adopt"))
    };
    let (mut far, _clone, first) = adopt(&mut manager);
    manager.poll(&mut Vec::new(), Some(Duration::ZERO)).expect("poll");
    manager.close(first, Close::Abort);
    far.write_all(b"for the first").expect("write");
    let (start, wait) = (Instant::now(), Duration::from_millis(20));
    manager.poll(&mut Vec::new(), Some(wait)).expect("poll");
    assert!(start.elapsed() >= wait, "the closed connection ended the wait");
    let (_far, _clone, second) = adopt(&mut manager);
    far.write_all(b"for the first").expect("write");
    assert_eq!((second.index(), second.generation()), (first.index(), first.generation() + 1));

    let mut reports = Vec::new();
    for _ in 0..3 {
        manager.poll(&mut reports, Some(Duration::ZERO)).expect("poll");
    }
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(matches!(&reports[0], Readiness::Opened(id, _) if *id == second), "{reports:?}");
}

#[test]
fn t03_data_is_reported() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    for round in 0..20u8 {
        client.write_all(&[round; 100]).expect("write");
        server.readable(id);
        assert_eq!(server.read_exactly(id, 100), [round; 100]);
    }
}

#[test]
fn t04_the_end_sticks_and_an_empty_buffer_is_not_the_end() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    client.write_all(b"x").expect("write");
    server.readable(id);
    assert_eq!(server.manager.read(id, &mut []).expect("nothing into nothing"), 0);
    assert_eq!(server.read_exactly(id, 1), b"x");
    assert_eq!(server.read_error(id), ErrorKind::WouldBlock, "not the end");

    client.shutdown_write().expect("shutdown");
    server.readable(id);
    for _ in 0..3 {
        assert_eq!(server.manager.read(id, &mut [0; 8]).expect("the end"), 0);
    }
}

#[test]
fn t05_new_data_is_reported_after_would_block_and_after_a_short_read() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    assert_eq!(server.read_error(id), ErrorKind::WouldBlock);
    for _ in 0..20 {
        client.write_all(b"abc").expect("write");
        server.readable(id);
        let n = server.manager.read(id, &mut [0; 1000]).expect("a short read");
        assert_eq!(n, 3);
    }
}

/// Data and end are there before the first poll, so that they share one edge.
#[test]
fn t05_data_and_end_in_one_edge() {
    // With a buffer that is filled exactly, one that is filled twice, and one that is not filled.
    for size in [6, 3, 4096] {
        const CLIENTS: usize = 200;
        let mut server = Server::new();
        for _ in 0..CLIENTS {
            server.connect().write_all(b"goodby").expect("write");
        }
        let mut received: BTreeMap<ConnectionId, usize> = BTreeMap::new();
        for _ in 0..CLIENTS {
            // One read for each report and no more: all else has to be reported again.
            let mut buf = vec![0; size];
            loop {
                let id = server.wait_for("an end", |report| match report {
                    Readiness::Readable(id) => Some(*id),
                    _ => None,
                });
                match server.manager.read(id, &mut buf) {
                    Ok(0) => {
                        server.manager.close(id, Close::Abort);
                        break;
                    }
                    Ok(n) => *received.entry(id).or_default() += n,
                    Err(e) => assert!(matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::NotFound), "{e}"),
                }
            }
        }
        assert_eq!(received.len(), CLIENTS, "buffer of {size}");
        assert!(received.values().all(|&n| n == 6), "buffer of {size}: {received:?}");
        assert_eq!(server.manager.stats().open, 0);
    }
}

#[test]
fn t05_a_known_end_is_reported_without_delay_to_who_has_read_up_to_it() {
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG));
    server.connect().write_all(b"goodby").expect("write");
    let (id, _) = server.opened();
    server.readable(id);
    let start = Instant::now();
    assert_eq!(server.read_exactly(id, 6), b"goodby");
    server.readable(id);
    assert_eq!(server.manager.read(id, &mut [0; 8]).expect("the end"), 0);
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn t05_an_end_that_was_returned_is_not_reported_again() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    let filled = server.fill(id);
    client.shutdown_write().expect("shutdown");
    server.readable(id);
    assert_eq!(server.manager.read(id, &mut [0; 8]).expect("the end"), 0);
    client.read_exact(&mut vec![0; filled]).expect("read");
    // The edge that tells of room bears the end too.
    server.wait_for("room", |report| {
        assert_ne!(*report, Readiness::Readable(id));
        (*report == Readiness::Writable(id)).then_some(())
    });
}

/// A broker may leave input unread (backpressure); a known end is then told at each poll, but must not make it spin.
#[test]
fn t05_an_end_that_nobody_reads_is_reported_and_does_not_spin() {
    let wait = Duration::from_millis(20);
    let mut server = Server::with(|builder| builder.poll_timeout(wait));
    let (mut client, id) = server.pair();
    client.write_all(b"unread").expect("write");
    client.shutdown_write().expect("shutdown");
    server.readable(id);
    // The edges of the data and of the end may be two.
    server.poll(None);
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(server.poll(None), [Readiness::Readable(id)]);
        assert!(start.elapsed() >= wait, "after {:?}", start.elapsed());
    }
    server.read_exactly(id, 6);
    server.readable(id);
    assert_eq!(server.manager.read(id, &mut [0; 8]).expect("the end"), 0);
    assert_eq!(server.poll(None), [], "no longer");
}

#[test]
fn t10_t14_a_reset_ends_one_connection_and_no_other() {
    let mut server = Server::new();
    let (mut witness, other) = server.pair();
    let victim = TcpStream::connect(server.address()).expect("connect");
    let (id, _) = server.opened();
    SockRef::from(&victim).set_linger(Some(Duration::ZERO)).expect("linger");
    drop(victim);

    server.readable(id);
    assert_eq!(server.read_error(id), ErrorKind::ConnectionReset);
    assert_eq!(server.read_error(id), ErrorKind::NotFound, "over for good");
    assert_eq!(server.manager.write(id, &[]).expect_err("over for good").kind(), ErrorKind::NotFound);
    server.manager.close(id, Close::Abort);
    assert_eq!(server.manager.stats().open, 1);

    witness.write_all(b"still here").expect("write");
    assert_eq!(server.read_exactly(other, 10), b"still here");
}

#[test]
fn t14_an_id_of_nobody_is_not_found_and_named() {
    let mut server = Server::new();
    let nobody = ConnectionId::new(7, 3);
    let error = server.manager.read(nobody, &mut [0; 8]).expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "connection c7.3 is closed, or is not one of this manager");
    assert_eq!(server.manager.write(nobody, &[]).expect_err("nobody").kind(), ErrorKind::NotFound);
    server.manager.close(nobody, Close::Abort);
    server.manager.close(nobody, Close::Drain { deadline: server.manager.now() });
}

#[test]
fn an_adopted_stream_that_has_ended_is_reported_like_any_other() {
    let listener = TcpListener::bind("[::1]:0").expect("[::1]");
    let mut far = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    far.write_all(b"last words").expect("write");
    far.shutdown(Shutdown::Both).expect("shutdown");

    let mut server = Server::over(EpollSocketManager::builder().build().expect("a manager"));
    let id = server.manager.adopt_stream(listener.accept().expect("accept").0).expect("adopt");
    let (opened, peer) = server.opened();
    assert_eq!((opened, peer.to_string()), (id, far.local_addr().expect("address").to_string()));
    assert_eq!(server.read_exactly(id, 10), b"last words");
    server.readable(id);
    assert_eq!(server.manager.read(id, &mut [0; 8]).expect("the end"), 0);
}

/// Whatever it was like where it was made, no call on it waits.
#[test]
fn an_adopted_stream_is_made_non_blocking() {
    let mut server = Server::new();
    let listener = TcpListener::bind("[::1]:0").expect("[::1]");
    let made = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let clone = made.try_clone().expect("a clone");
    server.manager.adopt_stream(made).expect("adopt");
    assert!(SockRef::from(&clone).nonblocking().expect("a flag of every socket"));
}
