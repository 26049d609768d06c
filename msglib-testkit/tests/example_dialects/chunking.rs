//! However the bytes are cut into pieces, a dialect decodes the same.

use msglib_broker::{Dialect, FrameBuffer, Peer};
use msglib_proto::transport::Address;
use proptest::prelude::*;

/// The frames, and the error if there is one, as they are shown.
pub(crate) type Decoded = (Vec<String>, Option<String>);

pub(crate) fn decode<D: Dialect>(dialect: &D, pieces: &[&[u8]]) -> Decoded {
    let (mut decoder, _) = dialect.open(&Peer::new(Address::Memory(0)));
    let mut frames = Vec::new();
    for mut piece in pieces.iter().copied() {
        loop {
            match D::decode(&mut decoder, &mut piece) {
                Ok(Some(frame)) => frames.push(format!("{frame:?}")),
                Ok(None) => break assert!(piece.is_empty(), "None means that all was taken"),
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
    }
    (frames, None)
}

/// `bytes` in pieces that end at `cuts`, which are taken modulo the length.
pub(crate) fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

/// The same whole, in those pieces, and byte for byte.
pub(crate) fn assert_any_chunking_decodes_the_same<D: Dialect>(
    dialect: &D,
    bytes: &[u8],
    cuts: &[prop::sample::Index],
) -> Decoded {
    let whole = decode(dialect, &[bytes]);
    assert_eq!(decode(dialect, &cut(bytes, cuts)), whole);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(dialect, &single), whole);
    whole
}

pub(crate) fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..20)
}

/// Numbers in unary, then so many bytes: the length becomes known bit by bit. A `!` is an error.
fn measure(front: &[u8]) -> Result<usize, String> {
    match front.iter().position(|byte| *byte != b'1') {
        Some(at) if front[at] == b'!' => Err(format!("a `!` at {at}")),
        Some(at) => Ok(at + 1 + at),
        None => Ok(front.len() + 1),
    }
}

proptest! {
    #[test]
    fn a_frame_buffer_finds_the_same_frames_in_any_pieces(bytes in "[1x!]{0,5}1{0,9}x[1x]{0,80}!?", cuts in cuts()) {
        let find = |pieces: &[&[u8]]| {
            let (mut buffer, mut found, mut begins) = (FrameBuffer::new(), Vec::new(), Vec::new());
            for mut piece in pieces.iter().copied() {
                loop {
                    begins.push(buffer.offset());
                    match buffer.next(&mut piece, measure) {
                        Ok(Some(frame)) => found.push(frame.to_vec()),
                        Ok(None) => break,
                        Err(error) => return (found, Some(error), begins.last().copied()),
                    }
                }
            }
            (found, None, begins.last().copied())
        };
        let whole = find(&[bytes.as_bytes()]);
        prop_assert_eq!(&find(&cut(bytes.as_bytes(), &cuts)), &whole);
        let all: usize = whole.0.iter().map(Vec::len).sum();
        prop_assert_eq!(whole.2, Some(all as u64), "the next one begins where the last one ends");
        prop_assert!(bytes.as_bytes().starts_with(&whole.0.concat()));
    }
}
