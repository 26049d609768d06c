//! The frames that arrived together on one connection.

use super::context::Context;
use crate::dialect::{Dialect, Received};
use crate::reason::Reject;
use msglib_proto::transport::ConnectionId;

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
        while self.budget > 0 && cx.state.get(self.from).is_some_and(|c| c.may_handle(&cx.state.config)) {
            self.budget -= 1;
            let left = &self.input[*self.taken..];
            let mut rest = left;
            let offset = D::offset(self.decoder);
            match D::decode(self.decoder, &mut rest) {
                Ok(Some(frame)) => {
                    *self.taken += left.len() - rest.len();
                    handle_one(cx, self.from, frame, offset, &mut handle);
                }
                Ok(None) => {
                    *self.taken = self.input.len();
                    return;
                }
                Err(error) => {
                    *self.taken = self.input.len();
                    cx.state.fail(self.from, &error);
                    return;
                }
            }
        }
    }
}

#[inline]
fn handle_one<D: Dialect>(
    cx: &mut Context<'_, D>,
    from: ConnectionId,
    frame: D::Frame<'_>,
    offset: u64,
    handle: &mut impl FnMut(&mut Context<'_, D>, D::Frame<'_>) -> Result<(), Reject>,
) {
    match cx.state.receive(from, &frame, offset) {
        Some(Received::Pass) => {
            if let Err(reject) = handle(cx, frame) {
                cx.state.rejected(from, reject);
            }
        }
        Some(Received::PassAndAnswer) => match handle(cx, frame) {
            Ok(()) => cx.state.accepted(from),
            Err(reject) => cx.state.rejected(from, reject),
        },
        Some(Received::End(reason)) => cx.state.end(from, reason),
        Some(Received::Done) | None => {}
    }
}
