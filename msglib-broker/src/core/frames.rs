//! The frames that arrived together on one connection.

use super::connection::Connection;
use super::context::Context;
use super::state::State;
use crate::dialect::{Dialect, Received};
use crate::native::Native;
use crate::reason::Reject;
use core::ops::RangeInclusive;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{LinkNumber, Payload};

/// The frames of one read, not decoded yet; see [`Handler::frames`](crate::Handler::frames).
pub struct Frames<'a, D: Dialect> {
    pub(super) from: ConnectionId,
    pub(super) decoder: &'a mut D::Decoder,
    pub(super) input: &'a [u8],
    /// How much of the input was taken, for whoever owns it.
    pub(super) taken: &'a mut usize,
    pub(super) budget: usize,
}

impl<D: Dialect> Frames<'_, D> {
    /// The connection that they came on.
    pub fn from(&self) -> ConnectionId {
        self.from
    }

    /// Hands each frame to `handle`, until all are handled, the turn's budget is used up, or the connection ends. What
    /// `handle` refuses is answered to the peer.
    pub fn for_each(
        mut self,
        cx: &mut Context<'_, D>,
        mut handle: impl FnMut(&mut Context<'_, D>, D::Frame<'_>) -> Result<(), Reject>,
    ) {
        while self.handle_next(cx, &mut handle) {}
    }

    /// Hands the next frame to `handle`, if it is a handler's business, and answers what it refuses. False when that was all:
    /// all are handled, the turn's budget is used up, or the connection ends.
    #[inline]
    pub fn handle_next(
        &mut self,
        cx: &mut Context<'_, D>,
        handle: impl FnOnce(&mut Context<'_, D>, D::Frame<'_>) -> Result<(), Reject>,
    ) -> bool {
        if self.budget == 0 || !cx.state.get(self.from).is_some_and(|c| c.may_handle(&cx.state.config)) {
            return false;
        }
        self.budget -= 1;
        let left = &self.input[*self.taken..];
        let mut rest = left;
        let offset = D::offset(self.decoder);
        let may_have_agreed = match D::decode(self.decoder, &mut rest) {
            Ok(Some(frame)) => {
                *self.taken += left.len() - rest.len();
                handle_one(cx, self.from, frame, offset, handle)
            }
            Ok(None) => {
                *self.taken = self.input.len();
                return false;
            }
            Err(error) => {
                *self.taken = self.input.len();
                cx.state.fail(self.from, &error);
                return false;
            }
        };
        if may_have_agreed && let Some(connection) = cx.state.get(self.from) {
            D::agreed(self.decoder, &connection.session);
        }
        true
    }
}

/// A publish that came behind others on its link; see [`Frames::next_publish`].
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    /// Its number on the link.
    pub number: u64,
    /// Whether the publisher wants to be told that it was accepted.
    pub confirm: bool,
    /// The message.
    pub payload: Payload<'a>,
}

/// Runs: most of what a busy connection sends is one publish after the other on one link, or one ack after the other. Whoever has
/// handled the first of them can take the others at a third of the price (measured: 400 of 1,260 instructions of a message's
/// whole way), with what it has looked up for the first.
impl Frames<'_, Native> {
    /// The next frame, if it is an ordinary publish on this link: as [`Frame::Publish`](crate::Frame::Publish) would come to
    /// [`handle_next`](Self::handle_next), and with the same duties. `None` for everything else, which stays where it is.
    // Called in loops of queues and of topics, and must be part of both: a call for each costs a tenth of a message's way.
    #[inline(always)]
    pub fn next_publish(&mut self, cx: &mut Context<'_>, link: LinkNumber) -> Option<Publish<'_>> {
        let (connection, input) = self.front(cx)?;
        let mut rest = input;
        let session = &mut connection.session;
        let accept = |number| session.publish_in_run(link, number);
        let (number, confirm, payload) = self.decoder.decode_publish(link, &mut rest, accept)?;
        self.took(cx, input.len() - rest.len());
        Some(Publish { number, confirm, payload: Payload::from(payload) })
    }

    /// The tags of the next frame, if it is an ordinary ack on this link, as [`next_publish`](Self::next_publish).
    #[inline]
    pub fn next_ack(&mut self, cx: &mut Context<'_>, link: LinkNumber) -> Option<RangeInclusive<u64>> {
        let (connection, input) = self.front(cx)?;
        let mut rest = input;
        let session = &mut connection.session;
        let tags = self.decoder.decode_ack(link, &mut rest, || session.ack_in_run(link))?;
        self.took(cx, input.len() - rest.len());
        Some(tags)
    }
}

impl<'a> Frames<'a, Native> {
    #[inline]
    fn front<'c>(&self, cx: &'c mut Context<'_>) -> Option<(&'c mut Connection<Native>, &'a [u8])> {
        let State { connections, config, .. } = &mut *cx.state;
        let connection = connections.get_mut(self.from).filter(|connection| connection.may_handle(config))?;
        (self.budget > 0).then(|| (connection, &self.input[*self.taken..]))
    }

    #[inline]
    fn took(&mut self, cx: &mut Context<'_>, bytes: usize) {
        *self.taken += bytes;
        self.budget -= 1;
        cx.state.counters.frames_received += 1;
    }
}

/// Whether something may have been agreed on.
#[inline]
fn handle_one<D: Dialect>(
    cx: &mut Context<'_, D>,
    from: ConnectionId,
    frame: D::Frame<'_>,
    offset: u64,
    handle: impl FnOnce(&mut Context<'_, D>, D::Frame<'_>) -> Result<(), Reject>,
) -> bool {
    match cx.state.receive(from, &frame, offset) {
        Some(Received::Pass) => {
            if let Err(reject) = handle(cx, frame) {
                cx.state.rejected(from, reject);
            }
        }
        Some(Received::PassAndAnswer) => {
            cx.state.asking = Some(from);
            let result = handle(cx, frame);
            cx.state.asking = None;
            match result {
                Ok(()) if cx.state.is_put_off(from) => {}
                Ok(()) => cx.state.accepted(from),
                Err(reject) => cx.state.rejected(from, reject),
            }
            return true;
        }
        Some(Received::End(reason)) => cx.state.end(from, reason),
        Some(Received::Done) | None => {}
    }
    false
}
