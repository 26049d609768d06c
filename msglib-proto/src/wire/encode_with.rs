//! The encoding of frames with optional fields (PROTOCOL §14.3, §15.4).

use super::encode::{EncodeError, Head, check_number, check_range, name_bytes};
use super::payload::Payload;
use super::send_queue::SendQueue;
use super::with::{Cause, DeliveryOptions, PublishOptions, Settling};

pub(super) fn publish(
    head: Head,
    number: u64,
    options: &PublishOptions<'_>,
    payload: Payload<'_>,
    out: &mut SendQueue,
) -> Result<(), EncodeError> {
    check_number(head.frame_type, number)?;
    let PublishOptions { delay_ms, ttl_ms, priority, key, topic } = *options;
    let mut fields = Fields::new(&head);
    fields.put(0, delay_ms.map(u64::to_be_bytes));
    fields.put(1, ttl_ms.map(u64::to_be_bytes));
    fields.put(2, priority.map(|priority| [priority]));
    fields.put_bytes(3, key)?;
    fields.put_bytes(4, topic)?;
    fields.says_something(head.flags & 2 != 0)?;
    write(&head, &[&number.to_be_bytes(), &fields.set(), &fields.bytes], payload, out)
}

pub(super) fn delivery(
    head: Head,
    tag: u64,
    count: u32,
    options: &DeliveryOptions<'_>,
    payload: Payload<'_>,
    out: &mut SendQueue,
) -> Result<(), EncodeError> {
    let DeliveryOptions { id, priority, key, topic, cause } = *options;
    let mut fields = Fields::new(&head);
    fields.put(0, id.map(u64::to_be_bytes));
    fields.put(1, priority.map(|priority| [priority]));
    fields.put_bytes(2, key)?;
    fields.put_bytes(3, topic)?;
    fields.put_cause(4, cause)?;
    fields.says_something(head.flags & 1 != 0)?;
    write(&head, &[&tag.to_be_bytes(), &count.to_be_bytes(), &fields.set(), &fields.bytes], payload, out)
}

pub(super) fn settle(
    head: Head,
    first: u64,
    last: u64,
    settling: Settling,
    out: &mut SendQueue,
) -> Result<(), EncodeError> {
    check_range(head.frame_type, first, last)?;
    let mut fields = Fields::new(&head);
    let set;
    let behind: &[u8] = match settling {
        Settling::Ack | Settling::ForGood => &[],
        Settling::Again { delay_ms, priority } => {
            fields.put(0, delay_ms.map(u64::to_be_bytes));
            fields.put(1, priority.map(|priority| [priority]));
            set = fields.set();
            &set
        }
        Settling::Extend { lease_ms } => {
            fields.bytes.extend(lease_ms.to_be_bytes());
            &[]
        }
    };
    let parts = [&first.to_be_bytes()[..], &last.to_be_bytes(), &[settling.value()], behind, &fields.bytes];
    write(&head, &parts, Payload::from(&[]), out)
}

fn write(head: &Head, parts: &[&[u8]], payload: Payload<'_>, out: &mut SendQueue) -> Result<(), EncodeError> {
    let fixed: usize = parts.iter().map(|part| part.len()).sum();
    let mut start = Vec::with_capacity(64 + fixed);
    start.extend(head.bytes(fixed + payload.len())?);
    parts.iter().for_each(|part| start.extend_from_slice(part));
    out.put_with_payload(&start, payload);
    Ok(())
}

/// Optional fields, and which of them there are.
struct Fields<'h> {
    head: &'h Head,
    bits: u16,
    bytes: Vec<u8>,
}

impl<'h> Fields<'h> {
    fn new(head: &'h Head) -> Fields<'h> {
        Fields { head, bits: 0, bytes: Vec::new() }
    }

    fn set(&self) -> [u8; 2] {
        self.bits.to_be_bytes()
    }

    fn put<const N: usize>(&mut self, bit: u32, field: Option<[u8; N]>) {
        if let Some(field) = field {
            self.bits |= 1 << bit;
            self.bytes.extend(field);
        }
    }

    fn put_bytes(&mut self, bit: u32, field: Option<&[u8]>) -> Result<(), EncodeError> {
        let Some(field) = field else { return Ok(()) };
        let Some(length) = u8::try_from(field.len()).ok().filter(|length| *length > 0) else {
            return Err(self.fault("a key and a topic have 1 to 255 bytes"));
        };
        self.put(bit, Some([length]));
        self.bytes.extend_from_slice(field);
        Ok(())
    }

    fn put_cause(&mut self, bit: u32, cause: Option<Cause<'_>>) -> Result<(), EncodeError> {
        let Some(Cause { reason, count, hops, first_ms, source }) = cause else { return Ok(()) };
        if count == 0 {
            return Err(self.fault("the count of a cause begins with 1"));
        }
        self.put(bit, Some(reason.value().to_be_bytes()));
        self.bytes.extend(count.to_be_bytes());
        self.bytes.push(hops);
        self.bytes.extend(first_ms.to_be_bytes());
        self.bytes.extend(name_bytes(&source));
        Ok(())
    }

    fn says_something(&self, flag: bool) -> Result<(), EncodeError> {
        match self.bits == 0 && !flag {
            true => Err(self.fault("without a field and a flag it is the plain frame")),
            false => Ok(()),
        }
    }

    fn fault(&self, rule: &'static str) -> EncodeError {
        EncodeError::Field { frame: self.head.frame_type, rule }
    }
}
