//! The bytes of the load generator: made beforehand where that is possible, and looked at no more than must be, for
//! it is not the generator that is to be measured.

use crate::Result;
use msglib_proto::{
    ChannelKind, ChannelName, Decoder, Frame, FrameType, HEADER, Hello, Limits, Open, Payload, SendQueue, encode,
};

/// Bytes of the ack that the floor carries back for each message.
pub(crate) const RELAY_ACK: usize = 16;
/// Bytes before the payload of a PUBLISH, and of a DELIVERY (PROTOCOL §3).
const PUBLISH_HEAD: usize = 20;
const DELIVERY_HEAD: usize = 24;
/// Bytes at the start of each payload that the generator uses: when it was sent, and its sequence.
pub(crate) const STAMP: usize = 16;

/// The type of the floor's ack: any of the user's (PROTOCOL §12.3).
pub(crate) const RELAY_ACK_TYPE: u16 = 0x8000;
pub(crate) const PUBLISH: u16 = FrameType::Publish.value();
pub(crate) const DELIVERY: u16 = FrameType::Delivery.value();

/// The bytes of some frames.
pub(crate) fn bytes_of<'a>(frames: impl IntoIterator<Item = Frame<'a>>) -> Result<Vec<u8>> {
    let mut queue = SendQueue::new();
    for frame in frames {
        encode(&frame, &mut queue)?;
    }
    Ok(queue.to_vec())
}

pub(crate) fn hello() -> Frame<'static> {
    hello_with(0)
}

/// With these features, a bit each.
pub(crate) fn hello_with(features: u64) -> Frame<'static> {
    let max_payload = Limits::default().max_payload;
    let (name, mechanism, credentials) = ("bench", "", &b""[..]);
    Frame::Hello(Hello {
        min_version: 1,
        max_version: 1,
        features,
        max_payload,
        idle_ms: 0,
        name,
        mechanism,
        credentials,
    })
}

/// Opens `link` to a topic, to publish or to consume.
pub(crate) fn open_topic(link: u32, publishes: bool) -> Frame<'static> {
    let (kind, name) = (ChannelKind::TOPIC, ChannelName::from("bench/fan-out"));
    Frame::Open(Open { link, publishes, consumes: !publishes, kind, name, arguments: b"" })
}

/// Opens `link` to the queue `id`, to publish or to consume.
pub(crate) fn open(link: u32, id: u64, publishes: bool) -> Frame<'static> {
    let (kind, name) = (ChannelKind::QUEUE, ChannelName::id(id));
    Frame::Open(Open { link, publishes, consumes: !publishes, kind, name, arguments: b"" })
}

/// An ack of the floor's.
pub(crate) fn relay_ack() -> Frame<'static> {
    let body = Payload::from(&[0; RELAY_ACK - HEADER as usize]);
    Frame::User { kind: RELAY_ACK_TYPE, flags: 0, link: 0, body }
}

/// Hands each whole frame at the start of `bytes` to `each`, with its type; returns how many bytes these had.
pub(crate) fn scan(bytes: &[u8], mut each: impl FnMut(u16, &[u8]) -> Result<()>) -> Result<usize> {
    let mut rest = bytes;
    while let Some((header, _)) = rest.split_first_chunk::<{ HEADER as usize }>() {
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if length < HEADER as usize {
            return Err(format!("a frame of {length} bytes came").into());
        }
        let Some((frame, behind)) = rest.split_at_checked(length) else { break };
        each(u16::from_be_bytes([header[4], header[5]]), frame)?;
        rest = behind;
    }
    Ok(bytes.len() - rest.len())
}

/// What a frame says that is not looked at by its bytes: an end that nobody asked for, or nothing of interest.
pub(crate) fn check_other(frame: &[u8]) -> Result<()> {
    let mut input = frame;
    match Decoder::new(&Limits::default()).decode(&mut input)? {
        Some(end @ (Frame::Error { .. } | Frame::Goodbye { .. } | Frame::Closed { .. } | Frame::Refused { .. })) => {
            Err(format!("the broker said {end:?}").into())
        }
        _ => Ok(()),
    }
}

/// The number at `at`, as PROTOCOL §1 writes it.
pub(crate) fn number(frame: &[u8], at: usize) -> u64 {
    frame[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

pub(crate) fn link_of(frame: &[u8]) -> u32 {
    frame[8..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// When a delivered message was sent, and its sequence; from a PUBLISH (through a relay) or a DELIVERY.
pub(crate) fn stamp_of(frame_type: u16, frame: &[u8]) -> (u64, u64) {
    let payload = if frame_type == DELIVERY { DELIVERY_HEAD } else { PUBLISH_HEAD };
    (number(frame, payload), number(frame, payload + 8))
}

/// Publishes, encoded once and sent over and over; only number, time and sequence are written anew.
pub(crate) struct Publishes {
    bytes: Vec<u8>,
    /// Where each begins, and where the last one ends.
    starts: Vec<usize>,
    next: usize,
}

impl Publishes {
    /// One for each of `sizes` (of payloads, in bytes), all on link 1, all asking for a confirm.
    pub(crate) fn encode(sizes: &[usize]) -> Result<Publishes> {
        let body = vec![b'x'; sizes.iter().copied().max().unwrap_or(0)];
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for size in sizes {
            let payload = Payload::from(&body[..(*size).max(STAMP)]);
            bytes.extend(bytes_of([Frame::Publish { link: 1, number: 1, confirm: true, payload }])?);
            starts.push(bytes.len());
        }
        Ok(Publishes { bytes, starts, next: 0 })
    }

    /// The size of a frame on the wire: the first one's.
    pub(crate) fn frame_size(&self) -> usize {
        self.starts[1]
    }

    /// Up to `count` publishes that follow each other in memory, and how many they are.
    pub(crate) fn take(&mut self, count: u64, first_number: u64, first_sequence: u64, now: u64) -> (u64, &[u8]) {
        let encoded = self.starts.len() - 1;
        let first = if self.next == encoded { 0 } else { self.next };
        self.next = encoded.min(first + count as usize);
        for (offset, start) in self.starts[first..self.next].iter().enumerate() {
            let fields = [first_number + offset as u64, now, first_sequence + offset as u64];
            for (at, field) in fields.iter().enumerate() {
                let at = start + HEADER as usize + 8 * at;
                self.bytes[at..at + 8].copy_from_slice(&field.to_be_bytes());
            }
        }
        let taken = (self.next - first) as u64;
        (taken, &self.bytes[self.starts[first]..self.starts[self.next]])
    }
}
