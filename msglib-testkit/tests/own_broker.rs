//! A broker of one's own in thirty lines, and a tap around it.

#[allow(dead_code, unreachable_pub, unused_attributes)]
#[path = "../examples/own_broker.rs"]
mod example;

use example::FewestUnacked;
use msglib_client::{publish_to_q, publish_to_q_confirmed, subscribe_with_prefetch};
use msglib_testkit::{Harness, Tap};

#[test]
fn each_message_goes_to_the_consumer_with_the_fewest_unacknowledged_ones() {
    let mut harness = Harness::new(FewestUnacked::default());
    let (alice, bob, sender) = (harness.connect(), harness.connect(), harness.connect());
    let mut to_alice = subscribe_with_prefetch(&alice, "any", 10).unwrap();
    let mut to_bob = subscribe_with_prefetch(&bob, "any", 10).unwrap();
    harness.settle();
    for message in ["1", "2", "3"] {
        publish_to_q(&sender, "any", message).unwrap();
    }
    let (one, three) = (harness.step_until_message(&mut to_alice), harness.step_until_message(&mut to_alice));
    let two = harness.step_until_message(&mut to_bob);
    assert_eq!([one.payload(), two.payload(), three.payload()], [b"1", b"2", b"3"]);

    two.ack().unwrap();
    harness.settle();
    publish_to_q(&sender, "any", "4").unwrap();
    publish_to_q(&sender, "any", "5").unwrap();
    let (four, five) = (harness.step_until_message(&mut to_bob), harness.step_until_message(&mut to_bob));
    assert_eq!([four.payload(), five.payload()], [b"4", b"5"], "bob held none, then one; alice held two");

    drop((one, three, to_alice, alice));
    let again = harness.step_until_message(&mut to_bob);
    assert_eq!((again.payload(), again.count()), (&b"1"[..], 2));
}

#[test]
fn a_tap_around_any_handler_records_what_passes_and_changes_nothing() {
    let mut harness = Harness::new(Tap::new(FewestUnacked::default()));
    let client = harness.connect();
    let confirmation = publish_to_q_confirmed(&client, "any", "hello").unwrap();
    harness.step_until_ok("the confirm", || confirmation.wait());
    let lines = harness.handler().lines();
    let open = lines.iter().position(|line| line.contains("sent Open")).unwrap();
    let publish = lines.iter().position(|line| line.contains("sent Publish") && line.contains("hello")).unwrap();
    assert!(open < publish, "{lines:#?}");
    drop((client, confirmation));
    harness.settle();
    assert!(harness.handler().lines().last().unwrap().contains("is over"));
}
