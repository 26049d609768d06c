//! The publishers: within their window, the broker's credit, and the pace.

use super::Load;
use crate::Result;
use crate::frames::{self, RELAY_ACK_TYPE};
use crate::plan::Pace;
use crate::socket::Socket;
use crate::target::Target;
use msglib_proto::FrameType;
use std::time::Instant;

pub(super) struct Publisher {
    pub(super) socket: Socket,
    pub(super) published: u64,
    pub(super) confirmed: u64,
    pub(super) allowed: u64,
}

/// What is left of a burst, and when the next begins.
#[derive(Default)]
pub(super) struct Burst {
    left: u64,
    resume: Option<Instant>,
}

impl Load<'_> {
    pub(super) fn publish(&mut self) -> Result<()> {
        let (window, chunk, publishers) = (self.plan.window, self.plan.chunk(), self.publishers.len());
        let mut room = (window * publishers as u64 + self.plan.waiting).saturating_sub(self.published - self.through());
        room = room.min(self.quota - self.published).min(self.pace_allows());
        self.first = (self.first + 1) % publishers;
        for index in (self.first..publishers).chain(0..self.first) {
            if room == 0 {
                break;
            }
            let mut count = room.min(self.publisher_may(index));
            // In whole chunks, but for the last one of all.
            if count < self.quota - self.published {
                count -= count % chunk;
            }
            room -= count;
            self.publish_from(index, count)?;
        }
        if self.plan.waiting > 0 { self.allow_deliveries() } else { Ok(()) }
    }

    fn publisher_may(&self, index: usize) -> u64 {
        let publisher = &self.publishers[index];
        if !publisher.socket.is_flushed() {
            return 0;
        }
        let window = match self.target {
            Target::Relay => self.plan.window,
            _ => self.plan.window - (publisher.published - publisher.confirmed),
        };
        window.min(publisher.allowed - publisher.published)
    }

    fn publish_from(&mut self, index: usize, mut count: u64) -> Result<()> {
        let publisher = &mut self.publishers[index];
        while count > 0 {
            let now = self.epoch.elapsed().as_nanos() as u64;
            let (taken, bytes) = self.publishes.take(count, publisher.published + 1, self.published + 1, now);
            publisher.socket.send(bytes)?;
            publisher.published += taken;
            self.published += taken;
            self.burst.left = self.burst.left.saturating_sub(taken);
            count -= taken;
        }
        Ok(())
    }

    fn pace_allows(&mut self) -> u64 {
        let Pace::Bursts { size, pause } = self.plan.pace else { return u64::MAX };
        if self.burst.left == 0 && self.through() == self.published {
            let now = Instant::now();
            let resume = *self.burst.resume.get_or_insert(now + pause);
            if now >= resume {
                self.burst = Burst { left: size, resume: None };
            }
        }
        self.burst.left
    }

    pub(super) fn hear_outcomes(&mut self, index: usize) -> Result<()> {
        const CONFIRMED: u16 = FrameType::Confirmed.value();
        const CREDIT: u16 = FrameType::Credit.value();
        let Publisher { socket, confirmed, allowed, .. } = &mut self.publishers[index];
        let mut more = true;
        while more {
            more = socket.receive(&mut self.block, |frame_type, frame| {
                match frame_type {
                    CONFIRMED => *confirmed = frames::number(frame, 12),
                    CREDIT => *allowed = frames::number(frame, 12),
                    RELAY_ACK_TYPE => *confirmed += 1,
                    _ => frames::check_other(frame)?,
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
