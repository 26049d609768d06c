//! One handler, two transports, the same assertions.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use msglib_broker::{Broker, ConnectionHandler, ConnectionManager};
use msglib_client::{Connection, Error, blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, Transport};
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
    let mut broker = Broker::new(handler, manager);
    let (sender, first, second) = (connect(), connect(), connect());
    for payload in ["one", "", "three"] {
        publish_to_q(&sender, "jobs", payload).unwrap();
    }
    let mut to_first = blocking_pull_subscribe_to_queue(&first, "jobs").unwrap();
    let one = step_until(&mut broker, || to_first.next());
    assert_eq!((one.payload(), one.count()), (&b"one"[..], 1));

    let mut to_second = blocking_pull_subscribe_to_queue(&second, "jobs").unwrap();
    let empty = step_until(&mut broker, || to_second.next());
    assert_eq!((empty.payload(), empty.count()), (&b""[..], 1));
    empty.ack().unwrap();

    drop((one, to_first, first));
    let again = step_until(&mut broker, || to_second.next());
    let again = if again.payload() == b"three" {
        // The first consumer's end came to the broker only after "three" was on its way.
        again.ack().unwrap();
        step_until(&mut broker, || to_second.next())
    } else {
        again
    };
    assert_eq!((again.payload(), again.count()), (&b"one"[..], 2), "its count is raised");
    again.ack().unwrap();
    broker.run_until(|broker| broker.handler().queue("jobs").is_some_and(|queue| queue.ledger.acked >= 2)).unwrap();
    assert!(broker.handler().queue("jobs").unwrap().ledger.is_balanced());
}

#[test]
fn one_handler_value_serves_memory_and_then_sockets() {
    let mut handler = ConnectionHandler::new();

    let transport = Transport::new();
    let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    scenario(&mut handler, manager, || Connection::new(transport.connect("broker").unwrap()));

    handler = ConnectionHandler::new();
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
}
