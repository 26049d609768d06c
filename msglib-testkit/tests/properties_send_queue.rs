//! A send queue is the bytes that were put into it, whatever is done with it.

use bytes::Bytes;
use msglib_proto::{Payload, SendQueue};
use msglib_testkit::strategies::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::IoSlice;
use std::sync::LazyLock;

/// From this size on blocks are shared instead of copied.
const LARGE: usize = 16 * 1024;

/// No two places in it look the same for long.
static BLOCK: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from_iter((0..5 * LARGE as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)));

#[derive(Clone, Debug)]
enum Operation {
    Put(Vec<u8>),
    PutMuch { at: usize, length: usize },
    PutShared { at: usize, length: usize },
    PutPayload { at: usize, length: usize, is_owned: bool },
    Advance(prop::sample::Index),
    AdvanceSegment,
    Swap,
    Append,
    PassOn,
}

fn operations() -> impl Strategy<Value = Operation> {
    let pieces = || (0..LARGE, prop_oneof![0..40_usize, LARGE - 1..=LARGE + 1, LARGE..4 * LARGE]);
    prop_oneof![
        4 => vec(any::<u8>(), 0..40).prop_map(Operation::Put),
        1 => pieces().prop_map(|(at, length)| Operation::PutMuch { at, length }),
        2 => pieces().prop_map(|(at, length)| Operation::PutShared { at, length }),
        2 => (pieces(), any::<bool>())
            .prop_map(|((at, length), is_owned)| Operation::PutPayload { at, length, is_owned }),
        4 => any::<prop::sample::Index>().prop_map(Operation::Advance),
        2 => Just(Operation::AdvanceSegment),
        1 => Just(Operation::Swap),
        1 => Just(Operation::Append),
        1 => Just(Operation::PassOn),
    ]
}

/// A queue, and what it should hold.
#[derive(Default)]
struct Pair {
    queue: SendQueue,
    model: Vec<u8>,
}

impl Pair {
    fn apply(&mut self, operation: &Operation, other: &mut Pair) {
        match operation {
            Operation::Put(bytes) => {
                self.queue.put(bytes);
                self.model.extend(bytes);
            }
            Operation::PutMuch { at, length } => {
                self.queue.put(&BLOCK[*at..at + length]);
                self.model.extend(&BLOCK[*at..at + length]);
            }
            Operation::PutShared { at, length } => {
                self.queue.put_shared(BLOCK.slice(*at..at + length));
                self.model.extend(&BLOCK[*at..at + length]);
            }
            Operation::PutPayload { at, length, is_owned } => {
                let piece = BLOCK.slice(*at..at + length);
                self.queue.put_payload(if *is_owned { Payload::from(&piece) } else { Payload::from(&piece[..]) });
                self.model.extend(&piece);
            }
            Operation::Advance(n) => self.advance(n.index(self.model.len() + 1)),
            Operation::AdvanceSegment => self.advance(self.queue.first_segment().len()),
            Operation::Swap => std::mem::swap(self, other),
            Operation::Append => {
                self.queue.append(&mut other.queue);
                self.model.append(&mut other.model);
            }
            Operation::PassOn => {
                if let Some(buffer) = self.queue.take_buffer() {
                    other.queue.adopt(buffer);
                }
            }
        }
    }

    fn advance(&mut self, n: usize) {
        self.queue.advance(n);
        self.model.drain(..n);
    }

    /// With as many slots as there are segments at most, and with few: what is listed is the front of what waits.
    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.queue.len(), self.model.len());
        prop_assert_eq!(self.queue.is_empty(), self.model.is_empty());
        prop_assert!(self.model.starts_with(self.queue.first_segment()));
        prop_assert_eq!(self.queue.first_segment().is_empty(), self.model.is_empty());
        for slots in [0, 1, 3, 200] {
            let mut slices = vec![IoSlice::new(&[]); slots];
            let filled = self.queue.io_slices(&mut slices);
            prop_assert!(filled <= slots);
            prop_assert!(slices[..filled].iter().all(|slice| !slice.is_empty()));
            let mut listed = Vec::with_capacity(self.model.len());
            slices[..filled].iter().for_each(|slice| listed.extend_from_slice(slice));
            prop_assert!(self.model.starts_with(&listed), "{} slots", slots);
            prop_assert!(filled == slots || listed.len() == self.model.len(), "{} slots, {} filled", slots, filled);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_send_queue_is_the_bytes_that_were_put_into_it(operations in vec(operations(), 0..40)) {
        let (mut pair, mut other) = (Pair::default(), Pair::default());
        for operation in &operations {
            pair.apply(operation, &mut other);
            pair.check()?;
            prop_assert_eq!(other.queue.len(), other.model.len());
        }
        prop_assert!(pair.queue.to_vec() == pair.model);
        prop_assert!(other.queue.to_vec() == other.model);
        pair.advance(pair.model.len());
        drop(pair.queue.take_buffer());
        prop_assert_eq!(pair.queue.capacity(), 0, "an empty queue gives its memory back");
    }
}

#[test]
#[should_panic(expected = "cannot be sent")]
fn more_than_what_waits_cannot_be_sent() {
    let mut queue = SendQueue::new();
    queue.put(b"two");
    queue.advance(4);
}
