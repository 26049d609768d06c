//! Time: T11, T12.

use crate::conformance::trial::Trial;
use crate::conformance::{Fixture, Outcome, Rule};
use core::time::Duration;

/// Nothing is ready, and the quickest of several polls takes no time to speak of. (The quickest, since a busy machine
/// can hold up any one of them.)
pub fn t11_a_zero_timeout_never_blocks<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T11);
    let _link = trial.open();
    trial.rounds(5);
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let start = trial.now();
        trial.poll(Some(Duration::ZERO));
        quickest = quickest.min(trial.now() - start);
    }
    let limit = Duration::from_millis(1);
    trial.check(quickest < limit, format_args!("less than {limit:?}"), format_args!("{quickest:?} or more each time"));
    Ok(())
}

/// Many readings, across polls, waits and traffic. (Each poll of each case checks it as well.)
pub fn t12_now_never_goes_back<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T12);
    let link = trial.open();
    for round in 0..10u8 {
        for _ in 0..100 {
            trial.now();
        }
        trial.peer_send(link.peer, &[round; 50]);
        trial.receive(link.id, &[round; 50]);
        trial.wait(Duration::from_micros(500));
    }
    Ok(())
}
