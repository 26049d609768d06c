//! What a work queue promises, done in the simplest way, to compare a queue with: the library's, as it is configured, with a part of
//! your own, or a queue that is all yours.
//!
//! - [`QueueModel`]: one list, searched from one end to the other. It says what must be, and where the promise leaves a choice, whether
//!   what the queue has chosen may be.
//! - [`QueueUnderTest`]: what is compared; [`StockQueue`] is the library's.
//! - [`operations`], [`configs`]: anything that can be done with a queue, in any order.
//! - [`Comparison`]: does it with both, and says what differs, after each operation: what is offered to whom, messages and where they are,
//!   what has left and how, the [`Ledger`](msglib_broker::Ledger), and when something is due.
//!
//! A property of a queue of one's own:
//!
//! ```
//! use msglib_testkit::model::{Comparison, StockQueue, configs, operations};
//! use msglib_testkit::strategies::cases;
//! use proptest::prelude::*;
//!
//! proptest! {
//!     #![proptest_config(cases(32))]
//!     # /*
//!     #[test]
//!     # */
//!     fn my_queue_does_what_it_should(config in configs(), operations in operations(1..60)) {
//!         let queue = StockQueue::new(config.clone()); // or one that implements QueueUnderTest
//!         let outcome = Comparison::new(queue, config).run(&operations);
//!         prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
//!     }
//! }
//! # fn main() { my_queue_does_what_it_should() }
//! ```

mod comparison;
mod delivering;
mod difference;
mod message;
mod operation;
mod order;
mod queue;
mod settling;
mod stock;

pub use comparison::{Comparison, QueueUnderTest};
pub use difference::Difference;
pub use message::{At, Delivery, Departure, Publish};
pub use operation::{Answer, Operation, configs, operations};
pub use queue::QueueModel;
pub use stock::StockQueue;
