//! What a connection can do beyond version 1: features, a bit each (PROTOCOL §12.1, §14).

use core::fmt;

/// A set of frames and rules that both sides must have agreed on (PROTOCOL §14.1).
///
/// ```
/// use msglib_proto::Feature;
///
/// let features = Feature::Queues.bit() | Feature::Topics.bit();
/// assert!(Feature::Topics.is_in(features) && !Feature::Requests.is_in(features));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Feature {
    /// Queues with settings; messages with a delay, a time to live, a priority, a key; leases; idempotent producers (PROTOCOL §15).
    Queues,
    /// Topics: publish and subscribe (PROTOCOL §16).
    Topics,
    /// Requests, and their replies (PROTOCOL §17).
    Requests,
    /// A broker that says that it is going away (PROTOCOL §18).
    Drain,
}

impl Feature {
    /// All of them, in the order of their bits.
    pub const ALL: [Feature; 4] = [Feature::Queues, Feature::Topics, Feature::Requests, Feature::Drain];

    /// Its bit in `HELLO` and `WELCOME`.
    pub const fn bit(self) -> u64 {
        match self {
            Feature::Queues => 1 << 0,
            Feature::Topics => 1 << 1,
            Feature::Requests => 1 << 2,
            Feature::Drain => 1 << 3,
        }
    }

    /// The name in PROTOCOL §14.1.
    pub const fn name(self) -> &'static str {
        match self {
            Feature::Queues => "QUEUES",
            Feature::Topics => "TOPICS",
            Feature::Requests => "REQUESTS",
            Feature::Drain => "DRAIN",
        }
    }

    /// Whether its bit is set.
    pub const fn is_in(self, features: u64) -> bool {
        features & self.bit() != 0
    }

    /// The bits of all of them.
    pub const fn all_bits() -> u64 {
        Feature::Queues.bit() | Feature::Topics.bit() | Feature::Requests.bit() | Feature::Drain.bit()
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
