//! Rung 5 of the ladder of control: a wire format of one's own. Lines of text, of at most 100 bytes, on the same broker and loop.
//!
//! Run it with `cargo run --example own_dialect`; it plays a small scene in memory and tells what happens.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::{Broker, BrokerConfig, Context, Dialect, Event, FrameBuffer, Handler, Peer, Reject, SendError};
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::SendQueue;
use std::io::{Read, Write};

struct Lines;

impl Dialect for Lines {
    type Decoder = FrameBuffer;
    type Session = ();
    type Frame<'a> = &'a [u8];
    type Answer<'a> = &'a [u8];
    type Error = &'static str;

    fn open(&self, _: &Peer) -> (FrameBuffer, ()) {
        (FrameBuffer::new(), ())
    }
    fn decode<'a, 'i: 'a>(buffer: &'a mut FrameBuffer, input: &mut &'i [u8]) -> Result<Option<&'a [u8]>, &'static str> {
        let line = buffer.next(input, |front| match front.iter().take(100).position(|byte| *byte == b'\n') {
            Some(end) => Ok(end + 1),
            None if front.len() < 100 => Ok(front.len() + 1),
            None => Err("a line has at most 100 bytes"),
        })?;
        Ok(line.map(|line| line.trim_ascii_end()))
    }
    fn send(&self, (): &mut (), answer: &&[u8], out: &mut SendQueue) -> Result<(), SendError> {
        out.put(answer);
        out.put(b"\n");
        Ok(())
    }
    fn failed(&self, (): &mut (), error: &&'static str, out: &mut SendQueue) {
        out.put(error.as_bytes());
    }
}

/// A handler of that dialect: says everything back, in capitals.
struct Shout;

impl Handler<Lines> for Shout {
    fn handle(&mut self, cx: &mut Context<'_, Lines>, event: Event<'_, Lines>) -> Result<(), Reject> {
        if let Event::Frame { from, frame } = event {
            let _ = cx.send(from, &frame.to_ascii_uppercase());
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let transport = Transport::new();
    let manager = InMemoryConnectionManager::new(&transport, "lines")?;
    let mut broker = Broker::with_config(Shout, manager, Lines, BrokerConfig::default());
    let mut client = transport.connect("lines")?;
    for said in ["hello\nwor", "ld\r\n", &"x".repeat(200)] {
        client.write_all(said.as_bytes())?;
        broker.process_connections()?;
        let mut heard = [0; 1000];
        let length = client.read(&mut heard)?;
        println!("{:?}", String::from_utf8_lossy(&heard[..length]));
    }
    Ok(())
}
