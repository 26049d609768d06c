//! Topics in the stock handler: links that publish on one or on many, subscriptions, and the way of a message to all of them.

use super::ConnectionHandler;
use super::client::{Client, Other, Publisher};
use super::delivering::sorry;
use super::opening::who_is;
use super::publishing::unwelcome;
use crate::core::{Context, DeliveryRun, Frames, Publish};
use crate::dialect::SendError;
use crate::native::Native;
use crate::owners::OwnerKey;
use crate::queue::Undeliverable;
use crate::reason::Reject;
use crate::topic::{
    BadTopic, RunId, RunOffer, SubscribeError, SubscribeOptions, SubscriberId, SubscriptionInfo, TopicFilter, TopicId,
    TopicLedger, TopicName, TopicOffer, TopicTurn, TopicsFull,
};
use msglib_proto::transport::ConnectionId;
use msglib_proto::{
    ChannelName, DeliveryOptions, ErrorCode, Frame, LinkNumber, Open, Payload, SettingsError, TopicSettings,
};

/// Whom a delivery is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubscriberKey {
    connection: ConnectionId,
    link: LinkNumber,
    /// Its filter means more than one topic, so it has to be told which.
    wants_names: bool,
}

/// A link to topics.
#[derive(Debug)]
pub(super) struct TopicEnd {
    subscriber: Option<SubscriberId>,
    to: To,
    pub(super) publisher: Option<Publisher>,
}

/// Where a link's publishes go.
#[derive(Debug)]
enum To {
    Nowhere,
    One(TopicId, Option<OwnerKey>),
    /// To those that this filter means; each publish says to which.
    Many(Box<str>),
}

impl To {
    fn one((topic, owner): (TopicId, Option<OwnerKey>)) -> To {
        To::One(topic, owner)
    }
}

impl ConnectionHandler {
    /// What became of every message on the topics so far.
    pub fn topic_ledger(&self) -> TopicLedger {
        self.topics.ledger()
    }

    /// Every subscription to topics.
    pub fn subscriptions(&self) -> impl Iterator<Item = SubscriptionInfo<'_>> {
        self.topics.subscriptions()
    }

    /// A topic is opened by the filter that is its link's name (PROTOCOL §16.2).
    pub(super) fn open_topic(&mut self, cx: &Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
        let filter = filter_of(open.name)?;
        let settings = TopicSettings::parse(open.arguments).map_err(bad_arguments)?;
        let options = options_of(&settings);
        let Some(client) = Client::find(&mut self.clients, from) else { return Ok(()) };
        let wants_names = filter.as_name().is_none();
        let key = SubscriberKey { connection: from, link: open.link, wants_names };
        let to = match filter.as_name() {
            _ if !open.publishes => To::Nowhere,
            Some(name) => self.topics.open_as(name, who_is(cx, from)).map(To::one).map_err(cannot_open)?,
            None => To::Many(filter.as_str().into()),
        };
        let subscribed = match open.consumes {
            true => self.topics.subscribe(filter, &options, key).map(Some).map_err(cannot_subscribe),
            false => Ok(None),
        };
        let subscriber = match subscribed {
            Ok(subscriber) => subscriber,
            Err(reject) => {
                self.close_to(&to);
                return Err(reject);
            }
        };
        let publisher = open.publishes.then(Publisher::default);
        client.others.insert(open.link, Other::Topic(TopicEnd { subscriber, to, publisher }));
        if open.publishes {
            self.mark_due(from, open.link);
        }
        Ok(())
    }

    /// A frame on a link to topics. An ACK changes nothing, for nothing is in flight (PROTOCOL §16.4).
    pub(super) fn topic_frame(
        &mut self,
        cx: &mut Context<'_>,
        from: ConnectionId,
        frame: &Frame<'_>,
    ) -> Result<(), Reject> {
        match *frame {
            Frame::Publish { link, number, confirm, payload } => {
                self.topic_publish(cx, from, link, Said { number, confirm, retain: false, topic: None }, payload)
            }
            Frame::PublishWith { link, number, confirm, retain, options, payload } => {
                self.topic_publish(cx, from, link, Said { number, confirm, retain, topic: options.topic }, payload)
            }
            Frame::Credit { link, upto } => {
                if let Some(subscriber) = self.topic_end(from, link).and_then(|end| end.subscriber) {
                    self.topics.allow(subscriber, upto);
                }
                Ok(())
            }
            Frame::Close { link } => {
                self.close_topic(cx, from, link, None);
                Ok(())
            }
            Frame::Settle { link, first, last, confirm: true, .. } => {
                let _ = cx.send(from, Frame::Settled { link, first, last, count: 0 });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The publishes that follow one on the same link.
    pub(super) fn topic_publishes(&mut self, cx: &mut Context<'_>, frames: &mut Frames<'_, Native>, link: LinkNumber) {
        while !self.topic_run(cx, frames, link) {}
    }

    /// As many of them, one at least, as those can take whom they are for; true if that was all.
    fn topic_run(&mut self, cx: &mut Context<'_>, frames: &mut Frames<'_, Native>, link: LinkNumber) -> bool {
        let from = frames.from();
        let Some(client) = Client::find(&mut self.clients, from) else { return true };
        let Some(Other::Topic(TopicEnd { to: To::One(topic, _), publisher: Some(publisher), .. })) =
            client.others.get_mut(&link)
        else {
            return true;
        };
        if unwelcome(cx).is_some() {
            return true;
        }
        let mut run = self.topics.run(self.queues.store_mut(), *topic);
        let is_over = loop {
            let Some(Publish { number, confirm, payload }) = frames.next_publish(cx, link) else { break true };
            match run.publish(payload) {
                Ok(_) => publisher.accepted(number, confirm),
                Err(full) => {
                    publisher.answered(number);
                    let (code, text) = (code_of(full), full.to_string());
                    let _ = cx.send(from, Frame::Refused { link, first: number, last: number, code, text: &text });
                }
            }
            if run.is_full() {
                break false;
            }
        };
        drop(run);
        self.after_publishing(cx);
        is_over
    }

    /// The step is over: what has arrived is offered to those whom it is for, and the next step has its own budget.
    pub(super) fn dispatch_topics(&mut self, cx: &mut Context<'_>) {
        self.offer_topics(cx);
        let taken = core::mem::take(&mut self.topics_taken);
        if self.topics.can_dispatch() {
            self.delivery_turns_cut += u64::from(taken >= self.config.deliveries_per_step.max(1));
            cx.continue_soon();
        }
    }

    fn offer_topics(&mut self, cx: &mut Context<'_>) {
        let (clients, shared) = (&mut self.clients, &mut self.shared);
        // What has the same number as before is not the same.
        shared.of = None;
        let mut refused = Vec::new();
        let budget = self.config.deliveries_per_step.max(1).saturating_sub(self.topics_taken);
        self.topics_taken += self.topics.dispatch_turns(self.queues.store_mut(), budget, |turn| {
            let SubscriberKey { connection, link, .. } = *turn.subscriber();
            deliver(cx, turn, shared).map_err(|error| match error {
                SendError::Full => {
                    if let Some(client) = Client::find(clients, connection) {
                        client.blocked.push(link);
                    }
                    Undeliverable::Full
                }
                _ => {
                    refused.push((connection, link, error));
                    Undeliverable::Gone
                }
            })
        });
        for (id, number, error) in refused {
            self.close_topic(cx, id, number, sorry(&error).as_ref());
        }
    }

    /// There is room again on the way to a subscriber.
    pub(super) fn unblock_subscriber(&mut self, from: ConnectionId, link: LinkNumber) {
        if let Some(subscriber) = self.topic_end(from, link).and_then(|end| end.subscriber) {
            self.topics.unblock(subscriber);
        }
    }

    /// A link to topics is over.
    pub(super) fn leave_topic(&mut self, end: &TopicEnd) {
        if let Some(subscriber) = end.subscriber {
            self.topics.unsubscribe(self.queues.store_mut(), subscriber);
        }
        self.close_to(&end.to);
    }

    fn close_to(&mut self, to: &To) {
        if let To::One(topic, owner) = *to {
            self.topics.close_as(topic, owner);
        }
    }

    fn topic_end(&mut self, from: ConnectionId, link: LinkNumber) -> Option<&mut TopicEnd> {
        match Client::find(&mut self.clients, from)?.others.get_mut(&link)? {
            Other::Topic(end) => Some(end),
            _ => None,
        }
    }

    fn topic_publish(
        &mut self,
        cx: &mut Context<'_>,
        from: ConnectionId,
        link: LinkNumber,
        said: Said<'_>,
        payload: Payload<'_>,
    ) -> Result<(), Reject> {
        let Some(client) = Client::find(&mut self.clients, from) else { return Ok(()) };
        let Some(Other::Topic(TopicEnd { to, publisher: Some(publisher), .. })) = client.others.get_mut(&link) else {
            return Ok(());
        };
        let (store, who) = (self.queues.store_mut(), who_is(cx, from));
        let published = match unwelcome(cx) {
            Some(reject) => Err(reject),
            None => match (&*to, said.topic) {
                (To::One(topic, _), _) => {
                    self.topics.publish_as(store, *topic, payload, said.retain, who).map_err(full)
                }
                (To::Many(filter), Some(topic)) => match TopicName::new(topic) {
                    Ok(name) if TopicFilter::trusted(filter).matches(name) => {
                        self.topics.publish_to_as(store, name, payload, said.retain, who).map_err(full)
                    }
                    Ok(_) => Err(bad_topic("the link's filter does not match this topic")),
                    Err(error) => Err(bad_name(error)),
                },
                (_, None) => Err(bad_topic("the link is for many topics, so each publish says to which")),
                (To::Nowhere, _) => Ok(0),
            },
        };
        match published {
            Ok(_) => publisher.accepted(said.number, said.confirm),
            Err(_) => publisher.answered(said.number),
        }
        self.mark_due(from, link);
        self.after_publishing(cx);
        published.map(|_| ())
    }

    /// A full buffer is no reason to lose something while its subscriber could take it; and who is too slow for a subscription that must
    /// not lose anything is told.
    fn after_publishing(&mut self, cx: &mut Context<'_>) {
        if self.topics.is_pressed() {
            self.offer_topics(cx);
        }
        if self.topics.has_disconnected() {
            let reject = Reject::new(ErrorCode::TOO_SLOW, "more waits for this subscription than may");
            for SubscriberKey { connection, link, .. } in self.topics.take_disconnected() {
                self.close_topic(cx, connection, link, Some(&reject));
            }
        }
    }

    /// What is due goes out before CLOSED does (PROTOCOL §5.4).
    fn close_topic(&mut self, cx: &mut Context<'_>, from: ConnectionId, link: LinkNumber, reason: Option<&Reject>) {
        let Some(client) = Client::find(&mut self.clients, from) else { return };
        let Some(Other::Topic(mut end)) = client.take_other(link) else { return };
        if let Some(publisher) = &mut end.publisher {
            publisher.send_last_outcomes(cx, from, link);
        }
        if let Some(reject) = reason {
            let _ = cx.send(from, Frame::Closed { link, code: reject.code(), text: reject.text() });
        }
        self.leave_topic(&end);
    }
}

/// What a publisher says of a message.
struct Said<'a> {
    number: u64,
    confirm: bool,
    retain: bool,
    topic: Option<&'a [u8]>,
}

/// Deliveries that several subscribers get, encoded for the first of them.
#[derive(Debug, Default)]
pub(super) struct Shared {
    run: DeliveryRun,
    /// Of which messages, and whether with their names; `None` for none.
    of: Option<(RunId, bool)>,
    /// Not if these are too much for one piece.
    is_whole: bool,
}

impl Shared {
    /// The deliveries of these messages, if it is worth it: if they are several, and on their way to others as well.
    fn encode(&mut self, offer: &RunOffer<'_>, wants_names: bool) -> Option<&DeliveryRun> {
        /// With fewer, what was encoded before is better kept.
        const SEVERAL: usize = 4;
        if offer.len() < SEVERAL {
            return None;
        }
        let of = Some((offer.id(), wants_names));
        if self.of == of {
            return self.is_whole.then_some(&self.run);
        }
        if !offer.is_shared() {
            return None;
        }
        self.of = of;
        self.run.clear();
        let topic = wants_names.then_some(offer.topic().as_str().as_bytes());
        let options = DeliveryOptions { topic, ..DeliveryOptions::default() };
        self.is_whole = offer.payloads().all(|payload| self.run.push(payload, &options));
        self.is_whole.then_some(&self.run)
    }
}

fn deliver(
    cx: &mut Context<'_>,
    turn: &mut TopicTurn<'_, SubscriberKey>,
    shared: &mut Shared,
) -> Result<(), SendError> {
    let SubscriberKey { connection, link, wants_names } = *turn.subscriber();
    let mut deliveries = cx.deliveries(connection, link)?;
    loop {
        if let Some(offer) = turn.run()
            && let Some(run) = shared.encode(&offer, wants_names)
            && deliveries.send_run(run).is_ok()
        {
            turn.take_run();
            continue;
        }
        let Some(offer) = turn.next() else { return Ok(()) };
        match offer {
            TopicOffer::Message { tag, topic, payload, is_retained } => {
                let sent = match wants_names || is_retained {
                    true => {
                        let topic = wants_names.then_some(topic.as_str().as_bytes());
                        let options = DeliveryOptions { topic, ..DeliveryOptions::default() };
                        deliveries.send_with(1, payload, is_retained, &options)?
                    }
                    false => deliveries.send(1, payload)?,
                };
                debug_assert_eq!(sent, tag, "the topics and the link count the same deliveries");
            }
            TopicOffer::Gap { lost } => deliveries.gap(lost)?,
        }
    }
}

fn filter_of(name: ChannelName<'_>) -> Result<TopicFilter<'_>, Reject> {
    let bytes = name.as_bytes().ok_or_else(|| bad_topic("a topic's name is a text, and no number"))?;
    TopicFilter::new(bytes).map_err(bad_name)
}

/// PROTOCOL §16.3.
fn options_of(settings: &TopicSettings) -> SubscribeOptions<'_> {
    let mut options = SubscribeOptions::default();
    options.group = settings.group.as_deref();
    options.overflow = settings.overflow.map(Into::into).unwrap_or_default();
    options.buffer = settings.buffer;
    options.retained = settings.retained.unwrap_or(options.retained);
    options
}

fn bad_arguments(error: SettingsError) -> Reject {
    Reject::new(ErrorCode::BAD_ARGUMENTS, error.to_string())
}

fn cannot_open(full: TopicsFull) -> Reject {
    Reject::new(ErrorCode::TOO_MANY_CHANNELS, full.to_string())
}

fn cannot_subscribe(error: SubscribeError) -> Reject {
    let code = match error {
        SubscribeError::GroupDiffers => ErrorCode::DECLARED_OTHERWISE,
        SubscribeError::TooMany(_) => ErrorCode::TOO_MANY_CHANNELS,
    };
    Reject::new(code, error.to_string())
}

fn full(full: TopicsFull) -> Reject {
    Reject::new(code_of(full), full.to_string())
}

fn code_of(full: TopicsFull) -> ErrorCode {
    match full {
        TopicsFull::Bytes { .. } => ErrorCode::BUSY,
        TopicsFull::Retained { .. } | TopicsFull::Identity => ErrorCode::QUEUE_FULL,
        TopicsFull::Topics { .. } => ErrorCode::TOO_MANY_CHANNELS,
    }
}

fn bad_name(error: BadTopic) -> Reject {
    Reject::new(ErrorCode::BAD_NAME, error.to_string())
}

fn bad_topic(why: &'static str) -> Reject {
    Reject::new(ErrorCode::BAD_NAME, why)
}
