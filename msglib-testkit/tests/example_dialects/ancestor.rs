//! The format of the Python ancestor, and its broker.

#[path = "../../examples/ancestor/dialect.rs"]
mod dialect;
#[path = "../../examples/ancestor/handler.rs"]
mod handler;

use crate::chunking::{assert_any_chunking_decodes_the_same, cuts, decode};
use crate::world::World;
use dialect::{Ancestor, MAX_FIELD, Request};
use handler::Queues;
use proptest::prelude::*;

/// A field as its client writes it.
fn field(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte] if *byte < 0x80 => vec![*byte],
        _ if bytes.len() < 64 => [&[0x80 | bytes.len() as u8], bytes].concat(),
        _ => [&[0xC4], &(bytes.len() as u32).to_be_bytes()[..], bytes].concat(),
    }
}

fn number(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let zeros = (number.leading_zeros() as usize / 8).min(7);
    field(&bytes[zeros..])
}

fn publish(queue: u64, payload: &[u8]) -> Vec<u8> {
    let (count, last) = if payload.is_empty() { (3, vec![]) } else { (4, field(payload)) };
    [vec![count, 1, 1], number(queue), last].concat()
}

fn pull(queue: u64) -> Vec<u8> {
    [vec![3, 1, 2], number(queue)].concat()
}

fn world() -> World<Queues, Ancestor> {
    World::new(Queues::default(), Ancestor)
}

#[test]
fn the_bytes_of_the_real_client_mean_what_it_means() {
    // publish_to_q(q_id=1, payload=b'Hello, world!'), then q_id=300 and no payload, then a pull of each.
    let bytes = b"\x04\x01\x01\x01\x8dHello, world!\x03\x01\x01\x82\x01\x2c\x03\x01\x02\x01\x03\x01\x02\x82\x01\x2c";
    let (frames, error) = decode(&Ancestor, &[bytes]);
    let requests = [
        Request::Publish { queue: 1, payload: b"Hello, world!" },
        Request::Publish { queue: 300, payload: b"" },
        Request::Pull { queue: 1 },
        Request::Pull { queue: 300 },
    ];
    assert_eq!((frames, error), (requests.map(|request| format!("{request:?}")).to_vec(), None));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let ok = publish(1, b"x");
    let cases: [(&[u8], &str); 8] = [
        (b"\x05", "it has 5 fields, and not 3 or 4"),
        (b"\x02\x01", "it has 2 fields, and not 3 or 4"),
        (b"\x03\x02\x01\x01", "channels of type 2: there are queues only, which are 1"),
        (b"\x03\x01\x07\x01", "command 7: a publish is 1, a pull is 2"),
        (b"\x04\x01\x02\x01\x01", "a pull has no payload"),
        (b"\x03\x01\x01\x89123456789", "a number has 9 bytes, and at most 8 are taken"),
        (b"\xc9123456789", "a number has 9 bytes, and at most 8 are taken"),
        (b"\x04\x01\x01\x01\xc4\x01\x00\x00\x01", "a field has 16777217 bytes, and at most 16777216 are taken"),
    ];
    for (bytes, why) in cases {
        let (frames, error) = decode(&Ancestor, &[&[&ok[..], bytes].concat()]);
        let expected = format!("the message at byte {} of the stream: {why}", ok.len());
        assert_eq!((frames.len(), error), (1, Some(expected)), "{bytes:x?}");
    }
    // As long as it may be: the length alone is no reason to complain, nor to allocate.
    let (frames, error) = decode(&Ancestor, &[b"\x04\x01\x01\x01\xc4\x01\x00\x00\x00and so on"]);
    assert_eq!((frames.len(), error, MAX_FIELD), (0, None, 1 << 24));
}

#[test]
fn a_message_goes_to_the_first_who_pulls_and_a_pull_waits_for_one() {
    let mut world = world();
    let (sender, first, second) = (world.connect(), world.connect(), world.connect());
    world.say(&sender, [publish(1, b"one"), publish(2, b"")].concat());
    world.say(&first, pull(1));
    world.say(&second, pull(2));
    assert_eq!((world.hear(&first), world.hear(&second)), (b"\x01\x83one".to_vec(), b"\x01\x80".to_vec()));
    world.say(&first, pull(1));
    world.say(&second, pull(1));
    assert_eq!(world.hear(&first), b"", "nothing there, and nobody is held up by it");
    world.say(&sender, [publish(1, b"2"), publish(1, &[b'3'; 64])].concat());
    assert_eq!(world.hear(&first), b"\x012");
    assert_eq!(world.hear(&second), [b"\x01\xc1\x40", &[b'3'; 64][..]].concat());
    world.say(&sender, publish(1, &[0x80]));
    world.say(&first, pull(1));
    assert_eq!(world.hear(&first), b"\x01\x81\x80");
}

/// The format has nothing that would say which pull a message is for.
#[test]
fn the_answers_of_one_client_come_in_the_order_of_its_pulls() {
    let mut world = world();
    let (sender, puller) = (world.connect(), world.connect());
    world.say(&puller, [pull(1), pull(2), publish(3, b"behind")].concat());
    world.say(&sender, [publish(2, b"second"), pull(3)].concat());
    assert_eq!((world.hear(&puller), world.hear(&sender)), (vec![], vec![]));
    let other = world.connect();
    world.say(&other, publish(1, b"first"));
    assert_eq!(world.hear(&puller), b"\x01\x85first\x01\x86second");
    assert_eq!(world.hear(&sender), b"\x01\x86behind");
}

#[test]
fn who_leaves_gets_nothing() {
    let mut world = world();
    let (sender, gone, there) = (world.connect(), world.connect(), world.connect());
    world.say(&gone, pull(1));
    world.leave(gone);
    world.say(&sender, publish(1, b"still here"));
    world.say(&there, pull(1));
    assert_eq!(world.hear(&there), b"\x01\x8astill here");
}

#[test]
fn what_was_published_behind_a_pull_is_not_lost_with_who_waited() {
    let mut world = world();
    let (gone, there) = (world.connect(), world.connect());
    world.say(&gone, [pull(1), publish(2, b"the last")].concat());
    world.leave(gone);
    world.say(&there, [publish(1, b"x"), pull(1), pull(2)].concat());
    assert_eq!(world.hear(&there), b"\x01x\x01\x88the last");
    assert_eq!(world.broker.connections(), 1);
}

#[test]
fn who_breaks_the_format_is_cut_off_and_the_others_go_on() {
    let mut world = world();
    let (bad, good) = (world.connect(), world.connect());
    world.say(&bad, b"GET / HTTP/1.1\r\n\r\n");
    assert!(world.is_over(&bad));
    assert_eq!(world.broker.counters().protocol_errors, 1);
    world.say(&good, [publish(1, b"x"), pull(1)].concat());
    assert_eq!(world.hear(&good), b"\x01x");
}

proptest! {
    #[test]
    fn any_pieces_decode_the_same(
        requests in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..100), any::<bool>()), 0..8),
        noise in prop::collection::vec(any::<u8>(), 0..40),
        cuts in cuts(),
    ) {
        let mut bytes: Vec<u8> = Vec::new();
        let mut expected = Vec::new();
        for (queue, payload, is_pull) in &requests {
            let request = match is_pull {
                true => Request::Pull { queue: *queue },
                false => Request::Publish { queue: *queue, payload },
            };
            expected.push(format!("{request:?}"));
            bytes.extend(if *is_pull { pull(*queue) } else { publish(*queue, payload) });
        }
        bytes.extend(noise);
        let (frames, _) = assert_any_chunking_decodes_the_same(&Ancestor, &bytes, &cuts);
        prop_assert_eq!(&frames[..expected.len()], expected);
    }
}
