//! Strategies for [proptest](https://docs.rs/proptest): frames, streams, the pieces they arrive in, and whole conversations.
//!
//! - [`frames`], [`frames_with`], [`frames_from`], [`frames_of`]: any valid frame, with the values at the edges more often than chance has them.
//! - [`valid_streams`], [`almost_frames`]: bytes that are right, and bytes that are nearly so, or not at all.
//! - [`chunkings`]: how a stream may be cut on its way.
//! - [`conversations`]: what a client that keeps to PROTOCOL.md may send to any broker; [`play`] sends them to a broker in a
//!   [`Harness`](crate::Harness), and looks at all that comes back with a [`StrictClient`].
//!
//! A property of a broker of one's own is three lines:
//!
//! ```
//! use msglib_broker::ConnectionHandler; // or a handler of your own
//! use msglib_testkit::Harness;
//! use msglib_testkit::strategies::{cases, conversations, play};
//! use proptest::collection::vec;
//! use proptest::prelude::*;
//!
//! proptest! {
//!     #![proptest_config(cases(16))]
//!     # /*
//!     #[test]
//!     # */
//!     fn the_books_are_balanced_whatever_is_said(conversations in vec(conversations(), 1..4)) {
//!         let mut harness = Harness::new(ConnectionHandler::new());
//!         play(&mut harness, &conversations);
//!         prop_assert!(harness.handler().queues().all(|queue| queue.ledger.is_balanced()));
//!     }
//! }
//! # fn main() { the_books_are_balanced_whatever_is_said() }
//! ```

mod bytes;
mod conversation;
mod frame;
mod frame_with;
mod owned_frame;
mod play;
mod strict_client;

pub use bytes::{Chunking, ValidStream, almost_frames, chunkings, valid_streams};
pub use conversation::{Conversation, conversations};
pub use frame::{frames, frames_from, frames_of, frames_with};
pub use owned_frame::OwnedFrame;
pub use play::play;
pub use strict_client::{BrokenRule, StrictClient};

use proptest::test_runner::Config;

/// A configuration with so many cases, unless the environment's `PROPTEST_CASES` says how many, and without files for regressions:
/// a failure that is worth keeping is worth a test with a name.
pub fn cases(cases: u32) -> Config {
    let config = Config { failure_persistence: None, ..Config::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => Config { cases, ..config },
    }
}
