//! Before the broker knows who is there (PROTOCOL §4).

use crate::abuse::raw::{self, frame, hello, numbers};
use crate::abuse::stage::{HANDSHAKE, Heard, Stage};
use crate::conformance::{Fixture, Outcome};
use msglib_proto::ErrorCode;

/// Connects and says nothing: told so at the deadline, and not before (PROTOCOL §4.3).
pub fn handshake_silence_ends_at_the_deadline<F: Fixture>(fixture: &mut F) -> Outcome {
    ends_at_the_deadline(Stage::new(fixture), b"")
}

/// The deadline is for the whole HELLO: a byte now and then does not move it.
pub fn handshake_a_byte_at_a_time_ends_at_the_deadline<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.meet();
    // Twice the deadline in all; the later bytes find nobody.
    for byte in &hello()[..20] {
        stage.send(key, &[*byte]);
        stage.wait(HANDSHAKE / 10);
    }
    stage.is_told(key, ErrorCode::HANDSHAKE_TIMEOUT, 0);
    stage.finish(0, 1);
    Ok(())
}

/// As near to a handshake as can be without being one.
pub fn handshake_all_but_one_byte_ends_at_the_deadline<F: Fixture>(fixture: &mut F) -> Outcome {
    ends_at_the_deadline(Stage::new(fixture), &hello()[..43])
}

fn ends_at_the_deadline<F: Fixture>(mut stage: Stage<'_, F>, bytes: &[u8]) -> Outcome {
    let before = stage.now();
    let key = stage.meet();
    stage.send(key, bytes);
    stage.wait(HANDSHAKE / 2);
    let end = stage.end(key);
    // On a busy machine half of the time may have become all of it.
    let is_early = stage.now() - before < HANDSHAKE;
    stage.check(!is_early || end.is_none(), "no end before the deadline", end);
    stage.wait(HANDSHAKE);
    stage.is_told(key, ErrorCode::HANDSHAKE_TIMEOUT, 0);
    stage.finish(0, 1);
    Ok(())
}

/// The wrong port, with a browser: `/ ` is no type of frame (PROTOCOL §2.3).
pub fn handshake_of_a_web_browser<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    stage.offends(b"GET / HTTP/1.1\r\nHost: localhost:7777\r\n\r\n", ErrorCode::UNKNOWN_TYPE, 4);
    stage.finish(1, 0);
    Ok(())
}

/// A ClientHello's fifth and sixth byte look like the type of a HELLO; the next two are no flags of it (PROTOCOL §2.4).
pub fn handshake_of_tls<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let client_hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], &[0x5a; 506][..]].concat();
    stage.offends(&client_hello, ErrorCode::RESERVED_FLAG, 6);
    stage.finish(1, 0);
    Ok(())
}

/// `2.` is no type of frame.
pub fn handshake_of_ssh<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    stage.offends(b"SSH-2.0-OpenSSH_9.6\r\n", ErrorCode::UNKNOWN_TYPE, 4);
    stage.finish(1, 0);
    Ok(())
}

/// Bytes that mean nothing: the first check that fails is the error (PROTOCOL §2.6).
pub fn handshake_of_nonsense<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    stage.offends(&[0; 3000], ErrorCode::FRAME_LENGTH, 0);
    stage.offends(&[0xff; 3000], ErrorCode::FRAME_TOO_LARGE, 0);
    stage.offends(&[0x55; 3000], ErrorCode::UNKNOWN_TYPE, 4);
    stage.finish(3, 0);
    Ok(())
}

/// A HELLO of somebody else's protocol (PROTOCOL §3).
pub fn handshake_with_another_magic<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    stage.offends(&raw::hello_of(*b"msgl", 1, 1), ErrorCode::BAD_MAGIC, 12);
    stage.finish(1, 0);
    Ok(())
}

/// A client of the future (PROTOCOL §4.2).
pub fn handshake_without_a_common_version<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    stage.offends(&raw::hello_of(*b"MSGL", 2, 9), ErrorCode::NO_COMMON_VERSION, 0);
    stage.offends(&raw::hello_of(*b"MSGL", 0, 1), ErrorCode::BAD_FIELD, 16);
    stage.offends(&raw::hello_of(*b"MSGL", 2, 1), ErrorCode::BAD_FIELD, 16);
    stage.finish(3, 0);
    Ok(())
}

/// Everything but HELLO and ERROR is too early, however good it is (PROTOCOL §10).
pub fn handshake_after_another_frame<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let early = [
        raw::ping(1),
        raw::goodbye(),
        raw::open(1, 3),
        raw::publish(1, 1, b"early"),
        raw::ack(1, 1, 1),
        raw::credit(1, 1),
        frame(raw::CLOSE, 0, 1, b""),
        frame(raw::USER, 0, 0, b"early"),
    ];
    for bytes in &early {
        stage.offends(&[&bytes[..], &hello()].concat(), ErrorCode::UNEXPECTED_FRAME, 0);
    }
    stage.finish(early.len() as u64, 0);
    Ok(())
}

/// One HELLO is enough (PROTOCOL §10).
pub fn handshake_twice<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    stage.offends(&[hello(), hello()].concat(), ErrorCode::UNEXPECTED_FRAME, 44);
    stage.finish(1, 0);
    Ok(())
}

/// What only a broker may send, before and after the HELLO (PROTOCOL §10).
pub fn handshake_as_a_broker<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let (one, range) = (numbers(&[1]), numbers(&[1, 1]));
    let welcome = [&[0, 1], &[0; 8][..], &[0, 1, 0, 0], &[0, 0, 0, 16], &[0; 4], &[1], b"b"].concat();
    let frames = [
        frame(raw::WELCOME, 0, 0, &welcome),
        frame(raw::OPENED, 0, 1, b""),
        frame(raw::CLOSED, 0, 1, &[0, 0]),
        frame(raw::CONFIRMED, 0, 1, &one),
        frame(raw::REFUSED, 0, 1, &[&range[..], &[4, 1]].concat()),
        frame(raw::DELIVERY, 0, 1, &[&one[..], &[0, 0, 0, 1]].concat()),
    ];
    for bytes in &frames {
        stage.offends(bytes, ErrorCode::UNEXPECTED_FRAME, 0);
        stage.offends(&[&hello()[..], bytes].concat(), ErrorCode::UNEXPECTED_FRAME, 44);
    }
    stage.finish(2 * frames.len() as u64, 0);
    Ok(())
}

/// A client whose first word is ERROR is not answered (PROTOCOL §8.1), and has broken nothing.
pub fn handshake_with_an_error<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let key = stage.connect();
    stage.send(key, &frame(raw::ERROR, 0, 0, &[&[0x0f, 1], &numbers(&[0])[..]].concat()));
    let seen = stage.last_words(key);
    stage.check(seen.is_none(), "the end, and nothing else", seen);
    stage.finish(0, 0);
    Ok(())
}

/// Each bit of a HELLO, one at a time: served or told, but never left hanging when the client has no more to say.
pub fn handshake_with_every_bit_flipped<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let good = hello();
    let (mut served, mut told) = (0, 0);
    for bit in 0..8 * good.len() {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let key = stage.connect();
        stage.send(key, &bytes);
        stage.shutdown(key)?;
        match stage.last_words(key) {
            Some(Heard::Goodbye(_)) => served += 1,
            Some(Heard::Error { code, .. }) => told += u64::from(code != ErrorCode::SHUTTING_DOWN),
            other => stage.fail("a goodbye or an error", (bit, other)),
        }
        stage.leave(key);
    }
    // Features, the greatest payload and the idle time are free (16 bytes); the name's bits make other text, unless they
    // are the highest of a byte; and a greater max_version is a client of the future that still speaks version 1.
    stage.check(served == 8 * 16 + 4 * 7 + 15, "every HELLO that is still good served", served);
    stage.finish(told, 0);
    Ok(())
}
