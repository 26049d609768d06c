//! Messages go out.

use super::ConnectionHandler;
use super::client::Client;
use super::consumer_key::ConsumerKey;
use super::queues::QueueIndex;
use crate::core::Context;
use crate::dialect::SendError;
use crate::policy::Policy;
use crate::queue::{Candidates, Cause, DeathReason, Dispatch, MessageInfo, Offer, Pick, Turn, Undeliverable};
use crate::reason::Reject;
use crate::trace;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{ChannelName, DeliveryOptions, ErrorCode, Frame, Instant, LinkNumber};

impl ConnectionHandler {
    /// Each dirty queue has a turn; what is left over when the step's budget is used up goes on in the next step.
    pub(super) fn dispatch(&mut self, cx: &mut Context<'_>) {
        let mut budget = self.config.deliveries_per_step.max(1);
        for _ in 0..self.dirty.len() {
            if budget == 0 {
                break;
            }
            let Some(index) = self.dirty.pop_front() else { break };
            let turn = budget.min(self.config.deliveries_per_turn.max(1));
            let used = self.dispatch_queue(cx, index, turn);
            budget -= used;
            self.queues.clear_dirty(index);
            if self.queues.slot(index).queue.is_special() {
                self.changed_special(cx, index);
            }
            // Where nothing went, nothing will before something changes: those who could not have anything were put aside, or the policy
            // has picked nobody.
            if used > 0 {
                self.mark_dirty(index);
            }
        }
        if !self.dirty.is_empty() {
            self.delivery_turns_cut += u64::from(budget == 0);
            cx.continue_soon();
        }
    }

    fn dispatch_queue(&mut self, cx: &mut Context<'_>, index: QueueIndex, budget: usize) -> usize {
        let now = self.clock.now();
        let name = self.policy.as_ref().and_then(|_| self.queues.slot(index).name.clone());
        let (clients, mut refused) = (&mut self.clients, Vec::new());
        let (queue, store) = self.queues.get_mut(index);
        let mut turn = |turn: &mut Turn<'_, ConsumerKey>| {
            let ConsumerKey { connection, link } = *turn.consumer();
            deliver(cx, turn).map_err(|error| match error {
                SendError::Full => {
                    if let Some(client) = Client::find(clients, connection) {
                        client.blocked.push(link);
                    }
                    Undeliverable::Full
                }
                _ => {
                    refused.push((connection, link, error));
                    Undeliverable::Gone
                }
            })
        };
        let used = match (&mut self.policy, &name) {
            (Some(policy), Some(name)) => {
                let mut picks = Picks { policy: &mut **policy, queue: name.borrow() };
                queue.dispatch_by(&mut picks, store, now, budget, turn)
            }
            _ => queue.dispatch_turns(store, now, budget, &mut turn),
        };
        for (id, number, error) in refused {
            self.dismiss(cx, id, number, &error);
        }
        used
    }

    /// A consumer that could not be delivered to; the queue has removed it. If it is still there, its link is closed.
    fn dismiss(&mut self, cx: &mut Context<'_>, id: ConnectionId, number: LinkNumber, error: &SendError) {
        trace::consumer_dismissed(id, number, error);
        self.end_link(cx, id, number, sorry(error).map(|reject| (reject.code(), reject.text().to_owned())));
    }

    /// Ends a link from this side, after the outcomes that are due (PROTOCOL §5.4).
    pub(super) fn end_link(
        &mut self,
        cx: &mut Context<'_>,
        id: ConnectionId,
        number: LinkNumber,
        why: Option<(ErrorCode, String)>,
    ) {
        let Some(client) = Client::find(&mut self.clients, id) else { return };
        let Some(mut link) = client.remove(number) else { return };
        if let Some(publisher) = &mut link.publisher {
            publisher.send_last_outcomes(cx, id, number);
        }
        if let Some((code, text)) = why {
            let _ = cx.send(id, Frame::Closed { link: number, code, text: &text });
        }
        self.leave(cx, &link);
    }
}

/// What a consumer is told that could not be delivered to.
pub(super) fn sorry(error: &SendError) -> Option<Reject> {
    let code = match error {
        SendError::TooLarge { .. } => ErrorCode::CONSUMER_TOO_SMALL,
        // It is leaving, and its goodbye is on the way.
        SendError::Gone => return None,
        _ => ErrorCode::INTERNAL,
    };
    Some(Reject::new(code, error.to_string()))
}

/// The policy, as a queue asks it.
struct Picks<'a> {
    policy: &'a mut dyn Policy,
    queue: ChannelName<'a>,
}

impl Dispatch<ConsumerKey> for Picks<'_> {
    fn pick(&mut self, message: &MessageInfo<'_>, candidates: &Candidates<'_, ConsumerKey>) -> Pick {
        self.policy.pick(self.queue, message, candidates)
    }
}

fn deliver(cx: &mut Context<'_>, turn: &mut Turn<'_, ConsumerKey>) -> Result<(), SendError> {
    let ConsumerKey { connection, link } = *turn.consumer();
    let mut deliveries = cx.deliveries(connection, link)?;
    if turn.is_plain() {
        while let Some(Offer { count, payload, .. }) = turn.next_plain() {
            deliveries.send(count, payload)?;
        }
        return Ok(());
    }
    let (now, are_named) = (turn.now(), turn.are_named());
    while let Some(offer) = turn.next() {
        let sent = match offer.is_plain() && !are_named {
            true => deliveries.send(offer.count, offer.payload)?,
            false => deliveries.send_with(offer.count, offer.payload, false, &options(now, &offer))?,
        };
        debug_assert_eq!(sent, offer.tag, "the queue and the link count the same deliveries");
    }
    Ok(())
}

/// What there is to be said of a message beside its payload (PROTOCOL §15.3).
fn options<'a>(now: Instant, offer: &Offer<'a, ConsumerKey>) -> DeliveryOptions<'a> {
    DeliveryOptions {
        id: Some(offer.id.value()),
        priority: Some(u8::try_from(offer.priority()).unwrap_or(u8::MAX)).filter(|priority| *priority > 0),
        key: offer.key(),
        topic: None,
        cause: offer.cause().and_then(|cause| told(now, cause)),
    }
}

/// Why a message is a dead letter (PROTOCOL §15.5).
fn told(now: Instant, cause: &Cause) -> Option<msglib_proto::Cause<'_>> {
    let reason = match cause.reason {
        DeathReason::Expired => ErrorCode::EXPIRED,
        DeathReason::TooManyDeliveries => ErrorCode::TOO_MANY_DELIVERIES,
        DeathReason::RefusedForGood => ErrorCode::REFUSED_FOR_GOOD,
        DeathReason::Dropped => ErrorCode::DROPPED,
    };
    let first_ms = u64::try_from(now.since(cause.first).as_millis()).unwrap_or(u64::MAX);
    let source = cause.source.as_ref()?.borrow();
    Some(msglib_proto::Cause { reason, count: cause.deliveries.max(1), hops: cause.hops, first_ms, source })
}
