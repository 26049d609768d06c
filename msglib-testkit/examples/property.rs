//! A property of a broker of one's own: whatever its clients say, it keeps the protocol, and it loses nothing.
//!
//! Run it with `cargo run --example property`; in a project of yours it is a `#[test]`. `PROPTEST_CASES` says how often it tries.

use msglib_broker::{Context, Event, Frame, Handler, Reject};
use msglib_testkit::strategies::{Conversation, cases, conversations, play};
use msglib_testkit::{Harness, Tap};
use proptest::collection::vec;
use proptest::prelude::*;

/// A broker that counts what is published, and promises no more.
#[derive(Default)]
struct Counter(usize);

impl Handler for Counter {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        if let Event::Frame { from, frame: Frame::Publish { link, number, .. } } = event {
            self.0 += 1;
            let _ = cx.send(from, Frame::Confirmed { link, upto: number }); // gone: then nobody waits for it
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(32))]

    fn everything_is_counted(conversations in vec(conversations(), 1..4)) {
        let mut harness = Harness::new(Tap::new(Counter::default()));
        play(&mut harness, &conversations);
        let published: usize = conversations.iter().map(Conversation::published).sum();
        prop_assert_eq!(harness.handler().inner().0, published);
    }
}

/// Panics with the smallest conversations that break the property, and with what passed, if there are any.
pub fn main() {
    everything_is_counted();
}
