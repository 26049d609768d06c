//! What went wrong: on a recorded connection, and with a recording.

use std::io::{self, ErrorKind};
use thiserror::Error;

/// An error of a connection, or of a connection manager, as it is recorded: enough to make it again.
///
/// `WouldBlock` and `Interrupted` are recorded by their kind alone, for a broker looks at nothing else of them.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{text}")]
pub struct RecordedError {
    pub(super) kind: ErrorKind,
    pub(super) os: Option<i32>,
    pub(super) text: String,
}

/// The numbers of the kinds in a file; whatever is not among them is `Other`, unless the system's own number says more.
pub(super) const KINDS: [ErrorKind; 26] = [
    ErrorKind::Other,
    ErrorKind::WouldBlock,
    ErrorKind::Interrupted,
    ErrorKind::NotFound,
    ErrorKind::PermissionDenied,
    ErrorKind::ConnectionRefused,
    ErrorKind::ConnectionReset,
    ErrorKind::HostUnreachable,
    ErrorKind::NetworkUnreachable,
    ErrorKind::ConnectionAborted,
    ErrorKind::NotConnected,
    ErrorKind::AddrInUse,
    ErrorKind::AddrNotAvailable,
    ErrorKind::NetworkDown,
    ErrorKind::BrokenPipe,
    ErrorKind::AlreadyExists,
    ErrorKind::InvalidInput,
    ErrorKind::InvalidData,
    ErrorKind::TimedOut,
    ErrorKind::WriteZero,
    ErrorKind::StorageFull,
    ErrorKind::ResourceBusy,
    ErrorKind::Deadlock,
    ErrorKind::Unsupported,
    ErrorKind::UnexpectedEof,
    ErrorKind::OutOfMemory,
];

impl RecordedError {
    /// The error's kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error as it was, on the same operating system; elsewhere with the words of that one.
    pub fn to_io(&self) -> io::Error {
        match self.os {
            Some(code) => io::Error::from_raw_os_error(code),
            None if self.is_passing() => self.kind.into(),
            None => io::Error::new(self.kind, self.text.clone()),
        }
    }

    /// Whether the kind is all that is recorded.
    pub(super) fn is_passing(&self) -> bool {
        is_passing(self.kind)
    }
}

impl From<&io::Error> for RecordedError {
    fn from(error: &io::Error) -> RecordedError {
        match is_passing(error.kind()) {
            true => RecordedError { kind: error.kind(), os: None, text: error.kind().to_string() },
            false => RecordedError { kind: error.kind(), os: error.raw_os_error(), text: error.to_string() },
        }
    }
}

pub(super) fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Why a recording cannot be read. Offsets count bytes from the beginning of the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file could not be read.
    #[error("the recording could not be read: {0}")]
    Io(#[from] io::Error),
    /// The file begins otherwise than a recording does.
    #[error("not a recording: it does not begin with {:?}", super::file::MAGIC.escape_ascii().to_string())]
    NotARecording,
    /// The file is of a later version of the format.
    #[error(
        "a recording of version {found}, and this program reads version {known}; read it with the program that wrote it"
    )]
    Version {
        /// The file's.
        found: u32,
        /// The one that is known here.
        known: u32,
    },
    /// The file stops before its end mark: its writer was killed, or still writes, or it was cut off.
    #[error("the recording is cut off at byte {offset}, in {what}; Recording::recover takes what is before that")]
    Truncated {
        /// Where the file ends.
        offset: u64,
        /// What should be there.
        what: &'static str,
    },
    /// The bytes of a segment are not those that were written.
    #[error(
        "the recording is damaged: the segment of {length} bytes at byte {offset} does not have its checksum; \
         Recording::recover takes what is before that"
    )]
    Damaged {
        /// Where the segment begins.
        offset: u64,
        /// The length that it says it has, in bytes.
        length: u64,
    },
    /// The checksum is right, and what is in there cannot be: the writer was wrong.
    #[error("the recording is wrong at byte {offset}: {what}")]
    Malformed {
        /// Where it is.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_comes_back_as_it_was() {
        let reset = io::Error::from_raw_os_error(104);
        let back = RecordedError::from(&reset).to_io();
        assert_eq!((back.kind(), back.raw_os_error()), (reset.kind(), Some(104)));
        assert_eq!(back.to_string(), reset.to_string());
    }

    #[test]
    fn an_error_of_a_program_keeps_its_kind_and_its_words() {
        let own = io::Error::new(ErrorKind::InvalidData, "a record of impossible length");
        let back = RecordedError::from(&own).to_io();
        assert_eq!((back.kind(), back.to_string()), (own.kind(), own.to_string()));
    }

    #[test]
    fn no_kind_has_two_numbers() {
        for (number, kind) in KINDS.iter().enumerate() {
            assert_eq!(KINDS.iter().position(|other| other == kind), Some(number), "{kind}");
        }
    }
}
