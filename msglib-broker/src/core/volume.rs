//! Bytes that wait on all connections together, and what happens when they are too many.

use super::config::CoreConfig;
use msglib_proto::transport::ConnectionId;
use std::collections::BTreeMap;

/// Kept step by step: each connection says what it holds when that may have changed.
#[derive(Debug, Default)]
pub(crate) struct Volume {
    /// Waits to be written.
    outbound: Mark,
    /// Was received, and is part of a frame that is not whole, or is not handled yet.
    inbound: usize,
    /// What of it is on connections that hold much. The others have what every connection may have, so nobody goes for it.
    hoarded: usize,
    /// Who holds much inbound, by when they last finished a frame: the first is the slowest.
    unfinished: BTreeMap<u64, ConnectionId>,
    turns: u64,
}

/// A sum, and whether it is too much: from its limit on, until it has come down to half of it.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    bytes: usize,
    is_over: bool,
}

/// What one connection holds, as it was last counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    outbound: u32,
    inbound: u32,
    /// Its place among the unfinished; 0 for none.
    turn: u64,
}

/// From so many bytes on a connection that has not finished its frame is remembered: less is not worth it, and one read that ends
/// in the middle of a small frame is nothing special.
const MUCH: usize = 16 * 1024;

impl Mark {
    /// True if the limit was reached by this.
    fn change(&mut self, share: &mut u32, now: usize, limit: usize) -> bool {
        let before = exchange(share, now);
        self.bytes = self.bytes - before + *share as usize;
        let was_over = self.is_over;
        self.is_over = self.bytes >= limit || (was_over && self.bytes > limit / 2);
        self.is_over && !was_over
    }
}

/// Counts anew what one connection holds, and gives what was counted before. Four GiB on one connection are beyond any sensible limit;
/// no more than that is counted.
fn exchange(share: &mut u32, now: usize) -> usize {
    core::mem::replace(share, u32::try_from(now).unwrap_or(u32::MAX)) as usize
}

impl Volume {
    pub(crate) fn outbound(&self) -> usize {
        self.outbound.bytes
    }

    pub(crate) fn inbound(&self) -> usize {
        self.inbound
    }

    /// Whether publishers should be told to come back later. Not for what is inbound: who keeps it there has to go, and nobody else waits.
    pub(crate) fn is_busy(&self) -> bool {
        self.outbound.is_over
    }

    /// Up to where one connection may have deliveries waiting: while there is too much in all, less, so that those who read go on
    /// and those who do not get nothing more.
    #[inline]
    pub(crate) fn high_water(&self, config: &CoreConfig) -> usize {
        let mark =
            if self.outbound.is_over { config.high_water.min(config.busy_high_water) } else { config.high_water };
        mark.max(1)
    }

    /// What a connection has waiting to be written; true if that made it too much in all.
    pub(crate) fn note_outbound(&mut self, share: &mut Share, bytes: usize, config: &CoreConfig) -> bool {
        self.outbound.change(&mut share.outbound, bytes, config.max_outbound)
    }

    /// What a connection holds of its peer's, and whether it has finished a frame since the last time; true if that made it too
    /// much in all.
    pub(crate) fn note_inbound(
        &mut self,
        id: ConnectionId,
        share: &mut Share,
        bytes: usize,
        has_finished: bool,
        config: &CoreConfig,
    ) -> bool {
        let was_over = self.hoarded > config.max_inbound;
        let before = exchange(&mut share.inbound, bytes);
        self.inbound = self.inbound - before + share.inbound as usize;
        if share.turn != 0 {
            self.hoarded -= before;
        }
        if share.turn != 0 && (has_finished || bytes < MUCH) {
            self.unfinished.remove(&share.turn);
            share.turn = 0;
        }
        if share.turn == 0 && bytes >= MUCH {
            self.turns += 1;
            share.turn = self.turns;
            self.unfinished.insert(self.turns, id);
        }
        if share.turn != 0 {
            self.hoarded += share.inbound as usize;
        }
        self.hoarded > config.max_inbound && !was_over
    }

    /// Who has to go, so that the others can go on.
    pub(crate) fn slowest(&self, config: &CoreConfig) -> Option<ConnectionId> {
        let (_, id) = self.unfinished.first_key_value().filter(|_| self.hoarded > config.max_inbound)?;
        Some(*id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_too_much_from_the_limit_until_half_of_it() {
        let config = CoreConfig::default().with_max_outbound(100).with_high_water(50).with_busy_high_water(10);
        let (mut volume, mut a, mut b) = (Volume::default(), Share::default(), Share::default());
        assert!(!volume.note_outbound(&mut a, 99, &config));
        assert_eq!((volume.is_busy(), volume.high_water(&config)), (false, 50));
        assert!(volume.note_outbound(&mut b, 1, &config), "at 100");
        assert!(!volume.note_outbound(&mut b, 2, &config), "once");
        assert_eq!((volume.is_busy(), volume.high_water(&config)), (true, 10));
        volume.note_outbound(&mut a, 49, &config);
        assert!(volume.is_busy(), "at 51");
        volume.note_outbound(&mut a, 48, &config);
        assert_eq!((volume.is_busy(), volume.outbound()), (false, 50));
        volume.note_outbound(&mut a, 0, &config);
        volume.note_outbound(&mut b, 0, &config);
        assert_eq!(volume.outbound(), 0);
    }

    #[test]
    fn the_slowest_is_who_has_not_finished_a_frame_for_longest() {
        let config = CoreConfig::default().with_max_inbound(3 * MUCH);
        let ids = [0, 1, 2].map(|index| ConnectionId::new(index, 0));
        let (mut volume, mut shares) = (Volume::default(), [Share::default(); 3]);
        for (id, share) in ids.iter().zip(&mut shares) {
            volume.note_inbound(*id, share, MUCH, false, &config);
        }
        assert_eq!(volume.slowest(&config), None, "as much as may be");
        volume.note_inbound(ids[0], &mut shares[0], MUCH + 1, true, &config);
        assert_eq!(volume.slowest(&config), Some(ids[1]), "the first has finished one meanwhile");
        volume.note_inbound(ids[1], &mut shares[1], MUCH + 1, false, &config);
        assert_eq!(volume.slowest(&config), Some(ids[1]));
        volume.note_inbound(ids[1], &mut shares[1], 0, false, &config);
        volume.note_inbound(ids[2], &mut shares[2], 2 * MUCH, false, &config);
        assert_eq!(volume.slowest(&config), Some(ids[2]));
        for (id, share) in ids.iter().zip(&mut shares) {
            volume.note_inbound(*id, share, 0, false, &config);
        }
        assert_eq!((volume.inbound(), volume.hoarded, volume.unfinished.len()), (0, 0, 0));
    }
}
