//! The entropy of a transport's world: a sequence that follows from one number.

/// Gives the configured seed first, then numbers that follow from it and do not repeat.
#[derive(Debug)]
pub(crate) struct Seeds {
    state: u128,
    started: bool,
}

impl Seeds {
    pub(crate) fn new(seed: u128) -> Seeds {
        Seeds { state: seed, started: false }
    }

    pub(crate) fn next_seed(&mut self) -> u128 {
        if !self.started {
            self.started = true;
            return self.state;
        }
        // A linear congruential step visits every state once; the mixing is a bijection, so no output repeats either.
        const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(1);
        let low = mix(self.state as u64);
        let high = mix((self.state >> 64) as u64 ^ low);
        u128::from(high) << 64 | u128::from(low)
    }
}

/// Spreads each bit of `x` over all of the result; no two `x` have the same.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_configured_seed_comes_first_and_none_comes_twice() {
        for seed in [0, 1, u128::MAX] {
            let mut seeds = Seeds::new(seed);
            let mut again = Seeds::new(seed);
            let mut seen = BTreeSet::new();
            assert_eq!(seeds.next_seed(), seed);
            again.next_seed();
            for _ in 0..1000 {
                let next = seeds.next_seed();
                assert_eq!(next, again.next_seed());
                assert!(next != seed && seen.insert(next), "{next:#x} came back");
            }
        }
    }
}
