//! A channel of one's own beside the queues of the stock broker: the example, and what a channel may rely on.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, unreachable_pub, unused_attributes)]
#[path = "../examples/own_channel.rs"]
mod example;

use example::{broker, set, watch};
use msglib_client::{Error, Subscription};
use msglib_testkit::Harness;

type TestHarness = Harness<msglib_broker::ConnectionHandler>;

fn see(harness: &mut TestHarness, watcher: &mut Subscription) -> String {
    let seen = harness.step_until_message(watcher);
    let value = String::from_utf8(seen.payload().to_vec()).unwrap();
    seen.ack().unwrap();
    value
}

fn set_cell(harness: &mut TestHarness, client: &msglib_client::Connection, cell: &str, value: &str) {
    let done = set(client, cell, value).unwrap();
    harness.step_until_ok("a confirm", || done.wait());
}

#[test]
fn a_watcher_sees_the_value_that_is_there_and_each_new_one_and_never_misses_the_last() {
    let mut harness = Harness::new(broker());
    let (alice, bob, carol) = (harness.connect(), harness.connect(), harness.connect());
    set_cell(&mut harness, &alice, "a", "1");
    let mut bobs = watch(&bob, "a").unwrap();
    let mut others = watch(&carol, "b").unwrap();
    assert_eq!(see(&mut harness, &mut bobs), "1");
    for value in ["2", "3", "4", "5"] {
        set_cell(&mut harness, &alice, "a", value);
    }
    assert_eq!(see(&mut harness, &mut bobs), "2", "it was on its way already");
    assert_eq!(see(&mut harness, &mut bobs), "5", "what was overwritten meanwhile is gone");
    harness.settle();
    assert!(matches!(others.try_next(), Ok(None)), "another cell");
    assert_eq!(harness.handler().channels(), 2);
}

#[test]
fn a_cell_stays_as_long_as_it_is_needed_and_the_others_go() {
    let mut harness = Harness::new(broker());
    let (alice, bob) = (harness.connect(), harness.connect());
    set_cell(&mut harness, &alice, "kept", "1");
    let watcher = watch(&bob, "never set").unwrap();
    harness.settle();
    assert_eq!(harness.handler().channels(), 2);
    drop((watcher, alice, bob));
    harness.settle();
    assert_eq!(harness.handler().channels(), 1);
    let late = harness.connect();
    assert_eq!(see(&mut harness, &mut watch(&late, "kept").unwrap()), "1");
}

#[test]
fn queues_are_there_as_ever_and_other_kinds_are_not() {
    let mut harness = Harness::new(broker());
    let client = harness.connect();
    msglib_client::publish_to_q(&client, "a", "in a queue").unwrap();
    let mut queue = msglib_client::blocking_pull_subscribe_to_queue(&client, "a").unwrap();
    assert_eq!(see(&mut harness, &mut queue), "in a queue");
    let done = client.publish_confirmed(msglib_broker::ChannelKind(0x8002), "a", "x").unwrap();
    let refused = harness.step_until_done("a refusal", || done.wait()).unwrap_err();
    assert!(matches!(refused, Error::LinkClosed { .. } | Error::Refused { .. }), "{refused}");
}
