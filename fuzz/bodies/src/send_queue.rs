//! A send queue under any operations is the bytes that were put into it, in order.

use crate::input::Input;
use bytes::Bytes;
use msglib_proto::{Payload, SendQueue};
use std::io::IoSlice;
use std::sync::LazyLock;

/// From this size on blocks are shared instead of copied.
const LARGE: usize = 16 * 1024;

/// No two places in it look the same for long.
static BLOCK: LazyLock<Bytes> = LazyLock::new(|| {
    let mixed = (0..(LARGE + 256) as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
    Bytes::from_iter(mixed)
});

/// All that was put in, and how much of it was taken out again.
#[derive(Default)]
struct Model {
    bytes: Vec<u8>,
    taken: usize,
}

impl Model {
    fn left(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (mut queue, mut model) = (SendQueue::new(), Model::default());
    let (mut second, mut second_model) = (SendQueue::new(), Model::default());
    while !input.is_empty() && model.bytes.len() < 8 * LARGE {
        match input.u8() % 16 {
            0..=5 => {
                let n = input.u8() as usize % 32;
                let bytes = input.bytes(n);
                queue.put(bytes);
                model.bytes.extend_from_slice(bytes);
            }
            6 => {
                let piece = BLOCK.slice(..LARGE - 1 + input.u8() as usize);
                queue.put_shared(piece.clone());
                model.bytes.extend_from_slice(&piece);
            }
            7 => {
                let piece = BLOCK.slice(input.u8() as usize..);
                queue.put_payload(Payload::from(&piece));
                model.bytes.extend_from_slice(&piece);
            }
            8..=11 => {
                let n = (input.u16() as usize).min(model.left().len());
                queue.advance(n);
                model.taken += n;
            }
            12 | 13 => {
                std::mem::swap(&mut queue, &mut second);
                std::mem::swap(&mut model, &mut second_model);
            }
            14 => {
                queue.append(&mut second);
                model.bytes.extend_from_slice(second_model.left());
                second_model = Model::default();
                assert!(second.is_empty());
            }
            _ => {
                if let Some(buffer) = queue.take_buffer() {
                    second.adopt(buffer);
                }
            }
        }
        check(&queue, model.left());
    }
    assert!(queue.to_vec() == model.left(), "the bytes that were put in");
    assert!(second.to_vec() == second_model.left(), "the bytes that were put in");
}

/// What can be looked at without going through all of it.
fn check(queue: &SendQueue, left: &[u8]) {
    assert_eq!(queue.len(), left.len());
    assert_eq!(queue.is_empty(), left.is_empty());
    assert!(left.starts_with(queue.first_segment()));
    let mut slots = [IoSlice::new(&[]); 3];
    let filled = queue.io_slices(&mut slots);
    assert_eq!(filled == 0, left.is_empty());
    let mut at = 0;
    for slice in &slots[..filled] {
        assert!(!slice.is_empty());
        let ends = slice.len().min(16);
        assert_eq!(slice[..ends], left[at..at + ends]);
        at += slice.len();
        assert_eq!(slice[slice.len() - ends..], left[at - ends..at]);
    }
}
