//! What waits to be sent on one connection: small things copied together, large ones shared.

use super::payload::{Payload, SHARE_FROM};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;

/// How much may be sent of the front of a buffer before the rest is moved there.
const KEEP: usize = 64 * 1024;

/// Bytes on their way out: one contiguous buffer for what is copied, with shared blocks spliced in between.
///
/// Payloads below 16 KiB are copied; larger ones are shared where their owner is known, so that a large payload is
/// written from where it lies, and a fan-out holds it once.
///
/// ```
/// use msglib_proto::SendQueue;
/// use std::io::IoSlice;
///
/// let mut queue = SendQueue::new();
/// queue.put(b"small, ");
/// queue.put(b"copied");
/// let mut slices = [IoSlice::new(&[]); 4];
/// let n = queue.io_slices(&mut slices);
/// assert_eq!((n, &slices[0][..]), (1, &b"small, copied"[..]));
/// queue.advance(7);
/// assert_eq!(queue.to_vec(), b"copied");
/// ```
#[derive(Debug, Default)]
pub struct SendQueue {
    copied: Vec<u8>,
    /// How much of `copied` is sent.
    sent: usize,
    /// Shared blocks in order; each comes before `copied[at..]`.
    shared: VecDeque<Splice>,
    len: usize,
}

#[derive(Debug)]
struct Splice {
    at: usize,
    bytes: Bytes,
}

impl SendQueue {
    /// An empty queue; allocates nothing.
    pub const fn new() -> SendQueue {
        SendQueue { copied: Vec::new(), sent: 0, shared: VecDeque::new(), len: 0 }
    }

    /// Bytes that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends a copy of `bytes`, in which `edit` changes what is to be otherwise there.
    #[inline]
    pub fn put_edited(&mut self, bytes: &[u8], edit: impl FnOnce(&mut [u8])) {
        let at = self.copied.len();
        self.put(bytes);
        edit(&mut self.copied[at..]);
    }

    /// Appends `bytes` without a copy if they are at least 16 KiB, else a copy.
    pub fn put_shared(&mut self, bytes: Bytes) {
        if bytes.len() < SHARE_FROM {
            return self.put(&bytes);
        }
        self.len += bytes.len();
        self.shared.push_back(Splice { at: self.copied.len(), bytes });
    }

    /// Appends a payload: shared where that is possible and worth it, else copied.
    #[inline]
    pub fn put_payload(&mut self, payload: Payload<'_>) {
        match payload.shared() {
            Some(shared) => self.put_shared(shared),
            None => self.put(&payload),
        }
    }

    /// Appends `start` and a payload, as [`put`](Self::put) and [`put_payload`](Self::put_payload) would, with one look at the room.
    #[inline(always)]
    pub(crate) fn put_with_payload(&mut self, start: &[u8], payload: Payload<'_>) {
        if let Some(shared) = payload.shared() {
            self.put(start);
            return self.put_shared(shared);
        }
        let more = start.len() + payload.len();
        self.copied.reserve(more);
        self.copied.extend_from_slice(start);
        self.copied.extend_from_slice(&payload);
        self.len += more;
    }

    /// Lists what waits, in order, in as many of `slices` as it takes, and returns how many it filled.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, segment) in slices.iter_mut().zip(self.segments()) {
            *slot = IoSlice::new(segment);
            filled += 1;
        }
        filled
    }

    /// The first bytes that wait and lie together; empty if nothing waits.
    pub fn first_segment(&self) -> &[u8] {
        self.segments().next().unwrap_or(&[])
    }

    /// Forgets the first `n` bytes: they are sent.
    ///
    /// # Panics
    ///
    /// When `n` is more than [`len`](Self::len).
    pub fn advance(&mut self, mut n: usize) {
        assert!(n <= self.len, "{n} bytes cannot be sent of {}", self.len);
        self.len -= n;
        while n > 0 {
            let until = self.shared.front().map_or(self.copied.len(), |splice| splice.at);
            let step = n.min(until - self.sent);
            self.sent += step;
            n -= step;
            n -= self.advance_shared(n);
        }
        if self.len == 0 {
            self.clear();
        } else if self.sent > KEEP && self.sent * 2 > self.copied.len() {
            self.compact();
        }
    }

    /// Hands out the buffer of a queue in which nothing waits, so that another one can [`adopt`](Self::adopt) it: an idle connection
    /// holds no memory, and a busy one need not ask the allocator. `None` while something waits, or if there is none.
    pub fn take_buffer(&mut self) -> Option<Vec<u8>> {
        (self.is_empty() && self.copied.capacity() > 0).then(|| core::mem::take(self).copied)
    }

    /// Uses this buffer, whose content does not matter, if the queue has none.
    #[inline]
    pub fn adopt(&mut self, mut buffer: Vec<u8>) {
        if self.copied.capacity() == 0 {
            buffer.clear();
            self.copied = buffer;
        }
    }

    /// Moves all that waits in `other` behind what waits here.
    pub fn append(&mut self, other: &mut SendQueue) {
        if self.is_empty() {
            core::mem::swap(self, other);
            other.clear();
            return;
        }
        let base = self.copied.len();
        let skipped = other.sent;
        self.copied.extend_from_slice(&other.copied[skipped..]);
        for splice in other.shared.drain(..) {
            self.shared.push_back(Splice { at: base + (splice.at - skipped), bytes: splice.bytes });
        }
        self.len += other.len;
        other.clear();
    }

    /// A copy of all that waits.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len);
        self.segments().for_each(|segment| all.extend_from_slice(segment));
        all
    }

    /// Bytes of memory held on the heap for copies; shared blocks are not counted.
    pub fn capacity(&self) -> usize {
        self.copied.capacity()
    }

    fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = self.sent;
        let tail_at = self.shared.back().map_or(self.sent, |splice| splice.at);
        let spliced = self.shared.iter().flat_map(move |splice| {
            let before = &self.copied[at..splice.at];
            at = splice.at;
            [before, &splice.bytes[..]]
        });
        spliced.chain([&self.copied[tail_at..]]).filter(|segment| !segment.is_empty())
    }

    /// Takes up to `n` bytes from the next shared block, which is where the queue is when `n` is not 0, and says how many.
    fn advance_shared(&mut self, n: usize) -> usize {
        let Some(splice) = self.shared.front_mut() else { return 0 };
        let step = n.min(splice.bytes.len());
        bytes::Buf::advance(&mut splice.bytes, step);
        if splice.bytes.is_empty() {
            self.shared.pop_front();
        }
        step
    }

    /// Drops what is sent from the front of the copies, so that a queue that never empties does not grow.
    fn compact(&mut self) {
        self.copied.drain(..self.sent);
        for splice in &mut self.shared {
            splice.at -= self.sent;
        }
        self.sent = 0;
    }

    fn clear(&mut self) {
        self.copied.clear();
        self.shared.clear();
        self.sent = 0;
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_shares_keep_their_order_under_any_advance() {
        let large = Bytes::from(vec![b'L'; SHARE_FROM]);
        for step in [1, 7, SHARE_FROM - 1, SHARE_FROM, SHARE_FROM + 5] {
            let mut queue = SendQueue::new();
            queue.put(b"head");
            queue.put_shared(large.clone());
            queue.put_shared(large.clone());
            queue.put(b"tail");
            let expected = queue.to_vec();
            let mut sent = Vec::new();
            while !queue.is_empty() {
                let n = step.min(queue.first_segment().len());
                sent.extend_from_slice(&queue.first_segment()[..n]);
                // Past the end of the segment, so that one call crosses from copies to shares and back.
                let more = (step - n).min(queue.len() - n);
                sent.extend(queue.segments().flatten().skip(n).take(more));
                queue.advance(n + more);
            }
            assert!(sent == expected, "step {step}");
        }
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let large = Bytes::from(vec![b'L'; SHARE_FROM]);
        let mut queue = SendQueue::new();
        queue.put(b"head");
        queue.put_payload(Payload::from(&large));
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(queue.io_slices(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), large.as_ptr());
    }

    #[test]
    fn a_queue_that_never_empties_does_not_grow() {
        let mut queue = SendQueue::new();
        queue.put(&[0; 1000]);
        for _ in 0..10_000 {
            queue.put(&[1; 1000]);
            queue.advance(1000);
        }
        assert!(queue.capacity() <= 8 * KEEP, "{}", queue.capacity());
    }

    #[test]
    fn a_buffer_goes_from_queue_to_queue() {
        let (mut one, mut other) = (SendQueue::new(), SendQueue::new());
        assert!(one.take_buffer().is_none(), "there is none yet");
        one.put(&[1; 1000]);
        assert!(one.take_buffer().is_none(), "it is in use");
        one.advance(1000);
        let buffer = one.take_buffer().unwrap();
        assert_eq!(one.capacity(), 0);
        other.adopt(buffer);
        assert!(other.is_empty() && other.capacity() >= 1000);
        other.put(b"x");
        other.adopt(vec![1, 2, 3]);
        assert_eq!(other.to_vec(), b"x", "it has one already");
    }

    #[test]
    fn append_moves_everything() {
        let large = Bytes::from(vec![b'L'; SHARE_FROM]);
        let mut a = SendQueue::new();
        let mut b = SendQueue::new();
        a.put(b"a");
        b.put(b"xb");
        b.put_shared(large);
        b.put(b"c");
        b.advance(1);
        let expected = [a.to_vec(), b.to_vec()].concat();
        a.append(&mut b);
        assert!(a.to_vec() == expected);
        assert_eq!(a.len(), expected.len());
        assert!(b.is_empty() && b.to_vec().is_empty());
        let mut empty = SendQueue::new();
        empty.append(&mut a);
        assert!(empty.to_vec() == expected);
    }
}
