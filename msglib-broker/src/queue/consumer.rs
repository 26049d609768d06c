//! The consumers of one queue.

use super::ConsumerId;
use super::in_flight::InFlight;
use super::turns::Listing;

/// Somebody who takes deliveries.
#[derive(Debug)]
pub(super) struct Consumer<C> {
    pub(super) key: C,
    /// The last tag that it has allowed.
    pub(super) allowed: u64,
    pub(super) in_flight: InFlight,
    /// There is no room on the way to it.
    pub(super) is_blocked: bool,
    /// Where it is in the order of turns.
    pub(super) listing: Listing,
}

impl<C> Consumer<C> {
    /// How many more deliveries it can take now.
    pub(super) fn room(&self, max_in_flight: usize) -> u64 {
        if self.is_blocked {
            return 0;
        }
        let span = max_in_flight.saturating_sub(self.in_flight.span());
        self.credit().min(span as u64)
    }

    /// How many more deliveries it has allowed.
    pub(super) fn credit(&self) -> u64 {
        self.allowed.saturating_sub(self.in_flight.last_tag())
    }
}

/// A table whose ids are not used twice.
#[derive(Debug)]
pub(super) struct Consumers<C> {
    slots: Vec<Slot<C>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<C> {
    generation: u32,
    consumer: Option<Consumer<C>>,
}

impl<C> Consumers<C> {
    pub(super) const fn new() -> Consumers<C> {
        Consumers { slots: Vec::new(), free: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, key: C) -> ConsumerId {
        let consumer = Consumer {
            key,
            allowed: 0,
            in_flight: InFlight::default(),
            is_blocked: false,
            listing: Listing::default(),
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, consumer: None });
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        // After 2³² consumers in one slot an id would come back; the order of turns and the leases, which are all that may hold a stale
        // id, have long gone round by then.
        entry.generation = entry.generation.wrapping_add(1);
        entry.consumer = Some(consumer);
        ConsumerId { slot, generation: entry.generation }
    }

    pub(super) fn get(&self, id: ConsumerId) -> Option<&Consumer<C>> {
        let slot = self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        slot.consumer.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer<C>> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        slot.consumer.as_mut()
    }

    pub(super) fn remove(&mut self, id: ConsumerId) -> Option<Consumer<C>> {
        let slot = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?;
        let consumer = slot.consumer.take()?;
        self.free.push(id.slot);
        Some(consumer)
    }

    /// In the order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConsumerId, &Consumer<C>)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| {
            let id = ConsumerId { slot: slot as u32, generation: entry.generation };
            Some((id, entry.consumer.as_ref()?))
        })
    }

    pub(super) fn into_consumers(self) -> impl Iterator<Item = Consumer<C>> {
        self.slots.into_iter().filter_map(|slot| slot.consumer)
    }
}
