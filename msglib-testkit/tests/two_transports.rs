//! One handler, two transports, the same assertions.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use msglib_broker::{Broker, ConnectionHandler, ConnectionManager};
use msglib_client::{Connection, Error, blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use std::collections::BTreeMap;
use std::time::Duration;

/// Steps until the call is through. Over sockets a call may also run into its time-out, which is short here, because the
/// broker is on the same thread.
fn step_until<M: ConnectionManager, T>(
    broker: &mut Broker<&mut ConnectionHandler, M>,
    mut call: impl FnMut() -> Result<T, Error>,
) -> T {
    for _ in 0..1000 {
        match call() {
            Ok(value) => return value,
            Err(error) => assert!(error.is_would_block(), "{error}"),
        }
        broker.process_connections().unwrap();
    }
    panic!("it does not come");
}

/// Three messages, two consumers, one of which goes away with what it holds.
fn scenario<M: ConnectionManager>(handler: &mut ConnectionHandler, manager: M, connect: impl Fn() -> Connection) {
    let acked = |handler: &ConnectionHandler| handler.queue("jobs").map_or(0, |queue| queue.ledger.acked);
    let before = acked(handler);
    let mut broker = Broker::new(handler, manager);
    let (sender, first, second) = (connect(), connect(), connect());
    for payload in ["one", "", "three"] {
        step_until(&mut broker, || publish_to_q(&sender, "jobs", payload));
    }
    let mut to_first = blocking_pull_subscribe_to_queue(&first, "jobs").unwrap();
    let one = step_until(&mut broker, || to_first.next());
    assert_eq!((one.payload(), one.count()), (&b"one"[..], 1));

    let mut to_second = blocking_pull_subscribe_to_queue(&second, "jobs").unwrap();
    let empty = step_until(&mut broker, || to_second.next());
    assert_eq!((empty.payload(), empty.count()), (&b""[..], 1));
    empty.ack().unwrap();

    drop((one, to_first, first));
    // Over sockets the end of the first consumer may come to the broker before or after it is asked for the next message.
    let mut rest = BTreeMap::new();
    for _ in 0..2 {
        let message = step_until(&mut broker, || to_second.next());
        rest.insert(message.payload().to_vec(), message.count());
        message.ack().unwrap();
    }
    assert_eq!(
        rest,
        BTreeMap::from([(b"one".to_vec(), 2), (b"three".to_vec(), 1)]),
        "the count of the first is raised"
    );
    broker.run_until(|broker| acked(broker.handler()) == before + 3).unwrap();
    let queue = broker.handler().queue("jobs").unwrap();
    assert!(queue.ledger.is_balanced());
    assert_eq!((queue.ledger.ready, queue.ledger.in_flight), (0, 0));
}

#[test]
fn one_handler_value_serves_memory_and_then_sockets() {
    let mut handler = ConnectionHandler::new();

    let transport = Transport::new();
    let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    scenario(&mut handler, manager, || Connection::new(transport.connect("broker").unwrap()));

    let manager = EpollSocketManager::builder()
        .listen("[::1]:0".parse().unwrap())
        .poll_timeout(Duration::from_millis(1))
        .build()
        .unwrap();
    let address = manager.local_addr().unwrap();
    scenario(&mut handler, manager, || {
        let stream = msglib_io_epoll::connect(address, Duration::from_secs(10)).unwrap();
        stream.set_timeout(Some(Duration::from_millis(1))).unwrap();
        Connection::new(stream)
    });
    assert_eq!(handler.queue("jobs").unwrap().ledger.accepted, 6, "one value has seen both");
}

/// What an earlier broker's clients held is not lost with them, and no new client gets it by having the same id.
#[test]
fn a_handler_that_starts_over_takes_back_what_was_held() {
    let mut handler = ConnectionHandler::new();
    let serve = |handler: &mut ConnectionHandler| {
        let transport = Transport::new();
        let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
        let mut broker = Broker::new(handler, manager);
        let client = Connection::new(transport.connect("broker").unwrap());
        step_until(&mut broker, || publish_to_q(&client, "q", "kept"));
        let mut sub = blocking_pull_subscribe_to_queue(&client, "q").unwrap();
        let message = step_until(&mut broker, || sub.next());
        message.count()
    };
    assert_eq!(serve(&mut handler), 1);
    assert_eq!(serve(&mut handler), 2, "what the first one held comes first, its count raised");
    let ledger = handler.queue("q").unwrap().ledger;
    assert_eq!((ledger.accepted, ledger.given_back), (2, 1));
}
