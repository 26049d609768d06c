//! The run: each row, its turns, and in each turn every participant after the other.

use crate::Result;
use crate::report::Files;
use crate::sample::Sample;
use crate::scenario::{Row, Settings};
use crate::target::Target;
use std::time::Instant;

/// What one turn came to.
pub(crate) struct Outcome {
    /// The row's position.
    pub(crate) row: usize,
    pub(crate) turn: usize,
    pub(crate) target: Target,
    pub(crate) result: std::result::Result<Sample, String>,
}

/// Takes all turns, with a word on each on the standard error. A turn that fails does not end the run.
pub(crate) fn take(
    rows: &[Row],
    settings: &Settings,
    turns: usize,
    brokers: &[Target],
    files: &mut Files,
) -> Result<Vec<Outcome>> {
    let (begin, mut outcomes) = (Instant::now(), Vec::new());
    for (position, row) in rows.iter().enumerate() {
        for turn in 1..=turns {
            for target in participants(row, brokers) {
                let seconds = begin.elapsed().as_secs();
                eprintln!(
                    "{seconds:>5} s  {} of {}: {}, turn {turn} of {turns}, {target}",
                    position + 1,
                    rows.len(),
                    row.name
                );
                let result = row.turn(&target, settings).map_err(|error| error.to_string());
                if let Err(error) = &result {
                    eprintln!("bench: {}, {target}: {error}", row.name);
                }
                let outcome = Outcome { row: position, turn, target, result };
                files.turn(row, &outcome)?;
                outcomes.push(outcome);
            }
        }
    }
    eprintln!("{:>5} s  done", begin.elapsed().as_secs());
    Ok(outcomes)
}

/// The floor first, if there is one.
fn participants(row: &Row, brokers: &[Target]) -> Vec<Target> {
    if row.is_in_process() {
        return vec![Target::Broker];
    }
    let mut all: Vec<Target> = row.floor.iter().chain(brokers).cloned().collect();
    if row.has_spin() && brokers.contains(&Target::Broker) {
        all.push(Target::BrokerSpin);
    }
    all
}
