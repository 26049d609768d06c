//! What a send queue copies, what it shares, and what memory it holds on to.

use bytes::Bytes;
use msglib_proto::{Payload, SendQueue};
use std::io::IoSlice;

const SHARED: usize = 16 * 1024;
const KEPT: usize = 64 * 1024;

#[test]
fn from_sixteen_kibibytes_on_a_block_is_shared() {
    let block = Bytes::from(vec![7; SHARED]);
    let mut queue = SendQueue::new();
    queue.put_shared(block.slice(1..));
    assert!(queue.capacity() >= SHARED - 1, "one byte less is copied");
    assert_ne!(queue.first_segment().as_ptr(), block[1..].as_ptr());

    let mut queue = SendQueue::new();
    queue.put_shared(block.clone());
    assert_eq!((queue.capacity(), queue.first_segment().as_ptr()), (0, block.as_ptr()));
    assert_eq!(queue.first_segment().len(), SHARED);

    let mut queue = SendQueue::new();
    queue.put_payload(Payload::from(&block));
    assert_eq!(queue.capacity(), 0);
    queue.put_payload(Payload::from(&block[..]));
    assert!(queue.capacity() >= SHARED, "without an owner there is nothing to share");
    assert_eq!(queue.len(), 2 * SHARED);
}

#[test]
fn what_lies_together_is_one_segment() {
    let block = Bytes::from(vec![7; SHARED]);
    let mut queue = SendQueue::new();
    assert!(queue.is_empty() && queue.first_segment().is_empty());
    queue.put(b"abc");
    queue.put_shared(block);
    queue.put(b"def");
    assert_eq!(queue.first_segment(), b"abc");
    let mut slices = [IoSlice::new(&[]); 4];
    assert_eq!(queue.io_slices(&mut slices), 3);
    assert_eq!((&slices[0][..], slices[1].len(), &slices[2][..]), (&b"abc"[..], SHARED, &b"def"[..]));
    queue.advance(3 + SHARED + 1);
    assert_eq!(queue.first_segment(), b"ef");
    queue.advance(2);
    assert!(queue.is_empty());
}

#[test]
#[should_panic(expected = "4 bytes cannot be sent of 3")]
fn no_more_can_be_sent_than_waits() {
    let mut queue = SendQueue::new();
    queue.put(b"abc");
    queue.advance(4);
}

/// A queue that never quite empties must not grow for ever, nor move what waits more often than it pays.
#[test]
fn what_is_sent_is_forgotten_also_while_something_waits() {
    let block = Bytes::from(vec![9; SHARED]);
    let mut queue = SendQueue::new();
    let mut model: Vec<u8> = Vec::new();
    for round in 0..2_000u32 {
        let piece = [(round % 251) as u8; 1_000];
        queue.put(&piece);
        model.extend_from_slice(&piece);
        if round % 100 == 50 {
            queue.put_shared(block.clone());
            model.extend_from_slice(&block);
        }
        let n = model.len().saturating_sub(500);
        queue.advance(n);
        model.drain(..n);
        assert!(queue.to_vec() == model, "round {round}");
        assert!(queue.capacity() <= 4 * KEPT, "{} bytes held for 500 that wait", queue.capacity());
    }
}

/// The same for a queue in which much waits, always.
#[test]
fn a_long_queue_that_moves_on_does_not_grow() {
    let mut queue = SendQueue::new();
    queue.put(&vec![0; 4 * KEPT]);
    for _ in 0..5_000 {
        queue.put(&[1; 1_000]);
        queue.advance(1_000);
    }
    assert_eq!(queue.len(), 4 * KEPT);
    assert!(queue.capacity() <= 20 * KEPT, "{} bytes held for {} that wait", queue.capacity(), queue.len());
}

#[test]
fn appending_keeps_shares_and_their_places() {
    let block = Bytes::from(vec![7; SHARED]);
    let (mut first, mut second) = (SendQueue::new(), SendQueue::new());
    first.put(b"first");
    first.put_shared(block.clone());
    second.put(b"second");
    second.put_shared(block.clone());
    second.put(b"end");
    first.advance(2);
    second.advance(3);
    let expected = [&b"rst"[..], &block, b"ond", &block, b"end"].concat();
    first.append(&mut second);
    assert!(first.to_vec() == expected);
    assert!(second.is_empty() && second.to_vec().is_empty());
    first.append(&mut second);
    assert_eq!(first.len(), expected.len());
    second.append(&mut first);
    assert!(first.is_empty() && second.to_vec() == expected);
}
