//! What a run leaves behind: a hash of everything that went in and came out, and, when asked, readable lines.

use super::facts::ConnectionNumber;
use super::schedule::Operation;
use core::fmt;
use msglib_proto::Instant;

/// A hash over words and bytes, in their order (FNV-1a, eight bytes at a time): the same for the same run, in any build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TraceHash(u64);

impl TraceHash {
    pub(super) fn new() -> TraceHash {
        TraceHash(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.word(chunk.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk)));
        }
        for byte in chunks.remainder() {
            self.word(u64::from(*byte));
        }
    }

    pub(super) fn value(self) -> u64 {
        self.0
    }
}

/// One thing that happened, for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moment {
    /// When, on the run's clock.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What happened, for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum What {
    /// An operation begins.
    Operation {
        /// Its place in the whole schedule.
        index: usize,
        /// Which.
        operation: Operation,
    },
    /// A client said a frame.
    Sent {
        /// Which client.
        client: usize,
        /// On which of its connections.
        connection: ConnectionNumber,
        /// The frame.
        words: String,
    },
    /// A client received a frame.
    Received {
        /// Which client.
        client: usize,
        /// On which of its connections.
        connection: ConnectionNumber,
        /// The frame.
        words: String,
    },
    /// Something happened to a client's connection.
    Client {
        /// Which client.
        client: usize,
        /// What.
        words: String,
    },
    /// A fault between the broker and its transport; connections are named as the broker knows them.
    Fault(String),
    /// Something happened to the broker, or to all.
    Note(String),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9}  ", format!("{:.3?}", self.at.since(Instant::ZERO)))?;
        match &self.what {
            What::Operation { index, operation } => write!(f, "#{index} {operation}"),
            What::Sent { client, connection, words } => {
                write!(f, "    client {client} → broker  {words}  ({connection})")
            }
            What::Received { client, connection, words } => {
                write!(f, "    broker → client {client}  {words}  ({connection})")
            }
            What::Client { client, words } => write!(f, "    client {client} {words}"),
            What::Fault(words) | What::Note(words) => write!(f, "    {words}"),
        }
    }
}
