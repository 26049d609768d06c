//! Why a connection ended, and how a handler refuses.

use core::fmt;
use msglib_proto::ErrorCode;
use std::borrow::Cow;
use std::io;

/// Why a connection is over; comes with [`Event::Disconnected`](crate::Event::Disconnected), exactly once.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The peer said goodbye.
    Goodbye,
    /// The peer closed its sending side, or vanished, without a goodbye.
    PeerClosed,
    /// The peer gave up and said why.
    PeerError {
        /// Its code.
        code: ErrorCode,
        /// Its words.
        text: String,
    },
    /// The peer broke the protocol; the text says how, and where in its stream.
    Protocol(String),
    /// The handler refused what the peer sent.
    Rejected(Reject),
    /// The handler, or the host program, closed the connection.
    Closed,
    /// The handshake was not finished in time.
    HandshakeTimeout,
    /// Nothing came from the peer for longer than it was told that it may be silent.
    Silent,
    /// The peer took nothing of what waited for it for too long.
    TooSlow,
    /// The transport failed.
    Io(io::Error),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Goodbye => f.write_str("the peer said goodbye"),
            Reason::PeerClosed => f.write_str("the peer closed the connection without a goodbye"),
            Reason::PeerError { code, text } => write!(f, "the peer gave up: {code}: {text}"),
            Reason::Protocol(text) => write!(f, "the peer broke the protocol: {text}"),
            Reason::Rejected(reject) => write!(f, "refused: {reject}"),
            Reason::Closed => f.write_str("closed by this side"),
            Reason::HandshakeTimeout => f.write_str("the handshake was not finished in time"),
            Reason::Silent => f.write_str("nothing came from the peer for too long"),
            Reason::TooSlow => f.write_str("the peer took nothing of what was sent to it for too long"),
            Reason::Io(error) => write!(f, "the transport failed: {error}"),
        }
    }
}

/// A handler's refusal of what a peer sent: a code and words.
///
/// Returned from a handler, it is answered in the mildest way that the frame has: a publish is refused, a link is
/// closed, and the connection goes on; any other frame, and a [`fatal`](Reject::fatal) refusal, ends the connection
/// with an error.
///
/// ```
/// use msglib_broker::{ErrorCode, Reject};
///
/// let reject = Reject::new(ErrorCode::NOT_ALLOWED, "only on Mondays");
/// assert_eq!(reject.to_string(), "NOT_ALLOWED (0x0302): only on Mondays");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reject {
    code: ErrorCode,
    text: Cow<'static, str>,
    fatal: bool,
}

impl Reject {
    /// A refusal of one frame.
    pub fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Reject {
        Reject { code, text: text.into(), fatal: false }
    }

    /// The same refusal, which ends the connection whatever the frame was.
    pub fn fatal(mut self) -> Reject {
        self.fatal = true;
        self
    }

    /// The code that the peer is told.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The words that the peer is told.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it ends the connection.
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

impl core::error::Error for Reject {}
