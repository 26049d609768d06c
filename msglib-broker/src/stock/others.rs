//! Links that do not lead to a queue: what they are, and who looks after them.

use super::ConnectionHandler;
use super::channels::ChannelEnd;
use super::client::{Client, Publisher};
use super::services::ServiceEnd;
use super::topics::TopicEnd;
use crate::core::Context;
use crate::reason::Reject;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{Frame, LinkNumber};

/// Where such a link leads to.
#[derive(Debug)]
pub(super) enum Other {
    Channel(ChannelEnd),
    Topic(TopicEnd),
    Service(ServiceEnd),
}

/// The same, without what there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Where {
    Channel,
    Topic,
    Service,
}

impl Other {
    pub(super) fn publisher(&mut self) -> Option<&mut Publisher> {
        match self {
            Other::Channel(end) => end.publisher.as_mut(),
            Other::Topic(end) => end.publisher.as_mut(),
            Other::Service(_) => None,
        }
    }

    fn place(&self) -> Where {
        match self {
            Other::Channel(_) => Where::Channel,
            Other::Topic(_) => Where::Topic,
            Other::Service(_) => Where::Service,
        }
    }
}

impl ConnectionHandler {
    /// Acts on a frame whose link does not lead to a queue; `None` for all others.
    pub(super) fn other_frame(
        &mut self,
        cx: &mut Context<'_>,
        from: ConnectionId,
        frame: &Frame<'_>,
    ) -> Option<Result<(), Reject>> {
        Some(match self.place(from, frame.link())? {
            Where::Channel => self.channel_frame(cx, from, frame),
            Where::Topic => self.topic_frame(cx, from, frame),
            Where::Service => self.service_frame(cx, from, frame),
        })
    }

    /// There is room again on a connection: those that were refused it are told.
    pub(super) fn others_drained(&mut self, cx: &mut Context<'_>, id: ConnectionId) {
        let Some(client) = Client::find(&mut self.clients, id) else { return };
        for number in client.take_blocked_others() {
            match self.place(id, number) {
                Some(Where::Channel) => self.channel_drained(cx, id, number),
                Some(Where::Topic) => self.unblock_subscriber(id, number),
                Some(Where::Service) => self.unblock_service(id, number),
                None => {}
            }
        }
    }

    /// A client is gone, with all its links.
    pub(super) fn leave_others(&mut self, cx: &mut Context<'_>, id: ConnectionId, others: Vec<(LinkNumber, Other)>) {
        for (number, other) in others {
            match other {
                Other::Channel(end) => self.leave_channel(cx, id, number, &end),
                Other::Topic(end) => self.leave_topic(&end),
                Other::Service(end) => self.leave_service(&end),
            }
        }
    }

    fn place(&self, from: ConnectionId, link: LinkNumber) -> Option<Where> {
        let client = self.clients.get(from.index())?.as_ref().filter(|client| client.id == from)?;
        client.others.get(&link).map(Other::place)
    }
}
