//! Streams that are right, streams that are not, and how they are cut on their way.

use super::frame::noise;
use super::{OwnedFrame, frames, frames_of};
use msglib_proto::{Frame, FrameType, Hello};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Frames, and the bytes that they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidStream {
    /// What a strict decoder makes of the bytes. By type alone: who may send them, and when, is another question.
    pub frames: Vec<OwnedFrame>,
    /// The encodings of the frames, one behind the other.
    pub bytes: Vec<u8>,
}

impl FromIterator<OwnedFrame> for ValidStream {
    fn from_iter<I: IntoIterator<Item = OwnedFrame>>(frames: I) -> ValidStream {
        let frames: Vec<OwnedFrame> = frames.into_iter().collect();
        let bytes = frames.iter().flat_map(OwnedFrame::to_bytes).collect();
        ValidStream { frames, bytes }
    }
}

/// One to eight frames of any types.
///
/// ```
/// use msglib_proto::{Decoder, Limits};
/// use msglib_testkit::strategies::{chunkings, valid_streams};
/// use proptest::prelude::*;
///
/// proptest!(|(stream in valid_streams(), cuts in chunkings(1000))| {
///     let mut decoder = Decoder::new(&Limits::default());
///     let mut frames = stream.frames.iter();
///     for mut piece in cuts.cut(&stream.bytes) {
///         while let Some(frame) = decoder.decode(&mut piece)? {
///             prop_assert_eq!(Some(frame), frames.next().map(|frame| frame.as_frame()));
///         }
///     }
///     prop_assert!(frames.next().is_none());
/// });
/// ```
pub fn valid_streams() -> impl Strategy<Value = ValidStream> {
    vec(frames(), 1..=8).prop_map(ValidStream::from_iter)
}

/// How to cut bytes into pieces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunking {
    /// The lengths of the pieces, 1 or more each; from the last one on they begin again.
    lengths: Vec<usize>,
}

impl Chunking {
    /// Pieces of these lengths, over and over until the bytes are used up; a length of 0 counts as 1.
    ///
    /// # Panics
    ///
    /// Without any length.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Chunking {
        let lengths: Vec<usize> = lengths.into_iter().map(|length| length.max(1)).collect();
        assert!(!lengths.is_empty(), "no lengths of pieces");
        Chunking { lengths }
    }

    /// All in one piece.
    pub fn whole() -> Chunking {
        Chunking { lengths: vec![usize::MAX] }
    }

    /// The pieces of `bytes`, in order; none is empty, and together they are `bytes`.
    pub fn cut<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, '_> {
        let mut rest = bytes;
        let pieces = self.lengths.iter().cycle().map_while(move |length| {
            let (piece, behind) = rest.split_at((*length).min(rest.len()));
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        });
        pieces.fuse()
    }

    /// How many bytes each of the pieces may have, over and over.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }
}

/// Ways to cut about `length` bytes: in one piece, byte by byte, in even pieces, or anywhere. They cut any number of bytes, but
/// lengths up to `length` are what they are drawn from.
pub fn chunkings(length: usize) -> impl Strategy<Value = Chunking> + Clone {
    let most = length.max(1);
    prop_oneof![
        1 => Just(Chunking::whole()),
        1 => Just(Chunking { lengths: vec![1] }),
        2 => (1..=most.min(40)).prop_map(|length| Chunking { lengths: vec![length] }),
        2 => vec(1..=most.min(40), 1..12).prop_map(|lengths| Chunking { lengths }),
        2 => vec(1..=most, 1..6).prop_map(|lengths| Chunking { lengths }),
    ]
}

/// Bytes that begin well and go wrong: valid frames (often behind a valid `HELLO`) with bytes changed, cut off, put in, taken out or
/// swapped, and plain noise. By chance some are still valid.
pub fn almost_frames() -> impl Strategy<Value = Vec<u8>> {
    let greeted =
        prop_oneof![1 => Just(None), 1 => Just(Some(hello())), 1 => frames_of(FrameType::Hello).prop_map(Some)];
    let spoiled = (vec(frames(), 1..5), vec(damages(), 1..4)).prop_map(|(frames, damages)| {
        let bytes = ValidStream::from_iter(frames).bytes;
        damages.iter().fold(bytes, |bytes, damage| damage.apply(bytes))
    });
    let noise = (0..300_usize, any::<u8>()).prop_map(|(length, salt)| noise(length, salt));
    let rest = prop_oneof![6 => spoiled, 1 => vec(any::<u8>(), 0..100), 1 => noise];
    (greeted, rest).prop_map(|(greeting, rest)| {
        let mut bytes = greeting.map_or(Vec::new(), |frame| frame.to_bytes());
        bytes.extend(rest);
        bytes
    })
}

fn hello() -> OwnedFrame {
    OwnedFrame::from(Frame::Hello(Hello {
        min_version: 1,
        max_version: 1,
        features: 0,
        max_payload: 1 << 20,
        idle_ms: 0,
        name: "",
        mechanism: "",
        credentials: &[],
    }))
}

/// One thing that happens to a stream. Places are relative, so that they are within it whatever its length.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Put(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
    Swap(Index, Index),
}

fn damages() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        3 => (place(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, 1 << bit)),
        3 => (place(), prop_oneof![Just(0), Just(0xFF), any::<u8>()]).prop_map(|(at, byte)| Damage::Put(at, byte)),
        1 => (place(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (place(), 1..6_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => place().prop_map(Damage::Cut),
        1 => (place(), place()).prop_map(|(a, b)| Damage::Swap(a, b)),
    ]
}

impl Damage {
    fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() {
            return bytes;
        }
        let length = bytes.len();
        match self {
            Damage::Flip(at, bit) => bytes[at.index(length)] ^= bit,
            Damage::Put(at, byte) => bytes[at.index(length)] = *byte,
            Damage::Insert(at, more) => {
                let at = at.index(length);
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..length.min(at + count));
            }
            Damage::Cut(at) => bytes.truncate(at.index(length)),
            Damage::Swap(a, b) => bytes.swap(a.index(length), b.index(length)),
        }
        bytes
    }
}
