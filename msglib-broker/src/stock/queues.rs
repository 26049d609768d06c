//! The queues of the stock handler, by name.

use super::StockConfig;
use crate::queue::{Ledger, Queue, Store};
use crate::random::{SeededHash, SeededMap};
use crate::reason::Reject;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{ChannelName, ErrorCode, LinkNumber, OwnedName};
use std::collections::BTreeSet;

/// Where a queue is in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct QueueIndex(usize);

/// Whom a delivery is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConsumerKey {
    pub(super) connection: ConnectionId,
    pub(super) link: LinkNumber,
}

/// One queue, as a person or a test sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct QueueInfo<'a> {
    /// Its name.
    pub name: ChannelName<'a>,
    /// What became of every message so far.
    pub ledger: Ledger,
    /// How many consumers it has.
    pub consumers: usize,
    /// How many links lead to it, to publish or to consume.
    pub links: usize,
    /// Bytes that its messages take.
    pub bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Queues {
    /// The payloads of all of them.
    store: Store,
    slots: Vec<Slot>,
    /// Made with the first queue, for the secret of its hasher comes from the broker.
    names: Option<SeededMap<OwnedName, QueueIndex>>,
    /// Empty, and without a link: these make room when there are too many.
    unused: BTreeSet<QueueIndex>,
}

#[derive(Debug)]
struct Slot {
    name: OwnedName,
    queue: Queue<ConsumerKey>,
    links: usize,
    is_dirty: bool,
}

impl Queues {
    /// A link more to the queue, which is made if it is not there.
    pub(super) fn open(
        &mut self,
        name: ChannelName<'_>,
        config: &StockConfig,
        hash_secret: u128,
    ) -> Result<QueueIndex, Reject> {
        let name = name.to_owned();
        let names = self.names.get_or_insert_with(|| SeededMap::with_hasher(SeededHash::new(hash_secret)));
        let index = match names.get(&name) {
            Some(index) => *index,
            None => self.make(name, config)?,
        };
        self.unused.remove(&index);
        self.slots[index.0].links += 1;
        Ok(index)
    }

    /// A link less.
    pub(super) fn close(&mut self, index: QueueIndex) {
        let slot = &mut self.slots[index.0];
        slot.links -= 1;
        if slot.links == 0 && slot.queue.is_empty() {
            self.unused.insert(index);
        }
    }

    pub(super) fn get_mut(&mut self, index: QueueIndex) -> (&mut Queue<ConsumerKey>, &mut Store) {
        (&mut self.slots[index.0].queue, &mut self.store)
    }

    /// Where the payloads of all channels lie.
    pub(super) fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    pub(super) fn find(&self, name: ChannelName<'_>) -> Option<QueueIndex> {
        self.names.as_ref()?.get(&name.to_owned()).copied()
    }

    pub(super) fn info(&self, QueueIndex(index): QueueIndex) -> QueueInfo<'_> {
        let Slot { name, queue, links, .. } = &self.slots[index];
        QueueInfo {
            name: name.borrow(),
            ledger: queue.ledger(),
            consumers: queue.consumers(),
            links: *links,
            bytes: queue.bytes(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = QueueInfo<'_>> {
        (0..self.slots.len()).map(|index| self.info(QueueIndex(index)))
    }

    /// Whether the queue has something to dispatch and was not dirty before.
    pub(super) fn mark_dirty(&mut self, index: QueueIndex) -> bool {
        let slot = &mut self.slots[index.0];
        let newly = !slot.is_dirty && slot.queue.can_dispatch();
        slot.is_dirty |= newly;
        newly
    }

    pub(super) fn clear_dirty(&mut self, index: QueueIndex) {
        self.slots[index.0].is_dirty = false;
    }

    fn make(&mut self, name: OwnedName, config: &StockConfig) -> Result<QueueIndex, Reject> {
        let slot = Slot { name: name.clone(), queue: Queue::new(config.queue.clone()), links: 0, is_dirty: false };
        let index = if self.slots.len() < config.max_queues {
            self.slots.push(slot);
            QueueIndex(self.slots.len() - 1)
        } else {
            let Some(index) = self.unused.pop_first() else {
                let text = format!("there are {} queues already, and all of them in use", self.slots.len());
                return Err(Reject::new(ErrorCode::TOO_MANY_CHANNELS, text));
            };
            let is_dirty = self.slots[index.0].is_dirty;
            let old = core::mem::replace(&mut self.slots[index.0], Slot { is_dirty, ..slot });
            if let Some(names) = &mut self.names {
                names.remove(&old.name);
            }
            index
        };
        if let Some(names) = &mut self.names {
            names.insert(name, index);
        }
        Ok(index)
    }
}
