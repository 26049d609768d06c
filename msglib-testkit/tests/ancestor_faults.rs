//! Each fault of the Python program that msglib began as, as a test that would have caught it.

use msglib_broker::{Broker, ConnectionHandler, ConnectionId, Context, Event, Frame, Handler, Reject};
use msglib_client::{blocking_pull_subscribe_to_queue, publish_to_q, subscribe_with_prefetch};
use msglib_proto::Payload;
use msglib_testkit::{Harness, HarnessConfig};
use std::collections::BTreeSet;
use std::io::Write;

fn harness() -> Harness<ConnectionHandler> {
    Harness::new(ConnectionHandler::new())
}

#[test]
fn a_pull_on_an_empty_queue_does_not_block_the_broker() {
    let mut harness = harness();
    let (waiting, other) = (harness.connect(), harness.connect());
    let mut never = blocking_pull_subscribe_to_queue(&waiting, "empty").unwrap();
    assert!(never.next().unwrap_err().is_would_block());
    harness.settle();
    publish_to_q(&other, "busy", "x").unwrap();
    let mut served = blocking_pull_subscribe_to_queue(&other, "busy").unwrap();
    assert_eq!(harness.step_until_message(&mut served).payload(), b"x");
}

#[test]
fn an_ack_settles_the_message_for_good() {
    let mut harness = harness();
    let (sender, receiver, next) = (harness.connect(), harness.connect(), harness.connect());
    publish_to_q(&sender, "q", "acked").unwrap();
    publish_to_q(&sender, "q", "held").unwrap();
    let mut sub = subscribe_with_prefetch(&receiver, "q", 2).unwrap();
    let acked = harness.step_until_message(&mut sub);
    let held = harness.step_until_message(&mut sub);
    acked.ack().unwrap();
    drop((held, sub, receiver));
    let mut sub = subscribe_with_prefetch(&next, "q", 2).unwrap();
    let again = harness.step_until_message(&mut sub);
    assert_eq!((again.payload(), again.count()), (&b"held"[..], 2), "what was not acked, and only that, comes again");
    again.ack().unwrap();
    harness.settle();
    assert_eq!(harness.handler().queue("q").unwrap().ledger.acked, 2);
    assert!(sub.next().unwrap_err().is_would_block());
}

#[test]
fn an_empty_payload_is_a_message_like_any_other() {
    let mut harness = harness();
    let client = harness.connect();
    publish_to_q(&client, "q", "").unwrap();
    publish_to_q(&client, "q", "behind it").unwrap();
    let mut sub = subscribe_with_prefetch(&client, "q", 2).unwrap();
    assert_eq!(harness.step_until_message(&mut sub).payload(), b"");
    assert_eq!(harness.step_until_message(&mut sub).payload(), b"behind it");
}

#[test]
fn a_next_that_is_tried_again_pulls_once() {
    let mut harness = harness();
    let (sender, receiver) = (harness.connect(), harness.connect());
    let mut sub = blocking_pull_subscribe_to_queue(&receiver, "q").unwrap();
    for _ in 0..5 {
        assert!(sub.next().unwrap_err().is_would_block());
        harness.settle();
    }
    for message in ["1", "2", "3"] {
        publish_to_q(&sender, "q", message).unwrap();
    }
    harness.settle();
    let queue = harness.handler().queue("q").unwrap().ledger;
    assert_eq!((queue.in_flight, queue.ready), (1, 2), "five tries of one call ask for one message");
    assert_eq!(harness.step_until_message(&mut sub).payload(), b"1");
}

#[test]
fn a_short_read_loses_no_bytes() {
    // Seven bytes at a time, in both directions.
    let mut harness = Harness::with_config(ConnectionHandler::new(), HarnessConfig::default().with_pipe_capacity(7));
    let (sender, receiver) = (harness.connect(), harness.connect());
    let payload: Vec<u8> = (0..=255).cycle().take(1000).collect();
    publish_to_q(&sender, "q", &payload).unwrap();
    let mut sub = blocking_pull_subscribe_to_queue(&receiver, "q").unwrap();
    let message = harness.step_until("the message", |_| {
        let flushed = sender.flush();
        assert!(flushed.is_ok() || flushed.unwrap_err().is_would_block());
        match sub.next() {
            Ok(message) => Some(message),
            Err(error) => {
                assert!(error.is_would_block(), "{error}");
                None
            }
        }
    });
    assert_eq!(message.payload(), payload);
}

#[test]
fn the_end_of_the_stream_is_an_error_for_the_reader_and_an_event_for_the_broker() {
    let mut harness = harness();
    let client = harness.connect();
    let mut sub = blocking_pull_subscribe_to_queue(&client, "q").unwrap();
    assert!(sub.next().unwrap_err().is_would_block());
    harness.settle();
    let mut cut_short = harness.connect_raw();
    cut_short.write_all(&[0, 0, 0]).unwrap();
    drop(cut_short);
    harness.settle();
    assert_eq!(harness.broker().connections(), 1, "the broker has seen one connection end, in the middle of a frame");

    drop(harness);
    let error = sub.next().unwrap_err();
    assert!(!error.is_would_block(), "{error}");
    assert!(error.to_string().contains("broker"), "it says what happened: {error}");
    assert_eq!(sub.next().unwrap_err().to_string(), error.to_string(), "and says it again");
}

#[test]
fn the_id_of_a_connection_is_never_used_again() {
    #[derive(Default)]
    struct Ids(Vec<ConnectionId>);
    impl Handler for Ids {
        fn handle(&mut self, _: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
            if let Event::Connected { id, .. } = event {
                self.0.push(id);
            }
            Ok(())
        }
    }
    let mut harness = Harness::new(Ids::default());
    for _ in 0..100 {
        let stream = harness.connect_raw();
        harness.step();
        drop(stream);
        harness.settle();
    }
    let ids = &harness.handler().0;
    assert_eq!(ids.len(), 100);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 100, "no two of them are the same: {ids:?}");
    assert_eq!(ids.iter().map(|id| id.index()).max(), Some(0), "although they have one slot in turn");
}

#[test]
fn those_who_are_ready_are_served_in_the_order_in_which_they_became_so() {
    let mut harness = harness();
    let clients: Vec<_> = (0..20).map(|_| harness.connect()).collect();
    harness.settle();
    let order = [7, 3, 19, 0, 11, 4, 16, 2, 9, 18, 1, 5];
    for index in order {
        publish_to_q(&clients[index], "q", &format!("{index}")).unwrap();
    }
    harness.settle();
    let mut sub = subscribe_with_prefetch(&clients[0], "q", 100).unwrap();
    let served: Vec<String> = order
        .iter()
        .map(|_| String::from_utf8_lossy(harness.step_until_message(&mut sub).payload()).into_owned())
        .collect();
    assert_eq!(served, order.map(|index| index.to_string()));
}

#[test]
fn a_handler_knows_whom_it_talks_to_and_writes_to_others() {
    /// Tells everybody else who said what.
    struct Chat;
    impl Handler for Chat {
        fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
            if let Event::Frame { from, frame: Frame::User { kind, body, .. } } = event {
                let who = cx.peer(from).map(|peer| peer.to_string()).unwrap_or_default();
                let line = format!("{who}: {}", String::from_utf8_lossy(&body));
                let others: Vec<ConnectionId> = cx.connections().filter(|id| *id != from).collect();
                for other in others {
                    let body = Payload::from(line.as_str());
                    let _ = cx.send(other, Frame::User { kind, flags: 0, link: 0, body });
                }
            }
            Ok(())
        }
    }
    let mut harness = Harness::new(Chat);
    let (ann, ben) = (harness.connect(), harness.connect());
    harness.settle();
    ann.send_user(0x8000, 0, 0, b"hello").unwrap();
    let heard = harness.step_until_ok("a line", || ben.next_user());
    assert_eq!(String::from_utf8_lossy(&heard.body), "memory:0: hello");
    assert!(ann.next_user().unwrap_err().is_would_block(), "who speaks does not hear themselves");
}

#[test]
fn a_broker_that_is_dropped_leaves_no_client_waiting() {
    let transport = msglib_io_memory::Transport::new();
    let manager = msglib_io_memory::InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let client = msglib_client::Connection::new(transport.connect("broker").unwrap());
    let mut sub = blocking_pull_subscribe_to_queue(&client, "q").unwrap();
    broker.process_connections().unwrap();
    drop(broker);
    assert!(!sub.next().unwrap_err().is_would_block());
}
