//! One client's end of a connection: frames to bytes and back, and how it treats its stream. What it knows is in the facts.

use super::facts::ConnectionNumber;
use msglib_io_memory::MemoryStream;
use msglib_proto::{Decoder, Frame, Limits, SendQueue, encode};
use std::io::{ErrorKind, Read, Write};

/// A connection that a client holds.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) connection: ConnectionNumber,
    stream: MemoryStream,
    /// Taken out while what it has decoded is looked at.
    pub(super) decoder: Option<Decoder>,
    out: SendQueue,
    /// All bytes that were ever said: before the `WELCOME` their number is limited (PROTOCOL §4.4).
    pub(super) said: usize,
    /// Bytes that it writes at most before each step.
    pub(super) trickle: Option<usize>,
    /// It reads nothing.
    pub(super) is_stalled: bool,
}

/// What came of a look into the stream.
pub(super) enum Read1 {
    Bytes(usize),
    Nothing,
    End,
    Reset,
}

impl Client {
    pub(super) fn new(connection: ConnectionNumber, stream: MemoryStream, takes: u32) -> Client {
        Client {
            connection,
            stream,
            decoder: Some(Decoder::new(&Limits::default().with_max_payload(takes))),
            out: SendQueue::new(),
            said: 0,
            trickle: None,
            is_stalled: false,
        }
    }

    /// Says a frame; the operations make none that has no encoding.
    pub(super) fn say(&mut self, frame: &Frame<'_>) {
        let before = self.out.len();
        let encoded = encode(frame, &mut self.out);
        debug_assert!(encoded.is_ok(), "{frame:?}: {encoded:?}");
        self.said += self.out.len() - before;
    }

    /// Says what is no frame.
    pub(super) fn say_bytes(&mut self, bytes: &[u8]) {
        self.out.put(bytes);
        self.said += bytes.len();
    }

    /// Whether all that it has said has left it.
    pub(super) fn has_said_all(&self) -> bool {
        self.out.is_empty()
    }

    /// Writes at most `most` bytes of what it has said; returns how many. Where the broker is gone it is thrown away.
    pub(super) fn write(&mut self, most: usize) -> usize {
        let mut written = 0;
        while !self.out.is_empty() && written < most {
            let segment = self.out.first_segment();
            let part = &segment[..segment.len().min(most - written)];
            match self.stream.write(part) {
                Ok(n) => {
                    self.out.advance(n);
                    written += n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.out = SendQueue::new(),
            }
        }
        written
    }

    pub(super) fn read(&mut self, buf: &mut [u8]) -> Read1 {
        match self.stream.read(buf) {
            Ok(0) => Read1::End,
            Ok(n) => Read1::Bytes(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Read1::Nothing,
            Err(_) => Read1::Reset,
        }
    }

    /// Ends the sending side; what was not written is lost.
    pub(super) fn half_close(&mut self) {
        self.out = SendQueue::new();
        self.stream.shutdown_write();
    }

    pub(super) fn reset(&self) {
        self.stream.reset();
    }
}
