//! A message that is kept, with all that was said when it was published.

use crate::connection::Batch;
use crate::error::Error;
use bytes::Bytes;
use msglib_proto::{Payload, PublishOptions};

pub(super) struct Message {
    payload: Bytes,
    /// Without what is borrowed.
    options: PublishOptions<'static>,
    key: Option<Bytes>,
    topic: Option<Bytes>,
}

impl Message {
    pub(super) fn new(payload: Payload<'_>, options: &PublishOptions<'_>) -> Message {
        let PublishOptions { delay_ms, ttl_ms, priority, key, topic } = *options;
        Message {
            payload: payload.share(),
            options: PublishOptions { delay_ms, ttl_ms, priority, key: None, topic: None },
            key: key.map(Bytes::copy_from_slice),
            topic: topic.map(Bytes::copy_from_slice),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.payload.len()
    }

    pub(super) fn publish(&self, batch: &mut Batch<'_>) -> Result<u64, Error> {
        let (key, topic) = (self.key.as_deref(), self.topic.as_deref());
        batch.publish_with(&self.payload, &PublishOptions { key, topic, ..self.options })
    }
}
