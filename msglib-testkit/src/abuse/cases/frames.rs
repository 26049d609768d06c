//! Every frame of a client, cut short and falsified, against what the decoder says of it.

use crate::abuse::raw::{self, FEATURES, MAX_PAYLOAD, Sample};
use crate::abuse::stage::{AttackerKey, Counter, Ended, Heard, Stage};
use crate::conformance::{Fixture, Outcome};
use msglib_proto::{Decoder, ErrorCode, Frame, FrameType, Limits};

/// What becomes of a frame of the user's own: it is good, but the stock broker knows none.
const UNKNOWN_TO_STOCK: Heard = Heard::Error { code: ErrorCode::UNKNOWN_TYPE, offset: 0 };
/// Attackers at once.
const CROWD: usize = 30;

/// Each frame that a client may send, cut after each of its bytes, then the end: what is not whole has no effect, and the last words are
/// those that are due (PROTOCOL §8.2).
pub fn frames_cut_at_every_byte<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    for sample in raw::samples() {
        let cuts: Vec<usize> = (0..sample.bytes.len()).collect();
        let due = match sample.before.is_empty() {
            true => |heard| matches!(heard, Some(Heard::Error { code: ErrorCode::SHUTTING_DOWN, .. })),
            false => |heard| heard == Some(Heard::Goodbye(ErrorCode::NONE)),
        };
        for crowd in cuts.chunks(CROWD) {
            let said = crowd.iter().map(|cut| [&sample.before[..], &sample.bytes[..*cut]].concat());
            let keys = say_and_end(&mut stage, said)?;
            for (cut, key) in crowd.iter().zip(keys) {
                let seen = stage.last_words(key);
                stage.check(due(seen), "the last words that fit", (sample.name, cut, seen));
                stage.leave(key);
            }
        }
    }
    let accepted = stage.ledger("abuse").accepted;
    stage.check(accepted == 0, "no message of half a frame", accepted);
    stage.finish(0, 0);
    Ok(())
}

/// Each bit of the frames about the connection, one at a time.
pub fn frames_of_the_connection_with_every_bit_flipped<F: Fixture>(fixture: &mut F) -> Outcome {
    every_bit_flipped(fixture, &["HELLO", "PING", "PONG", "GOODBYE", "ERROR", "USER"])
}

/// Each bit of the frames about links.
pub fn frames_of_links_with_every_bit_flipped<F: Fixture>(fixture: &mut F) -> Outcome {
    every_bit_flipped(fixture, &["OPEN", "CLOSE", "CREDIT", "PRODUCER"])
}

/// Each bit of the frames with messages.
pub fn frames_of_publishers_with_every_bit_flipped<F: Fixture>(fixture: &mut F) -> Outcome {
    every_bit_flipped(fixture, &["PUBLISH", "PUBLISH_WITH"])
}

/// Each bit of what a consumer says.
pub fn frames_of_consumers_with_every_bit_flipped<F: Fixture>(fixture: &mut F) -> Outcome {
    every_bit_flipped(fixture, &["ACK", "REFUSE", "SETTLE"])
}

/// Each bit of requests and replies.
pub fn frames_of_services_with_every_bit_flipped<F: Fixture>(fixture: &mut F) -> Outcome {
    every_bit_flipped(fixture, &["REQUEST", "REPLY", "NO_REPLY"])
}

fn every_bit_flipped<F: Fixture>(fixture: &mut F, names: &[&str]) -> Outcome {
    let mut stage = Stage::new(fixture);
    let (mut broken, mut rejected, mut kinds) = (0, 0, 0);
    for sample in raw::samples().iter().filter(|sample| names.contains(&sample.name)) {
        kinds += 1;
        let all: Vec<Vec<u8>> = (0..8 * sample.bytes.len()).map(|bit| flipped(&sample.bytes, bit)).collect();
        for crowd in all.chunks(CROWD) {
            let said = crowd.iter().map(|bytes| [&sample.before[..], bytes].concat());
            let keys = say_and_end(&mut stage, said)?;
            for (bytes, key) in crowd.iter().zip(keys) {
                let seen = match stage.until("an end", |stage| stage.end(key)) {
                    Ended::InOrder => stage.heard(key).last().copied(),
                    other => stage.fail("an end in good order", (sample.name, bytes, other)),
                };
                let fits = Reading::of(sample, bytes).allows(seen);
                stage.check(fits, "what the decoder says of these bytes", (sample.name, bytes, seen));
                let closed = |heard: &&Heard| matches!(heard, Heard::Closed { code, .. } if *code != ErrorCode::NONE);
                rejected += stage.heard(key).iter().filter(closed).count() as u64;
                match seen {
                    Some(UNKNOWN_TO_STOCK) => rejected += 1,
                    Some(Heard::Error { code, .. }) if code != ErrorCode::SHUTTING_DOWN => broken += 1,
                    _ => {}
                }
                stage.leave(key);
            }
        }
    }
    stage.check(kinds == names.len(), "a sample of each", kinds);
    stage.check(broken > 0, "some bits that break the protocol", broken);
    stage.finish_counting(&[(Counter::ProtocolErrors, broken), (Counter::Rejected, rejected)]);
    Ok(())
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn say_and_end<F: Fixture>(
    stage: &mut Stage<'_, F>,
    all: impl Iterator<Item = Vec<u8>>,
) -> Result<Vec<AttackerKey>, crate::conformance::Skipped> {
    let mut keys = Vec::new();
    for said in all {
        let key = stage.connect();
        stage.send(key, &said);
        keys.push(key);
    }
    for key in &keys {
        stage.shutdown(*key)?;
    }
    Ok(keys)
}

/// What can become of a client that says `before`, which is good, then `bytes`, and then ends.
struct Reading {
    /// The client says an ERROR: no answer.
    is_complaint: bool,
    /// There is a frame of the user's own.
    is_own: bool,
    /// The client was greeted, so it is given a GOODBYE.
    is_greeted: bool,
    /// Where a whole frame begins that may not be allowed now.
    frames: Vec<u64>,
    /// What is wrong with the bytes, whatever the state is.
    error: Option<(ErrorCode, u64)>,
}

impl Reading {
    fn of(sample: &Sample, bytes: &[u8]) -> Reading {
        let mut decoder = Decoder::new(&Limits::default().with_max_payload(MAX_PAYLOAD));
        let said = [&sample.before[..], bytes].concat();
        let mut input = &said[..];
        let is_greeted = !sample.before.is_empty();
        let mut reading = Reading { is_complaint: false, is_own: false, is_greeted, frames: Vec::new(), error: None };
        loop {
            let mut is_last = false;
            match decoder.decode(&mut input) {
                Ok(None) => return reading,
                Ok(Some(Frame::Hello(hello))) => {
                    let agreed = hello.features & FEATURES;
                    reading.is_greeted = true;
                    decoder.agree_on(agreed);
                }
                Ok(Some(Frame::Goodbye { .. })) => is_last = true,
                Ok(Some(Frame::Error { .. })) => (reading.is_complaint, is_last) = (true, true),
                Ok(Some(Frame::User { .. })) => reading.is_own = true,
                Ok(Some(_)) => {}
                Err(error) => {
                    reading.error = Some((error.code(), error.offset));
                    return reading;
                }
            }
            reading.frames.push(decoder.last_offset());
            if is_last {
                return reading;
            }
        }
    }

    fn allows(&self, last: Option<Heard>) -> bool {
        match last {
            Some(Heard::Error { code, offset }) if self.error == Some((code, offset)) => true,
            Some(UNKNOWN_TO_STOCK) => self.is_own,
            Some(Heard::Error { code: ErrorCode::SHUTTING_DOWN, .. }) => !self.is_greeted && self.error.is_none(),
            Some(Heard::Error { code, offset }) => is_about_the_state(code) && self.frames.contains(&offset),
            Some(Heard::Goodbye(ErrorCode::NONE)) => self.is_greeted && self.error.is_none() && !self.is_complaint,
            Some(Heard::Other(FrameType::Welcome)) | None => self.is_complaint,
            _ => false,
        }
    }
}

/// Codes that good bytes can have (PROTOCOL §2.6).
fn is_about_the_state(code: ErrorCode) -> bool {
    const CODES: [ErrorCode; 5] = [
        ErrorCode::UNEXPECTED_FRAME,
        ErrorCode::BAD_LINK,
        ErrorCode::BAD_NUMBER,
        ErrorCode::CREDIT,
        ErrorCode::NO_COMMON_VERSION,
    ];
    CODES.contains(&code)
}
