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
    for (row, turn, target) in schedule(rows, turns, brokers) {
        let (seconds, name, of) = (begin.elapsed().as_secs(), &rows[row].name, rows.len());
        eprintln!("{seconds:>5} s  row {} of {of}: {name}, turn {turn} of {turns}, {target}", row + 1);
        let result = rows[row].turn(&target, settings).map_err(|error| error.to_string());
        if let Err(error) = &result {
            eprintln!("bench: {name}, {target}: {error}");
        }
        let outcome = Outcome { row, turn, target, result };
        files.turn(&rows[row], &outcome)?;
        outcomes.push(outcome);
    }
    eprintln!("{:>5} s  done", begin.elapsed().as_secs());
    Ok(outcomes)
}

/// What is compared takes turns: the participants of a row, and the points of a curve. So nobody has the quiet
/// minutes alone.
fn schedule(rows: &[Row], turns: usize, brokers: &[Target]) -> Vec<(usize, usize, Target)> {
    let mut schedule = Vec::new();
    let mut first = 0;
    for compared in rows.chunk_by(|a, b| a.growth.is_some() && a.growth.map(|g| g.of) == b.growth.map(|g| g.of)) {
        for turn in 1..=turns {
            for (offset, row) in compared.iter().enumerate() {
                schedule.extend(participants(row, brokers).into_iter().map(|target| (first + offset, turn, target)));
            }
        }
        first += compared.len();
    }
    schedule
}

/// The floor first, if there is one.
fn participants(row: &Row, brokers: &[Target]) -> Vec<Target> {
    if row.is_in_process() {
        return vec![Target::Broker];
    }
    let mut all: Vec<Target> = row.floor.iter().chain(brokers).cloned().collect();
    if row.has_spin() && brokers.contains(&Target::Broker) {
        all.extend([Target::RelaySpin, Target::BrokerSpin]);
    }
    all
}
