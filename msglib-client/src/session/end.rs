//! Why a session ended, and why it cannot do what was asked of it.

use msglib_proto::{EncodeError, ErrorCode, Feature, LinkNumber, ProtocolError};
use std::sync::Arc;
use thiserror::Error;

/// How a session ended. The first cause stays: each later call is told the same.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum End {
    /// This side has said goodbye.
    #[error("the connection was closed on this side")]
    Closed,
    /// The broker has said goodbye (PROTOCOL §8.2).
    #[error("the broker closed the connection: {}", why(.code, .text))]
    Goodbye {
        /// Why; [`ErrorCode::NONE`] when it was just done.
        code: ErrorCode,
        /// Why, for a person.
        text: Arc<str>,
    },
    /// The broker has ended the connection with an `ERROR` (PROTOCOL §8.1).
    #[error("the broker ended the connection: {} (byte {offset} of what this side sent)", why(.code, .text))]
    Failed {
        /// What went wrong.
        code: ErrorCode,
        /// Where in the stream that this side sent; 0 where that means nothing.
        offset: u64,
        /// What went wrong, for a person.
        text: Arc<str>,
    },
    /// The broker broke the protocol, and was told so with an `ERROR`.
    #[error("the broker broke the protocol: {0}")]
    Violation(ProtocolError),
}

/// Why a session did not take what it was asked to do. Nothing was queued, no number and no credit was used up.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The session has ended.
    #[error("{0}")]
    Over(End),
    /// It does not fit into what may be sent before the `WELCOME` (PROTOCOL §4.4): wait for that.
    #[error("that is more than may be sent before the broker's WELCOME; wait for it")]
    BeforeWelcome,
    /// The broker does not allow another publish on the link yet (PROTOCOL §6.2): wait for more credit.
    #[error("link {link} has no credit for publish {}; wait for more", credit.saturating_add(1))]
    NoCredit {
        /// The link.
        link: LinkNumber,
        /// The last number that is allowed.
        credit: u64,
    },
    /// All link numbers are taken (PROTOCOL §5.2): wait for the `WELCOME`, or close a link and wait until it is.
    #[error("all {max} links of the connection are in use; close one and wait for its end")]
    NoFreeLink {
        /// How many links there may be now.
        max: u32,
    },
    /// No such link, or it is not open for this.
    #[error("link {link} is not open for this")]
    NoSuchLink {
        /// The link.
        link: LinkNumber,
    },
    /// The broker has not this feature, or this side has not offered it (PROTOCOL §14.1).
    #[error("the feature {0} was not agreed on with this broker")]
    NotAgreed(Feature),
    /// The payload is above what the broker takes.
    #[error("a payload of {length} bytes is above the broker's limit of {max}")]
    TooLarge {
        /// Bytes of the payload.
        length: usize,
        /// The largest that the broker takes.
        max: u32,
    },
    /// The frame has no encoding.
    #[error("{0}")]
    Invalid(EncodeError),
}

impl From<EncodeError> for SessionError {
    fn from(error: EncodeError) -> SessionError {
        SessionError::Invalid(error)
    }
}

/// A code with the words that came with it, if any did; without what could break a line of a log.
pub(crate) fn why(code: &ErrorCode, text: &str) -> String {
    if text.is_empty() { code.to_string() } else { format!("{code}, {}", text.replace(char::is_control, " ")) }
}
