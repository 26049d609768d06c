//! From frames to bytes: the one encoding that each frame has (PROTOCOL §2, §3).

use super::channel::{ChannelName, Form};
use super::encode_with as with;
use super::frame::{Frame, Hello, LinkNumber, Open, Welcome};
use super::frame_type::{FrameType, Scope};
use super::limits::{self, HEADER};
use super::payload::Payload;
use super::send_queue::SendQueue;
use super::with::DeliveryOptions;
use thiserror::Error;

/// A frame that cannot be sent, for it would break the protocol: the caller's mistake. Nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The link field does not fit the frame.
    #[error("{frame} cannot have link {link}: a link's number is 1 or more, a connection's frame has 0")]
    Link {
        /// The frame.
        frame: FrameType,
        /// The link.
        link: u32,
    },
    /// A field has a value that it must not have.
    #[error("{frame}: {rule}")]
    Field {
        /// The frame.
        frame: FrameType,
        /// What must hold.
        rule: &'static str,
    },
}

/// Appends the encoding of `frame` to `out`.
///
/// Texts above 1,024 bytes are cut, at the end of a character; whatever else does not fit is an error. How large a
/// payload may be is the receiver's to say, so it is not checked here, but for the 4 GiB of the length field.
///
/// # Errors
///
/// [`EncodeError`] when no encoding exists; nothing is written then.
#[inline]
pub fn encode(frame: &Frame<'_>, out: &mut SendQueue) -> Result<(), EncodeError> {
    let (frame_type, link) = (frame.frame_type(), frame.link());
    let wrong_link = match frame_type.scope() {
        Scope::Connection => link != 0,
        Scope::Link => link == 0,
        Scope::Any => false,
    };
    if wrong_link {
        return Err(EncodeError::Link { frame: frame_type, link });
    }
    match frame {
        Frame::Hello(hello) => encode_hello(hello, out),
        Frame::Welcome(welcome) => encode_welcome(welcome, out),
        Frame::Goodbye { code, text } | Frame::Closed { code, text, .. } => {
            let text = cut(text);
            write_frame(frame_type, link, &code.value().to_be_bytes(), text.as_bytes(), out)
        }
        Frame::Error { code, offset, text } => {
            let text = cut(text);
            let fixed = Fixed::<10>::new().put(&code.value().to_be_bytes()).put(&offset.to_be_bytes());
            write_frame(frame_type, link, &fixed.bytes, text.as_bytes(), out)
        }
        Frame::Ping { token: number } | Frame::Pong { token: number } | Frame::Credit { upto: number, .. } => {
            write_frame(frame_type, link, &number.to_be_bytes(), &[], out)
        }
        Frame::Open(open) => encode_open(open, out),
        Frame::Opened { .. } | Frame::Close { .. } => write_frame(frame_type, link, &[], &[], out),
        Frame::Publish { number, confirm, payload, .. } => {
            check_number(frame_type, *number)?;
            let head = Head { frame_type, kind: frame_type.value(), flags: u16::from(*confirm), link };
            write_with_payload(head, number.to_be_bytes(), *payload, out)
        }
        Frame::Confirmed { upto, .. } => {
            check_number(frame_type, *upto)?;
            write_frame(frame_type, link, &upto.to_be_bytes(), &[], out)
        }
        Frame::Refused { first, last, code, text, .. } => {
            check_range(frame_type, *first, *last)?;
            let text = cut(text);
            let range = Fixed::<18>::new().put(&first.to_be_bytes()).put(&last.to_be_bytes());
            write_frame(frame_type, link, &range.put(&code.value().to_be_bytes()).bytes, text.as_bytes(), out)
        }
        Frame::Delivery { tag, count, payload, .. } => encode_delivery(link, *tag, *count, *payload, out),
        Frame::Ack { first, last, .. } => {
            check_range(frame_type, *first, *last)?;
            let range = Fixed::<16>::new().put(&first.to_be_bytes()).put(&last.to_be_bytes());
            write_frame(frame_type, link, &range.bytes, &[], out)
        }
        Frame::Refuse { first, last, verdict, .. } => {
            check_range(frame_type, *first, *last)?;
            let range = Fixed::<17>::new().put(&first.to_be_bytes()).put(&last.to_be_bytes());
            write_frame(frame_type, link, &range.put(&[verdict.value()]).bytes, &[], out)
        }
        Frame::GoingAway { deadline_ms } => write_frame(frame_type, link, &deadline_ms.to_be_bytes(), &[], out),
        Frame::PublishWith { number, confirm, retain, options, payload, .. } => {
            let flags = u16::from(*confirm) | u16::from(*retain) << 1;
            with::publish(Head { frame_type, kind: frame_type.value(), flags, link }, *number, options, *payload, out)
        }
        Frame::Producer { id, base, .. } => {
            if *id == 0 {
                return Err(EncodeError::Field { frame: frame_type, rule: "a producer's id is not 0" });
            }
            let fixed = Fixed::<24>::new().put(&id.to_be_bytes()).put(&base.to_be_bytes());
            write_frame(frame_type, link, &fixed.bytes, &[], out)
        }
        Frame::DeliveryWith { tag, count, retained, options, payload, .. } => {
            encode_delivery_with(link, *tag, *count, *retained, options, *payload, out)
        }
        Frame::Settle { first, last, confirm, settling, .. } => {
            let head = Head { frame_type, kind: frame_type.value(), flags: u16::from(*confirm), link };
            with::settle(head, *first, *last, *settling, out)
        }
        Frame::Settled { first, last, count, .. } => {
            check_range(frame_type, *first, *last)?;
            let range = Fixed::<24>::new().put(&first.to_be_bytes()).put(&last.to_be_bytes());
            write_frame(frame_type, link, &range.put(&count.to_be_bytes()).bytes, &[], out)
        }
        Frame::Gap { lost, .. } => {
            check_number(frame_type, *lost)?;
            write_frame(frame_type, link, &lost.to_be_bytes(), &[], out)
        }
        Frame::Request { number, deadline_ms, payload, .. } => {
            check_number(frame_type, *number)?;
            let head = Head { frame_type, kind: frame_type.value(), flags: 0, link };
            let fixed = Fixed::<12>::new().put(&number.to_be_bytes()).put(&deadline_ms.to_be_bytes());
            write_with_payload(head, fixed.bytes, *payload, out)
        }
        Frame::Reply { number, payload, .. } => {
            check_number(frame_type, *number)?;
            let head = Head { frame_type, kind: frame_type.value(), flags: 0, link };
            write_with_payload(head, number.to_be_bytes(), *payload, out)
        }
        Frame::NoReply { number, code, text, .. } => {
            check_number(frame_type, *number)?;
            let fixed = Fixed::<10>::new().put(&number.to_be_bytes()).put(&code.value().to_be_bytes());
            write_frame(frame_type, link, &fixed.bytes, cut(text).as_bytes(), out)
        }
        Frame::User { kind, flags, body, .. } => {
            if *kind < FrameType::USER {
                return Err(EncodeError::Field { frame: frame_type, rule: "the user's types begin at 0x8000" });
            }
            let head = Head { frame_type, kind: *kind, flags: *flags, link };
            write_with_payload(head, [], *body, out)
        }
    }
}

fn encode_hello(hello: &Hello<'_>, out: &mut SendQueue) -> Result<(), EncodeError> {
    let frame = FrameType::Hello;
    if hello.min_version == 0 || hello.min_version > hello.max_version {
        return Err(EncodeError::Field { frame, rule: "the versions must be 1 or more, the oldest first" });
    }
    let name = short(frame, hello.name.as_bytes(), "the name has at most 255 bytes")?;
    let mechanism = short(frame, hello.mechanism.as_bytes(), "the mechanism has at most 255 bytes")?;
    let room = (frame.max_variable().unwrap_or(0) as usize).saturating_sub(hello.name.len() + hello.mechanism.len());
    if hello.credentials.len() > room {
        return Err(EncodeError::Field { frame, rule: "the whole frame has at most 16384 bytes" });
    }
    let credentials = hello.credentials.len() as u16;
    let fixed = Fixed::<28>::new()
        .put(&limits::MAGIC)
        .put(&hello.min_version.to_be_bytes())
        .put(&hello.max_version.to_be_bytes())
        .put(&hello.features.to_be_bytes())
        .put(&hello.max_payload.to_be_bytes())
        .put(&hello.idle_ms.to_be_bytes())
        .put(&[name, mechanism])
        .put(&credentials.to_be_bytes());
    let variable = [hello.name.as_bytes(), hello.mechanism.as_bytes(), hello.credentials].concat();
    write_frame(frame, 0, &fixed.bytes, &variable, out)
}

fn encode_welcome(welcome: &Welcome<'_>, out: &mut SendQueue) -> Result<(), EncodeError> {
    let frame = FrameType::Welcome;
    if welcome.version == 0 {
        return Err(EncodeError::Field { frame, rule: "the version must be 1 or more" });
    }
    let name = short(frame, welcome.name.as_bytes(), "the name has at most 255 bytes")?;
    let fixed = Fixed::<23>::new()
        .put(&welcome.version.to_be_bytes())
        .put(&welcome.features.to_be_bytes())
        .put(&welcome.max_payload.to_be_bytes())
        .put(&welcome.max_links.to_be_bytes())
        .put(&welcome.idle_ms.to_be_bytes())
        .put(&[name]);
    write_frame(frame, 0, &fixed.bytes, welcome.name.as_bytes(), out)
}

/// Appends a `DELIVERY`, as [`encode`] does with [`Frame::Delivery`], without the way through a frame: for whoever sends many.
///
/// # Errors
///
/// As [`encode`].
#[inline(always)]
pub fn encode_delivery(
    link: LinkNumber,
    tag: u64,
    count: u32,
    payload: Payload<'_>,
    out: &mut SendQueue,
) -> Result<(), EncodeError> {
    let frame_type = FrameType::Delivery;
    if link == 0 {
        return Err(EncodeError::Link { frame: frame_type, link });
    }
    check_number(frame_type, tag)?;
    check_number(frame_type, u64::from(count))?;
    let head = Head { frame_type, kind: frame_type.value(), flags: 0, link };
    let mut fixed = [0; LONGEST_FIXED];
    fixed[..8].copy_from_slice(&tag.to_be_bytes());
    fixed[8..].copy_from_slice(&count.to_be_bytes());
    write_with_payload(head, fixed, payload, out)
}

/// Appends a `DELIVERY_WITH`, as [`encode`] does with [`Frame::DeliveryWith`].
///
/// # Errors
///
/// As [`encode`].
pub fn encode_delivery_with(
    link: LinkNumber,
    tag: u64,
    count: u32,
    retained: bool,
    options: &DeliveryOptions<'_>,
    payload: Payload<'_>,
    out: &mut SendQueue,
) -> Result<(), EncodeError> {
    let frame_type = FrameType::DeliveryWith;
    if link == 0 {
        return Err(EncodeError::Link { frame: frame_type, link });
    }
    check_number(frame_type, tag)?;
    check_number(frame_type, u64::from(count))?;
    let head = Head { frame_type, kind: frame_type.value(), flags: u16::from(retained), link };
    with::delivery(head, tag, count, options, payload, out)
}

fn encode_open(open: &Open<'_>, out: &mut SendQueue) -> Result<(), EncodeError> {
    let frame = FrameType::Open;
    if !open.publishes && !open.consumes {
        return Err(EncodeError::Field { frame, rule: "a link publishes, consumes or does both" });
    }
    if open.kind.0 == 0 {
        return Err(EncodeError::Field { frame, rule: "the kind of a channel is not 0" });
    }
    if open.arguments.len() > limits::MAX_ARGUMENTS as usize {
        return Err(EncodeError::Field { frame, rule: "the arguments have at most 4096 bytes" });
    }
    let name = name_bytes(&open.name);
    let flags = u16::from(open.publishes) | u16::from(open.consumes) << 1;
    let head = Head { frame_type: frame, kind: frame.value(), flags, link: open.link };
    head.write(2 + name.len() + open.arguments.len(), out)?;
    out.put(&open.kind.0.to_be_bytes());
    out.put(&name);
    out.put(open.arguments);
    Ok(())
}

/// A name behind its form and its length.
pub(super) fn name_bytes(name: &ChannelName<'_>) -> Vec<u8> {
    match name.form() {
        Form::Id(number) => [&[0, 8][..], &number.to_be_bytes()].concat(),
        Form::Bytes(bytes) => [&[1, bytes.len() as u8], bytes].concat(),
    }
}

#[inline]
pub(super) fn check_number(frame: FrameType, number: u64) -> Result<(), EncodeError> {
    match number {
        0 => Err(EncodeError::Field { frame, rule: "numbers, tags and counts begin with 1" }),
        _ => Ok(()),
    }
}

#[inline]
pub(super) fn check_range(frame: FrameType, first: u64, last: u64) -> Result<(), EncodeError> {
    check_number(frame, first)?;
    if last < first {
        return Err(EncodeError::Field { frame, rule: "a range does not end before it begins" });
    }
    Ok(())
}

fn short(frame: FrameType, text: &[u8], rule: &'static str) -> Result<u8, EncodeError> {
    u8::try_from(text.len()).map_err(|_| EncodeError::Field { frame, rule })
}

/// The longest prefix that fits into a frame and ends with a whole character.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(limits::MAX_TEXT as usize);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What a header says, but for the length.
pub(super) struct Head {
    pub(super) frame_type: FrameType,
    kind: u16,
    pub(super) flags: u16,
    link: u32,
}

impl Head {
    #[inline]
    pub(super) fn bytes(&self, body: usize) -> Result<[u8; HEADER as usize], EncodeError> {
        let Ok(length) = u32::try_from(HEADER as usize + body) else {
            return Err(EncodeError::Field { frame: self.frame_type, rule: "a frame is shorter than 4 GiB" });
        };
        let mut bytes = [0; HEADER as usize];
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.kind.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.flags.to_be_bytes());
        bytes[8..].copy_from_slice(&self.link.to_be_bytes());
        Ok(bytes)
    }

    fn write(&self, body: usize, out: &mut SendQueue) -> Result<(), EncodeError> {
        out.put(&self.bytes(body)?);
        Ok(())
    }
}

fn write_frame(
    frame_type: FrameType,
    link: u32,
    fixed: &[u8],
    variable: &[u8],
    out: &mut SendQueue,
) -> Result<(), EncodeError> {
    let head = Head { frame_type, kind: frame_type.value(), flags: 0, link };
    head.write(fixed.len() + variable.len(), out)?;
    out.put(fixed);
    out.put(variable);
    Ok(())
}

#[inline(always)]
fn write_with_payload<const N: usize>(
    head: Head,
    fixed: [u8; N],
    payload: Payload<'_>,
    out: &mut SendQueue,
) -> Result<(), EncodeError> {
    // Header and fixed part in one piece: this is the hot path, and each piece has its price.
    let mut start = [0; HEADER as usize + LONGEST_FIXED];
    let (header, rest) = start.split_at_mut(HEADER as usize);
    header.copy_from_slice(&head.bytes(N + payload.len())?);
    rest[..N].copy_from_slice(&fixed);
    out.put_with_payload(&start[..HEADER as usize + N], payload);
    Ok(())
}

/// The longest fixed part before a payload: a delivery's.
const LONGEST_FIXED: usize = 12;

/// The fixed part of a body, filled field by field.
struct Fixed<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Fixed<N> {
    fn new() -> Self {
        Fixed { bytes: [0; N], at: 0 }
    }

    #[inline]
    fn put<const K: usize>(mut self, field: &[u8; K]) -> Self {
        self.bytes[self.at..self.at + K].copy_from_slice(field);
        self.at += K;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn a_text_is_cut_at_a_character() {
        let text = "ä".repeat(600);
        assert_eq!(cut(&text).len(), 1024);
        let text = format!("x{text}");
        assert_eq!(cut(&text).len(), 1023);
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn what_cannot_be_encoded_writes_nothing() {
        let mut out = SendQueue::new();
        let payload = Payload::from("");
        let wrong = [
            Frame::Opened { link: 0 },
            Frame::Publish { link: 1, number: 0, confirm: false, payload },
            Frame::Confirmed { link: 1, upto: 0 },
            Frame::Delivery { link: 1, tag: 1, count: 0, payload },
            Frame::Ack { link: 1, first: 2, last: 1 },
            Frame::Refused { link: 1, first: 0, last: 1, code: ErrorCode::BUSY, text: "" },
            Frame::User { kind: 0x7FFF, flags: 0, link: 0, body: payload },
        ];
        for frame in wrong {
            assert!(encode(&frame, &mut out).is_err(), "{frame:?}");
            assert!(out.is_empty(), "{frame:?}");
        }
    }
}
