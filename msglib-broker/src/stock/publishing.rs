//! Messages come in.

use super::ConnectionHandler;
use super::client::{Client, Link, Why};
use super::queues::QueueIndex;
use crate::core::{Context, Frames, Publish};
use crate::native::Native;
use crate::owners::Who;
use crate::policy::Publishing;
use crate::queue::{MessageId, NewMessage};
use crate::reason::Reject;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{ErrorCode, LinkNumber};

/// Why the broker takes nothing new now, from whomever.
pub(super) fn unwelcome(cx: &Context<'_>) -> Option<Reject> {
    if cx.is_draining() {
        return Some(Reject::new(ErrorCode::SHUTTING_DOWN, "the broker is going away, and takes nothing new"));
    }
    cx.is_busy().then(|| Reject::new(ErrorCode::BUSY, "too much is waiting on the broker's connections"))
}

impl ConnectionHandler {
    pub(super) fn publish_from(
        &mut self,
        cx: &mut Context<'_>,
        (from, link): (ConnectionId, LinkNumber),
        number: u64,
        confirm: bool,
        message: NewMessage<'_>,
    ) -> Result<(), Reject> {
        let Some(open) = Client::find(&mut self.clients, from).and_then(|client| client.get_mut(link)) else {
            return Ok(());
        };
        let (index, Some(_)) = (open.queue, &open.publisher) else { return Ok(()) };
        let outcome = match (unwelcome(cx), open.producer.as_deref().copied()) {
            (Some(reject), _) => Err(Why::Other(reject)),
            (None, None) => self.accept(cx, Some(from), index, message).map(drop),
            (None, Some(producing)) => self.accept_once(cx, from, producing, number, message),
        };
        if let Err(Why::Other(reject)) = &outcome
            && reject.is_fatal()
        {
            return Err(reject.clone());
        }
        if let Some(open) = Client::find(&mut self.clients, from).and_then(|client| client.get_mut(link))
            && let Some(publisher) = &mut open.publisher
        {
            match outcome {
                Ok(()) => publisher.accepted(number, confirm),
                Err(why) => publisher.refused(number, why),
            }
        }
        self.mark_due(from, link);
        Ok(())
    }

    /// The publishes that follow one on the same link, which has marked what is to be done at the end of the step.
    pub(super) fn publishes(&mut self, cx: &mut Context<'_>, frames: &mut Frames<'_, Native>, link: LinkNumber) {
        let from = frames.from();
        let now = self.clock.now();
        let Some(open) = Client::find(&mut self.clients, from).and_then(|client| client.get_mut(link)) else { return };
        let Link { queue: index, publisher: Some(publisher), producer: None, .. } = open else { return };
        let index = *index;
        if self.queues.slot(index).is_draining || cx.is_busy() || cx.is_draining() {
            return;
        }
        let (queue, store) = self.queues.get_mut(index);
        while let Some(Publish { number, confirm, payload }) = frames.next_publish(cx, link) {
            if queue.push_plain(store, payload).is_some() {
                publisher.accepted(number, confirm);
                continue;
            }
            match queue.push(store, now, payload) {
                Ok(_) => publisher.accepted(number, confirm),
                Err(error) => publisher.refused(number, Why::NoRoom(error)),
            }
        }
        self.changed(cx, index);
    }

    /// A message for a queue, if the policy lets it in.
    pub(super) fn accept(
        &mut self,
        cx: &mut Context<'_>,
        from: Option<ConnectionId>,
        index: QueueIndex,
        message: NewMessage<'_>,
    ) -> Result<MessageId, Why> {
        if self.policy.is_some() {
            return self.accept_by_policy(cx, from, index, message);
        }
        self.push(cx, index, message)
    }

    #[cold]
    fn accept_by_policy(
        &mut self,
        cx: &mut Context<'_>,
        from: Option<ConnectionId>,
        index: QueueIndex,
        message: NewMessage<'_>,
    ) -> Result<MessageId, Why> {
        let (Some(policy), Some(name)) = (&mut self.policy, self.queues.slot(index).name.clone()) else {
            return self.push(cx, index, message);
        };
        let identity = from.and_then(|from| cx.identity(from)).cloned();
        let publishing = Publishing { from, identity: identity.as_ref(), queue: name.borrow(), message };
        policy.admit(&publishing).map_err(Why::Other)?;
        let (route, key) = (policy.route(&publishing), policy.key(&publishing));
        let mut message = NewMessage { ..message };
        if let Some(key) = key.as_deref() {
            message.key = key.get(..NewMessage::MAX_KEY).or(Some(key)).filter(|key| !key.is_empty());
        }
        let index = match route {
            Some(route) => self.open_queue(cx, route.borrow(), None, Who::Host).map_err(Why::Other)?,
            None => index,
        };
        let outcome = self.push(cx, index, message);
        self.queues.used(index, self.clock.now());
        outcome
    }

    fn push(&mut self, cx: &mut Context<'_>, index: QueueIndex, message: NewMessage<'_>) -> Result<MessageId, Why> {
        if self.queues.slot(index).is_draining {
            return Err(Why::Other(Reject::new(ErrorCode::BUSY, "the queue is being drained, and takes nothing new")));
        }
        let now = self.clock.now();
        let (queue, store) = self.queues.get_mut(index);
        let outcome = queue.push(store, now, message).map_err(Why::NoRoom);
        self.changed(cx, index);
        outcome
    }

    pub(super) fn mark_due(&mut self, id: ConnectionId, number: LinkNumber) {
        if let Some(publisher) = Client::find(&mut self.clients, id).and_then(|client| client.publisher(number))
            && !publisher.is_due
        {
            publisher.is_due = true;
            self.due.push((id, number));
        }
    }

    /// One confirm, and one credit, for all that a link published in this step.
    pub(super) fn send_outcomes(&mut self, cx: &mut Context<'_>) {
        let mut due = core::mem::take(&mut self.due);
        for (id, number) in due.drain(..) {
            let client = Client::find(&mut self.clients, id);
            let Some(publisher) = client.and_then(|client| client.publisher(number)) else { continue };
            publisher.is_due = false;
            publisher.send_outcomes(cx, id, number);
            publisher.send_credit(cx, id, number, self.config.publish_window);
        }
        self.due = due;
    }
}
