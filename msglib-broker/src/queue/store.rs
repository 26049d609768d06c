//! Where the payloads of messages lie: blocks of a few sizes, cut from chunks, shared by all queues of a broker.
//!
//! An allocator of its own, for three reasons: a message that passes costs no call of the system's allocator, a small payload
//! takes its own size and 12 bytes more, and it pins nothing but its block.

use super::OVERHEAD;
use bytes::Bytes;
use core::num::NonZeroU32;
use msglib_proto::Payload;

/// Payloads from this size on are kept as they come: shared where they can be, else in an allocation of their own.
const LARGE: usize = 4 * 1024;

/// Bytes of a chunk, at most. Large enough that making one is rare, small enough that a few messages take little.
const CHUNK: usize = 32 * 1024;

/// Chunks without a message that each class keeps, so that a queue that fills and empties does not make them anew.
const SPARE: usize = 8;

/// The payloads of the messages in any number of queues.
///
/// A [`Queue`](super::Queue) keeps the order and the fate of its messages, and their bytes lie here; so every call that takes or
/// drops messages has the store as an argument. Give a queue the same store each time: payloads are found in no other one. A
/// queue that is no longer wanted must be [discarded](super::Queue::discard), else what it held stays here.
///
/// Memory: a payload up to 4 KiB takes its size, rounded up by at most a quarter (up to 256 bytes: to a multiple of 16). Larger ones
/// are shared or have an allocation of their own. Memory that is no longer needed goes back in chunks of 32 KiB, but for eight of each
/// size.
///
/// It can have limits of its own, which hold for all queues together; a queue that would go beyond them refuses the message.
#[derive(Debug)]
pub struct Store {
    /// By size; grows with the largest that was used.
    classes: Vec<Class>,
    large: Vec<Bytes>,
    large_free: Vec<u32>,
    max_payloads: isize,
    max_bytes: isize,
    /// How many more payloads there may be, and bytes: what there is left, for that is all that is to be looked at. Below zero where others
    /// than queues keep more here than queues may.
    room: isize,
    room_bytes: isize,
}

/// A payload in a [`Store`], to be removed from it exactly once: neither `Clone` nor `Copy`.
#[derive(Debug)]
pub(crate) struct Stored {
    at: u32,
    /// One more than the length, so that an `Option` takes no room.
    len_and_one: NonZeroU32,
}

/// Blocks of one size.
#[derive(Debug)]
struct Class {
    block: usize,
    /// Blocks in a chunk: a power of two, so that a block's number is its chunk's number and its place.
    shift: u32,
    chunks: Vec<Chunk>,
    /// Chunks with a free block. The last one is used first.
    with_room: Vec<u32>,
    /// Chunks without memory.
    vacant: Vec<u32>,
    /// Chunks with memory and without a message.
    empty: usize,
}

#[derive(Debug, Default)]
struct Chunk {
    /// As long as blocks were used for the first time, so that nothing is cleared beforehand.
    bytes: Vec<u8>,
    used: u32,
    /// The blocks that were used before and are free. Not a list through the blocks themselves, which a message that passed long ago has
    /// left cold in the cache.
    free: Vec<u16>,
    /// Where it is in the list of those with room.
    listed_at: u32,
}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}

impl Stored {
    /// Takes it from a place that is given up next.
    #[inline]
    pub(super) fn take(&mut self) -> Stored {
        core::mem::replace(self, Stored { at: 0, len_and_one: NonZeroU32::MIN })
    }

    pub(crate) fn len(&self) -> usize {
        self.len_and_one.get() as usize - 1
    }
}

impl Store {
    /// An empty store; allocates nothing.
    pub const fn new() -> Store {
        Store {
            classes: Vec::new(),
            large: Vec::new(),
            large_free: Vec::new(),
            max_payloads: isize::MAX,
            max_bytes: isize::MAX,
            room: isize::MAX,
            room_bytes: isize::MAX,
        }
    }

    /// With a limit on the messages of all queues together. Default: none. For an empty store.
    pub const fn with_max_messages(mut self, messages: usize) -> Store {
        let most = at_most(messages);
        (self.max_payloads, self.room) = (most, most);
        self
    }

    /// With a limit on the bytes of all queues together, each message counted with its payload and [`OVERHEAD`]. Default:
    /// none. For an empty store.
    pub const fn with_max_bytes(mut self, bytes: usize) -> Store {
        let most = at_most(bytes);
        (self.max_bytes, self.room_bytes) = (most, most);
        self
    }

    /// Payloads in it: the messages of all queues.
    pub const fn payloads(&self) -> usize {
        (self.max_payloads - self.room) as usize
    }

    /// Bytes that these count for, each with [`OVERHEAD`].
    pub const fn bytes(&self) -> usize {
        (self.max_bytes - self.room_bytes) as usize
    }

    /// Whether one more that counts for so many bytes is within the limits.
    #[inline]
    pub(super) fn has_room(&self, size: usize) -> bool {
        self.room > 0 && size as isize <= self.room_bytes
    }

    /// Bytes of memory that are held for small payloads, used or not.
    pub fn capacity(&self) -> usize {
        let chunks = self.classes.iter().flat_map(|class| &class.chunks);
        chunks.map(|chunk| chunk.bytes.capacity()).sum()
    }

    /// Takes a copy of a small payload, and of a large one that cannot be shared.
    pub(crate) fn put(&mut self, payload: Payload<'_>) -> Stored {
        self.room -= 1;
        self.room_bytes -= (payload.len() + OVERHEAD) as isize;
        let at = match payload.len() {
            0 => 0,
            len @ 1..LARGE => self.class(class_of(len)).put(&payload),
            _ => self.put_large(payload.share()),
        };
        // A frame's length has 32 bits, and its header is part of it.
        let len_and_one = NonZeroU32::MIN.saturating_add(payload.len() as u32);
        Stored { at, len_and_one }
    }

    #[inline(always)]
    pub(crate) fn get(&self, stored: &Stored) -> Payload<'_> {
        match stored.len() {
            0 => Payload::from(&[]),
            len @ 1..LARGE => Payload::from(self.classes[class_of(len)].get(stored.at, len)),
            _ => Payload::from(&self.large[stored.at as usize]),
        }
    }

    #[inline(always)]
    pub(crate) fn remove(&mut self, stored: Stored) {
        self.room += 1;
        self.room_bytes += (stored.len() + OVERHEAD) as isize;
        match stored.len() {
            0 => {}
            len @ 1..LARGE => self.classes[class_of(len)].remove(stored.at),
            _ => {
                self.large[stored.at as usize] = Bytes::new();
                self.large_free.push(stored.at);
            }
        }
    }

    fn put_large(&mut self, bytes: Bytes) -> u32 {
        if let Some(at) = self.large_free.pop() {
            self.large[at as usize] = bytes;
            return at;
        }
        self.large.push(bytes);
        (self.large.len() - 1) as u32
    }

    #[inline]
    fn class(&mut self, index: usize) -> &mut Class {
        if self.classes.len() <= index {
            self.classes.extend((self.classes.len()..=index).map(Class::new));
        }
        &mut self.classes[index]
    }
}

/// A limit; what is above cannot be reached.
const fn at_most(limit: usize) -> isize {
    if limit > isize::MAX as usize { isize::MAX } else { limit as isize }
}

/// Sizes up to 256 in steps of 16, from there on four steps to each power of two.
#[inline]
fn class_of(len: usize) -> usize {
    if len <= 256 {
        return (len - 1) / 16;
    }
    let power = (len - 1).ilog2();
    let quarter = ((len - 1) >> (power - 2)) & 3;
    16 + (power as usize - 8) * 4 + quarter
}

/// The largest size of a class.
fn size_of_class(class: usize) -> usize {
    match class {
        0..16 => (class + 1) * 16,
        _ => {
            let (power, quarter) = ((class - 16) / 4 + 8, (class - 16) % 4);
            (1 << power) + ((quarter + 1) << (power - 2))
        }
    }
}

impl Class {
    fn new(class: usize) -> Class {
        let block = size_of_class(class);
        let shift = (CHUNK / block).ilog2();
        Class { block, shift, chunks: Vec::new(), with_room: Vec::new(), vacant: Vec::new(), empty: 0 }
    }

    #[inline]
    fn put(&mut self, payload: &[u8]) -> u32 {
        let index = match self.with_room.last() {
            Some(index) => *index,
            None => self.add_chunk(),
        };
        let (block, shift) = (self.block, self.shift);
        let chunk = &mut self.chunks[index as usize];
        self.empty -= usize::from(chunk.used == 0);
        chunk.used += 1;
        let place = chunk.take(block, payload);
        if chunk.used == 1 << shift {
            self.with_room.pop();
        }
        index << shift | place
    }

    #[inline]
    fn get(&self, at: u32, len: usize) -> &[u8] {
        let (chunk, place) = self.find(at);
        let start = place * self.block;
        &self.chunks[chunk].bytes[start..start + len]
    }

    #[inline]
    fn remove(&mut self, at: u32) {
        let (index, place) = self.find(at);
        let chunk = &mut self.chunks[index];
        if chunk.used == 1 << self.shift {
            chunk.listed_at = self.with_room.len() as u32;
            self.with_room.push(index as u32);
        }
        chunk.used -= 1;
        chunk.free.push(place as u16);
        if chunk.used == 0 {
            self.emptied(index);
        }
    }

    /// The chunk and the place in it.
    #[inline]
    fn find(&self, at: u32) -> (usize, usize) {
        ((at >> self.shift) as usize, (at & ((1 << self.shift) - 1)) as usize)
    }

    #[cold]
    fn add_chunk(&mut self) -> u32 {
        let bytes = Vec::with_capacity(self.block << self.shift);
        let chunk = Chunk { bytes, used: 0, free: Vec::new(), listed_at: self.with_room.len() as u32 };
        let index = self.vacant.pop().unwrap_or(self.chunks.len() as u32);
        match self.chunks.get_mut(index as usize) {
            Some(slot) => *slot = chunk,
            None => self.chunks.push(chunk),
        }
        self.with_room.push(index);
        self.empty += 1;
        index
    }

    /// The last message of a chunk is gone: its memory goes back if there are spares enough.
    #[cold]
    fn emptied(&mut self, index: usize) {
        self.empty += 1;
        if self.empty <= SPARE {
            return;
        }
        let chunk = core::mem::take(&mut self.chunks[index]);
        let at = chunk.listed_at as usize;
        self.with_room.swap_remove(at);
        if let Some(moved) = self.with_room.get(at) {
            self.chunks[*moved as usize].listed_at = at as u32;
        }
        self.vacant.push(index as u32);
        self.empty -= 1;
    }
}

impl Chunk {
    /// Fills the next free block; the caller knows that there is one.
    #[inline]
    fn take(&mut self, block: usize, payload: &[u8]) -> u32 {
        let Some(place) = self.free.pop() else {
            let place = self.bytes.len() / block;
            self.bytes.extend_from_slice(payload);
            self.bytes.resize((place + 1) * block, 0);
            return place as u32;
        };
        let start = usize::from(place) * block;
        self.bytes[start..start + payload.len()].copy_from_slice(payload);
        place.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_what_is_sorted_into_it_and_wastes_a_quarter_at_most() {
        for len in 1..LARGE {
            let size = size_of_class(class_of(len));
            assert!(size >= len, "{len} in a block of {size}");
            assert!(size - len <= (len / 4).max(15), "{len} in a block of {size}");
            assert!(class_of(len) == 0 || size_of_class(class_of(len) - 1) < len, "{len} fits into a smaller one");
        }
    }

    /// Payloads of all sizes come and go in an order of no use to the store, and each is what it was.
    #[test]
    fn what_is_put_is_got() {
        let sizes = [0, 1, 3, 16, 17, 100, 128, 256, 257, 1000, LARGE - 1, LARGE, LARGE + 1, 20_000];
        let (mut store, mut held) = (Store::new(), Vec::new());
        for round in 0..20_000_usize {
            let bytes = vec![round as u8; sizes[round * 7919 % sizes.len()]];
            held.push((store.put(Payload::from(&bytes)), bytes));
            if round % 3 != 0 {
                let (stored, bytes) = held.swap_remove(round * 104_729 % held.len());
                assert_eq!(store.get(&stored).as_slice(), bytes);
                store.remove(stored);
            }
        }
        assert_eq!(store.payloads(), held.len());
        for (stored, bytes) in held {
            assert_eq!(store.get(&stored).as_slice(), bytes);
            store.remove(stored);
        }
        assert_eq!(store.payloads(), 0);
        assert!(store.large.iter().all(Bytes::is_empty));
    }

    #[test]
    fn a_waiting_message_takes_little_more_than_its_payload() {
        let mut store = Store::new();
        let held: Vec<_> = (0..100_000).map(|_| store.put(Payload::from(&[7; 128]))).collect();
        let each = store.capacity() / held.len() + size_of::<Stored>();
        assert!(each <= 128 + 16, "{each} bytes for 128");
    }

    #[test]
    fn a_burst_leaves_a_few_chunks_behind() {
        let mut store = Store::new();
        for _ in 0..3 {
            let held: Vec<_> = (0..10_000).map(|_| store.put(Payload::from(&[7; 1000]))).collect();
            assert!(store.capacity() >= 10_000_000);
            held.into_iter().for_each(|stored| store.remove(stored));
            assert!(store.capacity() <= SPARE * CHUNK, "{}", store.capacity());
        }
    }

    #[test]
    fn one_that_stays_keeps_only_its_chunk() {
        let mut store = Store::new();
        let mut held: Vec<_> = (0..10_000).map(|_| store.put(Payload::from(&[7; 1000]))).collect();
        let stays = held.swap_remove(5000);
        held.into_iter().for_each(|stored| store.remove(stored));
        assert!(store.capacity() <= (SPARE + 1) * CHUNK, "{}", store.capacity());
        assert_eq!(store.get(&stays).len(), 1000);
    }
}
