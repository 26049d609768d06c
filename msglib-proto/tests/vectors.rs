//! The golden vectors in `vectors/`, in both directions.

#[allow(unreachable_pub, reason = "a module of this test alone")]
mod vector_file;

use msglib_proto::{Decoder, DeliveryOptions, ErrorCode, Frame, Limits, PublishOptions, SendQueue, Settling, encode};
use std::collections::BTreeSet;
use vector_file::{Described, End, Field, Vector};

/// The files, and the fewest vectors that each is known to have.
const FILES: [(&str, usize); 2] = [("frames.txt", 200), ("features.txt", 90)];

fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for (file, at_least) in FILES {
        let path = format!("{}/../vectors/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let vectors = vector_file::parse(&text);
        assert!(vectors.len() >= at_least, "{path} has only {} vectors", vectors.len());
        all.extend(vectors);
    }
    all
}

/// What came out of a stream that was cut into pieces of `piece` bytes: the frames, how it ended, and their encoding.
fn receive(vector: &Vector, piece: usize) -> (Vec<Described>, End, Vec<u8>) {
    let mut decoder = Decoder::new(&Limits::default().with_max_payload(vector.max_payload));
    decoder.agree_on(vector.features);
    let (mut frames, mut again) = (Vec::new(), SendQueue::new());
    for mut input in vector.bytes.chunks(piece) {
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => {
                    encode(&frame, &mut again).expect("what was decoded can be encoded");
                    frames.push(describe(&frame));
                }
                Ok(None) => break,
                Err(error) => {
                    let code = error.code().name().expect("a code with a name").to_owned();
                    return (frames, End::Error { code, offset: error.offset }, again.to_vec());
                }
            }
        }
    }
    let end = if decoder.is_between_frames() { End::Nothing } else { End::NeedMore };
    (frames, end, again.to_vec())
}

#[test]
fn every_vector_is_decoded_to_what_it_says_however_it_is_cut() {
    for vector in vectors() {
        for piece in [usize::MAX, 1, 5] {
            let (frames, end, _) = receive(&vector, piece);
            assert_eq!(frames, vector.frames, "{}, in pieces of {piece}", vector.name);
            assert_eq!(end, vector.end, "{}, in pieces of {piece}", vector.name);
        }
    }
}

#[test]
fn every_valid_vector_is_the_one_encoding_of_its_frames() {
    let mut valid = 0;
    for vector in vectors() {
        let (_, end, again) = receive(&vector, usize::MAX);
        assert!(vector.bytes.starts_with(&again), "{}: the frames have another encoding", vector.name);
        if end == End::Nothing {
            assert_eq!(again.len(), vector.bytes.len(), "{}", vector.name);
            valid += 1;
        }
    }
    assert!(valid >= 50, "only {valid} vectors are valid streams");
}

/// A file that had lost its errors, or all vectors of a type, would pass the tests above.
#[test]
fn the_vectors_cover_every_frame_and_every_code_of_the_codec() {
    let vectors = vectors();
    let names: BTreeSet<&str> = vectors.iter().map(|vector| &*vector.name).collect();
    assert_eq!(names.len(), vectors.len(), "a name is there twice");
    let frames: BTreeSet<&str> = vectors.iter().flat_map(|vector| &vector.frames).map(|frame| &*frame.name).collect();
    for frame in msglib_proto::FrameType::ALL {
        assert!(frames.contains(frame.name()), "no vector with {frame}");
    }
    let codec =
        [ErrorCode::FRAME_LENGTH, ErrorCode::FRAME_TOO_LARGE, ErrorCode::UNKNOWN_TYPE, ErrorCode::RESERVED_FLAG];
    for code in codec.into_iter().chain([ErrorCode::BAD_FIELD, ErrorCode::BAD_MAGIC]) {
        let has_it =
            |vector: &&Vector| matches!(&vector.end, End::Error { code: name, .. } if Some(&**name) == code.name());
        assert!(vectors.iter().any(|vector| has_it(&vector)), "no vector with {code}");
    }
}

/// A frame in the words of the file.
fn describe(frame: &Frame<'_>) -> Described {
    let number = |name: &'static str, value: u64| (name, Field::Number(value));
    let bytes = |name: &'static str, value: &[u8]| (name, Field::Bytes(value.to_vec()));
    let flag = |name: &'static str, value: bool| (name, Field::Flag(value));
    let mut fields = match *frame {
        Frame::Hello(hello) => vec![
            number("min_version", hello.min_version.into()),
            number("max_version", hello.max_version.into()),
            number("features", hello.features),
            number("max_payload", hello.max_payload.into()),
            number("idle_ms", hello.idle_ms.into()),
            bytes("name", hello.name.as_bytes()),
            bytes("mechanism", hello.mechanism.as_bytes()),
            bytes("credentials", hello.credentials),
        ],
        Frame::Welcome(welcome) => vec![
            number("version", welcome.version.into()),
            number("features", welcome.features),
            number("max_payload", welcome.max_payload.into()),
            number("max_links", welcome.max_links.into()),
            number("idle_ms", welcome.idle_ms.into()),
            bytes("name", welcome.name.as_bytes()),
        ],
        Frame::Goodbye { code, text } | Frame::Closed { code, text, .. } => {
            vec![number("code", code.value().into()), bytes("text", text.as_bytes())]
        }
        Frame::Error { code, offset, text } => {
            vec![number("code", code.value().into()), number("offset", offset), bytes("text", text.as_bytes())]
        }
        Frame::Ping { token } | Frame::Pong { token } => vec![number("token", token)],
        Frame::Open(open) => vec![
            flag("publishes", open.publishes),
            flag("consumes", open.consumes),
            number("kind", open.kind.0.into()),
            match (open.name.as_id(), open.name.as_bytes()) {
                (Some(id), _) => number("id", id),
                (_, name) => bytes("name", name.unwrap_or_default()),
            },
            bytes("arguments", open.arguments),
        ],
        Frame::Opened { .. } | Frame::Close { .. } => Vec::new(),
        Frame::Credit { upto, .. } | Frame::Confirmed { upto, .. } => vec![number("upto", upto)],
        Frame::Publish { number: n, confirm, payload, .. } => {
            vec![number("number", n), flag("confirm", confirm), bytes("payload", &payload)]
        }
        Frame::Refused { first, last, code, text, .. } => vec![
            number("first", first),
            number("last", last),
            number("code", code.value().into()),
            bytes("text", text.as_bytes()),
        ],
        Frame::Delivery { tag, count, payload, .. } => {
            vec![number("tag", tag), number("count", count.into()), bytes("payload", &payload)]
        }
        Frame::Ack { first, last, .. } => vec![number("first", first), number("last", last)],
        Frame::Refuse { first, last, verdict, .. } => {
            vec![number("first", first), number("last", last), number("verdict", verdict.value().into())]
        }
        Frame::GoingAway { deadline_ms } => vec![number("deadline_ms", deadline_ms.into())],
        Frame::PublishWith { number: n, confirm, retain, options, payload, .. } => {
            let PublishOptions { delay_ms, ttl_ms, priority, key, topic } = options;
            let always = [number("number", n), flag("confirm", confirm), flag("retain", retain)];
            let mut fields = always.to_vec();
            fields.extend(delay_ms.map(|ms| number("delay_ms", ms)));
            fields.extend(ttl_ms.map(|ms| number("ttl_ms", ms)));
            fields.extend(priority.map(|priority| number("priority", priority.into())));
            fields.extend(key.map(|key| bytes("key", key)));
            fields.extend(topic.map(|topic| bytes("topic", topic)));
            fields.push(bytes("payload", &payload));
            fields
        }
        Frame::Producer { id, base, .. } => vec![bytes("id", &id.to_be_bytes()), number("base", base)],
        Frame::DeliveryWith { tag, count, retained, options, payload, .. } => {
            let DeliveryOptions { id, priority, key, topic, cause } = options;
            let always = [number("tag", tag), number("count", count.into()), flag("retained", retained)];
            let mut fields = always.to_vec();
            fields.extend(id.map(|id| number("id", id)));
            fields.extend(priority.map(|priority| number("priority", priority.into())));
            fields.extend(key.map(|key| bytes("key", key)));
            fields.extend(topic.map(|topic| bytes("topic", topic)));
            if let Some(cause) = cause {
                fields.push(number("cause_reason", cause.reason.value().into()));
                fields.push(number("cause_count", cause.count.into()));
                fields.push(number("cause_hops", cause.hops.into()));
                fields.push(number("cause_first_ms", cause.first_ms));
                fields.push(match (cause.source.as_id(), cause.source.as_bytes()) {
                    (Some(id), _) => number("cause_id", id),
                    (_, name) => bytes("cause_name", name.unwrap_or_default()),
                });
            }
            fields.push(bytes("payload", &payload));
            fields
        }
        Frame::Settle { first, last, confirm, settling, .. } => {
            let always = [number("first", first), number("last", last), flag("confirm", confirm)];
            let mut fields = always.to_vec();
            fields.push(number("settling", settling.value().into()));
            match settling {
                Settling::Ack | Settling::ForGood => {}
                Settling::Again { delay_ms, priority } => {
                    fields.extend(delay_ms.map(|ms| number("delay_ms", ms)));
                    fields.extend(priority.map(|priority| number("priority", priority.into())));
                }
                Settling::Extend { lease_ms } => fields.push(number("lease_ms", lease_ms)),
            }
            fields
        }
        Frame::Settled { first, last, count, .. } => {
            vec![number("first", first), number("last", last), number("count", count)]
        }
        Frame::Gap { lost, .. } => vec![number("lost", lost)],
        Frame::Request { number: n, deadline_ms, payload, .. } => {
            vec![number("number", n), number("deadline_ms", deadline_ms.into()), bytes("payload", &payload)]
        }
        Frame::Reply { number: n, payload, .. } => vec![number("number", n), bytes("payload", &payload)],
        Frame::NoReply { number: n, code, text, .. } => {
            vec![number("number", n), number("code", code.value().into()), bytes("text", text.as_bytes())]
        }
        Frame::User { kind, flags, link, body } => vec![
            number("kind", kind.into()),
            number("flags", flags.into()),
            number("link", link.into()),
            bytes("body", &body),
        ],
    };
    if frame.frame_type().scope() == msglib_proto::Scope::Link {
        fields.push(number("link", frame.link().into()));
    }
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Described { name: frame.frame_type().name().to_owned(), fields }
}
