//! Why a replay is not what was recorded.

use core::fmt;
use msglib_broker::record::Dropped;
use msglib_proto::Instant;
use thiserror::Error;

/// The first call of a broker that is not the recorded one.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub struct Divergence {
    /// The step, counted from 1.
    pub step: u64,
    /// The record, counted from 0; those that the program put there count too.
    pub record: u64,
    /// The time in the recording.
    pub at: Instant,
    /// What was recorded.
    pub recorded: String,
    /// What the broker does.
    pub found: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Divergence { step, record, at, recorded, found } = self;
        write!(
            f,
            "the replay leaves the recording in step {step}, record {record}, at {at:?}\n  recorded:   {recorded}\n"
        )?;
        writeln!(f, "  the broker: {found}")?;
        f.write_str(
            "It is exact for the same handler, dialect and configuration as the recorded ones, and if the program said \
             what it did beside its steps: see RecordLog::note and RecordLog::shutting_down. To see what another build does \
             with these inputs, use diff.",
        )
    }
}

/// A recording without its beginning cannot be replayed exactly.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "the ring was full and let go of the first {} records ({} bytes), and an exact replay needs them: make the ring larger, or \
     stream to a file. What is left can be listed, and its connections that were opened since can be fed to a handler (lines, diff)",
    dropped.records, dropped.bytes
)]
pub struct Incomplete {
    /// What is missing.
    pub dropped: Dropped,
}
