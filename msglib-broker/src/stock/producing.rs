//! Publishers that have a name of their own, so that a retry after a lost connection is not a second message (PROTOCOL §15.6).

use super::ConnectionHandler;
use super::client::{Client, Why};
use super::queues::QueueIndex;
use crate::core::Context;
use crate::queue::{Judgement, NewMessage, Producer};
use crate::reason::Reject;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{ErrorCode, LinkNumber};

/// The producer of one link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Producing {
    pub(super) producer: Producer<QueueIndex>,
    /// The publish with number n on the link has the sequence `base` + n.
    base: u64,
}

impl ConnectionHandler {
    /// The client says who publishes. If nobody more can be remembered, its link ends.
    pub(super) fn produce(
        &mut self,
        cx: &mut Context<'_>,
        (from, link): (ConnectionId, LinkNumber),
        id: u128,
        base: u64,
    ) {
        let Some(open) = Client::find(&mut self.clients, from).and_then(|client| client.get_mut(link)) else { return };
        match self.queues.producers.open(open.queue, id) {
            Ok(producer) => open.producer = Some(Box::new(Producing { producer, base })),
            Err(error) => {
                self.queues.counters.producer_limits += 1;
                self.end_link(cx, from, link, Some((ErrorCode::BUSY, error.to_string())));
            }
        }
    }

    /// As [`accept`](ConnectionHandler::accept), but for what was accepted before.
    #[cold]
    pub(super) fn accept_once(
        &mut self,
        cx: &mut Context<'_>,
        from: ConnectionId,
        Producing { producer, base }: Producing,
        number: u64,
        message: NewMessage<'_>,
    ) -> Result<(), Why> {
        let refusal = |code, text: &'static str| Err(Why::Other(Reject::new(code, text)));
        let Some(sequence) = base.checked_add(number) else {
            return refusal(
                ErrorCode::NOT_ALLOWED,
                "the base of the producer and the number of the publish are above 2^64 - 1",
            );
        };
        match self.queues.producers.judge(producer, sequence) {
            Judgement::New => {}
            Judgement::AcceptedBefore => return Ok(()),
            Judgement::TooOld => {
                return refusal(ErrorCode::TOO_OLD, "nobody knows any more whether this publish was accepted before");
            }
        }
        self.accept(cx, Some(from), producer.queue(), message)?;
        self.queues.producers.accepted(producer, sequence);
        Ok(())
    }
}
