//! Whose turn it is, of the consumers that can have a message.

use super::ConsumerId;
use super::config::DispatchKind;
use super::consumer::{Consumer, Consumers};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The consumers that can have a message, in the order of their turns.
#[derive(Debug)]
pub(super) enum Turns {
    RoundRobin(RoundRobin),
    LeastLoaded(Box<LeastLoaded>),
    Exclusive(Box<Exclusive>),
}

/// A ring. May name consumers that can have nothing any more, or are gone.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    ring: VecDeque<ConsumerId>,
    /// How many of them are gone.
    stale: usize,
}

/// By load, and where that is the same, by when they were served.
#[derive(Debug, Default)]
pub(super) struct LeastLoaded {
    loads: BTreeSet<Load>,
    turns: u64,
}

/// In the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Exclusive {
    line: BTreeMap<u64, Candidate>,
    came: u64,
}

/// A consumer with so many deliveries in flight, which was served at that time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Load {
    held: usize,
    served: u64,
    id: ConsumerId,
}

/// One of those who came to an exclusive queue.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: ConsumerId,
    has_room: bool,
}

/// Where a consumer is in the order of turns; its own to keep, so that nobody has to look for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listing {
    is_listed: bool,
    /// Which in line it was when it came, or which turn it had last.
    stamp: u64,
    held: usize,
}

/// Deliveries to one consumer before the next has its turn, at most; fewer when there are few for many.
const QUANTUM: usize = 16;

impl Turns {
    pub(super) fn new(kind: DispatchKind) -> Turns {
        match kind {
            DispatchKind::RoundRobin => Turns::RoundRobin(RoundRobin::default()),
            DispatchKind::LeastLoaded => Turns::LeastLoaded(Box::default()),
            DispatchKind::Exclusive => Turns::Exclusive(Box::default()),
        }
    }

    /// Whether nobody can have a message; if not, that is not certain yet, and [`next`](Self::next) knows.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Turns::RoundRobin(turns) => turns.ring.is_empty(),
            Turns::LeastLoaded(turns) => turns.loads.is_empty(),
            Turns::Exclusive(turns) => turns.line.first_key_value().is_none_or(|(_, first)| !first.has_room),
        }
    }

    /// How many turns there are in a round, and how many of `ready` messages each of them has.
    pub(super) fn round(&self, ready: usize) -> (usize, usize) {
        match self {
            // The same share for everyone in this round.
            Turns::RoundRobin(RoundRobin { ring, .. }) => {
                (ring.len(), ready.div_ceil(ring.len().max(1)).clamp(1, QUANTUM))
            }
            Turns::LeastLoaded(_) => (1, 1),
            Turns::Exclusive(_) => (1, QUANTUM),
        }
    }

    /// Whose turn it is. Its listing must be brought up to date behind the turn.
    pub(super) fn next<C>(&mut self, consumers: &mut Consumers<C>, max_in_flight: usize) -> Option<ConsumerId> {
        match self {
            Turns::RoundRobin(RoundRobin { ring, stale }) => loop {
                let id = ring.pop_front()?;
                let Some(consumer) = consumers.get_mut(id) else {
                    *stale -= 1;
                    continue;
                };
                consumer.listing.is_listed = false;
                if consumer.room(max_in_flight) > 0 {
                    return Some(id);
                }
            },
            Turns::LeastLoaded(turns) => turns.loads.first().map(|load| load.id),
            Turns::Exclusive(turns) => turns.line.first_key_value().map(|(_, first)| first.id),
        }
    }

    /// A consumer came.
    pub(super) fn came<C>(&mut self, id: ConsumerId, consumer: &mut Consumer<C>) {
        if let Turns::Exclusive(turns) = self {
            turns.came += 1;
            consumer.listing.stamp = turns.came;
            turns.line.insert(turns.came, Candidate { id, has_room: false });
        }
    }

    /// Something has changed in what a consumer can have, or it was served.
    #[inline]
    pub(super) fn changed<C>(&mut self, id: ConsumerId, consumer: &mut Consumer<C>, max_in_flight: usize) {
        let has_room = consumer.room(max_in_flight) > 0;
        let (held, listing) = (consumer.in_flight.held(), &mut consumer.listing);
        match self {
            Turns::RoundRobin(RoundRobin { ring, .. }) => {
                if has_room && !listing.is_listed {
                    listing.is_listed = true;
                    ring.push_back(id);
                }
            }
            Turns::LeastLoaded(turns) => {
                if listing.is_listed {
                    turns.loads.remove(&Load { held: listing.held, served: listing.stamp, id });
                }
                (listing.is_listed, listing.held) = (has_room, held);
                if has_room {
                    turns.loads.insert(Load { held, served: listing.stamp, id });
                }
            }
            Turns::Exclusive(turns) => {
                if let Some(candidate) = turns.line.get_mut(&listing.stamp) {
                    candidate.has_room = has_room;
                }
            }
        }
    }

    /// A consumer has had its turn; it must be brought up to date then.
    #[inline]
    pub(super) fn served<C>(&mut self, id: ConsumerId, consumer: &mut Consumer<C>) {
        if let Turns::LeastLoaded(turns) = self {
            turns.turns += 1;
            let listing = &mut consumer.listing;
            if core::mem::take(&mut listing.is_listed) {
                turns.loads.remove(&Load { held: listing.held, served: listing.stamp, id });
            }
            listing.stamp = turns.turns;
        }
    }

    /// A consumer is gone.
    pub(super) fn left<C>(&mut self, id: ConsumerId, listing: Listing, consumers: &Consumers<C>) {
        match self {
            Turns::RoundRobin(turns) if listing.is_listed => {
                turns.stale += 1;
                turns.forget_stale(consumers);
            }
            Turns::RoundRobin(_) => {}
            Turns::LeastLoaded(turns) => {
                turns.loads.remove(&Load { held: listing.held, served: listing.stamp, id });
            }
            Turns::Exclusive(turns) => {
                turns.line.remove(&listing.stamp);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn ring_len(&self) -> usize {
        match self {
            Turns::RoundRobin(turns) => turns.ring.len(),
            _ => 0,
        }
    }
}

impl RoundRobin {
    /// Consumers that come and go while nothing waits must not pile up in the order of turns.
    fn forget_stale<C>(&mut self, consumers: &Consumers<C>) {
        if self.stale * 2 > self.ring.len() {
            self.ring.retain(|id| consumers.get(*id).is_some());
            self.stale = 0;
        }
    }
}
