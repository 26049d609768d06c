//! What the host program can do with the queues; from [`Broker::act`](crate::Broker::act), or from a handler of its own around this one.

use super::ConnectionHandler;
use super::queues::QueueIndex;
use crate::core::Context;
use crate::owners::Who;
use crate::queue::{Cause, Departed, MessageId, NewMessage, Purge, QueueConfig};
use crate::reason::Reject;
use core::fmt;
use core::iter::Peekable;
use msglib_proto::{ChannelName, ErrorCode, OwnedName};
use std::collections::{BTreeSet, VecDeque};
use thiserror::Error;

/// Why a queue was not declared.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// It is there, and behaves otherwise: the configuration that it has.
    #[error("the queue exists, and is configured otherwise: {0:?}")]
    Otherwise(Box<QueueConfig>),
    /// There are as many queues as there may be, and all of them are used.
    #[error("{}", .0.text())]
    TooMany(Reject),
}

/// What is worked off in the steps that follow.
#[derive(Default)]
pub(super) struct Chores {
    purges: VecDeque<(QueueIndex, Purge)>,
    /// What is left of queues that were deleted.
    remains: VecDeque<(OwnedName, Remains)>,
}

type Remains = Peekable<Box<dyn Iterator<Item = Departed> + Send>>;

impl ConnectionHandler {
    /// Makes a queue that behaves as it says, and that stays until it is [deleted](ConnectionHandler::delete), used or not. One that
    /// is there stays, if it behaves the same.
    ///
    /// # Errors
    ///
    /// [`DeclareError`]; nothing has changed then.
    pub fn declare<'n>(
        &mut self,
        cx: &mut Context<'_>,
        name: impl Into<ChannelName<'n>>,
        config: QueueConfig,
    ) -> Result<(), DeclareError> {
        let index = self.open_queue(cx, name.into(), Some(config.clone()), Who::Host).map_err(DeclareError::TooMany)?;
        let there = self.queues.slot(index).queue.config();
        if *there != config {
            return Err(DeclareError::Otherwise(Box::new(there.clone())));
        }
        self.queues.declare(index);
        Ok(())
    }

    /// Publishes a message, as a client would; the queue is made if it is not there. Returns the message's number.
    ///
    /// # Errors
    ///
    /// The refusal that a client would be told.
    pub fn publish<'n, 'm>(
        &mut self,
        cx: &mut Context<'_>,
        queue: impl Into<ChannelName<'n>>,
        message: impl Into<NewMessage<'m>>,
    ) -> Result<MessageId, Reject> {
        self.now(cx);
        let index = self.open_queue(cx, queue.into(), None, Who::Host)?;
        let outcome = self.accept(cx, None, index, message.into()).map_err(Into::into);
        self.queues.used(index, self.clock.now());
        outcome
    }

    /// Nothing is delivered from the queue until it is [resumed](ConnectionHandler::resume); everything else goes on. False if there is
    /// no such queue; so for the others.
    pub fn pause<'n>(&mut self, cx: &mut Context<'_>, queue: impl Into<ChannelName<'n>>) -> bool {
        self.with_queue(cx, queue.into(), |handler, _, index| {
            handler.queues.get_mut(index).0.pause();
            handler.queues.used(index, handler.clock.now());
        })
        .is_some()
    }

    /// The queue takes nothing new: publishes are refused as [`BUSY`](ErrorCode::BUSY), also those of the program itself. What it has
    /// is delivered, and what comes back, too; when [`QueueInfo::ledger`](super::QueueInfo::ledger) says that nothing is there, it is
    /// drained. Dead letters of other queues still come.
    pub fn drain<'n>(&mut self, cx: &mut Context<'_>, queue: impl Into<ChannelName<'n>>) -> bool {
        self.with_queue(cx, queue.into(), |handler, _, index| {
            handler.queues.slot_mut(index).is_draining = true;
            handler.queues.used(index, handler.clock.now());
        })
        .is_some()
    }

    /// The end of a pause, and of draining.
    pub fn resume<'n>(&mut self, cx: &mut Context<'_>, queue: impl Into<ChannelName<'n>>) -> bool {
        let resumed = self.with_queue(cx, queue.into(), |handler, cx, index| {
            handler.queues.slot_mut(index).is_draining = false;
            handler.queues.get_mut(index).0.resume();
            handler.changed(cx, index);
            handler.queues.used(index, handler.clock.now());
        });
        resumed.is_some()
    }

    /// Drops all messages that wait in the queue now, ready or delayed; those in flight stay. It is worked off in the steps that
    /// follow, [`chores_per_step`](super::StockConfig::chores_per_step) of them in each. A policy hears of each of them.
    pub fn purge<'n>(&mut self, cx: &mut Context<'_>, queue: impl Into<ChannelName<'n>>) -> bool {
        let purged = self.with_queue(cx, queue.into(), |handler, _, index| {
            let purge = handler.queues.begin_purge(index);
            handler.chores.purges.push_back((index, purge));
        });
        purged.is_some()
    }

    /// Deletes the queue, with all its messages: they count as purged, and a policy hears of each of them, in the steps that follow. Whoever has a link to it is told that it is
    /// [`CHANNEL_DELETED`](ErrorCode::CHANNEL_DELETED). Looks at all links of all clients.
    pub fn delete<'n>(&mut self, cx: &mut Context<'_>, queue: impl Into<ChannelName<'n>>) -> bool {
        let name = queue.into();
        let deleted = self.with_queue(cx, name, |handler, cx, index| {
            let clients = handler.clients.iter().flatten();
            let links = clients.flat_map(|client| client.links().map(|(number, link)| (client.id, number, link.queue)));
            let ends: Vec<_> = links.filter(|(.., queue)| *queue == index).collect();
            for (id, number, _) in ends {
                let text = format!("the queue {name} was deleted");
                handler.end_link(cx, id, number, Some((ErrorCode::CHANNEL_DELETED, text)));
            }
            handler.chores.purges.retain(|(purged, _)| *purged != index);
            let remains: Box<dyn Iterator<Item = Departed> + Send> = Box::new(handler.queues.delete(index));
            handler.chores.remains.push_back((name.to_owned(), remains.peekable()));
            handler.alarms.touch(&mut handler.queues, index);
        });
        deleted.is_some()
    }

    /// Sends dead letters that wait in a queue back to the queues that they came from, as if they were new: `most` of them at most, the
    /// oldest first. Those whose queue is gone, or has no room, stay. Returns how many went.
    pub fn redrive<'n>(&mut self, cx: &mut Context<'_>, queue: impl Into<ChannelName<'n>>, most: usize) -> usize {
        self.with_queue(cx, queue.into(), |handler, cx, index| handler.redrive_from(cx, index, most)).unwrap_or(0)
    }

    fn redrive_from(&mut self, cx: &mut Context<'_>, index: QueueIndex, most: usize) -> usize {
        let now = self.clock.now();
        let messages = self.queues.info(index).into_iter().flat_map(|queue| queue.messages());
        let sources: BTreeSet<OwnedName> = messages.filter_map(|message| message.cause?.source.clone()).collect();
        let is_there = |name: &OwnedName| self.queues.find(name.borrow()).is_some();
        let there: BTreeSet<OwnedName> = sources.into_iter().filter(is_there).collect();
        let is_wanted = |cause: &Cause| cause.source.as_ref().is_some_and(|name| there.contains(name));
        let (mut moved, mut targets) = (0, BTreeSet::new());
        for departed in self.queues.get_mut(index).0.redrive(most, is_wanted) {
            let source = departed.cause().and_then(|cause| cause.source.clone());
            let target = source.and_then(|source| self.queues.find(source.borrow()));
            let refused = match target {
                None => Some(departed),
                Some(target) => {
                    let (queue, store) = self.queues.get_mut(target);
                    queue.admit(store, now, departed).err().map(|(_, departed)| departed)
                }
            };
            match (refused, target) {
                (None, Some(target)) => {
                    moved += 1;
                    targets.insert(target);
                }
                (Some(departed), _) => {
                    let (queue, store) = self.queues.get_mut(index);
                    queue.put_back(store, now, departed);
                }
                (None, None) => {}
            }
        }
        // What has made room there can come here as a dead letter: not before those that stay have their place again.
        for target in targets {
            self.changed(cx, target);
            self.queues.used(target, now);
        }
        self.changed(cx, index);
        self.queues.used(index, now);
        moved
    }

    fn with_queue<R>(
        &mut self,
        cx: &mut Context<'_>,
        name: ChannelName<'_>,
        act: impl FnOnce(&mut Self, &mut Context<'_>, QueueIndex) -> R,
    ) -> Option<R> {
        self.now(cx);
        let index = self.queues.find(name)?;
        Some(act(self, cx, index))
    }

    /// A bounded part of what is to be worked off.
    pub(super) fn do_chores(&mut self, cx: &mut Context<'_>) {
        if self.chores.purges.is_empty() && self.chores.remains.is_empty() {
            return;
        }
        let (now, mut left) = (self.clock.now(), self.config.chores_per_step.max(1));
        while left > 0
            && let Some((index, purge)) = self.chores.purges.front_mut()
        {
            let index = *index;
            let (queue, store) = self.queues.get_mut(index);
            let (looked, is_done) = queue.go_on_with_purge(store, now, purge, left);
            left -= looked;
            if is_done {
                self.chores.purges.pop_front();
                self.queues.end_purge(index);
            }
            self.changed(cx, index);
            self.queues.used(index, now);
        }
        while left > 0
            && let Some((name, mut remains)) = self.chores.remains.pop_front()
        {
            while left > 0
                && let Some(departed) = remains.next()
            {
                self.see_off_deleted(cx, &name, departed);
                left -= 1;
            }
            if remains.peek().is_some() {
                self.chores.remains.push_front((name, remains));
            }
        }
        if !self.chores.purges.is_empty() || !self.chores.remains.is_empty() {
            self.chore_turns_cut += 1;
            cx.continue_soon();
        }
    }
}

impl fmt::Debug for Chores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chores").field("purges", &self.purges).field("remains", &self.remains.len()).finish()
    }
}
