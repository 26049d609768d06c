//! Conversations with the broker of a harness.

use super::{Conversation, OwnedFrame, StrictClient};
use crate::Harness;
use msglib_broker::Handler;
use msglib_io_memory::MemoryStream;
use msglib_proto::Frame;
use std::io::{ErrorKind, Read, Write};

/// More rounds than any conversation needs, even if each moves a single byte.
const MAX_ROUNDS: usize = 200_000;

/// The codes that say that a peer broke the protocol (PROTOCOL §9).
const PROTOCOL_CODES: std::ops::RangeInclusive<u16> = 0x0101..=0x010B;

/// Lets a client for each conversation speak with the harness's broker, turn by turn, until all is said and the broker has
/// nothing left to do; then they go away. Returns what the broker sent to each.
///
/// A client leaves out what it may not send any more: all behind the broker's last frame, and frames on a link that the broker
/// has closed.
///
/// # Panics
///
/// When a [`StrictClient`] finds something that the protocol does not allow, or something that is still due at the end; when the
/// broker ends a connection without a last frame, or says that a client broke the protocol. The harness's transcript is shown.
#[track_caller]
pub fn play<H: Handler>(harness: &mut Harness<H>, conversations: &[Conversation]) -> Vec<Vec<OwnedFrame>> {
    let mut players: Vec<Player<'_>> =
        conversations.iter().map(|conversation| Player::new(conversation, harness.connect_raw())).collect();
    let mut rounds = 0;
    loop {
        let mut moved = false;
        for player in &mut players {
            moved |= player.speak();
        }
        moved |= !harness.step().is_idle();
        for player in &mut players {
            moved |= player.listen().unwrap_or_else(|why| panic!("{why}\nwhat passed last:\n{}", harness.transcript()));
        }
        if !moved {
            break;
        }
        rounds += 1;
        assert!(rounds < MAX_ROUNDS, "no end after {rounds} rounds; what passed last:\n{}", harness.transcript());
    }
    for player in &players {
        if let Some(what) = player.strict.unanswered() {
            panic!("the broker is at rest and owes {what}\nwhat passed last:\n{}", harness.transcript());
        }
    }
    let heard = players.into_iter().map(|player| player.heard).collect();
    harness.settle();
    heard
}

/// One client.
struct Player<'c> {
    conversation: &'c Conversation,
    stream: MemoryStream,
    strict: StrictClient,
    /// Frames that were said, or left out.
    at: usize,
    /// What is said and not written yet.
    out: Vec<u8>,
    heard: Vec<OwnedFrame>,
    is_closed: bool,
}

impl<'c> Player<'c> {
    fn new(conversation: &'c Conversation, stream: MemoryStream) -> Player<'c> {
        let strict = StrictClient::new();
        Player { conversation, stream, strict, at: 0, out: Vec::new(), heard: Vec::new(), is_closed: false }
    }

    /// Says the next burst, as far as there is room for it; false if there was nothing to say.
    fn speak(&mut self) -> bool {
        if self.out.is_empty() {
            let frames = &self.conversation.frames()[self.at..];
            for frame in frames.iter().take(self.conversation.burst()) {
                self.at += 1;
                if self.strict.may_send(&frame.as_frame()) {
                    self.strict.sends(&frame.as_frame());
                    self.out.extend(frame.to_bytes());
                }
            }
        }
        if self.is_closed {
            self.out.clear();
        }
        match self.stream.write(&self.out) {
            _ if self.out.is_empty() => self.at < self.conversation.frames().len(),
            Ok(written) => {
                self.out.drain(..written);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(_) => {
                // The broker has gone; what it said last is still to be heard.
                self.out.clear();
                self.at = self.conversation.frames().len();
                true
            }
        }
    }

    /// Hears all that has come; false if that was nothing.
    fn listen(&mut self) -> Result<bool, String> {
        let mut buf = [0; 4096];
        let mut has_heard = false;
        while !self.is_closed {
            match self.stream.read(&mut buf) {
                Ok(0) => {
                    self.is_closed = true;
                    if !self.strict.is_over() {
                        return Err("the broker closed a connection without a last frame".to_owned());
                    }
                }
                Ok(n) => {
                    self.heard.extend(self.strict.receives(&buf[..n]).map_err(|rule| rule.to_string())?);
                    has_heard = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("the broker cut a connection off: {error}")),
            }
        }
        if let Some(frame @ Frame::Error { code, .. }) = self.heard.last().map(OwnedFrame::as_frame)
            && PROTOCOL_CODES.contains(&code.value())
        {
            return Err(format!("the broker found fault with a valid conversation: {frame:?}"));
        }
        Ok(has_heard)
    }
}
