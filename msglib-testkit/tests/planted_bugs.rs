//! The simulation can fail: each planted bug is found, with a known seed, by the checker that is there for it.

#[allow(unreachable_pub, dead_code)]
mod planted;

use planted::{HARMLESS, PLANTED};

#[test]
fn planted_bugs_are_caught() {
    let mut missed = Vec::new();
    for bug in PLANTED {
        let report = bug.run(bug.seed);
        if !bug.is_caught(&report) {
            missed.push(format!("{} by {:?}: {report}", bug.name, bug.caught_by));
        }
    }
    assert!(PLANTED.len() >= 30);
    assert!(missed.is_empty(), "not caught:\n{}", missed.join("\n"));
}

/// Else what catches the bugs could be the wrapper that they are in.
#[test]
fn what_is_around_the_planted_bugs_does_no_harm() {
    for harmless in HARMLESS {
        for seed in 1..=10 {
            let report = harmless.run(seed);
            assert!(report.failure.is_none(), "{}: {report}", harmless.name);
        }
    }
}
