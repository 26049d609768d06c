//! Randomness for one run: a stream for each kind of decision, all from one number.
//!
//! They are separate so that a change in one does not shift the others: with other network faults a seed still has the same
//! workload.

/// A stream of numbers that follows from its seed (SplitMix64, as the broker's own). Not for secrets.
///
/// ```
/// use msglib_testkit::simulate::Random;
///
/// let (mut one, mut two) = (Random::new(7), Random::new(7));
/// assert_eq!(one.below(100), two.below(100));
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// The next number, any of 64 bits.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.number()) * bound as u128) >> 64) as usize
    }

    /// True in `of_a_thousand` cases of a thousand.
    pub fn chance(&mut self, of_a_thousand: usize) -> bool {
        self.below(1000) < of_a_thousand
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// When there are none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// One stream for each kind of decision.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) setup: Random,
    pub(super) workload: Random,
    pub(super) network: Random,
    pub(super) clock: Random,
    pub(super) process: Random,
    /// What the broker is given as its own seed.
    pub(super) broker: Random,
    /// What the clients of the features do.
    pub(super) featured: Random,
    /// What the clients of channels of one's own do.
    pub(super) own: Random,
}

impl Streams {
    pub(super) fn new(seed: u64) -> Streams {
        let mut root = Random::new(seed);
        let mut stream = || Random::new(root.number());
        Streams {
            setup: stream(),
            workload: stream(),
            network: stream(),
            clock: stream(),
            process: stream(),
            broker: stream(),
            featured: stream(),
            own: stream(),
        }
    }
}
