//! Which publishes were accepted before, so that a retry after a lost connection is not a second message.

use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// For each queue and producer a bounded window of the sequences that were accepted.
///
/// A producer has a number of its own choice, which it keeps through its connections, and gives each message a sequence: 1, 2, 3 …. Before
/// a message is pushed, [`judge`](Producers::judge) says whether it was accepted before; after it was, [`accepted`](Producers::accepted)
/// notes it. A message that was refused is tried anew. `Q` names the queues.
///
/// How many producers are remembered is bounded; the one that has been out of use for longest is forgotten first, and its retries
/// are new messages then.
///
/// ```
/// use msglib_broker::queue::{Judgement, Producers};
///
/// let mut producers = Producers::new(1000, 64);
/// let from_alice = producers.open("jobs", 0xA11CE)?;
/// assert_eq!(producers.judge(from_alice, 1), Judgement::New);
/// producers.accepted(from_alice, 1);
/// producers.close(from_alice);
///
/// let from_alice = producers.open("jobs", 0xA11CE)?;
/// assert_eq!(producers.judge(from_alice, 1), Judgement::AcceptedBefore);
/// # Ok::<(), msglib_broker::queue::TooManyProducers>(())
/// ```
#[derive(Debug)]
pub struct Producers<Q> {
    windows: BTreeMap<(Q, u128), Window>,
    /// Those that nobody has open, by when they were closed.
    unused: BTreeSet<(u64, Q, u128)>,
    most: usize,
    /// Sequences in a window.
    window: u64,
    closed: u64,
}

/// What is to be done with a message of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// It was not accepted yet.
    New,
    /// It was; it must not be taken again, and is to be confirmed.
    AcceptedBefore,
    /// Nobody knows any more.
    TooOld,
}

/// As many producers as are remembered at most have links open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("there are {0} producers already, and all of them in use")]
pub struct TooManyProducers(pub usize);

/// One producer's use of one queue, while it has it open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Producer<Q> {
    queue: Q,
    id: u128,
}

/// The last sequences, up to the highest that was accepted: a ring of bits.
#[derive(Debug)]
struct Window {
    highest: u64,
    bits: Box<[u64]>,
    /// How often it is open.
    users: u32,
    /// When it was closed last, if it is not open.
    closed: u64,
}

impl<Q: Copy> Producer<Q> {
    /// The queue that it publishes to.
    pub fn queue(&self) -> Q {
        self.queue
    }
}

impl<Q: Ord + Copy> Producers<Q> {
    /// At most so many producers, counted once for each queue that they use, and the last `window` sequences of each, rounded up to a
    /// multiple of 64.
    pub fn new(most: usize, window: u64) -> Producers<Q> {
        let window = window.max(1).next_multiple_of(64);
        Producers { windows: BTreeMap::new(), unused: BTreeSet::new(), most, window, closed: 0 }
    }

    /// A producer begins to publish to a queue, perhaps not for the first time.
    ///
    /// # Errors
    ///
    /// [`TooManyProducers`].
    pub fn open(&mut self, queue: Q, id: u128) -> Result<Producer<Q>, TooManyProducers> {
        if !self.windows.contains_key(&(queue, id)) && self.windows.len() >= self.most {
            let (_, queue, id) = self.unused.pop_first().ok_or(TooManyProducers(self.most))?;
            self.windows.remove(&(queue, id));
        }
        let bits = || vec![0; (self.window / 64) as usize].into_boxed_slice();
        let new = || Window { highest: 0, bits: bits(), users: 0, closed: 0 };
        let window = self.windows.entry((queue, id)).or_insert_with(new);
        if window.users == 0 {
            self.unused.remove(&(window.closed, queue, id));
        }
        window.users += 1;
        Ok(Producer { queue, id })
    }

    /// A producer that was opened publishes no more; each opening needs a closing.
    pub fn close(&mut self, Producer { queue, id }: Producer<Q>) {
        let Some(window) = self.windows.get_mut(&(queue, id)) else { return };
        window.users -= 1;
        if window.users == 0 {
            self.closed += 1;
            window.closed = self.closed;
            self.unused.insert((self.closed, queue, id));
        }
    }

    /// Whether the message with this sequence is a new one.
    pub fn judge(&self, Producer { queue, id }: Producer<Q>, sequence: u64) -> Judgement {
        let Some(window) = self.windows.get(&(queue, id)) else { return Judgement::New };
        if sequence > window.highest {
            return Judgement::New;
        }
        if window.highest - sequence >= self.window {
            return Judgement::TooOld;
        }
        let (word, bit) = self.place(sequence);
        if window.bits[word] & bit == 0 { Judgement::New } else { Judgement::AcceptedBefore }
    }

    /// The message with this sequence was accepted.
    pub fn accepted(&mut self, Producer { queue, id }: Producer<Q>, sequence: u64) {
        let (length, (word, bit)) = (self.window, self.place(sequence));
        let Some(window) = self.windows.get_mut(&(queue, id)) else { return };
        if sequence > window.highest {
            window.forget(sequence, length);
        }
        if window.highest - sequence < length {
            window.bits[word] |= bit;
        }
    }

    /// A queue is gone, and what is known of its producers with it.
    pub fn forget(&mut self, queue: Q) {
        while let Some((key, window)) = self.windows.range((queue, 0)..=(queue, u128::MAX)).next() {
            let key = *key;
            self.unused.remove(&(window.closed, queue, key.1));
            self.windows.remove(&key);
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    fn place(&self, sequence: u64) -> (usize, u64) {
        let place = sequence % self.window;
        ((place / 64) as usize, 1 << (place % 64))
    }
}

impl Window {
    /// The window ends with this sequence from now on; of those that are new in it nothing is known.
    fn forget(&mut self, highest: u64, length: u64) {
        let first = (self.highest + 1).max(highest.saturating_sub(length - 1));
        for sequence in first..=highest {
            let place = sequence % length;
            self.bits[(place / 64) as usize] &= !(1 << (place % 64));
        }
        self.highest = highest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Judgement::*;

    #[test]
    fn what_was_accepted_is_known_and_what_was_not_is_new() {
        let mut producers = Producers::new(10, 64);
        let producer = producers.open('q', 7).unwrap();
        for sequence in [1, 2, 4, 70] {
            assert_eq!(producers.judge(producer, sequence), New);
            producers.accepted(producer, sequence);
        }
        let judge = |sequence| producers.judge(producer, sequence);
        assert_eq!([6, 7, 70, 71].map(judge), [TooOld, New, AcceptedBefore, New], "the last 64");
        let other = producers.open('r', 7).unwrap();
        assert_eq!(producers.judge(other, 70), New, "another queue");
    }

    /// Against a set of all that was accepted.
    #[test]
    fn a_window_knows_its_last_sequences_exactly() {
        let mut producers = Producers::new(1, 128);
        let producer = producers.open((), 1).unwrap();
        let (mut accepted, mut highest) = (BTreeSet::new(), 0_u64);
        let mut random = crate::random::Random::new(1);
        for _ in 0..20_000 {
            let sequence = (highest + 1 + random.next() % 4).saturating_sub(random.next() % 200).max(1);
            let expected = match sequence {
                _ if sequence > highest => New,
                _ if highest - sequence >= 128 => TooOld,
                _ if accepted.contains(&sequence) => AcceptedBefore,
                _ => New,
            };
            assert_eq!(producers.judge(producer, sequence), expected);
            if expected == New && !random.next().is_multiple_of(4) {
                producers.accepted(producer, sequence);
                accepted.insert(sequence);
                highest = highest.max(sequence);
            }
        }
        producers.accepted(producer, u64::MAX);
        assert_eq!(
            [u64::MAX, u64::MAX - 1, highest].map(|s| producers.judge(producer, s)),
            [AcceptedBefore, New, TooOld]
        );
    }

    #[test]
    fn the_one_that_is_out_of_use_for_longest_is_forgotten_first() {
        let mut producers = Producers::new(3, 64);
        let [a, b, c] = [1, 2, 3].map(|id| producers.open('q', id).unwrap());
        assert_eq!(producers.open('q', 4), Err(TooManyProducers(3)), "all of them are in use");
        [a, b, c].into_iter().for_each(|producer| producers.accepted(producer, 1));
        producers.close(b);
        producers.close(a);
        let again = producers.open('q', 2).unwrap();
        assert_eq!(producers.judge(again, 1), AcceptedBefore);
        let d = producers.open('q', 4).unwrap();
        assert_eq!(producers.len(), 3);
        producers.close(d);
        let a = producers.open('q', 1).unwrap();
        assert_eq!(producers.judge(a, 1), New, "a made room for d");
    }

    #[test]
    fn two_links_of_one_producer_share_what_is_known() {
        let mut producers = Producers::new(1, 64);
        let (first, second) = (producers.open('q', 1).unwrap(), producers.open('q', 1).unwrap());
        producers.accepted(first, 5);
        assert_eq!(producers.judge(second, 5), AcceptedBefore);
        producers.close(first);
        assert!(producers.open('q', 2).is_err(), "it is still in use");
        producers.close(second);
        assert!(producers.open('q', 2).is_ok());
    }

    #[test]
    fn with_a_queue_its_producers_are_forgotten() {
        let mut producers = Producers::new(10, 64);
        let open = producers.open('a', 1).unwrap();
        let closed = producers.open('a', u128::MAX).unwrap();
        producers.close(closed);
        producers.open('b', 1).unwrap();
        producers.forget('a');
        assert_eq!((producers.len(), producers.unused.len()), (1, 0));
        producers.close(open);
        assert_eq!(producers.judge(open, 1), New, "a link that is still open does no harm");
    }
}
