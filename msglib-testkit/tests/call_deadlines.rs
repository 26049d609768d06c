//! A deadline for a whole call of the client, however many reads and writes it takes, over time that is moved: every wait of the stream moves
//! it, and lets the broker make a step, unless that is busy with something else.

#![allow(clippy::unwrap_used, reason = "tests")]

use msglib_broker::{Broker, BrokerConfig, ConnectionHandler, CoreConfig, Native};
use msglib_client::{Builder, Connection, Error, Half, Subscription, publish_to_q, subscribe_with_prefetch};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const WITHIN: Duration = Duration::from_secs(5);

/// A broker, its clock, and what its clients' streams are like.
#[derive(Clone)]
struct World {
    transport: Transport,
    broker: Arc<Mutex<Broker<ConnectionHandler, InMemoryConnectionManager>>>,
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
struct Line {
    /// The broker makes no steps.
    is_stuck: bool,
    /// A second passes for each byte that is moved, if it is so slow.
    is_slow: bool,
    /// How long a read, and a write, may wait.
    limits: [Option<Duration>; 2],
    /// What they were limited to, as it was said.
    said: Vec<(Half, Option<Duration>)>,
}

struct Stream {
    world: World,
    stream: MemoryStream,
}

impl World {
    fn new() -> World {
        let transport = Transport::new();
        let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
        // A call may take longer than a broker waits for a handshake otherwise.
        let core = CoreConfig::default().with_handshake_timeout(1000 * SECOND).with_write_timeout(1000 * SECOND);
        let config = BrokerConfig::default().with_core(core);
        let broker = Broker::with_config(ConnectionHandler::new(), manager, Native::default(), config);
        World { transport, broker: Arc::new(Mutex::new(broker)), line: Arc::default() }
    }

    fn builder(&self) -> Builder {
        let (clock, line) = (self.transport.clock(), self.line.clone());
        Connection::builder().peer("broker:1").clock(
            move || clock.now(),
            move |half, left| {
                let mut line = line.lock().unwrap();
                line.limits[half as usize] = left;
                line.said.push((half, left));
            },
        )
    }

    fn connect(&self) -> Connection {
        let stream = Stream { world: self.clone(), stream: self.transport.connect("broker").unwrap() };
        self.builder().call_timeout(WITHIN).build(stream).unwrap()
    }

    fn be(&self, is_stuck: bool, is_slow: bool) {
        let mut line = self.line.lock().unwrap();
        (line.is_stuck, line.is_slow) = (is_stuck, is_slow);
    }

    fn step(&self) {
        while !self.broker.lock().unwrap().process_connections().unwrap().is_idle() {}
    }

    fn accepted(&self) -> u64 {
        self.broker.lock().unwrap().handler().queue("q").map_or(0, |queue| queue.ledger.accepted)
    }

    /// What `call` took, and said.
    fn timed<T>(&self, call: impl FnOnce() -> Result<T, Error>) -> (Duration, Result<T, Error>) {
        let start = self.transport.clock().now();
        let result = call();
        (self.transport.clock().now() - start, result)
    }
}

impl Stream {
    /// Moves bytes, or waits in vain for as long as the half may: without a limit for an hour, for a test to notice.
    fn wait(
        &mut self,
        half: Half,
        mut attempt: impl FnMut(&mut MemoryStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let (is_slow, limit) = {
            let line = self.world.line.lock().unwrap();
            (line.is_slow, line.limits[half as usize].unwrap_or(3600 * SECOND))
        };
        if is_slow {
            self.world.transport.clock().advance(SECOND);
        }
        let mut waited = Duration::ZERO;
        loop {
            match attempt(&mut self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            if !self.world.line.lock().unwrap().is_stuck {
                self.world.step();
                match attempt(&mut self.stream) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => return result,
                }
            }
            if waited >= limit {
                return Err(ErrorKind::TimedOut.into());
            }
            let wait = SECOND.min(limit - waited);
            self.world.transport.clock().advance(wait);
            waited += wait;
        }
    }

    fn piece(&self) -> usize {
        if self.world.line.lock().unwrap().is_slow { 1 } else { usize::MAX }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = self.piece().min(buf.len());
        self.wait(Half::Reading, |stream| stream.read(&mut buf[..most]))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.piece().min(bytes.len());
        self.wait(Half::Writing, |stream| stream.write(&bytes[..most]))
    }
    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.write(first)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[track_caller]
fn assert_over<T>(result: Result<T, Error>, name: &str) {
    let Err(error) = result else { panic!("{name} is not over") };
    assert!(matches!(error, Error::DeadlineOver { call, within: WITHIN, .. } if call == name), "{error}");
    assert!(error.is_would_block() && error.is_worth_retrying() && !error.ends_connection());
}

fn subscribed(world: &World) -> (Connection, Subscription) {
    let connection = world.connect();
    let subscription = subscribe_with_prefetch(&connection, "q", 10).unwrap();
    connection.flush().unwrap();
    world.step();
    (connection, subscription)
}

/// Each read brings a byte in time, so no time-out of a read would ever end it.
#[test]
fn a_call_ends_at_its_deadline_however_many_reads_it_takes() {
    let world = World::new();
    let (connection, mut subscription) = subscribed(&world);
    publish_to_q(&connection, "q", &[b'x'; 100]).unwrap();
    world.step();
    world.be(false, true);
    let (took, over) = world.timed(|| subscription.next());
    assert_over(over, "Subscription::next");
    assert!((WITHIN..WITHIN + SECOND).contains(&took), "{took:?}");

    // Nothing is lost of what came by then.
    world.be(false, false);
    assert_eq!(subscription.next().unwrap().payload(), [b'x'; 100]);
}

#[test]
fn the_error_names_the_call_its_time_and_the_broker() {
    let world = World::new();
    let (_connection, mut subscription) = subscribed(&world);
    let (took, over) = world.timed(|| subscription.next());
    assert_eq!(took, WITHIN, "one wait, for all of it");
    let words = over.unwrap_err().to_string();
    let expected =
        "Subscription::next was not done by the broker at broker:1 within 5s; the same call can be made again";
    assert_eq!(words, expected);
}

/// Whether it was accepted is not known, and a later wait tells; nothing was sent twice.
#[test]
fn a_confirm_that_has_not_come_is_unknown_and_can_be_waited_for_again() {
    let world = World::new();
    let connection = world.connect();
    connection.welcome().unwrap();
    world.be(true, false);
    let confirmation = connection.publish_to_q_confirmed("q", "one").unwrap();
    for _ in 0..2 {
        let (took, over) = world.timed(|| confirmation.wait());
        assert_over(over, "Confirmation::wait");
        assert_eq!(took, WITHIN);
    }
    world.be(false, false);
    confirmation.wait().unwrap();
    assert_eq!(world.accepted(), 1);
    connection.close().unwrap();
}

/// What a call has begun to write goes out with later ones, byte for byte.
#[test]
fn a_call_ends_at_its_deadline_however_many_writes_it_takes() {
    let world = World::new();
    let connection = world.connect();
    connection.welcome().unwrap();
    world.be(false, true);
    let (took, published) = world.timed(|| connection.publish_to_q("q", &[b'x'; 100]));
    published.expect("it was accepted into the send buffer");
    assert!((WITHIN..WITHIN + SECOND).contains(&took), "{took:?}");
    let (took, over) = world.timed(|| connection.flush());
    assert_over(over, "flush");
    assert!((WITHIN..WITHIN + SECOND).contains(&took), "{took:?}");
    world.be(false, false);
    connection.flush().unwrap();
    world.step();
    assert_eq!(world.accepted(), 1);
}

/// A publish that had no room, or no credit, in its time was not accepted: made again, it is there once.
#[test]
fn a_publish_that_is_over_was_not_accepted() {
    let world = World::new();
    let connection = world.connect();
    connection.welcome().unwrap();
    world.be(true, false);
    let mut published = 0;
    let over = loop {
        match connection.publish_to_q("q", "x") {
            Ok(()) => published += 1,
            Err(error) => break Err::<(), _>(error),
        }
    };
    assert_over(over, "publish");
    world.be(false, false);
    connection.publish_to_q("q", "x").unwrap();
    connection.ping().unwrap();
    assert_eq!(world.accepted(), published + 1);
}

/// A handle has a time of its own, and one without has the stream's.
#[test]
fn each_handle_has_its_own_time_and_the_streams_comes_back() {
    let world = World::new();
    let connection = world.connect();
    connection.welcome().unwrap();
    world.be(true, false);
    let hasty = connection.with_call_timeout(Some(SECOND));
    let (took, over) = world.timed(|| hasty.ping());
    assert!(matches!(over, Err(Error::DeadlineOver { call: "ping", within: SECOND, .. })), "{over:?}");
    assert_eq!(took, SECOND);
    world.line.lock().unwrap().said.clear();
    let (took, over) = world.timed(|| connection.with_call_timeout(None).ping());
    assert!(over.is_err_and(|error| matches!(&error, Error::Io(io) if io.kind() == ErrorKind::TimedOut)));
    assert_eq!(took, 3600 * SECOND, "the stream's own");
    assert_eq!(world.line.lock().unwrap().said, [(Half::Reading, None)], "once");
}

#[test]
#[should_panic(expected = "a call timeout needs a clock")]
fn a_timeout_without_a_clock_is_a_mistake() {
    let transport = Transport::new();
    let _manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let _ = Connection::new(transport.connect("broker").unwrap()).with_call_timeout(Some(SECOND));
}

/// Over sockets, with the system's time: each read is limited by what is left, and who waits for another thread's read is not kept by it.
#[test]
fn over_sockets_a_call_ends_before_the_streams_own_timeout_also_behind_another_thread() {
    const SHORT: Duration = Duration::from_millis(30);
    let silent = EpollSocketManager::bind("[::1]:0").unwrap();
    let stream = msglib_io_epoll::connect(silent.local_addr().unwrap(), 60 * SECOND).unwrap();
    let (reader, limited, ender) =
        (stream.try_clone().unwrap(), stream.try_clone().unwrap(), stream.try_clone().unwrap());
    let (reads, has_read) = std::sync::mpsc::channel();
    let connection = Connection::builder()
        .clock(msglib_io_epoll::clock(), move |half, left| {
            let left = left.or(Some(60 * SECOND));
            if left > Some(30 * SECOND) && half == Half::Reading {
                let _ = reads.send(());
            }
            let _ = match half {
                Half::Reading => limited.set_read_timeout(left),
                Half::Writing => limited.set_write_timeout(left),
            };
        })
        .wait_with(msglib_io_epoll::wait_at_most)
        .unblock_with(move || drop(ender.shutdown()))
        .call_timeout(SHORT)
        .build_from_halves(reader, stream)
        .unwrap();
    let start = std::time::Instant::now();
    assert!(matches!(connection.welcome(), Err(Error::DeadlineOver { call: "welcome", .. })));

    let patient = connection.with_call_timeout(Some(60 * SECOND));
    let reading = std::thread::spawn(move || patient.welcome().map(drop));
    has_read.recv().unwrap();
    // Behind the reader, which has taken that role, and reads for a minute.
    assert!(matches!(connection.welcome(), Err(Error::DeadlineOver { call: "welcome", .. })));
    assert!(start.elapsed() >= 2 * SHORT && start.elapsed() < 30 * SECOND);
    connection.stopper().stop();
    assert!(matches!(reading.join().unwrap(), Err(Error::Closed)));
}
