//! However a stream is cut, the frames are the same, and so is the error and its offset.

use msglib_proto::{Decoder, Limits, ProtocolError, SendQueue, encode};

pub fn run(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else { return };
    let whole = outcome(std::iter::once(stream));
    let mut cuts = Cuts { left: stream, state: u32::from(*seed) };
    assert_eq!(whole, outcome(&mut cuts), "cut by {seed}");
    assert_eq!(whole, outcome(stream.chunks(1)), "byte by byte");
}

/// The frames, encoded again; the error; whether a frame is under way.
type Outcome = (Vec<u8>, Option<ProtocolError>, bool);

fn outcome<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::new(&Limits::default().with_max_payload(1024));
    let mut frames = SendQueue::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(frame)) => encode(&frame, &mut frames).expect("what was decoded can be encoded"),
                Ok(None) => break,
                Err(error) => return (frames.to_vec(), Some(error), false),
            }
        }
    }
    let between = decoder.is_between_frames();
    (frames.to_vec(), None, between)
}

struct Cuts<'a> {
    left: &'a [u8],
    state: u32,
}

impl<'a> Iterator for &mut Cuts<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left.is_empty() {
            return None;
        }
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let n = (self.state >> 24) as usize % 40;
        let (piece, rest) = self.left.split_at(n.min(self.left.len()));
        self.left = rest;
        Some(piece)
    }
}
