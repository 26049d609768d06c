//! A client that outlives its connections, against brokers that say what the test says. No test sleeps: its waits are told to the test.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]
#![allow(clippy::disallowed_methods, reason = "threads are what is tested with some of it")]
#![allow(clippy::disallowed_types, reason = "threads are what is tested with some of it")]

mod common;

use common::{Faults, WELCOME, Wire};
use msglib_client::{Connection, Error, ErrorCode, Feature, Reconnecting, ReconnectingBuilder};
use msglib_proto::{Frame, Payload, Welcome};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const KNOWS_PRODUCERS: Welcome<'static> = Welcome { features: 1, ..WELCOME };

/// What the next attempts to connect come to, and what was waited for between them.
#[derive(Clone, Default)]
struct World {
    next: Arc<Mutex<VecDeque<Result<Wire, ErrorKind>>>>,
    waits: Arc<Mutex<Vec<(String, Duration)>>>,
}

impl World {
    /// A broker that greets whoever connects next.
    fn broker(&self, welcome: Welcome<'static>) -> Wire {
        self.broker_over(welcome, Faults::default())
    }

    fn broker_over(&self, welcome: Welcome<'static>, faults: Faults) -> Wire {
        let wire = Wire::new(faults);
        wire.send(Frame::Welcome(welcome));
        self.next.lock().unwrap().push_back(Ok(wire.clone()));
        wire
    }

    fn fail_next(&self, kind: ErrorKind) {
        self.next.lock().unwrap().push_back(Err(kind));
    }

    fn connect(&self) -> Result<Connection, Error> {
        let next = self.next.lock().unwrap().pop_front().expect("nobody said what becomes of another attempt");
        let wire = next.map_err(io::Error::from)?;
        let builder = Connection::builder().unblock_with({
            let wire = wire.clone();
            move || wire.end()
        });
        builder.build_from_halves(wire.stream(), wire.stream())
    }

    fn build(&self, builder: ReconnectingBuilder) -> Reconnecting {
        let (world, waits) = (self.clone(), self.waits.clone());
        builder.build(move || world.connect(), move |why, time| waits.lock().unwrap().push((why.to_string(), time)))
    }

    fn client(&self) -> Reconnecting {
        self.build(Reconnecting::builder(1))
    }

    fn waits(&self) -> usize {
        self.waits.lock().unwrap().len()
    }
}

fn producer(frames: &[String]) -> (&str, u64) {
    let text = frames.iter().find_map(|frame| frame.strip_prefix("Producer { link: 1, id: ")).expect("a PRODUCER");
    let (id, base) = text.split_once(", base: ").unwrap();
    (id, base.trim_end_matches(" }").parse().unwrap())
}

fn publishes(frames: &[String]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame.strip_prefix("PUBLISH 1 ")).collect()
}

fn refused(numbers: [u64; 2]) -> Frame<'static> {
    Frame::Refused { link: 1, first: numbers[0], last: numbers[1], code: ErrorCode::QUEUE_FULL, text: "" }
}

#[test]
fn what_has_no_outcome_is_published_again_under_the_numbers_that_it_had() {
    let world = World::default();
    let first = world.broker(KNOWS_PRODUCERS);
    let client = world.client();
    let mut jobs = client.publisher_to_q("jobs").unwrap();
    for (text, number) in [("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(jobs.publish(text).unwrap(), number);
    }
    let frames = first.frames();
    let (id, base) = producer(&frames);
    assert_eq!((base, publishes(&frames)), (0, vec!["1 confirm a", "2 confirm b", "3 confirm c"]));
    first.send(Frame::Opened { link: 1 });
    first.send(Frame::Confirmed { link: 1, upto: 1 });
    assert!(jobs.wait().unwrap_err().is_would_block());
    assert_eq!(jobs.unconfirmed(), 2);
    first.end();

    let second = world.broker(KNOWS_PRODUCERS);
    assert!(jobs.wait().unwrap_err().is_would_block());
    let frames = second.frames();
    assert_eq!((producer(&frames), publishes(&frames)), ((id, 1), vec!["1 confirm b", "2 confirm c"]));
    assert_eq!(jobs.publish("d").unwrap(), 4);
    assert_eq!(second.frames(), ["PUBLISH 1 3 confirm d"]);
    // Lost again, before anything was answered.
    second.end();
    let third = world.broker(KNOWS_PRODUCERS);
    assert!(jobs.wait().unwrap_err().is_would_block());
    let frames = third.frames();
    assert_eq!((producer(&frames), publishes(&frames).len()), ((id, 1), 3));
    third.send(Frame::Opened { link: 1 });
    third.send(Frame::Confirmed { link: 1, upto: 3 });
    jobs.wait().unwrap();
    assert_eq!((jobs.unconfirmed(), jobs.may_have_duplicated()), (0, false));

    // Each publisher is a producer of its own.
    third.take_written();
    client.publisher_to_q("jobs").unwrap();
    let frames = third.frames();
    assert!(frames[1].starts_with("Producer { link: 2, id: ") && !frames[1].contains(id), "{frames:?}");
}

/// What came before the end counts, also if nobody has asked for it.
#[test]
fn outcomes_that_came_before_the_end_are_not_asked_for_again() {
    let world = World::default();
    let first = world.broker(KNOWS_PRODUCERS);
    let mut jobs = world.client().publisher_to_q("jobs").unwrap();
    for text in ["a", "b", "c"] {
        jobs.publish(text).unwrap();
    }
    first.send(Frame::Opened { link: 1 });
    first.send(Frame::Confirmed { link: 1, upto: 1 });
    first.send(refused([2, 2]));
    first.end();
    let second = world.broker(KNOWS_PRODUCERS);
    let error = jobs.wait().unwrap_err();
    assert!(matches!(error, Error::Refused { number: 2, code: ErrorCode::QUEUE_FULL, .. }), "{error}");
    assert!(jobs.wait().unwrap_err().is_would_block());
    let frames = second.frames();
    assert_eq!((producer(&frames).1, publishes(&frames)), (2, vec!["1 confirm c"]));
}

/// Numbers on a link have no gaps, so one that was refused behind others without an outcome is tried anew with them.
#[test]
fn a_refusal_counts_when_all_before_it_is_known() {
    let world = World::default();
    let first = world.broker(KNOWS_PRODUCERS);
    let mut jobs = world.client().publisher_to_q("jobs").unwrap();
    for text in ["a", "b", "c"] {
        jobs.publish(text).unwrap();
    }
    first.send(Frame::Opened { link: 1 });
    first.send(refused([2, 2]));
    assert!(jobs.wait().unwrap_err().is_would_block(), "not told yet");
    first.end();
    let second = world.broker(KNOWS_PRODUCERS);
    assert!(jobs.wait().unwrap_err().is_would_block());
    assert_eq!(publishes(&second.frames()), ["1 confirm a", "2 confirm b", "3 confirm c"]);
    second.send(Frame::Opened { link: 1 });
    second.send(Frame::Confirmed { link: 1, upto: 2 });
    second.send(refused([3, 3]));
    let error = jobs.publish("d").map(drop).and_then(|()| jobs.wait()).unwrap_err();
    assert!(matches!(error, Error::Refused { number: 3, .. }), "b was accepted in the end: {error}");
    assert_eq!(jobs.unconfirmed(), 1);
}

#[test]
fn a_broker_without_producers_gets_nothing_twice_unless_that_is_allowed() {
    let world = World::default();
    world.broker(WELCOME);
    let error = world.client().publisher_to_q("jobs").map(drop).unwrap_err();
    assert!(matches!(error, Error::NotAgreed(Feature::Queues)), "{error}");

    let world = World::default();
    let first = world.broker(WELCOME);
    let mut jobs = world.build(Reconnecting::builder(1).may_duplicate(true)).publisher_to_q("jobs").unwrap();
    jobs.publish("a").unwrap();
    assert!(!jobs.may_have_duplicated());
    first.end();
    let second = world.broker(WELCOME);
    assert!(jobs.wait().unwrap_err().is_would_block());
    assert_eq!(second.frames()[1..], ["OPEN 1 jobs", "PUBLISH 1 1 confirm a"]);
    assert!(jobs.may_have_duplicated());
}

#[test]
fn a_publisher_keeps_as_many_as_it_may_and_one_more_waits() {
    let world = World::default();
    let few = Reconnecting::builder(1).max_unconfirmed(4);
    let broker = world.broker(KNOWS_PRODUCERS);
    let mut jobs = world.build(few).publisher_to_q("jobs").unwrap();
    (1..=4).for_each(|number| assert_eq!(jobs.publish("x").unwrap(), number));
    assert!(jobs.publish("y").unwrap_err().is_would_block());
    broker.send(Frame::Opened { link: 1 });
    broker.send(Frame::Confirmed { link: 1, upto: 2 });
    assert_eq!((jobs.publish("y").unwrap(), jobs.unconfirmed()), (5, 3));

    let world = World::default();
    let broker = world.broker(KNOWS_PRODUCERS);
    let mut jobs = world.build(Reconnecting::builder(1).max_unconfirmed_bytes(10)).publisher_to_q("jobs").unwrap();
    jobs.publish("six by").unwrap();
    jobs.publish("four").unwrap();
    assert!(jobs.publish("1").unwrap_err().is_would_block());
    broker.send(Frame::Opened { link: 1 });
    broker.send(Frame::Confirmed { link: 1, upto: 2 });
    assert_eq!(jobs.publish("one that is larger alone").unwrap(), 3);
    assert!(jobs.publish("").unwrap_err().is_would_block());

    // The most is what every broker remembers.
    let world = World::default();
    let broker = world.broker(KNOWS_PRODUCERS);
    let many = Reconnecting::builder(1).max_unconfirmed(usize::MAX);
    let mut jobs = world.build(many).publisher_to_q("jobs").unwrap();
    broker.send(Frame::Opened { link: 1 });
    broker.send(Frame::Credit { link: 1, upto: 2_000 });
    (1..=1024).for_each(|number| assert_eq!(jobs.publish("x").unwrap(), number));
    assert!(jobs.publish("x").unwrap_err().is_would_block());
}

#[test]
fn a_subscription_goes_on_with_the_next_connection() {
    let world = World::default();
    let first = world.broker(WELCOME);
    let mut sub = world.client().subscribe_to_queue("jobs", 8).unwrap();
    assert_eq!(first.frames()[1..], ["OPEN 1 jobs", "CREDIT 1 8"]);
    first.send(Frame::Opened { link: 1 });
    first.send(Frame::Delivery { link: 1, tag: 1, count: 1, payload: Payload::from("a") });
    let delivery = sub.next().unwrap();
    first.end();
    let second = world.broker(WELCOME);
    assert!(sub.next().unwrap_err().is_would_block());
    assert_eq!(second.frames()[1..], ["OPEN 1 jobs", "CREDIT 1 8"]);
    let error = delivery.ack().unwrap_err();
    assert!(error.ends_connection(), "it was the other connection's: {error}");
    assert_eq!(second.frames(), [""; 0]);

    // Refused, it can be tried again.
    second.send(Frame::Closed { link: 1, code: ErrorCode::BUSY, text: "" });
    assert!(matches!(sub.next(), Err(Error::LinkClosed { code: ErrorCode::BUSY, .. })));
    assert!(sub.next().unwrap_err().is_would_block());
    assert_eq!(second.frames(), ["CLOSE 1", "OPEN 1 jobs", "CREDIT 1 8"]);
    assert_eq!(world.waits(), 1);
}

#[test]
fn each_attempt_but_the_first_waits_and_is_told_why() {
    let world = World::default();
    for kind in [ErrorKind::ConnectionRefused, ErrorKind::TimedOut, ErrorKind::NotFound, ErrorKind::Other] {
        world.fail_next(kind);
    }
    let broker = world.broker(WELCOME);
    let second = Duration::from_secs(1);
    let client = world.build(Reconnecting::builder(1).backoff(second, 4 * second));
    let connection = client.connection().unwrap();
    broker.send(Frame::Goodbye { code: ErrorCode::SHUTTING_DOWN, text: "" });
    assert!(connection.ping().is_err());
    world.broker(WELCOME);
    client.connection().unwrap();
    assert_eq!(broker.frames().last().unwrap(), "GOODBYE 0", "it is answered, whoever has a handle still");
    let waits = world.waits.lock().unwrap().clone();
    let steps = [1, 2, 4, 4, 1].map(|step| second * step);
    assert_eq!(waits.len(), steps.len(), "{waits:?}");
    for ((_, wait), step) in waits.iter().zip(steps) {
        assert!(*wait >= step / 2 && *wait <= step, "{waits:?}");
    }
    assert!(waits[0].0.contains("connection refused") && waits[4].0.contains("SHUTTING_DOWN"), "{waits:?}");
}

#[test]
fn a_call_gives_up_after_as_many_attempts_as_it_may_make_and_the_next_goes_on() {
    let world = World::default();
    (0..5).for_each(|_| world.fail_next(ErrorKind::ConnectionRefused));
    let client = world.build(Reconnecting::builder(1).max_attempts(3));
    assert!(matches!(client.connection(), Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused));
    assert_eq!((world.next.lock().unwrap().len(), world.waits()), (2, 2));
    world.broker(WELCOME);
    client.connection().unwrap();
    assert_eq!(world.waits(), 5);
}

#[test]
fn what_another_connection_would_not_change_is_told() {
    let world = World::default();
    world.fail_next(ErrorKind::PermissionDenied);
    let client = world.client();
    assert!(matches!(client.connection(), Err(Error::Io(error)) if error.kind() == ErrorKind::PermissionDenied));

    let wire = Wire::new(Faults::default());
    wire.send(Frame::Error { code: ErrorCode::BAD_CREDENTIALS, offset: 0, text: "who?" });
    world.next.lock().unwrap().push_back(Ok(wire));
    let error = client.connection().unwrap_err();
    assert!(matches!(error, Error::FailedByBroker { code: ErrorCode::BAD_CREDENTIALS, .. }), "{error}");

    let broker = world.broker(WELCOME);
    let mut sub = client.subscribe_to_queue("jobs", 1).unwrap();
    broker.send(Frame::Error { code: ErrorCode::BAD_FIELD, offset: 0, text: "" });
    for _ in 0..2 {
        assert!(matches!(sub.next(), Err(Error::FailedByBroker { code: ErrorCode::BAD_FIELD, .. })));
    }
    assert_eq!(world.waits(), 2, "but nobody may ask in a circle without a wait");
}

#[test]
fn a_broker_that_has_not_greeted_is_waited_for_by_the_same_call_again() {
    let world = World::default();
    let wire = Wire::new(Faults::default());
    world.next.lock().unwrap().push_back(Ok(wire.clone()));
    let client = world.client();
    for _ in 0..3 {
        assert!(client.connection().unwrap_err().is_would_block());
    }
    wire.send(Frame::Welcome(WELCOME));
    client.connection().unwrap();
    assert_eq!((wire.frames().len(), world.waits()), (1, 0));
}

/// A stream with a time-out whose other end says nothing.
struct Deaf;

impl Read for Deaf {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::TimedOut.into())
    }
}

impl Write for Deaf {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_broker_that_does_not_greet_within_the_streams_time_is_given_up() {
    let world = World::default();
    world.broker(WELCOME);
    let (mut deaf, others) = (true, world.clone());
    let connect = move || if std::mem::take(&mut deaf) { Ok(Connection::new(Deaf)) } else { others.connect() };
    let waits = world.waits.clone();
    let wait = move |why: &Error, time| waits.lock().unwrap().push((why.to_string(), time));
    Reconnecting::builder(1).build(connect, wait).connection().unwrap();
    assert_eq!(world.waits(), 1);
}

#[test]
fn threads_that_lose_a_connection_together_make_one_together() {
    let world = World::default();
    let waiting = Faults { blocking: true, ..Faults::default() };
    let first = world.broker_over(WELCOME, waiting.clone());
    let client = world.client();
    let mut subs: Vec<_> = (1_u64..=4).map(|name| client.subscribe_to_queue(name, 1).unwrap()).collect();
    let threads: Vec<_> = subs.drain(..).map(|mut sub| thread::spawn(move || sub.next().map(drop))).collect();
    first.wait_for_reader();
    let second = world.broker_over(WELCOME, waiting);
    first.end();
    second.wait_for_reader();
    client.stop();
    for thread in threads {
        assert!(matches!(thread.join().unwrap(), Err(Error::Closed)));
    }
    assert_eq!(world.waits(), 1);
    assert!(matches!(client.connection(), Err(Error::Closed)));
}

/// A client whose waits are ended by a stop alone, and news of a wait that has begun.
fn stubborn(world: &World) -> (Reconnecting, Receiver<()>) {
    let (began, news) = channel();
    let (wake, woken): (Sender<()>, _) = channel();
    let world = world.clone();
    let client = Reconnecting::builder(1).wake_with(move || wake.send(()).unwrap_or_default()).build(
        move || world.connect(),
        move |_, _| {
            began.send(()).unwrap();
            woken.recv_timeout(Duration::from_secs(10)).expect("a stop");
        },
    );
    (client, news)
}

#[test]
fn a_stop_ends_the_wait_before_an_attempt() {
    let world = World::default();
    world.fail_next(ErrorKind::ConnectionRefused);
    let (client, news) = stubborn(&world);
    let caller = client.clone();
    let waits = thread::spawn(move || caller.connection().map(drop));
    news.recv().unwrap();
    client.stop();
    assert!(matches!(waits.join().unwrap(), Err(Error::Closed)), "and no other attempt is made");
}

#[test]
fn a_stop_ends_the_wait_for_a_greeting() {
    let world = World::default();
    let wire = Wire::new(Faults { blocking: true, ..Faults::default() });
    world.next.lock().unwrap().push_back(Ok(wire.clone()));
    let client = world.client();
    let caller = client.clone();
    let waits = thread::spawn(move || caller.connection().map(drop));
    wire.wait_for_reader();
    client.stop();
    assert!(matches!(waits.join().unwrap(), Err(Error::Closed)));
}

#[test]
fn a_close_says_goodbye_and_is_the_end() {
    let world = World::default();
    let broker = world.broker(KNOWS_PRODUCERS);
    let client = world.client();
    let mut jobs = client.publisher_to_q("jobs").unwrap();
    jobs.publish("a").unwrap();
    broker.send(Frame::Opened { link: 1 });
    broker.send(Frame::Confirmed { link: 1, upto: 1 });
    jobs.wait().unwrap();
    broker.send(Frame::Goodbye { code: ErrorCode::NONE, text: "" });
    client.close().unwrap();
    assert_eq!(broker.frames().last().unwrap(), "GOODBYE 0");
    assert!(matches!(jobs.publish("b"), Err(Error::Closed)));
    client.close().unwrap();
}
