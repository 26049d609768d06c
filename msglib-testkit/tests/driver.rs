//! How a broker drives its connections: woken, stopped, and within its budgets.

use msglib_broker::{
    Broker, BrokerConfig, ConnectionHandler, ConnectionId, Context, CoreConfig, Event, Frame, Handler, Hello, Native,
    Payload, Reject,
};
use msglib_client::{Connection, Session, SessionConfig, publish_to_q, subscribe_with_prefetch};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::{SendQueue, encode};
use msglib_testkit::{Harness, HarnessConfig};
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn a_broker_that_waits_is_stopped_from_another_thread_at_once() {
    let manager =
        EpollSocketManager::builder().listen("[::1]:0".parse().unwrap()).poll_timeout(Duration::from_secs(60)).build();
    let mut broker = Broker::new(ConnectionHandler::new(), manager.unwrap());
    let stop = broker.stopper();
    let started = Instant::now();
    let stopper = std::thread::spawn(move || stop.stop());
    broker.run().unwrap();
    stopper.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(50), "it did not wait for its time-out");
    broker.run().unwrap();
    broker.run_until(|_| panic!("a stopped broker makes no step")).unwrap();
}

/// Seven bytes at a time, one read for each turn, two frames for each turn: under edge triggering nobody reminds the
/// broker of what it has left over.
#[test]
fn what_a_budget_leaves_over_is_not_forgotten() {
    let manager =
        EpollSocketManager::builder().listen("[::1]:0".parse().unwrap()).poll_timeout(Duration::from_millis(1)).build();
    let manager = manager.unwrap();
    let address = manager.local_addr().unwrap();
    let config = BrokerConfig::default()
        .with_read_block(7)
        .with_reads_per_turn(1)
        .with_core(CoreConfig::default().with_frames_per_turn(2).with_high_water(100).with_reserve(100));
    let mut broker = Broker::with_config(ConnectionHandler::new(), manager, Native::default(), config);
    let publisher = std::thread::spawn(move || {
        let connection = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
        for number in 0..500 {
            publish_to_q(&connection, "q", &format!("message {number}")).unwrap();
        }
        connection.close().unwrap();
    });
    let consumer = std::thread::spawn(move || {
        let connection = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
        let mut subscription = subscribe_with_prefetch(&connection, "q", 50).unwrap();
        for number in 0..500 {
            let message = subscription.next().unwrap();
            assert_eq!(message.payload(), format!("message {number}").as_bytes());
            message.ack().unwrap();
        }
        connection.close().unwrap();
    });
    broker.run_until(|_| publisher.is_finished() && consumer.is_finished()).unwrap();
    publisher.join().unwrap();
    consumer.join().unwrap();
    while broker.connections() > 0 {
        broker.process_connections().unwrap();
    }
    let ledger = broker.handler().queue("q").unwrap().ledger;
    assert_eq!((ledger.accepted, ledger.acked), (500, 500));
}

fn hello() -> Hello<'static> {
    Hello {
        min_version: 1,
        max_version: 1,
        features: 0,
        max_payload: 1_024,
        idle_ms: 0,
        name: "",
        mechanism: "",
        credentials: b"",
    }
}

fn bytes_of(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut queue = SendQueue::new();
    for frame in frames {
        encode(frame, &mut queue).expect("it is a frame");
    }
    queue.to_vec()
}

/// What does not fill a block was all that there is.
#[test]
fn a_turn_of_as_many_reads_as_it_may_have_is_counted_and_the_rest_is_read_in_the_next() {
    const BLOCK: usize = 64;
    let read = |bytes: usize| {
        let transport = Transport::new();
        let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
        let config = BrokerConfig::default().with_read_block(BLOCK).with_reads_per_turn(2);
        let mut broker = Broker::with_config(ConnectionHandler::new(), manager, Native::default(), config);
        let mut stream = transport.connect("broker").unwrap();
        stream.write_all(&bytes_of(&[Frame::Hello(hello())])).unwrap();
        while !broker.process_connections().unwrap().is_idle() {}
        let before = broker.counters().bytes_received;
        // The last of them is not whole.
        stream.write_all(&bytes_of(&[Frame::Ping { token: 1 }; 20])[..bytes]).unwrap();
        broker.process_connections().unwrap();
        let in_one = broker.counters().bytes_received - before;
        (in_one as usize, broker.counters().read_turns_cut)
    };
    assert_eq!(read(2 * BLOCK - 1), (2 * BLOCK - 1, 0));
    assert_eq!(read(2 * BLOCK + 1), (2 * BLOCK, 1));
}

#[test]
fn a_shutdown_cuts_off_who_does_not_read_and_says_how_many() {
    let transport = Transport::builder().pipe_capacity(8).build();
    let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let deaf = Connection::new(transport.connect("broker").unwrap());
    while !broker.process_connections().unwrap().is_idle() {}
    let end = broker.shutdown(Duration::from_secs(5)).unwrap();
    assert_eq!((end.orderly, end.aborted), (0, 1), "its WELCOME alone does not fit");
    assert_eq!(broker.connections(), 0);
    let counters = broker.counters();
    assert_eq!((counters.connected, counters.disconnected), (1, 1));
    drop(deaf);

    let late = transport.connect("broker");
    broker.process_connections().unwrap();
    assert_eq!(broker.connections(), 0, "new connections are turned away");
    drop(late);
}

#[test]
fn an_idle_broker_waits_instead_of_spinning() {
    let manager =
        EpollSocketManager::builder().listen("[::1]:0".parse().unwrap()).poll_timeout(Duration::from_millis(5)).build();
    let manager = manager.unwrap();
    let address = manager.local_addr().unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let client = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
    let mut subscription = subscribe_with_prefetch(&client, "q", 5).unwrap();
    // Until the handshake and the link are dealt with.
    let mut idle = 0;
    while idle < 3 {
        idle = if broker.process_connections().unwrap().is_idle() { idle + 1 } else { 0 };
    }
    let started = Instant::now();
    for _ in 0..10 {
        broker.process_connections().unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(40), "ten steps took {:?}", started.elapsed());
    assert!(subscription.try_next().unwrap().is_none());
}

/// In memory the clock stands still, and a peer that has closed its sending side is reported at every poll.
#[test]
fn a_shutdown_in_memory_ends_although_a_peer_neither_reads_nor_leaves() {
    let transport = Transport::new();
    let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let sender = Connection::new(transport.connect("broker").unwrap());
    let stream = transport.connect("broker").unwrap();
    let deaf = Connection::new(stream.clone());
    let subscription = subscribe_with_prefetch(&deaf, "q", 1000).unwrap();
    let large = vec![b'x'; 20_000];
    for _ in 0..16 {
        while publish_to_q(&sender, "q", &large).is_err_and(|error| error.is_would_block()) {
            broker.process_connections().unwrap();
        }
    }
    while sender.flush().is_err() {
        broker.process_connections().unwrap();
    }
    broker.process_connections().unwrap();
    let ledger = broker.handler().queue("q").unwrap().ledger;
    assert!(ledger.in_flight > 10, "more is on its way than the pipe takes: {ledger:?}");
    stream.shutdown_write();
    let end = broker.shutdown(Duration::from_secs(5)).unwrap();
    assert_eq!((end.orderly, end.aborted), (1, 1));
    drop(subscription);
}

/// Over sockets: what was due to a peer that still sends arrives before the broker is gone, the goodbye included.
#[test]
fn an_orderly_shutdown_delivers_what_was_due_to_a_peer_that_is_still_sending() {
    use std::io::{Read, Write};
    let manager =
        EpollSocketManager::builder().listen("[::1]:0".parse().unwrap()).poll_timeout(Duration::from_millis(5)).build();
    let manager = manager.unwrap();
    let address = manager.local_addr().unwrap();
    let core = CoreConfig::default().with_close_timeout(Duration::from_millis(300));
    let config = BrokerConfig::default().with_core(core);
    let mut broker = Broker::with_config(ConnectionHandler::new(), manager, Native::default(), config);
    let stream = msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let connection = Connection::new(stream.try_clone().unwrap());
    publish_to_q(&connection, "q", "x").unwrap();
    broker.run_until(|broker| broker.handler().queue("q").is_some_and(|q| q.ledger.accepted == 1)).unwrap();
    let noise = std::thread::spawn(move || {
        // PINGs as long as the broker takes them.
        let ping = [0, 0, 0, 20, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        while writer.write_all(&ping.repeat(1000)).is_ok() {}
    });
    let mut reader = stream;
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        let end = reader.read_to_end(&mut all);
        (all, end.map_err(|error| error.kind()))
    });
    for _ in 0..20 {
        broker.process_connections().unwrap();
    }
    let end = broker.shutdown(Duration::from_secs(10)).unwrap();
    drop(broker);
    let (all, read) = reading.join().unwrap();
    assert_eq!(end.aborted, 0);
    let goodbye = [0, 0, 0, 14, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(all.ends_with(&goodbye), "{} bytes, then {read:?}", all.len());
    noise.join().unwrap();
    std::mem::forget(connection); // its goodbye would only be in the way
}

/// One thread that publishes large messages to the queue that it consumes from, on one blocking connection.
#[test]
fn publishing_and_consuming_on_one_blocking_connection_does_not_lock_up() {
    let manager =
        EpollSocketManager::builder().listen("[::1]:0".parse().unwrap()).poll_timeout(Duration::from_millis(5)).build();
    let manager = manager.unwrap();
    let address = manager.local_addr().unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let client = std::thread::spawn(move || {
        let connection = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
        let mut subscription = subscribe_with_prefetch(&connection, "q", 1000).unwrap();
        let large = vec![b'x'; 1_000_000];
        for _ in 0..30 {
            publish_to_q(&connection, "q", &large).unwrap();
        }
        for _ in 0..30 {
            subscription.next().unwrap().ack().unwrap();
        }
        connection.close().unwrap();
    });
    broker.run_until(|_| client.is_finished()).unwrap();
    client.join().unwrap();
    assert_eq!(broker.handler().queue("q").unwrap().ledger.acked, 30);
}

#[test]
fn a_shutdown_lasts_no_longer_than_it_may_and_counts_who_was_cut_off() {
    let manager =
        EpollSocketManager::builder().listen("[::1]:0".parse().unwrap()).poll_timeout(Duration::from_secs(60)).build();
    let manager = manager.unwrap();
    let address = manager.local_addr().unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let deaf = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
    let subscription = subscribe_with_prefetch(&deaf, "q", 10).unwrap();
    let sender = std::thread::spawn(move || {
        let connection = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
        publish_to_q(&connection, "q", &vec![b'x'; 15_000_000]).unwrap();
        connection.close().unwrap();
    });
    broker.run_until(|broker| broker.handler().queue("q").is_some_and(|q| q.ledger.in_flight == 1)).unwrap();
    let started = Instant::now();
    let end = broker.shutdown(Duration::from_millis(200)).unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "it took {:?}", started.elapsed());
    assert_eq!(end.aborted, 1);
    sender.join().unwrap();
    drop(subscription);
}

/// Has something to say to the last one who connected, in every step.
#[derive(Default)]
struct Talker(Option<ConnectionId>);

impl Handler for Talker {
    fn handle(&mut self, _: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        if let Event::Frame { from, .. } = event {
            self.0 = Some(from);
        }
        Ok(())
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        let body = Payload::from("are you there?");
        while self.0.is_some_and(|id| cx.send(id, Frame::User { kind: 0x8000, flags: 0, link: 0, body }).is_ok()) {}
    }
}

/// The driver says that the transport took nothing, also where it has never taken anything.
#[test]
fn a_peer_that_takes_nothing_is_cut_off_in_time_over_a_transport() {
    let core = CoreConfig::default().with_write_timeout(Duration::from_secs(8));
    let config = HarnessConfig::default().with_pipe_capacity(100).with_broker(BrokerConfig::default().with_core(core));
    let mut harness = Harness::with_config(Talker::default(), config);
    let silent = harness.connect();
    harness.settle();
    for _ in 0..3 {
        harness.advance(Duration::from_secs(2));
        harness.settle();
    }
    assert_eq!(harness.broker().counters().write_timeouts, 0);
    harness.advance(Duration::from_secs(2));
    harness.settle();
    assert_eq!(harness.broker().counters().write_timeouts, 1);
    harness.advance(Duration::from_secs(5));
    harness.settle();
    assert_eq!(harness.broker().connections(), 0);
    drop(silent);
}

/// Clients that say goodbye and stay: each holds a descriptor until its drain is given up.
#[test]
fn no_more_connections_drain_in_the_transport_than_may_be_closing() {
    let manager = EpollSocketManager::bind("[::1]:0").unwrap();
    let address = manager.local_addr().unwrap();
    let config = BrokerConfig::default().with_core(CoreConfig::default().with_max_closing(2));
    let mut broker = Broker::with_config(ConnectionHandler::new(), manager, Native::default(), config);
    let mut words = Session::new(&SessionConfig::default()).unwrap();
    words.goodbye().unwrap();
    let stay = || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(&words.pending().to_vec()).unwrap();
        stream
    };
    let _staying = [stay(), stay()];
    broker.run_until(|broker| broker.counters().disconnected == 2).unwrap();
    assert_eq!((broker.connection_manager().stats().draining, broker.counters().closings_cut), (2, 0));
    let _one_more = stay();
    broker.run_until(|broker| broker.counters().disconnected == 3).unwrap();
    assert_eq!((broker.connection_manager().stats().draining, broker.counters().closings_cut), (2, 1));
}

/// As long as it moved something, a step was no idle one; that a handler asks again for room that is not there moves nothing.
#[test]
fn a_handler_that_tries_again_in_each_step_does_not_keep_a_broker_from_rest() {
    let config = HarnessConfig::default().with_pipe_capacity(100);
    let mut harness = Harness::with_config(Talker::default(), config);
    let silent = harness.connect();
    harness.settle();
    assert!(harness.broker().counters().full > 0, "there was no room");
    drop(silent);
}
