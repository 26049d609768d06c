//! The frames with optional fields: a set of bits, and then the values of those that are set (PROTOCOL §14.3, §15.4).

use super::frame::Frame;
use super::limits::HEADER;
use super::parse::{Body, Header};
use super::payload::Payload;
use super::violation::{ProtocolError, Violation};
use super::with::{Cause, DeliveryOptions, PublishOptions, Settling};
use bytes::Bytes;

const IS_CUT_OFF: &str = "a field that the set names must be there";
const IS_EMPTY: &str = "a key and a topic have 1 byte at least";

pub(super) fn publish<'a>(
    header: Header,
    body: &mut Body<'a>,
    owner: Option<&'a Bytes>,
) -> Result<Frame<'a>, ProtocolError> {
    let (confirm, retain) = (header.flags & 1 != 0, header.flags & 2 != 0);
    let number = body.number()?;
    let set = Set::take(body, 5)?;
    set.says_something(body, retain)?;
    let options = PublishOptions {
        delay_ms: set.u64(0, body)?,
        ttl_ms: set.u64(1, body)?,
        priority: set.u8(2, body)?,
        key: set.bytes(3, body)?,
        topic: set.bytes(4, body)?,
    };
    let payload = payload(header, body, owner)?;
    Ok(Frame::PublishWith { link: header.link, number, confirm, retain, options, payload })
}

pub(super) fn delivery<'a>(
    header: Header,
    body: &mut Body<'a>,
    owner: Option<&'a Bytes>,
) -> Result<Frame<'a>, ProtocolError> {
    let retained = header.flags & 1 != 0;
    let (tag, count) = (body.number()?, body.count()?);
    let set = Set::take(body, 5)?;
    set.says_something(body, retained)?;
    let options = DeliveryOptions {
        id: set.u64(0, body)?,
        priority: set.u8(1, body)?,
        key: set.bytes(2, body)?,
        topic: set.bytes(3, body)?,
        cause: if set.has(4) { Some(cause(body)?) } else { None },
    };
    let payload = payload(header, body, owner)?;
    Ok(Frame::DeliveryWith { link: header.link, tag, count, retained, options, payload })
}

fn cause<'a>(body: &mut Body<'a>) -> Result<Cause<'a>, ProtocolError> {
    const FIXED: usize = 2 + 4 + 1 + 8 + 2;
    need(body, FIXED)?;
    let (reason, count, hops, first_ms) = (body.code(), body.count()?, body.u8(), body.u64());
    Ok(Cause { reason, count, hops, first_ms, source: body.name()? })
}

pub(super) fn settle<'a>(header: Header, body: &mut Body<'a>) -> Result<Frame<'a>, ProtocolError> {
    let (first, last) = body.range()?;
    let at = body.at;
    let settling = match body.u8() {
        0 => Settling::Ack,
        1 => {
            need(body, 2)?;
            let set = Set::take(body, 2)?;
            Settling::Again { delay_ms: set.u64(0, body)?, priority: set.u8(1, body)? }
        }
        2 => Settling::ForGood,
        3 => {
            need(body, 8)?;
            Settling::Extend { lease_ms: body.u64() }
        }
        _ => return Err(body.fault_at(at, "a settling is 0 (ack), 1 (again), 2 (for good) or 3 (extend)")),
    };
    if body.left() > 0 {
        return Err(body.fault_at(body.at, "nothing follows the fields of a settling"));
    }
    Ok(Frame::Settle { link: header.link, first, last, confirm: header.flags & 1 != 0, settling })
}

pub(super) fn producer_id(body: &mut Body<'_>) -> Result<u128, ProtocolError> {
    let at = body.at;
    match u128::from_be_bytes(body.array()) {
        0 => Err(body.fault_at(at, "a producer's id is not 0")),
        id => Ok(id),
    }
}

/// The optional fields do not count as payload, and the payload is what the receiver has a limit for (PROTOCOL §2.2).
fn payload<'a>(header: Header, body: &mut Body<'a>, owner: Option<&'a Bytes>) -> Result<Payload<'a>, ProtocolError> {
    let fixed = HEADER + body.at as u32;
    let max = fixed.saturating_add(header.max_payload);
    if header.length > max {
        let Header { frame_type: frame, length, .. } = header;
        return Err(body.violation_at_start(Violation::TooLarge { frame, length, max }));
    }
    Ok(body.payload(owner))
}

fn need(body: &Body<'_>, bytes: usize) -> Result<(), ProtocolError> {
    if body.left() < bytes { Err(body.fault_at(body.at, IS_CUT_OFF)) } else { Ok(()) }
}

/// Which of the optional fields are there.
#[derive(Clone, Copy)]
struct Set {
    bits: u16,
    at: usize,
}

impl Set {
    fn take(body: &mut Body<'_>, known: u32) -> Result<Set, ProtocolError> {
        let at = body.at;
        let bits = body.u16();
        match bits >> known {
            0 => Ok(Set { bits, at }),
            _ => Err(body.fault_at(at, "the set names a field that there is not")),
        }
    }

    /// There is one way to say nothing, which is the frame without optional fields.
    fn says_something(self, body: &Body<'_>, flag: bool) -> Result<(), ProtocolError> {
        match self.bits == 0 && !flag {
            true => Err(body.fault_at(self.at, "without a field and a flag it is the plain frame")),
            false => Ok(()),
        }
    }

    fn has(self, bit: u32) -> bool {
        self.bits >> bit & 1 != 0
    }

    fn u64(self, bit: u32, body: &mut Body<'_>) -> Result<Option<u64>, ProtocolError> {
        if !self.has(bit) {
            return Ok(None);
        }
        need(body, 8)?;
        Ok(Some(body.u64()))
    }

    fn u8(self, bit: u32, body: &mut Body<'_>) -> Result<Option<u8>, ProtocolError> {
        if !self.has(bit) {
            return Ok(None);
        }
        need(body, 1)?;
        Ok(Some(body.u8()))
    }

    /// A length of one byte, and so many bytes, 1 at least.
    fn bytes<'a>(self, bit: u32, body: &mut Body<'a>) -> Result<Option<&'a [u8]>, ProtocolError> {
        let Some(length) = self.u8(bit, body)? else { return Ok(None) };
        if length == 0 {
            return Err(body.fault_at(body.at - 1, IS_EMPTY));
        }
        need(body, length.into())?;
        Ok(Some(body.take(length.into())))
    }
}
