//! A broker of the user's own and its clients, in memory, on one thread: a test decides who moves when.

use crate::transcript::{Transcript, TranscriptLog};
use core::fmt;
use msglib_broker::{Broker, BrokerConfig, Context, Handler, Native, Step};
use msglib_client::{Connection, Delivery, Error, Subscription};
use msglib_io_memory::{Clock, InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::Instant;
use std::time::Duration;

/// The name that the harness's broker has on its transport.
const ENDPOINT: &str = "broker";

/// The broker of a harness: a [`Handler`] over memory, with a transcript between them.
pub type HarnessBroker<H> = Broker<H, Transcript<InMemoryConnectionManager>>;

/// A broker around a handler, with as many clients as a test wants.
///
/// Nothing happens by itself: clients queue what they say, and [`step`](Harness::step) lets the broker handle it. Time stands still
/// until [`advance`](Harness::advance) moves it. The same seed gives the same run, byte for byte.
///
/// ```
/// use msglib_broker::ConnectionHandler;
/// use msglib_client::{blocking_pull_subscribe_to_queue, publish_to_q};
/// use msglib_testkit::Harness;
///
/// let mut harness = Harness::new(ConnectionHandler::new());
/// let (sender, receiver) = (harness.connect(), harness.connect());
///
/// publish_to_q(&sender, "greetings", b"Hello, world!")?;
/// let mut subscription = blocking_pull_subscribe_to_queue(&receiver, "greetings")?;
///
/// let message = harness.step_until_message(&mut subscription);
/// assert_eq!(message.payload(), b"Hello, world!");
/// message.ack()?;
///
/// harness.settle();
/// assert_eq!(harness.handler().queue("greetings").unwrap().ledger.acked, 1);
/// # Ok::<(), msglib_client::Error>(())
/// ```
///
/// # Panics
///
/// It is made for tests: whatever does not come about within the bound of [`HarnessConfig::max_steps`] steps panics, and
/// shows what was waited for, the seed, and the last frames that passed.
pub struct Harness<H> {
    broker: HarnessBroker<H>,
    transport: Transport,
    clock: Clock,
    log: TranscriptLog,
    config: HarnessConfig,
}

/// What can be set on a [`Harness`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HarnessConfig {
    /// The broker's configuration.
    pub broker: BrokerConfig,
    /// The broker's dialect: its limits and its name.
    pub dialect: Native,
    /// Steps before `step_until`, `step_until_message` and `settle` give up. Default 1,000.
    pub max_steps: usize,
    /// Where all randomness comes from. Default 1.
    pub seed: u128,
    /// Bytes that wait between a client and the broker, each way, before a write has no room. Default 64 KiB.
    pub pipe_capacity: usize,
    /// Lines that the transcript keeps, the latest ones; a failure shows them. Default 200.
    pub transcript_lines: usize,
}

impl Default for HarnessConfig {
    fn default() -> HarnessConfig {
        HarnessConfig {
            broker: BrokerConfig::default(),
            dialect: Native::default(),
            max_steps: 1_000,
            seed: 1,
            pipe_capacity: 64 * 1024,
            transcript_lines: 200,
        }
    }
}

impl HarnessConfig {
    /// With another configuration of the broker.
    pub fn with_broker(mut self, broker: BrokerConfig) -> HarnessConfig {
        self.broker = broker;
        self
    }

    /// With another dialect: other limits, another name.
    pub fn with_dialect(mut self, dialect: Native) -> HarnessConfig {
        self.dialect = dialect;
        self
    }

    /// With another bound on steps.
    pub fn with_max_steps(mut self, steps: usize) -> HarnessConfig {
        self.max_steps = steps;
        self
    }

    /// With another seed.
    pub fn with_seed(mut self, seed: u128) -> HarnessConfig {
        self.seed = seed;
        self
    }

    /// With pipes of another size, in bytes.
    pub fn with_pipe_capacity(mut self, bytes: usize) -> HarnessConfig {
        self.pipe_capacity = bytes;
        self
    }

    /// With another length of the transcript, in lines.
    pub fn with_transcript_lines(mut self, lines: usize) -> HarnessConfig {
        self.transcript_lines = lines;
        self
    }
}

impl<H: Handler> Harness<H> {
    /// A harness around a handler, which is the one that goes into production.
    pub fn new(handler: H) -> Harness<H> {
        Harness::with_config(handler, HarnessConfig::default())
    }

    /// A harness with another configuration.
    ///
    /// # Panics
    ///
    /// Never: the transport is its own, so its name is free.
    pub fn with_config(handler: H, config: HarnessConfig) -> Harness<H> {
        let transport = Transport::builder().pipe_capacity(config.pipe_capacity).seed(config.seed).build();
        let manager = InMemoryConnectionManager::new(&transport, ENDPOINT).expect("a transport of its own");
        let manager = Transcript::keeping(manager, config.transcript_lines);
        let log = manager.log();
        let broker = Broker::with_config(handler, manager, config.dialect.clone(), config.broker.clone());
        Harness { broker, clock: transport.clock(), transport, log, config }
    }

    /// A new client. Its calls never wait: they say `WouldBlock`, and can be repeated after a step.
    ///
    /// # Panics
    ///
    /// When 1,024 connections wait for the broker's next step.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        let connection = Connection::builder().non_blocking(true).build(self.connect_raw());
        connection.unwrap_or_else(|error| self.fail("a new client", &error))
    }

    /// A new connection without a client: bytes, as anyone could send them.
    ///
    /// # Panics
    ///
    /// As [`connect`](Harness::connect).
    #[track_caller]
    pub fn connect_raw(&self) -> MemoryStream {
        match self.transport.connect(ENDPOINT) {
            Ok(stream) => stream,
            Err(error) => self.fail("a new connection", &error),
        }
    }

    /// One step of the broker.
    ///
    /// # Panics
    ///
    /// When the connection manager fails as a whole, which the one in memory does not.
    #[track_caller]
    pub fn step(&mut self) -> Step {
        match self.broker.process_connections() {
            Ok(step) => step,
            Err(error) => self.fail("a step", &error),
        }
    }

    /// Asks `ready`, and steps, until it says something; `what` is for the words of a failure.
    ///
    /// # Panics
    ///
    /// When it has said nothing for [`max_steps`](HarnessConfig::max_steps) steps, or for several during which the broker
    /// had nothing to do at all, so that nothing can be expected to change.
    #[track_caller]
    pub fn step_until<T>(&mut self, what: &str, mut ready: impl FnMut(&mut Harness<H>) -> Option<T>) -> T {
        let mut idle = 0;
        for _ in 0..self.config.max_steps {
            if let Some(value) = ready(self) {
                return value;
            }
            idle = if self.step().is_idle() { idle + 1 } else { 0 };
            if idle > 3 {
                match self.broker.next_timeout() {
                    Some(at) => {
                        self.fail(what, &format_args!("the broker has nothing to do before {at:?}; advance the clock"))
                    }
                    None => self.fail(what, &"the broker has nothing left to do"),
                }
            }
        }
        self.fail(what, &format_args!("it did not come within {} steps", self.config.max_steps))
    }

    /// Steps until the subscription has a message.
    ///
    /// # Panics
    ///
    /// As [`step_until`](Harness::step_until), and when the subscription fails.
    #[track_caller]
    pub fn step_until_message(&mut self, subscription: &mut Subscription) -> Delivery {
        self.step_until_ok("a message", || subscription.next())
    }

    /// Repeats a client's call, and steps, until it has succeeded; `what` is for the words of a failure.
    ///
    /// # Panics
    ///
    /// As [`step_until`](Harness::step_until), and when the call fails for any other reason than that it would block.
    #[track_caller]
    pub fn step_until_ok<T>(&mut self, what: &str, mut call: impl FnMut() -> Result<T, Error>) -> T {
        match self.step_until_done(what, &mut call) {
            Ok(value) => value,
            Err(error) => self.fail(what, &error),
        }
    }

    /// As [`step_until_ok`](Harness::step_until_ok), but an error that does not pass is a result like any other: for tests
    /// of what is refused.
    ///
    /// # Panics
    ///
    /// As [`step_until`](Harness::step_until).
    #[track_caller]
    pub fn step_until_done<T>(&mut self, what: &str, mut call: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        self.step_until(what, |_| match call() {
            Err(error) if error.is_would_block() => None,
            result => Some(result),
        })
    }

    /// Steps until the broker has nothing left to do.
    ///
    /// # Panics
    ///
    /// When it still has after [`max_steps`](HarnessConfig::max_steps) steps.
    #[track_caller]
    pub fn settle(&mut self) {
        for _ in 0..self.config.max_steps {
            if self.step().is_idle() {
                return;
            }
        }
        self.fail("rest", &format_args!("the broker is still busy after {} steps", self.config.max_steps));
    }

    /// Moves the clock, which nothing else does. The next step sees it; so what clients have said and no step has handled yet
    /// happens at the new time. To have it happen before, [`settle`](Harness::settle) first.
    pub fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
    }

    /// The time on the clock.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The handler, to look into.
    pub fn handler(&self) -> &H {
        self.broker.handler()
    }

    /// The handler, to change.
    pub fn handler_mut(&mut self) -> &mut H {
        self.broker.handler_mut()
    }

    /// Lets the test do something with the handler, with the hands that a handler has: see [`Broker::act`].
    pub fn act<R>(&mut self, act: impl FnOnce(&mut H, &mut Context<'_>) -> R) -> R {
        self.broker.act(act)
    }

    /// The broker.
    pub fn broker(&self) -> &HarnessBroker<H> {
        &self.broker
    }

    /// The broker.
    pub fn broker_mut(&mut self) -> &mut HarnessBroker<H> {
        &mut self.broker
    }

    /// What has passed, in readable lines.
    pub fn transcript(&self) -> &TranscriptLog {
        &self.log
    }

    #[track_caller]
    fn fail(&self, what: &str, why: &dyn fmt::Display) -> ! {
        let (seed, now, log) = (self.config.seed, self.now(), &self.log);
        let mistake = self.broker.last_misuse().map(|mistake| format!("the handler's mistake: {mistake}\n"));
        let mistake = mistake.unwrap_or_default();
        panic!("the harness waited for {what}: {why}\n{mistake}seed {seed}, clock {now:?}; what passed last:\n{log}");
    }
}
