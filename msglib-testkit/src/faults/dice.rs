//! Decides, at each opportunity, whether a fault happens, and counts what came of it.

use super::plan::{Cut, FaultPlan, Scripted};
use super::{Fault, Tally};

/// SplitMix64 (Steele, Lea, Flood, 2014): small, and good enough to pick faults.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The bias is one in 2⁶⁴ / end, which nobody will see.
        self.next() % end
    }
}

/// The plan at work.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    /// One stream for each fault, so that one fault more or less does not move the others.
    streams: [Random; Fault::COUNT],
    /// What is left of the script.
    script: Vec<Scripted>,
    cuts: Vec<Cut>,
    /// Of 2⁵³.
    thresholds: [u64; Fault::COUNT],
    longest_hold: u32,
    longest_jump: u64,
    pub(super) healed: bool,
    pub(super) tally: Tally,
}

/// On whom a scripted fault of `poll` is to fall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whom {
    Any,
    /// The connection that was opened as the nth.
    Connection(usize),
}

impl Dice {
    pub(super) fn new(plan: &FaultPlan) -> Dice {
        let mut seeds = Random::new(plan.seed);
        Dice {
            streams: core::array::from_fn(|_| Random::new(seeds.next())),
            script: plan.script.clone(),
            cuts: plan.cuts.clone(),
            thresholds: plan.rates.map(|rate| (rate * (1u64 << 53) as f64) as u64),
            longest_hold: plan.longest_hold,
            longest_jump: u64::try_from(plan.longest_jump.as_nanos()).unwrap_or(u64::MAX),
            healed: false,
            tally: Tally::new(),
        }
    }

    /// Whether `fault` happens at this opportunity, which `connection` gives.
    pub(super) fn draw(&mut self, fault: Fault, connection: usize) -> bool {
        let mut armed = self.draw_by_chance(fault);
        self.script.retain_mut(|scripted| {
            if scripted.fault == fault && scripted.connection.is_none_or(|which| which == connection) {
                scripted.left -= u64::from(!self.healed);
            }
            armed |= scripted.left == 0;
            scripted.left > 0
        });
        self.arm(fault, armed)
    }

    /// The same for an opportunity that a poll gives; if it happens, to whom.
    pub(super) fn draw_for_poll(&mut self, fault: Fault) -> Option<Whom> {
        let mut whom = self.draw_by_chance(fault).then_some(Whom::Any);
        self.script.retain_mut(|scripted| {
            if scripted.fault == fault {
                scripted.left -= u64::from(!self.healed);
            }
            if scripted.left == 0 {
                whom = Some(scripted.connection.map_or(Whom::Any, Whom::Connection));
            }
            scripted.left > 0
        });
        self.arm(fault, whom.is_some());
        whom
    }

    fn draw_by_chance(&mut self, fault: Fault) -> bool {
        let threshold = self.thresholds[fault.index()];
        !self.healed && threshold > 0 && self.streams[fault.index()].next() >> 11 < threshold
    }

    fn arm(&mut self, fault: Fault, armed: bool) -> bool {
        if armed {
            self.tally.arm(fault);
        }
        armed
    }

    /// Takes a scripted cut of the connection that is opened now as the nth.
    pub(super) fn take_cut(&mut self, connection: usize, reading: bool) -> Option<(Fault, u64)> {
        let wanted = |cut: &Cut| cut.connection == connection && (cut.fault != Fault::CutWrite) == reading;
        let at = self.cuts.iter().position(wanted)?;
        let cut = self.cuts.remove(at);
        self.tally.arm(cut.fault);
        Some((cut.fault, cut.after))
    }

    /// From 0 to below `end`, which is not 0.
    pub(super) fn below(&mut self, fault: Fault, end: u64) -> u64 {
        self.streams[fault.index()].below(end)
    }

    /// From 1 to below `end`, small numbers as likely as large ones: pieces are interesting at every scale.
    pub(super) fn piece(&mut self, fault: Fault, end: usize) -> usize {
        let bits = u64::from(usize::BITS - end.leading_zeros());
        let scale = 1 << self.below(fault, bits);
        (1 + self.below(fault, scale) as usize).min(end.saturating_sub(1).max(1))
    }

    /// For how many polls something is held back.
    pub(super) fn hold(&mut self, fault: Fault) -> u32 {
        let longest = u64::from(self.longest_hold);
        1 + self.below(fault, longest) as u32
    }

    /// By how many nanoseconds the clock jumps.
    pub(super) fn jump(&mut self, fault: Fault) -> u64 {
        let end = self.longest_jump.max(2);
        // Small jumps as likely as large ones.
        let scale = self.below(fault, u64::from(64 - end.leading_zeros()));
        1 + self.below(fault, (1 << scale).min(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(plan: &FaultPlan, fault: Fault) -> Vec<bool> {
        let mut dice = Dice::new(plan);
        (0..200)
            .map(|_| {
                dice.draw(Fault::Coalesce, 0);
                dice.draw(fault, 0)
            })
            .collect()
    }

    #[test]
    fn one_fault_less_leaves_the_others_where_they_were() {
        let both = FaultPlan::new(3).with(Fault::ShortRead, 0.5).with(Fault::Coalesce, 0.5);
        let alone = both.clone().without(Fault::Coalesce);
        assert_eq!(draws(&both, Fault::ShortRead), draws(&alone, Fault::ShortRead));
        assert_ne!(draws(&both, Fault::ShortRead), draws(&both, Fault::Coalesce));
        assert_ne!(draws(&both, Fault::ShortRead), draws(&FaultPlan { seed: 4, ..both.clone() }, Fault::ShortRead));
    }

    #[test]
    fn a_script_counts_opportunities_of_all_or_of_one() {
        let plan = FaultPlan::new(0).at(Fault::ShortRead, 3).at_connection(1, Fault::ShortRead, 2);
        let mut dice = Dice::new(&plan);
        let fired: Vec<bool> = [0, 1, 0, 0, 1, 1].map(|connection| dice.draw(Fault::ShortRead, connection)).to_vec();
        assert_eq!(fired, [false, false, true, false, true, false]);
        assert_eq!(dice.tally.of(Fault::ShortRead).armed, 2);
    }

    #[test]
    fn rates_of_nought_and_one_leave_nothing_to_chance() {
        let plan = FaultPlan::new(9).with(Fault::ShortRead, 1.0);
        assert!(draws(&plan, Fault::ShortRead).iter().all(|fired| *fired));
        assert!(!draws(&plan, Fault::ShortWrite).iter().any(|fired| *fired));
    }

    #[test]
    fn pieces_come_at_every_scale() {
        let mut dice = Dice::new(&FaultPlan::new(5));
        let pieces: Vec<usize> = (0..2000).map(|_| dice.piece(Fault::ShortRead, 100_000)).collect();
        assert!(pieces.iter().all(|piece| (1..100_000).contains(piece)));
        assert!(pieces.contains(&1) && pieces.iter().any(|piece| *piece > 10_000));
        assert_eq!(dice.piece(Fault::ShortRead, 2), 1);
    }
}
