//! Which message is next.

use super::*;

fn ordered(order: OrderKind) -> Fixture {
    Fixture::new(QueueConfig::default().with_order(order))
}

fn with_priority(payload: &str, priority: u32) -> NewMessage<'_> {
    NewMessage::new(payload).with_priority(priority)
}

#[test]
fn plain_and_special_messages_keep_their_order() {
    let mut queue = queue_of(&["1", "2"]);
    queue.push(with_priority("3", 9)).unwrap();
    queue.push("4").unwrap();
    queue.push(NewMessage::new("5").with_key(b"k")).unwrap();
    queue.push("6").unwrap();
    assert!(!queue.is_plain);
    let a = queue.consumer('a', 2);
    assert_eq!(queue.deliveries(), ["a1×1 1", "a2×1 2"]);
    queue.again(a, 2..=2);
    queue.allow(a, 9);
    assert_eq!(queue.deliveries(), ["a3×2 2", "a4×1 3", "a5×1 4", "a6×1 5", "a7×1 6"]);
    queue.push("7").unwrap();
    assert!(queue.is_plain, "nothing special waits any more");
    assert_eq!(queue.deliveries(), ["a8×1 7"]);
}

#[test]
fn numbers_are_given_in_the_order_of_acceptance_whatever_the_way() {
    let mut queue = queue_of(&["1"]);
    let second = NewMessage::new("2").with_delay(SECOND);
    assert_eq!(queue.push(second).unwrap(), MessageId::new(2));
    assert_eq!(queue.push("3").unwrap(), MessageId::new(3));
    let mut seen: Vec<_> = queue.messages(&queue.store).map(|m| (m.id.value(), m.payload.to_vec())).collect();
    seen.sort_unstable();
    assert_eq!(seen, [(1, b"1".to_vec()), (2, b"2".to_vec()), (3, b"3".to_vec())]);
    queue.check();
}

#[test]
fn the_highest_priority_is_first_and_within_it_the_oldest() {
    let mut queue = ordered(OrderKind::Priority);
    for (payload, priority) in [("low", 0), ("high", 9), ("middle", 5), ("high too", 9), ("low too", 0), ("most", 255)]
    {
        queue.push(with_priority(payload, priority)).unwrap();
    }
    assert_eq!(queue.drain(), ["most", "high", "high too", "middle", "low", "low too"]);
}

#[test]
fn what_comes_back_is_first_of_its_priority_and_can_have_another() {
    let mut queue = ordered(OrderKind::Priority);
    queue.push(with_priority("a", 5)).unwrap();
    queue.push(with_priority("b", 5)).unwrap();
    let a = queue.consumer('a', 2);
    queue.deliveries();
    queue.push(with_priority("c", 5)).unwrap();
    queue.push(with_priority("d", 7)).unwrap();
    queue.push(with_priority("e", 1)).unwrap();
    queue.again(a, 2..=2);
    queue.settle(a, 1..=1, Settling::Again(Again::default().with_priority(1)));
    assert_eq!(queue.drain(), ["d", "b", "c", "a", "e"]);
}

#[test]
fn keys_take_turns_by_bytes() {
    let mut queue = ordered(OrderKind::FairByKey);
    // 64 bytes each with their overhead and one for the key, so that a turn of 4,096 is about 62 of them.
    for _ in 0..1000 {
        queue.push(NewMessage::new("n").with_key(b"noisy")).unwrap();
    }
    for _ in 0..10 {
        queue.push(NewMessage::new("q").with_key(b"quiet")).unwrap();
    }
    let large = vec![b'l'; 10_000];
    for _ in 0..3 {
        queue.push(NewMessage::new(&large).with_key(b"large")).unwrap();
    }
    let seen: String = queue.drain().iter().map(|payload| &payload[..1]).collect();
    let first_quiet = seen.find('q').unwrap();
    assert!(first_quiet <= 64, "the quiet one waits for one turn of the noisy one: {first_quiet}");
    assert_eq!(&seen[first_quiet..first_quiet + 10], "qqqqqqqqqq");
    // Each turn of the noisy one has the bytes that the large one gathers: three turns for each of its messages.
    let before: Vec<usize> = seen.match_indices('l').map(|(at, _)| seen[..at].matches('n').count()).collect();
    assert!((120..=190).contains(&before[0]), "{before:?}");
    assert!((100..=190).contains(&(before[2] - before[1])), "{before:?}");
    assert_eq!(seen.len(), 1013);
}

#[test]
fn a_key_that_is_idle_gathers_nothing() {
    let mut queue = ordered(OrderKind::FairByKey);
    let large = vec![b'l'; 3000];
    queue.push(NewMessage::new("i").with_key(b"idle")).unwrap();
    queue.push(NewMessage::new(&large).with_key(b"other")).unwrap();
    queue.drain();
    for _ in 0..200 {
        queue.push(NewMessage::new("i").with_key(b"idle")).unwrap();
        queue.push(NewMessage::new("o").with_key(b"other")).unwrap();
    }
    let seen = queue.drain().concat();
    let longest = seen.split('o').map(str::len).max().unwrap();
    assert!(longest <= 62, "{longest} in a row");
}

/// Where nobody's message fits into a turn, the rounds in between cost nothing.
#[test]
fn large_messages_of_many_keys_are_found_at_once() {
    let mut queue = ordered(OrderKind::FairByKey);
    let large = vec![b'l'; 8 << 20];
    for key in 0..50_u8 {
        queue.push(NewMessage::new(&large).with_key(&[key])).unwrap();
    }
    assert_eq!(queue.drain().len(), 50);
}

#[test]
fn messages_without_a_key_share_one_turn() {
    let mut queue = ordered(OrderKind::FairByKey);
    let payload = vec![b'x'; 5000];
    for key in [None, None, Some(b"k"), Some(b"k")] {
        let message = NewMessage::new(&payload);
        queue.push(key.map_or(message, |key| message.with_key(key))).unwrap();
    }
    let mut keys = Vec::new();
    queue.consumer('a', 9);
    queue.dispatch(9, |offer| {
        keys.push(offer.key().is_some());
        Ok(())
    });
    assert_eq!(keys, [false, true, false, true]);
}

#[test]
fn a_key_is_with_one_consumer_at_a_time_and_holds_up_nobody_else() {
    let mut queue = ordered(OrderKind::StickyByKey);
    queue.push_keyed(&["a1", "a2", "b1", "a3", "b2", "c1"]);
    let (x, y) = (queue.consumer('x', 1), queue.consumer('y', 2));
    let first = queue.deliveries();
    assert_eq!(first, ["x1×1 a1", "y1×1 b1", "y2×1 c1"]);
    assert!(!queue.can_dispatch(), "nobody can have more");
    queue.allow(y, 9);
    assert_eq!(queue.deliveries(), ["y3×1 b2"], "the rest of a is for x only");
    assert!(!queue.can_dispatch());
    queue.allow(x, 2);
    assert_eq!(queue.deliveries(), ["x2×1 a2"]);
    queue.ack(x, 1..=1);
    assert!(queue.deliveries().is_empty(), "x still holds one of a");
    queue.ack(x, 2..=2);
    assert_eq!(queue.deliveries(), ["y4×1 a3"], "a is free again");
}

#[test]
fn a_key_goes_on_elsewhere_when_its_consumer_goes() {
    let mut queue = ordered(OrderKind::StickyByKey);
    queue.push_keyed(&["a1", "a2", "a3"]);
    let (x, y) = (queue.consumer('x', 2), queue.consumer('y', 9));
    assert_eq!(queue.deliveries(), ["x1×1 a1", "x2×1 a2"]);
    queue.ack(x, 1..=1);
    queue.remove(x);
    assert_eq!(queue.deliveries(), ["y1×2 a2", "y2×1 a3"], "in order");
    assert_eq!(queue.ack(y, 1..=2), 2);
}

#[test]
fn messages_without_a_key_are_bound_to_nobody() {
    let mut queue = ordered(OrderKind::StickyByKey);
    queue.push_all(&["1", "2"]);
    queue.consumer('x', 1);
    queue.consumer('y', 1);
    assert_eq!(queue.deliveries(), ["x1×1 1", "y1×1 2"]);
}

/// A thousand keys that wait for one consumer are put aside once, and come again when it can have more.
#[test]
fn keys_that_wait_for_their_consumer_are_not_looked_at_again_and_again() {
    let mut queue = ordered(OrderKind::StickyByKey);
    let names: Vec<String> = (0..1000).map(|n| format!("k{n}x")).collect();
    for round in 1..=2 {
        for name in &names {
            let payload = format!("{name}{round}");
            queue.push(NewMessage::new(&payload).with_key(name.as_bytes())).unwrap();
        }
    }
    let x = queue.consumer('x', 1000);
    assert_eq!(queue.deliveries().len(), 1000);
    queue.consumer('y', 10);
    assert!(queue.deliveries().is_empty());
    assert!(!queue.can_dispatch(), "or the broker would spin");
    queue.allow(x, 1001);
    assert_eq!(queue.deliveries(), ["x1001×1 k0x2"]);
    queue.ack(x, 2..=2);
    assert_eq!(queue.deliveries(), ["y1×1 k1x2"]);
}

#[test]
fn of_each_key_the_last_value_stays_in_the_place_of_the_first() {
    let mut queue = ordered(OrderKind::LastValue);
    queue.push_keyed(&["a1", "b1", "a2"]);
    queue.push("no key").unwrap();
    queue.push("no key either").unwrap();
    queue.push_keyed(&["b2", "c1", "a3"]);
    let ledger = queue.ledger();
    assert_eq!((ledger.accepted, ledger.ready, ledger.dropped.replaced), (8, 5, 3));
    queue.check();
    assert_eq!(queue.drain(), ["a3", "b2", "no key", "no key either", "c1"]);
    assert_eq!(queue.store.payloads(), 0);
}

#[test]
fn a_value_that_comes_back_gives_way_to_a_newer_one() {
    let mut queue = ordered(OrderKind::LastValue);
    queue.push_keyed(&["a1"]);
    let a = queue.consumer('a', 1);
    queue.deliveries();
    queue.push_keyed(&["b1", "a2"]);
    queue.again(a, 1..=1);
    assert_eq!((queue.ledger().dropped.replaced, queue.ledger().ready), (1, 2));
    assert_eq!(queue.drain(), ["b1", "a2"]);
}

#[test]
fn a_newer_value_takes_the_place_of_one_that_came_back() {
    let mut queue = ordered(OrderKind::LastValue);
    queue.push_keyed(&["a1", "b1", "c1"]);
    let a = queue.consumer('a', 2);
    queue.deliveries();
    queue.again(a, 1..=2);
    queue.push_keyed(&["b2"]);
    assert_eq!(queue.drain(), ["a1", "b2", "c1"]);
}

#[test]
fn a_delayed_value_is_older_than_one_that_was_accepted_later() {
    let mut queue = ordered(OrderKind::LastValue);
    queue.push(NewMessage::new("old").with_key(b"k").with_delay(SECOND)).unwrap();
    queue.push(NewMessage::new("new").with_key(b"k")).unwrap();
    assert_eq!(queue.len(), 2, "one of them is not there yet");
    queue.advance(SECOND);
    assert_eq!(queue.ledger().dropped.replaced, 1);
    assert_eq!(queue.drain(), ["new"]);
}

#[derive(Debug, Default)]
struct LastInFirstOut(List);

impl Order for LastInFirstOut {
    fn insert(&mut self, messages: &mut Messages, ticket: Ticket) -> Option<Ticket> {
        self.0.push_front(messages, ticket);
        None
    }
    fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
        self.0.remove(messages, ticket);
    }
    fn next(&mut self, _: &Messages) -> Option<Next> {
        self.0.front().map(Next::to_anyone)
    }
    fn has_next(&self) -> bool {
        !self.0.is_empty()
    }
}

#[test]
fn an_order_of_ones_own_is_ten_lines() {
    let mut queue = Fixture::new(QueueConfig::default());
    queue.queue = Queue::new(QueueConfig::default()).with_order(LastInFirstOut::default());
    queue.push_all(&["1", "2", "3"]);
    assert_eq!(queue.drain(), ["3", "2", "1"]);
}

#[test]
fn an_expiry_in_the_middle_leaves_the_others_alone_in_every_order() {
    for order in [OrderKind::Priority, OrderKind::FairByKey, OrderKind::StickyByKey, OrderKind::LastValue] {
        let mut queue = ordered(order);
        for payload in ["1", "2", "3", "4", "5"] {
            let message = NewMessage::new(payload);
            let message = if order == OrderKind::LastValue { message } else { message.with_key(b"k") };
            let message = if ["1", "3", "5"].contains(&payload) { message.with_ttl(SECOND) } else { message };
            queue.push(message).unwrap();
        }
        queue.advance(SECOND);
        queue.check();
        assert_eq!(queue.drain(), ["2", "4"], "{order:?}");
    }
}
