//! Peers that others must not notice: they allow all deliveries and read none, or ask and do not read the answers.

use crate::Result;
use crate::frames::{self, bytes_of};
use crate::load::STALL;
use crate::server::Server;
use crate::socket::{ReadBlock, Socket};
use msglib_proto::{Frame, FrameType, Payload};
use socket2::SockRef;
use std::time::{Duration, Instant};

/// What they are sent, far from the queue of the flow beside them.
const QUEUE: u64 = 2_000_000;
/// Of each message, in bytes.
const SIZE: usize = 16_384;
/// More than one of them takes: the broker's mark, and what the system buffers.
const MESSAGES_EACH: u64 = 60;
/// Pings of one turn, more than an unread connection is answered in all.
const PINGS: usize = 20_000;

/// Connects `count` consumers and `count` askers, and waits until the broker has nothing more for any of them. What is returned
/// keeps them there.
pub(super) fn connect(server: &Server, count: usize) -> Result<Vec<Socket>> {
    let mut connections = Vec::new();
    let consume = [frames::hello(), frames::open(1, QUEUE, false), Frame::Credit { link: 1, upto: u64::MAX }];
    let ask: Vec<Frame<'_>> = (0..PINGS).map(|_| Frame::Ping { token: 1 }).collect();
    let (consume, ask) = (bytes_of(consume)?, bytes_of([frames::hello()].into_iter().chain(ask))?);
    for _ in 0..count {
        for words in [&consume, &ask] {
            let mut socket = Socket::connect(server.address)?;
            // So that the system takes little for them, and the broker meets its own mark.
            SockRef::from(&socket.stream).set_recv_buffer_size(4_096)?;
            socket.send(words)?;
            connections.push(socket);
        }
    }
    connections.push(publish(server, count as u64 * MESSAGES_EACH)?);
    Ok(connections)
}

/// Publishes until all are confirmed.
fn publish(server: &Server, count: u64) -> Result<Socket> {
    let (mut socket, mut block) = (Socket::connect(server.address)?, ReadBlock::new());
    socket.send(&bytes_of([frames::hello(), frames::open(1, QUEUE, true)])?)?;
    let payload = vec![b'x'; SIZE];
    let (mut sent, mut confirmed, begin) = (0, 0, Instant::now());
    while confirmed < count {
        // Within what the protocol allows before the first credit (PROTOCOL §6.2).
        while sent < count && sent - confirmed < 16 {
            sent += 1;
            let publish = Frame::Publish { link: 1, number: sent, confirm: true, payload: Payload::from(&payload) };
            socket.send(&bytes_of([publish])?)?;
        }
        socket.flush()?;
        socket.receive(&mut block, |frame_type, frame| {
            if frame_type == FrameType::Confirmed.value() {
                confirmed = frames::number(frame, 12);
                return Ok(());
            }
            frames::check_other(frame)
        })?;
        if begin.elapsed() > STALL {
            return Err(format!("{confirmed} of {count} messages for those who do not read were confirmed").into());
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    Ok(socket)
}
