//! Answers that are put off: what the core does from the moment that a handler asks for one, until it is given.

use super::Core;
use super::answers::{AnswerId, Decision, PendingAnswer};
use super::context::Context;
use super::state::State;
use super::timers::Due;
use super::told::News;
use crate::dialect::Dialect;
use crate::event::Event;
use crate::handler::Handler;
use crate::reason::Reject;
use crate::trace;
use msglib_proto::transport::{ConnectionId, Waker};
use msglib_proto::{ErrorCode, Instant};

impl<D: Dialect> State<D> {
    /// Puts off the answer to the frame of `id` that is being handled.
    pub(crate) fn put_off(&mut self, id: ConnectionId) -> Result<PendingAnswer, Reject> {
        let is_asking = self.asking == Some(id);
        let connection = self.connections.get_mut(id).filter(|connection| is_asking && connection.owed().is_none());
        let Some(connection) = connection.and_then(|c| self.dialect.put_off(&mut c.session).then_some(c)) else {
            let why = "only the answer to the HELLO or OPEN that is being handled can be put off, and once";
            self.misuse = Some(format!("an answer to {id}: {why}"));
            return Err(Reject::new(ErrorCode::INTERNAL, why));
        };
        if self.answers.len() >= self.config.max_pending_answers {
            self.counters.answers_turned_away += 1;
            return Err(Reject::new(ErrorCode::BUSY, "too many wait for an answer already"));
        }
        self.counters.answers_put_off += 1;
        let answer = self.answers.next_id();
        connection.owe(Some(answer));
        let deadline = self.timers.set(self.now, self.now + self.config.answer_timeout, Due::Answer(answer));
        Ok(self.answers.owe(answer, id, deadline))
    }

    /// Whether the answer to the last frame of the connection is put off.
    pub(crate) fn is_put_off(&self, id: ConnectionId) -> bool {
        self.get(id).is_some_and(|connection| connection.owed().is_some())
    }

    /// Nobody waits for it any more.
    pub(crate) fn forget_answer(&mut self, id: ConnectionId) {
        if let Some(answer) = self.get_mut(id).and_then(|connection| connection.owe(None)) {
            self.stop_owing(answer);
        }
    }

    fn stop_owing(&mut self, answer: AnswerId) -> Option<ConnectionId> {
        let (id, deadline) = self.answers.take(answer)?;
        self.timers.cancel(deadline);
        Some(id)
    }
}

impl<H: Handler<D>, D: Dialect> Core<H, D> {
    /// What wakes the driver when an answer is given while it waits; see [`PendingAnswer`].
    pub fn wake_with(&mut self, waker: Waker) {
        self.state.answers.wake_with(waker);
    }

    /// Appends what was told from beside the connections since the last call, which is what answers were given, and whether to
    /// [go away](Self::ask_to_drain): bytes for [`handle_told`](Self::handle_told), of no use to anyone else but a recorder. A driver asks in each step.
    /// [`poll_timeout`](Self::poll_timeout) knows nothing of it, for what other threads do at just that time must not decide how long a
    /// recorded broker waits; the waker ends a wait.
    pub fn poll_told(&mut self, told: &mut Vec<Vec<u8>>) {
        self.state.answers.told().take_news(told);
    }

    /// Acts on something that was told from beside the connections. What is not of this core's own making, and an answer that is
    /// not owed any more, changes nothing.
    pub fn handle_told(&mut self, now: Instant, told: &[u8]) {
        self.state.now = now;
        match News::decode(told) {
            Some(News::Answer(answer, decision)) => {
                self.answer(answer, decision);
                self.tell_gone();
            }
            Some(News::Drain { within }) => self.begin_drain(now, within),
            None => {}
        }
    }

    /// An answer that was not given in time is a refusal.
    pub(super) fn time_out_answer(&mut self, answer: AnswerId) {
        self.state.counters.answer_timeouts += 1;
        let reject = Reject::new(ErrorCode::INTERNAL, "it was not decided in time");
        self.answer(answer, Decision::Refuse(reject));
    }

    fn answer(&mut self, answer: AnswerId, decision: Decision) {
        let Some(id) = self.state.stop_owing(answer) else { return };
        let Some(connection) = self.state.get_mut(id) else { return };
        connection.owe(None);
        if !connection.is_live() {
            return;
        }
        let mut refusal = None;
        match decision {
            Decision::Accept(Some(identity)) => {
                trace::identified(id, &identity);
                connection.identity = Some(identity);
            }
            Decision::Accept(None) => {}
            Decision::Refuse(reject) => refusal = Some(reject),
        }
        // What it had put off, it can put off again: a decision in several steps.
        self.state.asking = Some(id);
        let event = Event::Answered { from: id, answer, refusal: refusal.as_ref() };
        let result = self.handler.handle(&mut Context { state: &mut self.state }, event);
        self.state.asking = None;
        match refusal.map_or(result, Err) {
            Err(reject) => self.state.rejected(id, reject),
            Ok(()) if self.state.is_put_off(id) => return,
            Ok(()) => self.state.accepted(id),
        }
        self.go_on(id);
    }

    /// With what came meanwhile, and with what has yet to be read.
    fn go_on(&mut self, id: ConnectionId) {
        let Some(connection) = self.state.get(id).filter(|connection| connection.is_live()) else { return };
        match connection.held.is_empty() {
            true => self.state.resume(id),
            false if connection.flags.stalled => {}
            false => self.state.list_held(id),
        }
    }
}
