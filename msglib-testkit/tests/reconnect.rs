//! Clients that outlive their connections and their brokers, over memory and the stock handler. One thread, one clock that the client's own
//! waits move, and no sleep.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use msglib_broker::{Broker, ConnectionHandler, Ledger, Native, QueueConfig, StockConfig};
use msglib_client::{
    Connection, Error, ErrorCode, Reconnecting, ReconnectingBuilder, ResendingPublisher, ResumingSubscription,
};
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_testkit::{Harness, HarnessConfig};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A broker that comes and goes, and what its clients' connections are made of.
#[derive(Clone)]
struct World(Arc<Mutex<Inner>>);

struct Inner {
    transport: Transport,
    broker: Option<Broker<ConnectionHandler, InMemoryConnectionManager>>,
    /// When it starts again.
    back_at: Option<Duration>,
    now: Duration,
    streams: Vec<MemoryStream>,
    attempts: u32,
}

impl World {
    fn new() -> World {
        let transport = Transport::new();
        let inner =
            Inner { transport, broker: None, back_at: None, now: Duration::ZERO, streams: Vec::new(), attempts: 0 };
        let world = World(Arc::new(Mutex::new(inner)));
        world.lock().start();
        world
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn client(&self, builder: ReconnectingBuilder) -> Reconnecting {
        let (world, clock) = (self.clone(), self.clone());
        builder.build(move || world.lock().connect(), move |_, time| clock.lock().advance(time))
    }

    /// Makes a call again until it is through, with a step of the broker in between.
    fn until<T>(&self, mut call: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        for _ in 0..10_000 {
            match call() {
                Err(error) if error.is_would_block() => self.lock().step(),
                result => return result,
            }
        }
        panic!("the call never came through");
    }

    fn ledger(&self) -> Ledger {
        self.lock().broker.as_ref().unwrap().handler().queue("jobs").unwrap().ledger
    }
}

impl Inner {
    fn start(&mut self) {
        let manager = InMemoryConnectionManager::new(&self.transport, "broker").unwrap();
        let small = StockConfig::default().with_queue(QueueConfig::default().with_max_messages(100_000));
        self.broker = Some(Broker::new(ConnectionHandler::with_config(small), manager));
    }

    fn connect(&mut self) -> Result<Connection, Error> {
        self.attempts += 1;
        let stream = self.transport.connect("broker").map_err(std::io::Error::from)?;
        self.streams.push(stream.clone());
        let ended = stream.clone();
        let builder = Connection::builder().peer("broker").non_blocking(true);
        builder.unblock_with(move || ended.shutdown_write()).build(stream)
    }

    fn advance(&mut self, time: Duration) {
        self.transport.clock().advance(time);
        self.now += time;
        if self.back_at.is_some_and(|at| self.now >= at) {
            self.back_at = None;
            self.start();
        }
    }

    fn step(&mut self) {
        if let Some(broker) = &mut self.broker {
            broker.process_connections().unwrap();
        }
    }

    fn cut_all(&mut self) {
        self.streams.drain(..).for_each(|stream| stream.reset());
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

fn number(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

/// A publisher and a consumer, each on a client of its own.
struct Pair {
    jobs: ResendingPublisher,
    sub: ResumingSubscription,
    /// How often each message was seen.
    seen: BTreeMap<u64, u32>,
}

impl Pair {
    fn new(world: &World, seed: u128) -> Pair {
        let builder = || Reconnecting::builder(seed).max_unconfirmed(20);
        let (from, to) = (world.client(builder()), world.client(builder()));
        let jobs = world.until(|| from.publisher_to_q("jobs")).unwrap();
        let sub = world.until(|| to.subscribe_to_queue("jobs", 7)).unwrap();
        Pair { jobs, sub, seen: BTreeMap::new() }
    }

    /// Takes what is there now.
    fn take(&mut self) {
        while let Ok(job) = self.sub.next() {
            *self.seen.entry(number(job.payload())).or_default() += 1;
            // Too late is no harm: it comes again.
            let _ = job.ack();
        }
    }
}

/// Connections are cut at any time: before a publish arrived, before its outcome arrived, before an ack arrived. The broker stays.
#[test]
fn messages_have_one_effect_each_however_often_connections_are_cut() {
    let mut cuts = 0;
    let mut again = 0;
    for seed in 0..60 {
        let (world, mut dice) = (World::new(), Dice(seed));
        let mut pair = Pair::new(&world, seed.into());
        let (mut next, mut turns) = (1, 0);
        while next <= 100 {
            turns += 1;
            assert!(turns < 10_000, "seed {seed}: stuck at {next}");
            match dice.below(12) {
                0 => {
                    world.lock().cut_all();
                    cuts += 1;
                }
                1..=3 => world.lock().step(),
                4..=5 => pair.take(),
                _ => match pair.jobs.publish(&next.to_string()) {
                    Ok(number) => {
                        assert_eq!(number, next);
                        next += 1;
                    }
                    Err(error) => assert!(error.is_would_block(), "{error}"),
                },
            }
        }
        world.until(|| pair.jobs.wait()).unwrap();
        for _ in 0..200 {
            pair.take();
            world.lock().step();
        }
        let ledger = world.ledger();
        assert_eq!((ledger.accepted, ledger.acked, ledger.turned_away), (100, 100, 0), "seed {seed}: {ledger:?}");
        assert_eq!(pair.seen.keys().copied().collect::<Vec<u64>>(), (1..=100).collect::<Vec<u64>>(), "seed {seed}");
        assert!(!pair.jobs.may_have_duplicated());
        again += world.lock().attempts - 2;
    }
    assert!(cuts > 500 && again > 500, "{cuts} cuts, {again} connections made again");
}

/// It loses what it held. What it had not answered is published to the new one, and the consumer goes on there.
#[test]
fn a_broker_that_is_stopped_and_started_finds_its_clients_again() {
    for in_order in [true, false] {
        let world = World::new();
        let mut pair = Pair::new(&world, 7);
        for job in 1..=10_u64 {
            world.until(|| pair.jobs.publish(&job.to_string())).unwrap();
        }
        world.until(|| pair.jobs.wait()).unwrap();
        pair.take();
        for job in 11..=15_u64 {
            pair.jobs.publish(&job.to_string()).unwrap();
        }
        {
            let mut inner = world.lock();
            let broker = inner.broker.take();
            inner.back_at = Some(inner.now + 100 * SECOND);
            inner.attempts = 0;
            if in_order {
                broker.unwrap().shutdown(SECOND).unwrap();
            }
        }
        // What follows waits for as long as the broker is away.
        world.until(|| pair.jobs.wait()).unwrap();
        for _ in 0..20 {
            pair.take();
            world.lock().step();
        }
        let away = world.lock().now;
        assert!(away >= 100 * SECOND && away < 135 * SECOND, "at most one wait too long: {away:?}");
        // 100 ms, doubled nine times, is more than half of the time; two clients.
        let attempts = world.lock().attempts;
        assert!((10..=30).contains(&attempts), "{attempts} attempts");
        assert!((11..=15).all(|job| pair.seen.contains_key(&job)), "in order: {in_order}, {:?}", pair.seen);
        let ledger = world.ledger();
        assert_eq!(ledger.accepted, ledger.acked, "{ledger:?}");
    }
}

/// It neither reads nor writes, and its connection is whole: only a heart can tell.
#[test]
fn a_broker_that_hangs_is_noticed_and_left_for_another() {
    let transport = Transport::new();
    let [hanging, well] = ["hanging", "well"].map(|name| {
        let manager = InMemoryConnectionManager::new(&transport, name).unwrap();
        Arc::new(Mutex::new(Broker::new(ConnectionHandler::new(), manager)))
    });
    let (connections, waits) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (made, told) = (connections.clone(), waits.clone());
    let mut names = ["hanging", "well"].into_iter();
    let connect = move || {
        let name = names.next().expect("one is well");
        let stream = transport.connect(name).map_err(std::io::Error::from)?;
        let connection = Connection::builder().peer(name).idle(2 * SECOND).non_blocking(true).build(stream)?;
        made.lock().unwrap().push(connection.heart());
        Ok(connection)
    };
    let client = Reconnecting::builder(1).build(connect, move |why, _| told.lock().unwrap().push(why.to_string()));
    let step = |broker: &Mutex<Broker<_, _>>| {
        broker.lock().unwrap().process_connections().unwrap();
    };
    let mut jobs = loop {
        match client.publisher_to_q("jobs") {
            Err(error) if error.is_would_block() => step(&hanging),
            result => break result.unwrap(),
        }
    };
    let mut heart = connections.lock().unwrap().pop().unwrap();
    assert_eq!(heart.interval(), Some(SECOND));
    for _ in 0..5 {
        heart.beat().unwrap();
        step(&hanging);
    }
    // From now on it hangs.
    jobs.publish("a").unwrap();
    assert!(heart.beat().is_ok(), "what had come before");
    assert!(heart.beat().is_ok(), "one beat without a byte can be bad luck");
    assert!(matches!(heart.beat(), Err(Error::Silent { .. })));
    loop {
        match jobs.wait() {
            Err(error) if error.is_would_block() => step(&well),
            result => break result.unwrap(),
        }
    }
    assert_eq!(*waits.lock().unwrap(), ["nothing came from the broker at hanging for 2 heartbeats"]);
    assert_eq!(well.lock().unwrap().handler().queue("jobs").unwrap().ledger.accepted, 1);
}

/// Neither has anything to say; the one whose heart beats is still there after ten times as long as a silent one is borne.
#[test]
fn a_broker_keeps_a_client_whose_heart_beats_and_gives_up_one_that_is_silent() {
    let config = HarnessConfig::default().with_dialect(Native::default().with_idle_timeout(10 * SECOND));
    let mut harness = Harness::with_config(ConnectionHandler::new(), config);
    let [alive, silent] = [harness.connect(), harness.connect()];
    for connection in [&alive, &silent] {
        harness.step_until_ok("a greeting", || connection.welcome());
    }
    let mut heart = alive.heart();
    let interval = heart.interval().expect("the broker has an idle time");
    assert_eq!(interval, 5 * SECOND);
    for beats in 1..=20 {
        heart.beat().unwrap();
        harness.settle();
        harness.advance(interval);
        harness.settle();
        if beats == 2 {
            let error = silent.ping().unwrap_err();
            assert_eq!(error.code(), Some(ErrorCode::IDLE_TIMEOUT), "{error}");
            assert!(error.is_worth_retrying());
        }
    }
    harness.step_until_ok("a pong", || alive.ping());
}
