//! The format of msglib 0.2.0, the Python package that this project grew out of.
//!
//! A message is a number of fields, itself a field, and then the fields. A field is one byte below `0x80` that stands for itself; or
//! `0x80 | n` (n < 64) and n bytes; or `0xC0 | m`, a length of m bytes, and so many bytes. Integers are big-endian.

use msglib_broker::{Dialect, FrameBuffer, Payload, Peer, SendError};
use msglib_proto::SendQueue;
use std::ops::Range;

/// The most bytes of one field: 16 MiB. The format has no limit of its own, but memory has.
pub(crate) const MAX_FIELD: usize = 16 << 20;

/// What a client asks for. It never negotiates, and only a pull is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Request<'a> {
    /// The fields 1 (queue), 1 (publish), the queue's id, and the payload unless it is empty.
    Publish { queue: u64, payload: &'a [u8] },
    /// The fields 1 (queue), 2 (pull), the queue's id. Waits for a message.
    Pull { queue: u64 },
}

/// What is wrong with what a client has sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the message at byte {offset} of the stream: {why}")]
pub(crate) struct Broken {
    pub(crate) offset: u64,
    pub(crate) why: Why,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Why {
    #[error("it has {0} fields, and not 3 or 4")]
    Fields(u64),
    #[error("a field has {0} bytes, and at most {MAX_FIELD} are taken")]
    FieldTooLong(u64),
    #[error("a number has {0} bytes, and at most 8 are taken")]
    NumberTooLong(usize),
    #[error("channels of type {0}: there are queues only, which are 1")]
    ChannelType(u64),
    #[error("command {0}: a publish is 1, a pull is 2")]
    Command(u64),
    #[error("a pull has no payload")]
    PullWithPayload,
}

pub(crate) struct Ancestor;

impl Dialect for Ancestor {
    type Decoder = FrameBuffer;
    type Session = ();
    type Frame<'a> = Request<'a>;
    /// The message that a pull has waited for.
    type Answer<'a> = Payload<'a>;
    type Error = Broken;

    fn open(&self, _: &Peer) -> (FrameBuffer, ()) {
        (FrameBuffer::new(), ())
    }

    fn decode<'a, 'i: 'a>(buffer: &'a mut FrameBuffer, input: &mut &'i [u8]) -> Result<Option<Request<'a>>, Broken> {
        let offset = buffer.offset();
        let message = buffer.next(input, measure).map_err(|why| Broken { offset, why })?;
        message.map(parse).transpose().map_err(|why| Broken { offset, why })
    }

    fn send(&self, (): &mut (), payload: &Payload<'_>, out: &mut SendQueue) -> Result<(), SendError> {
        out.put(&[1]); // field
        let length = payload.len().to_be_bytes();
        let length = &length[payload.len().leading_zeros() as usize / 8..];
        match payload.len() {
            1 if payload[0] < 0x80 => {}
            0..64 => out.put(&[0x80 | payload.len() as u8]),
            _ => {
                out.put(&[0xC0 | length.len() as u8]);
                out.put(length);
            }
        }
        out.put_payload(*payload);
        Ok(())
    }
}

/// How long the message at the front is, as far as that can be told.
fn measure(front: &[u8]) -> Result<usize, Why> {
    let count = field(front, 0)?;
    let mut end = count.end;
    if end <= front.len() {
        let fields = number(&front[count])?;
        if !(3..=4).contains(&fields) {
            return Err(Why::Fields(fields));
        }
        for _ in 0..fields {
            end = field(front, end)?.end;
            if end > front.len() {
                break;
            }
        }
    }
    Ok(end)
}

/// Where the content of the field is that begins at `at`. It ends beyond the bytes that are there if they are too few, also to
/// tell where it ends.
fn field(bytes: &[u8], at: usize) -> Result<Range<usize>, Why> {
    let Some(&first) = bytes.get(at) else { return Ok(at..at + 1) };
    let (short, start) = (usize::from(first & 0x3F), at + 1);
    match first {
        0..0x80 => Ok(at..start),
        0x80..0xC0 => Ok(start..start + short),
        0xC0.. => {
            let Some(length) = bytes.get(start..start + short) else { return Ok(start..start + short) };
            let length = number(length)?;
            if length > MAX_FIELD as u64 {
                return Err(Why::FieldTooLong(length));
            }
            let start = start + short;
            Ok(start..start + length as usize)
        }
    }
}

fn number(bytes: &[u8]) -> Result<u64, Why> {
    if bytes.len() > 8 {
        return Err(Why::NumberTooLong(bytes.len()));
    }
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// What a whole message asks for.
fn parse(message: &[u8]) -> Result<Request<'_>, Why> {
    let mut at = field(message, 0)?.end;
    let mut next = || {
        let content = field(message, at)?;
        at = content.end;
        Ok(&message[content])
    };
    let (channel, command, queue) = (number(next()?)?, number(next()?)?, number(next()?)?);
    let payload = if at < message.len() { Some(&message[field(message, at)?]) } else { None };
    match (channel, command, payload) {
        (1, 1, payload) => Ok(Request::Publish { queue, payload: payload.unwrap_or_default() }),
        (1, 2, None) => Ok(Request::Pull { queue }),
        (1, 2, Some(_)) => Err(Why::PullWithPayload),
        (1, command, _) => Err(Why::Command(command)),
        (channel, ..) => Err(Why::ChannelType(channel)),
    }
}
