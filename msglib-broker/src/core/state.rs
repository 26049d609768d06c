//! All that a core keeps besides its handler, and the few ways in which it changes.

use super::answers::Answers;
use super::census::Census;
use super::config::{CoreConfig, Counters, Load};
use super::connection::{Connection, Holds, Phase};
use super::connections::Connections;
use super::spares::Spares;
use super::timers::{Due, Timers};
use super::volume::Volume;
use crate::dialect::{Dialect, Received, SendError};
use crate::random::Random;
use crate::reason::{Reason, Reject};
use crate::trace;
use msglib_proto::transport::{Close, ConnectionId};
use msglib_proto::{ErrorCode, Instant};
use std::collections::VecDeque;

pub(crate) struct State<D: Dialect> {
    pub(crate) dialect: D,
    pub(crate) config: CoreConfig,
    pub(crate) now: Instant,
    pub(crate) random: Random,
    pub(crate) hash_secret: u128,
    pub(crate) counters: Counters,
    pub(crate) timers: Timers,
    pub(crate) connections: Connections<D>,
    pub(crate) census: Census,
    pub(crate) volume: Volume,
    /// Every connection is to end: all have the time that they need for that.
    pub(crate) is_closing: bool,
    /// When the broker will end its connections, as it has told those who can be told: nothing new begins.
    pub(crate) drains_until: Option<Instant>,
    pub(crate) answers: Answers,
    /// Whose frame is being handled, if it is one whose answer can be put off.
    pub(crate) asking: Option<ConnectionId>,
    /// Something to write, in the order in which it was first touched.
    pub(crate) touched: VecDeque<ConnectionId>,
    /// Held input that can be handled.
    pub(crate) backlog: VecDeque<ConnectionId>,
    /// In `Phase::Ending`.
    pub(crate) ending: VecDeque<ConnectionId>,
    /// Buffers for what is to be written.
    pub(crate) spares: Spares,
    /// Room again, after somebody was refused.
    pub(crate) drained: VecDeque<ConnectionId>,
    /// On hold at the end of their input; the handler has not been told of it since.
    pub(crate) at_end: VecDeque<ConnectionId>,
    /// Input is welcome again, after some was refused.
    pub(crate) resumed: VecDeque<ConnectionId>,
    /// Over; the handler has not been told yet.
    pub(crate) gone: VecDeque<(ConnectionId, Reason)>,
    /// To be closed by the driver.
    pub(crate) closes: VecDeque<(ConnectionId, Close)>,
    /// The handler's last mistake.
    pub(crate) misuse: Option<String>,
    /// The handler has more to do, or was told something after its `end_of_step`.
    pub(crate) again: bool,
}

impl<D: Dialect> State<D> {
    pub(crate) fn new(dialect: D, config: CoreConfig, seed: u128) -> State<D> {
        let mut random = Random::new(seed as u64);
        // The hasher's secret must not be what a peer can see in a random choice.
        let hash_secret = (seed >> 64) << 64 | u128::from(random.next());
        State {
            dialect,
            config,
            now: Instant::ZERO,
            random,
            hash_secret,
            counters: Counters::default(),
            timers: Timers::default(),
            connections: Connections::new(),
            census: Census::default(),
            volume: Volume::default(),
            is_closing: false,
            drains_until: None,
            answers: Answers::default(),
            asking: None,
            touched: VecDeque::new(),
            backlog: VecDeque::new(),
            ending: VecDeque::new(),
            spares: Spares::default(),
            drained: VecDeque::new(),
            at_end: VecDeque::new(),
            resumed: VecDeque::new(),
            gone: VecDeque::new(),
            closes: VecDeque::new(),
            misuse: None,
            again: false,
        }
    }

    #[inline]
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection<D>> {
        self.connections.get(id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection<D>> {
        self.connections.get_mut(id)
    }

    /// Whether the next step has something to do without any report.
    pub(crate) fn has_work(&self) -> bool {
        self.again
            || !self.backlog.is_empty()
            || !self.ending.is_empty()
            || !self.drained.is_empty()
            || !self.at_end.is_empty()
            || !self.resumed.is_empty()
            || !self.touched.is_empty()
            || !self.closes.is_empty()
    }

    pub(crate) fn touch(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get_mut(id)
            && !connection.flags.touched
            && !connection.out.is_empty()
        {
            connection.flags.touched = true;
            self.touched.push_back(id);
        }
    }

    pub(crate) fn send(&mut self, to: ConnectionId, answer: &D::Answer<'_>) -> Result<(), SendError> {
        let high_water = self.volume.high_water(&self.config);
        let Some(connection) = self.connections.get_mut(to).filter(|connection| connection.is_open()) else {
            return Err(SendError::Gone);
        };
        let before = connection.out.len();
        let is_paced = D::is_paced(answer);
        if is_paced {
            if !connection.is_live() {
                // It is leaving: what is due to it still goes out, but nothing new.
                return Err(SendError::Gone);
            }
            if self.drains_until.is_some() && D::begins_something(answer) {
                self.counters.full += 1;
                return Err(SendError::Full);
            }
            if before >= high_water {
                connection.flags.wants_room = true;
                self.counters.full += 1;
                return Err(SendError::Full);
            }
        }
        connection.take_spare(&mut self.spares);
        let sent = self.dialect.send(&mut connection.session, answer, &mut connection.out);
        if let Err(SendError::Misuse(why)) = &sent {
            let mistake = format!("{answer:?} to {to}: {why}");
            trace::misused(&mistake);
            self.misuse = Some(mistake);
        }
        sent?;
        if !is_paced {
            connection.answered(before);
        }
        self.counters.frames_sent += 1;
        if !connection.flags.touched {
            connection.flags.touched = true;
            self.touched.push_back(to);
        }
        Ok(())
    }

    /// Checks a frame that arrived; `None` when the peer broke the protocol, which ends the connection.
    pub(crate) fn receive(&mut self, from: ConnectionId, frame: &D::Frame<'_>, offset: u64) -> Option<Received> {
        self.counters.frames_received += 1;
        let connection = self.connections.get_mut(from)?;
        let before = connection.out.len();
        let received = self.dialect.receive(&mut connection.session, frame, offset, &mut connection.out);
        connection.answered(before);
        match received {
            Ok(Received::Pass) => Some(Received::Pass),
            Ok(other) => {
                self.touch(from);
                Some(other)
            }
            Err(error) => {
                self.fail(from, &error);
                None
            }
        }
    }

    /// The handler took a frame whose answer is due, now or when it will.
    pub(crate) fn accepted(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.is_open()) {
            let before = connection.out.len();
            self.dialect.accepted(&mut connection.session, &mut connection.out);
            connection.answered(before);
            if !connection.flags.greeted && D::is_greeted(&connection.session) {
                self.greeted(id);
            }
        }
        self.touch(id);
    }

    /// The handler refused a frame.
    pub(crate) fn rejected(&mut self, id: ConnectionId, reject: Reject) {
        self.counters.rejected += 1;
        self.forget_answer(id);
        trace::refused(id, &reject);
        let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.is_open()) else { return };
        let before = connection.out.len();
        let goes_on =
            !reject.is_fatal() && self.dialect.rejected(&mut connection.session, &reject, &mut connection.out);
        connection.answered(before);
        self.touch(id);
        if !goes_on {
            self.finish(id, Reason::Rejected(reject));
        }
    }

    /// The peer broke the protocol.
    pub(crate) fn fail(&mut self, id: ConnectionId, error: &D::Error) {
        self.counters.protocol_errors += 1;
        let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.is_open()) else { return };
        self.dialect.failed(&mut connection.session, error, &mut connection.out);
        self.over(id, Reason::Protocol(error.to_string()));
    }

    /// The connection ends at the end of this step, after what is due to it.
    pub(crate) fn end(&mut self, id: ConnectionId, reason: Reason) {
        if let Some(connection) = self.get_mut(id)
            && connection.is_live()
        {
            connection.phase = Phase::Ending(Box::new(reason));
            self.ending.push_back(id);
        }
    }

    /// The connection ends now, with the dialect's last words.
    pub(crate) fn finish(&mut self, id: ConnectionId, reason: Reason) {
        let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.is_open()) else { return };
        self.dialect.farewell(&mut connection.session, &reason, &mut connection.out);
        self.over(id, reason);
    }

    /// The transport failed: nothing can be written any more.
    pub(crate) fn abort(&mut self, id: ConnectionId, error: std::io::Error) {
        let Some(connection) = self.get_mut(id) else { return };
        connection.out = msglib_proto::SendQueue::new();
        self.note_outbound(id);
        let Some(connection) = self.get(id) else { return };
        match connection.phase {
            Phase::Live | Phase::Ending(_) => self.over(id, Reason::Io(error)),
            Phase::Draining => self.close(id, Close::Abort),
            Phase::Closing => {}
        }
    }

    /// Closes the connection if all is written that waits.
    pub(crate) fn close_if_flushed(&mut self, id: ConnectionId) {
        let deadline = self.now + self.config.close_timeout;
        if let Some(connection) = self.get(id)
            && matches!(connection.phase, Phase::Draining)
            && connection.out.is_empty()
        {
            self.close(id, Close::Drain { deadline });
        }
    }

    pub(crate) fn close(&mut self, id: ConnectionId, how: Close) {
        self.clear_timers(id);
        self.counters.aborted += u64::from(matches!(how, Close::Abort));
        if let Some(connection) = self.get_mut(id) {
            connection.phase = Phase::Closing;
            self.closes.push_back((id, how));
        }
    }

    /// After bytes were written: who waited for that?
    pub(crate) fn sent(&mut self, id: ConnectionId) {
        self.note_outbound(id);
        let (high_water, reserve) = (self.volume.high_water(&self.config), self.config.reserve);
        let Some(connection) = self.connections.get_mut(id) else { return };
        if let Some(buffer) = connection.out.take_buffer() {
            self.spares.give(buffer);
        }
        let (waiting, answers) = (connection.out.len(), connection.answers.waiting());
        let flags = &mut connection.flags;
        let has_room = flags.wants_room && waiting <= high_water / 2;
        let unstalled = flags.stalled && answers <= reserve / 2;
        flags.wants_room &= !has_room;
        flags.stalled &= !unstalled;
        let Some(connection) = self.get(id) else { return };
        if has_room && connection.is_open() {
            self.drained.push_back(id);
        }
        if unstalled {
            self.list_held(id);
        }
        self.resume(id);
        self.close_if_flushed(id);
        self.expect_progress(id);
    }

    /// There is held input: it is handled in the next step, or when what it waits for has come.
    pub(crate) fn list_held(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !connection.has_reserve(&self.config) {
            self.counters.reserve_limits += u64::from(!connection.flags.stalled);
            connection.flags.stalled = true;
        } else if connection.flags.holds.is_none() {
            self.backlog.push_back(id);
        }
        self.list_at_end(id);
    }

    /// If the peer is on hold at the end of its input, the handler is told with the next step.
    pub(crate) fn list_at_end(&mut self, id: ConnectionId) {
        if self.get(id).is_some_and(Connection::is_held_at_end) {
            self.at_end.push_back(id);
        }
    }

    /// Puts the peer's frames on hold, or goes on with them.
    pub(crate) fn hold(&mut self, id: ConnectionId, on_hold: bool) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let goes_on = connection.flags.holds.set(Holds::HANDLER, on_hold) && !on_hold;
        if goes_on && !connection.held.is_empty() && !connection.flags.stalled {
            self.list_held(id);
        }
        if on_hold {
            self.list_at_end(id);
        }
    }

    /// Tells the driver that input is welcome again, if it was refused before.
    pub(crate) fn resume(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id)
            && connection.flags.wants_input
            && connection.may_read(&self.config)
            && let Some(connection) = self.get_mut(id)
        {
            connection.flags.wants_input = false;
            self.resumed.push_back(id);
        }
    }

    /// Once for each connection: whoever calls has seen that it is open.
    fn over(&mut self, id: ConnectionId, reason: Reason) {
        let failed = matches!(reason, Reason::Io(_));
        let Some(connection) = self.connections.get_mut(id) else { return };
        self.census.leave(&connection.peer);
        trace::disconnected(id, &reason);
        self.gone.push_back((id, reason));
        self.counters.disconnected += 1;
        self.wind_up(id, failed);
    }

    /// A peer that cannot come in: it is told, and the handler is not.
    pub(crate) fn turn_away(&mut self, id: ConnectionId, reject: Reject) {
        self.counters.turned_away += 1;
        if let Some(connection) = self.connections.get_mut(id) {
            self.dialect.farewell(&mut connection.session, &Reason::Rejected(reject), &mut connection.out);
        }
        self.wind_up(id, false);
    }

    /// Nothing more is taken from the peer; what waits for it is written, in bounded time, if anything can be.
    fn wind_up(&mut self, id: ConnectionId, failed: bool) {
        let is_one_too_many = !self.is_closing && self.closing() > self.config.max_closing;
        let Some(connection) = self.get_mut(id) else { return };
        connection.phase = Phase::Draining;
        connection.held = Vec::new();
        connection.decoder = None;
        self.note_inbound(id, true);
        self.forget_answer(id);
        if failed || is_one_too_many {
            self.counters.closings_cut += u64::from(!failed);
            return self.close(id, Close::Abort);
        }
        let deadline = self.now + self.config.close_timeout;
        self.set_deadline(id, deadline, Due::Close(id));
        self.touch(id);
        self.close_if_flushed(id);
    }

    /// Connections that are over, and that the driver has not closed yet.
    pub(crate) fn closing(&self) -> usize {
        self.connections.len() - self.census.open()
    }

    pub(crate) fn load(&self) -> Load {
        Load {
            connections: self.census.open(),
            closing: self.closing(),
            outbound: self.volume.outbound(),
            inbound: self.volume.inbound(),
            is_busy: self.volume.is_busy(),
        }
    }

    /// What waits to be written to the connection may have changed.
    pub(crate) fn note_outbound(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let (share, waiting) = (&mut connection.share, connection.out.len());
        self.counters.outbound_limits += u64::from(self.volume.note_outbound(share, waiting, &self.config));
    }

    /// What is kept of what the peer has sent may have changed; `has_finished` a frame, too.
    pub(crate) fn note_inbound(&mut self, id: ConnectionId, has_finished: bool) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let kept = connection.held.capacity() + connection.decoder.as_ref().map_or(0, D::buffered);
        let share = &mut connection.share;
        let is_limit = self.volume.note_inbound(id, share, kept, has_finished, &self.config);
        self.counters.inbound_limits += u64::from(is_limit);
    }

    /// While too much is kept of what peers have sent, those who have not finished a frame for longest have to go.
    pub(crate) fn evict(&mut self) {
        while let Some(id) = self.volume.slowest(&self.config) {
            self.counters.evicted += 1;
            let text = "the broker has no room for what you have not finished sending";
            self.finish(id, Reason::Rejected(Reject::new(ErrorCode::BUSY, text)));
        }
    }
}
