//! A frame in words.

use msglib_proto::{ChannelKind, Frame};

/// A frame as a person reads it: a payload by the number of its message.
pub(super) fn words(frame: &Frame<'_>) -> String {
    let message = |payload: &[u8]| {
        payload.first_chunk().map_or_else(|| "?".to_owned(), |number| u64::from_be_bytes(*number).to_string())
    };
    match *frame {
        Frame::Publish { link, number, confirm, payload } => {
            let confirm = if confirm { ", confirm" } else { "" };
            format!(
                "PUBLISH link {link} number {number}: message {}, {} bytes{confirm}",
                message(&payload),
                payload.len()
            )
        }
        Frame::Delivery { link, tag, count, payload } => {
            format!(
                "DELIVERY link {link} tag {tag} count {count}: message {}, {} bytes",
                message(&payload),
                payload.len()
            )
        }
        Frame::Open(ref open) => {
            let what = match (open.publishes, open.consumes) {
                (true, true) => "publish and consume",
                (true, false) => "publish",
                _ => "consume",
            };
            let kind = match open.kind {
                ChannelKind::TOPIC => "topic",
                ChannelKind::SERVICE => "service",
                _ => "queue",
            };
            format!("OPEN link {} to {kind} {}, to {what}", open.link, open.name)
        }
        Frame::Hello(_) => "HELLO".to_owned(),
        Frame::Welcome(_) => "WELCOME".to_owned(),
        ref other => format!("{other:?}"),
    }
}
