//! The stock handler: queues as most would want them, built on the parts in [`queue`](crate::queue).

mod admission;
mod alarms;
mod channels;
mod client;
mod clock;
mod config;
mod consumer_key;
mod counters;
mod delivering;
mod departing;
mod info;
mod opening;
mod operations;
mod others;
mod producing;
mod publishing;
mod queues;
mod services;
mod settings;
mod settling;
mod topics;
mod unused;

pub use admission::Admission;
pub use config::StockConfig;
pub use consumer_key::ConsumerKey;
pub use counters::{StockCounters, StockLoad};
pub use info::{QueueInfo, QueueState};
pub use operations::DeclareError;
pub use services::ServiceInfo;

use crate::channel::Channel;
use crate::core::{Context, Frames};
use crate::event::Event;
use crate::handler::Handler;
use crate::native::Native;
use crate::policy::Policy;
use crate::queue::{Ledger, NewMessage, Producers, Store};
use crate::reason::Reject;
use crate::topic::Topics;
use admission::OpenDoor;
use alarms::Alarms;
use channels::Channels;
use client::{Client, Link};
use clock::Clock;
use core::fmt;
use core::time::Duration;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{
    ChannelKind, ChannelName, ErrorCode, Feature, Frame, Instant, LinkNumber, PublishOptions, Settling, Verdict,
};
use operations::Chores;
use queues::{QueueIndex, Queues};
use services::Services;
use std::collections::VecDeque;
use topics::{Shared, SubscriberKey};

/// A broker of work queues: at least once, with credit, acks, refusals and redelivery; and as much of what a [`Queue`](crate::Queue) can do as
/// its configuration says.
///
/// Queues are made when they are first opened, or [declared](ConnectionHandler::declare) by the program. A message that was accepted is
/// delivered until a consumer acks it, or until what its queue's configuration says happens to it; what a consumer held when it went away
/// comes back at the front, its count raised. A queue at its limit refuses new messages, with the reason, unless it is told to drop some.
/// Everything is in memory: when the broker ends, so does what it held.
///
/// Single decisions can be the user's own: see [`Policy`].
///
/// ```
/// use msglib_broker::{ConnectionHandler, QueueConfig, StockConfig};
///
/// let small = QueueConfig::default().with_max_messages(1000);
/// let handler = ConnectionHandler::with_config(StockConfig::default().with_queue(small));
/// assert_eq!(handler.queues().count(), 0);
/// ```
pub struct ConnectionHandler {
    config: StockConfig,
    queues: Queues,
    topics: Topics<SubscriberKey>,
    /// Deliveries of topics in this step.
    topics_taken: usize,
    shared: Shared,
    services: Services,
    channels: Channels,
    admission: Box<dyn Admission>,
    policy: Option<Box<dyn Policy>>,
    /// By the index of the connection.
    clients: Vec<Option<Client>>,
    /// Links whose publisher is due an outcome or credit, each once.
    due: Vec<(ConnectionId, LinkNumber)>,
    /// Queues that may have something to dispatch, each once.
    dirty: VecDeque<QueueIndex>,
    alarms: Alarms,
    chores: Chores,
    delivery_turns_cut: u64,
    chore_turns_cut: u64,
    clock: Clock,
}

impl ConnectionHandler {
    /// The stock handler with its defaults.
    pub fn new() -> ConnectionHandler {
        ConnectionHandler::with_config(StockConfig::default())
    }

    /// The stock handler with another configuration.
    pub fn with_config(config: StockConfig) -> ConnectionHandler {
        let store = Store::new().with_max_messages(config.max_messages).with_max_bytes(config.max_bytes);
        let window = config.publish_window.clamp(1_024, 65_536);
        let producers = Producers::new(config.max_producers, window);
        ConnectionHandler {
            queues: Queues::new(store, producers, &config),
            topics: Topics::new(config.topics.clone()),
            topics_taken: 0,
            shared: Shared::default(),
            services: Services::default(),
            channels: Channels::default(),
            admission: Box::new(OpenDoor),
            config,
            policy: None,
            clients: Vec::new(),
            due: Vec::new(),
            dirty: VecDeque::new(),
            alarms: Alarms::default(),
            chores: Chores::default(),
            delivery_turns_cut: 0,
            chore_turns_cut: 0,
            clock: Clock::default(),
        }
    }

    /// With somebody who decides who may come in, and open what.
    #[must_use]
    pub fn with_admission(mut self, admission: impl Admission + 'static) -> ConnectionHandler {
        self.admission = Box::new(admission);
        self
    }

    /// With channels of another kind, which `make` makes, one for each name that is opened.
    ///
    /// # Panics
    ///
    /// When the kind is below [`ChannelKind::USER`]: those are the protocol's own (PROTOCOL §12.3).
    #[must_use]
    pub fn with_channel<C: Channel + 'static>(
        mut self,
        kind: ChannelKind,
        mut make: impl FnMut(ChannelName<'_>) -> C + Send + 'static,
    ) -> ConnectionHandler {
        assert!(kind >= ChannelKind::USER, "{kind} is not of the user's range");
        self.channels.register(kind, Box::new(move |name| Box::new(make(name))));
        self
    }

    /// How many channels of the user's own kinds there are.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// With decisions of the user's own. To be called before there is a queue, for those that are there are not asked again.
    #[must_use]
    pub fn with_policy(mut self, policy: impl Policy + 'static) -> ConnectionHandler {
        self.policy = Some(Box::new(policy));
        self
    }

    /// Its configuration.
    pub fn config(&self) -> &StockConfig {
        &self.config
    }

    /// Every queue that exists, in an order that stays the same: that in which they were made, but for the places of queues that are gone.
    pub fn queues(&self) -> impl Iterator<Item = QueueInfo<'_>> {
        self.queues.iter()
    }

    /// One queue; `None` if there is none by that name.
    pub fn queue<'n>(&self, name: impl Into<ChannelName<'n>>) -> Option<QueueInfo<'_>> {
        self.queues.find(name.into()).and_then(|index| self.queues.info(index))
    }

    /// Messages in all queues, and the bytes that they count for.
    pub fn held(&self) -> (usize, usize) {
        (self.queues.store().payloads(), self.queues.store().bytes())
    }

    /// What became of every message of every queue so far, those included that were deleted since. Looks at all queues.
    pub fn ledger(&self) -> Ledger {
        self.queues.ledger()
    }

    /// Deliveries that nobody has settled, and requests that have no outcome yet. Looks at all queues and services.
    fn unsettled_in_all(&self) -> usize {
        let in_flight = self.queues().map(|queue| queue.ledger.in_flight as usize).sum::<usize>();
        in_flight + self.open_requests()
    }

    fn connected(&mut self, id: ConnectionId) {
        if self.clients.len() <= id.index() {
            self.clients.resize_with(id.index() + 1, || None);
        }
        self.clients[id.index()] = Some(Client::new(id));
    }

    fn frame(&mut self, cx: &mut Context<'_>, from: ConnectionId, frame: &Frame<'_>) -> Result<(), Reject> {
        if let Some(result) = self.other_frame(cx, from, frame) {
            return result;
        }
        match *frame {
            Frame::Publish { link, number, confirm, payload } => {
                self.publish_from(cx, (from, link), number, confirm, payload.into())?;
            }
            Frame::Ack { link, first, last } => self.ack(cx, (from, link), first..=last),
            Frame::Refuse { link, first, last, verdict } => {
                let told = match verdict {
                    Verdict::Again => Settling::Again { delay_ms: None, priority: None },
                    Verdict::ForGood => Settling::ForGood,
                };
                self.settle(cx, (from, link), first..=last, told);
            }
            Frame::PublishWith { link, number, confirm, options, payload, .. } => {
                let message = with_options(payload.into(), &options);
                self.publish_from(cx, (from, link), number, confirm, message)?;
            }
            Frame::Producer { link, id, base } => self.produce(cx, (from, link), id, base),
            Frame::Settle { link, first, last, confirm, settling } => {
                let count = self.settle(cx, (from, link), first..=last, settling);
                if confirm {
                    let _ = cx.send(from, Frame::Settled { link, first, last, count });
                }
            }
            Frame::Credit { link, upto } => self.with_consumer(cx, (from, link), |queue, _, consumer| {
                queue.allow(consumer, upto);
            }),
            Frame::Hello(ref hello) => self.admission.admit(cx, from, hello)?,
            Frame::Open(ref open) => self.ask_to_open(cx, from, open)?,
            Frame::Close { link } => self.close_link(cx, from, link),
            Frame::User { kind, .. } => {
                let text = format!("this broker knows no frames of type 0x{kind:04X}");
                return Err(Reject::new(ErrorCode::UNKNOWN_TYPE, text));
            }
            // The rest never comes to a handler.
            _ => {}
        }
        Ok(())
    }

    /// The client's CLOSE: what is due goes out before CLOSED does (PROTOCOL §5.4).
    fn close_link(&mut self, cx: &mut Context<'_>, from: ConnectionId, number: LinkNumber) {
        let Some(client) = Client::find(&mut self.clients, from) else { return };
        let Some(mut link) = client.remove(number) else { return };
        if let Some(publisher) = &mut link.publisher {
            publisher.send_last_outcomes(cx, from, number);
        }
        self.leave(cx, &link);
    }

    fn disconnected(&mut self, cx: &mut Context<'_>, id: ConnectionId) {
        let Some(slot) = self.clients.get_mut(id.index()) else { return };
        let Some(client) = slot.take_if(|client| client.id == id) else { return };
        self.forget(cx, client);
    }

    /// A client is gone, and leaves all that it had a link to.
    fn forget(&mut self, cx: &mut Context<'_>, mut client: Client) {
        let others = core::mem::take(&mut client.others).into_iter().collect();
        self.leave_others(cx, client.id, others);
        for link in client.into_links() {
            self.leave(cx, &link);
        }
    }

    /// A client has left a queue: what it held comes back.
    fn leave(&mut self, cx: &mut Context<'_>, link: &Link) {
        if let Some(consumer) = link.consumer {
            let now = self.clock.now();
            let (queue, store) = self.queues.get_mut(link.queue);
            queue.remove_consumer(store, now, consumer);
        }
        if let Some(producing) = &link.producer {
            self.queues.producers.close(producing.producer);
        }
        self.changed(cx, link.queue);
        self.queues.unlink(link.queue, self.clock.now());
    }

    /// There is room again on a connection: its consumers may have deliveries.
    fn drained(&mut self, cx: &mut Context<'_>, id: ConnectionId) {
        let Some(client) = Client::find(&mut self.clients, id) else { return };
        for number in client.take_blocked() {
            self.with_consumer(cx, (id, number), |queue, _, consumer| queue.unblock(consumer));
        }
    }

    /// After everything that can change what there is to dispatch, what is due, or who has left.
    #[inline]
    fn changed(&mut self, cx: &mut Context<'_>, index: QueueIndex) {
        if self.queues.slot(index).queue.is_special() {
            self.changed_special(cx, index);
        }
        self.mark_dirty(index);
    }

    #[cold]
    fn changed_special(&mut self, cx: &mut Context<'_>, index: QueueIndex) {
        self.see_off(cx, index);
        self.alarms.touch(&mut self.queues, index);
    }

    #[inline]
    fn mark_dirty(&mut self, queue: QueueIndex) {
        if self.queues.mark_dirty(queue) {
            self.dirty.push_back(queue);
        }
    }

    /// What time it is for the queues.
    #[inline]
    fn now(&mut self, cx: &Context<'_>) -> Instant {
        self.clock.read(cx.now())
    }
}

/// What may go on with the next frame.
enum Run {
    Publishes(LinkNumber),
    Acks(LinkNumber),
}

impl Run {
    fn begin(frame: &Frame<'_>) -> Option<Run> {
        match *frame {
            Frame::Publish { link, .. } => Some(Run::Publishes(link)),
            Frame::Ack { link, .. } => Some(Run::Acks(link)),
            _ => None,
        }
    }
}

/// What a publisher says of a message; a topic means nothing to a queue (PROTOCOL §15.2).
fn with_options<'a>(message: NewMessage<'a>, options: &PublishOptions<'a>) -> NewMessage<'a> {
    NewMessage {
        priority: options.priority.map_or(0, u32::from),
        key: options.key,
        ttl: options.ttl_ms.map(Duration::from_millis),
        delay: options.delay_ms.map(Duration::from_millis),
        ..message
    }
}

impl Handler for ConnectionHandler {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        self.now(cx);
        match event {
            Event::Frame { from, ref frame } => return self.frame(cx, from, frame),
            Event::Connected { id, .. } => self.connected(id),
            Event::Disconnected { id, .. } => self.disconnected(cx, id),
            Event::Drained { id } => {
                self.drained(cx, id);
                self.others_drained(cx, id);
            }
            Event::Answered { from, refusal, .. } => return self.answered(cx, from, refusal),
            Event::Timer { timer, .. } => {
                if !self.service_timer(cx, timer) && !self.channel_timer(cx, timer) {
                    self.ring(cx, timer);
                }
            }
            Event::NoMoreInput { .. } => {}
        }
        Ok(())
    }

    fn features(&self) -> u64 {
        Feature::Queues.bit() | Feature::Topics.bit() | Feature::Requests.bit()
    }

    fn unsettled(&self) -> usize {
        self.unsettled_in_all()
    }

    /// Whoever was connected to an earlier broker is gone, and gives back what they held.
    fn started(&mut self, cx: &mut Context<'_>) {
        self.forget_channel_timers();
        self.forget_service_timer();
        for client in core::mem::take(&mut self.clients).into_iter().flatten() {
            self.forget(cx, client);
        }
        self.due.clear();
        self.alarms.forget_timer();
        self.clock.begin();
    }

    /// As `handle` would, but for the runs.
    fn frames(&mut self, cx: &mut Context<'_>, mut frames: Frames<'_, Native>) {
        self.now(cx);
        let from = frames.from();
        let mut run = None;
        while frames.handle_next(cx, |cx, frame| {
            run = Run::begin(&frame);
            self.frame(cx, from, &frame)
        }) {
            match run.take() {
                // A policy is asked for each message.
                Some(Run::Publishes(link)) => {
                    if self.policy.is_none() {
                        self.publishes(cx, &mut frames, link);
                    }
                    self.topic_publishes(cx, &mut frames, link);
                }
                Some(Run::Acks(link)) => self.acks(cx, &mut frames, link),
                _ => {}
            }
        }
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        self.now(cx);
        self.do_chores(cx);
        // Deliveries first: what is queued first is written first, and a consumer waits for its message more than a publisher for
        // its confirm.
        self.dispatch(cx);
        self.dispatch_topics(cx);
        self.dispatch_services(cx);
        self.send_outcomes(cx);
        self.set_timer(cx);
    }
}

impl Default for ConnectionHandler {
    fn default() -> ConnectionHandler {
        ConnectionHandler::new()
    }
}

impl fmt::Debug for ConnectionHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionHandler")
            .field("config", &self.config)
            .field("queues", &self.queues.iter().collect::<Vec<_>>())
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}
