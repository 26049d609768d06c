//! The sans-IO core: what happened goes in, what is to be done comes out.
//!
//! `handle_*` in, `poll_*` out, and the time is an argument. It can be driven from any loop; [`Broker`](crate::Broker) is one.

mod answering;
mod answers;
mod census;
mod config;
mod connection;
mod connections;
mod context;
mod deadlines;
mod deliveries;
mod delivery_run;
mod frames;
mod info;
mod spares;
mod state;
mod timers;
mod told;
mod volume;

pub use answers::{AnswerId, PendingAnswer};
pub use config::{CoreConfig, Counters, Load};
pub use context::Context;
pub use deliveries::Deliveries;
pub use delivery_run::DeliveryRun;
pub use frames::{Frames, Publish};
pub use info::ConnectionInfo;
pub use timers::TimerId;

use crate::dialect::Dialect;
use crate::event::Event;
use crate::handler::Handler;
use crate::native::Native;
use crate::reason::{Reason, Reject};
use crate::trace;
use connection::{Connection, Phase};
use core::time::Duration;
use msglib_proto::transport::{Close, ConnectionId, Peer};
use msglib_proto::{ErrorCode, Instant, SendQueue};
use state::State;
use std::io;
use timers::Due;
use told::News;

/// A broker without its IO: a handler, and the state of every connection.
///
/// Given the same calls with the same arguments it does the same, byte for byte. A driver calls, for each step and in
/// this order: [`handle_timeout`](Core::handle_timeout), then `handle_*` for what is ready, then
/// [`end_of_step`](Core::end_of_step), then takes out what [`poll_transmit`](Core::poll_transmit),
/// [`poll_close`](Core::poll_close) and [`poll_resume`](Core::poll_resume) have, and waits until
/// [`poll_timeout`](Core::poll_timeout) at most.
///
/// ```
/// use msglib_broker::{ConnectionHandler, Core, CoreConfig, Native};
/// use msglib_proto::transport::{Address, ConnectionId, Peer};
/// use msglib_proto::{Decoder, Frame, Hello, Instant, Limits, SendQueue, encode};
///
/// let mut core = Core::new(ConnectionHandler::new(), Native::default(), CoreConfig::default(), 1);
/// let (now, id) = (Instant::ZERO, ConnectionId::new(0, 0));
/// let mut hello = SendQueue::new();
/// let greeting = Hello {
///     min_version: 1, max_version: 1, features: 0, max_payload: 1024, idle_ms: 0,
///     name: "me", mechanism: "", credentials: b"",
/// };
/// encode(&Frame::Hello(greeting), &mut hello)?;
///
/// core.handle_open(now, id, Peer::new(Address::Memory(1)));
/// core.handle_input(now, id, &hello.to_vec());
/// core.end_of_step(now);
///
/// assert_eq!(core.poll_transmit(), Some(id));
/// let answer = core.pending(id).unwrap().to_vec();
/// let welcome = Decoder::new(&Limits::default()).decode(&mut &answer[..])?.map(|frame| frame.frame_type());
/// assert_eq!(welcome, Some(msglib_proto::FrameType::Welcome));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Core<H, D: Dialect = Native> {
    handler: H,
    state: State<D>,
}

/// How a connection's input ended.
#[derive(Debug)]
pub enum End {
    /// The peer closed its sending side; it may still read.
    OfStream,
    /// Reading or writing failed; nothing can be written any more.
    Failed(io::Error),
}

impl<H: Handler<D>, D: Dialect> Core<H, D> {
    /// A core with no connections. All of its randomness comes from `seed`.
    pub fn new(mut handler: H, mut dialect: D, config: CoreConfig, seed: u128) -> Core<H, D> {
        dialect.serve(handler.features());
        let mut state = State::new(dialect, config, seed);
        handler.started(&mut Context { state: &mut state });
        Core { handler, state }
    }

    /// A peer connected.
    ///
    /// # Panics
    ///
    /// When the id's slot is still in use: a transport that breaks rule T2.
    pub fn handle_open(&mut self, now: Instant, id: ConnectionId, peer: Peer) {
        self.state.now = now;
        let earlier = self.state.connections.in_slot(id).map(|connection| connection.id);
        assert!(earlier.is_none(), "the transport opened {id} while {earlier:?} has its slot (rules T1, T2)");
        let opened = self.state.dialect.open(&peer);
        let needs_handshake = !D::is_greeted(&opened.1);
        let is_going = self.state.is_closing || self.state.drains_until.is_some();
        let entered = match is_going {
            true => Err(Reject::new(ErrorCode::SHUTTING_DOWN, "the broker is going away")),
            false => self.state.census.enter(&peer, &self.state.config),
        };
        self.state.connections.insert(Connection::new(id, peer.clone(), opened));
        if let Err(reject) = entered {
            return self.state.turn_away(id, reject);
        }
        self.state.counters.connected += 1;
        trace::connected(id, &peer);
        if needs_handshake {
            let deadline = now + self.state.config.handshake_timeout;
            self.state.set_deadline(id, deadline, Due::Handshake(id));
        } else {
            self.state.greeted(id);
        }
        let mut cx = Context { state: &mut self.state };
        if let Err(reject) = self.handler.handle(&mut cx, Event::Connected { id, peer: &peer }) {
            self.state.finish(id, Reason::Rejected(reject));
        }
        self.tell_gone();
    }

    /// Bytes came from a peer. They are handled as far as the turn's budget goes; the rest is held, and handled in
    /// later calls of [`handle_timeout`](Self::handle_timeout). Input that was not welcome
    /// ([`wants_input`](Self::wants_input)) is held likewise, so a driver that ignores it gives up the bound on memory.
    pub fn handle_input(&mut self, now: Instant, id: ConnectionId, input: &[u8]) {
        self.state.now = now;
        let State { connections, counters, config, .. } = &mut self.state;
        counters.bytes_received += input.len() as u64;
        let Some(connection) = connections.get_mut(id) else { return };
        if !connection.is_live() {
            return;
        }
        if let Some(silence) = &mut connection.silence {
            silence.heard = now;
        }
        if !connection.flags.greeted && input.len() >= config.handshake_read.max(1) {
            counters.handshake_reads += 1;
        }
        if connection.held.is_empty() {
            self.process(id, input);
        } else {
            connection.held.extend_from_slice(input);
            self.state.note_inbound(id, false);
        }
        self.state.evict();
        self.tell_gone();
    }

    /// A connection's input is over: what was held is still handled, and what is due still sent, where that is possible.
    pub fn handle_end(&mut self, now: Instant, id: ConnectionId, end: End) {
        self.state.now = now;
        match end {
            End::OfStream => match self.state.get_mut(id) {
                Some(connection) if !connection.held.is_empty() => {
                    if !core::mem::replace(&mut connection.flags.input_over, true) {
                        self.state.list_at_end(id);
                    }
                }
                _ => self.state.end(id, Reason::PeerClosed),
            },
            End::Failed(error) => self.state.abort(id, error),
        }
        self.tell_gone();
    }

    /// There is room again on a connection that did not take all.
    pub fn handle_writable(&mut self, now: Instant, id: ConnectionId) {
        self.state.now = now;
        self.state.touch(id);
    }

    /// The first `n` bytes of what was pending on a connection are written; 0 if the transport took nothing, so that the time that a
    /// peer has for that begins to count.
    pub fn handle_sent(&mut self, now: Instant, id: ConnectionId, n: usize) {
        self.state.now = now;
        self.state.counters.bytes_sent += n as u64;
        if let Some(connection) = self.state.get_mut(id) {
            connection.advance(n);
        }
        self.state.sent(id);
    }

    /// Time has passed: fires due timers, a bounded number, and works on what earlier steps have left over.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.state.now = now;
        self.fire_timers();
        self.handle_drained();
        self.handle_at_end();
        self.handle_backlog();
        self.tell_gone();
    }

    /// All that was ready is handled: the handler dispatches what became possible.
    pub fn end_of_step(&mut self, now: Instant) {
        self.state.now = now;
        self.state.again = false;
        let mut cx = Context { state: &mut self.state };
        self.handler.end_of_step(&mut cx);
        self.handle_ending();
        self.tell_gone();
    }

    /// Lets the host program do something with the handler, with the hands that a handler has; the next step comes at once. It is no input
    /// like the others: a recording does not have it.
    pub fn act<R>(&mut self, now: Instant, act: impl FnOnce(&mut H, &mut Context<'_, D>) -> R) -> R {
        self.state.now = now;
        self.state.again = true;
        let result = act(&mut self.handler, &mut Context { state: &mut self.state });
        self.tell_gone();
        result
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest; [`Instant::ZERO`] when there is work left
    /// over, `None` when nothing is due. Ask again after any other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.state.has_work() { Some(Instant::ZERO) } else { self.state.timers.next() }
    }

    /// The next connection with something to write; see [`pending`](Self::pending) and
    /// [`handle_sent`](Self::handle_sent). Each is named once; after a partial write it is named again when
    /// [`handle_writable`](Self::handle_writable) was called.
    pub fn poll_transmit(&mut self) -> Option<ConnectionId> {
        let id = self.state.touched.pop_front()?;
        if let Some(connection) = self.state.get_mut(id) {
            connection.flags.touched = false;
        }
        self.state.note_outbound(id);
        Some(id)
    }

    /// What waits to be written to a connection.
    pub fn pending(&self, id: ConnectionId) -> Option<&SendQueue> {
        self.state.get(id).map(|connection| &connection.out).filter(|out| !out.is_empty())
    }

    /// Bytes of memory that a connection's outbound holds, waiting or not; shared payloads are not counted.
    pub fn outbound_capacity(&self, id: ConnectionId) -> Option<usize> {
        self.state.get(id).map(|connection| connection.out.capacity())
    }

    /// The next connection to close, and how. The core has forgotten it.
    pub fn poll_close(&mut self) -> Option<(ConnectionId, Close)> {
        let (id, how) = self.state.closes.pop_front()?;
        if let Some(connection) = self.state.get_mut(id) {
            connection.out = SendQueue::new();
        }
        self.state.note_outbound(id);
        self.state.connections.remove(id);
        Some((id, how))
    }

    /// Whether a connection that is to be drained must be cut off instead, for `draining` are already
    /// ([`CoreConfig::max_closing`]); counts it then. A driver asks for each that [`poll_close`](Self::poll_close) names.
    pub fn cuts_closing(&mut self, draining: usize) -> bool {
        let cuts = !self.state.is_closing && draining >= self.state.config.max_closing;
        self.state.counters.closings_cut += u64::from(cuts);
        self.state.counters.aborted += u64::from(cuts);
        cuts
    }

    /// A turn of reading had as many reads as it may have.
    pub(crate) fn cut_read_turn(&mut self) {
        self.state.counters.read_turns_cut += 1;
    }

    /// Whether more may be read from the connection now. After a `false`, [`poll_resume`](Self::poll_resume) names
    /// the connection when that changes.
    pub fn wants_input(&mut self, id: ConnectionId) -> bool {
        let State { config, .. } = &self.state;
        let Some(connection) = self.state.get(id) else { return false };
        let wants = connection.may_read(config);
        // What is held and stalled was counted as that.
        let is_short = !wants && !connection.flags.stalled && !connection.flags.wants_input;
        let is_short = is_short && connection.is_live() && !connection.has_reserve(config);
        self.state.counters.reserve_limits += u64::from(is_short);
        if let Some(connection) = self.state.get_mut(id) {
            connection.flags.wants_input = !wants;
        }
        wants
    }

    /// How many bytes may be read from the connection at once, of at most `most`: few as long as its handshake is not done.
    pub fn input_limit(&self, id: ConnectionId, most: usize) -> usize {
        let is_in_handshake = self.state.get(id).is_some_and(|connection| !connection.flags.greeted);
        if is_in_handshake { most.min(self.state.config.handshake_read.max(1)) } else { most }
    }

    /// The next connection whose input is welcome again.
    pub fn poll_resume(&mut self) -> Option<ConnectionId> {
        self.state.resumed.pop_front()
    }

    /// Begins to go away: peers who can be told are told that they have until `within` is over, nothing more is delivered, and new
    /// peers are turned away. What is in flight can be settled. It cannot be taken back; a later call moves the deadline.
    pub fn begin_drain(&mut self, now: Instant, within: Duration) {
        self.state.now = now;
        self.state.drains_until = Some(now + within);
        let all: Vec<ConnectionId> = self.state.connections.iter().map(|connection| connection.id).collect();
        for id in all {
            self.state.tell_going_away(id);
        }
    }

    /// As [`begin_drain`](Self::begin_drain), but told from beside the connections ([`poll_told`](Self::poll_told)), so that a recording has it: for
    /// a driver, between two steps.
    pub fn ask_to_drain(&self, within: Duration) {
        self.state.answers.told().tell(News::drain(within));
    }

    /// Until when it drains, if it does.
    pub fn drains_until(&self) -> Option<Instant> {
        self.state.drains_until
    }

    /// Ends every connection in an orderly way at the end of the next step.
    pub fn close_all(&mut self) {
        self.state.is_closing = true;
        let all: Vec<ConnectionId> = self.state.connections.iter().map(|connection| connection.id).collect();
        for id in all {
            self.state.end(id, Reason::Closed);
        }
    }

    /// Cuts off every connection that is left, and returns how many there were. The handler is told.
    pub fn abort_all(&mut self) -> usize {
        let all: Vec<ConnectionId> = self.state.connections.iter().map(|connection| connection.id).collect();
        for id in &all {
            trace::cut_off(*id);
            self.state.abort(*id, io::ErrorKind::ConnectionAborted.into());
        }
        self.tell_gone();
        all.len()
    }

    /// What it holds now.
    pub fn load(&self) -> Load {
        self.state.load()
    }

    /// Connections that are open, or have still something to be written.
    pub fn connections(&self) -> usize {
        self.state.connections.len()
    }

    /// The last frame that the handler wanted to send and that the protocol has no place for
    /// ([`SendError::Misuse`](crate::SendError::Misuse)), and why: for whoever wonders where it is, for handlers tend to
    /// throw the result of a send away.
    pub fn last_misuse(&self) -> Option<&str> {
        self.state.misuse.as_deref()
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.state.counters
    }

    /// The handler.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The handler.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }

    /// The handler, when the broker is done.
    pub fn into_handler(self) -> H {
        self.handler
    }

    /// Handles as many of the frames in `input` as the budget allows; holds the rest.
    fn process(&mut self, from: ConnectionId, input: &[u8]) {
        let Some(mut decoder) = self.state.get_mut(from).and_then(|connection| connection.decoder.take()) else {
            return;
        };
        let (mut taken, before) = (0, self.state.counters.frames_received);
        let budget = self.state.config.frames_per_turn.max(1);
        let frames = Frames { from, decoder: &mut decoder, input, taken: &mut taken, budget };
        self.handler.frames(&mut Context { state: &mut self.state }, frames);
        let has_finished = self.state.counters.frames_received > before;
        let State { connections, counters, config, .. } = &mut self.state;
        let Some(connection) = connections.get_mut(from).filter(|connection| connection.is_open()) else { return };
        connection.decoder = Some(decoder);
        let is_done = taken == input.len() || !connection.is_live();
        if !is_done {
            counters.frame_turns_cut += u64::from(connection.may_handle(config));
            connection.held.extend_from_slice(&input[taken..]);
        }
        let is_over = is_done && connection.flags.input_over;
        self.state.note_inbound(from, has_finished);
        if is_over {
            self.state.end(from, Reason::PeerClosed);
        }
        match is_done {
            true => self.state.resume(from),
            false => self.state.list_held(from),
        }
    }

    fn fire_timers(&mut self) {
        self.state.timers.begin();
        for _ in 0..self.state.config.timers_per_step.max(1) {
            let Some((timer, due)) = self.state.timers.pop(self.state.now) else { return };
            match due {
                Due::Handler { token } => {
                    let mut cx = Context { state: &mut self.state };
                    // A timer belongs to nobody who could be told.
                    let _ = self.handler.handle(&mut cx, Event::Timer { timer, token });
                }
                Due::Handshake(id) => {
                    if self.state.get(id).is_some_and(|c| c.is_open() && !D::is_greeted(&c.session)) {
                        self.state.counters.handshake_timeouts += 1;
                        self.state.finish(id, Reason::HandshakeTimeout);
                    }
                }
                Due::Answer(answer) => self.time_out_answer(answer),
                Due::SignOfLife(id) => self.state.sign_of_life(id),
                Due::Silence(id) => self.state.silence(id),
                Due::Progress { id, sent, looks } => self.state.look_for_progress(id, sent, looks),
                Due::Close(id) => {
                    if self.state.get(id).is_some_and(|c| matches!(c.phase, Phase::Draining)) {
                        trace::cut_off(id);
                        self.state.close(id, Close::Abort);
                    }
                }
            }
        }
        self.state.counters.timer_turns_cut += u64::from(self.state.timers.is_due(self.state.now));
    }

    fn handle_drained(&mut self) {
        for _ in 0..self.state.drained.len() {
            let Some(id) = self.state.drained.pop_front() else { return };
            if self.state.get(id).is_none_or(|connection| !connection.is_open()) {
                continue;
            }
            let mut cx = Context { state: &mut self.state };
            if let Err(reject) = self.handler.handle(&mut cx, Event::Drained { id }) {
                self.state.finish(id, Reason::Rejected(reject));
            }
        }
    }

    /// One turn for each connection that has held input.
    fn handle_backlog(&mut self) {
        for _ in 0..self.state.backlog.len() {
            let Some(id) = self.state.backlog.pop_front() else { return };
            // Of one that has ended since, the handler must not hear any more, not even that there are no frames.
            let Some(connection) = self.state.get_mut(id).filter(|connection| connection.is_live()) else { continue };
            let held = core::mem::take(&mut connection.held);
            self.process(id, &held);
        }
    }

    /// The handler may want to hold these peers no longer.
    fn handle_at_end(&mut self) {
        for _ in 0..self.state.at_end.len() {
            let Some(id) = self.state.at_end.pop_front() else { return };
            if !self.state.get(id).is_some_and(Connection::is_held_at_end) {
                continue;
            }
            let mut cx = Context { state: &mut self.state };
            if let Err(reject) = self.handler.handle(&mut cx, Event::NoMoreInput { id }) {
                self.state.finish(id, Reason::Rejected(reject));
            }
        }
    }

    /// After the handler's `end_of_step`, so that what is due to those who leave goes out before their last words.
    fn handle_ending(&mut self) {
        for _ in 0..self.state.ending.len() {
            let Some(id) = self.state.ending.pop_front() else { return };
            if let Some(reason) = self.state.get_mut(id).and_then(Connection::take_ending) {
                self.state.finish(id, reason);
            }
        }
    }

    /// Tells the handler which connections are over. What it does then can end more of them.
    fn tell_gone(&mut self) {
        while let Some((id, reason)) = self.state.gone.pop_front() {
            // If this comes after `end_of_step`, what was given back must not wait for the next report.
            self.state.again = true;
            let mut cx = Context { state: &mut self.state };
            let _ = self.handler.handle(&mut cx, Event::Disconnected { id, reason: &reason });
        }
    }
}
