//! Small payloads that arrive one after another share a block of memory: each costs a copy, and no allocation.

use bytes::{Bytes, BytesMut};
use msglib_proto::Payload;

/// A payload above this has memory of its own.
const SMALL: usize = 512;
/// As much as one small payload that is kept can keep from being freed. Larger blocks are no quicker (measured: 16 and
/// 64 KiB).
const BLOCK: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The block that is being filled; what is filled of it is given away.
    block: BytesMut,
}

impl Blocks {
    pub(super) fn keep(&mut self, payload: Payload<'_>) -> Bytes {
        if payload.is_empty() || payload.len() > SMALL {
            return payload.share();
        }
        if self.block.capacity() < payload.len() {
            // A block that nobody has a share of any more is used again.
            self.block.reserve(BLOCK);
        }
        self.block.extend_from_slice(&payload);
        self.block.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_payloads_share_a_block_and_keep_their_bytes() {
        let mut blocks = Blocks::default();
        let kept: Vec<_> = (0..100u8).map(|i| blocks.keep(Payload::from(&vec![i; usize::from(i)]))).collect();
        for (i, payload) in (0..100u8).zip(&kept) {
            assert_eq!(payload, &vec![i; usize::from(i)]);
        }
        assert_eq!(kept[1].as_ptr().wrapping_add(1), kept[2].as_ptr(), "neighbours");
    }

    #[test]
    fn a_block_that_nobody_shares_any_more_is_used_again() {
        let mut blocks = Blocks::default();
        let first = blocks.keep(Payload::from("first")).as_ptr();
        let used_again = (0..BLOCK).any(|_| blocks.keep(Payload::from("x")).as_ptr() == first);
        assert!(used_again);
    }

    #[test]
    fn a_payload_that_is_not_small_pins_nothing_else() {
        let mut blocks = Blocks::default();
        let large = blocks.keep(Payload::from(&vec![7; SMALL + 1]));
        assert!(large.is_unique() && blocks.block.capacity() == 0);
    }
}
