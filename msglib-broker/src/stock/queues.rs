//! The queues of the stock handler, by name.

use super::config::StockConfig;
use super::consumer_key::ConsumerKey;
use super::counters::StockCounters;
use super::info::{QueueInfo, QueueState};
use super::unused::Unused;
use crate::owners::{OwnerKey, Owners, Who};
use crate::queue::{Departed, Ledger, Order, Producers, Purge, Queue, QueueConfig, Store};
use crate::random::{SeededHash, SeededMap};
use crate::reason::Reject;
use crate::trace;
use core::time::Duration;
use msglib_proto::{ChannelName, ErrorCode, Instant, OwnedName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a queue is in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct QueueIndex(u32);

impl QueueIndex {
    pub(super) const FIRST: QueueIndex = QueueIndex(0);
}

pub(super) struct Queues {
    /// The payloads of all of them.
    store: Store,
    slots: Vec<Slot>,
    /// Slots of queues that were deleted.
    vacant: Vec<QueueIndex>,
    /// Made with the first queue, for the secret of its hasher comes from the broker.
    names: Option<SeededMap<OwnedName, QueueIndex>>,
    /// Those of which nothing is lost with them: they make room when there are too many, and are forgotten after a while.
    unused: Unused,
    /// How long that is.
    expiry: Duration,
    /// Who has made them.
    owners: Owners,
    /// What their producers have published.
    pub(super) producers: Producers<QueueIndex>,
    pub(super) counters: StockCounters,
    /// How many there may be.
    most: usize,
    /// The books of those that were deleted.
    gone: Ledger,
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
    /// Whom it counts for.
    owner: Option<OwnerKey>,
    /// Since when it is in the list of those that nobody uses; `MAX` if it is not.
    unused_since: Instant,
    /// When it has to be looked at, as the handler's alarms have it; `MAX` for never.
    pub(super) alarm: Instant,
}

/// What is to be known of a queue that may have to be made.
pub(super) struct NewQueue<'a> {
    pub(super) config: Option<Arc<QueueConfig>>,
    pub(super) who: Who<'a>,
    pub(super) hash_secret: u128,
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
            unused: Unused::default(),
            expiry: config.unused_queue_expiry,
            owners: Owners::new(config.max_queues_per_identity),
            counters: StockCounters::default(),
            most: config.max_queues,
            gone: Ledger::default(),
            default: Arc::new(config.queue.clone()),
        }
    }

    /// The queue of that name, which is made if it is not there: with its configuration, and with an order if that is the user's
    /// own. Whether it was made.
    pub(super) fn open(
        &mut self,
        name: ChannelName<'_>,
        NewQueue { config, who, hash_secret }: NewQueue<'_>,
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
        self.make(name, queue, who).map(|index| (index, true))
    }

    /// A link more.
    pub(super) fn link(&mut self, index: QueueIndex) {
        self.slot_mut(index).links += 1;
        self.is_of_use(index);
    }

    /// A link less.
    pub(super) fn unlink(&mut self, index: QueueIndex, now: Instant) {
        self.slot_mut(index).links -= 1;
        self.used(index, now);
    }

    /// Something happened with a queue other than by a link. From then on nobody uses it, if it can be forgotten now.
    pub(super) fn used(&mut self, index: QueueIndex, now: Instant) {
        self.is_of_use(index);
        let slot = &mut self.slots[index.0 as usize];
        if slot.is_unused() {
            slot.unused_since = now;
            self.unused.insert(now, index, slot.owner);
        }
    }

    fn is_of_use(&mut self, index: QueueIndex) {
        let slot = &mut self.slots[index.0 as usize];
        let since = core::mem::replace(&mut slot.unused_since, Instant::MAX);
        if since < Instant::MAX {
            self.unused.remove(since, index, slot.owner);
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
        self.is_of_use(index);
        self.disown(index);
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

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// How many can be forgotten.
    pub(super) fn unused(&self) -> usize {
        self.unused.len()
    }

    /// Whom it counts for.
    pub(super) fn owner(&self, index: QueueIndex) -> Who<'static> {
        Who::Heir(self.slot(index).owner)
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

    /// The books of all of them, those included that are no more.
    pub(super) fn ledger(&self) -> Ledger {
        let there = self.slots.iter().map(|slot| slot.queue.ledger());
        there.fold(self.gone, |mut sum, ledger| {
            sum += ledger;
            sum
        })
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

    /// Takes a queue out of the table: what is left of it are its messages.
    pub(super) fn delete(&mut self, index: QueueIndex) -> impl Iterator<Item = Departed> + use<> {
        self.is_of_use(index);
        self.disown(index);
        let slot = self.slot_mut(index);
        // Those lists that may still have it look at these.
        let (is_dirty, is_timed, alarm) = (slot.is_dirty, slot.is_timed, slot.alarm);
        let empty = Slot { is_dirty, is_timed, alarm, ..Slot::new(None, Queue::new(Arc::clone(&self.default))) };
        let old = core::mem::replace(self.slot_mut(index), empty);
        if let (Some(names), Some(name)) = (&mut self.names, &old.name) {
            names.remove(name);
            self.vacant.push(index);
        }
        self.producers.forget(index);
        self.gone += old.queue.ledger().closed();
        old.queue.into_departed()
    }

    /// When the next queue has been out of use for too long.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let (since, _) = self.unused.first().filter(|_| self.expiry < Duration::MAX)?;
        Some(since + self.expiry)
    }

    /// Forgets the queue that has been out of use for too long, if there is one; which place is looked at, and is free now or was found in
    /// use.
    pub(super) fn expire(&mut self, now: Instant) -> Option<QueueIndex> {
        let (_, index) = self.unused.first().filter(|(since, _)| *since + self.expiry <= now)?;
        if self.forget(index) {
            self.counters.queues_expired += 1;
        }
        Some(index)
    }

    fn make(&mut self, name: OwnedName, queue: Queue<ConsumerKey>, who: Who<'_>) -> Result<QueueIndex, Reject> {
        self.make_room_of(who)?;
        self.make_room()?;
        let owner = self.owners.enter(who);
        let slot = Slot { owner, ..Slot::new(Some(name.clone()), queue) };
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

    /// If there are as many queues as there may be, one of them gives way that nobody uses.
    fn make_room(&mut self) -> Result<(), Reject> {
        if self.len() < self.most || self.displace(|unused| unused.first().map(|(_, index)| index)) {
            return Ok(());
        }
        self.counters.queue_limits += 1;
        let text = format!("there are {} queues already, and all of them in use", self.len());
        Err(Reject::new(ErrorCode::TOO_MANY_CHANNELS, text))
    }

    /// Likewise for one identity.
    fn make_room_of(&mut self, who: Who<'_>) -> Result<(), Reject> {
        let owner = self.owners.find(who);
        if !self.owners.is_full(who) || self.displace(|unused| unused.first_of(owner?)) {
            return Ok(());
        }
        self.counters.identity_queue_limits += 1;
        let text = "your identity has as many queues as one may have, and all of them in use";
        Err(Reject::new(ErrorCode::TOO_MANY_CHANNELS, text))
    }

    fn displace(&mut self, first: impl Fn(&Unused) -> Option<QueueIndex>) -> bool {
        while let Some(index) = first(&self.unused) {
            if self.forget(index) {
                self.counters.queues_displaced += 1;
                return true;
            }
        }
        false
    }

    /// A queue that nobody uses is forgotten; false if it is in use again, and only taken from the list.
    fn forget(&mut self, index: QueueIndex) -> bool {
        self.is_of_use(index);
        let is_unused = self.slot(index).is_unused();
        if is_unused {
            let left: Vec<Departed> = self.delete(index).collect();
            left.into_iter().for_each(|departed| departed.discard(&mut self.store));
        }
        is_unused
    }

    /// It counts for nobody any more.
    fn disown(&mut self, index: QueueIndex) {
        if let Some(owner) = self.slot_mut(index).owner.take() {
            self.owners.leave(owner);
        }
    }
}

impl Slot {
    /// Nothing is lost with it.
    fn is_unused(&self) -> bool {
        let is_still = self.links == 0 && self.queue.is_empty() && !self.queue.has_departed() && self.purges == 0;
        let is_wanted = self.is_declared || self.queue.is_paused() || self.is_draining;
        is_still && !is_wanted && self.name.is_some()
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
            owner: None,
            unused_since: Instant::MAX,
            alarm: Instant::MAX,
        }
    }
}
