//! Randomness, from a seed that somebody else has.

/// Two of the generators SplitMix64, each with half of the seed, so that as many producers as there are seeds can tell each other
/// apart. Not for secrets.
#[derive(Debug)]
pub(super) struct Chance {
    high: u64,
    low: u64,
}

impl Chance {
    pub(super) fn new(seed: u128) -> Chance {
        Chance { high: (seed >> 64) as u64, low: seed as u64 }
    }

    /// Anything but 0.
    pub(super) fn id(&mut self) -> u128 {
        loop {
            let id = u128::from(split_mix(&mut self.high)) << 64 | u128::from(split_mix(&mut self.low));
            if id != 0 {
                return id;
            }
        }
    }

    /// From 0 up to, but not including, 1.
    pub(super) fn part(&mut self) -> f64 {
        // 53 bits are what a float holds.
        let mixed = split_mix(&mut self.high) ^ split_mix(&mut self.low);
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn seeds_that_differ_anywhere_give_different_ids() {
        let seeds = (0..64).flat_map(|bit| [1_u128 << bit, 1 << (bit + 64)]).chain([0]);
        let ids: BTreeSet<u128> = seeds.flat_map(|seed| [Chance::new(seed).id(), Chance::new(seed).id()]).collect();
        assert_eq!(ids.len(), 129, "one seed, one sequence");
        let mut chance = Chance::new(7);
        assert_ne!(chance.id(), chance.id());
    }
}
