//! Leases that were extended.

use super::ConsumerId;
use super::special::Lease;
use msglib_proto::Instant;
use std::collections::BTreeSet;

/// The extensions that still mean something: one for each call, as long as a delivery is in flight whose lease it was the last to extend.
///
/// They are counted, and not looked for: so there are never more of them than deliveries, and whoever extends the same leases again and
/// again makes no more work than the first time.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    /// By number; the first is none.
    all: Vec<Extension>,
    free: Vec<u32>,
    by_end: BTreeSet<(Instant, Lease, u32)>,
}

#[derive(Debug)]
struct Extension {
    until: Instant,
    lease: Lease,
    /// Deliveries in flight that have it.
    held: u32,
}

impl Extensions {
    /// One that ends first: when, what it is for, and its number.
    pub(super) fn first(&self) -> Option<(Instant, Lease, u32)> {
        self.by_end.first().copied()
    }

    /// A new one, for those that [`join`](Self::join) it up to its [`end`](Self::end).
    pub(super) fn begin(&mut self) -> u32 {
        if self.all.is_empty() {
            self.all.push(Extension::NONE);
        }
        self.free.pop().unwrap_or_else(|| {
            self.all.push(Extension::NONE);
            self.all.len() as u32 - 1
        })
    }

    pub(super) fn join(&mut self, number: u32) {
        self.all[number as usize].held += 1;
    }

    /// All have joined it that do; how many.
    pub(super) fn end(&mut self, number: u32, until: Instant, lease: Lease) -> usize {
        let extension = &mut self.all[number as usize];
        (extension.until, extension.lease) = (until, lease);
        match extension.held {
            0 => self.forget(number),
            _ => {
                self.by_end.insert((until, lease, number));
            }
        }
        self.all.get(number as usize).map_or(0, |extension| extension.held as usize)
    }

    /// A delivery has it no longer; 0 if it had none.
    #[inline]
    pub(super) fn leave(&mut self, number: u32) {
        if number > 0 {
            self.one_less(number);
        }
    }

    /// What is left of it begins with this tag.
    pub(super) fn go_on(&mut self, number: u32, first: u64) {
        let Extension { until, lease, .. } = &mut self.all[number as usize];
        self.by_end.remove(&(*until, *lease, number));
        lease.first = first;
        self.by_end.insert((*until, *lease, number));
    }

    fn one_less(&mut self, number: u32) {
        let Extension { until, lease, held } = &mut self.all[number as usize];
        *held -= 1;
        if *held == 0 {
            self.by_end.remove(&(*until, *lease, number));
            self.forget(number);
        }
    }

    /// What a burst took goes back with the last.
    fn forget(&mut self, number: u32) {
        const SMALL: usize = 64;
        self.free.push(number);
        if self.free.len() + 1 == self.all.len() && self.all.len() > SMALL {
            *self = Extensions::default();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_end.len()
    }
}

impl Extension {
    const NONE: Extension = {
        let lease = Lease { consumer: ConsumerId { slot: 0, generation: 0 }, first: 0, last: 0 };
        Extension { until: Instant::MAX, lease, held: 0 }
    };
}
