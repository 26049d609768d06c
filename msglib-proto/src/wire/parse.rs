//! From bytes to frames: one whole frame at a time, strictly (PROTOCOL §2, §3).

use super::channel::{ChannelKind, ChannelName};
use super::code::ErrorCode;
use super::frame::{Frame, Hello, Open, Verdict, Welcome};
use super::frame_type::{FrameType, Scope};
use super::limits;
use super::parse_with as with;
use super::payload::Payload;
use super::violation::{ProtocolError, Violation};
use bytes::Bytes;

/// A header that has passed every check that needs no body (PROTOCOL §2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) length: u32,
    pub(crate) frame_type: FrameType,
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) link: u32,
    pub(crate) max_payload: u32,
}

/// Checks a header, in the order of PROTOCOL §2.6, so that a frame is refused before its body is buffered. `start` is where in
/// the stream the frame begins.
#[inline]
pub(crate) fn header(
    bytes: &[u8; limits::HEADER as usize],
    max_payload: u32,
    features: u64,
    start: u64,
) -> Result<Header, ProtocolError> {
    let fault = |at, violation| Err(ProtocolError { offset: start + at, violation });
    let [l0, l1, l2, l3, t0, t1, f0, f1, k0, k1, k2, k3] = *bytes;
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    let kind = u16::from_be_bytes([t0, t1]);
    let flags = u16::from_be_bytes([f0, f1]);
    let link = u32::from_be_bytes([k0, k1, k2, k3]);
    if length < limits::HEADER {
        return fault(0, Violation::ShorterThanHeader { length });
    }
    let Some(frame) = FrameType::from_value(kind).filter(|frame| frame.is_known(features)) else {
        return fault(4, Violation::UnknownType { value: kind });
    };
    let foreign = flags & !frame.flags();
    if foreign != 0 {
        return fault(6, Violation::Flags { frame, flags: foreign });
    }
    let wrong_link = match frame.scope() {
        Scope::Connection => link != 0,
        Scope::Link => link == 0,
        Scope::Any => false,
    };
    if wrong_link {
        return fault(8, Violation::LinkField { frame, link });
    }
    if let Some(violation) = length_fault(frame, length, max_payload) {
        return fault(0, violation);
    }
    Ok(Header { length, frame_type: frame, kind, flags, link, max_payload })
}

#[inline]
fn length_fault(frame: FrameType, length: u32, max_payload: u32) -> Option<Violation> {
    let min = limits::HEADER + frame.min_body();
    let payload = max_payload.saturating_add(frame.max_options());
    let max = min.saturating_add(frame.max_variable().unwrap_or(payload));
    if (min..=max).contains(&length) {
        return None;
    }
    let by_limit = length > max && frame.max_variable().is_none();
    Some(match by_limit {
        true => Violation::TooLarge { frame, length, max },
        false => Violation::Length { frame, length, min, max },
    })
}

/// Parses the body behind a checked header. `owner` is the block that holds just this frame, if there is one; `start` is where
/// in the stream the frame begins.
///
/// The result has the form in which the decoder returns it: a frame is large, and to move it costs as much as to parse it.
#[inline]
pub(crate) fn body<'a>(
    header: Header,
    bytes: &'a [u8],
    owner: Option<&'a Bytes>,
    start: u64,
) -> Result<Option<Frame<'a>>, ProtocolError> {
    let mut body = Body { frame: header.frame_type, bytes, at: 0, start };
    let link = header.link;
    Ok(Some(match header.frame_type {
        FrameType::Hello => Frame::Hello(hello(&mut body)?),
        FrameType::Welcome => Frame::Welcome(welcome(&mut body)?),
        FrameType::Goodbye => Frame::Goodbye { code: body.code(), text: body.text()? },
        FrameType::Error => Frame::Error { code: body.code(), offset: body.u64(), text: body.text()? },
        FrameType::Ping => Frame::Ping { token: body.u64() },
        FrameType::Pong => Frame::Pong { token: body.u64() },
        FrameType::Open => Frame::Open(open(header, &mut body)?),
        FrameType::Opened => Frame::Opened { link },
        FrameType::Close => Frame::Close { link },
        FrameType::Closed => Frame::Closed { link, code: body.code(), text: body.text()? },
        FrameType::Credit => Frame::Credit { link, upto: body.u64() },
        FrameType::Publish => {
            let (number, confirm) = (body.number()?, header.flags & 1 != 0);
            Frame::Publish { link, number, confirm, payload: body.payload(owner) }
        }
        FrameType::Confirmed => Frame::Confirmed { link, upto: body.number()? },
        FrameType::Refused => {
            let (first, last) = body.range()?;
            Frame::Refused { link, first, last, code: body.code(), text: body.text()? }
        }
        FrameType::Delivery => {
            let (tag, count) = (body.number()?, body.count()?);
            Frame::Delivery { link, tag, count, payload: body.payload(owner) }
        }
        FrameType::Ack => {
            let (first, last) = body.range()?;
            Frame::Ack { link, first, last }
        }
        FrameType::Refuse => {
            let (first, last) = body.range()?;
            Frame::Refuse { link, first, last, verdict: body.verdict()? }
        }
        FrameType::GoingAway => Frame::GoingAway { deadline_ms: body.u32() },
        FrameType::PublishWith => with::publish(header, &mut body, owner)?,
        FrameType::Producer => Frame::Producer { link, id: with::producer_id(&mut body)?, base: body.u64() },
        FrameType::DeliveryWith => with::delivery(header, &mut body, owner)?,
        FrameType::Settle => with::settle(header, &mut body)?,
        FrameType::Settled => {
            let (first, last) = body.range()?;
            Frame::Settled { link, first, last, count: body.u64() }
        }
        FrameType::Gap => Frame::Gap { link, lost: body.number()? },
        FrameType::Request => {
            let (number, deadline_ms) = (body.number()?, body.u32());
            Frame::Request { link, number, deadline_ms, payload: body.payload(owner) }
        }
        FrameType::Reply => Frame::Reply { link, number: body.number()?, payload: body.payload(owner) },
        FrameType::NoReply => Frame::NoReply { link, number: body.number()?, code: body.code(), text: body.text()? },
        FrameType::User => Frame::User { kind: header.kind, flags: header.flags, link, body: body.payload(owner) },
    }))
}

fn hello<'a>(body: &mut Body<'a>) -> Result<Hello<'a>, ProtocolError> {
    if body.take(4) != limits::MAGIC {
        return Err(body.violation_at(0, Violation::Magic));
    }
    let (min_version, max_version) = (body.u16(), body.u16());
    if min_version > max_version || min_version == 0 {
        return Err(body.fault_at(4, "the versions must be 1 or more, the oldest first"));
    }
    let (features, max_payload, idle_ms) = (body.u64(), body.u32(), body.u32());
    let lengths_at = body.at;
    let (name, mechanism, credentials) = (body.u8() as usize, body.u8() as usize, body.u16() as usize);
    if name + mechanism + credentials != body.left() {
        return Err(body.fault_at(lengths_at, "the three lengths must add up to the rest of the frame"));
    }
    let (name, mechanism) = (body.short_text(name)?, body.short_text(mechanism)?);
    let credentials = body.take(credentials);
    Ok(Hello { min_version, max_version, features, max_payload, idle_ms, name, mechanism, credentials })
}

fn welcome<'a>(body: &mut Body<'a>) -> Result<Welcome<'a>, ProtocolError> {
    let version = body.u16();
    if version == 0 {
        return Err(body.fault_at(0, "the version must be 1 or more"));
    }
    let (features, max_payload, max_links, idle_ms) = (body.u64(), body.u32(), body.u32(), body.u32());
    let length_at = body.at;
    let name = body.u8() as usize;
    if name != body.left() {
        return Err(body.fault_at(length_at, "the name's length must be the rest of the frame"));
    }
    Ok(Welcome { version, features, max_payload, max_links, idle_ms, name: body.short_text(name)? })
}

fn open<'a>(header: Header, body: &mut Body<'a>) -> Result<Open<'a>, ProtocolError> {
    let (publishes, consumes) = (header.flags & 1 != 0, header.flags & 2 != 0);
    if !publishes && !consumes {
        let violation = Violation::Field { frame: body.frame, rule: "a link publishes, consumes or does both" };
        return Err(ProtocolError { offset: body.start + 6, violation });
    }
    let kind = ChannelKind(body.u16());
    if kind.0 == 0 {
        return Err(body.fault_at(0, "the kind of a channel is not 0"));
    }
    let name = body.name()?;
    let arguments_at = body.at;
    let arguments = body.rest();
    if arguments.len() > limits::MAX_ARGUMENTS as usize {
        return Err(body.fault_at(arguments_at, "the arguments have at most 4096 bytes"));
    }
    Ok(Open { link: header.link, publishes, consumes, kind, name, arguments })
}

/// Reads the fields of one body. The fixed part is known to be there, for the header's length was checked.
pub(super) struct Body<'a> {
    frame: FrameType,
    bytes: &'a [u8],
    pub(super) at: usize,
    /// Where in the stream the frame begins.
    start: u64,
}

impl<'a> Body<'a> {
    #[inline]
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    pub(super) fn take(&mut self, n: usize) -> &'a [u8] {
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        taken
    }

    #[inline]
    fn rest(&mut self) -> &'a [u8] {
        self.take(self.left())
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N));
        array
    }

    #[inline]
    pub(super) fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    #[inline]
    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    #[inline]
    pub(super) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    #[inline]
    pub(super) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    pub(super) fn code(&mut self) -> ErrorCode {
        ErrorCode::new(self.u16())
    }

    /// A number or tag: 1 or more.
    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, ProtocolError> {
        let at = self.at;
        match self.u64() {
            0 => Err(self.fault_at(at, "numbers and tags begin with 1")),
            number => Ok(number),
        }
    }

    #[inline]
    pub(super) fn count(&mut self) -> Result<u32, ProtocolError> {
        let at = self.at;
        match self.u32() {
            0 => Err(self.fault_at(at, "the count of a delivery begins with 1")),
            count => Ok(count),
        }
    }

    #[inline]
    pub(super) fn range(&mut self) -> Result<(u64, u64), ProtocolError> {
        let first = self.number()?;
        let at = self.at;
        let last = self.u64();
        if last < first {
            return Err(self.fault_at(at, "a range does not end before it begins"));
        }
        Ok((first, last))
    }

    /// The name of a channel, its form and its length first.
    pub(super) fn name(&mut self) -> Result<ChannelName<'a>, ProtocolError> {
        let at = self.at;
        let (form, length) = (self.u8(), self.u8() as usize);
        match (form, length) {
            (0, 8) if self.left() >= 8 => Ok(ChannelName::id(self.u64())),
            (1, 1..) if self.left() >= length => {
                let name = ChannelName::bytes(self.take(length));
                name.map_err(|_| self.fault_at(at + 1, "a name has 1 to 255 bytes"))
            }
            (0 | 1, _) => Err(self.fault_at(at + 1, "an id has 8 bytes, a name 1 to 255, and they must be there")),
            _ => Err(self.fault_at(at, "the form of a name is 0 (id) or 1 (bytes)")),
        }
    }

    fn verdict(&mut self) -> Result<Verdict, ProtocolError> {
        let at = self.at;
        Verdict::from_value(self.u8()).ok_or_else(|| self.fault_at(at, "the verdict is 0 (again) or 1 (for good)"))
    }

    fn text(&mut self) -> Result<&'a str, ProtocolError> {
        self.short_text(self.left())
    }

    fn short_text(&mut self, length: usize) -> Result<&'a str, ProtocolError> {
        let at = self.at;
        core::str::from_utf8(self.take(length))
            .map_err(|error| self.fault_at(at + error.valid_up_to(), "text is UTF-8"))
    }

    #[inline]
    pub(super) fn payload(&mut self, owner: Option<&'a Bytes>) -> Payload<'a> {
        Payload::part_of(self.rest(), owner)
    }

    pub(super) fn fault_at(&self, at: usize, rule: &'static str) -> ProtocolError {
        self.violation_at(at, Violation::Field { frame: self.frame, rule })
    }

    #[cold]
    pub(super) fn violation_at_start(&self, violation: Violation) -> ProtocolError {
        ProtocolError { offset: self.start, violation }
    }

    #[cold]
    pub(super) fn violation_at(&self, at: usize, violation: Violation) -> ProtocolError {
        ProtocolError { offset: self.start + u64::from(limits::HEADER) + at as u64, violation }
    }
}
