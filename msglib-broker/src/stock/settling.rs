//! Consumers say what they allow, and what became of their deliveries.

use super::ConnectionHandler;
use super::client::Client;
use super::consumer_key::ConsumerKey;
use crate::core::{Context, Frames};
use crate::native::Native;
use crate::policy::Refusal;
use crate::queue::{Again, ConsumerId, Queue, Settling, Store};
use core::ops::RangeInclusive;
use core::time::Duration;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{LinkNumber, Settling as Told};

impl ConnectionHandler {
    pub(super) fn ack(&mut self, cx: &mut Context<'_>, at: (ConnectionId, LinkNumber), tags: RangeInclusive<u64>) {
        let now = self.clock.now();
        self.with_consumer(cx, at, |queue, store, consumer| {
            queue.ack(store, now, consumer, tags);
        });
    }

    /// The acks that follow one on the same link; those of consecutive tags are one.
    pub(super) fn acks(&mut self, cx: &mut Context<'_>, frames: &mut Frames<'_, Native>, link: LinkNumber) {
        let at = (frames.from(), link);
        let Some(mut run) = frames.next_ack(cx, link) else { return };
        while let Some(next) = frames.next_ack(cx, link) {
            match run.end().checked_add(1) == Some(*next.start()) {
                true => run = *run.start()..=*next.end(),
                false => self.ack(cx, at, core::mem::replace(&mut run, next)),
            }
        }
        self.ack(cx, at, run);
    }

    /// What becomes of deliveries; the number of those that were in flight (PROTOCOL §15.4).
    pub(super) fn settle(
        &mut self,
        cx: &mut Context<'_>,
        (from, link): (ConnectionId, LinkNumber),
        tags: RangeInclusive<u64>,
        settling: Told,
    ) -> u64 {
        let now = self.clock.now();
        let Some(open) = Client::find(&mut self.clients, from).and_then(|client| client.get_mut(link)) else {
            return 0;
        };
        let (index, Some(consumer)) = (open.queue, open.consumer) else { return 0 };
        let name = self.policy.as_ref().and_then(|_| self.queues.slot(index).name.clone());
        let (queue, store) = self.queues.get_mut(index);
        let count = match (settling, &mut self.policy, name) {
            (Told::Ack, ..) => queue.ack(store, now, consumer, tags),
            (Told::Again { delay_ms, priority }, ..) => {
                let again = Again { delay: delay_ms.map(Duration::from_millis), priority: priority.map(u32::from) };
                queue.settle(store, now, consumer, tags, Settling::Again(again))
            }
            (Told::ForGood, Some(policy), Some(name)) => {
                let (identity, consumer_key) = (cx.identity(from), ConsumerKey { connection: from, link });
                queue.settle_each(store, now, consumer, tags, |message| {
                    let (consumer, queue, message) = (consumer_key, name.borrow(), *message);
                    policy.refused(&Refusal { consumer, identity, queue, message })
                })
            }
            (Told::ForGood, ..) => queue.settle(store, now, consumer, tags, Settling::ForGood),
            (Told::Extend { lease_ms }, ..) => {
                let lease = (lease_ms > 0).then(|| Duration::from_millis(lease_ms));
                queue.extend(now, consumer, tags, lease)
            }
        };
        self.changed(cx, index);
        count as u64
    }

    /// Does something with the consumer of a link.
    pub(super) fn with_consumer(
        &mut self,
        cx: &mut Context<'_>,
        (from, link): (ConnectionId, LinkNumber),
        act: impl FnOnce(&mut Queue<ConsumerKey>, &mut Store, ConsumerId),
    ) {
        let Some(open) = Client::find(&mut self.clients, from).and_then(|client| client.get_mut(link)) else { return };
        let (index, Some(consumer)) = (open.queue, open.consumer) else { return };
        let (queue, store) = self.queues.get_mut(index);
        act(queue, store, consumer);
        self.changed(cx, index);
    }
}
