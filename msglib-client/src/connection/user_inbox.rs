//! Frames of the user's own that have arrived and were not taken: bounded, for nothing on the wire limits them.

use crate::session::UserFrame;
use std::collections::VecDeque;

/// The most frames that wait.
const FRAMES: usize = 1024;
/// The most bytes that wait; one frame may exceed it, if no other waits.
const BYTES: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct UserInbox {
    frames: VecDeque<UserFrame>,
    bytes: usize,
    dropped: u64,
}

impl UserInbox {
    /// Keeps the frame, or counts it as dropped if the inbox is full.
    pub(super) fn push(&mut self, frame: UserFrame) {
        let fits = self.frames.len() < FRAMES && self.bytes + frame.body.len() <= BYTES;
        if !fits && !self.frames.is_empty() {
            self.dropped += 1;
            return;
        }
        self.bytes += frame.body.len();
        self.frames.push_back(frame);
    }

    pub(super) fn pop(&mut self) -> Option<UserFrame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.body.len();
        Some(frame)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> UserFrame {
        UserFrame { kind: 0x8000, flags: 0, link: 0, body: vec![0; length].into() }
    }

    #[test]
    fn frames_and_bytes_are_bounded_and_what_is_dropped_is_counted() {
        let mut inbox = UserInbox::default();
        (0..FRAMES + 2).for_each(|_| inbox.push(frame(0)));
        assert_eq!((inbox.frames.len(), inbox.dropped()), (FRAMES, 2));
        while inbox.pop().is_some() {}
        inbox.push(frame(2 * BYTES));
        inbox.push(frame(1));
        assert_eq!((inbox.frames.len(), inbox.dropped()), (1, 3));
        inbox.pop();
        inbox.push(frame(BYTES));
        assert_eq!((inbox.frames.len(), inbox.bytes), (1, BYTES));
    }
}
