//! Why a message is a dead letter.

use core::fmt;
use msglib_proto::{Instant, OwnedName};

/// Why a message could not stay in the queue that it was published to.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Cause {
    /// What happened.
    pub reason: DeathReason,
    /// How often it was delivered there.
    pub deliveries: u32,
    /// How often it has become a dead letter, this time included.
    pub hops: u8,
    /// When it became a dead letter for the first time.
    pub first: Instant,
    /// The queue that it comes from; `None` if that had no name.
    pub source: Option<OwnedName>,
}

/// What makes a message a dead letter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum DeathReason {
    /// Its time was over.
    Expired,
    /// It was delivered as often as the queue allows.
    TooManyDeliveries,
    /// A consumer refused it for good.
    RefusedForGood,
    /// It made room for another.
    Dropped,
}

impl fmt::Display for DeathReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeathReason::Expired => "its time was over",
            DeathReason::TooManyDeliveries => "it was delivered too often",
            DeathReason::RefusedForGood => "a consumer refused it for good",
            DeathReason::Dropped => "it made room for another",
        })
    }
}
