//! Randomness that is an argument: all of it comes from one seed.

use core::hash::{BuildHasher, Hasher};
use std::hash::DefaultHasher;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): small, fast, and good
/// enough for picking and jitter. Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Hashes with a secret from the injected seed, so that a peer cannot choose names that collide; nothing may follow the
/// order of such a map.
#[derive(Clone, Debug)]
pub(crate) struct SeededHash {
    secret: u128,
}

impl SeededHash {
    pub(crate) fn new(secret: u128) -> SeededHash {
        SeededHash { secret }
    }
}

impl BuildHasher for SeededHash {
    type Hasher = DefaultHasher;
    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u128(self.secret);
        hasher
    }
}

/// A map whose hasher is seeded. Look-ups only: it must not be iterated, for its order differs from seed to seed.
#[expect(clippy::disallowed_types, reason = "the hasher is seeded from the injected randomness")]
pub(crate) type SeededMap<K, V> = std::collections::HashMap<K, V, SeededHash>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_sequence() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn another_secret_hashes_differently() {
        let hash = |secret| SeededHash::new(secret).hash_one("name");
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
        assert_ne!(hash(1), hash(1 << 64), "all of the secret counts");
    }
}
