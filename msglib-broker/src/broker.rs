//! The driver: a core over a connection manager, one bounded step at a time.

mod config;
mod reading;
mod step;
mod stop;

pub use config::BrokerConfig;
pub use step::{Drained, Shutdown, Step};
pub use stop::Stop;

use crate::core::{ConnectionInfo, Context, Core, CoreConfig, Counters, End, Load};
use crate::dialect::Dialect;
use crate::handler::Handler;
use crate::native::Native;
use crate::trace;
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness};
use reading::Reading;
use std::io::{self, ErrorKind, IoSlice};

/// A running broker: a handler, and the connections that it serves.
///
/// Each [`process_connections`](Broker::process_connections) is one bounded step: wait for something to do, handle it, write what came
/// of it. Nothing happens between two calls, so that a test decides when the broker makes its move, and a program can do other
/// things on the same thread.
///
/// Dropping a broker closes every connection at once; [`shutdown`](Broker::shutdown) says goodbye first.
///
/// ```no_run
/// # fn manager() -> Box<dyn msglib_broker::ConnectionManager> { unimplemented!() }
/// use msglib_broker::{Broker, ConnectionHandler};
/// use std::time::Duration;
///
/// let mut broker = Broker::new(ConnectionHandler::new(), manager());
/// let stop = broker.stopper(); // Clone + Send: for a signal handler's thread, say
/// broker.run()?;
/// let end = broker.shutdown(Duration::from_secs(5))?;
/// println!("{} connections said goodbye, {} were cut off", end.orderly, end.aborted);
/// # let _ = stop;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Broker<H, M, D: Dialect = Native> {
    core: Core<H, D>,
    manager: M,
    config: BrokerConfig,
    ready: Vec<Readiness>,
    /// What it is told from beside its connections, in this step.
    told: Vec<Vec<u8>>,
    reading: Reading,
    /// What is read goes here first, for all connections alike; so an idle one holds no buffer.
    block: Vec<u8>,
    stop: Stop,
    /// The manager's polls wait.
    waits: bool,
    /// The time of the last step.
    now: Instant,
    /// The manager was not asked to take no new connections.
    accepts: bool,
    /// New connections are turned away.
    is_closing: bool,
}

/// How often a drain asks what is unsettled: of a handler with many queues that takes a while. A step of a broker that drains waits no longer.
const LOOK: Duration = Duration::from_millis(20);

/// Segments in one write. More of them are rare, and get a second call.
const SEGMENTS: usize = 64;

impl<H: Handler, M: ConnectionManager> Broker<H, M> {
    /// A broker that speaks the native protocol, with every default.
    pub fn new(handler: H, connection_manager: M) -> Broker<H, M> {
        Broker::with_config(handler, connection_manager, Native::default(), BrokerConfig::default())
    }
}

impl<H: Handler<D>, M: ConnectionManager, D: Dialect> Broker<H, M, D> {
    /// A broker of any dialect. Its randomness comes from the manager's [`seed`](ConnectionManager::seed).
    pub fn with_config(handler: H, mut connection_manager: M, dialect: D, config: BrokerConfig) -> Broker<H, M, D> {
        let seed = connection_manager.seed();
        let core_config: CoreConfig = config.core.clone();
        let waker = connection_manager.waker();
        let mut core = Core::new(handler, dialect, core_config, seed);
        if let Some(waker) = waker.clone() {
            core.wake_with(waker);
        }
        let waits = waker.is_some();
        let stop = Stop::new(waker);
        Broker {
            core,
            manager: connection_manager,
            config,
            ready: Vec::new(),
            told: Vec::new(),
            reading: Reading::default(),
            block: Vec::new(),
            stop,
            waits,
            now: Instant::ZERO,
            accepts: true,
            is_closing: false,
        }
    }

    /// One bounded step. Waits until there is something to do, but no longer than the manager's own maximum; where that never
    /// waits, as in memory, neither does this.
    ///
    /// # Errors
    ///
    /// Only when the connection manager as a whole has failed. What happens to one connection, or what one peer does, ends
    /// that connection alone and is told to the handler.
    pub fn process_connections(&mut self) -> io::Result<Step> {
        self.step(None)
    }

    /// A step that waits no longer than `most`.
    fn step(&mut self, most: Option<Duration>) -> io::Result<Step> {
        let before = *self.core.counters();
        let wait = match (self.wait(), most) {
            (Some(wait), Some(most)) => Some(wait.min(most)),
            (wait, most) => wait.or(most),
        };
        self.ready.clear();
        self.manager.poll(&mut self.ready, wait)?;
        let now = self.manager.now();
        self.now = now;
        self.take_told(now);
        self.core.handle_timeout(now);
        let reports = self.ready.len();
        self.take_reports(now);
        self.read(now);
        self.core.end_of_step(now);
        self.flush(now);
        self.close();
        while let Some(id) = self.core.poll_resume() {
            self.reading.push(id);
        }
        let has_more = self.wait() == Some(Duration::ZERO);
        // That a handler was told again that there is no room is no news.
        let after = Counters { full: before.full, ..*self.core.counters() };
        Ok(Step { reports, has_more, changed: before != after })
    }

    /// Steps until `done` says so, or until [`Stop::stop`] is called. `done` is asked before each step.
    ///
    /// # Errors
    ///
    /// As [`process_connections`](Broker::process_connections).
    pub fn run_until(&mut self, mut done: impl FnMut(&Self) -> bool) -> io::Result<()> {
        while !self.stop.is_stopped() && !done(self) {
            self.process_connections()?;
        }
        Ok(())
    }

    /// Steps until [`Stop::stop`] is called.
    ///
    /// # Errors
    ///
    /// As [`process_connections`](Broker::process_connections).
    pub fn run(&mut self) -> io::Result<()> {
        self.run_until(|_| false)
    }

    /// What ends [`run`](Broker::run) and [`run_until`](Broker::run_until), from any thread.
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Begins to go away with the next step, which waits for nothing: the transport takes no new connections any more
    /// ([`stop_accepting`](ConnectionManager::stop_accepting)), clients that know of it (PROTOCOL §18) are told that they have until `within` is over,
    /// no new deliveries go out, publishes are refused as `SHUTTING_DOWN` by the stock handler, and peers that had connected already, or whose
    /// transport goes on, are turned away. Settling goes on. It cannot be taken back; calling it again moves the deadline. A recording has it.
    pub fn begin_drain(&mut self, within: Duration) {
        self.core.ask_to_drain(within);
    }

    /// Lets clients settle what they have, before a [`shutdown`](Broker::shutdown) that returns the rest to where it came from:
    /// [begins to go away](Broker::begin_drain), and steps until [nothing is unsettled](Handler::unsettled), all clients have gone, or
    /// `within` is over. As a shutdown, it also ends where a step finds nothing to do and the manager never waits.
    ///
    /// ```no_run
    /// # fn end<M: msglib_broker::ConnectionManager>(mut broker: msglib_broker::Broker<msglib_broker::ConnectionHandler, M>) -> std::io::Result<()> {
    /// use std::time::Duration;
    ///
    /// let drained = broker.drain(Duration::from_secs(30))?;
    /// let end = broker.shutdown(Duration::from_secs(5))?;
    /// println!("{} deliveries went back; {} connections were cut off", drained.unsettled, end.aborted);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`process_connections`](Broker::process_connections).
    pub fn drain(&mut self, within: Duration) -> io::Result<Drained> {
        self.begin_drain(within);
        // Nothing is asked of the manager beside the steps, so a replay needs nothing but them.
        let mut look = Instant::ZERO;
        loop {
            let step = self.process_connections()?;
            let is_late = self.core.drains_until().is_some_and(|until| self.now >= until);
            if is_late || self.core.connections() == 0 || (step.is_idle() && !self.waits) {
                break;
            }
            if self.now >= look {
                if self.core.handler().unsettled() == 0 {
                    break;
                }
                look = self.now + LOOK;
            }
        }
        Ok(Drained { connections: self.core.load().connections, unsettled: self.core.handler().unsettled() })
    }

    /// Ends every connection in an orderly way: the transport takes no new ones any more, what was answered is written, each peer is told
    /// goodbye. Returns when all are closed, or cuts the rest off when `within` is over on the manager's clock. Where the manager
    /// never waits, as in memory, it also gives up when a step finds nothing to do, for its clock may stand still.
    ///
    /// # Errors
    ///
    /// As [`process_connections`](Broker::process_connections).
    pub fn shutdown(&mut self, within: Duration) -> io::Result<Shutdown> {
        let deadline = self.manager.now() + within;
        let waits = self.manager.waker().is_some();
        trace::shutting_down(self.core.connections(), within);
        self.is_closing = true;
        self.stop_accepting();
        let (all, aborted_before) = (self.core.connections(), self.core.counters().aborted);
        self.core.close_all();
        loop {
            let left = deadline.since(self.manager.now());
            if left.is_zero() || (self.core.connections() == 0 && self.manager.draining() == 0) {
                break;
            }
            let step = self.step(Some(left))?;
            if step.is_idle() && !waits {
                break;
            }
        }
        self.core.abort_all();
        self.close();
        let aborted = (self.core.counters().aborted - aborted_before) as usize + self.manager.draining();
        let orderly = all.saturating_sub(aborted);
        trace::shut_down(orderly, aborted);
        Ok(Shutdown { orderly, aborted })
    }

    /// The handler, to look into.
    pub fn handler(&self) -> &H {
        self.core.handler()
    }

    /// The handler, to change.
    pub fn handler_mut(&mut self) -> &mut H {
        self.core.handler_mut()
    }

    /// Lets the program do something with the handler, with the hands that a handler has: for the operations of
    /// [`ConnectionHandler`](crate::ConnectionHandler), say. What is queued goes out with the next step, which waits for nothing. A
    /// recording does not have it: a replay needs it done again, between the same steps.
    ///
    /// ```
    /// # fn run<M: msglib_broker::ConnectionManager>(mut broker: msglib_broker::Broker<msglib_broker::ConnectionHandler, M>) {
    /// broker.act(|handler, cx| handler.publish(cx, "jobs", "from the program itself")).expect("there is room");
    /// # }
    /// ```
    pub fn act<R>(&mut self, act: impl FnOnce(&mut H, &mut Context<'_, D>) -> R) -> R {
        let now = self.manager.now();
        self.core.act(now, act)
    }

    /// What moves the bytes.
    pub fn connection_manager(&self) -> &M {
        &self.manager
    }

    /// What moves the bytes.
    pub fn connection_manager_mut(&mut self) -> &mut M {
        &mut self.manager
    }

    /// The handler's last mistake; see [`Core::last_misuse`].
    pub fn last_misuse(&self) -> Option<&str> {
        self.core.last_misuse()
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        self.core.counters()
    }

    /// What it holds now. To those that are closing the [manager's own](ConnectionManager::draining) have to be added.
    pub fn load(&self) -> Load {
        self.core.load()
    }

    /// Connections that are open, or have still something to be written.
    pub fn connections(&self) -> usize {
        self.core.connections()
    }

    /// Every connection that is open, or has still something to be written, in the order of their slots.
    pub fn each_connection(&self) -> impl Iterator<Item = ConnectionInfo<'_>> {
        self.core.each_connection()
    }

    /// When the next timer is due, on the manager's clock; [`Instant::ZERO`] when there is work left over.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.core.poll_timeout()
    }

    /// How long the next step may wait.
    fn wait(&self) -> Option<Duration> {
        if !self.reading.is_empty() {
            return Some(Duration::ZERO);
        }
        let wait = match self.core.poll_timeout() {
            Some(Instant::ZERO) => Some(Duration::ZERO),
            Some(at) => Some(at.since(self.manager.now())),
            None => None,
        };
        let Some(until) = self.core.drains_until() else { return wait };
        let left = until.since(self.now);
        let look = if left.is_zero() { LOOK } else { LOOK.min(left) };
        Some(wait.map_or(look, |wait| wait.min(look)))
    }

    /// Before anything else of an end: who connects from here on is refused, and need not wait to be told.
    fn stop_accepting(&mut self) {
        if std::mem::take(&mut self.accepts) {
            // If it cannot, those who come are turned away one by one.
            self.manager.stop_accepting();
        }
    }

    /// Answers that were given since the last step, and whether to go away. The manager is asked each time, for it may know of others.
    fn take_told(&mut self, now: Instant) {
        self.core.poll_told(&mut self.told);
        self.manager.aside(&mut self.told);
        for told in self.told.drain(..) {
            self.core.handle_told(now, &told);
        }
        if self.core.drains_until().is_some() {
            self.stop_accepting();
        }
    }

    fn take_reports(&mut self, now: Instant) {
        for readiness in self.ready.drain(..) {
            match readiness {
                Readiness::Opened(id, _) if self.is_closing => self.manager.close(id, Close::Abort),
                Readiness::Opened(id, peer) => self.core.handle_open(now, id, peer),
                Readiness::Readable(id) => self.reading.push(id),
                Readiness::Writable(id) => self.core.handle_writable(now, id),
            }
        }
    }

    /// One turn for each connection that has something to read.
    fn read(&mut self, now: Instant) {
        if self.block.is_empty() && !self.reading.is_empty() {
            self.block = vec![0; self.config.read_block.max(1)];
        }
        for _ in 0..self.reading.len() {
            let Some(id) = self.reading.pop() else { return };
            if self.read_turn(now, id) {
                self.reading.push(id);
            }
        }
    }

    /// Reads as much as one turn allows; true if there may be more. A read that does not fill the block has taken all that
    /// there was (T5), so no second call is needed to know it.
    fn read_turn(&mut self, now: Instant, id: ConnectionId) -> bool {
        for _ in 0..self.config.reads_per_turn.max(1) {
            if !self.core.wants_input(id) {
                return false;
            }
            let room = self.core.input_limit(id, self.block.len());
            match self.manager.read(id, &mut self.block[..room]) {
                Ok(0) => {
                    self.core.handle_end(now, id, End::OfStream);
                    return false;
                }
                Ok(n) => {
                    self.core.handle_input(now, id, &self.block[..n]);
                    if n < room {
                        return false;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.core.handle_end(now, id, End::Failed(error));
                    return false;
                }
            }
        }
        self.core.cut_read_turn();
        true
    }

    /// One vectored write for each connection that has something to say.
    fn flush(&mut self, now: Instant) {
        while let Some(id) = self.core.poll_transmit() {
            while let Some(pending) = self.core.pending(id) {
                let mut slices = [IoSlice::new(&[]); SEGMENTS];
                let filled = pending.io_slices(&mut slices);
                let offered: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
                match self.manager.write(id, &slices[..filled]) {
                    Ok(n) => {
                        self.core.handle_sent(now, id, n);
                        if n < offered {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.core.handle_sent(now, id, 0);
                        break;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.core.handle_end(now, id, End::Failed(error));
                        break;
                    }
                }
            }
        }
    }

    fn close(&mut self) {
        while let Some((id, how)) = self.core.poll_close() {
            let how = match how {
                Close::Drain { .. } if self.core.cuts_closing(self.manager.draining()) => Close::Abort,
                how => how,
            };
            self.manager.close(id, how);
        }
    }
}
