//! The library's queue against the model of it, and bugs that the model must find.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests, and what they share")]

#[path = "queue_model/planted.rs"]
mod planted;

use msglib_testkit::model::{Comparison, StockQueue, configs, operations};
use msglib_testkit::strategies::cases;
use planted::{Bug, PLANTED};
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRng, TestRunner};

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn a_queue_does_what_its_model_does(config in configs(), operations in operations(1..120)) {
        let mut comparison = Comparison::new(StockQueue::new(config.clone()), config);
        let outcome = comparison.run(&operations);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

/// Whether a bug is found within so many cases.
fn is_found(bug: &Bug, cases: u32) -> bool {
    let config = ProptestConfig { max_shrink_iters: 0, failure_persistence: None, cases, ..ProptestConfig::default() };
    let random = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, random);
    let outcome = runner.run(&(configs(), operations(1..120)), |(config, operations)| {
        let outcome = Comparison::new(bug.plant(&config), config).run(&operations);
        outcome.map_err(|difference| TestCaseError::fail(difference.to_string()))
    });
    matches!(outcome, Err(TestError::Fail(..)))
}

#[test]
fn the_model_finds_each_planted_bug() {
    assert!(PLANTED.len() >= 10);
    let missed: Vec<&str> = PLANTED.iter().filter(|(_, bug)| !is_found(bug, 400)).map(|(name, _)| *name).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// Else what finds the bugs could be the wrapper that they are in.
#[test]
fn what_is_around_the_planted_bugs_does_no_harm() {
    assert!(!is_found(&Bug::Policy(|_| {}), 50));
}
