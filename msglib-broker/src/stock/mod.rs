//! The stock handler: queues as most would want them, built on the parts in [`queue`](crate::Queue).

mod client;
mod config;
mod queues;

pub use config::StockConfig;
pub use queues::QueueInfo;

use crate::core::{Context, Frames, Publish};
use crate::dialect::SendError;
use crate::event::Event;
use crate::handler::Handler;
use crate::native::Native;
use crate::queue::{Again, ConsumerId, Offer, Queue, Settling, Store, Turn, Undeliverable};
use crate::reason::Reject;
use client::{Client, Link, Publisher};
use core::ops::RangeInclusive;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{ChannelKind, ChannelName, ErrorCode, Frame, Instant, LinkNumber, Open, Payload, Verdict};
use queues::{ConsumerKey, QueueIndex, Queues};
use std::collections::VecDeque;

/// A broker of work queues: first-in-first-out, at least once, credit, acks, refusals, redelivery.
///
/// Queues are made when they are first opened. A message that was accepted is delivered until a consumer acks it or refuses it
/// for good; what a consumer held when it went away is given back at the front, its count raised. A queue at its limit refuses
/// new messages, with the reason. Everything is in memory: when the broker ends, so does what it held.
///
/// ```
/// use msglib_broker::{ConnectionHandler, QueueConfig, StockConfig};
///
/// let small = QueueConfig::default().with_max_messages(1000);
/// let handler = ConnectionHandler::with_config(StockConfig::default().with_queue(small));
/// assert_eq!(handler.queues().count(), 0);
/// ```
#[derive(Debug, Default)]
pub struct ConnectionHandler {
    config: StockConfig,
    queues: Queues,
    /// By the index of the connection.
    clients: Vec<Option<Client>>,
    /// Links whose publisher is due an outcome or credit, each once.
    due: Vec<(ConnectionId, LinkNumber)>,
    /// Queues that may have something to dispatch, each once.
    dirty: VecDeque<QueueIndex>,
}

impl ConnectionHandler {
    /// The stock handler with its defaults.
    pub fn new() -> ConnectionHandler {
        ConnectionHandler::default()
    }

    /// The stock handler with another configuration.
    pub fn with_config(config: StockConfig) -> ConnectionHandler {
        ConnectionHandler { config, ..ConnectionHandler::default() }
    }

    /// Every queue that exists, in the order in which they were made.
    pub fn queues(&self) -> impl Iterator<Item = QueueInfo<'_>> {
        self.queues.iter()
    }

    /// One queue; `None` if nobody has opened it yet.
    pub fn queue<'n>(&self, name: impl Into<ChannelName<'n>>) -> Option<QueueInfo<'_>> {
        self.queues.find(name.into()).map(|index| self.queues.info(index))
    }

    fn connected(&mut self, id: ConnectionId) {
        if self.clients.len() <= id.index() {
            self.clients.resize_with(id.index() + 1, || None);
        }
        self.clients[id.index()] = Some(Client::new(id));
    }

    fn frame(&mut self, cx: &mut Context<'_>, from: ConnectionId, frame: &Frame<'_>) -> Result<(), Reject> {
        match *frame {
            Frame::Publish { link, number, confirm, payload } => {
                self.publish(cx.now(), from, link, number, confirm, payload);
            }
            Frame::Ack { link, first, last } => self.settle(from, link, |queue, store, consumer| {
                queue.ack(store, cx.now(), consumer, first..=last);
            }),
            Frame::Refuse { link, first, last, verdict } => self.settle(from, link, |queue, store, consumer| {
                let settling = match verdict {
                    Verdict::Again => Settling::Again(Again::default()),
                    Verdict::ForGood => Settling::ForGood,
                };
                queue.settle(store, cx.now(), consumer, first..=last, settling);
            }),
            Frame::Credit { link, upto } => self.settle(from, link, |queue, _, consumer| {
                queue.allow(consumer, upto);
            }),
            Frame::Open(ref open) => self.open(cx, from, open)?,
            Frame::Close { link } => self.close_link(cx, from, link),
            Frame::User { kind, .. } => {
                let text = format!("this broker knows no frames of type 0x{kind:04X}");
                return Err(Reject::new(ErrorCode::UNKNOWN_TYPE, text));
            }
            // HELLO: everyone is welcome. The rest never comes to a handler.
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
        if open.kind != ChannelKind::QUEUE {
            let text = format!("this broker has queues only, and no channels of {}", open.kind);
            return Err(Reject::new(ErrorCode::UNKNOWN_KIND, text));
        }
        if !open.arguments.is_empty() {
            return Err(Reject::new(ErrorCode::BAD_ARGUMENTS, "a queue takes no arguments"));
        }
        let Some(client) = Client::find(&mut self.clients, from) else { return Ok(()) };
        let queue = self.queues.open(open.name, &self.config, cx.hash_secret())?;
        let consumer = open
            .consumes
            .then(|| self.queues.get_mut(queue).0.add_consumer(ConsumerKey { connection: from, link: open.link }));
        let publisher = open.publishes.then(Publisher::default);
        client.put(open.link, Link { queue, consumer, publisher });
        if open.publishes {
            // Its first credit goes out with this step.
            self.mark_due(from, open.link);
        }
        Ok(())
    }

    fn publish(
        &mut self,
        now: Instant,
        from: ConnectionId,
        link: LinkNumber,
        number: u64,
        confirm: bool,
        payload: Payload<'_>,
    ) {
        let Some(open) = Client::find(&mut self.clients, from).and_then(|client| client.get_mut(link)) else { return };
        let (index, Some(publisher)) = (open.queue, &mut open.publisher) else { return };
        let (queue, store) = self.queues.get_mut(index);
        match queue.push(store, now, payload) {
            Ok(_) => publisher.accepted(number, confirm),
            Err(full) => publisher.refused(number, full),
        }
        if !publisher.is_due {
            publisher.is_due = true;
            self.due.push((from, link));
        }
        self.mark_dirty(index);
    }

    /// The publishes that follow one on the same link, which has marked what is to be done at the end of the step.
    fn publishes(&mut self, cx: &mut Context<'_>, frames: &mut Frames<'_, Native>, link: LinkNumber) {
        let from = frames.from();
        let Some(open) = Client::find(&mut self.clients, from).and_then(|client| client.get_mut(link)) else { return };
        let (index, Some(publisher)) = (open.queue, &mut open.publisher) else { return };
        let (queue, store) = self.queues.get_mut(index);
        while let Some(Publish { number, confirm, payload }) = frames.next_publish(cx, link) {
            if queue.push_plain(store, payload).is_some() {
                publisher.accepted(number, confirm);
                continue;
            }
            match queue.push(store, cx.now(), payload) {
                Ok(_) => publisher.accepted(number, confirm),
                Err(full) => publisher.refused(number, full),
            }
        }
        self.mark_dirty(index);
    }

    /// The acks that follow one on the same link; those of consecutive tags are one.
    fn acks(&mut self, cx: &mut Context<'_>, frames: &mut Frames<'_, Native>, link: LinkNumber) {
        let from = frames.from();
        let now = cx.now();
        let mut ack = |tags: RangeInclusive<u64>| {
            self.settle(from, link, |queue, store, consumer| {
                queue.ack(store, now, consumer, tags);
            });
        };
        let Some(mut run) = frames.next_ack(cx, link) else { return };
        while let Some(next) = frames.next_ack(cx, link) {
            match run.end().checked_add(1) == Some(*next.start()) {
                true => run = *run.start()..=*next.end(),
                false => ack(core::mem::replace(&mut run, next)),
            }
        }
        ack(run);
    }

    /// Does something that may make room for deliveries, on the consumer of a link.
    fn settle(
        &mut self,
        from: ConnectionId,
        link: LinkNumber,
        act: impl FnOnce(&mut Queue<ConsumerKey>, &mut Store, ConsumerId),
    ) {
        let Some(open) = Client::find(&mut self.clients, from).and_then(|client| client.get_mut(link)) else { return };
        let (index, Some(consumer)) = (open.queue, open.consumer) else { return };
        let (queue, store) = self.queues.get_mut(index);
        act(queue, store, consumer);
        self.mark_dirty(index);
    }

    /// The client's CLOSE: what is due goes out before CLOSED does (PROTOCOL §5.4).
    fn close_link(&mut self, cx: &mut Context<'_>, from: ConnectionId, number: LinkNumber) {
        let Some(client) = Client::find(&mut self.clients, from) else { return };
        let Some(mut link) = client.remove(number) else { return };
        if let Some(publisher) = &mut link.publisher {
            publisher.send_last_outcomes(cx, from, number);
        }
        self.leave(cx.now(), &link);
    }

    fn disconnected(&mut self, cx: &Context<'_>, id: ConnectionId) {
        let Some(slot) = self.clients.get_mut(id.index()) else { return };
        let Some(client) = slot.take_if(|client| client.id == id) else { return };
        for link in client.into_links() {
            self.leave(cx.now(), &link);
        }
    }

    /// A client has left a queue: what it held is given back.
    fn leave(&mut self, now: Instant, link: &Link) {
        if let Some(consumer) = link.consumer {
            let (queue, store) = self.queues.get_mut(link.queue);
            queue.remove_consumer(store, now, consumer);
        }
        self.mark_dirty(link.queue);
        self.queues.close(link.queue);
    }

    /// There is room again on a connection: its consumers may have deliveries.
    fn drained(&mut self, id: ConnectionId) {
        let Some(client) = Client::find(&mut self.clients, id) else { return };
        let blocked = client.take_blocked();
        for number in blocked {
            self.settle(id, number, |queue, _, consumer| queue.unblock(consumer));
        }
    }

    fn mark_due(&mut self, id: ConnectionId, number: LinkNumber) {
        let Some(link) = Client::find(&mut self.clients, id).and_then(|client| client.get_mut(number)) else { return };
        if let Some(publisher) = &mut link.publisher
            && !publisher.is_due
        {
            publisher.is_due = true;
            self.due.push((id, number));
        }
    }

    fn mark_dirty(&mut self, queue: QueueIndex) {
        if self.queues.mark_dirty(queue) {
            self.dirty.push_back(queue);
        }
    }

    /// One confirm, and one credit, for all that a link published in this step.
    fn send_outcomes(&mut self, cx: &mut Context<'_>) {
        let mut due = core::mem::take(&mut self.due);
        for (id, number) in due.drain(..) {
            let client = Client::find(&mut self.clients, id);
            let Some(publisher) = client.and_then(|client| client.get_mut(number)?.publisher.as_mut()) else {
                continue;
            };
            publisher.is_due = false;
            publisher.send_outcomes(cx, id, number);
            publisher.send_credit(cx, id, number, self.config.publish_window);
        }
        self.due = due;
    }

    /// Each dirty queue has a turn; what is left over when the step's budget is used up goes on in the next step.
    fn dispatch(&mut self, cx: &mut Context<'_>) {
        let mut budget = self.config.deliveries_per_step.max(1);
        for _ in 0..self.dirty.len() {
            if budget == 0 {
                break;
            }
            let Some(index) = self.dirty.pop_front() else { break };
            let turn = budget.min(self.config.deliveries_per_turn.max(1));
            budget -= self.dispatch_queue(cx, index, turn);
            self.queues.clear_dirty(index);
            if self.queues.get_mut(index).0.can_dispatch() {
                self.mark_dirty(index);
            }
        }
        if !self.dirty.is_empty() {
            cx.continue_soon();
        }
    }

    fn dispatch_queue(&mut self, cx: &mut Context<'_>, index: QueueIndex, budget: usize) -> usize {
        let clients = &mut self.clients;
        let mut refused = Vec::new();
        let (queue, store) = self.queues.get_mut(index);
        let taken = queue.dispatch_turns(store, cx.now(), budget, |turn| {
            let ConsumerKey { connection, link } = *turn.consumer();
            deliver(cx, turn).map_err(|error| match error {
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
            self.dismiss(cx, id, number, &error);
        }
        taken
    }

    /// A consumer that could not be delivered to; the queue has removed it. If it is still there, its link is closed.
    fn dismiss(&mut self, cx: &mut Context<'_>, id: ConnectionId, number: LinkNumber, error: &SendError) {
        let Some(client) = Client::find(&mut self.clients, id) else { return };
        let Some(mut link) = client.remove(number) else { return };
        if let Some(publisher) = &mut link.publisher {
            publisher.send_last_outcomes(cx, id, number);
        }
        let code = match error {
            SendError::TooLarge { .. } => Some(ErrorCode::CONSUMER_TOO_SMALL),
            // It is leaving, and its goodbye is on the way.
            SendError::Gone => None,
            _ => Some(ErrorCode::INTERNAL),
        };
        if let Some(code) = code {
            let _ = cx.send(id, Frame::Closed { link: number, code, text: &error.to_string() });
        }
        self.leave(cx.now(), &link);
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

fn deliver(cx: &mut Context<'_>, turn: &mut Turn<'_, ConsumerKey>) -> Result<(), SendError> {
    let ConsumerKey { connection, link } = *turn.consumer();
    let mut deliveries = cx.deliveries(connection, link)?;
    while let Some(Offer { tag, count, payload, .. }) = turn.next() {
        let sent = deliveries.send(count, payload)?;
        debug_assert_eq!(sent, tag, "the queue and the link count the same deliveries");
    }
    Ok(())
}

impl Handler for ConnectionHandler {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Frame { from, ref frame } => return self.frame(cx, from, frame),
            Event::Connected { id, .. } => self.connected(id),
            Event::Disconnected { id, .. } => self.disconnected(cx, id),
            Event::Drained { id } => self.drained(id),
            Event::Answered { .. } | Event::Timer { .. } => {}
        }
        Ok(())
    }

    /// Whoever was connected to an earlier broker is gone, and gives back what they held.
    fn started(&mut self, cx: &mut Context<'_>) {
        for client in core::mem::take(&mut self.clients).into_iter().flatten() {
            for link in client.into_links() {
                self.leave(cx.now(), &link);
            }
        }
        self.due.clear();
    }

    /// As `handle` would, but for the runs.
    fn frames(&mut self, cx: &mut Context<'_>, mut frames: Frames<'_, Native>) {
        let from = frames.from();
        let mut run = None;
        while frames.handle_next(cx, |cx, frame| {
            run = Run::begin(&frame);
            self.frame(cx, from, &frame)
        }) {
            match run.take() {
                Some(Run::Publishes(link)) => self.publishes(cx, &mut frames, link),
                Some(Run::Acks(link)) => self.acks(cx, &mut frames, link),
                None => {}
            }
        }
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        // Deliveries first: what is queued first is written first, and a consumer waits for its message more than a publisher for
        // its confirm.
        self.dispatch(cx);
        self.send_outcomes(cx);
    }
}
