//! One direction of a connection: a bounded queue of bytes that owns memory only while there are bytes in it.

use std::collections::VecDeque;
use std::io::IoSlice;

/// How much memory a [`Spares`] keeps, in bytes.
const SPARE_BYTES: usize = 1024 * 1024;

/// Bytes on their way, in order.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    bytes: VecDeque<u8>,
}

impl Pipe {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn owns_memory(&self) -> bool {
        self.bytes.capacity() > 0
    }

    /// Takes the first `limit` bytes of `bufs`, or all if there are fewer; returns how many, which must not be zero.
    pub(crate) fn push(&mut self, bufs: &[IoSlice<'_>], limit: usize, spares: &mut Spares) -> usize {
        if self.bytes.capacity() == 0 {
            self.bytes = spares.take();
        }
        let mut left = limit;
        for buf in bufs {
            let part = &buf[..buf.len().min(left)];
            self.bytes.extend(part);
            left -= part.len();
            if left == 0 {
                break;
            }
        }
        debug_assert!(left < limit, "an empty pipe would hold a buffer");
        limit - left
    }

    /// Moves bytes into `buf`, as many as there are and as fit; returns how many.
    pub(crate) fn pull(&mut self, buf: &mut [u8], spares: &mut Spares) -> usize {
        let (front, back) = self.bytes.as_slices();
        let in_front = front.len().min(buf.len());
        let in_back = back.len().min(buf.len() - in_front);
        let count = in_front + in_back;
        buf[..in_front].copy_from_slice(&front[..in_front]);
        buf[in_front..count].copy_from_slice(&back[..in_back]);
        if count == self.bytes.len() {
            self.clear(spares);
        } else {
            self.bytes.drain(..count);
        }
        count
    }

    /// Throws away what is in it.
    pub(crate) fn clear(&mut self, spares: &mut Spares) {
        spares.give(core::mem::take(&mut self.bytes));
    }
}

/// Memory that pipes have given back: an idle connection holds no buffer, and a busy one need not ask the allocator.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    buffers: Vec<VecDeque<u8>>,
    bytes: usize,
}

impl Spares {
    /// The buffer that was given last, since it is most likely still in the processor's cache.
    fn take(&mut self) -> VecDeque<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        if buffer.capacity() > 0 {
            self.bytes -= weight(&buffer);
        }
        buffer
    }

    fn give(&mut self, mut buffer: VecDeque<u8>) {
        let weight = weight(&buffer);
        if buffer.capacity() == 0 || self.bytes + weight > SPARE_BYTES {
            return;
        }
        buffer.clear();
        self.bytes += weight;
        self.buffers.push(buffer);
    }
}

/// What a spare buffer costs, its own header included, so that a crowd of tiny ones is bounded as well.
fn weight(buffer: &VecDeque<u8>) -> usize {
    buffer.capacity() + size_of::<VecDeque<u8>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(pipe: &mut Pipe, bytes: &[u8], limit: usize, spares: &mut Spares) -> usize {
        pipe.push(&[IoSlice::new(bytes)], limit, spares)
    }

    #[test]
    fn bytes_keep_their_order_around_the_ring() {
        let (mut pipe, mut spares) = (Pipe::default(), Spares::default());
        let (mut sent, mut received) = (0u8, 0u8);
        for round in 0..1000 {
            let chunk: Vec<u8> = (0..7 + round % 5).map(|n| sent.wrapping_add(n as u8)).collect();
            let room = 64 - pipe.len();
            sent = sent.wrapping_add(push(&mut pipe, &chunk, room, &mut spares) as u8);
            let mut buf = [0; 8];
            let n = pipe.pull(&mut buf, &mut spares);
            for &byte in &buf[..n] {
                assert_eq!(byte, received);
                received = received.wrapping_add(1);
            }
        }
        assert!((1..=64).contains(&pipe.len()));
    }

    #[test]
    fn a_limit_cuts_across_the_slices() {
        let (mut pipe, mut spares) = (Pipe::default(), Spares::default());
        let bufs = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde"), IoSlice::new(b"f")];
        assert_eq!(pipe.push(&bufs, 4, &mut spares), 4);
        assert_eq!(pipe.push(&bufs, 100, &mut spares), 6);
        let mut buf = [0; 16];
        assert_eq!(pipe.pull(&mut buf, &mut spares), 10);
        assert_eq!(&buf[..10], b"abcdabcdef");
    }

    #[test]
    fn an_empty_pipe_owns_no_memory_and_the_next_one_takes_it_over() {
        let (mut one, mut two, mut spares) = (Pipe::default(), Pipe::default(), Spares::default());
        push(&mut one, &[1; 5000], 5000, &mut spares);
        one.pull(&mut [0; 5000], &mut spares);
        assert_eq!(one.bytes.capacity(), 0);
        assert_eq!((spares.buffers.len(), spares.bytes >= 5000), (1, true));
        push(&mut two, &[2; 10], 10, &mut spares);
        assert!(two.bytes.capacity() >= 5000);
        assert_eq!((spares.buffers.len(), spares.bytes), (0, 0));
    }

    #[test]
    fn spares_are_bounded() {
        let mut spares = Spares::default();
        for _ in 0..100 {
            spares.give(VecDeque::with_capacity(SPARE_BYTES / 10));
        }
        spares.give(VecDeque::with_capacity(SPARE_BYTES + 1));
        assert!(spares.bytes <= SPARE_BYTES, "{}", spares.bytes);
        assert!(spares.buffers.len() <= 10);
    }
}
