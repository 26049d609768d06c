//! A client that keeps to no rule: it writes what it is told, and reads if it is told.

use crate::conformance::RawPeer;
use msglib_proto::{Decoder, ErrorCode, Frame, FrameType, Limits, LinkNumber, Welcome};
use std::io::ErrorKind;

/// A frame of the broker, as far as the cases look at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::abuse) enum Heard {
    Error { code: ErrorCode, offset: u64 },
    Goodbye(ErrorCode),
    Confirmed { upto: u64 },
    Pong { token: u64 },
    Delivery { tag: u64, count: u32 },
    Closed { link: LinkNumber, code: ErrorCode },
    Refused { first: u64, last: u64, code: ErrorCode },
    Settled { count: u64 },
    Gap { lost: u64 },
    Other(FrameType),
}

/// How an attacker's connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::abuse) enum Ended {
    InOrder,
    Broken(ErrorKind),
    /// The broker itself has broken the protocol.
    Nonsense,
}

pub(super) struct Attacker<P> {
    pub(super) peer: P,
    outbox: Vec<u8>,
    written: usize,
    decoder: Decoder,
    pub(super) reads: bool,
    pub(super) heard: Vec<Heard>,
    pub(super) end: Option<Ended>,
}

/// The most that one turn reads or writes.
const TURN: usize = 65_536;

impl<P: RawPeer> Attacker<P> {
    pub(super) fn new(peer: P) -> Attacker<P> {
        let decoder = Decoder::new(&Limits::default());
        let (outbox, heard) = (Vec::new(), Vec::new());
        Attacker { peer, outbox, written: 0, decoder, reads: true, heard, end: None }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.outbox.drain(..core::mem::take(&mut self.written));
        self.outbox.extend_from_slice(bytes);
    }

    pub(super) fn has_sent_all(&self) -> bool {
        self.written == self.outbox.len()
    }

    /// Writes and reads what goes; the number of bytes.
    pub(super) fn turn(&mut self) -> usize {
        self.peer.drive();
        self.write() + self.read()
    }

    fn write(&mut self) -> usize {
        let before = self.written;
        while self.written < self.outbox.len() && self.written - before < TURN {
            match self.peer.try_write(&self.outbox[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The broker is gone; what it said before is still to be read.
                Err(_) => self.written = self.outbox.len(),
            }
        }
        self.written - before
    }

    fn read(&mut self) -> usize {
        let mut buf = [0; 4096];
        let mut total = 0;
        while self.reads && self.end.is_none() && total < TURN {
            match self.peer.try_read(&mut buf) {
                Ok(0) => self.end = Some(Ended::InOrder),
                Ok(count) => {
                    total += count;
                    self.hear(&buf[..count]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.end = Some(Ended::Broken(error.kind())),
            }
        }
        total
    }

    fn hear(&mut self, mut input: &[u8]) {
        loop {
            match self.decoder.decode(&mut input) {
                Ok(Some(frame)) => {
                    self.heard.push(heard(&frame));
                    if let Frame::Welcome(Welcome { features, .. }) = frame {
                        self.decoder.agree_on(features);
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    self.end = Some(Ended::Nonsense);
                    return;
                }
            }
        }
    }
}

fn heard(frame: &Frame<'_>) -> Heard {
    match *frame {
        Frame::Error { code, offset, .. } => Heard::Error { code, offset },
        Frame::Goodbye { code, .. } => Heard::Goodbye(code),
        Frame::Confirmed { upto, .. } => Heard::Confirmed { upto },
        Frame::Pong { token } => Heard::Pong { token },
        Frame::Delivery { tag, count, .. } | Frame::DeliveryWith { tag, count, .. } => Heard::Delivery { tag, count },
        Frame::Closed { link, code, .. } => Heard::Closed { link, code },
        Frame::Refused { first, last, code, .. } => Heard::Refused { first, last, code },
        Frame::Settled { count, .. } => Heard::Settled { count },
        Frame::Gap { lost, .. } => Heard::Gap { lost },
        ref other => Heard::Other(other.frame_type()),
    }
}
