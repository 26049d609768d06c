//! Properties of the codec: what is encoded is decoded, in any pieces; what is not a frame is an error, always the same.

use msglib_proto::{Decoder, Feature, Frame, HEADER, Limits, Payload, ProtocolError, SendQueue, encode};
use msglib_testkit::strategies::{
    Chunking, OwnedFrame, almost_frames, cases, chunkings, frames, frames_with, valid_streams,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// What a decoder makes of a stream.
#[derive(Debug, PartialEq)]
struct Outcome {
    frames: Vec<OwnedFrame>,
    error: Option<ProtocolError>,
    /// Whether the stream could end here; after an error it means nothing.
    is_between_frames: bool,
    /// Bytes decoded, without a frame that is under way.
    offset: u64,
}

/// With all features, which changes nothing for frames that are of none.
fn decode(limits: &Limits, bytes: &[u8], chunking: &Chunking) -> Outcome {
    let mut decoder = Decoder::new(limits);
    decoder.agree_on(Feature::all_bits());
    let (mut frames, mut error) = (Vec::new(), None);
    for mut piece in chunking.cut(bytes) {
        loop {
            let left = piece.len();
            match decoder.decode(&mut piece) {
                Ok(Some(frame)) => frames.push(OwnedFrame::from(frame)),
                Ok(None) => {
                    assert!(piece.is_empty(), "need-more with {left} bytes left");
                    break;
                }
                Err(why) => {
                    error = Some(why);
                    break;
                }
            }
        }
        if error.is_some() {
            break;
        }
    }
    let is_between_frames = error.is_none() && decoder.is_between_frames();
    Outcome { frames, error, is_between_frames, offset: decoder.offset() }
}

/// As `decode`, but each frame behind a publish or an ack is asked for as one that goes on on the same link.
fn decode_in_runs(limits: &Limits, bytes: &[u8], chunking: &Chunking) -> Outcome {
    let mut decoder = Decoder::new(limits);
    decoder.agree_on(Feature::all_bits());
    let (mut frames, mut error, mut run) = (Vec::<OwnedFrame>::new(), None, None);
    'stream: for mut piece in chunking.cut(bytes) {
        loop {
            if let Some(link) = run {
                if let Some((number, confirm, payload)) =
                    decoder.decode_publish(link, &mut piece, |number| number % 7 != 0)
                {
                    let payload = Payload::from(payload);
                    frames.push(Frame::Publish { link, number, confirm, payload }.into());
                    continue;
                }
                if let Some((tag, count, payload)) = decoder.decode_delivery(link, &mut piece, |tag| tag % 7 != 0) {
                    let payload = Payload::from(payload);
                    frames.push(Frame::Delivery { link, tag, count, payload }.into());
                    continue;
                }
                if let Some(tags) = decoder.decode_ack(link, &mut piece, || true) {
                    frames.push(Frame::Ack { link, first: *tags.start(), last: *tags.end() }.into());
                    continue;
                }
            }
            match decoder.decode(&mut piece) {
                Ok(Some(frame)) => {
                    let goes_on = matches!(frame, Frame::Publish { .. } | Frame::Ack { .. } | Frame::Delivery { .. });
                    run = goes_on.then(|| frame.link());
                    frames.push(OwnedFrame::from(frame));
                }
                Ok(None) => break,
                Err(why) => {
                    error = Some(why);
                    break 'stream;
                }
            }
        }
    }
    let is_between_frames = error.is_none() && decoder.is_between_frames();
    Outcome { frames, error, is_between_frames, offset: decoder.offset() }
}

/// Mostly publishes, acks and deliveries, mostly on one link, so that runs are long.
fn runs() -> impl Strategy<Value = Vec<u8>> {
    let publish =
        (1..3_u32, 1..20_u64, any::<bool>(), vec(any::<u8>(), 0..40)).prop_map(|(link, number, confirm, payload)| {
            OwnedFrame::from(Frame::Publish { link, number, confirm, payload: Payload::from(&payload) }).to_bytes()
        });
    let ack = (1..3_u32, 1..20_u64, 0..3_u64)
        .prop_map(|(link, first, more)| OwnedFrame::from(Frame::Ack { link, first, last: first + more }).to_bytes());
    let delivery = (1..3_u32, 1..20_u64, 0..3_u32, vec(any::<u8>(), 0..40)).prop_map(|(link, tag, count, payload)| {
        let mut bytes =
            OwnedFrame::from(Frame::Delivery { link, tag, count: 1, payload: Payload::from(&payload) }).to_bytes();
        // Also one that has no encoding.
        bytes[20..24].copy_from_slice(&count.to_be_bytes());
        bytes
    });
    let other = prop_oneof![frames().prop_map(|frame| frame.to_bytes()), almost_frames()];
    vec(prop_oneof![8 => publish, 8 => ack, 8 => delivery, 1 => other], 0..30).prop_map(|frames| frames.concat())
}

/// Frames of features, one byte of them changed.
fn changed_frames() -> impl Strategy<Value = Vec<u8>> {
    let frames =
        frames_with(Feature::all_bits()).prop_filter("of a feature", |frame| frame.frame_type().features() != 0);
    (frames, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(frame, at, byte)| {
        let mut bytes = frame.to_bytes();
        // Most of what is special about them is at their beginning.
        let at = at.index(bytes.len().min(48));
        bytes[at] = byte;
        bytes
    })
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn runs_are_the_same_frames_as_one_by_one(bytes in runs(), chunking in chunkings(200), max_payload in 0..60_u32) {
        let limits = Limits::default().with_max_payload(max_payload);
        prop_assert_eq!(decode_in_runs(&limits, &bytes, &chunking), decode(&limits, &bytes, &chunking));
    }

    #[test]
    fn each_frame_has_one_encoding_and_comes_back_from_it(frame in frames_with(Feature::all_bits())) {
        let bytes = frame.to_bytes();
        let mut decoder = Decoder::new(&Limits::default());
        decoder.agree_on(frame.frame_type().features());
        let mut input = &bytes[..];
        let decoded = decoder.decode(&mut input)?.map(OwnedFrame::from);
        prop_assert_eq!(decoded.as_ref(), Some(&frame));
        prop_assert!(input.is_empty());
        prop_assert_eq!(decoded.map(|frame| frame.to_bytes()), Some(bytes));
    }

    #[test]
    fn a_valid_stream_in_any_pieces_is_its_frames(stream in valid_streams(), chunking in chunkings(200)) {
        let outcome = decode(&Limits::default(), &stream.bytes, &chunking);
        prop_assert_eq!(outcome.error, None);
        prop_assert!(outcome.is_between_frames);
        prop_assert_eq!(outcome.offset, stream.bytes.len() as u64);
        prop_assert_eq!(outcome.frames, stream.frames);
    }

    /// PROTOCOL §2.6: how the bytes were cut makes no difference to anything.
    #[test]
    fn any_bytes_in_any_pieces_have_one_outcome(
        bytes in prop_oneof![almost_frames(), changed_frames()],
        chunking in chunkings(200),
        max_payload in prop_oneof![Just(0), Just(30), Just(1 << 24)],
    ) {
        let limits = Limits::default().with_max_payload(max_payload);
        let whole = decode(&limits, &bytes, &Chunking::whole());
        let pieces = decode(&limits, &bytes, &chunking);
        prop_assert_eq!(&whole, &pieces);
        if let Some(error) = whole.error {
            prop_assert!(error.offset >= whole.offset && error.offset < bytes.len() as u64, "{}", error);
        }
        // What was taken is the one encoding of what it was taken for.
        let again: Vec<u8> = whole.frames.iter().flat_map(OwnedFrame::to_bytes).collect();
        prop_assert_eq!(&again[..], &bytes[..again.len()]);
        prop_assert_eq!(again.len() as u64, whole.offset);
    }

    #[test]
    fn every_proper_prefix_of_a_valid_stream_needs_more(stream in valid_streams(), at in any::<prop::sample::Index>()) {
        let cut = at.index(stream.bytes.len());
        let outcome = decode(&Limits::default(), &stream.bytes[..cut], &Chunking::whole());
        prop_assert_eq!(outcome.error, None);
        prop_assert_eq!(outcome.is_between_frames, outcome.offset == cut as u64);
        prop_assert!(outcome.frames.len() < stream.frames.len());
        prop_assert_eq!(&outcome.frames[..], &stream.frames[..outcome.frames.len()]);
    }

    #[test]
    fn after_an_error_nothing_is_decoded_and_the_error_stays(
        bytes in almost_frames(),
        chunking in chunkings(200),
        more in valid_streams(),
    ) {
        let mut decoder = Decoder::new(&Limits::default().with_max_payload(64));
        let Some(error) = first_error(&mut decoder, &bytes, &chunking) else { return Ok(()) };
        let offset = decoder.offset();
        for piece in chunking.cut(&more.bytes) {
            let mut input = piece;
            prop_assert_eq!(decoder.decode(&mut input).err(), Some(error));
            prop_assert_eq!(input.len(), piece.len());
        }
        prop_assert_eq!(decoder.offset(), offset);
        prop_assert!(decoder.buffered() <= 2 * bytes.len() + 4096);
    }

    /// A header alone decides whether its frame is taken: what follows cannot make a bad one good, nor is it waited for.
    #[test]
    fn a_bad_header_is_refused_with_its_twelfth_byte(bytes in almost_frames(), chunking in chunkings(40)) {
        let limits = Limits::default().with_max_payload(64);
        let whole = decode(&limits, &bytes, &chunking);
        let Some(error) = whole.error else { return Ok(()) };
        let header_end = (whole.offset + u64::from(HEADER)) as usize;
        if error.offset < header_end as u64 && error.violation.section() != "3" {
            let short = decode(&limits, &bytes[..header_end.min(bytes.len())], &chunking);
            prop_assert_eq!(short.error, Some(error));
        }
    }

    #[test]
    fn what_cannot_be_encoded_leaves_nothing_behind(frame in frames()) {
        // The one field that makes any frame of a link wrong.
        let mut queue = SendQueue::new();
        queue.put(b"before");
        let wrong = match frame.as_frame() {
            Frame::Ack { link, first, .. } => Frame::Ack { link, first, last: first - 1 },
            _ => Frame::Opened { link: 0 },
        };
        prop_assert!(encode(&wrong, &mut queue).is_err());
        prop_assert_eq!(queue.to_vec(), b"before");
    }
}

/// Found by the property above: the buffer of a frame that came in pieces and whose body is wrong lives as long as its decoder, up to
/// the 16 MiB of a payload, though nothing can come of it any more. In one piece there is no buffer.
#[test]
fn the_buffer_of_a_bad_frame_that_came_in_pieces_is_given_back_with_the_error() {
    let frame = Frame::Delivery { link: 1, tag: 1, count: 1, payload: Payload::from(&[7; 100]) };
    let mut bytes = OwnedFrame::from(frame).to_bytes();
    bytes[19] = 0; // the tag
    let mut decoder = Decoder::new(&Limits::default());
    let (mut first, mut second) = bytes.split_at(50);
    assert_eq!(decoder.decode(&mut first), Ok(None));
    let error = decoder.decode(&mut second).unwrap_err();
    assert_eq!(error.offset, 12);
    assert_eq!(decoder.decode(&mut second), Err(error));
    assert_eq!(decoder.buffered(), 0, "bytes of a frame that is never decoded");
}

fn first_error(decoder: &mut Decoder, bytes: &[u8], chunking: &Chunking) -> Option<ProtocolError> {
    for mut piece in chunking.cut(bytes) {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Some(error),
            }
        }
    }
    None
}
