//! Very many queues with a few messages each: what a queue costs, and what finding it costs.

use crate::Result;
use crate::frames::{self, DELIVERY, STAMP, bytes_of};
use crate::load::{LOOK, STALL};
use crate::sample::Sample;
use crate::server::Server;
use crate::socket::{ReadBlock, Socket};
use msglib_proto::{Frame, FrameType, Payload};
use std::time::{Duration, Instant};

/// Links of one connection; a connection may have 65,536.
const LINKS: usize = 50_000;
/// Messages under way at once.
const WINDOW: u64 = 1_000;
/// Names of queues begin here, far from that of the flow beside them.
const FIRST_QUEUE: u64 = 1_000_000;
/// Of each payload, in bytes.
const PAYLOAD: usize = 128;

/// Fills and empties `queues` with `each` messages, and looks at memory and CPU in between.
pub(super) fn measure(server: &Server, queues: usize, each: u64) -> Result<Sample> {
    let (empty, cpu, begin) = (server.resident()?, server.cpu()?, Instant::now());
    let publishers = fill(server, queues, each)?;
    let (full, filled) = (server.resident()?, server.cpu()?);
    let consumers = drain(server, queues, each)?;
    let (done, wall) = (server.cpu()?, begin.elapsed());
    drop((publishers, consumers));

    let messages = queues as u64 * each;
    let mut sample = Sample::new(messages, wall, done - cpu);
    sample.peak = server.peak_resident()?;
    let per_message = |time: Duration| time.as_nanos() as f64 / messages as f64;
    Ok(sample
        .with_figure("memory for each queue", (full - empty) as f64 / queues as f64, "bytes")
        .with_figure("of it payload", (each as usize * PAYLOAD) as f64, "bytes")
        .with_figure("filling", per_message(filled - cpu), "ns/msg")
        .with_figure("emptying", per_message(done - filled), "ns/msg"))
}

/// Opens `queues` and publishes `each` messages to each of them; the links live as long as what is returned.
pub(super) fn fill(server: &Server, queues: usize, each: u64) -> Result<Vec<Socket>> {
    const CONFIRMED: u16 = FrameType::Confirmed.value();
    let payload = [b'x'; if PAYLOAD < STAMP { STAMP } else { PAYLOAD }];
    over_links(queues, |first, links| {
        let mut connection = Pipeline::connect(server)?;
        // Of each link: the last number that was confirmed.
        let mut upto = vec![0; links + 1];
        let ask = |link: u32| {
            let publish = |number| Frame::Publish { link, number, confirm: true, payload: Payload::from(&payload) };
            let open = frames::open(link, first + u64::from(link), true);
            bytes_of(std::iter::once(open).chain((1..=each).map(publish)))
        };
        connection.run(links, each, ask, |frame_type, frame, _| {
            if frame_type != CONFIRMED {
                return frames::check_other(frame).map(|()| 0);
            }
            let (last, now) = (&mut upto[frames::link_of(frame) as usize], frames::number(frame, 12));
            Ok(now - std::mem::replace(last, now))
        })?;
        Ok(connection.socket)
    })
}

/// Takes `each` messages from each of `queues`, and acks them.
fn drain(server: &Server, queues: usize, each: u64) -> Result<Vec<Socket>> {
    over_links(queues, |first, links| {
        let mut connection = Pipeline::connect(server)?;
        let ask = |link: u32| {
            bytes_of([frames::open(link, first + u64::from(link), false), Frame::Credit { link, upto: each }])
        };
        connection.run(links, each, ask, |frame_type, frame, out| {
            if frame_type != DELIVERY {
                return frames::check_other(frame).map(|()| 0);
            }
            let (link, tag) = (frames::link_of(frame), frames::number(frame, 12));
            if tag == each {
                out.extend(bytes_of([Frame::Ack { link, first: 1, last: tag }])?);
            }
            Ok(1)
        })?;
        Ok(connection.socket)
    })
}

/// As many connections as that many links need: for each the number before its first queue's, and how many it has.
fn over_links(queues: usize, mut each: impl FnMut(u64, usize) -> Result<Socket>) -> Result<Vec<Socket>> {
    (0..queues).step_by(LINKS).map(|first| each(FIRST_QUEUE + first as u64, LINKS.min(queues - first))).collect()
}

/// One connection with very many links, a window of messages under way.
struct Pipeline {
    socket: Socket,
    block: ReadBlock,
}

impl Pipeline {
    fn connect(server: &Server) -> Result<Pipeline> {
        let mut pipeline = Pipeline { socket: Socket::connect(server.address)?, block: ReadBlock::new() };
        pipeline.socket.send(&bytes_of([frames::hello()])?)?;
        // Before it no more than 16 links may be opened (PROTOCOL §5.2).
        pipeline.socket.wait_for(&mut pipeline.block, FrameType::Welcome.value())?;
        Ok(pipeline)
    }

    /// Sends `ask(link)` for each link, which moves `each` messages, until `answer` has counted all of them. What
    /// `answer` appends to its last argument is sent.
    fn run(
        &mut self,
        links: usize,
        each: u64,
        ask: impl Fn(u32) -> Result<Vec<u8>>,
        mut answer: impl FnMut(u16, &[u8], &mut Vec<u8>) -> Result<u64>,
    ) -> Result<()> {
        let (mut asked, mut answered, mut out) = (0, 0, Vec::new());
        let mut progress = Instant::now();
        while answered < links as u64 * each {
            while asked < links && asked as u64 * each - answered < WINDOW {
                asked += 1;
                out.extend(ask(asked as u32)?);
            }
            self.socket.flush()?;
            self.socket.send(&std::mem::take(&mut out))?;
            let look = Instant::now() + LOOK;
            while Instant::now() < look {
                std::hint::spin_loop();
            }
            let before = answered;
            while self.socket.receive(&mut self.block, |frame_type, frame| {
                answered += answer(frame_type, frame, &mut out)?;
                Ok(())
            })? {}
            if answered > before {
                progress = Instant::now();
            } else if progress.elapsed() > STALL {
                return Err(
                    format!("nothing came for {STALL:?}: {answered} messages of {asked} queues are through").into()
                );
            }
        }
        self.socket.send(&out)
    }
}
