//! Its queues, on the parts of the stock ones.

use super::dialect::{Ancestor, Request};
use msglib_broker::{
    ConnectionId, ConsumerId, Context, ErrorCode, Event, Handler, Queue, QueueConfig, Reject, Store, Undeliverable,
};
use std::collections::{BTreeMap, BTreeSet};

/// Queues by their ids, as they are wanted; one with nothing in it that nobody waits for is forgotten.
///
/// At most once, as the ancestor's own: a message that was given to somebody is gone, for the format has no ack.
#[derive(Default)]
pub(crate) struct Queues {
    store: Store,
    queues: BTreeMap<u64, Queue<ConnectionId>>,
    /// Who waits for a message, and where.
    pulls: BTreeMap<ConnectionId, (u64, ConsumerId)>,
    /// Queues in which something has changed in this step.
    changed: BTreeSet<u64>,
}

/// Queues at once. A queue costs some hundred bytes, and a client that names many is up to no good.
pub(crate) const MAX_QUEUES: usize = 100_000;

impl Queues {
    fn queue(&mut self, id: u64) -> Result<&mut Queue<ConnectionId>, Reject> {
        if self.queues.len() >= MAX_QUEUES && !self.queues.contains_key(&id) {
            return Err(Reject::new(ErrorCode::TOO_MANY_CHANNELS, "there are too many queues already"));
        }
        self.changed.insert(id);
        Ok(self.queues.entry(id).or_insert_with(|| Queue::new(QueueConfig::default())))
    }
}

impl Handler<Ancestor> for Queues {
    fn handle(&mut self, cx: &mut Context<'_, Ancestor>, event: Event<'_, Ancestor>) -> Result<(), Reject> {
        match event {
            Event::Frame { frame: Request::Publish { queue, payload }, .. } => {
                self.queue(queue)?;
                let Queues { store, queues, .. } = self;
                let pushed = queues.get_mut(&queue).map(|queue| queue.push(store, cx.now(), payload));
                pushed.transpose().map_err(|full| Reject::new(ErrorCode::QUEUE_FULL, full.to_string()))?;
            }
            Event::Frame { from, frame: Request::Pull { queue: id } } => {
                let queue = self.queue(id)?;
                let consumer = queue.add_consumer(from);
                queue.allow(consumer, 1);
                self.pulls.insert(from, (id, consumer));
                // Answers come in the order of the pulls, so the next one waits for this one.
                cx.hold(from);
            }
            // Whoever has sent something behind its pull, and left, waits no longer: that comes next.
            Event::NoMoreInput { id } | Event::Disconnected { id, .. } => {
                cx.go_on(id);
                if let Some((queue, consumer)) = self.pulls.remove(&id) {
                    let Queues { store, queues, changed, .. } = self;
                    changed.insert(queue);
                    if let Some(queue) = queues.get_mut(&queue) {
                        queue.remove_consumer(store, cx.now(), consumer);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end_of_step(&mut self, cx: &mut Context<'_, Ancestor>) {
        for id in std::mem::take(&mut self.changed) {
            let Some(queue) = self.queues.get_mut(&id) else { continue };
            let (now, mut served) = (cx.now(), Vec::new());
            // Bounded by itself: nobody may have more than one.
            queue.dispatch(&mut self.store, now, usize::MAX, |offer| {
                cx.send(*offer.consumer, offer.payload).map_err(|_| Undeliverable::Gone)?;
                served.push(*offer.consumer);
                Ok(())
            });
            for connection in served {
                if let Some((_, consumer)) = self.pulls.remove(&connection) {
                    queue.ack(&mut self.store, now, consumer, 1..=1);
                    queue.remove_consumer(&mut self.store, now, consumer);
                }
                cx.go_on(connection);
            }
            if queue.is_empty() && queue.consumers() == 0 {
                self.queues.remove(&id);
            }
        }
    }
}
