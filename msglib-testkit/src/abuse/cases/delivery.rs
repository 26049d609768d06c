//! Deliveries, their settling, and the times of messages (PROTOCOL §7, §15), abused.

use crate::abuse::raw::{self, QUEUE, SERVICE, frame, hello_with_features};
use crate::abuse::stage::{AttackerKey, Heard, Stage};
use crate::conformance::{Fixture, Outcome};
use core::time::Duration;
use msglib_proto::{FrameType, OwnedName, QueueOrder, QueueSettings};

/// Messages of a queue in these cases, at most: what stays in one is little.
const MOST: u64 = 10;
/// For ever, and a bit before it.
const LONG: [u64; 2] = [u64::MAX, u64::MAX - 1];

/// A client with a link 1, both ways, to a queue that it declares.
fn declares<F: Fixture>(stage: &mut Stage<'_, F>, queue: &str, settings: QueueSettings) -> AttackerKey {
    let key = stage.connect();
    stage.send(key, &hello_with_features());
    opens(stage, key, 1, queue, settings);
    key
}

fn opens<F: Fixture>(stage: &mut Stage<'_, F>, key: AttackerKey, link: u32, queue: &str, settings: QueueSettings) {
    let settings = QueueSettings { max_messages: Some(MOST), ..settings };
    stage.forget_heard(key);
    stage.send(key, &raw::open_named(link, 3, QUEUE, queue.as_bytes(), &settings.encode()));
    stage.hear(key, Heard::Other(FrameType::Opened));
}

/// Plain messages on link 1, to the limit of the queue.
fn fills<F: Fixture>(stage: &mut Stage<'_, F>, key: AttackerKey) {
    (1..=MOST).for_each(|number| stage.send(key, &raw::publish(1, number, b"full")));
    stage.hear(key, Heard::Confirmed { upto: MOST });
}

fn deliveries<F: Fixture>(stage: &mut Stage<'_, F>, key: AttackerKey) -> u64 {
    stage.heard(key).iter().filter(|heard| matches!(heard, Heard::Delivery { .. })).count() as u64
}

#[track_caller]
fn is_delivered<F: Fixture>(stage: &mut Stage<'_, F>, key: AttackerKey, count: u64) {
    stage.until("each delivery", |stage| (deliveries(stage, key) >= count).then_some(()));
}

/// Asks how many deliveries a settling has changed.
#[track_caller]
fn settles<F: Fixture>(stage: &mut Stage<'_, F>, key: AttackerKey, tags: [u64; 2], told: &[u8], count: u64) {
    stage.forget_heard(key);
    stage.send(key, &raw::settle(1, tags[0], tags[1], told));
    let seen = stage.until("an answer to a settling", |stage| {
        let mut heard = stage.heard(key).iter();
        heard.find_map(|heard| if let Heard::Settled { count } = heard { Some(*count) } else { None })
    });
    stage.check(seen == count, &format!("{count} of {tags:?} changed by {told:?}"), seen);
}

/// Acks of tags that are settled, that were never used, and of all: each delivery is settled once, by the first, and what comes later
/// changes nothing (PROTOCOL §7.5).
pub fn delivery_acks_twice_unknown_and_of_all<F: Fixture>(fixture: &mut F) -> Outcome {
    const ACK: &[u8] = &[0];
    let mut stage = Stage::new(fixture);
    let key = declares(&mut stage, "abuse acks", QueueSettings::default());
    fills(&mut stage, key);
    stage.send(key, &raw::credit(1, u64::MAX));
    is_delivered(&mut stage, key, MOST);
    settles(&mut stage, key, [1, 5], ACK, 5);
    settles(&mut stage, key, [1, 5], ACK, 0);
    settles(&mut stage, key, [3, 7], ACK, 2);
    settles(&mut stage, key, [MOST + 1, u64::MAX], ACK, 0);
    stage.send(key, &[raw::refuse(1, 1, 7, 0), raw::refuse(1, 1, 7, 1), raw::ack(1, 4_000_000_000, u64::MAX)].concat());
    settles(&mut stage, key, [1, 7], &[1, 0, 0], 0);
    settles(&mut stage, key, [1, 7], &[2], 0);
    settles(&mut stage, key, [1, u64::MAX], ACK, 3);
    settles(&mut stage, key, [1, u64::MAX], ACK, 0);
    let ledger = stage.ledger("abuse acks");
    stage.check(ledger.acked == MOST && ledger.given_back == 0, "each message acked once", ledger);
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// Takes all that there is, and acks when the lease is over: it was too late, and others have the messages (PROTOCOL §15.3).
pub fn delivery_hoarding_then_acking_after_the_lease<F: Fixture>(fixture: &mut F) -> Outcome {
    const LEASE: Duration = Duration::from_millis(500);
    let settings = || QueueSettings { lease_ms: Some(LEASE.as_millis() as u64), ..QueueSettings::default() };
    let mut stage = Stage::new(fixture);
    let hoarder = declares(&mut stage, "abuse lease", settings());
    fills(&mut stage, hoarder);
    stage.send(hoarder, &raw::credit(1, MOST));
    is_delivered(&mut stage, hoarder, MOST);
    stage.wait(LEASE + Duration::from_millis(50));
    let next = declares(&mut stage, "abuse lease", settings());
    stage.send(next, &raw::credit(1, u64::MAX));
    stage.hear(next, Heard::Delivery { tag: MOST, count: 2 });
    settles(&mut stage, next, [1, MOST], &[0], MOST);
    settles(&mut stage, hoarder, [1, u64::MAX], &[0], 0);
    settles(&mut stage, hoarder, [1, u64::MAX], &[2], 0);
    let ledger = stage.ledger("abuse lease");
    let is_so = ledger.lapsed == MOST && ledger.acked == MOST && ledger.redelivered == MOST;
    stage.check(is_so, "each lapsed once, and then acked", ledger);
    stage.is_served(hoarder);
    stage.is_served(next);
    stage.finish(0, 0);
    Ok(())
}

/// A lease of a millisecond, and a consumer who never settles: the queue's limit of deliveries is the end of it. And a lease for ever, of the
/// queue and of a SETTLE.
pub fn delivery_leases_of_next_to_nothing_and_of_the_most<F: Fixture>(fixture: &mut F) -> Outcome {
    const TIMES: u32 = 3;
    let mut stage = Stage::new(fixture);
    let settings = QueueSettings { lease_ms: Some(1), max_deliveries: Some(TIMES), ..QueueSettings::default() };
    let key = declares(&mut stage, "abuse short", settings);
    stage.send(key, &raw::credit(1, u64::MAX));
    fills(&mut stage, key);
    for _ in 0..=TIMES {
        stage.wait(Duration::from_millis(10));
    }
    stage.until("messages that were delivered as often as they may be", |stage| {
        (stage.ledger("abuse short").dropped.exhausted == MOST).then_some(())
    });
    let ledger = stage.ledger("abuse short");
    stage.check(ledger.lapsed == MOST * u64::from(TIMES), "each delivery lapsed", ledger);
    stage.is_served(key);

    for (lease, queue) in LONG.into_iter().zip(["abuse long", "abuse longer"]) {
        let settings = QueueSettings { lease_ms: Some(lease), ..QueueSettings::default() };
        let key = declares(&mut stage, queue, settings);
        stage.send(key, &raw::credit(1, u64::MAX));
        fills(&mut stage, key);
        is_delivered(&mut stage, key, MOST);
        for renewed in [u64::MAX, 0] {
            settles(&mut stage, key, [1, MOST], &[&[3][..], &renewed.to_be_bytes()].concat(), MOST);
        }
        stage.wait(Duration::from_millis(50));
        settles(&mut stage, key, [1, MOST], &[0], MOST);
        stage.is_served(key);
    }
    stage.finish(0, 0);
    Ok(())
}

/// A time to live of nothing is over at once, and one for ever is not over (PROTOCOL §15.2).
pub fn delivery_times_to_live_of_nothing_and_for_ever<F: Fixture>(fixture: &mut F) -> Outcome {
    const TTL: u16 = 2;
    let mut stage = Stage::new(fixture);
    let key = declares(&mut stage, "abuse ttl", QueueSettings { ttl_ms: Some(u64::MAX), ..QueueSettings::default() });
    let mut number = 0;
    for ttl in [0, 0, LONG[0], 0, LONG[1]] {
        number += 1;
        stage.send(key, &raw::publish_with(1, number, TTL, &ttl.to_be_bytes()));
    }
    stage.send(key, &raw::publish(1, number + 1, b"as the queue says"));
    stage.hear(key, Heard::Confirmed { upto: number + 1 });
    stage.wait(Duration::from_millis(20));
    stage.send(key, &raw::credit(1, u64::MAX));
    is_delivered(&mut stage, key, 3);
    settles(&mut stage, key, [1, u64::MAX], &[0], 3);
    let ledger = stage.ledger("abuse ttl");
    stage.check(ledger.expired == 3 && ledger.acked == 3, "three expired, and three not", ledger);
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// No delay is none; one for ever is kept, within the limit of the queue, and delivered to nobody (PROTOCOL §15.2, §15.4).
pub fn delivery_delays_of_nothing_and_for_ever<F: Fixture>(fixture: &mut F) -> Outcome {
    const DELAY: u16 = 1;
    let mut stage = Stage::new(fixture);
    let key = declares(&mut stage, "abuse delay", QueueSettings::default());
    stage.send(key, &raw::credit(1, u64::MAX));
    for (number, delay) in [0, LONG[0], 0, LONG[1]].into_iter().enumerate() {
        stage.send(key, &raw::publish_with(1, number as u64 + 1, DELAY, &delay.to_be_bytes()));
    }
    is_delivered(&mut stage, key, 2);
    // Back, but not before the end of time, and before all others.
    let again = [&[1, 0, 3][..], &u64::MAX.to_be_bytes(), &[255]].concat();
    settles(&mut stage, key, [1, 2], &again, 2);
    (5..100).for_each(|number| stage.send(key, &raw::publish_with(1, number, DELAY, &u64::MAX.to_be_bytes())));
    stage.until("those that there is no room for refused", |stage| {
        (stage.ledger("abuse delay").turned_away == 99 - MOST).then_some(())
    });
    stage.wait(Duration::from_millis(300));
    let delivered = deliveries(&mut stage, key);
    stage.check(delivered == 0, "none before its time", delivered);
    let ledger = stage.ledger("abuse delay");
    let is_so = ledger.delayed == MOST && ledger.turned_away == 99 - MOST && ledger.in_flight == 0;
    stage.check(is_so, "as many as there may be, and the others refused", ledger);
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// The lowest and the highest priority: the higher the sooner, and the lowest comes as well (PROTOCOL §15.2).
pub fn delivery_priorities_at_both_ends<F: Fixture>(fixture: &mut F) -> Outcome {
    const PRIORITY: u16 = 4;
    const LARGE: usize = 1_000;
    let mut stage = Stage::new(fixture);
    let settings = QueueSettings { order: Some(QueueOrder::Priority), ..QueueSettings::default() };
    let key = declares(&mut stage, "abuse priority", settings);
    for number in 1..=MOST {
        // The low ones are large, so that it shows which are still there.
        let (priority, size) = if number % 2 == 0 { (255, 0) } else { (0, LARGE) };
        stage.send(key, &raw::publish_with(1, number, PRIORITY, &[&[priority][..], &vec![0; size]].concat()));
    }
    stage.hear(key, Heard::Confirmed { upto: MOST });
    stage.send(key, &raw::credit(1, MOST / 2));
    is_delivered(&mut stage, key, MOST / 2);
    settles(&mut stage, key, [1, MOST / 2], &[0], MOST / 2);
    let (_, bytes) = stage.handler().held();
    stage.check(bytes >= MOST as usize / 2 * LARGE, "the low ones still there", bytes);
    stage.send(key, &raw::credit(1, MOST));
    stage.hear(key, Heard::Delivery { tag: MOST, count: 1 });
    // Again, with the highest: at once.
    settles(&mut stage, key, [1, MOST], &[1, 0, 2, 255], MOST / 2);
    stage.send(key, &raw::credit(1, u64::MAX));
    stage.hear(key, Heard::Delivery { tag: MOST + MOST / 2, count: 2 });
    settles(&mut stage, key, [1, u64::MAX], &[0], MOST / 2);
    let ledger = stage.ledger("abuse priority");
    stage.check(ledger.acked == MOST && ledger.redelivered == MOST / 2, "each acked", ledger);
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// Two queues that are each other's dead letters, one that is its own, and a consumer who wants none of it: the hops have an end
/// (PROTOCOL §15.5).
pub fn delivery_dead_letters_in_a_circle<F: Fixture>(fixture: &mut F) -> Outcome {
    const QUEUES: [&str; 3] = ["abuse here", "abuse there", "abuse itself"];
    const NEXT: [&str; 3] = [QUEUES[1], QUEUES[0], QUEUES[2]];
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &hello_with_features());
    for (link, (queue, next)) in (1..).zip(QUEUES.into_iter().zip(NEXT)) {
        let dead_letter = msglib_proto::ChannelName::from(next).to_owned();
        let settings = QueueSettings { dead_letter: Some::<OwnedName>(dead_letter), ..QueueSettings::default() };
        opens(&mut stage, key, link, queue, settings);
        stage.send(key, &raw::credit(link, u64::MAX));
    }
    for number in 1..=5 {
        stage.send(key, &[raw::publish(1, number, b"round"), raw::publish(3, number, b"and round")].concat());
    }
    let undeliverable = |stage: &Stage<'_, F>| QUEUES.map(|queue| stage.ledger(queue).dropped.undeliverable);
    for _ in 0..500 {
        if undeliverable(&stage).iter().sum::<u64>() == 10 {
            break;
        }
        (1..=3).for_each(|link| stage.send(key, &raw::refuse(link, 1, u64::MAX, 1)));
        stage.sent_all(key);
        stage.step();
    }
    let seen = undeliverable(&stage);
    stage.check(seen.iter().sum::<u64>() == 10 && seen[2] == 5, "each message dropped at last", seen);
    let hops = QUEUES.map(|queue| stage.ledger(queue).dead_lettered);
    stage.check(hops.iter().sum::<u64>() == 10 * 8, "eight hops for each", hops);
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// Requests that nobody has time to answer, and such as may wait for seven weeks: an outcome at once, or none until the caller leaves
/// (PROTOCOL §17.3).
pub fn delivery_deadlines_of_nothing_and_of_the_most<F: Fixture>(fixture: &mut F) -> Outcome {
    let request = |number: u64, deadline: u32| {
        frame(raw::REQUEST, 0, 1, &[&number.to_be_bytes()[..], &deadline.to_be_bytes()].concat())
    };
    let mut stage = Stage::new(fixture);
    let responder = stage.connect();
    let serves = raw::open_named(1, 2, SERVICE, b"abuse", b"");
    stage.send(responder, &[hello_with_features(), serves, raw::credit(1, u64::MAX)].concat());
    stage.hear(responder, Heard::Other(FrameType::Opened));
    let caller = stage.connect();
    let asks = raw::open_named(1, 1, SERVICE, b"abuse", b"");
    stage.send(caller, &[hello_with_features(), asks, request(1, u32::MAX), request(2, 0)].concat());
    stage.hear(caller, Heard::Other(FrameType::NoReply));
    stage.wait(Duration::from_millis(300));
    let outcomes = stage.heard(caller).iter().filter(|heard| **heard == Heard::Other(FrameType::NoReply)).count();
    stage.check(outcomes == 1, "an outcome for the one without time, and none yet for the other", outcomes);
    // Answers to nothing, to what is over, and twice.
    for number in [0xffff, 2, 2] {
        stage.send(responder, &frame(raw::REPLY, 0, 1, &raw::numbers(&[number])));
    }
    stage.is_served(caller);
    stage.is_served(responder);
    stage.finish(0, 0);
    Ok(())
}
