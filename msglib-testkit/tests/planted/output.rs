//! Bugs in what a broker says: its frames are taken apart on their way out, and some are changed.

use msglib_broker::transport::{Close, Readiness, Waker};
use msglib_broker::{ConnectionId, ConnectionManager, ErrorCode, Frame, Instant, Payload};
use msglib_proto::{Decoder, Feature, Limits, SendQueue, encode};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::time::Duration;

/// Puts what is to be said instead of a frame into the queue; `nth` counts the frames of that connection from 0.
pub type Rewrite = fn(nth: u64, frame: &Frame<'_>, out: &mut SendQueue);

/// A connection manager whose broker says something else.
pub struct Output<M> {
    inner: M,
    rewrite: Rewrite,
    streams: BTreeMap<ConnectionId, Stream>,
}

struct Stream {
    decoder: Decoder,
    frames: u64,
    out: SendQueue,
}

impl<M: ConnectionManager> Output<M> {
    pub fn new(inner: M, rewrite: Rewrite) -> Output<M> {
        Output { inner, rewrite, streams: BTreeMap::new() }
    }

    /// The pipes have room for everything, so all of it goes at once.
    fn flush(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        while !stream.out.is_empty() {
            let written = self.inner.write(id, &[IoSlice::new(stream.out.first_segment())])?;
            stream.out.advance(written);
        }
        Ok(())
    }
}

impl<M: ConnectionManager> ConnectionManager for Output<M> {
    fn now(&self) -> Instant {
        self.inner.now()
    }
    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.poll(ready, timeout)
    }
    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(id, buf)
    }
    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(id)?;
        let fresh = || {
            let mut decoder = Decoder::new(&Limits::default());
            // A frame of a feature is said only where it was agreed on.
            decoder.agree_on(Feature::all_bits());
            Stream { decoder, frames: 0, out: SendQueue::new() }
        };
        let stream = self.streams.entry(id).or_insert_with(fresh);
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        let mut input = &bytes[..];
        while let Ok(Some(frame)) = stream.decoder.decode(&mut input) {
            (self.rewrite)(stream.frames, &frame, &mut stream.out);
            stream.frames += 1;
        }
        match self.flush(id) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(bytes.len()),
        }
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        self.streams.remove(&id);
        self.inner.close(id, how);
    }
    fn draining(&self) -> usize {
        self.inner.draining()
    }
    fn waker(&self) -> Option<Waker> {
        self.inner.waker()
    }
    fn seed(&mut self) -> u128 {
        self.inner.seed()
    }
}

pub fn say(out: &mut SendQueue, frame: &Frame<'_>) {
    encode(frame, out).expect("the frame has an encoding");
}

/// Bug by bug: what the frame turns into.
macro_rules! rewrites {
    ($($name:ident: |$nth:ident, $out:ident| { $($pattern:pat $(if $guard:expr)? => $body:expr),+ $(,)? };)+) => {
        $(
            pub fn $name($nth: u64, frame: &Frame<'_>, $out: &mut SendQueue) {
                let _ = $nth;
                match *frame {
                    $($pattern $(if $guard)? => $body,)+
                    #[allow(unreachable_patterns, reason = "the honest one takes all")]
                    _ => say($out, frame),
                }
            }
        )+
    };
}

rewrites! {
    nothing: |nth, out| { ref frame => say(out, frame) };
    confirms_twice: |nth, out| {
        Frame::Confirmed { link, upto } => for _ in 0..2 { say(out, &Frame::Confirmed { link, upto }) },
    };
    confirms_too_much: |nth, out| {
        Frame::Confirmed { link, upto } => say(out, &Frame::Confirmed { link, upto: upto + 1 }),
    };
    confirms_too_little: |nth, out| {
        Frame::Confirmed { link, upto } if upto > 1 => say(out, &Frame::Confirmed { link, upto: upto - 1 }),
    };
    loses_confirms: |nth, out| { Frame::Confirmed { .. } if nth.is_multiple_of(3) => {} };
    loses_refusals: |nth, out| { Frame::Refused { .. } if nth.is_multiple_of(3) => {} };
    refuses_too_much: |nth, out| {
        Frame::Refused { link, first, last, code, text } => {
            say(out, &Frame::Refused { link, first, last: last + 1, code, text });
        },
    };
    refuses_what_it_took: |nth, out| {
        Frame::Confirmed { link, upto } => {
            say(out, &Frame::Refused { link, first: upto, last: upto, code: ErrorCode::BUSY, text: "" });
            say(out, &Frame::Confirmed { link, upto });
        },
    };
    allows_too_much: |nth, out| {
        Frame::Credit { link, upto } => say(out, &Frame::Credit { link, upto: upto + 3_000 }),
    };
    takes_credit_back: |nth, out| {
        Frame::Credit { link, upto } => for less in 0..2 { say(out, &Frame::Credit { link, upto: upto - less }) },
    };
    loses_credit: |nth, out| { Frame::Credit { .. } if nth.is_multiple_of(3) => {} };
    skips_tags: |nth, out| {
        Frame::Delivery { link, tag, count, payload } if nth.is_multiple_of(5) => {
            say(out, &Frame::Delivery { link, tag: tag + 1, count, payload });
        },
    };
    loses_deliveries: |nth, out| { Frame::Delivery { .. } if nth.is_multiple_of(5) => {} };
    delivers_twice: |nth, out| {
        Frame::Delivery { link, tag, count, payload } if nth.is_multiple_of(5) => {
            say(out, &Frame::Delivery { link, tag, count, payload });
            say(out, &Frame::Delivery { link, tag: tag + 1, count: count + 1, payload });
        },
    };
    counts_nothing: |nth, out| {
        Frame::Delivery { link, tag, payload, .. } => say(out, &Frame::Delivery { link, tag, count: 1, payload }),
    };
    counts_double: |nth, out| {
        Frame::Delivery { link, tag, count, payload } => {
            say(out, &Frame::Delivery { link, tag, count: 2 * count, payload });
        },
    };
    changes_a_bit: |nth, out| {
        Frame::Delivery { link, tag, count, payload } => {
            let mut changed = payload.as_slice().to_vec();
            if let Some(last) = changed.last_mut() {
                *last ^= 1;
            }
            say(out, &Frame::Delivery { link, tag, count, payload: Payload::from(&changed) });
        },
    };
    cuts_payloads: |nth, out| {
        Frame::Delivery { link, tag, count, payload } => {
            let cut = payload.as_slice().split_last().map_or(&[][..], |(_, cut)| cut);
            say(out, &Frame::Delivery { link, tag, count, payload: Payload::from(cut) });
        },
    };
    opens_twice: |nth, out| {
        Frame::Opened { link } => for _ in 0..2 { say(out, &Frame::Opened { link }) },
    };
    opens_nothing: |nth, out| { Frame::Opened { .. } => {} };
    closes_nothing: |nth, out| { Frame::Closed { .. } => {} };
    welcomes_twice: |nth, out| {
        Frame::Welcome(welcome) => for _ in 0..2 { say(out, &Frame::Welcome(welcome)) },
    };
    says_nothing_to_pings: |nth, out| { Frame::Pong { .. } => {} };
    answers_other_pings: |nth, out| { Frame::Pong { token } => say(out, &Frame::Pong { token: token + 1 }) };
    talks_on: |nth, out| {
        Frame::Goodbye { code, text } => {
            say(out, &Frame::Goodbye { code, text });
            say(out, &Frame::Ping { token: 1 });
        },
    };
    blames_the_innocent: |nth, out| {
        Frame::Goodbye { text, .. } => say(out, &Frame::Error { code: ErrorCode::BAD_LINK, offset: 0, text }),
    };
    makes_noise: |nth, out| {
        Frame::Confirmed { .. } => out.put(b"HTTP/1.1 400 Bad Request"),
    };
}
