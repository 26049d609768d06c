//! What a handler can do.

use super::answers::PendingAnswer;
use super::state::State;
use super::timers::{Due, TimerId};
use crate::dialect::{Dialect, SendError};
use crate::identity::Identity;
use crate::native::Native;
use crate::reason::{Reason, Reject};
use crate::trace;
use msglib_proto::transport::{ConnectionId, Peer};
use msglib_proto::{Instant, LinkNumber, Payload};

/// A handler's hands: everything that it does goes through here, is queued, and takes effect when it has returned.
pub struct Context<'a, D: Dialect = Native> {
    pub(super) state: &'a mut State<D>,
}

impl<D: Dialect> Context<'_, D> {
    /// The time, the same for the whole step.
    pub fn now(&self) -> Instant {
        self.state.now
    }

    /// The next random number. The sequence is fixed by the broker's seed; not for secrets.
    pub fn random(&mut self) -> u64 {
        self.state.random.next()
    }

    /// Who is at the other end; also while [`Event::Disconnected`](crate::Event::Disconnected) is handled.
    pub fn peer(&self, id: ConnectionId) -> Option<&Peer> {
        self.state.get(id).map(|connection| &connection.peer)
    }

    /// Who the peer is, if that was decided; also while [`Event::Disconnected`](crate::Event::Disconnected) is handled.
    pub fn identity(&self, id: ConnectionId) -> Option<&Identity> {
        self.state.get(id)?.identity.as_ref()
    }

    /// Says who the peer is, from here on. The place for it is where its `HELLO` is handled.
    pub fn set_identity(&mut self, id: ConnectionId, identity: Identity) {
        if let Some(connection) = self.state.get_mut(id) {
            trace::identified(id, &identity);
            connection.identity = Some(identity);
        }
    }

    /// Puts off the answer to the frame of `id` that is being handled, a `HELLO` or an `OPEN`: for a decision that needs something slow.
    /// The handler returns `Ok`, and goes on; whoever gets the [`PendingAnswer`] decides, later and on any thread, and then
    /// [`Event::Answered`](crate::Event::Answered) comes. Until then the peer gets no answer, and what it sends behind that frame is
    /// kept and has no effect yet.
    ///
    /// Every answer has a deadline, [`CoreConfig::answer_timeout`](crate::CoreConfig::answer_timeout).
    ///
    /// # Errors
    ///
    /// A refusal, to be returned by the handler, when as many wait as may
    /// ([`CoreConfig::max_pending_answers`](crate::CoreConfig::max_pending_answers)); also when no such frame of `id` is being handled,
    /// which is a mistake.
    pub fn answer_later(&mut self, id: ConnectionId) -> Result<PendingAnswer, Reject> {
        self.state.put_off(id)
    }

    /// Whether the answer to the last frame of `id` is put off.
    pub fn is_answered_later(&self, id: ConnectionId) -> bool {
        self.state.is_put_off(id)
    }

    /// What was agreed on with the peer, as the dialect keeps it.
    pub fn session(&self, id: ConnectionId) -> Option<&D::Session> {
        self.state.get(id).map(|connection| &connection.session)
    }

    /// The connections that can be written to, in the order of their slots.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.state.connections.iter().filter(|connection| connection.is_open()).map(|connection| connection.id)
    }

    /// Queues a frame for any connection.
    ///
    /// # Errors
    ///
    /// [`SendError`]; nothing was queued then. After [`SendError::Full`] an
    /// [`Event::Drained`](crate::Event::Drained) comes when there is room.
    pub fn send(&mut self, to: ConnectionId, answer: D::Answer<'_>) -> Result<(), SendError> {
        self.state.send(to, &answer)
    }

    /// Bytes that wait to be written to the connection; 0 if it is gone.
    pub fn queued(&self, to: ConnectionId) -> usize {
        self.state.get(to).map_or(0, |connection| connection.out.len())
    }

    /// Whether more than the broker wants is waiting on all connections together, to be written
    /// ([`CoreConfig::max_outbound`](crate::CoreConfig::max_outbound)): what adds to it should be refused as `BUSY`. What takes from it, acks
    /// above all, should go on, for just to stop would keep a client waiting for itself that publishes and consumes.
    pub fn is_busy(&self) -> bool {
        self.state.volume.is_busy()
    }

    /// Whether the broker is going away ([`Broker::drain`](crate::Broker::drain)): what would be new to it should be refused as
    /// `SHUTTING_DOWN`. What is in flight can still be settled. Deliveries are [`SendError::Full`] from here on, and no
    /// [`Event::Drained`](crate::Event::Drained) follows.
    pub fn is_draining(&self) -> bool {
        self.state.drains_until.is_some()
    }

    /// Ends the connection in an orderly way: nothing more is taken from the peer, and at the end of the step, after
    /// what is still due, it is told goodbye and closed. The handler gets its `Disconnected` then.
    pub fn close(&mut self, id: ConnectionId) {
        self.state.end(id, Reason::Closed);
    }

    /// Handles nothing more of what the peer sends, until [`go_on`](Context::go_on): for a protocol whose answers come in the order
    /// of its requests, while one of them has to wait. No frame is lost: what comes meanwhile is kept, up to
    /// [`CoreConfig::hold_ahead`](crate::CoreConfig::hold_ahead) and one read, and then the transport holds the peer up. That the peer goes
    /// is noticed until then: as the end of the connection, or as [`Event::NoMoreInput`](crate::Event::NoMoreInput) if something is kept.
    ///
    /// Takes effect with the next frame, also in the middle of those that arrived together.
    pub fn hold(&mut self, id: ConnectionId) {
        self.state.hold(id, true);
    }

    /// Goes on with the frames of a peer that was put on [`hold`](Context::hold), those that were kept first.
    pub fn go_on(&mut self, id: ConnectionId) {
        self.state.hold(id, false);
    }

    /// Sets a timer. `token` is the handler's own and comes back with the event. A time in the past is due with the next step.
    pub fn set_timer(&mut self, at: Instant, token: u64) -> TimerId {
        self.state.timers.set(self.state.now, at, Due::Handler { token })
    }

    /// Cancels a timer; false if it is not set any more.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        self.state.timers.cancel(timer)
    }

    /// There is more to do than fits into one step: the next one shall come at once.
    pub fn continue_soon(&mut self) {
        self.state.again = true;
    }

    /// The same hands, for somebody who is called.
    pub(crate) fn reborrow(&mut self) -> Context<'_, D> {
        Context { state: self.state }
    }

    /// The secret for the hash maps of this broker; from its seed.
    pub(crate) fn hash_secret(&self) -> u128 {
        self.state.hash_secret
    }
}

/// What the native dialect adds.
impl Context<'_, Native> {
    /// Sends a message to a consumer with the tag that is next on its link, and returns that tag.
    ///
    /// `count` is 1 for the first attempt to deliver this message to anyone, and one more for each further one.
    ///
    /// # Errors
    ///
    /// [`SendError::NoCredit`], [`SendError::Full`], [`SendError::LinkGone`], [`SendError::TooLarge`] or
    /// [`SendError::Gone`]; nothing was sent and the tag was not used.
    pub fn deliver<'p>(
        &mut self,
        to: ConnectionId,
        link: LinkNumber,
        count: u32,
        payload: impl Into<Payload<'p>>,
    ) -> Result<u64, SendError> {
        self.deliveries(to, link)?.send(count, payload)
    }

    /// How many more deliveries the consumer at the other end of a link has allowed.
    pub fn credit(&self, to: ConnectionId, link: LinkNumber) -> u64 {
        self.session(to).map_or(0, |session| session.credit(link))
    }
}
