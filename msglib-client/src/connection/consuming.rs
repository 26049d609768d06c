//! The consuming side of the state: subscriptions, what has arrived for them, their credit and their acks.

use super::state::State;
use crate::error::Error;
use crate::session::{Details, SessionError};
use bytes::Bytes;
use core::ops::RangeInclusive;
use core::task::Poll;
use msglib_proto::{ChannelKind, ChannelName, ErrorCode, LinkNumber, Payload, Settling, Verdict};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Names a subscription for ever, where link numbers are used again: what belongs to an old one settles nothing of a new
/// one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ConsumerId(u64);

#[derive(Debug, Default)]
pub(super) struct Consumers {
    open: BTreeMap<ConsumerId, Consumer>,
    count: u64,
    /// Settlings that somebody wants to know of, and how many deliveries they have changed.
    settlements: BTreeMap<SettlementId, Option<Result<u64, Error>>>,
}

#[derive(Debug)]
struct Consumer {
    link: LinkNumber,
    /// How many deliveries may be on their way or waiting here; 0 for one, and only while somebody waits for it.
    prefetch: u32,
    /// The last tag that was allowed.
    granted: u64,
    /// How many deliveries the user has taken.
    taken: u64,
    /// How many of those are neither settled nor dropped.
    held: u64,
    /// The subscription is dropped, and the link stays only for what is held.
    abandoned: bool,
    inbox: VecDeque<Arrived>,
    /// Messages that were lost before the next delivery.
    lost: u32,
    /// Settlings whose effect somebody wants to know, in the order in which they were asked for.
    asked: VecDeque<SettlementId>,
    /// This side has asked for the end.
    closing: bool,
    closed: Option<Error>,
}

/// A delivery that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) tag: u64,
    pub(super) count: u32,
    /// Messages that the subscription has lost right before it, for the whole of them as far as 32 bits go.
    pub(super) lost: u32,
    /// For how long the caller of a request waits, in milliseconds.
    pub(super) deadline_ms: u32,
    pub(super) payload: Bytes,
    pub(super) details: Option<Box<Details>>,
}

/// Names one settling for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct SettlementId(u64);

/// What became of a settling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Settled {
    /// It waits for company.
    Waits,
    /// It is queued and should be written.
    Queued,
}

impl State {
    /// Opens a link for deliveries.
    pub(super) fn subscribe(
        &mut self,
        kind: ChannelKind,
        name: ChannelName<'_>,
        arguments: &[u8],
        prefetch: u32,
    ) -> Poll<Result<ConsumerId, Error>> {
        self.check_alive()?;
        match self.session.open_with_arguments(kind, name, false, true, arguments) {
            Ok(link) => {
                let id = self.consumers.add(link, prefetch);
                self.own_as_consumer(link, id);
                if prefetch > 0 {
                    // If that does not fit before the WELCOME, the first wait does it.
                    let _ = self.top_up(id);
                }
                Poll::Ready(Ok(id))
            }
            Err(SessionError::NoFreeLink { max }) => self.make_link_free(max),
            Err(SessionError::BeforeWelcome) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// The next delivery, if it has arrived. While it has not, there is credit for it and no ack waits.
    pub(super) fn next_delivery(&mut self, id: ConsumerId) -> Poll<Result<Arrived, Error>> {
        self.check_alive()?;
        match self.consumers.get(id)?.inbox.pop_front() {
            Some(arrived) => {
                self.taken(id, 1);
                Poll::Ready(Ok(arrived))
            }
            None => self.ask_for_more(id),
        }
    }

    /// The next deliveries that have arrived, one at least and at most `most`, as [`next_delivery`](Self::next_delivery). Their tags
    /// follow each other.
    pub(super) fn next_deliveries(&mut self, id: ConsumerId, most: usize) -> Poll<Result<VecDeque<Arrived>, Error>> {
        self.check_alive()?;
        let inbox = &mut self.consumers.get(id)?.inbox;
        if inbox.is_empty() {
            return self.ask_for_more(id);
        }
        let rest = inbox.split_off(most.max(1).min(inbox.len()));
        let arrived = core::mem::replace(inbox, rest);
        self.taken(id, arrived.len() as u64);
        Poll::Ready(Ok(arrived))
    }

    /// The user has them now, and in exchange there may be credit for others.
    fn taken(&mut self, id: ConsumerId, count: u64) {
        let Some(consumer) = self.consumers.open.get_mut(&id) else { return };
        consumer.taken += count;
        consumer.held += count;
        if consumer.prefetch > 0 && consumer.is_half_used() {
            // What has arrived is given out in any case; an error comes again with the next call.
            let _ = self.top_up(id);
        }
    }

    /// Nothing has arrived: see to it that something can.
    fn ask_for_more<T>(&mut self, id: ConsumerId) -> Poll<Result<T, Error>> {
        let link = self.consumers.get(id)?.link;
        self.session.flush_acks(link);
        self.top_up(id)?;
        Poll::Pending
    }

    /// Settles deliveries: acks them, or refuses them with a verdict.
    pub(super) fn settle(
        &mut self,
        id: ConsumerId,
        tags: RangeInclusive<u64>,
        verdict: Option<Verdict>,
    ) -> Result<Settled, Error> {
        self.check_alive()?;
        let consumer = self.consumers.get(id)?;
        let (link, half) = (consumer.link, u64::from(consumer.prefetch / 2));
        if let Some(verdict) = verdict {
            self.session.refuse(link, tags, verdict)?;
            return Ok(Settled::Queued);
        }
        // With nothing left to take no company is in sight; at half of the prefetch there is enough of it.
        let alone = consumer.inbox.is_empty();
        self.session.ack(link, tags)?;
        if !alone && self.session.waiting_acks(link) < half {
            return Ok(Settled::Waits);
        }
        self.session.flush_acks(link);
        Ok(Settled::Queued)
    }

    /// Settles deliveries in any way that there is (PROTOCOL §15.4). With `confirm` the effect can be asked for.
    pub(super) fn settle_as(
        &mut self,
        id: ConsumerId,
        tags: RangeInclusive<u64>,
        settling: Settling,
        confirm: bool,
    ) -> Result<Option<SettlementId>, Error> {
        self.check_alive()?;
        let link = self.consumers.get(id)?.link;
        self.session.settle(link, tags, settling, confirm)?;
        Ok(confirm.then(|| self.consumers.ask(id)))
    }

    /// How many deliveries a settling has changed, once it is known.
    pub(super) fn settlement(&self, id: SettlementId) -> Poll<Result<u64, Error>> {
        match self.consumers.settlements.get(&id) {
            Some(Some(count)) => Poll::Ready(count.clone()),
            _ => match self.ended() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }

    /// Answers a request, or says why there is no answer.
    pub(super) fn answer(
        &mut self,
        id: ConsumerId,
        tag: u64,
        answer: Result<Payload<'_>, (ErrorCode, &str)>,
    ) -> Poll<Result<(), Error>> {
        self.check_alive()?;
        let link = self.consumers.get(id)?.link;
        if let Ok(payload) = answer
            && !self.has_room_for(payload.len())
        {
            return Poll::Pending;
        }
        let result = match answer {
            Ok(payload) => self.session.reply(link, tag, payload),
            Err((code, text)) => self.session.no_reply(link, tag, code, text),
        };
        Poll::Ready(result.map_err(Error::from))
    }

    /// Asks for the end of a subscription, once, and is ready when the broker has said that it ended.
    pub(super) fn close_subscription(&mut self, id: ConsumerId) -> Poll<Result<(), Error>> {
        let Some(consumer) = self.consumers.open.get_mut(&id) else { return Poll::Ready(Ok(())) };
        if consumer.closed.is_some() {
            return Poll::Ready(Ok(()));
        }
        if consumer.closing {
            return Poll::Pending;
        }
        let link = consumer.link;
        match self.close_link(link) {
            Ok(()) => self.consumers.closing(id),
            Err(SessionError::BeforeWelcome) => {}
            Err(error) => return Poll::Ready(Err(error.into())),
        }
        Poll::Pending
    }

    /// The subscription is dropped. While deliveries that were taken are held, its link stays, so that they can be settled;
    /// what was not taken goes back with its end, and not before: given back alone it would come again, as far as the
    /// credit goes, with its count raised each time.
    pub(super) fn abandon(&mut self, id: ConsumerId) {
        let Some(consumer) = self.consumers.open.get_mut(&id) else { return };
        consumer.abandoned = true;
        consumer.inbox = VecDeque::new();
        if consumer.held == 0 || consumer.is_over() {
            return self.forget(id);
        }
        let link = consumer.link;
        self.session.flush_acks(link);
    }

    /// A delivery came.
    pub(super) fn deliver(&mut self, id: ConsumerId, arrived: Arrived) {
        if let Some(consumer) = self.consumers.open.get_mut(&id)
            && !consumer.abandoned
        {
            let lost = core::mem::take(&mut consumer.lost);
            consumer.inbox.push_back(Arrived { lost, ..arrived });
        }
    }

    /// Deliveries that were taken are held no more.
    pub(super) fn release(&mut self, id: ConsumerId, count: u64) {
        let Some(consumer) = self.consumers.open.get_mut(&id) else { return };
        consumer.held -= count;
        if consumer.abandoned && consumer.held == 0 {
            self.forget(id);
        }
    }

    /// Nobody will ask for it again: its link is closed, if it is not yet.
    fn forget(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.consumers.open.remove(&id)
            && !consumer.is_over()
        {
            self.abandon_link(consumer.link);
        }
    }

    /// Allows more deliveries once half of the prefetch is used up; what was allowed and has not come counts, so to ask
    /// again pulls nothing twice. The acks that wait go first.
    fn top_up(&mut self, id: ConsumerId) -> Result<(), Error> {
        let consumer = self.consumers.get(id)?;
        if !consumer.is_half_used() {
            return Ok(());
        }
        let (link, upto) = (consumer.link, consumer.taken.saturating_add(u64::from(consumer.prefetch.max(1))));
        self.session.flush_acks(link);
        match self.session.grant(link, upto) {
            Ok(()) => self.consumers.get(id)?.granted = upto,
            Err(SessionError::BeforeWelcome) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Consumer {
    /// At most half of the prefetch is allowed and was not taken.
    fn is_half_used(&self) -> bool {
        self.granted.saturating_sub(self.taken) <= u64::from(self.prefetch / 2)
    }

    /// Its link has ended, or will without anything more from this side.
    fn is_over(&self) -> bool {
        self.closing || self.closed.is_some()
    }
}

impl Consumers {
    fn add(&mut self, link: LinkNumber, prefetch: u32) -> ConsumerId {
        self.count += 1;
        let id = ConsumerId(self.count);
        let consumer = Consumer {
            link,
            prefetch,
            granted: 0,
            taken: 0,
            held: 0,
            abandoned: false,
            inbox: VecDeque::new(),
            lost: 0,
            asked: VecDeque::new(),
            closing: false,
            closed: None,
        };
        self.open.insert(id, consumer);
        id
    }

    /// The subscription, if it has not ended.
    fn get(&mut self, id: ConsumerId) -> Result<&mut Consumer, Error> {
        match self.open.get_mut(&id) {
            Some(consumer) => match &consumer.closed {
                None if !consumer.closing => Ok(consumer),
                None => Err(Error::link_closed_here()),
                Some(error) => Err(error.clone()),
            },
            None => Err(Error::link_closed_here()),
        }
    }

    fn ask(&mut self, id: ConsumerId) -> SettlementId {
        self.count += 1;
        let settlement = SettlementId(self.count);
        if let Some(consumer) = self.open.get_mut(&id) {
            consumer.asked.push_back(settlement);
            self.settlements.insert(settlement, None);
        }
        settlement
    }

    /// The broker has answered the oldest settling that asked.
    pub(super) fn settled(&mut self, id: ConsumerId, count: u64) {
        let Some(consumer) = self.open.get_mut(&id) else { return };
        if let Some(settlement) = consumer.asked.pop_front()
            && let Some(answer) = self.settlements.get_mut(&settlement)
        {
            *answer = Some(Ok(count));
        }
    }

    /// Nobody wants to know the effect any more.
    pub(super) fn forget_settlement(&mut self, id: SettlementId) {
        self.settlements.remove(&id);
    }

    pub(super) fn lost(&mut self, id: ConsumerId, lost: u64) {
        if let Some(consumer) = self.open.get_mut(&id) {
            consumer.lost = consumer.lost.saturating_add(u32::try_from(lost).unwrap_or(u32::MAX));
        }
    }

    fn closing(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.open.get_mut(&id) {
            consumer.closing = true;
            consumer.inbox = VecDeque::new();
        }
    }

    /// The link has ended; what was not taken has gone back to the channel.
    pub(super) fn close(&mut self, id: ConsumerId, code: ErrorCode, text: &Arc<str>) {
        if let Some(consumer) = self.open.get_mut(&id) {
            consumer.closed = Some(Error::LinkClosed { code, text: text.clone() });
            consumer.inbox = VecDeque::new();
            for settlement in consumer.asked.drain(..) {
                if let Some(answer) = self.settlements.get_mut(&settlement) {
                    *answer = Some(Err(Error::LinkClosed { code, text: text.clone() }));
                }
            }
        }
    }
}
