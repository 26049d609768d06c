//! What can go wrong on a connection, and what to do about it.

use crate::session::{End, SessionError, why};
use core::time::Duration;
use msglib_proto::{EncodeError, ErrorCode, Feature, NameError, ProtocolError};
use std::io;
use std::sync::Arc;
use thiserror::Error;

/// Why a call did not do what it was asked to.
///
/// Three questions to ask it: [`is_would_block`](Error::is_would_block) (make the same call again),
/// [`is_worth_retrying`](Error::is_worth_retrying) (later it can succeed), [`ends_connection`](Error::ends_connection)
/// (every further call says the same; make a new connection).
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream said so. `WouldBlock` and `TimedOut` pass; any other kind has ended the connection.
    #[error("{}", io_words(.0))]
    Io(#[source] Arc<io::Error>),
    /// The call has used up all of its time ([`Builder::call_timeout`](crate::Builder::call_timeout)). The connection goes on, and nothing is
    /// half done: a call ends between two reads or writes, and what it has begun to write goes out with later ones. The same call can be
    /// made again. What was waited for is not known: a publish whose confirmation has not come may have been accepted or not, and its
    /// [`Confirmation`](crate::Confirmation) can be waited for again.
    #[error("{call} was not done{} within {within:?}; the same call can be made again", by(.peer))]
    DeadlineOver {
        /// Which call.
        call: &'static str,
        /// How long it had.
        within: Duration,
        /// What the broker is called, if it has a [name](crate::Builder::peer).
        peer: Option<Arc<str>>,
    },
    /// The stream ended, and the broker had not said goodbye. What was published and not confirmed may have been
    /// accepted or not.
    #[error("the broker{}'s stream ended {}, without a goodbye", at(.peer), if *.mid_frame { "within a frame" } else { "between two frames" })]
    ConnectionLost {
        /// Whether the end came within a frame.
        mid_frame: bool,
        /// What the broker is called, if it has a [name](crate::Builder::peer).
        peer: Option<Arc<str>>,
    },
    /// The broker was silent for so many heartbeats that nobody is thought to be there (see [`Heart`](crate::Heart)). What was
    /// published and not confirmed may have been accepted or not.
    #[error("nothing came from the broker{} for {beats} heartbeats", at(.peer))]
    Silent {
        /// For how many.
        beats: u32,
        /// What the broker is called, if it has a [name](crate::Builder::peer).
        peer: Option<Arc<str>>,
    },
    /// The connection was closed on this side.
    #[error("the connection was closed on this side")]
    Closed,
    /// The broker has said goodbye.
    #[error("the broker{} closed the connection{}", at(.peer), said(*.code, .text))]
    ClosedByBroker {
        /// Why; [`ErrorCode::NONE`] when it was just done.
        code: ErrorCode,
        /// Why, for a person.
        text: Arc<str>,
        /// What the broker is called, if it has a [name](crate::Builder::peer).
        peer: Option<Arc<str>>,
    },
    /// The broker ended the connection for a reason: what this side sent, who it is, or trouble of the broker's own.
    #[error("the broker{} ended the connection: {} (byte {offset} of what this side sent)", at(.peer), why(.code, .text))]
    FailedByBroker {
        /// What went wrong.
        code: ErrorCode,
        /// Where in the stream that this side sent; 0 where that means nothing.
        offset: u64,
        /// What went wrong, for a person.
        text: Arc<str>,
        /// What the broker is called, if it has a [name](crate::Builder::peer).
        peer: Option<Arc<str>>,
    },
    /// The broker broke the protocol. It was told so, and the connection has ended.
    #[error("the broker{} broke the protocol: {error}", at(.peer))]
    Protocol {
        /// How.
        #[source]
        error: ProtocolError,
        /// What the broker is called, if it has a [name](crate::Builder::peer).
        peer: Option<Arc<str>>,
    },
    /// The broker did not accept a publish, and it has no effect. The connection goes on.
    #[error("publish {number} was refused: {}", why(.code, .text))]
    Refused {
        /// Its number on its link.
        number: u64,
        /// Why.
        code: ErrorCode,
        /// Why, for a person.
        text: Arc<str>,
    },
    /// There is no answer to a request, and there will be none. The connection goes on.
    #[error("no reply: {}", why(.code, .text))]
    NoReply {
        /// Why: [`ErrorCode::NO_RESPONDER`], [`ErrorCode::TIMED_OUT`], [`ErrorCode::RESPONDER_GONE`], or what the responder or the broker
        /// says.
        code: ErrorCode,
        /// Why, for a person.
        text: Arc<str>,
    },
    /// The link to the channel was refused, or has ended: nothing more comes of this subscription or publish. The
    /// connection goes on.
    #[error("the link to the channel has ended: {}", why(.code, .text))]
    LinkClosed {
        /// Why; [`ErrorCode::NONE`] when it was asked for.
        code: ErrorCode,
        /// Why, for a person.
        text: Arc<str>,
    },
    /// All links of the connection are in use by subscriptions; close one, or use another connection.
    #[error("all {max} links of the connection are in use by subscriptions; close one, or use another connection")]
    TooManyLinks {
        /// How many links there may be.
        max: u32,
    },
    /// The payload is above what the broker takes. Nothing was sent.
    #[error("a payload of {length} bytes is above the broker's limit of {max}")]
    TooLarge {
        /// Bytes of the payload.
        length: usize,
        /// The largest that the broker takes.
        max: u32,
    },
    /// The broker has not this feature, or this side has not offered it (PROTOCOL §14.1). Nothing was sent.
    #[error("this needs the feature {0}, which was not agreed on with this broker")]
    NotAgreed(Feature),
    /// A channel's name is empty or too long.
    #[error(transparent)]
    Name(#[from] NameError),
    /// What was asked for has no encoding in the protocol. Nothing was sent.
    #[error(transparent)]
    Invalid(#[from] EncodeError),
}

impl Error {
    /// Whether the stream had no time to wait: nothing was lost or half done, make the same call again.
    ///
    /// True for `WouldBlock` and `TimedOut`, whichever a stream with a time-out says, and for [`DeadlineOver`](Error::DeadlineOver).
    pub fn is_would_block(&self) -> bool {
        match self {
            Error::Io(error) => would_block(error.kind()),
            Error::DeadlineOver { .. } => true,
            _ => false,
        }
    }

    /// Whether the same thing, tried again later and unchanged, can succeed; if the connection has
    /// [ended](Error::ends_connection): on a new one.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Error::Io(error) => is_passing(error.kind()),
            Error::DeadlineOver { .. }
            | Error::ConnectionLost { .. }
            | Error::Silent { .. }
            | Error::TooManyLinks { .. } => true,
            Error::ClosedByBroker { code, .. }
            | Error::FailedByBroker { code, .. }
            | Error::Refused { code, .. }
            | Error::NoReply { code, .. }
            | Error::LinkClosed { code, .. } => code.is_worth_retrying(),
            Error::Closed
            | Error::Protocol { .. }
            | Error::NotAgreed(_)
            | Error::TooLarge { .. }
            | Error::Name(_)
            | Error::Invalid(_) => false,
        }
    }

    /// Whether the connection is over, so that every further call returns the same.
    pub fn ends_connection(&self) -> bool {
        match self {
            Error::Io(error) => !would_block(error.kind()),
            Error::ConnectionLost { .. }
            | Error::Silent { .. }
            | Error::Closed
            | Error::ClosedByBroker { .. }
            | Error::FailedByBroker { .. }
            | Error::Protocol { .. } => true,
            Error::DeadlineOver { .. }
            | Error::Refused { .. }
            | Error::NoReply { .. }
            | Error::LinkClosed { .. }
            | Error::TooManyLinks { .. }
            | Error::NotAgreed(_)
            | Error::TooLarge { .. }
            | Error::Name(_)
            | Error::Invalid(_) => false,
        }
    }

    /// The broker's code, where it gave one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Error::ClosedByBroker { code, .. }
            | Error::FailedByBroker { code, .. }
            | Error::Refused { code, .. }
            | Error::NoReply { code, .. }
            | Error::LinkClosed { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub(crate) fn io(error: io::Error) -> Error {
        Error::Io(Arc::new(error))
    }

    /// The same, with what the broker is called where it ends the connection, or lets a call wait for too long.
    pub(crate) fn of_peer(mut self, name: &Arc<str>) -> Error {
        match &mut self {
            Error::DeadlineOver { peer, .. }
            | Error::ConnectionLost { peer, .. }
            | Error::Silent { peer, .. }
            | Error::ClosedByBroker { peer, .. }
            | Error::FailedByBroker { peer, .. }
            | Error::Protocol { peer, .. } => *peer = Some(name.clone()),
            // What only passes comes from a stream that knows whom it speaks with.
            Error::Io(error) if !would_block(error.kind()) => {
                *error = Arc::new(io::Error::new(error.kind(), format!("{name}: {error}")));
            }
            _ => {}
        }
        self
    }

    /// What a call says that would have to wait where it must not.
    pub(crate) fn not_now() -> Error {
        Error::io(io::ErrorKind::WouldBlock.into())
    }

    pub(crate) fn link_closed_here() -> Error {
        Error::LinkClosed { code: ErrorCode::NONE, text: Arc::from("the subscription was closed") }
    }
}

/// For what opens a stream, beside what makes a connection of it.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::io(error)
    }
}

impl From<End> for Error {
    fn from(end: End) -> Error {
        match end {
            End::Closed => Error::Closed,
            End::Goodbye { code, text } => Error::ClosedByBroker { code, text, peer: None },
            End::Failed { code, offset, text } => Error::FailedByBroker { code, offset, text, peer: None },
            End::Violation(error) => Error::Protocol { error, peer: None },
        }
    }
}

/// For what no call waits for; the connection waits for credit, links and the `WELCOME` by itself.
impl From<SessionError> for Error {
    fn from(error: SessionError) -> Error {
        match error {
            SessionError::Over(end) => end.into(),
            SessionError::NotAgreed(feature) => Error::NotAgreed(feature),
            SessionError::TooLarge { length, max } => Error::TooLarge { length, max },
            SessionError::Invalid(error) => Error::Invalid(error),
            SessionError::NoFreeLink { max } => Error::TooManyLinks { max },
            SessionError::NoSuchLink { .. } => Error::link_closed_here(),
            SessionError::BeforeWelcome | SessionError::NoCredit { .. } => Error::not_now(),
        }
    }
}

/// The broker's name, behind a word.
fn at(peer: &Option<Arc<str>>) -> String {
    peer.as_ref().map_or(String::new(), |peer| format!(" at {peer}"))
}

/// The broker's name, behind what it has not done.
fn by(peer: &Option<Arc<str>>) -> String {
    peer.as_ref().map_or(String::new(), |peer| format!(" by the broker at {peer}"))
}

/// The reason, if there was one.
fn said(code: ErrorCode, text: &str) -> String {
    if code == ErrorCode::NONE && text.is_empty() { String::new() } else { format!(": {}", why(&code, text)) }
}

/// What passes is not a failure.
fn io_words(error: &io::Error) -> String {
    match would_block(error.kind()) {
        true => format!("not yet ({error}); the same call can be made again"),
        false => format!("the stream failed: {error}"),
    }
}

pub(crate) fn would_block(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Kinds that say nothing about the next connection.
fn is_passing(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, UnexpectedEof};
    would_block(kind) || matches!(kind, Interrupted | ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_follows_from_the_error() {
        let refused = |code| Error::Refused { number: 1, code, text: "".into() };
        assert!(refused(ErrorCode::QUEUE_FULL).is_worth_retrying());
        assert!(!refused(ErrorCode::MESSAGE_TOO_LARGE).is_worth_retrying());
        assert!(!refused(ErrorCode::QUEUE_FULL).ends_connection());
        for kind in [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut] {
            let error = Error::io(kind.into());
            assert!(error.is_would_block() && error.is_worth_retrying() && !error.ends_connection());
        }
        let reset = Error::io(io::ErrorKind::ConnectionReset.into());
        assert!(!reset.is_would_block() && reset.is_worth_retrying() && reset.ends_connection());
        for lost in [Error::ConnectionLost { mid_frame: true, peer: None }, Error::Silent { beats: 2, peer: None }] {
            assert!(lost.ends_connection() && lost.is_worth_retrying());
        }
    }

    #[test]
    fn an_error_says_what_the_broker_said() {
        let text = "queue jobs has 100 of 100 messages".into();
        let error = Error::Refused { number: 7, code: ErrorCode::QUEUE_FULL, text };
        let shown = error.to_string();
        assert_eq!(shown, "publish 7 was refused: QUEUE_FULL (0x0401), queue jobs has 100 of 100 messages");
    }
}
