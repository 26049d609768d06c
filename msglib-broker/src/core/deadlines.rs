//! Until when a peer must have done something, or must have heard something.

use super::connection::Silence;
use super::state::State;
use super::timers::Due;
use crate::dialect::Dialect;
use crate::reason::Reason;
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::ConnectionId;

/// The parts of [`CoreConfig::write_timeout`](super::CoreConfig::write_timeout) after each of which is looked whether something was
/// taken: so the end comes at most one part late, and a clock that jumps ahead, as that of a machine that was suspended, cuts nobody off.
const LOOKS: u8 = 4;

impl<D: Dialect> State<D> {
    /// The handshake is done: its deadline is off, and the peer's own patience counts.
    pub(super) fn greeted(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.flags.greeted = true;
        let limit = D::idle_limit(&connection.session);
        let patience = self.dialect.patience(&connection.session);
        if let Some(timer) = connection.deadline.take() {
            self.timers.cancel(timer);
        }
        if let Some(limit) = limit {
            self.expect_sign_of_life(id, limit);
        }
        if let Some(patience) = patience {
            self.listen(id, patience);
        }
        self.tell_going_away(id);
    }

    /// The broker is going away, and the peer is told when, if it can be.
    pub(super) fn tell_going_away(&mut self, id: ConnectionId) {
        let (Some(until), now) = (self.drains_until, self.now) else { return };
        let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.is_live()) else { return };
        let before = connection.out.len();
        self.dialect.going_away(&mut connection.session, until - now, &mut connection.out);
        connection.answered(before);
        self.touch(id);
    }

    /// At each quarter of what the peer allows: what was sent right after a look is half of it old at the next but one.
    fn expect_sign_of_life(&mut self, id: ConnectionId, limit: Duration) {
        let timer = self.timers.set(self.now, self.now + limit / 4, Due::SignOfLife(id));
        if let Some(connection) = self.get_mut(id) {
            connection.sign_of_life = Some(Box::new((timer, connection.sent)));
        }
    }

    /// The peer must have heard something by now.
    pub(crate) fn sign_of_life(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.is_live()) else { return };
        let (Some((_, sent)), Some(limit)) =
            (connection.sign_of_life.as_deref().copied(), D::idle_limit(&connection.session))
        else {
            return;
        };
        if connection.sent == sent && connection.out.is_empty() {
            self.dialect.sign_of_life(&mut connection.session, &mut connection.out);
            connection.answered(0);
        }
        self.touch(id);
        self.expect_sign_of_life(id, limit);
    }

    /// A deadline for the handshake, for what waits to be written, and for the last words.
    pub(crate) fn set_deadline(&mut self, id: ConnectionId, at: Instant, due: Due) {
        self.clear_timers(id);
        let timer = self.timers.set(self.now, at, due);
        if let Some(connection) = self.get_mut(id) {
            connection.deadline = Some(timer);
        }
    }

    pub(super) fn clear_timers(&mut self, id: ConnectionId) {
        let Some(connection) = self.get_mut(id) else { return };
        let timers = [
            connection.deadline.take(),
            connection.sign_of_life.take().map(|sign| sign.0),
            connection.silence.take().map(|silence| silence.timer),
        ];
        for timer in timers.into_iter().flatten() {
            self.timers.cancel(timer);
        }
    }

    /// From now on the peer must say something now and then.
    fn listen(&mut self, id: ConnectionId, patience: Duration) {
        let timer = self.timers.set(self.now, self.now + patience / 2, Due::Silence(id));
        let heard = self.now;
        if let Some(connection) = self.get_mut(id) {
            connection.silence = Some(Box::new(Silence { timer, heard }));
        }
    }

    /// The peer must have said something by now, or is asked to. While nothing is read from it, its silence is not its own.
    pub(crate) fn silence(&mut self, id: ConnectionId) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.is_live()) else { return };
        let Some(patience) = self.dialect.patience(&connection.session) else { return };
        let may_read = connection.may_read(&self.config);
        let Some(silence) = &mut connection.silence else { return };
        if !may_read {
            silence.heard = now;
        }
        let (asked, end) = (silence.heard + patience / 2, silence.heard + patience);
        if now >= end {
            self.counters.idle_timeouts += 1;
            return self.finish(id, Reason::Silent);
        }
        let next = if now >= asked { end } else { asked };
        silence.timer = self.timers.set(now, next, Due::Silence(id));
        if now >= asked {
            let before = connection.out.len();
            self.dialect.sign_of_life(&mut connection.session, &mut connection.out);
            connection.answered(before);
            self.touch(id);
        }
    }

    /// Something waits to be written, and the transport did not take it all: some of it must have gone in time.
    pub(crate) fn expect_progress(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id)
            && connection.deadline.is_none()
            && connection.is_open()
            && !connection.out.is_empty()
            && self.config.write_timeout < Duration::MAX
        {
            self.look_again(id, connection.sent, 0);
        }
    }

    fn look_again(&mut self, id: ConnectionId, sent: u64, looks: u8) {
        let at = self.now + self.config.write_timeout / u32::from(LOOKS);
        let timer = self.timers.set(self.now, at, Due::Progress { id, sent, looks });
        if let Some(connection) = self.get_mut(id) {
            connection.deadline = Some(timer);
        }
    }

    /// `sent` bytes had been written `looks` looks ago.
    pub(crate) fn look_for_progress(&mut self, id: ConnectionId, sent: u64, looks: u8) {
        let Some(connection) = self.get_mut(id).filter(|connection| connection.is_open()) else { return };
        connection.deadline = None;
        if connection.out.is_empty() {
            return;
        }
        match connection.sent == sent {
            false => self.expect_progress(id),
            true if looks + 1 < LOOKS => self.look_again(id, sent, looks + 1),
            true => {
                self.counters.write_timeouts += 1;
                self.finish(id, Reason::TooSlow);
            }
        }
    }
}
