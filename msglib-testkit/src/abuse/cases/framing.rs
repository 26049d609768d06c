//! Frames that are none (PROTOCOL §2, §3), from a client that was greeted.

use crate::abuse::raw::{self, MANY, MAX_PAYLOAD, frame, header, hello, numbers};
use crate::abuse::stage::{Counter, Heard, Stage};
use crate::conformance::{Fixture, Outcome};
use msglib_proto::{ErrorCode, FrameType};

/// Where the first frame behind [`hello`] begins.
const AT: usize = 44;

/// Each of the frames ends its connection with the code, at an offset from the frame's first byte.
fn each_offends<F: Fixture>(fixture: &mut F, frames: &[(Vec<u8>, ErrorCode, usize)]) -> Outcome {
    let mut stage = Stage::new(fixture);
    for (bytes, code, at) in frames {
        stage.offends(&[&hello()[..], bytes].concat(), *code, AT + at);
    }
    stage.finish(frames.len() as u64, 0);
    Ok(())
}

/// From nothing to 4 GiB: refused by the header alone, so nobody waits for 4 GiB, or makes room for them (PROTOCOL §2.2).
pub fn framing_lengths_that_cannot_be<F: Fixture>(fixture: &mut F) -> Outcome {
    let longest = 20 + MAX_PAYLOAD;
    let (short, large) = (ErrorCode::FRAME_LENGTH, ErrorCode::FRAME_TOO_LARGE);
    let cases = [
        (header(0, raw::PING, 0, 0), short, 0),
        (header(11, raw::PUBLISH, 0, 1), short, 0),
        (header(19, raw::PUBLISH, 0, 1), short, 0),
        (header(21, raw::PING, 0, 0), short, 0),
        (header(16_385, raw::HELLO, 0, 0), short, 0),
        (header(longest + 1, raw::PUBLISH, 0, 1), large, 0),
        (header(1 << 31, raw::PUBLISH, 0, 1), large, 0),
        (header(u32::MAX, raw::PUBLISH, 0, 1), large, 0),
        (header(u32::MAX, raw::USER, 0, 0), large, 0),
        (header(u32::MAX, raw::PING, 0, 0), short, 0),
    ];
    each_offends(fixture, &cases)
}

/// A bad header in twelve pieces: the error comes with the last of them, and not before (PROTOCOL §2.6).
pub fn framing_a_header_byte_by_byte<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &hello());
    let bad = header(u32::MAX, 0x0555, 0xffff, 7);
    for byte in &bad[..11] {
        stage.send(key, &[*byte]);
        stage.sent_all(key);
        stage.steps(3);
        let end = stage.end(key);
        stage.check(end.is_none(), "patience until the header is there", end);
    }
    stage.send(key, &bad[11..]);
    stage.is_told(key, ErrorCode::UNKNOWN_TYPE, AT + 4);
    stage.finish(1, 0);
    Ok(())
}

/// A good message a byte at a time is a good message.
pub fn framing_a_frame_in_small_pieces<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &[hello(), raw::open(1, 1)].concat());
    for byte in raw::publish(1, 1, &[7; 2000]) {
        stage.send(key, &[byte]);
        stage.step();
    }
    stage.hear(key, Heard::Confirmed { upto: 1 });
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// Types that are not given out (PROTOCOL §2.3, §12.2).
pub fn framing_types_that_nobody_knows<F: Fixture>(fixture: &mut F) -> Outcome {
    let cases = [0x0000, 0x0007, 0x0015, 0x0023, 0x0033, 0x0100, 0x7fff]
        .map(|unknown| (frame(unknown, 0, 0, b""), ErrorCode::UNKNOWN_TYPE, 4));
    each_offends(fixture, &cases)
}

/// Bits that are not given out (PROTOCOL §2.4).
pub fn framing_flags_that_nobody_knows<F: Fixture>(fixture: &mut F) -> Outcome {
    let token = numbers(&[1]);
    let cases = [
        (frame(raw::PING, 1, 0, &token), ErrorCode::RESERVED_FLAG, 6),
        (frame(raw::PING, 0x8000, 0, &token), ErrorCode::RESERVED_FLAG, 6),
        (frame(raw::PUBLISH, 2, 1, &token), ErrorCode::RESERVED_FLAG, 6),
        (frame(raw::CREDIT, 1, 1, &token), ErrorCode::RESERVED_FLAG, 6),
        (raw::open(1, 4), ErrorCode::RESERVED_FLAG, 6),
        (frame(raw::GOODBYE, 1, 0, &[0, 0]), ErrorCode::RESERVED_FLAG, 6),
    ];
    each_offends(fixture, &cases)
}

/// Link 0 is the connection; frames of the connection have no other (PROTOCOL §2.5).
pub fn framing_links_where_none_belong<F: Fixture>(fixture: &mut F) -> Outcome {
    let token = numbers(&[1]);
    let cases = [
        (raw::open(0, 3), ErrorCode::BAD_FIELD, 8),
        (raw::publish(0, 1, b"?"), ErrorCode::BAD_FIELD, 8),
        (raw::ack(0, 1, 1), ErrorCode::BAD_FIELD, 8),
        (frame(raw::PING, 0, 1, &token), ErrorCode::BAD_FIELD, 8),
        (frame(raw::PONG, 0, u32::MAX, &token), ErrorCode::BAD_FIELD, 8),
        (frame(raw::GOODBYE, 0, 1, &[0, 0]), ErrorCode::BAD_FIELD, 8),
    ];
    each_offends(fixture, &cases)
}

/// Values that no field has (PROTOCOL §3).
pub fn framing_fields_that_cannot_be<F: Fixture>(fixture: &mut F) -> Outcome {
    let refuse = |verdict| frame(raw::REFUSE, 0, 1, &[&numbers(&[1, 1])[..], &[verdict]].concat());
    let not_text = frame(raw::GOODBYE, 0, 0, &[0, 0, b'a', 0xff]);
    let cases = [
        (raw::publish(1, 0, b"?"), ErrorCode::BAD_FIELD, 12),
        (raw::ack(1, 0, 1), ErrorCode::BAD_FIELD, 12),
        (raw::ack(1, 2, 1), ErrorCode::BAD_FIELD, 20),
        (refuse(2), ErrorCode::BAD_FIELD, 28),
        (raw::open(1, 0), ErrorCode::BAD_FIELD, 6),
        (raw::open_of(1, 3, 0), ErrorCode::BAD_FIELD, 12),
        (frame(raw::OPEN, 3, 1, &[0, 1, 2, 1, b'q']), ErrorCode::BAD_FIELD, 14),
        (frame(raw::OPEN, 3, 1, &[0, 1, 1, 0, b'q']), ErrorCode::BAD_FIELD, 15),
        (frame(raw::OPEN, 3, 1, &[0, 1, 1, 9, b'q']), ErrorCode::BAD_FIELD, 15),
        (not_text, ErrorCode::BAD_FIELD, 15),
    ];
    each_offends(fixture, &cases)
}

/// A conversation that ends after each of its bytes in turn: a frame that is not whole has no effect, and what is due is
/// still said (PROTOCOL §8.2).
pub fn framing_cut_at_every_byte<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let whole = [hello(), raw::open(1, 1), raw::publish(1, 1, b"cut")].concat();
    for cut in 0..=whole.len() {
        let key = stage.connect();
        stage.send(key, &whole[..cut]);
        stage.shutdown(key)?;
        let seen = stage.last_words(key);
        let fits = match seen {
            Some(Heard::Error { code, .. }) => cut < AT && code == ErrorCode::SHUTTING_DOWN,
            Some(Heard::Goodbye(code)) => cut >= AT && code == ErrorCode::NONE,
            _ => false,
        };
        stage.check(fits, "the last words that fit", (cut, seen));
        let confirmed = stage.heard(key).contains(&Heard::Confirmed { upto: 1 });
        stage.check(confirmed == (cut == whole.len()), "a confirm for a whole message alone", (cut, confirmed));
        stage.leave(key);
    }
    stage.finish(0, 0);
    Ok(())
}

/// Thousands of small frames that mean nothing are heard out, and others are served meanwhile.
pub fn framing_noise_between_good_frames<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &[hello(), raw::open(1, 1)].concat());
    let noise = frame(raw::PONG, 0, 0, &numbers(&[9])).repeat(5_000);
    for number in 1..=3 {
        stage.send(key, &noise);
        stage.send(key, &raw::publish(1, number, b"signal"));
        stage.hear(key, Heard::Confirmed { upto: number });
    }
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// The smallest frames that mean nothing, without end: each is read and forgotten, and nothing piles up. One with no body at all would be a
/// CLOSE, of a link that has to be there, or a user's own, which the stock broker does not know: that is the end of it.
pub fn framing_empty_frames_without_end<F: Fixture>(fixture: &mut F) -> Outcome {
    const BATCH: usize = 2_000;
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &hello());
    let pongs = frame(raw::PONG, 0, 0, &numbers(&[9])).repeat(BATCH);
    let before = stage.counters().frames_received;
    for _ in 0..MANY / BATCH {
        stage.send(key, &pongs);
        stage.sent_all(key);
    }
    stage.is_served(key);
    let received = stage.counters().frames_received - before;
    stage.check(received >= MANY as u64, "each of them counted", received);
    stage.offends(&[hello(), frame(raw::USER, 0, 0, b"")].concat(), ErrorCode::UNKNOWN_TYPE, 0);
    stage.finish_counting(&[(Counter::Rejected, 1)]);
    Ok(())
}

/// A large message in segments of one byte costs work in proportion to its bytes: a few reads for each, whether there are few or twice as many,
/// and in each step no more memory than the frame.
pub fn framing_a_large_frame_in_segments_of_one_byte<F: Fixture>(fixture: &mut F) -> Outcome {
    const SIZE: usize = if cfg!(debug_assertions) { 500 } else { 3_000 };
    const READS: u64 = 4;
    let mut stage = Stage::new(fixture);
    for size in [SIZE, 2 * SIZE] {
        let key = stage.connect();
        stage.send(key, &[hello(), raw::open(1, 1)].concat());
        stage.hear(key, Heard::Other(FrameType::Opened));
        let before = stage.reads_asked();
        for byte in raw::publish(1, 1, &vec![7; size]) {
            stage.send(key, &[byte]);
            stage.step();
        }
        stage.hear(key, Heard::Confirmed { upto: 1 });
        let asked = stage.reads_asked() - before;
        stage.check(asked <= READS * size as u64, "a few reads for each byte", (asked, size));
        stage.is_served(key);
    }
    stage.finish(0, 0);
    Ok(())
}
