//! Links, numbers and credit (PROTOCOL §5 to §8), abused.

use crate::abuse::raw::{self, MAX_LINKS, frame, hello, hello_with_features};
use crate::abuse::stage::{AttackerKey, Counter, Ended, Heard, MOST_HELD, Stage};
use crate::conformance::{Fixture, Outcome};
use msglib_proto::{ErrorCode, FrameType, QueueSettings};

/// What comes before, and what then breaks the protocol at its first byte.
fn each_offends<F: Fixture>(fixture: &mut F, cases: &[(Vec<u8>, Vec<u8>, ErrorCode)]) -> Outcome {
    let mut stage = Stage::new(fixture);
    for (before, bytes, code) in cases {
        let before = [&hello()[..], before].concat();
        stage.offends(&[&before[..], bytes].concat(), *code, before.len());
    }
    stage.finish(cases.len() as u64, 0);
    Ok(())
}

/// Links that are not there, or not for that (PROTOCOL §5.2, §5.3).
pub fn flow_links_that_are_not_open<F: Fixture>(fixture: &mut F) -> Outcome {
    let bad = ErrorCode::BAD_LINK;
    let (publisher, consumer) = (raw::open(1, 1), raw::open(1, 2));
    let close = frame(raw::CLOSE, 0, 1, b"");
    let all: Vec<u8> = (1..=MAX_LINKS).flat_map(|link| raw::open(link, 1)).collect();
    let cases = [
        (vec![], raw::publish(1, 1, b"?"), bad),
        (vec![], raw::publish(u32::MAX, 1, b"?"), bad),
        (vec![], raw::ack(1, 1, u64::MAX), bad),
        (vec![], close.clone(), bad),
        (vec![], raw::open(2, 3), bad),
        (vec![], raw::open(u32::MAX, 3), bad),
        (publisher.clone(), raw::open(1, 1), bad),
        (publisher.clone(), raw::ack(1, 1, 1), bad),
        (publisher.clone(), raw::credit(1, 1), bad),
        (consumer, raw::publish(1, 1, b"?"), bad),
        ([publisher, close.clone()].concat(), close, bad),
        (all, raw::open(MAX_LINKS + 1, 1), bad),
    ];
    each_offends(fixture, &cases)
}

/// Numbers are 1, 2, 3 … (PROTOCOL §6.1).
pub fn flow_numbers_with_a_gap<F: Fixture>(fixture: &mut F) -> Outcome {
    let first = [raw::open(1, 1), raw::publish(1, 1, b"one")].concat();
    let cases = [2, u64::MAX].map(|number| (raw::open(1, 1), raw::publish(1, number, b"?"), ErrorCode::BAD_NUMBER));
    let later = [1, 3].map(|number| (first.clone(), raw::publish(1, number, b"?"), ErrorCode::BAD_NUMBER));
    each_offends(fixture, &[cases, later].concat())
}

/// Credit never goes back (PROTOCOL §6.2).
pub fn flow_credit_that_goes_back<F: Fixture>(fixture: &mut F) -> Outcome {
    let granted = |upto| [raw::open(1, 2), raw::credit(1, upto)].concat();
    let cases = [(10, 9), (u64::MAX, 0)].map(|(upto, then)| (granted(upto), raw::credit(1, then), ErrorCode::CREDIT));
    each_offends(fixture, &cases)
}

/// Ten thousand publishes without asking: all are within the credit that was given meanwhile, or the first that is not is
/// the end (PROTOCOL §6.2).
pub fn flow_more_than_the_credit<F: Fixture>(fixture: &mut F) -> Outcome {
    const COUNT: u64 = 10_000;
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &[hello(), raw::open(1, 1)].concat());
    let flood: Vec<u8> = (1..=COUNT).flat_map(|number| raw::publish(1, number, b"")).collect();
    stage.send(key, &flood);
    let went_through = stage.until("a confirm of all, or the end", |stage| {
        let is_through = stage.heard(key).contains(&Heard::Confirmed { upto: COUNT });
        (is_through || stage.end(key).is_some()).then_some(is_through)
    });
    if went_through {
        stage.is_served(key);
        stage.finish(0, 0);
        return Ok(());
    }
    let seen = stage.last_words(key);
    let is_credit = matches!(seen, Some(Heard::Error { code: ErrorCode::CREDIT, .. }));
    stage.check(is_credit, "an error about credit", seen);
    stage.leave(key);
    stage.finish(1, 0);
    Ok(())
}

/// Publishes on and on though the queue is full: each is refused and counted, and what was in it is there for a consumer (PROTOCOL §7.3).
pub fn flow_publishing_on_after_the_queue_is_full<F: Fixture>(fixture: &mut F) -> Outcome {
    const ROOM: u64 = 10;
    const COUNT: u64 = 1_000;
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    let settings = QueueSettings { max_messages: Some(ROOM), ..QueueSettings::default() };
    let open = raw::open_named(1, 3, raw::QUEUE, b"abuse full", &settings.encode());
    stage.send(key, &[hello_with_features(), open].concat());
    stage.hear(key, Heard::Other(FrameType::Credit));
    (1..=COUNT).for_each(|number| stage.send(key, &raw::publish(1, number, b"more")));
    let refused = |heard: &Heard| match *heard {
        Heard::Refused { first, last, code: ErrorCode::QUEUE_FULL } => last - first + 1,
        _ => 0,
    };
    stage.until("each of the others refused", |stage| {
        (stage.heard(key).iter().map(refused).sum::<u64>() == COUNT - ROOM).then_some(())
    });
    let ledger = stage.ledger("abuse full");
    stage.check(ledger.accepted == ROOM && ledger.turned_away == COUNT - ROOM, "each of them counted", ledger);
    stage.send(key, &raw::credit(1, u64::MAX));
    stage.hear(key, Heard::Delivery { tag: ROOM, count: 1 });
    stage.send(key, &raw::ack(1, 1, ROOM));
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// Publishes on and on though its link is closed: it may not have known, so all of that is ignored, whatever its numbers (PROTOCOL §10.2).
pub fn flow_publishing_on_after_the_link_is_closed<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &[hello_with_features(), raw::open_named(1, 3, raw::TOPIC, b"no//topic", b"")].concat());
    stage.hear(key, Heard::Closed { link: 1, code: ErrorCode::BAD_NAME });
    for number in [1, 1, 7, u64::MAX] {
        let more = [raw::publish(1, number, b"too late"), raw::credit(1, u64::MAX - number), raw::ack(1, 1, number)];
        stage.send(key, &more.concat().repeat(500));
    }
    stage.send(key, &[raw::close(1), raw::open(1, 1), raw::publish(1, 1, b"in time")].concat());
    stage.hear(key, Heard::Confirmed { upto: 1 });
    stage.is_served(key);
    let ledger = stage.ledger("abuse");
    stage.check(ledger.accepted == 1, "a message, and not those on the closed link", ledger);
    stage.finish_counting(&[(Counter::Rejected, 1)]);
    Ok(())
}

/// Subscribes and unsubscribes for ever, with a message in between: who is there gets it, who is not does not, and nothing is left
/// (PROTOCOL §16.3).
pub fn flow_subscriptions_in_a_loop<F: Fixture>(fixture: &mut F) -> Outcome {
    const TIMES: u64 = 150;
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &[hello_with_features(), raw::open_named(1, 1, raw::TOPIC, b"a/b", b"")].concat());
    for turn in 0..TIMES {
        let filter: &[u8] = [&b"a/b"[..], b"a/+", b"#"][turn as usize % 3];
        stage.forget_heard(key);
        let subscribe = [raw::open_named(2, 2, raw::TOPIC, filter, b""), raw::credit(2, 1)].concat();
        stage.send(
            key,
            &[subscribe, raw::publish(1, 2 * turn + 1, b"for one"), raw::publish(1, 2 * turn + 2, b"")].concat(),
        );
        stage.hear(key, Heard::Delivery { tag: 1, count: 1 });
        stage.send(key, &raw::close(2));
        stage.hear(key, Heard::Closed { link: 2, code: ErrorCode::NONE });
    }
    let ledger = stage.handler().topic_ledger();
    let is_so = ledger.copies == 2 * TIMES && ledger.delivered == TIMES && ledger.abandoned == TIMES;
    stage.check(is_so, "one delivered and one given up each time", ledger);
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// Pings without end, and no ear for the answers: what the broker holds for such a client has a bound, and when it reads at
/// last it is served.
pub fn flow_pings_with_the_pongs_unread<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &hello());
    stage.hear(key, Heard::Other(FrameType::Welcome));
    pings_unread(stage, key)
}

/// The same from the first byte on: not even the WELCOME is read.
pub fn flow_pings_before_the_welcome_is_read<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.reads(key, false);
    stage.send(key, &hello());
    pings_unread(stage, key)
}

fn pings_unread<F: Fixture>(mut stage: Stage<'_, F>, key: AttackerKey) -> Outcome {
    // Where the transport itself has room for more, there is nothing to see.
    const MOST: usize = 4 << 20;
    const BATCH: u64 = 4_000;
    stage.reads(key, false);
    stage.take_moved();
    let (mut token, mut sent, mut stuck) = (0, 0, 0);
    while stuck < 200 && sent < MOST {
        if stage.has_sent_all(key) {
            let pings: Vec<u8> = (token + 1..=token + BATCH).flat_map(raw::ping).collect();
            stage.send(key, &pings);
            token += BATCH;
        }
        stage.step();
        let moved = stage.take_moved();
        sent += moved;
        stuck = if moved == 0 { stuck + 1 } else { 0 };
        let held = stage.held();
        stage.check(held <= MOST_HELD, "no more held than the reserve and one turn's reading", held);
    }
    let limits = stage.counters().reserve_limits;
    stage.check(stuck < 200 || limits > 0, "the reserve met, where nothing more was taken", limits);
    stage.reads(key, true);
    stage.hear(key, Heard::Pong { token });
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// Acks of what was never delivered, twice, and of everything: allowed, and without effect on anybody else (PROTOCOL §7.5).
pub fn flow_acks_of_nothing<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &[hello(), raw::open(1, 2)].concat());
    for (first, last) in [(1, 1), (1, 1), (7, 4_000_000_000), (u64::MAX, u64::MAX), (1, u64::MAX)] {
        stage.send(key, &raw::ack(1, first, last));
    }
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// Acks of what was delivered to somebody else: a tag means something on its own link alone, so nothing is taken away (PROTOCOL §7.5).
pub fn flow_acks_of_anothers_deliveries<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let holder = stage.connect();
    stage.send(holder, &[hello(), raw::open(1, 3), raw::publish(1, 1, b"mine"), raw::credit(1, 1)].concat());
    stage.hear(holder, Heard::Delivery { tag: 1, count: 1 });
    let thief = stage.connect();
    stage.send(thief, &[hello(), raw::open(1, 2), raw::credit(1, 1), raw::ack(1, 1, u64::MAX), raw::ping(7)].concat());
    stage.hear(thief, Heard::Pong { token: 7 });
    stage.leave(holder);
    // It was not acked, and comes back.
    stage.hear(thief, Heard::Delivery { tag: 1, count: 2 });
    stage.send(thief, &raw::ack(1, 1, 1));
    stage.is_served(thief);
    stage.finish(0, 0);
    Ok(())
}

/// Opens and closes for ever: each is answered, and nothing is left of it (PROTOCOL §5.3).
pub fn flow_links_in_a_loop<F: Fixture>(fixture: &mut F) -> Outcome {
    const TIMES: usize = 300;
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &hello());
    let turn = [raw::open(1, 3), raw::credit(1, u64::MAX), frame(raw::CLOSE, 0, 1, b"")].concat();
    // The number is free again when the CLOSED is there: one by one.
    let closed = |heard: &[Heard]| heard.iter().filter(|heard| matches!(heard, Heard::Closed { .. })).count();
    for times in 1..=TIMES {
        stage.send(key, &turn);
        stage.until("each link closed", |stage| (closed(stage.heard(key)) == times).then_some(()));
    }
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// A message that is refused, to be delivered again, and again: each attempt is counted, and the others are served.
pub fn flow_the_same_message_refused_again_and_again<F: Fixture>(fixture: &mut F) -> Outcome {
    const TIMES: u64 = 300;
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &[hello(), raw::open(1, 3), raw::publish(1, 1, b"again"), raw::credit(1, u64::MAX)].concat());
    for tag in 1..=TIMES {
        stage.hear(key, Heard::Delivery { tag, count: tag as u32 });
        let range = raw::numbers(&[tag, tag]);
        stage.send(key, &frame(raw::REFUSE, 0, 1, &[&range[..], &[0]].concat()));
    }
    stage.hear(key, Heard::Delivery { tag: TIMES + 1, count: TIMES as u32 + 1 });
    stage.send(key, &raw::ack(1, TIMES + 1, TIMES + 1));
    stage.is_served(key);
    let ledger = stage.ledger("abuse");
    let is_so = ledger.given_back == TIMES && ledger.redelivered == TIMES && ledger.acked == 1;
    stage.check(is_so, "each attempt counted", ledger);
    stage.finish(0, 0);
    Ok(())
}

/// All credit that there is, and no ear for what comes: the others are served, and when the greedy one has gone its messages are
/// there for the next.
pub fn flow_deliveries_unread<F: Fixture>(fixture: &mut F) -> Outcome {
    const COUNT: u64 = 200;
    let mut stage = Stage::new(fixture);
    let greedy = stage.connect();
    stage.send(greedy, &[hello(), raw::open(1, 2), raw::credit(1, u64::MAX)].concat());
    stage.hear(greedy, Heard::Other(FrameType::Opened));
    stage.reads(greedy, false);

    let publisher = stage.connect();
    stage.send(publisher, &[hello(), raw::open(1, 1)].concat());
    for number in 1..=COUNT {
        stage.send(publisher, &raw::publish(1, number, &[1; 10_000]));
        stage.hear(publisher, Heard::Confirmed { upto: number });
    }
    stage.is_served(publisher);
    stage.leave(greedy);

    let next = stage.connect();
    stage.send(next, &[hello(), raw::open(1, 2), raw::credit(1, COUNT)].concat());
    stage.until("each message that nobody has acked", |stage| {
        let delivered = stage.heard(next).iter().filter(|heard| matches!(heard, Heard::Delivery { .. })).count();
        (delivered as u64 == COUNT).then_some(())
    });
    let end: Option<Ended> = stage.end(next);
    stage.check(end.is_none(), "a consumer that is served", end);
    stage.send(next, &raw::ack(1, 1, COUNT));
    stage.is_served(next);
    stage.finish(0, 0);
    Ok(())
}
