//! Comings and goings (PROTOCOL §8).

use crate::abuse::raw::{self, frame, hello, numbers};
use crate::abuse::stage::{Counter, Heard, MAX_CONNECTIONS, Stage};
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
