//! Clients who begin frames and do not finish them, so that the broker has to keep what has come: many of them are more than it has room for.

use crate::learn::{Act, Script};
use msglib_client::{Session, SessionConfig};
use msglib_proto::{ChannelKind, ChannelName, Frame, Payload, SendQueue, encode};

/// Of the largest payload that the broker takes.
const PAYLOAD: usize = 60 * 1024;

/// Greets, opens a link, and publishes one message but for its last bytes.
///
/// # Errors
///
/// What cannot be encoded.
pub(crate) fn script() -> crate::Result<Script> {
    let mut session = Session::new(&SessionConfig::default())?;
    let link = session.open(ChannelKind::QUEUE, ChannelName::bytes(b"hoard")?, true, false)?;
    let mut queue = SendQueue::new();
    let payload = vec![7; PAYLOAD];
    encode(&Frame::Publish { link, number: 1, confirm: false, payload: Payload::from(&payload[..]) }, &mut queue)?;
    let mut bytes = [session.pending().to_vec(), queue.to_vec()].concat();
    bytes.truncate(bytes.len() - 100);
    Ok(vec![Act::Write(bytes), Act::Stay])
}
