//! A stateful property of a broker of one's own: any sequence of operations, with a model beside the broker that says what must come.
//!
//! Run it with `cargo run --example stateful`; in a project of yours it is a `#[test]`. `PROPTEST_CASES` says how often it tries.

#[allow(dead_code, unreachable_pub, unused_attributes)]
#[path = "guide_broker.rs"]
pub mod guide_broker;

use guide_broker::JobQueue;
use msglib_client::{Verdict, blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_testkit::{Harness, strategies::cases};
use proptest::{collection::vec, prelude::*};
use std::collections::VecDeque;

#[derive(Clone, Debug)]
enum Operation {
    Publish(u8),
    Ack,
    Refuse,
    GoAway,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    use Operation::{Ack, GoAway, Publish, Refuse};
    vec(prop_oneof![3 => any::<u8>().prop_map(Publish), 2 => Just(Ack), 1 => Just(Refuse), 1 => Just(GoAway)], 0..50)
}

proptest! {
    #![proptest_config(cases(64))]

    fn the_oldest_job_comes_first(operations in operations()) {
        let (mut harness, mut model) = (Harness::new(JobQueue::default()), VecDeque::new());
        let sender = harness.connect();
        for operation in operations {
            if let Operation::Publish(job) = operation {
                publish_to_q(&sender, "jobs", &[job])?;
                model.push_back((job, 0)); // and how often it was delivered
            } else if let Some((job, count)) = model.pop_front() {
                let mut worker = blocking_pull_subscribe_to_queue(&harness.connect(), "jobs")?;
                let message = harness.step_until_message(&mut worker);
                prop_assert_eq!((message.payload(), message.count()), (&[job][..], count + 1));
                match operation {
                    Operation::Ack => message.ack()?,
                    Operation::Refuse => message.refuse(Verdict::Again)?,
                    _ => drop(message),
                }
                if !matches!(operation, Operation::Ack) { model.push_front((job, count + 1)); }
            }
            harness.settle(); // the worker of this operation has gone
        }
    }
}

/// Panics with the shortest sequence that breaks the property, and with what passed, if there is one.
pub fn main() {
    the_oldest_job_comes_first();
}
