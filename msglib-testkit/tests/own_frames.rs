//! Frames of one's own, of one type on both sides: the example.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, unreachable_pub, unused_attributes)]
#[path = "../examples/own_frames.rs"]
mod example;

use example::{Auction, Said, hear, say};
use msglib_client::Connection;
use msglib_testkit::Harness;

fn heard(harness: &mut Harness<Auction>, client: &Connection) -> Option<Said> {
    harness.step_until_ok("something said", || hear(client))
}

#[test]
fn a_higher_bid_is_heard_by_all_and_a_lower_one_is_answered_to_its_bidder_alone() {
    let mut harness = Harness::new(Auction::default());
    let (alice, bob) = (harness.connect(), harness.connect());
    harness.settle();
    say(&alice, Said::Bid(10)).unwrap();
    assert_eq!(heard(&mut harness, &alice), Some(Said::Highest(10)));
    assert_eq!(heard(&mut harness, &bob), Some(Said::Highest(10)));
    say(&bob, Said::Bid(5)).unwrap();
    assert_eq!(heard(&mut harness, &bob), Some(Said::Highest(10)));
    assert!(hear(&alice).unwrap_err().is_would_block(), "alice has not heard of it");
}

#[test]
fn what_the_type_does_not_have_ends_the_connection_of_whoever_says_it() {
    let mut harness = Harness::new(Auction::default());
    let (odd, good) = (harness.connect(), harness.connect());
    harness.settle();
    odd.send_user(0x8000, 0, 0, b"not four bytes").unwrap();
    harness.settle();
    let error = harness.step_until_done("the end", || hear(&odd)).unwrap_err().to_string();
    assert!(error.contains("only bids, please"), "{error}");
    say(&good, Said::Bid(1)).unwrap();
    assert_eq!(heard(&mut harness, &good), Some(Said::Highest(1)));
}
