//! A broker that goes away: nothing new begins, what is in flight can be settled, and what was not possible is told (PROTOCOL §18).

#![allow(clippy::unwrap_used, reason = "tests")]

use msglib_broker::{Broker, ConnectionHandler, ErrorCode};
use msglib_client::{Connection, Error, Session, SessionConfig, Subscription, publish_to_q, subscribe_with_prefetch};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{ConnectError, InMemoryConnectionManager, Transport};
use msglib_proto::transport::CompositeConnectionManager;
use msglib_proto::{ChannelKind, ChannelName, Feature};
use msglib_testkit::Harness;
use std::io::{ErrorKind, Read};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// Three messages, of which the consumer has taken two, into its hands or its buffer.
fn two_of_three() -> (Harness<ConnectionHandler>, Connection, Connection, Subscription) {
    let mut harness = Harness::new(ConnectionHandler::new());
    let (publisher, consumer) = (harness.connect(), harness.connect());
    let subscription = subscribe_with_prefetch(&consumer, "q", 2).unwrap();
    for payload in ["one", "two", "three"] {
        publish_to_q(&publisher, "q", payload).unwrap();
    }
    harness.settle();
    (harness, publisher, consumer, subscription)
}

#[test]
fn peers_are_told_nothing_new_is_delivered_and_what_is_in_flight_is_settled() {
    let (mut harness, _publisher, consumer, mut subscription) = two_of_three();
    harness.broker_mut().begin_drain(LONG);
    let one = harness.step_until_message(&mut subscription);
    one.ack().unwrap();
    let two = harness.step_until_message(&mut subscription);
    two.ack().unwrap();
    consumer.flush().unwrap();
    harness.settle();
    let ledger = harness.handler().queue("q").unwrap().ledger;
    assert_eq!(
        (ledger.acked, ledger.in_flight, ledger.ready),
        (2, 0, 1),
        "there is credit for the third, and it stays"
    );
    assert!(subscription.next().is_err_and(|error| error.is_would_block()));
    assert_eq!(consumer.going_away(), Some(LONG));
    let drained = harness.broker_mut().drain(LONG).unwrap();
    assert_eq!((drained.connections, drained.unsettled), (2, 0));
    let end = harness.broker_mut().shutdown(LONG).unwrap();
    assert_eq!((end.orderly, end.aborted), (2, 0));
}

#[test]
fn what_nobody_settles_in_time_is_told_and_goes_back() {
    let (mut harness, _publisher, consumer, subscription) = two_of_three();
    // The clock stands still, so the drain ends when nothing happens any more.
    let drained = harness.broker_mut().drain(LONG).unwrap();
    assert_eq!((drained.connections, drained.unsettled), (2, 2));
    harness.broker_mut().shutdown(LONG).unwrap();
    let ledger = harness.handler().queue("q").unwrap().ledger;
    assert_eq!((ledger.in_flight, ledger.ready), (0, 3));
    drop((consumer, subscription));
}

#[test]
fn publishes_are_refused_and_new_peers_turned_away() {
    let (mut harness, publisher, _consumer, _subscription) = two_of_three();
    harness.broker_mut().begin_drain(LONG);
    // Connected before the step that closes the door, so it is opened, and told.
    let newcomer = harness.connect();
    let confirmation = publisher.publish_to_q_confirmed("q", "late").unwrap();
    let refusal = harness.step_until_done("a refusal", || confirmation.wait()).unwrap_err();
    assert_eq!(refusal.code(), Some(ErrorCode::SHUTTING_DOWN), "{refusal}");

    let error = harness.step_until_done("an end", || newcomer.welcome()).unwrap_err();
    assert!(matches!(error, Error::FailedByBroker { code: ErrorCode::SHUTTING_DOWN, .. }), "{error}");
    assert_eq!(harness.broker().load().connections, 2);
    let transcript = harness.transcript().to_string();
    assert!(transcript.contains("GoingAway { deadline_ms: 60000 }"), "frames of features are shown too:\n{transcript}");
}

/// A drain begins with the door, on every transport that has one: later comers are refused, and do not wait for a broker that goes.
#[test]
fn nobody_can_connect_to_a_broker_that_drains() {
    let transport = Transport::new();
    let memory = InMemoryConnectionManager::new(&transport, "b").unwrap();
    let path = std::env::temp_dir().join(format!("msglib-drain-{}.sock", std::process::id()));
    let sockets = EpollSocketManager::builder().listen("[::1]:0".parse().unwrap()).listen_unix(&path, 0o600);
    let sockets = sockets.poll_timeout(Duration::from_secs(20)).build().unwrap();
    let address = sockets.local_addr().unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), CompositeConnectionManager::new((memory, sockets)));

    let connection = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
    publish_to_q(&connection, "q", "one").unwrap();
    broker.run_until(|broker| broker.counters().frames_received > 2).unwrap();
    // Its step would wait for long if it were not woken.
    broker.begin_drain(LONG);
    broker.process_connections().unwrap();
    assert!(matches!(transport.connect("b"), Err(ConnectError::Refused { .. })));
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(!path.exists(), "the path is unlinked");

    // Who was there goes on.
    let received = broker.counters().frames_received;
    let two = connection.publish_to_q_confirmed("q", "two").unwrap();
    broker.run_until(|broker| broker.counters().frames_received > received).unwrap();
    assert_eq!(two.wait().unwrap_err().code(), Some(ErrorCode::SHUTTING_DOWN));
    assert_eq!(connection.going_away(), Some(LONG));
}

/// A shutdown without a drain closes the door as well.
#[test]
fn nobody_can_connect_to_a_broker_that_shuts_down() {
    let transport = Transport::new();
    let mut broker = Broker::new(ConnectionHandler::new(), InMemoryConnectionManager::new(&transport, "b").unwrap());
    broker.shutdown(LONG).unwrap();
    assert!(matches!(transport.connect("b"), Err(ConnectError::Refused { .. })));
    // The endpoint is another manager's now, and stays that when the first one goes.
    let second = InMemoryConnectionManager::new(&transport, "b").unwrap();
    drop(broker);
    transport.connect("b").unwrap();
    drop(second);
}

/// A client that does not know of going away hears nothing of it, and one in the middle of its handshake is told behind its WELCOME.
#[test]
fn who_is_greeted_while_the_broker_goes_away_is_told_if_it_can_be() {
    for (features, told) in [(0, false), (Feature::Drain.bit(), true)] {
        let mut harness = Harness::new(ConnectionHandler::new());
        let mut raw = harness.connect_raw();
        harness.settle();
        harness.broker_mut().begin_drain(LONG);
        let config = SessionConfig { features, ..SessionConfig::default() };
        let mut session = Session::new(&config).unwrap();
        let name = ChannelName::bytes(b"q").unwrap();
        session.open(ChannelKind::QUEUE, name, false, true).unwrap();
        let hello = session.pending().to_vec();
        std::io::Write::write_all(&mut raw, &hello).unwrap();
        harness.settle();
        let mut bytes = vec![0; 10_000];
        let count = raw.read(&mut bytes).unwrap();
        let mut events = Vec::new();
        session.handle_input(&bytes[..count], &mut events).unwrap();
        let heard = events.iter().any(|event| matches!(event, msglib_client::Event::GoingAway { deadline_ms: 60_000 }));
        assert_eq!(heard, told, "{events:?}");
    }
}

/// Over sockets the broker waits for those who settle, as long as it takes, and no longer.
#[test]
fn over_sockets_a_drain_waits_for_who_settles() {
    let manager = EpollSocketManager::bind("[::1]:0").unwrap();
    let address = manager.local_addr().unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let client = std::thread::spawn(move || {
        let connection = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
        for payload in ["one", "two", "three"] {
            publish_to_q(&connection, "q", payload).unwrap();
        }
        let mut subscription = subscribe_with_prefetch(&connection, "q", 1).unwrap();
        let one = subscription.next().unwrap();
        while connection.going_away().is_none() {
            // Until its word is read; nothing else comes.
            connection.ping().unwrap();
            assert!(subscription.try_next().unwrap().is_none());
        }
        one.ack().unwrap();
        connection.flush().unwrap();
        // The goodbye of the broker's shutdown.
        assert!(subscription.next().is_err_and(|error| matches!(error, Error::ClosedByBroker { .. })));
    });
    broker.run_until(|broker| broker.handler().queue("q").is_some_and(|queue| queue.ledger.in_flight == 1)).unwrap();
    let drained = broker.drain(Duration::from_secs(20)).unwrap();
    assert_eq!((drained.connections, drained.unsettled), (1, 0));
    let end = broker.shutdown(Duration::from_secs(20)).unwrap();
    assert_eq!((end.orderly, end.aborted), (1, 0));
    client.join().unwrap();
    let ledger = broker.handler().queue("q").unwrap().ledger;
    assert_eq!((ledger.acked, ledger.ready), (1, 2));
}

#[test]
fn over_sockets_a_drain_ends_at_its_deadline() {
    let manager = EpollSocketManager::bind("[::1]:0").unwrap();
    let address = manager.local_addr().unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let connection = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
    publish_to_q(&connection, "q", "one").unwrap();
    let _subscription = subscribe_with_prefetch(&connection, "q", 1).unwrap();
    broker.run_until(|broker| broker.handler().queue("q").is_some_and(|queue| queue.ledger.in_flight == 1)).unwrap();
    let began = std::time::Instant::now();
    let drained = broker.drain(Duration::from_millis(50)).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(50));
    assert_eq!((drained.connections, drained.unsettled), (1, 1));
}

/// Without a word, but not without an end: nobody waits for a broker that is no more.
#[test]
fn a_broker_that_is_dropped_closes_every_connection() {
    let transport = Transport::new();
    let mut in_memory = Broker::new(ConnectionHandler::new(), InMemoryConnectionManager::new(&transport, "b").unwrap());
    let manager = EpollSocketManager::bind("[::1]:0").unwrap();
    let address = manager.local_addr().unwrap();
    let mut on_sockets = Broker::new(ConnectionHandler::new(), manager);

    let near = Connection::new(transport.connect("b").unwrap());
    let far = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
    in_memory.run_until(|_| near.welcome().is_ok()).unwrap();
    on_sockets.run_until(|broker| broker.counters().frames_received > 0).unwrap();
    far.welcome().unwrap();
    drop((in_memory, on_sockets));
    for connection in [near, far] {
        let mut subscription = match subscribe_with_prefetch(&connection, "q", 1) {
            Ok(subscription) => subscription,
            // Noticed while it was written.
            Err(_) => continue,
        };
        let error = subscription.next().unwrap_err();
        assert!(!error.is_would_block(), "{error}");
    }
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}
