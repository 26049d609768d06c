//! Properties of the client: however its stream is cut, and wherever it is interrupted, it says and does the same.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

use msglib_broker::ConnectionHandler;
use msglib_client::{
    ChannelKind, ChannelName, Connection, End, Error, Event, Publisher, Session, SessionConfig, Subscription, Verdict,
    publish_to_q, publish_to_q_confirmed, subscribe_with_prefetch,
};
use msglib_io_memory::MemoryStream;
use msglib_proto::{Frame, Payload, ProtocolError, Role, Welcome};
use msglib_testkit::strategies::{Chunking, OwnedFrame, ValidStream, cases, chunkings, frames_from};
use msglib_testkit::{Harness, HarnessConfig};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};

/// What a broker might send: a valid beginning, then its frames on links that exist and on others, often against the rules.
fn broker_streams() -> impl Strategy<Value = Vec<u8>> {
    let plausible = (0..9_u8, 1..5_u32, 1..6_u64).prop_map(|(what, link, n)| {
        OwnedFrame::from(match what {
            0 => Frame::Opened { link },
            1 => Frame::Closed { link, code: msglib_client::ErrorCode::NOT_ALLOWED, text: "no" },
            2 => Frame::Credit { link, upto: 15 + n },
            3 => Frame::Confirmed { link, upto: n },
            4 => Frame::Refused { link, first: n, last: n + 1, code: msglib_client::ErrorCode::BUSY, text: "" },
            5 | 6 => Frame::Delivery { link, tag: n, count: 1, payload: Payload::from("a message") },
            7 => Frame::Ping { token: n },
            _ => Frame::User { kind: 0x8000, flags: 0, link, body: Payload::from("own") },
        })
    });
    let frames = prop_oneof![10 => plausible, 1 => frames_from(Role::Broker)];
    (any::<u8>(), vec(frames, 0..30)).prop_map(|(opened, frames)| {
        let welcome = Welcome { version: 1, features: 0, max_payload: 1024, max_links: 8, idle_ms: 0, name: "b" };
        let mut all = vec![OwnedFrame::from(Frame::Welcome(welcome))];
        // Most of the links are open, so that more than the first frame is looked at.
        all.extend((1..=3).filter(|link| opened >> link & 1 != 0).map(|link| OwnedFrame::from(Frame::Opened { link })));
        all.extend(frames);
        ValidStream::from_iter(all).bytes
    })
}

/// A session with three links, that has published and granted something.
fn session() -> Session {
    let mut session = Session::new(&SessionConfig::default()).unwrap();
    for id in 1..=3 {
        let link = session.open(ChannelKind::QUEUE, ChannelName::id(id), true, true).unwrap();
        for _ in 0..3 {
            session.publish(link, Payload::from("published"), true).unwrap();
        }
        session.grant(link, 3).unwrap();
    }
    session
}

/// What a session says of an input, and what it sends.
#[derive(Debug)]
struct Said {
    events: Vec<Event>,
    error: Option<ProtocolError>,
    end: Option<End>,
    sent: Vec<u8>,
}

/// `input` cuts what comes, `output` what goes out.
fn run_session(bytes: &[u8], input: &Chunking, output: &Chunking) -> Said {
    let mut session = session();
    let (mut events, mut sent, mut error) = (Vec::new(), Vec::new(), None);
    let mut lengths = output.lengths().iter().cycle();
    for piece in input.cut(bytes) {
        if let Err(why) = session.handle_input(piece, &mut events) {
            error = Some(why);
            break;
        }
        take(&mut session, *lengths.next().unwrap(), &mut sent);
    }
    for link in 1..=3 {
        // On a link that is closed by now these are refused, whatever the pieces were.
        let _ = session.ack(link, 1..=2);
        let _ = session.refuse(link, 3..=3, Verdict::Again);
        let _ = session.close_link(link);
    }
    while !session.pending().is_empty() {
        take(&mut session, *lengths.next().unwrap(), &mut sent);
    }
    Said { events, error, end: session.end().cloned(), sent }
}

fn take(session: &mut Session, most: usize, sent: &mut Vec<u8>) {
    let bytes = session.pending().to_vec();
    let n = most.min(bytes.len());
    sent.extend_from_slice(&bytes[..n]);
    session.sent(n);
}

/// One call of a user's program. Queues are numbered. What would wait for ever is left out by the model, and what may depend on how
/// far the broker is: what becomes of messages that a subscription holds ahead when it ends, or when another comes back.
#[derive(Clone, Debug)]
enum Call {
    Publish { queue: u64, length: usize },
    PublishConfirmed { queue: u64 },
    PublishBatch { queue: u64, count: usize, length: usize },
    Subscribe { queue: u64, prefetch: u32 },
    NextAndAck { queue: u64 },
    NextAndRefuse { queue: u64, verdict: Verdict },
    Unsubscribe { queue: u64 },
    Ping,
    Flush,
}

fn calls() -> impl Strategy<Value = Call> {
    let queue = || 1..3_u64;
    let verdict = prop_oneof![Just(Verdict::Again), Just(Verdict::ForGood)];
    let lengths = prop_oneof![5 => 0..50_usize, 1 => 1000..3000_usize];
    prop_oneof![
        4 => (queue(), lengths).prop_map(|(queue, length)| Call::Publish { queue, length }),
        2 => queue().prop_map(|queue| Call::PublishConfirmed { queue }),
        2 => (queue(), 0..8_usize, prop_oneof![0..50_usize, 900..1000_usize])
            .prop_map(|(queue, count, length)| Call::PublishBatch { queue, count, length }),
        3 => (queue(), prop_oneof![Just(0), 1..4_u32])
            .prop_map(|(queue, prefetch)| Call::Subscribe { queue, prefetch }),
        5 => queue().prop_map(|queue| Call::NextAndAck { queue }),
        2 => (queue(), verdict).prop_map(|(queue, verdict)| Call::NextAndRefuse { queue, verdict }),
        1 => queue().prop_map(|queue| Call::Unsubscribe { queue }),
        1 => Just(Call::Ping),
        1 => Just(Call::Flush),
    ]
}

/// A stream that takes and gives as many bytes as a pattern says, call by call, and 0 of it is `WouldBlock`.
struct Stuttering {
    stream: MemoryStream,
    reads: VecDeque<usize>,
    writes: VecDeque<usize>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Stuttering {
    fn next(pattern: &mut VecDeque<usize>) -> io::Result<usize> {
        let Some(most) = pattern.pop_front() else { return Ok(usize::MAX) };
        pattern.push_back(most);
        if most == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(most) }
    }
}

impl Read for Stuttering {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = Stuttering::next(&mut self.reads)?.min(buf.len());
        self.stream.read(&mut buf[..most])
    }
}

impl Write for Stuttering {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let most = Stuttering::next(&mut self.writes)?.min(buf.len());
        let n = self.stream.write(&buf[..most])?;
        self.written.lock().unwrap().extend_from_slice(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a run is interrupted.
#[derive(Clone, Debug)]
struct Interruptions {
    pipe_capacity: usize,
    reads: Vec<usize>,
    writes: Vec<usize>,
}

impl Interruptions {
    fn none() -> Interruptions {
        Interruptions { pipe_capacity: 1 << 20, reads: Vec::new(), writes: Vec::new() }
    }
}

fn interruptions() -> impl Strategy<Value = Interruptions> {
    // Something must move in the end.
    let pattern = || {
        vec(prop_oneof![2 => Just(0), 3 => 1..30_usize, 1 => Just(usize::MAX)], 0..10).prop_map(|mut pattern| {
            pattern.push(7);
            pattern
        })
    };
    let capacities = prop_oneof![1..64_usize, Just(1 << 16)];
    (capacities, pattern(), pattern()).prop_map(|(pipe_capacity, reads, writes)| Interruptions {
        pipe_capacity,
        reads,
        writes,
    })
}

/// What the user of one connection sees, and what went over the wire.
#[derive(Debug, PartialEq)]
struct Run {
    results: Vec<String>,
    written: Vec<u8>,
}

fn run_calls(calls: &[Call], interruptions: &Interruptions) -> Run {
    let config = HarnessConfig::default().with_pipe_capacity(interruptions.pipe_capacity).with_max_steps(100_000);
    let mut harness = Harness::with_config(ConnectionHandler::new(), config);
    let written = Arc::default();
    let connection = Connection::new(Stuttering {
        stream: harness.connect_raw(),
        reads: interruptions.reads.iter().copied().collect(),
        writes: interruptions.writes.iter().copied().collect(),
        written: Arc::clone(&written),
    });
    let mut user = User { connection, queues: Default::default(), published: 0, results: Vec::new() };
    for call in calls {
        user.call(&mut harness, call);
    }
    persist(&mut harness, || user.connection.flush()).unwrap();
    let closed = persist(&mut harness, || user.connection.close());
    user.results.push(format!("closed: {closed:?}"));
    let User { results, connection, queues, .. } = user;
    drop((connection, queues));
    harness.settle();
    let written = std::mem::take(&mut *written.lock().unwrap());
    Run { results, written }
}

/// Makes a call again until it says something else than `WouldBlock`; the broker moves in between.
fn persist<T>(
    harness: &mut Harness<ConnectionHandler>,
    mut call: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    for _ in 0..100_000 {
        match call() {
            Err(error) if error.is_would_block() => drop(harness.step()),
            result => return result,
        }
    }
    panic!("it does not come about; what passed last:\n{}", harness.transcript());
}

/// A program that makes the calls, with a model of its two queues that says what must come.
struct User {
    connection: Connection,
    queues: [ModelQueue; 2],
    published: usize,
    results: Vec<String>,
}

#[derive(Default)]
struct ModelQueue {
    /// With whether it pulls each message when it is asked for one.
    subscription: Option<(Subscription, bool)>,
    waiting: VecDeque<(String, u32)>,
    /// Stays to the end: when its link's number would be free again depends on how far the broker is.
    publisher: Option<Publisher>,
}

impl User {
    fn call(&mut self, harness: &mut Harness<ConnectionHandler>, call: &Call) {
        match *call {
            Call::Publish { queue, length } => {
                let message = self.message(length);
                persist(harness, || publish_to_q(&self.connection, queue, &message)).unwrap();
                self.queue(queue).waiting.push_back((message, 1));
            }
            Call::PublishConfirmed { queue } => {
                let message = self.message(0);
                let confirmation =
                    persist(harness, || publish_to_q_confirmed(&self.connection, queue, &message)).unwrap();
                persist(harness, || confirmation.wait()).unwrap();
                self.queue(queue).waiting.push_back((message, 1));
            }
            Call::PublishBatch { queue, count, length } => {
                let messages: Vec<_> = (0..count).map(|_| self.message(length)).collect();
                let model = &mut self.queues[queue as usize - 1];
                let publisher = model
                    .publisher
                    .get_or_insert_with(|| persist(harness, || self.connection.publisher_to_q(queue)).unwrap());
                let mut batch = publisher.batch();
                for message in &messages {
                    persist(harness, || batch.publish(message)).unwrap();
                }
                if length % 2 == 0 {
                    persist(harness, || batch.wait()).unwrap();
                }
                drop(batch);
                model.waiting.extend(messages.into_iter().map(|message| (message, 1)));
            }
            Call::Subscribe { queue, prefetch } => {
                if self.queue(queue).subscription.is_none() {
                    let made = persist(harness, || subscribe_with_prefetch(&self.connection, queue, prefetch));
                    self.queue(queue).subscription = Some((made.unwrap(), prefetch == 0));
                }
            }
            Call::NextAndAck { queue } => {
                if let Some((_, delivery)) = self.next(harness, queue) {
                    delivery.ack().unwrap();
                }
            }
            Call::NextAndRefuse { queue, verdict } => {
                let pulls = self.queue(queue).subscription.as_ref().is_some_and(|(_, pulls)| *pulls);
                let verdict = if pulls { verdict } else { Verdict::ForGood };
                if let Some((message, delivery)) = self.next(harness, queue) {
                    let count = delivery.count();
                    delivery.refuse(verdict).unwrap();
                    if verdict == Verdict::Again {
                        self.queue(queue).waiting.push_front((message, count + 1));
                    }
                }
            }
            Call::Unsubscribe { queue } => {
                if let Some((mut subscription, _)) = self.queue(queue).subscription.take_if(|(_, pulls)| *pulls) {
                    persist(harness, || subscription.close()).unwrap();
                }
            }
            Call::Ping => persist(harness, || self.connection.ping()).unwrap(),
            Call::Flush => persist(harness, || self.connection.flush()).unwrap(),
        }
    }

    fn queue(&mut self, number: u64) -> &mut ModelQueue {
        &mut self.queues[number as usize - 1]
    }

    fn message(&mut self, length: usize) -> String {
        self.published += 1;
        format!("message {} {}", self.published, "x".repeat(length))
    }

    /// The next message, if there is a subscription and a message for it.
    fn next(
        &mut self,
        harness: &mut Harness<ConnectionHandler>,
        queue: u64,
    ) -> Option<(String, msglib_client::Delivery)> {
        let model = &mut self.queues[queue as usize - 1];
        let (subscription, _) = model.subscription.as_mut()?;
        let (message, count) = model.waiting.pop_front()?;
        let delivery = persist(harness, || subscription.next()).unwrap();
        let got = String::from_utf8_lossy(delivery.payload()).into_owned();
        assert_eq!(
            (&got, delivery.count()),
            (&message, count),
            "in the order of publication, those that come back first"
        );
        self.results.push(format!("{queue}: {got} ({count})"));
        Some((message, delivery))
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_session_says_the_same_however_its_stream_is_cut(
        bytes in broker_streams(),
        input in chunkings(60),
        output in chunkings(60),
    ) {
        let whole = run_session(&bytes, &Chunking::whole(), &Chunking::whole());
        let pieces = run_session(&bytes, &input, &output);
        prop_assert_eq!(&whole.events, &pieces.events);
        prop_assert_eq!((whole.error, &whole.end), (pieces.error, &pieces.end));
        if matches!(whole.end, Some(End::Failed { .. })) {
            // PROTOCOL §8.1: what has not gone out by the time of the ERROR never does.
            let (a, b) = (&whole.sent, &pieces.sent);
            prop_assert!(a.starts_with(b) || b.starts_with(a));
        } else {
            prop_assert!(whole.sent == pieces.sent, "other bytes");
        }
    }

    #[test]
    fn a_connection_that_is_interrupted_anywhere_has_the_same_results_and_sends_the_same_bytes(
        calls in vec(calls(), 0..30),
        interruptions in interruptions(),
    ) {
        let whole = run_calls(&calls, &Interruptions::none());
        let interrupted = run_calls(&calls, &interruptions);
        prop_assert_eq!(&whole.results, &interrupted.results);
        prop_assert!(whole.written == interrupted.written, "other bytes");
    }
}
