//! What is to flow in a scenario.

use crate::Result;
use crate::frames::Publishes;
use crate::server::Shape;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) publishers: usize,
    pub(crate) consumers: usize,
    /// Of the payloads, in bytes; over and over.
    pub(crate) sizes: Vec<usize>,
    /// Messages in flight for each publisher, which tops up in quarters of it.
    pub(crate) window: u64,
    /// Messages that are kept waiting at the queue: the consumer allows no more than what is beyond them.
    pub(crate) waiting: u64,
    pub(crate) pace: Pace,
    /// Each message goes to every consumer, and what is counted are the deliveries.
    pub(crate) fans_out: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// As fast as the window allows.
    Steady,
    /// So many at once; a pause when all are through; again.
    Bursts { size: u64, pause: Duration },
}

impl Plan {
    pub(crate) fn new(publishers: usize, consumers: usize) -> Plan {
        Plan {
            publishers,
            consumers,
            sizes: vec![128; 1_000],
            window: 1_000,
            waiting: 0,
            pace: Pace::Steady,
            fans_out: false,
        }
    }

    pub(crate) fn chunk(&self) -> u64 {
        (self.window / 4).max(1)
    }

    /// Deliveries of each message.
    pub(crate) fn copies(&self) -> u64 {
        if self.fans_out { self.consumers as u64 } else { 1 }
    }

    /// What a server is told of it.
    pub(crate) fn shape(&self) -> Result<Shape> {
        let frame = Publishes::encode(&self.sizes[..1])?.frame_size();
        Ok(Shape { publishers: self.publishers, consumers: self.consumers, frame, fans_out: self.fans_out })
    }
}
