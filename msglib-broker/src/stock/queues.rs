//! The queues of the stock handler, by name.

use super::config::StockConfig;
use super::consumer_key::ConsumerKey;
use super::info::{QueueInfo, QueueState};
use crate::queue::{Order, Producers, Purge, Queue, QueueConfig, Store, Stored};
use crate::random::{SeededHash, SeededMap};
use crate::reason::Reject;
use crate::trace;
use msglib_proto::{ChannelName, ErrorCode, Instant, OwnedName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where a queue is in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct QueueIndex(u32);

pub(super) struct Queues {
    /// The payloads of all of them.
    store: Store,
    slots: Vec<Slot>,
    /// Slots of queues that were deleted.
    vacant: Vec<QueueIndex>,
    /// Made with the first queue, for the secret of its hasher comes from the broker.
    names: Option<SeededMap<OwnedName, QueueIndex>>,
    /// Empty, not declared by the host, and without a link: these make room when there are too many.
    unused: BTreeSet<QueueIndex>,
    /// What their producers have published.
    pub(super) producers: Producers<QueueIndex>,
    /// How many there may be.
    most: usize,
    /// How a queue behaves for which nothing else is said.
    default: Arc<QueueConfig>,
    /// How single ones behave.
    named: BTreeMap<OwnedName, Arc<QueueConfig>>,
}

/// One queue, and what the handler knows of it beside.
pub(super) struct Slot {
    /// `None` if it was deleted.
    pub(super) name: Option<OwnedName>,
    pub(super) queue: Queue<ConsumerKey>,
    pub(super) links: u32,
    /// It is in the handler's list of those that may have something to dispatch.
    is_dirty: bool,
    /// It is in the handler's list of those whose next due time may have changed.
    pub(super) is_timed: bool,
    /// The host wants it to exist.
    is_declared: bool,
    /// Purges of it that are not worked off.
    purges: u32,
    /// It takes nothing new.
    pub(super) is_draining: bool,
    /// When it has to be looked at, as the handler's alarms have it; `MAX` for never.
    pub(super) alarm: Instant,
}

impl Queues {
    pub(super) fn new(store: Store, producers: Producers<QueueIndex>, config: &StockConfig) -> Queues {
        let named = config.queues.iter().map(|(name, queue)| (name.clone(), Arc::new(queue.clone())));
        Queues {
            named: named.collect(),
            store,
            producers,
            slots: Vec::new(),
            vacant: Vec::new(),
            names: None,
            unused: BTreeSet::new(),
            most: config.max_queues,
            default: Arc::new(config.queue.clone()),
        }
    }

    /// The queue of that name, which is made if it is not there: with its configuration, and with an order if that is the user's
    /// own. Whether it was made.
    pub(super) fn open(
        &mut self,
        name: ChannelName<'_>,
        config: Option<Arc<QueueConfig>>,
        hash_secret: u128,
        order: impl FnOnce() -> Option<Box<dyn Order>>,
    ) -> Result<(QueueIndex, bool), Reject> {
        let name = name.to_owned();
        let names = self.names.get_or_insert_with(|| SeededMap::with_hasher(SeededHash::new(hash_secret)));
        if let Some(index) = names.get(&name) {
            return Ok((*index, false));
        }
        let config = config.unwrap_or_else(|| Arc::clone(self.named.get(&name).unwrap_or(&self.default)));
        let queue = match order() {
            None => Queue::new(config),
            Some(order) => Queue::new(config).with_order(order),
        };
        self.make(name, queue).map(|index| (index, true))
    }

    /// A link more.
    pub(super) fn link(&mut self, index: QueueIndex) {
        self.slot_mut(index).links += 1;
        self.unused.remove(&index);
    }

    /// A link less.
    pub(super) fn unlink(&mut self, index: QueueIndex) {
        self.slot_mut(index).links -= 1;
        self.forget_unused(index);
    }

    /// A queue that nobody uses makes room when there are too many.
    pub(super) fn forget_unused(&mut self, index: QueueIndex) {
        if self.slot(index).is_unused() {
            self.unused.insert(index);
        }
    }

    /// A purge of it is to be worked off: until then its place is not another's.
    pub(super) fn begin_purge(&mut self, index: QueueIndex) -> Purge {
        self.slot_mut(index).purges += 1;
        self.slot(index).queue.begin_purge()
    }

    pub(super) fn end_purge(&mut self, index: QueueIndex) {
        self.slot_mut(index).purges -= 1;
    }

    /// The host wants it to exist, whether it is used or not.
    pub(super) fn declare(&mut self, index: QueueIndex) {
        self.slot_mut(index).is_declared = true;
        self.unused.remove(&index);
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: QueueIndex) -> (&mut Queue<ConsumerKey>, &mut Store) {
        (&mut self.slots[index.0 as usize].queue, &mut self.store)
    }

    #[inline]
    pub(super) fn slot(&self, index: QueueIndex) -> &Slot {
        &self.slots[index.0 as usize]
    }

    #[inline]
    pub(super) fn slot_mut(&mut self, index: QueueIndex) -> &mut Slot {
        &mut self.slots[index.0 as usize]
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Where the payloads of all channels lie.
    pub(super) fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    pub(super) fn find(&self, name: ChannelName<'_>) -> Option<QueueIndex> {
        self.names.as_ref()?.get(&name.to_owned()).copied()
    }

    pub(super) fn info(&self, index: QueueIndex) -> Option<QueueInfo<'_>> {
        let Slot { name, queue, links, is_draining, .. } = self.slot(index);
        let state = match (queue.is_paused(), is_draining) {
            (true, _) => QueueState::Paused,
            (_, true) => QueueState::Draining,
            _ => QueueState::Open,
        };
        let name = name.as_ref()?.borrow();
        Some(QueueInfo::new(name, state, *links as usize, queue, &self.store))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = QueueInfo<'_>> {
        (0..self.slots.len()).filter_map(|index| self.info(QueueIndex(index as u32)))
    }

    /// Whether the queue has something to dispatch and was not dirty before.
    #[inline]
    pub(super) fn mark_dirty(&mut self, index: QueueIndex) -> bool {
        let slot = &mut self.slots[index.0 as usize];
        let newly = !slot.is_dirty && slot.queue.can_dispatch();
        slot.is_dirty |= newly;
        newly
    }

    pub(super) fn clear_dirty(&mut self, index: QueueIndex) {
        self.slot_mut(index).is_dirty = false;
    }

    /// Takes a queue out of the table: what is left of it are its payloads.
    pub(super) fn delete(&mut self, index: QueueIndex) -> impl Iterator<Item = Stored> + use<> {
        let slot = self.slot_mut(index);
        // Those lists that may still have it look at these.
        let (is_dirty, is_timed, alarm) = (slot.is_dirty, slot.is_timed, slot.alarm);
        let empty = Slot { is_dirty, is_timed, alarm, ..Slot::new(None, Queue::new(Arc::clone(&self.default))) };
        let old = core::mem::replace(self.slot_mut(index), empty);
        if let (Some(names), Some(name)) = (&mut self.names, &old.name) {
            names.remove(name);
            self.vacant.push(index);
        }
        self.unused.remove(&index);
        self.producers.forget(index);
        old.queue.into_payloads()
    }

    fn make(&mut self, name: OwnedName, queue: Queue<ConsumerKey>) -> Result<QueueIndex, Reject> {
        if self.slots.len() - self.vacant.len() >= self.most {
            // Some may have messages again: from the host, from other queues.
            let unused =
                core::iter::from_fn(|| self.unused.pop_first()).find(|index| self.slots[index.0 as usize].is_unused());
            let Some(index) = unused else {
                let text = format!("there are {} queues already, and all of them in use", self.slots.len());
                return Err(Reject::new(ErrorCode::TOO_MANY_CHANNELS, text));
            };
            let left: Vec<Stored> = self.delete(index).collect();
            left.into_iter().for_each(|payload| self.store.remove(payload));
        }
        let slot = Slot::new(Some(name.clone()), queue);
        let index = match self.vacant.pop() {
            Some(index) => {
                let vacant = self.slot_mut(index);
                let (is_dirty, is_timed, alarm) = (vacant.is_dirty, vacant.is_timed, vacant.alarm);
                *vacant = Slot { is_dirty, is_timed, alarm, ..slot };
                index
            }
            None => {
                self.slots.push(slot);
                QueueIndex(self.slots.len() as u32 - 1)
            }
        };
        trace::queue_made(&name);
        if let Some(names) = &mut self.names {
            names.insert(name, index);
        }
        Ok(index)
    }
}

impl Slot {
    /// Nothing is lost with it.
    fn is_unused(&self) -> bool {
        let is_still = self.links == 0 && self.queue.is_empty() && !self.queue.has_departed();
        is_still && !self.is_declared && self.purges == 0 && self.name.is_some()
    }

    fn new(name: Option<OwnedName>, queue: Queue<ConsumerKey>) -> Slot {
        Slot {
            name,
            queue,
            links: 0,
            is_dirty: false,
            is_timed: false,
            is_declared: false,
            purges: 0,
            is_draining: false,
            alarm: Instant::MAX,
        }
    }
}
