//! A stream in memory, with a scripted broker at its other end.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::disallowed_types, reason = "threads are what is tested with some of it")]

use msglib_client::{Connection, Error};
use msglib_proto::{Decoder, ErrorCode, Feature, Frame, Limits, Payload, SendQueue, Welcome, encode};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// A test that hangs fails after this.
const SAFETY_NET: Duration = Duration::from_secs(10);

/// What happens to reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// The most that one read or write moves.
    pub(crate) chunk: usize,
    /// The reads and writes, counted together from 0, that say `WouldBlock`.
    pub(crate) would_block_at: fn(u64, u64) -> bool,
    pub(crate) argument: u64,
    /// After so many bytes of the broker the stream ends.
    pub(crate) cut_after: Option<usize>,
    /// The most bytes that wait for the broker to take them.
    pub(crate) room: usize,
    /// Reads wait.
    pub(crate) blocking: bool,
    /// Writes wait for room.
    pub(crate) blocking_writes: bool,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            chunk: usize::MAX,
            would_block_at: |_, _| false,
            argument: 0,
            cut_after: None,
            room: usize::MAX,
            blocking: false,
            blocking_writes: false,
        }
    }
}

struct Inner {
    faults: Faults,
    operations: u64,
    to_client: VecDeque<u8>,
    delivered: usize,
    /// The broker's stream has ended.
    ended: bool,
    /// Writes fail from now on.
    write_error: Option<io::ErrorKind>,
    /// All that the client ever wrote.
    from_client: Vec<u8>,
    /// How much of it the broker has looked at.
    taken: usize,
    /// Readers that wait now.
    waiting: usize,
}

/// Both ends of the stream.
#[derive(Clone)]
pub(crate) struct Wire {
    inner: Arc<(Mutex<Inner>, Condvar)>,
}

impl Wire {
    pub(crate) fn new(faults: Faults) -> Wire {
        let inner = Inner {
            faults,
            operations: 0,
            to_client: VecDeque::new(),
            delivered: 0,
            ended: false,
            write_error: None,
            from_client: Vec::new(),
            taken: 0,
            waiting: 0,
        };
        Wire { inner: Arc::new((Mutex::new(inner), Condvar::new())) }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::from_halves(Half(self.clone()), Half(self.clone()))
    }

    /// The client's end, as one stream.
    pub(crate) fn stream(&self) -> Half {
        Half(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.0.lock().unwrap()
    }

    /// Waits until `done`, or fails.
    #[allow(clippy::disallowed_methods, reason = "a test that hangs fails")]
    fn wait_for<'a>(&'a self, inner: MutexGuard<'a, Inner>, done: impl Fn(&Inner) -> bool) -> MutexGuard<'a, Inner> {
        let (inner, timeout) = self.inner.1.wait_timeout_while(inner, SAFETY_NET, |inner| !done(inner)).unwrap();
        assert!(!timeout.timed_out(), "the test hangs");
        inner
    }

    /// Waits until the client has a read that waits.
    pub(crate) fn wait_for_reader(&self) {
        drop(self.wait_for(self.lock(), |inner| inner.waiting > 0 && inner.to_client.is_empty()));
    }

    /// Waits until the client has written `n` bytes more than the broker has taken.
    pub(crate) fn wait_for_bytes(&self, n: usize) {
        drop(self.wait_for(self.lock(), |inner| inner.from_client.len() >= inner.taken + n));
    }

    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.lock().to_client.extend(bytes);
        self.inner.1.notify_all();
    }

    pub(crate) fn send(&self, frame: Frame<'_>) {
        self.send_bytes(&bytes(frame));
    }

    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.inner.1.notify_all();
    }

    pub(crate) fn fail_writes(&self, kind: io::ErrorKind) {
        self.lock().write_error = Some(kind);
    }

    pub(crate) fn set_room(&self, room: usize) {
        self.lock().faults.room = room;
    }

    pub(crate) fn operations(&self) -> u64 {
        self.lock().operations
    }

    pub(crate) fn delivered(&self) -> usize {
        self.lock().delivered
    }

    /// All that the client ever wrote.
    pub(crate) fn written(&self) -> Vec<u8> {
        self.lock().from_client.clone()
    }

    /// What the client wrote since the last time.
    pub(crate) fn take_written(&self) -> Vec<u8> {
        let mut inner = self.lock();
        let bytes = inner.from_client[inner.taken..].to_vec();
        inner.taken = inner.from_client.len();
        self.inner.1.notify_all();
        bytes
    }

    /// As text, the frames that the client wrote since the last time.
    pub(crate) fn frames(&self) -> Vec<String> {
        frames(&self.take_written())
    }
}

/// The client's end of a wire, or a half of it.
pub(crate) struct Half(Wire);

impl Inner {
    fn room(&self) -> usize {
        self.faults.room.saturating_sub(self.from_client.len() - self.taken)
    }

    fn fault(&mut self) -> io::Result<()> {
        let n = self.operations;
        self.operations += 1;
        if (self.faults.would_block_at)(n, self.faults.argument) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }
}

impl Read for Half {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.0.lock();
        inner.fault()?;
        if inner.faults.blocking {
            inner.waiting += 1;
            self.0.inner.1.notify_all();
            inner = self.0.wait_for(inner, |inner| !inner.to_client.is_empty() || inner.ended);
            inner.waiting -= 1;
        }
        let left = inner.faults.cut_after.map_or(usize::MAX, |cut| cut - inner.delivered);
        let n = buf.len().min(inner.faults.chunk).min(inner.to_client.len()).min(left);
        if n == 0 {
            let over = left == 0 || inner.ended;
            return if over { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        inner.to_client.drain(..n).zip(buf).for_each(|(byte, slot)| *slot = byte);
        inner.delivered += n;
        Ok(n)
    }
}

impl Write for Half {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.lock();
        inner.fault()?;
        if let Some(kind) = inner.write_error {
            return Err(kind.into());
        }
        if inner.faults.blocking_writes {
            inner = self.0.wait_for(inner, |inner| inner.room() > 0);
        }
        let room = inner.room();
        let n = buf.len().min(inner.faults.chunk).min(room);
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        inner.from_client.extend_from_slice(&buf[..n]);
        self.0.inner.1.notify_all();
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A small broker: accepts all, and delivers a message of its own for each credit.
pub(crate) struct Broker {
    wire: Wire,
    decoder: Decoder,
    /// The last tag on each link.
    delivered: BTreeMap<u32, u64>,
    /// The client has said goodbye.
    over: bool,
}

impl Broker {
    pub(crate) fn new(wire: &Wire) -> Broker {
        let delivered = BTreeMap::new();
        Broker { wire: wire.clone(), decoder: Decoder::new(&Limits::default()), delivered, over: false }
    }

    /// Answers what the client has written.
    pub(crate) fn step(&mut self) {
        let written = self.wire.take_written();
        let mut input = &written[..];
        let mut out = SendQueue::new();
        while let Some(frame) = self.decoder.decode(&mut input).expect("the client keeps the protocol") {
            answer(&frame, &mut self.delivered, &mut out);
            self.over = matches!(frame, Frame::Goodbye { .. });
        }
        self.wire.send_bytes(&out.to_vec());
    }

    /// Answers until the client has said goodbye, on a thread of its own.
    #[allow(clippy::disallowed_methods, reason = "threads are what is tested with it")]
    pub(crate) fn run(mut self) -> JoinHandle<()> {
        std::thread::spawn(move || {
            while !self.over {
                self.wire.wait_for_bytes(1);
                self.step();
            }
        })
    }
}

fn answer(frame: &Frame<'_>, delivered: &mut BTreeMap<u32, u64>, out: &mut SendQueue) {
    let mut say = |frame: Frame<'_>| encode(&frame, out).unwrap();
    match *frame {
        Frame::Hello(_) => say(Frame::Welcome(WELCOME)),
        Frame::Open(open) => {
            delivered.insert(open.link, 0);
            say(Frame::Opened { link: open.link });
        }
        Frame::Publish { link, number, confirm: true, .. } => say(Frame::Confirmed { link, upto: number }),
        Frame::Credit { link, upto } => {
            let last = delivered.insert(link, upto).unwrap();
            for tag in last + 1..=upto {
                let text = format!("message {tag}");
                say(Frame::Delivery { link, tag, count: 1, payload: Payload::from(&text[..]) });
            }
        }
        Frame::Close { link } => say(Frame::Closed { link, code: ErrorCode::NONE, text: "" }),
        Frame::Ping { token } => say(Frame::Pong { token }),
        Frame::User { kind, flags, link, body } => say(Frame::User { kind, flags, link, body }),
        Frame::Goodbye { .. } => say(Frame::Goodbye { code: ErrorCode::NONE, text: "" }),
        _ => {}
    }
}

/// What the brokers of these tests say of themselves.
pub(crate) const WELCOME: Welcome<'static> =
    Welcome { version: 1, features: 0, max_payload: 4 << 20, max_links: 20, idle_ms: 0, name: "scripted" };

pub(crate) fn bytes(frame: Frame<'_>) -> Vec<u8> {
    let mut out = SendQueue::new();
    encode(&frame, &mut out).unwrap();
    out.to_vec()
}

/// The frames of a client's stream, from a frame's beginning on, as short texts.
pub(crate) fn frames(mut input: &[u8]) -> Vec<String> {
    let mut decoder = Decoder::new(&Limits::default());
    decoder.agree_on(Feature::all_bits());
    let mut texts = Vec::new();
    loop {
        let mut rest = input;
        let Some(frame) = decoder.decode(&mut rest).expect("the client keeps the protocol") else { break };
        texts.push(text(&frame));
        let rest = rest.len();
        input = &input[input.len() - rest..];
    }
    assert!(decoder.is_between_frames(), "the client's bytes end within a frame");
    texts
}

fn text(frame: &Frame<'_>) -> String {
    match *frame {
        Frame::Hello(_) => "HELLO".into(),
        Frame::Open(open) => format!("OPEN {} {}", open.link, open.name),
        Frame::Close { link } => format!("CLOSE {link}"),
        Frame::Credit { link, upto } => format!("CREDIT {link} {upto}"),
        Frame::Publish { link, number, confirm, payload } => {
            let confirm = if confirm { " confirm" } else { "" };
            match payload.len() {
                0..=40 => format!("PUBLISH {link} {number}{confirm} {}", payload.escape_ascii()),
                n => format!("PUBLISH {link} {number}{confirm} ({n} bytes)"),
            }
        }
        Frame::Ack { link, first, last } => format!("ACK {link} {first}-{last}"),
        Frame::Refuse { link, first, last, verdict } => format!("REFUSE {link} {first}-{last} {verdict:?}"),
        Frame::Ping { token } => format!("PING {token}"),
        Frame::Pong { token } => format!("PONG {token}"),
        Frame::Goodbye { code, .. } => format!("GOODBYE {}", code.value()),
        Frame::Error { code, offset, .. } => format!("ERROR {} at {offset}", code.name().unwrap()),
        ref other => format!("{other:?}"),
    }
}

/// Makes a call again until it is through, with a step of the broker in between.
pub(crate) fn persist<T>(broker: &mut Broker, mut call: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..10_000 {
        match call() {
            Err(error) if error.is_would_block() => broker.step(),
            result => return result,
        }
    }
    panic!("the call never came through");
}
