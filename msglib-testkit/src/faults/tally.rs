//! What came of the faults of a plan, counted.

use super::Fault;
use core::fmt;
use core::ops::AddAssign;

/// How often each fault was armed, fired and observed.
///
/// - *armed*: the plan wanted it;
/// - *fired*: there was something to do it to, and it was done;
/// - *observed*: somebody, the broker or a peer, got another answer for it than they would have got, as far as
///   can be known between them.
///
/// A suite whose faults are never observed shows nothing: see [`missing`](Tally::missing).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tally {
    counts: [Counts; Fault::COUNT],
}

/// The counts of one fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// How often the plan wanted it.
    pub armed: u64,
    /// How often it was done.
    pub fired: u64,
    /// How often somebody could see it.
    pub observed: u64,
}

impl Tally {
    /// Nothing yet.
    pub const fn new() -> Tally {
        Tally { counts: [Counts { armed: 0, fired: 0, observed: 0 }; Fault::COUNT] }
    }

    /// The counts of one fault.
    pub fn of(&self, fault: Fault) -> Counts {
        self.counts[fault.index()]
    }

    /// How many faults were fired, of all kinds.
    pub fn fired(&self) -> u64 {
        self.counts.iter().map(|counts| counts.fired).sum()
    }

    /// Those of `faults` that were not each armed, fired and observed at least once.
    pub fn missing(&self, faults: impl IntoIterator<Item = Fault>) -> Vec<Fault> {
        let incomplete = |fault: &Fault| {
            let Counts { armed, fired, observed } = self.of(*fault);
            armed == 0 || fired == 0 || observed == 0
        };
        faults.into_iter().filter(incomplete).collect()
    }

    pub(super) fn arm(&mut self, fault: Fault) {
        self.counts[fault.index()].armed += 1;
    }

    pub(super) fn fire(&mut self, fault: Fault) {
        self.counts[fault.index()].fired += 1;
    }

    pub(super) fn observe(&mut self, fault: Fault) {
        self.counts[fault.index()].observed += 1;
    }
}

impl Default for Tally {
    fn default() -> Tally {
        Tally::new()
    }
}

/// For a sum over runs.
impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        for (sum, more) in self.counts.iter_mut().zip(&other.counts) {
            sum.armed += more.armed;
            sum.fired += more.fired;
            sum.observed += more.observed;
        }
    }
}

/// A line for each fault that was armed.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<32} {:>10} {:>10} {:>10}", "fault", "armed", "fired", "observed")?;
        for fault in Fault::ALL.into_iter().filter(|fault| self.of(*fault).armed > 0) {
            let Counts { armed, fired, observed } = self.of(fault);
            writeln!(f, "{:<32} {armed:>10} {fired:>10} {observed:>10}", fault.to_string())?;
        }
        Ok(())
    }
}
