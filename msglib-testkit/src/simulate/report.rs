//! What came of a run, and the story of one that failed.

use super::checker::Violation;
use super::schedule::Operation;
use super::trace::{Moment, What};
use crate::diagram::{Diagram, Participant};
use crate::faults::Tally;
use core::fmt;
use msglib_proto::Instant;
use std::time::Duration;

/// What came of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Operations that were carried out and meant something.
    pub operations: u64,
    /// Messages that were published.
    pub messages: u64,
    /// Deliveries that were received.
    pub deliveries: u64,
    /// How much time passed on the run's clock.
    pub time: Duration,
    /// Faults between the broker and its transport.
    pub network_faults: Tally,
    /// Restarts and panics.
    pub process_faults: u64,
    /// A hash of all that went in and came out: the same for the same seed, in any build.
    pub hash: u64,
    /// The first promise that was not kept.
    pub failure: Option<Failure>,
}

/// A promise that was not kept, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which, and how.
    pub violation: Violation,
    /// With which operation of the schedule; `None` after it, while the run was wound up.
    pub at: Option<usize>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { seed, operations, messages, deliveries, .. } = self;
        write!(f, "seed {seed}: {operations} operations, {messages} messages, {deliveries} deliveries: ")?;
        match &self.failure {
            None => f.write_str("no violation"),
            Some(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "with operation {at}, {}", self.violation),
            None => write!(f, "while it was wound up, {}", self.violation),
        }
    }
}

/// A run, moment by moment.
#[derive(Clone, Debug)]
pub struct Story {
    /// What came of it.
    pub report: Report,
    /// What happened.
    pub moments: Vec<Moment>,
    /// The operations that were carried out, by their places in the schedule.
    pub kept: Vec<usize>,
    /// Without faults between the broker and its transport.
    pub is_calm: bool,
    /// The handler is the user's own, which the `replay` example does not have.
    pub(super) is_own: bool,
    pub(super) operations: usize,
    /// Operations in the whole schedule.
    pub(super) of: usize,
}

impl Story {
    /// The run as a sequence diagram of its clients and the broker, with faults in red; the last 300 things that happened.
    pub fn diagram(&self) -> Diagram {
        let title = match &self.report.failure {
            Some(failure) => format!("seed {}: {}", self.report.seed, failure.violation.checker),
            None => format!("seed {}", self.report.seed),
        };
        let mut diagram = Diagram::new(title);
        let broker = diagram.participant("broker");
        for Moment { at, what } in &self.moments {
            draw(&mut diagram, broker, *at, what);
        }
        diagram.keep_last(DRAWN);
        diagram
    }

    /// The options that make the `replay` example tell the same story; with a handler of one's own, a program that takes the
    /// same options ([`parse_kept`] reads them).
    pub fn options(&self) -> String {
        let calm = if self.is_calm { " --calm" } else { "" };
        let keep = if self.kept.len() < self.of { format!(" --keep {}", ranges(&self.kept)) } else { String::new() };
        format!("--seed {} --operations {}{keep}{calm}", self.report.seed, self.operations)
    }
}

/// More than that a viewer does not draw, nor a person read.
const DRAWN: usize = 300;

fn draw(diagram: &mut Diagram, broker: Participant, at: Instant, what: &What) {
    match what {
        What::Sent { client, words, .. } => {
            let client = diagram.participant(format!("client {client}"));
            diagram.sent(at, client, broker, words);
        }
        What::Received { client, words, .. } => {
            let client = diagram.participant(format!("client {client}"));
            diagram.delivered(at, broker, client, words);
        }
        What::Client { client, words } => {
            let client = diagram.participant(format!("client {client}"));
            diagram.note(Some(at), Some(client), words);
        }
        What::Fault(words) => diagram.fault(at, Some(broker), words),
        What::Note(words) if words.starts_with(VIOLATION) => diagram.fault(at, None, words),
        What::Note(words) => diagram.note(Some(at), Some(broker), words),
        // What a client says for it is drawn as an arrow.
        What::Operation { operation: Operation::Client(..) | Operation::Steps(_), .. } => {}
        What::Operation { operation, .. } => diagram.note(Some(at), None, operation.to_string()),
    }
}

/// How the note begins that says which promise was not kept.
pub(super) const VIOLATION: &str = "VIOLATION of ";

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.report.seed)?;
        if let Some(failure) = &self.report.failure {
            writeln!(f, "violated: {}", failure.violation)?;
        }
        let network = if self.is_calm { ", and no fault of the network" } else { "" };
        writeln!(f, "\n{} of {} operations{network}:", self.kept.len(), self.of)?;
        for moment in &self.moments {
            if let What::Operation { index, operation } = &moment.what {
                writeln!(f, "  #{index} {operation}")?;
            }
        }
        writeln!(f, "\nwhat happened:")?;
        self.moments.iter().try_for_each(|moment| writeln!(f, "{moment}"))?;
        match self.is_own {
            false => {
                writeln!(f, "\nagain: cargo run --release -p msglib-testkit --example replay -- {}", self.options())
            }
            true => writeln!(f, "\nagain, with the same handler: {}", self.options()),
        }
    }
}

/// Ascending numbers, as `3,7-9`.
fn ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => parts.push((*number, *number)),
        }
    }
    let words = parts.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(",")
}

/// Reads what [`Story::options`] writes behind `--keep`: numbers and ranges that ascend, as `3,7-9`.
///
/// # Errors
///
/// What cannot be read, in words.
pub fn parse_kept(text: &str) -> Result<Vec<usize>, String> {
    let number = |part: &str| part.trim().parse::<usize>().map_err(|error| format!("{part:?} is no number: {error}"));
    let mut kept = Vec::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        match part.split_once('-') {
            Some((first, last)) => kept.extend(number(first)?..=number(last)?),
            None => kept.push(number(part)?),
        }
    }
    match kept.is_sorted_by(|a, b| a < b) {
        true => Ok(kept),
        false => Err(format!("the numbers of {text:?} do not ascend")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_written_and_read() {
        for kept in [vec![], vec![5], vec![1, 2, 3, 7, 9, 10]] {
            assert_eq!(parse_kept(&ranges(&kept)), Ok(kept));
        }
        assert!(parse_kept("3,2").is_err());
        assert!(parse_kept("x").is_err());
    }
}
