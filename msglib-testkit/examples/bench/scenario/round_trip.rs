//! From A through the server to B and back again; both ends look without a pause, so that only the server may sleep.
//!
//! The publishes ask for no confirm, for the answer is one, and the floor sends none either.

use crate::Result;
use crate::frames::{self, DELIVERY, PUBLISH, bytes_of};
use crate::sample::{Latency, Sample};
use crate::server::Server;
use crate::socket::{ReadBlock, Socket};
use crate::target::Target;
use msglib_proto::{Frame, FrameType, Payload};
use std::time::{Duration, Instant};

/// Each end publishes on link 1 and consumes on link 2.
const TO_PEER: u32 = 1;
const FROM_PEER: u32 = 2;

/// One of the two.
struct End<'a> {
    socket: Socket,
    target: &'a Target,
    /// Messages sent, which is also the tag of the last delivery: they take turns.
    count: u64,
    payload: [u8; 128],
}

pub(super) fn measure(server: &Server, target: &Target, warm_up: Duration, time: Duration) -> Result<Sample> {
    let mut block = ReadBlock::new();
    // A relay takes the consumer first.
    let mut b = End::connect(server, target, 2, 1, &mut block)?;
    let mut a = End::connect(server, target, 1, 2, &mut block)?;
    let begin = Instant::now();
    while begin.elapsed() < warm_up {
        round(&mut a, &mut b, &mut block)?;
    }
    let (mut latency, mut rounds) = (Latency::new(), 0);
    latency.start();
    let (cpu, begin) = (server.cpu()?, Instant::now());
    while begin.elapsed() < time {
        let start = Instant::now();
        round(&mut a, &mut b, &mut block)?;
        latency.add(start.elapsed().as_nanos() as u64);
        rounds += 1;
    }
    let mut sample = Sample::new(2 * rounds, begin.elapsed(), server.cpu()? - cpu);
    latency.end_of_batch();
    sample.latency = latency.take();
    sample.peak = server.peak_resident()?;
    Ok(sample)
}

fn round(a: &mut End<'_>, b: &mut End<'_>, block: &mut ReadBlock) -> Result<()> {
    a.send(a.count)?;
    b.receive(block)?;
    b.send(b.count + 1)?;
    a.receive(block)
}

impl End<'_> {
    fn connect<'a>(server: &Server, target: &'a Target, to: u64, from: u64, block: &mut ReadBlock) -> Result<End<'a>> {
        let mut end = End { socket: Socket::connect(server.address)?, target, count: 0, payload: [b'x'; 128] };
        if !target.is_floor() {
            let (publishes, consumes) = (frames::open(TO_PEER, to, true), frames::open(FROM_PEER, from, false));
            let credit = Frame::Credit { link: FROM_PEER, upto: u64::MAX };
            end.socket.send(&bytes_of([frames::hello(), publishes, consumes, credit])?)?;
            end.socket.wait_for(block, FrameType::Credit.value())?;
        }
        Ok(end)
    }

    /// The next message, and with it the ack of the one that came before, up to the tag `received`.
    fn send(&mut self, received: u64) -> Result<()> {
        self.count += 1;
        let (link, number, payload) = (TO_PEER, self.count, Payload::from(&self.payload));
        let publish = Frame::Publish { link, number, confirm: false, payload };
        let bytes = match received {
            0 => bytes_of([publish])?,
            _ if self.target.is_floor() => bytes_of([publish])?,
            tag => bytes_of([Frame::Ack { link: FROM_PEER, first: tag, last: tag }, publish])?,
        };
        self.socket.send(&bytes)
    }

    fn receive(&mut self, block: &mut ReadBlock) -> Result<()> {
        self.socket.wait_for(block, if self.target.is_floor() { PUBLISH } else { DELIVERY })
    }
}
