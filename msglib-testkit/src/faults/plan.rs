//! Which faults there are to be, and when.

use super::{Fault, Severity};
use core::time::Duration;

/// Which faults a [`Faulty`](super::Faulty) is to have: by chance, each at a rate of its own, and by a script. A value, cheap to
/// clone and to compare; the same plan over the same calls gives the same faults.
///
/// Each fault draws from a random stream of its own, so that taking one out of the plan leaves the others where they
/// were: a failure can be narrowed down by leaving out faults.
///
/// ```
/// use msglib_testkit::faults::{Fault, FaultPlan, Severity};
///
/// let by_chance = FaultPlan::new(42).with_all(Severity::Passing, 0.05).with(Fault::Reset, 0.001);
/// let scripted = FaultPlan::new(0).at(Fault::ShortRead, 3).cut(Fault::HalfClose, 0, 17);
/// assert_eq!(by_chance.rate(Fault::Reset), 0.001);
/// # let _ = scripted;
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct FaultPlan {
    pub(super) seed: u64,
    pub(super) rates: [f64; Fault::COUNT],
    pub(super) script: Vec<Scripted>,
    pub(super) cuts: Vec<Cut>,
    pub(super) longest_hold: u32,
    pub(super) longest_jump: Duration,
}

/// A fault that fires at one opportunity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scripted {
    pub(super) fault: Fault,
    /// Of which connection, in the order in which they were opened; `None` counts those of all.
    pub(super) connection: Option<usize>,
    /// How many opportunities are left until then, this one counted.
    pub(super) left: u64,
}

/// An end at a byte of one direction of one connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cut {
    pub(super) fault: Fault,
    pub(super) connection: usize,
    pub(super) after: u64,
}

impl FaultPlan {
    /// No fault yet. `seed` decides all that is left to chance.
    pub fn new(seed: u64) -> FaultPlan {
        FaultPlan {
            seed,
            rates: [0.0; Fault::COUNT],
            script: Vec::new(),
            cuts: Vec::new(),
            longest_hold: 8,
            longest_jump: Duration::from_secs(60),
        }
    }

    /// A random subset of the faults up to `worst`, each at a random rate that is the rarer the worse the fault is: another one
    /// for each seed, so that many seeds see what all faults at once would hide from each other.
    ///
    /// Leaves out [`Fault::PollFails`], after which there is nothing left to see; add it by hand.
    pub fn swarm(seed: u64, worst: Severity) -> FaultPlan {
        let mut random = super::dice::Random::new(seed ^ 0x5741_524d);
        let mut plan = FaultPlan::new(seed);
        for fault in Fault::ALL {
            let (chosen, rate) = (random.below(2) == 0, random.below(1000) as f64 / 1000.0);
            let most = match fault.severity() {
                Severity::Passing => 0.3,
                Severity::Stalling => 0.005,
                Severity::Ending | Severity::Breach => 0.01,
            };
            if chosen && fault.severity() <= worst && fault != Fault::PollFails {
                plan = plan.with(fault, rate * most);
            }
        }
        plan
    }

    /// With `fault` at `rate`: the probability with which it is armed at each opportunity.
    ///
    /// # Panics
    ///
    /// When `rate` is not from 0 to 1.
    pub fn with(mut self, fault: Fault, rate: f64) -> FaultPlan {
        assert!((0.0..=1.0).contains(&rate), "the rate of {fault:?} is a probability, and {rate} is none");
        self.rates[fault.index()] = rate;
        self
    }

    /// With every fault of exactly this severity at `rate`.
    ///
    /// # Panics
    ///
    /// As [`with`](FaultPlan::with).
    pub fn with_all(self, severity: Severity, rate: f64) -> FaultPlan {
        let those = Fault::ALL.into_iter().filter(|fault| fault.severity() == severity);
        those.fold(self, |plan, fault| plan.with(fault, rate))
    }

    /// Without `fault`, by chance or by script.
    pub fn without(mut self, fault: Fault) -> FaultPlan {
        self.rates[fault.index()] = 0.0;
        self.script.retain(|scripted| scripted.fault != fault);
        self.cuts.retain(|cut| cut.fault != fault);
        self
    }

    /// With `fault` at its `nth` opportunity, the first being 1, counted over all connections.
    ///
    /// # Panics
    ///
    /// When `nth` is 0.
    pub fn at(self, fault: Fault, nth: u64) -> FaultPlan {
        self.scripted(fault, None, nth)
    }

    /// With `fault` at the `nth` opportunity, the first being 1, that one connection gives: the first that was opened is
    /// `connection` 0. For faults that are called with `poll` the opportunities are polls, and the fault happens to that
    /// connection.
    ///
    /// # Panics
    ///
    /// When `nth` is 0.
    pub fn at_connection(self, connection: usize, fault: Fault, nth: u64) -> FaultPlan {
        self.scripted(fault, Some(connection), nth)
    }

    fn scripted(mut self, fault: Fault, connection: Option<usize>, nth: u64) -> FaultPlan {
        assert!(nth > 0, "opportunities of {fault:?} are counted from 1");
        self.script.push(Scripted { fault, connection, left: nth });
        self
    }

    /// With an end behind exactly so many bytes of one connection, the first that was opened being 0:
    /// [`HalfClose`](Fault::HalfClose) and [`CutRead`](Fault::CutRead) count what the broker reads,
    /// [`CutWrite`](Fault::CutWrite) what it writes. With one run for each byte a conversation is cut at every place there is.
    ///
    /// # Panics
    ///
    /// With any other fault.
    pub fn cut(mut self, fault: Fault, connection: usize, after: u64) -> FaultPlan {
        let cuts = matches!(fault, Fault::HalfClose | Fault::CutRead | Fault::CutWrite);
        assert!(cuts, "{fault:?} does not end a connection at a byte: HalfClose, CutRead and CutWrite do");
        self.cuts.push(Cut { fault, connection, after });
        self
    }

    /// With another bound on how long something is held back, in polls; 0 counts as 1. Default 8.
    pub fn with_longest_hold(mut self, polls: u32) -> FaultPlan {
        self.longest_hold = polls.max(1);
        self
    }

    /// With another bound on a jump of the clock. Default a minute.
    pub fn with_longest_jump(mut self, by: Duration) -> FaultPlan {
        self.longest_jump = by;
        self
    }

    /// The rate of `fault`.
    pub fn rate(&self, fault: Fault) -> f64 {
        self.rates[fault.index()]
    }

    /// The faults that the plan has, by chance or by script.
    pub fn faults(&self) -> impl Iterator<Item = Fault> + '_ {
        Fault::ALL.into_iter().filter(|fault| {
            self.rate(*fault) > 0.0
                || self.script.iter().any(|scripted| scripted.fault == *fault)
                || self.cuts.iter().any(|cut| cut.fault == *fault)
        })
    }
}
