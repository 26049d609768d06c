//! Comings and goings (PROTOCOL §8).

use crate::abuse::raw::{self, frame, hello, numbers};
use crate::abuse::stage::{AttackerKey, Counter, Heard, MAX_CONNECTIONS, Setup, Stage};
use crate::conformance::{Fixture, Outcome};
use core::time::Duration;
use msglib_proto::{ErrorCode, FrameType};

/// What comes behind a GOODBYE is neither acted on nor checked (PROTOCOL §8.2).
pub fn lifecycle_frames_after_goodbye<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    let before = [hello(), raw::open(1, 1), raw::publish(1, 1, b"last"), raw::goodbye()].concat();
    stage.send(key, &[before, raw::publish(1, 2, b"too late"), vec![0xff; 500]].concat());
    let seen = stage.last_words(key);
    stage.check(seen == Some(Heard::Goodbye(ErrorCode::NONE)), "a goodbye, and then the end", seen);
    let confirms: Vec<Heard> =
        stage.heard(key).iter().copied().filter(|heard| matches!(heard, Heard::Confirmed { .. })).collect();
    stage.check(confirms == [Heard::Confirmed { upto: 1 }], "a confirm for what came before the goodbye", &confirms);
    stage.finish(0, 0);
    Ok(())
}

/// A client that complains and goes on talking is not answered any more (PROTOCOL §8.1).
pub fn lifecycle_frames_after_error<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    let complaint = frame(raw::ERROR, 0, 0, &[&[1, 5], &numbers(&[0])[..]].concat());
    stage.send(key, &[hello(), complaint, raw::ping(1), vec![0xff; 500]].concat());
    let seen = stage.last_words(key);
    let expected = Some(Heard::Other(FrameType::Welcome));
    stage.check(seen == expected, "the WELCOME, then the end and no other word", seen);
    stage.finish(0, 0);
    Ok(())
}

/// More connections than the broker takes: who is too many is told, and those who were there are served; when one has gone, the next
/// comes in.
pub fn lifecycle_more_connections_than_there_may_be<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let crowd: Vec<_> = (2..MAX_CONNECTIONS).map(|_| stage.connect()).collect();
    for key in &crowd {
        stage.send(*key, &hello());
        stage.hear(*key, Heard::Other(FrameType::Welcome));
    }
    for _ in 0..2 {
        let key = stage.connect();
        stage.is_told(key, ErrorCode::TOO_MANY_CONNECTIONS, 0);
    }
    stage.is_served(crowd[0]);
    let next = stage.connect();
    stage.send(next, &hello());
    stage.is_served(next);
    stage.finish_counting(&[(Counter::TurnedAway, 2)]);
    Ok(())
}

/// The client gives up after a millisecond without a byte, or after seven weeks: it gets its signs of life, and is served
/// (PROTOCOL §4.2).
pub fn lifecycle_idle_times_of_next_to_nothing_and_of_the_most<F: Fixture>(fixture: &mut F) -> Outcome {
    const IDLE_MS: core::ops::Range<usize> = 32..36;
    let mut stage = Stage::new(fixture);
    for millis in [0, 1, u32::MAX] {
        let mut bytes = hello();
        bytes[IDLE_MS].copy_from_slice(&millis.to_be_bytes());
        let key = stage.connect();
        stage.send(key, &bytes);
        stage.hear(key, Heard::Other(FrameType::Welcome));
        (0..10).for_each(|_| stage.wait(Duration::from_millis(2)));
        if millis == 1 {
            stage.hear(key, Heard::Other(FrameType::Ping));
        }
        stage.is_served(key);
    }
    stage.finish(0, 0);
    Ok(())
}

/// A hundred clients who connect, say something or nothing, and vanish: each is forgotten.
pub fn lifecycle_a_crowd_that_comes_and_goes<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let words = [hello(), raw::open(1, 3), raw::credit(1, 1000)].concat();
    for round in 0..10 {
        let crowd: Vec<_> = (0..10).map(|_| stage.connect()).collect();
        for (place, key) in crowd.iter().enumerate() {
            stage.send(*key, &words[..(round * 10 + place) % words.len()]);
        }
        stage.steps(round);
        crowd.into_iter().for_each(|key| stage.leave(key));
    }
    // Who comes behind the crowd has their turn when all of it had theirs.
    let last = stage.connect();
    stage.send(last, &hello());
    stage.is_served(last);
    stage.finish(0, 0);
    Ok(())
}

/// A connection that breaks in the middle of a message: no message, no error told to anybody.
pub fn lifecycle_a_reset_inside_a_frame<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let message = raw::publish(1, 1, &[5; 100]);
    for cut in [0, 1, 11, 12, 19, 60, 119] {
        let key = stage.connect();
        // So that there is something unread.
        stage.reads(key, false);
        stage.send(key, &[&hello()[..], &raw::open(1, 1), &message[..cut]].concat());
        stage.sent_all(key);
        stage.steps(30);
        stage.reset(key)?;
    }
    stage.until("all broken connections noticed", |stage| (stage.counters().disconnected == 7).then_some(()));
    stage.finish(0, 0);
    Ok(())
}

/// Nothing to say, and no answer to the broker's PING: told so at the idle time, and not before (PROTOCOL §4.2). Whoever answers stays.
pub fn lifecycle_silence_ends_at_the_idle_time<F: Fixture>(fixture: &mut F) -> Outcome {
    const IDLE: Duration = Duration::from_millis(800);
    let mut stage = Stage::with(fixture, Setup { idle: IDLE, ..Setup::default() });
    let before = stage.now();
    let (silent, alive) = (stage.meet(), stage.meet());
    for key in [silent, alive] {
        stage.send(key, &hello());
        stage.hear(key, Heard::Other(FrameType::Welcome));
    }
    waits_at_work(&mut stage, IDLE * 5 / 8);
    stage.hear(silent, Heard::Other(FrameType::Ping));
    let end = stage.end(silent);
    // On a busy machine some of the time may have become all of it.
    let is_early = stage.now() - before < IDLE;
    stage.check(!is_early || end.is_none(), "no end before its time", end);
    stage.send(alive, &frame(raw::PONG, 0, 0, &numbers(&[1])));
    waits_at_work(&mut stage, IDLE / 2);
    stage.is_told(silent, ErrorCode::IDLE_TIMEOUT, 0);
    stage.is_served(alive);
    stage.finish_counting(&[(Counter::IdleTimeouts, 1)]);
    Ok(())
}

/// So that the witnesses, who are at work, are never silent.
fn waits_at_work<F: Fixture>(stage: &mut Stage<'_, F>, time: Duration) {
    for _ in 0..20 {
        stage.wait(time / 20);
        stage.steps(3);
    }
}

/// The longest idle time that the protocol can say is as one without end.
pub fn lifecycle_a_broker_that_waits_for_seven_weeks<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::with(fixture, Setup { idle: Duration::MAX, ..Setup::default() });
    let key = stage.connect();
    stage.send(key, &hello());
    (0..10).for_each(|_| stage.wait(Duration::from_millis(20)));
    let pinged = stage.heard(key).contains(&Heard::Other(FrameType::Ping));
    stage.check(!pinged, "no question so early", pinged);
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// Crowds who connect and reset, some before anybody has accepted them, some in the middle of a frame, again and again: the next is
/// served. Also where there are descriptors for a few of them only; that is the backend's own test to say, with this case.
pub fn lifecycle_a_storm_of_connects_and_resets<F: Fixture>(fixture: &mut F) -> Outcome {
    const ROUNDS: usize = 6;
    const CROWD: usize = 20;
    let mut stage = Stage::new(fixture);
    let words = [hello(), raw::open(1, 3), raw::publish(1, 1, &[5; 100])].concat();
    for round in 0..ROUNDS {
        let crowd: Vec<_> = (0..CROWD).map(|_| stage.connect()).collect();
        for (place, key) in crowd.iter().enumerate() {
            // Who reads nothing, and is answered, leaves with a reset where the transport is TCP.
            stage.reads(*key, place.is_multiple_of(2));
            let most = if place.is_multiple_of(4) { words.len() } else { (round * CROWD + place) % words.len() };
            stage.send(*key, &words[..most]);
        }
        stage.steps(5 * (round % 3));
        let mut places = 0..;
        let (greeted, others): (Vec<_>, Vec<_>) = crowd.into_iter().partition(|key| {
            let is_whole = places.next().is_some_and(|place: usize| place.is_multiple_of(4));
            is_whole && stage.heard(*key).contains(&Heard::Other(FrameType::Welcome))
        });
        others.into_iter().for_each(|key| stage.leave(key));
        for key in &greeted {
            stage.reads(*key, false);
            stage.send(*key, &raw::ping(1));
        }
        stage.steps(30);
        for key in greeted {
            stage.reset(key)?;
        }
        stage.wait(Duration::from_millis(20));
    }
    let last = stage.connect();
    stage.send(last, &hello());
    stage.is_served(last);
    stage.finish(0, 0);
    Ok(())
}

/// Ten thousand subscriptions to one topic, over few connections: each gets each message, once, and others are served meanwhile (PROTOCOL §16.3).
pub fn lifecycle_a_fan_out_of_ten_thousand<F: Fixture>(fixture: &mut F) -> Outcome {
    const CONNECTIONS: u32 = 4;
    const LINKS: u32 = 2_500;
    const MESSAGES: u64 = 2;
    const COPIES: u64 = MESSAGES * (CONNECTIONS * LINKS) as u64;
    let mut stage = Stage::with(fixture, Setup::default().with_max_links(LINKS));
    let mut subscribers = Vec::new();
    for _ in 0..CONNECTIONS {
        let key = stage.connect();
        stage.send(key, &raw::hello_with_features());
        stage.hear(key, Heard::Other(FrameType::Welcome));
        let subscribe =
            |link| [raw::open_named(link, 2, raw::TOPIC, b"abuse", b""), raw::credit(link, MESSAGES)].concat();
        stage.send(key, &(1..=LINKS).flat_map(subscribe).collect::<Vec<u8>>());
        subscribers.push(key);
    }
    let all = (CONNECTIONS * LINKS) as usize;
    stage.until("each subscription", |stage| (stage.handler().subscriptions().count() == all).then_some(()));
    let publisher = stage.connect();
    stage.send(publisher, &[raw::hello_with_features(), raw::open_named(1, 1, raw::TOPIC, b"abuse", b"")].concat());
    (1..=MESSAGES).for_each(|number| stage.send(publisher, &raw::publish(1, number, &[7; 100])));
    stage.hear(publisher, Heard::Confirmed { upto: MESSAGES });
    stage.until("each message to each", |stage| {
        let delivered = |key: &AttackerKey, stage: &mut Stage<'_, F>| {
            stage.heard(*key).iter().filter(|heard| matches!(heard, Heard::Delivery { .. })).count() as u64
        };
        let seen: u64 = subscribers.iter().map(|key| delivered(key, stage)).sum();
        (seen == COPIES).then_some(())
    });
    let ledger = stage.handler().topic_ledger();
    stage.check(ledger.delivered == COPIES && ledger.lost == 0, "so many copies, and none lost", ledger);
    subscribers.into_iter().for_each(|key| stage.is_served(key));
    stage.is_served(publisher);
    stage.finish(0, 0);
    Ok(())
}
