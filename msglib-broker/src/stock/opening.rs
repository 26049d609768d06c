//! Links begin: who may open what, to which channel it leads, and the queue that is made for it.

use super::ConnectionHandler;
use super::admission::OwnedOpen;
use super::client::{Client, Link, Publisher};
use super::consumer_key::ConsumerKey;
use super::queues::{NewQueue, QueueIndex};
use crate::core::Context;
use crate::identity::Identity;
use crate::owners::Who;
use crate::queue::QueueConfig;
use crate::reason::Reject;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{ChannelKind, ChannelName, ErrorCode, Feature, Open};

impl ConnectionHandler {
    pub(super) fn ask_to_open(
        &mut self,
        cx: &mut Context<'_>,
        from: ConnectionId,
        open: &Open<'_>,
    ) -> Result<(), Reject> {
        self.admission.open(cx, from, open)?;
        if !cx.is_answered_later(from) {
            return self.open(cx, from, open);
        }
        if let Some(client) = Client::find(&mut self.clients, from) {
            client.asked = Some(Box::new(OwnedOpen::new(open)));
        }
        Ok(())
    }

    /// What was put off is decided. If it was an OPEN, it is opened now.
    pub(super) fn answered(
        &mut self,
        cx: &mut Context<'_>,
        from: ConnectionId,
        refusal: Option<&Reject>,
    ) -> Result<(), Reject> {
        let asked = Client::find(&mut self.clients, from).and_then(|client| client.asked.take());
        match asked.filter(|_| refusal.is_none()) {
            Some(asked) => self.open(cx, from, &asked.borrow()),
            None => Ok(()),
        }
    }

    fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
        if self.channels.knows(open.kind) {
            return self.open_channel(cx, from, open);
        }
        match open.kind {
            ChannelKind::QUEUE => {}
            ChannelKind::TOPIC if has(cx, from, Feature::Topics) => return self.open_topic(cx, from, open),
            ChannelKind::SERVICE if has(cx, from, Feature::Requests) => return self.open_service(cx, from, open),
            kind => return Err(unknown_kind(kind)),
        }
        if !open.arguments.is_empty() && !has(cx, from, Feature::Queues) {
            return Err(Reject::new(ErrorCode::BAD_ARGUMENTS, "a queue takes no arguments"));
        }
        if Client::find(&mut self.clients, from).is_none() {
            return Ok(());
        }
        let index = self.open_told(cx, from, open)?;
        self.queues.link(index);
        let key = ConsumerKey { connection: from, link: open.link };
        let consumer = open.consumes.then(|| self.queues.get_mut(index).0.add_consumer(key));
        let publisher = open.publishes.then(Publisher::default);
        if let Some(client) = Client::find(&mut self.clients, from) {
            client.put(open.link, Link { queue: index, consumer, publisher, producer: None });
        }
        if open.publishes {
            // Its first credit goes out with this step.
            self.mark_due(from, open.link);
        }
        Ok(())
    }

    /// The queue of that name, which is made if it is not there, for `who`.
    pub(super) fn open_queue(
        &mut self,
        cx: &Context<'_>,
        name: ChannelName<'_>,
        config: Option<QueueConfig>,
        who: Who<'_>,
    ) -> Result<QueueIndex, Reject> {
        let policy = &mut self.policy;
        let order = || policy.as_mut()?.order(name);
        let hash_secret = cx.hash_secret();
        let (index, is_new) =
            self.queues.open(name, NewQueue { config: config.map(Into::into), who, hash_secret }, order)?;
        if is_new && self.policy.is_some() {
            self.queues.get_mut(index).0.watch();
        }
        Ok(index)
    }
}

/// For whom a client makes something.
pub(super) fn who_is<'a>(cx: &'a Context<'_>, client: ConnectionId) -> Who<'a> {
    Who::Client(cx.identity(client).map_or("", Identity::name))
}

fn has(cx: &Context<'_>, id: ConnectionId, feature: Feature) -> bool {
    cx.session(id).is_some_and(|session| feature.is_in(session.features()))
}

pub(super) fn unknown_kind(kind: ChannelKind) -> Reject {
    Reject::new(ErrorCode::UNKNOWN_KIND, format!("this broker has no channels of {kind}"))
}
