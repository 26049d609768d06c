//! The consumers: they count what comes, and ack it.

use super::Load;
use crate::Result;
use crate::frames::{self, DELIVERY, PUBLISH, bytes_of};
use crate::socket::Socket;
use crate::target::Target;
use msglib_proto::Frame;

pub(super) struct Consumer {
    pub(super) socket: Socket,
    pub(super) delivered: u64,
    pub(super) allowed: u64,
}

impl Load<'_> {
    /// Credit for all that is beyond what is to be kept waiting.
    pub(super) fn allow_deliveries(&mut self) -> Result<()> {
        if self.target.is_floor() {
            return Ok(());
        }
        let upto = match self.plan.waiting {
            0 => u64::MAX,
            waiting => self.published.saturating_sub(waiting),
        };
        for consumer in &mut self.consumers {
            if upto > consumer.allowed {
                consumer.allowed = upto;
                consumer.socket.send(&bytes_of([Frame::Credit { link: 1, upto }])?)?;
            }
        }
        Ok(())
    }

    pub(super) fn consume(&mut self, index: usize) -> Result<()> {
        let mut more = true;
        while more {
            let consumer = &mut self.consumers[index];
            let (mut count, mut sequences) = (0, 0_u64);
            let now = self.epoch.elapsed().as_nanos() as u64;
            let latency = &mut self.latency;
            more = consumer.socket.receive(&mut self.block, |frame_type, frame| {
                if frame_type != DELIVERY && frame_type != PUBLISH {
                    return frames::check_other(frame);
                }
                let (sent, sequence) = frames::stamp_of(frame_type, frame);
                latency.add(now.saturating_sub(sent));
                sequences = sequences.wrapping_add(sequence);
                count += 1;
                Ok(())
            })?;
            latency.end_of_batch();
            self.delivered += count;
            self.sequences = self.sequences.wrapping_add(sequences);
            if count > 0 {
                self.ack(index, count)?;
            }
        }
        Ok(())
    }

    /// One range for all that one read has brought; an ack each for the floor.
    fn ack(&mut self, index: usize, count: u64) -> Result<()> {
        let consumer = &mut self.consumers[index];
        let first = consumer.delivered + 1;
        consumer.delivered += count;
        match self.target {
            Target::Relay => Ok(()),
            // Nothing of a topic is in flight.
            _ if self.plan.fans_out => Ok(()),
            Target::RelayAck => {
                let bytes = count as usize * frames::RELAY_ACK;
                if self.relay_acks.len() < bytes {
                    self.relay_acks = bytes_of([frames::relay_ack()])?.repeat(count as usize);
                }
                consumer.socket.send(&self.relay_acks[..bytes])
            }
            _ => consumer.socket.send(&bytes_of([Frame::Ack { link: 1, first, last: consumer.delivered }])?),
        }
    }
}
