//! The two scenarios that msglib began with: publish one, read one; in memory and over sockets.

use msglib_broker::{Broker, ConnectionHandler};
use msglib_client::{ChannelName, Connection, blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_testkit::Harness;
use std::time::Duration;

/// Queues are named by an enum of the program's own.
#[derive(Clone, Copy)]
enum QueueId {
    Greetings = 1,
}

impl From<QueueId> for ChannelName<'_> {
    fn from(id: QueueId) -> Self {
        ChannelName::id(id as u64)
    }
}

#[test]
fn publish_one_read_one_in_memory() {
    let memory_transport = Transport::new();
    let broker_endpoint = "broker";
    let mut broker = Broker::new(
        ConnectionHandler::new(),
        InMemoryConnectionManager::new(&memory_transport, broker_endpoint).unwrap(),
    );
    let sender_connection = Connection::new(memory_transport.connect(broker_endpoint).unwrap());
    let receiver_connection = Connection::new(memory_transport.connect(broker_endpoint).unwrap());

    publish_to_q(&sender_connection, QueueId::Greetings, b"Hello, world!").unwrap();
    let mut sub = blocking_pull_subscribe_to_queue(&receiver_connection, QueueId::Greetings).unwrap();

    let mut received = None;
    for _ in 0..10 {
        broker.process_connections().unwrap();
        match sub.next() {
            Ok(msg) => {
                received = Some(msg);
                break;
            }
            Err(error) => assert!(error.is_would_block(), "{error}"),
        }
    }
    let msg = received.expect("Did not receive an expected message.");
    assert_eq!(msg.payload(), b"Hello, world!");
    msg.ack().unwrap();

    broker.process_connections().unwrap();
    let queue = broker.handler().queue(QueueId::Greetings).unwrap();
    assert_eq!((queue.ledger.acked, queue.ledger.in_flight), (1, 0), "the ack has arrived, and it means something");
}

#[test]
fn publish_one_read_one_with_the_harness() {
    let mut harness = Harness::new(ConnectionHandler::new());
    let (sender, receiver) = (harness.connect(), harness.connect());
    publish_to_q(&sender, QueueId::Greetings, b"Hello, world!").unwrap();
    let mut sub = blocking_pull_subscribe_to_queue(&receiver, QueueId::Greetings).unwrap();
    let msg = harness.step_until_message(&mut sub);
    assert_eq!(msg.payload(), b"Hello, world!");
    msg.ack().unwrap();
}

#[test]
fn publish_one_read_one_sockets() {
    let manager = EpollSocketManager::builder()
        .listen("[::1]:0".parse().unwrap())
        .poll_timeout(Duration::from_millis(1))
        .build()
        .unwrap();
    let address = manager.local_addr().unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    // With a time-out, so that a failing test does not block for ever.
    let connect = || Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(10)).unwrap());
    let (sender_connection, receiver_connection) = (connect(), connect());

    publish_to_q(&sender_connection, QueueId::Greetings, b"Hello, world!").unwrap();
    let mut sub = blocking_pull_subscribe_to_queue(&receiver_connection, QueueId::Greetings).unwrap();

    // To ask for a message that is not there yet blocks, so it is done on a thread of its own.
    let reader = std::thread::spawn(move || sub.next());

    // Run the broker until the reader's thread quits.
    while !reader.is_finished() {
        broker.process_connections().unwrap();
    }
    let msg = reader.join().unwrap().unwrap();
    assert_eq!(msg.payload(), b"Hello, world!");
    msg.ack().unwrap();

    broker.run_until(|broker| broker.handler().queue(QueueId::Greetings).unwrap().ledger.acked == 1).unwrap();
}
