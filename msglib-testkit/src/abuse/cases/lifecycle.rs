//! Comings and goings (PROTOCOL §8).

use crate::abuse::raw::{self, frame, hello, numbers};
use crate::abuse::stage::{Heard, Stage};
use crate::conformance::{Fixture, Outcome};
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
