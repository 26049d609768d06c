//! Rule T8.

use crate::server::{PATIENCE, Server, TOO_LONG, pattern};
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

fn drain(server: &mut Server, id: ConnectionId, patience: Duration) {
    let deadline = server.manager.now() + patience;
    server.manager.close(id, Close::Drain { deadline });
}

/// Closing a socket with unread input would reset the connection, and lose most of it.
#[test]
fn t08_a_drain_delivers_megabytes_though_input_is_unread() {
    const LENGTH: usize = 8 << 20;
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    client.write_all(&[1; 50_000]).expect("what the broker will not read");
    let sent = pattern(LENGTH);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let (mut received, mut piece) = (Vec::new(), [0; 4096]);
            loop {
                match client.read(&mut piece).expect("read") {
                    0 => return received,
                    n => received.extend_from_slice(&piece[..n]),
                }
                // And it goes on to talk, into the drain.
                if received.len() % 7 == 0 {
                    client.write_all(&piece).expect("write");
                }
            }
        });
        server.write_all(id, &sent);
        drain(&mut server, id, PATIENCE);
        assert_eq!((server.manager.stats().open, server.manager.stats().draining), (0, 1));
        server.run_until("the drain is over", |manager| manager.stats().draining == 0);
        assert!(reader.join().expect("the reader") == sent, "the bytes differ");
    });
    assert_eq!(server.manager.stats().drain_timeouts, 0);
}

#[test]
fn t08_a_drain_gives_up_at_its_deadline() {
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG));
    let (mut client, id) = server.pair();
    let filled = server.fill(id);
    let patience = Duration::from_millis(20);
    let start = Instant::now();
    drain(&mut server, id, patience);
    server.run_until("the drain is given up", |manager| manager.stats().draining == 0);
    assert!((patience..PATIENCE).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(server.manager.stats().drain_timeouts, 1);

    let mut received = Vec::new();
    let error = client.read_to_end(&mut received).expect_err("the connection was reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(received.len() < filled, "what had not arrived is lost");
}

#[test]
fn t08_a_drain_ends_with_the_peer_that_will_not_stop_sending() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    let flood = std::thread::spawn(move || while client.write_all(&[0; 65536]).is_ok() {});
    server.readable(id);
    drain(&mut server, id, Duration::from_millis(30));
    let (mut witness, other) = server.pair();
    witness.write_all(b"hello").expect("write");
    assert_eq!(server.read_exactly(other, 5), b"hello", "others are served meanwhile");
    server.run_until("the drain is given up", |manager| manager.stats().draining == 0);
    assert_eq!(server.manager.stats().drain_timeouts, 1);
    flood.join().expect("the flood ends with a reset");
}

/// A byte and an end of each of eighty peers are two reads each, and one poll makes sixty-four.
#[test]
fn t08_one_poll_throws_away_a_bounded_amount() {
    let mut server = Server::new();
    let (clients, ids): (Vec<_>, Vec<_>) = (0..80).map(|_| server.pair()).unzip();
    for mut client in clients {
        client.write_all(b"x").expect("write");
        client.shutdown_write().expect("half-close");
    }
    ids.into_iter().for_each(|id| drain(&mut server, id, PATIENCE));
    let mut left = [0; 3];
    for left in &mut left {
        server.poll(Some(Duration::ZERO));
        *left = server.manager.stats().draining;
    }
    assert_eq!(left, [80, 32, 0], "in turns: the first byte of all, then the ends");
}

/// When the manager has let go of a socket the system goes on with what was accepted, and must not do so for ever either.
#[test]
fn t08_the_system_gives_up_at_the_deadline_too() {
    let mut server = Server::new();
    let listener = std::net::TcpListener::bind("[::1]:0").expect("[::1]");
    let made = std::net::TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let clone = made.try_clone().expect("a clone");
    let id = server.manager.adopt_stream(made).expect("adopt");
    drain(&mut server, id, PATIENCE);
    let limit = SockRef::from(&clone).tcp_user_timeout().expect("an option of every TCP socket");
    assert!(limit.is_some_and(|limit| limit > PATIENCE / 2 && limit <= PATIENCE), "{limit:?}");
}

#[test]
fn t08_an_abort_resets() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    server.fill(id);
    server.manager.close(id, Close::Abort);
    assert_eq!(server.manager.stats().open, 0);
    let error = client.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn t08_an_abort_overrides_a_drain() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    server.fill(id);
    drain(&mut server, id, TOO_LONG);
    assert_eq!(server.manager.stats().draining, 1);
    server.manager.close(id, Close::Abort);
    assert_eq!(server.manager.stats().draining, 0);
    assert_eq!(server.manager.stats().drain_timeouts, 0);
    let error = client.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn t08_closing_twice_is_harmless_and_nothing_is_reported_afterwards() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    client.write_all(b"too late").expect("write");
    drain(&mut server, id, PATIENCE);
    drain(&mut server, id, TOO_LONG);
    assert_eq!(server.read_error(id), ErrorKind::NotFound);
    assert_eq!(server.manager.write(id, &[]).expect_err("closed").kind(), ErrorKind::NotFound);

    assert_eq!(client.read(&mut [0; 8]).expect("the end"), 0);
    drop(client);
    let start = Instant::now();
    while server.manager.stats().draining > 0 {
        assert!(start.elapsed() < PATIENCE, "the drain ends with the peer");
        assert_eq!(server.poll(None), []);
    }
    server.manager.close(id, Close::Abort);
    server.manager.close(id, Close::Abort);
    drain(&mut server, id, PATIENCE);
    assert_eq!(server.poll(Some(Duration::ZERO)), []);
}

#[test]
fn t08_a_drain_whose_deadline_is_over_ends_with_the_next_poll() {
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG));
    let (_client, id) = server.pair();
    drain(&mut server, id, Duration::ZERO);
    assert_eq!(server.manager.stats().draining, 1);
    let start = Instant::now();
    assert_eq!(server.poll(None), []);
    assert_eq!(server.manager.stats().draining, 0);
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn dropping_the_manager_closes_everything() {
    let mut server = Server::new();
    let (mut open, _) = server.pair();
    let (mut draining, id) = server.pair();
    drain(&mut server, id, TOO_LONG);
    let mut waiting = server.connect();
    let address = server.address();
    drop(server);
    assert_eq!(open.read(&mut [0; 8]).expect("the end"), 0);
    assert_eq!(draining.read(&mut [0; 8]).expect("the end"), 0);
    assert!(!matches!(waiting.read(&mut [0; 8]), Ok(1..)), "nobody has accepted it");
    std::net::TcpListener::bind(address).expect("the port is free");
}

#[test]
fn dropping_the_manager_cuts_a_drain_short_and_not_off() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    client.write_all(&[1; 50_000]).expect("what the broker will not read");
    let filled = server.fill(id);
    drain(&mut server, id, PATIENCE);
    drop(server);
    let mut received = Vec::new();
    client.read_to_end(&mut received).expect("no reset");
    assert_eq!(received.len(), filled);
}
