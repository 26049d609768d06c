//! Why topics do not take something.

#[cfg(doc)]
use super::TopicsConfig;
use thiserror::Error;

/// A message was not taken: a limit is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TopicsFull {
    /// Of all that waits ([`TopicsConfig::max_bytes`]).
    #[error("the topics are full: {bytes} bytes wait or are kept")]
    Bytes {
        /// What it counts for.
        bytes: usize,
    },
    /// Of last values ([`TopicsConfig::max_retained`], [`TopicsConfig::max_retained_bytes`]).
    #[error("there is no room for another last value: {values} of them with {bytes} bytes are kept")]
    Retained {
        /// How many there are.
        values: usize,
        /// What they count for.
        bytes: usize,
    },
    /// Of topics that are open ([`TopicsConfig::max_topics`]); a topic was not opened.
    #[error("there are {open} topics open already")]
    Topics {
        /// How many there are.
        open: usize,
    },
    /// Of what one identity may have ([`TopicsConfig::max_per_identity`]).
    #[error("your identity has as many topics and last values as one may have")]
    Identity,
}

/// A subscriber was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// There are too many ([`TopicsConfig::max_subscribers`]).
    #[error("there are {0} subscribers already")]
    TooMany(usize),
    /// The group is there, and its buffer or its overflow are other ones.
    #[error("the group exists, and its members have another buffer or another overflow")]
    GroupDiffers,
}
