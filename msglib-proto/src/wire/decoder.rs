//! The incremental decoder: takes bytes in any pieces, gives frames, remembers where it was (PROTOCOL §2).

use super::frame::{Frame, LinkNumber};
use super::frame_type::FrameType;
use super::limits::HEADER;
use super::parse::{self, Header};
use super::violation::{ProtocolError, Violation};
use bytes::{Bytes, BytesMut};
use core::ops::RangeInclusive;

/// The first buffer for a frame whose end has not arrived. From there the buffer doubles, so that what is
/// allocated is at most this plus twice what the peer has really sent, whatever its header claims.
const FIRST_BUFFER: usize = 4 * 1024;

/// Turns a stream of bytes into frames.
///
/// Frames that are whole in the input are borrowed from it, without a copy. Of a frame that is not, the decoder keeps
/// the part that has arrived, in a buffer of its own; between frames it holds no memory.
///
/// After an error nothing more is decoded: each further call returns the same error.
///
/// ```
/// use msglib_proto::{Decoder, Frame, Limits, SendQueue, encode};
///
/// let mut wire = SendQueue::new();
/// encode(&Frame::Ping { token: 7 }, &mut wire)?;
/// let bytes = wire.to_vec();
///
/// let mut decoder = Decoder::new(&Limits::default());
/// let (mut first, mut second) = bytes.split_at(5);
/// assert_eq!(decoder.decode(&mut first)?, None, "more is needed");
/// assert_eq!(decoder.decode(&mut second)?, Some(Frame::Ping { token: 7 }));
/// assert!(second.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    max_payload: u32,
    /// What was agreed on beyond version 1.
    features: u64,
    /// Bytes of the stream before the frame that is under way.
    offset: u64,
    /// Where the last decoded frame began.
    last_offset: u64,
    /// What has arrived of the frame that is under way.
    partial: BytesMut,
    /// Its header, once it is whole.
    header: Option<Header>,
    /// The last frame that was put together here, while its parts may be borrowed.
    whole: Bytes,
    /// Elsewhere, for it is rare, and every connection has a decoder.
    failed: Option<Box<ProtocolError>>,
}

impl Decoder {
    /// A decoder at the beginning of a stream, that takes payloads up to `limits.max_payload`.
    pub fn new(limits: &super::limits::Limits) -> Decoder {
        Decoder {
            max_payload: limits.max_payload,
            features: 0,
            offset: 0,
            last_offset: 0,
            partial: BytesMut::new(),
            header: None,
            whole: Bytes::new(),
            failed: None,
        }
    }

    /// These features were agreed on, a bit each: their frames are known from the next one on (PROTOCOL §12.1). At first there are none.
    pub fn agree_on(&mut self, features: u64) {
        self.features = features;
    }

    /// Takes the next frame from the front of `input`, or all of `input` if the frame goes on behind it.
    ///
    /// `Ok(None)` means that more bytes are needed; `input` is empty then. Call it until it says so.
    ///
    /// # Errors
    ///
    /// The rule that the peer broke and the offset in its stream, the same however the stream was cut. Terminal.
    #[inline]
    pub fn decode<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'a>>, ProtocolError> {
        if let Some(error) = self.failed.as_deref().copied() {
            return Err(error);
        }
        if !self.whole.is_empty() {
            self.whole = Bytes::new();
        }
        if self.partial.is_empty() {
            if let Some(bytes) = input.first_chunk() {
                let header = parse::header(bytes, self.max_payload, self.features, self.offset)
                    .map_err(|error| self.give_up(error))?;
                if let Some((frame, rest)) = input.split_at_checked(header.length as usize) {
                    *input = rest;
                    return self.finish(header, frame);
                }
                self.header = Some(header);
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
        self.collect(input)
    }

    /// Takes the next frame if it is a whole and well-formed `PUBLISH` on this link, and if `accept` says so of its number: the
    /// fast way through a run of them. Whatever else comes next stays where it is, for [`decode`](Self::decode).
    ///
    /// Gives the number, whether a confirm is wanted, and the payload.
    // Part of the loop that calls it: a call for each costs a tenth of a message's way through a broker.
    #[inline(always)]
    pub fn decode_publish<'i>(
        &mut self,
        link: LinkNumber,
        input: &mut &'i [u8],
        accept: impl FnOnce(u64) -> bool,
    ) -> Option<(u64, bool, &'i [u8])> {
        const FIXED: usize = HEADER as usize + 8;
        let (start, rest) = input.split_first_chunk::<FIXED>()?;
        let (length, kind, flags) = self.front(start, link)?;
        let payload = (length as usize).checked_sub(FIXED).filter(|payload| *payload <= self.max_payload as usize)?;
        let number = u64_at(start, HEADER as usize);
        let (payload, rest) = rest.split_at_checked(payload)?;
        if kind != FrameType::Publish.value() || flags > 1 || number == 0 || !accept(number) {
            return None;
        }
        *input = rest;
        self.passed(length);
        Some((number, flags == 1, payload))
    }

    /// As [`decode_publish`](Self::decode_publish), for `DELIVERY`; `accept` is asked for the tag. Gives the tag, the count and the payload.
    #[inline]
    pub fn decode_delivery<'i>(
        &mut self,
        link: LinkNumber,
        input: &mut &'i [u8],
        accept: impl FnOnce(u64) -> bool,
    ) -> Option<(u64, u32, &'i [u8])> {
        const FIXED: usize = HEADER as usize + 12;
        let (start, rest) = input.split_first_chunk::<FIXED>()?;
        let (length, kind, flags) = self.front(start, link)?;
        let payload = (length as usize).checked_sub(FIXED).filter(|payload| *payload <= self.max_payload as usize)?;
        let (tag, count) = (u64_at(start, HEADER as usize), u32_at(start, HEADER as usize + 8));
        let (payload, rest) = rest.split_at_checked(payload)?;
        if kind != FrameType::Delivery.value() || flags != 0 || tag == 0 || count == 0 || !accept(tag) {
            return None;
        }
        *input = rest;
        self.passed(length);
        Some((tag, count, payload))
    }

    /// As [`decode_publish`](Self::decode_publish), for `ACK`; gives the range of tags. `accept` is asked whether this link may settle.
    #[inline]
    pub fn decode_ack(
        &mut self,
        link: LinkNumber,
        input: &mut &[u8],
        accept: impl FnOnce() -> bool,
    ) -> Option<RangeInclusive<u64>> {
        const LENGTH: usize = HEADER as usize + 16;
        let (frame, rest) = input.split_first_chunk::<LENGTH>()?;
        let (length, kind, flags) = self.front(frame, link)?;
        let (first, last) = (u64_at(frame, HEADER as usize), u64_at(frame, HEADER as usize + 8));
        if kind != FrameType::Ack.value() || flags != 0 || length as usize != LENGTH || first == 0 || last < first {
            return None;
        }
        if !accept() {
            return None;
        }
        *input = rest;
        self.passed(length);
        Some(first..=last)
    }

    /// Length, type and flags of a frame on this link, if one begins here.
    #[inline]
    fn front<const N: usize>(&self, start: &[u8; N], link: LinkNumber) -> Option<(u32, u16, u16)> {
        let [l0, l1, l2, l3, t0, t1, f0, f1, k0, k1, k2, k3, ..] = start[..] else { return None };
        let is_here = u32::from_be_bytes([k0, k1, k2, k3]) == link && link != 0;
        (is_here && self.partial.is_empty() && self.failed.is_none()).then(|| {
            let length = u32::from_be_bytes([l0, l1, l2, l3]);
            (length, u16::from_be_bytes([t0, t1]), u16::from_be_bytes([f0, f1]))
        })
    }

    // For each message, and of few instructions.
    #[inline(always)]
    fn passed(&mut self, length: u32) {
        if !self.whole.is_empty() {
            self.whole = Bytes::new();
        }
        self.last_offset = self.offset;
        self.offset += u64::from(length);
    }

    /// Bytes decoded so far, not counting a frame that is under way.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where in the stream the last frame began that [`decode`](Self::decode) returned.
    pub fn last_offset(&self) -> u64 {
        self.last_offset
    }

    /// Whether the stream could end here: no frame is under way.
    pub fn is_between_frames(&self) -> bool {
        self.partial.is_empty()
    }

    /// Bytes of memory that the decoder holds on the heap.
    pub fn buffered(&self) -> usize {
        self.partial.capacity() + self.whole.len()
    }

    /// The slow way, for a frame that does not arrive in one piece.
    fn collect<'a>(&'a mut self, input: &mut &[u8]) -> Result<Option<Frame<'a>>, ProtocolError> {
        if self.header.is_none() {
            self.take(input, HEADER as usize);
            let Some(bytes) = self.partial.first_chunk() else { return Ok(None) };
            let header = parse::header(bytes, self.max_payload, self.features, self.offset)
                .map_err(|error| self.give_up(error))?;
            self.header = Some(header);
        }
        let Some(header) = self.header else { return Ok(None) };
        self.take(input, header.length as usize);
        if self.partial.len() < header.length as usize {
            return Ok(None);
        }
        self.header = None;
        let whole = core::mem::take(&mut self.partial).freeze();
        // Looked at before it is kept: a frame that is refused must not stay in memory as long as the decoder does.
        if let Err(error) = parse::body(header, &whole[HEADER as usize..], None, self.offset) {
            return Err(self.give_up(error));
        }
        self.last_offset = self.offset;
        self.offset += u64::from(header.length);
        self.whole = whole;
        parse::body(header, &self.whole[HEADER as usize..], Some(&self.whole), self.last_offset)
    }

    /// Moves bytes from `input` to the partial frame until that has `length` or the input is used up.
    fn take(&mut self, input: &mut &[u8], length: usize) {
        let have = self.partial.len();
        let (taken, rest) = input.split_at((length - have).min(input.len()));
        if self.partial.capacity() < have + taken.len() {
            let room = (2 * have).max(FIRST_BUFFER).min(length).max(have + taken.len());
            self.partial.reserve(room - have);
        }
        self.partial.extend_from_slice(taken);
        *input = rest;
    }

    #[inline]
    fn finish<'a>(&mut self, header: Header, frame: &'a [u8]) -> Result<Option<Frame<'a>>, ProtocolError> {
        let result = parse::body(header, &frame[HEADER as usize..], None, self.offset);
        match &result {
            Ok(_) => {
                self.last_offset = self.offset;
                self.offset += u64::from(header.length);
            }
            Err(error) => {
                self.give_up(*error);
            }
        }
        result
    }

    /// Ends the decoding for a reason that only whoever knows the connection's state can see; the offset is where the
    /// last frame began.
    pub fn reject(&mut self, violation: Violation) -> ProtocolError {
        self.give_up(ProtocolError { offset: self.last_offset, violation })
    }

    fn give_up(&mut self, error: ProtocolError) -> ProtocolError {
        self.failed = Some(Box::new(error));
        self.partial = BytesMut::new();
        self.whole = Bytes::new();
        error
    }
}

#[inline]
fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(field)
}

#[inline]
fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(field)
}
