//! How a peer can break the protocol, each way with its rule.

use super::code::ErrorCode;
use super::frame_type::FrameType;
use thiserror::Error;

/// A rule of the protocol that a peer broke, and where in its stream.
///
/// Always the peer's fault. It ends the connection, after an `ERROR` frame that carries the same code and offset
/// (PROTOCOL §8.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("at byte {offset} of the stream: {violation} (PROTOCOL §{})", .violation.section())]
pub struct ProtocolError {
    /// The first offending byte, counted from the first byte that the peer sent on the connection.
    pub offset: u64,
    /// What is wrong there.
    pub violation: Violation,
}

impl ProtocolError {
    /// The code for the `ERROR` frame.
    pub fn code(&self) -> ErrorCode {
        self.violation.code()
    }
}

/// What a peer did wrong; see [`ProtocolError`] for where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Violation {
    /// The length field is below the size of the header.
    #[error("a frame of {length} bytes is shorter than its header")]
    ShorterThanHeader {
        /// What the length field said.
        length: u32,
    },
    /// The length does not fit the type.
    #[error("{frame} cannot be {length} bytes long (it has {min} to {max})")]
    Length {
        /// The type of the frame.
        frame: FrameType,
        /// What the length field said.
        length: u32,
        /// The shortest that the type can be.
        min: u32,
        /// The longest that the type can be.
        max: u32,
    },
    /// The payload is above what the receiver takes.
    #[error("{frame} of {length} bytes is above the limit of {max}")]
    TooLarge {
        /// The type of the frame.
        frame: FrameType,
        /// What the length field said.
        length: u32,
        /// The longest that is taken now.
        max: u32,
    },
    /// The frame type is not known, or was not agreed on.
    #[error("frame type 0x{value:04X} is unknown")]
    UnknownType {
        /// The type's number.
        value: u16,
    },
    /// A flag is set that the type does not have.
    #[error("{frame} has no flags 0x{flags:04X}")]
    Flags {
        /// The type of the frame.
        frame: FrameType,
        /// The flags that it must not have.
        flags: u16,
    },
    /// A connection's frame names a link, or a link's frame names none.
    #[error("{frame} must not have link {link}")]
    LinkField {
        /// The type of the frame.
        frame: FrameType,
        /// The number in the link field.
        link: u32,
    },
    /// A field in the body has a value that it must not have.
    #[error("{frame}: {rule}")]
    Field {
        /// The type of the frame.
        frame: FrameType,
        /// What must hold, in words.
        rule: &'static str,
    },
    /// `HELLO` without the magic number.
    #[error("the magic number is missing: this is not an msglib client")]
    Magic,
    /// No version in common.
    #[error("no common version: the client speaks {min} to {max}, this broker 1")]
    Version {
        /// The oldest version of the client.
        min: u16,
        /// The newest version of the client.
        max: u16,
    },
    /// The sender may not send this, or not now.
    #[error("{frame} is not allowed now")]
    Unexpected {
        /// The type of the frame.
        frame: FrameType,
    },
    /// The link is not in the state for this frame.
    #[error("{frame} on link {link}, which is not open for it")]
    Link {
        /// The type of the frame.
        frame: FrameType,
        /// The link.
        link: u32,
    },
    /// A new link skips numbers, or is beyond the limit.
    #[error("link {link} cannot be opened: the next new one is {next}")]
    LinkNumber {
        /// The link.
        link: u32,
        /// The highest number that could be opened.
        next: u32,
    },
    /// A publish or delivery beyond the credit.
    #[error("{frame} number {number} on link {link} is beyond the credit of {credit}")]
    CreditExceeded {
        /// The type of the frame.
        frame: FrameType,
        /// The link.
        link: u32,
        /// Its number or tag.
        number: u64,
        /// The last number that was allowed.
        credit: u64,
    },
    /// Credit that was granted was taken back.
    #[error("credit on link {link} went back from {had} to {now}")]
    CreditWentBack {
        /// The link.
        link: u32,
        /// What had been granted.
        had: u64,
        /// What the frame says.
        now: u64,
    },
    /// Numbers are not consecutive.
    #[error("{frame} on link {link} has number {number} where {expected} was due")]
    Number {
        /// The type of the frame.
        frame: FrameType,
        /// The link.
        link: u32,
        /// The number that came.
        number: u64,
        /// The number that was due.
        expected: u64,
    },
}

impl Violation {
    /// The code that tells the peer (PROTOCOL §9).
    pub const fn code(&self) -> ErrorCode {
        match self {
            Violation::ShorterThanHeader { .. } | Violation::Length { .. } => ErrorCode::FRAME_LENGTH,
            Violation::TooLarge { .. } => ErrorCode::FRAME_TOO_LARGE,
            Violation::UnknownType { .. } => ErrorCode::UNKNOWN_TYPE,
            Violation::Flags { .. } => ErrorCode::RESERVED_FLAG,
            Violation::LinkField { .. } | Violation::Field { .. } => ErrorCode::BAD_FIELD,
            Violation::Magic => ErrorCode::BAD_MAGIC,
            Violation::Version { .. } => ErrorCode::NO_COMMON_VERSION,
            Violation::Unexpected { .. } => ErrorCode::UNEXPECTED_FRAME,
            Violation::Link { .. } | Violation::LinkNumber { .. } => ErrorCode::BAD_LINK,
            Violation::CreditExceeded { .. } | Violation::CreditWentBack { .. } => ErrorCode::CREDIT,
            Violation::Number { .. } => ErrorCode::BAD_NUMBER,
        }
    }

    /// The section of PROTOCOL.md that has the rule.
    pub const fn section(&self) -> &'static str {
        match self {
            Violation::ShorterThanHeader { .. } | Violation::Length { .. } | Violation::TooLarge { .. } => "2.2",
            Violation::UnknownType { .. } => "2.3",
            Violation::Flags { .. } => "2.4",
            Violation::LinkField { .. } => "2.5",
            Violation::Field { .. } => "3",
            Violation::Magic => "4.1",
            Violation::Version { .. } => "4.2",
            Violation::Unexpected { .. } => "10",
            Violation::Link { .. } => "5.3",
            Violation::LinkNumber { .. } => "5.2",
            Violation::CreditExceeded { .. } | Violation::CreditWentBack { .. } => "6.2",
            Violation::Number { .. } => "6.1",
        }
    }
}
