//! The host program of a broker as its client: over memory, beside sockets, with the rights of everyone else.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use msglib_broker::{Broker, ConnectionHandler, QueueConfig, StockConfig};
use msglib_client::{Connection, publish_to_q, publish_to_q_confirmed, subscribe_with_prefetch};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::transport::CompositeConnectionManager;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// A wait that nobody ends takes longer than any test may.
const FOR_EVER: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(20);

type Both = CompositeConnectionManager<(InMemoryConnectionManager, EpollSocketManager)>;

struct World {
    inside: Transport,
    address: SocketAddr,
    broker: Broker<ConnectionHandler, Both>,
}

impl World {
    fn new(handler: ConnectionHandler) -> World {
        let inside = Transport::new();
        let memory = InMemoryConnectionManager::new(&inside, "broker").unwrap();
        let sockets = EpollSocketManager::builder().listen("[::1]:0".parse().unwrap()).poll_timeout(FOR_EVER);
        let sockets = sockets.build().unwrap();
        let address = sockets.local_addr().unwrap();
        let manager = CompositeConnectionManager::new((memory, sockets)).with_longest_wait(FOR_EVER);
        World { inside, address, broker: Broker::new(handler, manager) }
    }

    /// For the broker's own thread.
    fn own(&self) -> Connection {
        Connection::builder().non_blocking(true).build(self.inside.connect("broker").unwrap()).unwrap()
    }

    /// For another thread of the program.
    fn inside(&self) -> Connection {
        let stream = self.inside.connect("broker").unwrap();
        stream.set_blocking(true);
        Connection::from_halves(stream.clone(), stream)
    }

    fn remote(&self) -> Connection {
        Connection::new(msglib_io_epoll::connect(self.address, SOON).unwrap())
    }

    /// Steps of the broker until the call has succeeded.
    fn until<T>(&mut self, mut call: impl FnMut() -> Result<T, msglib_client::Error>) -> T {
        loop {
            match call() {
                Err(error) if error.is_would_block() => self.broker.process_connections().map(drop).unwrap(),
                result => return result.unwrap(),
            }
        }
    }
}

#[test]
fn the_brokers_thread_and_a_remote_client_exchange_messages() {
    let mut world = World::new(ConnectionHandler::new());
    let (own, remote) = (world.own(), world.remote());
    let remote = thread::spawn(move || {
        let mut questions = subscribe_with_prefetch(&remote, "questions", 1).unwrap();
        let question = questions.next().unwrap();
        publish_to_q_confirmed(&remote, "answers", question.payload()).unwrap().wait().unwrap();
        question.ack().unwrap();
        remote.close().unwrap();
    });
    let mut answers = subscribe_with_prefetch(&own, "answers", 1).unwrap();
    let confirmation = publish_to_q_confirmed(&own, "questions", "and now?").unwrap();
    world.until(|| confirmation.wait());
    let answer = world.until(|| answers.next());
    assert_eq!(answer.payload(), b"and now?");
    answer.ack().unwrap();
    world.until(|| own.close());
    world.broker.run_until(|broker| broker.connections() == 0).unwrap();
    remote.join().unwrap();
    let counters = world.broker.counters();
    assert_eq!((counters.connected, counters.protocol_errors), (2, 0));
}

/// The broker sleeps in the wait for its sockets; a message that comes over memory ends that, in both directions.
#[test]
fn other_threads_wake_a_broker_that_waits_for_its_sockets() {
    let mut world = World::new(ConnectionHandler::new());
    let (ping, pong, remote) = (world.inside(), world.inside(), world.remote());
    let started = Instant::now();
    let echo = thread::spawn(move || {
        let mut pings = subscribe_with_prefetch(&ping, "ping", 1).unwrap();
        for _ in 0..200 {
            let message = pings.next().unwrap();
            publish_to_q(&ping, "pong", message.payload()).unwrap();
            message.ack().unwrap();
        }
        ping.close().unwrap();
    });
    let caller = thread::spawn(move || {
        let mut pongs = subscribe_with_prefetch(&pong, "pong", 1).unwrap();
        for round in 0..200u32 {
            publish_to_q(&pong, "ping", &round.to_be_bytes()).unwrap();
            let message = pongs.next().unwrap();
            assert_eq!(message.payload(), round.to_be_bytes());
            message.ack().unwrap();
        }
        publish_to_q(&pong, "over", "and out").unwrap();
        pong.close().unwrap();
    });
    let over = thread::spawn(move || {
        let mut over = subscribe_with_prefetch(&remote, "over", 1).unwrap();
        over.next().unwrap().ack().unwrap();
        remote.close().unwrap();
    });
    world.broker.run_until(|broker| broker.counters().connected == 3 && broker.connections() == 0).unwrap();
    for client in [echo, caller, over] {
        client.join().unwrap();
    }
    assert!(started.elapsed() < SOON, "somebody waited for a time-out: {:?}", started.elapsed());
}

#[test]
fn it_is_refused_what_others_are_refused() {
    let small = StockConfig::default().with_queue(QueueConfig::default().with_max_messages(1));
    let mut world = World::new(ConnectionHandler::with_config(small));
    let own = world.own();
    for text in ["one", "two"] {
        publish_to_q(&own, "small", text).unwrap();
    }
    world.until(|| own.ping());
    let refusals = own.take_refusals();
    assert_eq!(refusals.list.len(), 1, "{refusals:?}");
}

#[test]
fn a_shutdown_says_goodbye_to_both_kinds() {
    let mut world = World::new(ConnectionHandler::new());
    let (inside, remote) = (world.inside(), world.remote());
    let threads = [inside, remote].map(|connection| {
        thread::spawn(move || {
            let mut nothing = subscribe_with_prefetch(&connection, "nothing", 1).unwrap();
            nothing.next().unwrap_err()
        })
    });
    let consumers = |broker: &Broker<_, _>| {
        let handler: &ConnectionHandler = broker.handler();
        handler.queue("nothing").map_or(0, |queue| queue.consumers)
    };
    world.broker.run_until(|broker| consumers(broker) == 2).unwrap();
    let end = world.broker.shutdown(SOON).unwrap();
    assert_eq!((end.orderly, end.aborted), (2, 0));
    for thread in threads {
        let error = thread.join().unwrap();
        assert!(!error.is_would_block(), "{error}");
    }
}
