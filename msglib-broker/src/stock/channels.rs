//! Channels of the user's own kinds: who makes them, who has a link to which, and how a frame gets there and back.

use super::ConnectionHandler;
use super::client::{Client, Other, Publisher};
use super::opening::unknown_kind;
use crate::channel::{Channel, ChannelContext, ChannelLink, Effects, Publication, Question};
use crate::core::{Context, TimerId};
use crate::reason::Reject;
use crate::table::{Key, Table};
use core::fmt;
use core::time::Duration;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{
    ChannelKind, ChannelName, ErrorCode, Frame, LinkNumber, Open, OwnedName, PublishOptions, Settling, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// The channels that are there, and how others are made.
#[derive(Default)]
pub(super) struct Channels {
    makers: BTreeMap<ChannelKind, Maker>,
    table: Table<Entry>,
    names: BTreeMap<(ChannelKind, OwnedName), Key>,
    timers: BTreeMap<TimerId, (Key, u64)>,
    effects: Effects,
    /// How often there were as many as there may be.
    pub(super) limits: u64,
}

type Maker = Box<dyn FnMut(ChannelName<'_>) -> Box<dyn Channel> + Send>;

struct Entry {
    kind: ChannelKind,
    name: OwnedName,
    channel: Box<dyn Channel>,
    links: usize,
    /// What it has set, and what was not due yet.
    timers: BTreeSet<TimerId>,
}

/// A link to a channel.
#[derive(Debug)]
pub(super) struct ChannelEnd {
    channel: Key,
    /// The last tag that was allowed.
    allowed: u64,
    pub(super) publisher: Option<Publisher>,
}

impl Channels {
    pub(super) fn register(&mut self, kind: ChannelKind, maker: Maker) {
        self.makers.insert(kind, maker);
    }

    pub(super) fn knows(&self, kind: ChannelKind) -> bool {
        self.makers.contains_key(&kind)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    fn find_or_make(&mut self, kind: ChannelKind, name: ChannelName<'_>, most: usize) -> Result<Key, Reject> {
        let owned = (kind, name.to_owned());
        if let Some(key) = self.names.get(&owned) {
            return Ok(*key);
        }
        let Some(make) = self.makers.get_mut(&kind) else { return Err(unknown_kind(kind)) };
        if self.table.len() >= most {
            self.limits += 1;
            let text = format!("there are {} channels already, and all of them in use", self.table.len());
            return Err(Reject::new(ErrorCode::TOO_MANY_CHANNELS, text));
        }
        let timers = BTreeSet::new();
        let key = self.table.insert(Entry { kind, name: owned.1.clone(), channel: make(name), links: 0, timers });
        self.names.insert(owned, key);
        Ok(key)
    }

    /// Lets a channel do something.
    fn call<T>(
        &mut self,
        cx: &mut Context<'_>,
        key: Key,
        act: impl FnOnce(&mut dyn Channel, &mut ChannelContext<'_>) -> T,
    ) -> Option<T> {
        let entry = self.table.get_mut(key)?;
        let mut cx = ChannelContext { cx: cx.reborrow(), effects: &mut self.effects };
        let result = act(&mut *entry.channel, &mut cx);
        for (timer, token) in self.effects.timers.drain(..) {
            entry.timers.insert(timer);
            self.timers.insert(timer, (key, token));
        }
        for timer in self.effects.cancelled.drain(..) {
            entry.timers.remove(&timer);
            self.timers.remove(&timer);
        }
        Some(result)
    }

    /// Its timers go with it.
    fn drop_if_unneeded(&mut self, cx: &mut Context<'_>, key: Key) {
        let Some(entry) = self.table.get(key).filter(|entry| entry.links == 0 && !entry.channel.is_needed()) else {
            return;
        };
        self.names.remove(&(entry.kind, entry.name.clone()));
        for timer in self.table.remove(key).into_iter().flat_map(|entry| entry.timers) {
            self.timers.remove(&timer);
            cx.cancel_timer(timer);
        }
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<ChannelKind> = self.makers.keys().copied().collect();
        f.debug_struct("Channels").field("kinds", &kinds).field("len", &self.len()).finish_non_exhaustive()
    }
}

impl ConnectionHandler {
    pub(super) fn open_channel(
        &mut self,
        cx: &mut Context<'_>,
        from: ConnectionId,
        open: &Open<'_>,
    ) -> Result<(), Reject> {
        let key = self.channels.find_or_make(open.kind, open.name, self.config.max_channels)?;
        let link = ChannelLink { connection: from, number: open.link };
        let Some(client) = Client::find(&mut self.clients, from) else { return Ok(()) };
        let publisher = open.publishes.then(Publisher::default);
        client.others.insert(open.link, Other::Channel(ChannelEnd { channel: key, allowed: 0, publisher }));
        let opened = self.channels.call(cx, key, |channel, cx| channel.opened(cx, link, open));
        if let Some(Err(reject)) = opened {
            self.channels.effects.closing.clear();
            self.channels.effects.blocked.clear();
            if let Some(client) = Client::find(&mut self.clients, from) {
                client.others.remove(&open.link);
            }
            self.channels.drop_if_unneeded(cx, key);
            return Err(reject);
        }
        if let Some(entry) = self.channels.table.get_mut(key) {
            entry.links += 1;
        }
        if open.publishes {
            self.mark_due(from, open.link);
        }
        self.carry_out(cx);
        Ok(())
    }

    /// A frame on a link to a channel.
    pub(super) fn channel_frame(
        &mut self,
        cx: &mut Context<'_>,
        from: ConnectionId,
        frame: &Frame<'_>,
    ) -> Result<(), Reject> {
        let link = ChannelLink { connection: from, number: frame.link() };
        let Some((key, allowed)) = self.channel_end(link).map(|end| (end.channel, end.allowed)) else { return Ok(()) };
        let channels = &mut self.channels;
        let mut result = Ok(());
        match *frame {
            Frame::Publish { number, confirm, payload, .. } => {
                let message = Publication { payload, options: PublishOptions::default(), retain: false };
                result = self.channel_published(cx, link, key, (number, confirm), message);
            }
            Frame::PublishWith { number, confirm, retain, options, payload, .. } => {
                let message = Publication { payload, options, retain };
                result = self.channel_published(cx, link, key, (number, confirm), message);
            }
            Frame::Request { number, deadline_ms, payload, .. } => {
                let within = Duration::from_millis(u64::from(deadline_ms));
                let question = Question { number, within, payload };
                let asked = channels.call(cx, key, |channel, cx| channel.asked(cx, link, question));
                result = asked.unwrap_or(Ok(()));
                if let Some(publisher) = self.channel_end(link).and_then(|end| end.publisher.as_mut()) {
                    // Its credit comes back at once: how many questions it keeps is the channel's own affair.
                    publisher.answered(number);
                    self.mark_due(from, link.number);
                }
            }
            Frame::Credit { upto, .. } if upto > allowed => {
                if let Some(end) = self.channel_end(link) {
                    end.allowed = upto;
                }
                self.channels.call(cx, key, |channel, cx| channel.ready(cx, link));
            }
            Frame::Ack { first, last, .. } => {
                channels.call(cx, key, |channel, cx| channel.settled(cx, link, first..=last, None));
            }
            Frame::Refuse { first, last, verdict, .. } => {
                channels.call(cx, key, |channel, cx| channel.settled(cx, link, first..=last, Some(verdict)));
            }
            Frame::Settle { first, last, confirm, settling, .. } => {
                let tags = first..=last;
                let count = match settling {
                    Settling::Ack => channels.call(cx, key, |channel, cx| channel.settled(cx, link, tags, None)),
                    Settling::Again { .. } => {
                        channels.call(cx, key, |channel, cx| channel.settled(cx, link, tags, Some(Verdict::Again)))
                    }
                    Settling::ForGood => {
                        channels.call(cx, key, |channel, cx| channel.settled(cx, link, tags, Some(Verdict::ForGood)))
                    }
                    // There are no leases.
                    Settling::Extend { .. } => None,
                };
                if confirm {
                    let count = count.unwrap_or(0);
                    let _ = cx.send(from, Frame::Settled { link: link.number, first, last, count });
                }
            }
            Frame::User { kind, flags, body, .. } => {
                let called = channels.call(cx, key, |channel, cx| channel.frame(cx, link, kind, flags, body));
                result = called.unwrap_or(Ok(()));
            }
            Frame::Close { .. } => self.close_channel(cx, link, None),
            // The rest has no link to a channel.
            _ => {}
        }
        self.carry_out(cx);
        result
    }

    fn channel_published(
        &mut self,
        cx: &mut Context<'_>,
        link: ChannelLink,
        key: Key,
        (number, confirm): (u64, bool),
        message: Publication<'_>,
    ) -> Result<(), Reject> {
        let called = self.channels.call(cx, key, |channel, cx| channel.published(cx, link, message));
        let result = called.unwrap_or(Ok(()));
        if let Some(publisher) = self.channel_end(link).and_then(|end| end.publisher.as_mut()) {
            match result {
                Ok(()) => publisher.accepted(number, confirm),
                Err(_) => publisher.answered(number),
            }
            self.mark_due(link.connection, link.number);
        }
        result
    }

    /// There is room again on a connection whose channel was refused it.
    pub(super) fn channel_drained(&mut self, cx: &mut Context<'_>, id: ConnectionId, number: LinkNumber) {
        let link = ChannelLink { connection: id, number };
        if let Some(key) = self.channel_end(link).map(|end| end.channel) {
            self.channels.call(cx, key, |channel, cx| channel.ready(cx, link));
        }
        self.carry_out(cx);
    }

    /// A timer is due that is not the handler's own.
    pub(super) fn channel_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) -> bool {
        let Some((key, token)) = self.channels.timers.remove(&timer) else { return false };
        if let Some(entry) = self.channels.table.get_mut(key) {
            entry.timers.remove(&timer);
        }
        self.channels.call(cx, key, |channel, cx| channel.timer(cx, token));
        self.carry_out(cx);
        self.channels.drop_if_unneeded(cx, key);
        true
    }

    /// A client is gone, with its link to a channel.
    pub(super) fn leave_channel(
        &mut self,
        cx: &mut Context<'_>,
        id: ConnectionId,
        number: LinkNumber,
        end: &ChannelEnd,
    ) {
        self.tell_closed(cx, ChannelLink { connection: id, number }, end.channel);
        self.carry_out(cx);
    }

    /// The timers of an earlier broker are gone with it.
    pub(super) fn forget_channel_timers(&mut self) {
        self.channels.timers.clear();
        self.channels.table.iter_mut().for_each(|entry| entry.timers.clear());
    }

    fn channel_end(&mut self, link: ChannelLink) -> Option<&mut ChannelEnd> {
        match Client::find(&mut self.clients, link.connection)?.others.get_mut(&link.number)? {
            Other::Channel(end) => Some(end),
            _ => None,
        }
    }

    /// What is due goes out before CLOSED does (PROTOCOL §5.4).
    fn close_channel(&mut self, cx: &mut Context<'_>, link: ChannelLink, reason: Option<&Reject>) {
        let Some(client) = Client::find(&mut self.clients, link.connection) else { return };
        let Some(Other::Channel(mut end)) = client.take_other(link.number) else { return };
        if let Some(publisher) = &mut end.publisher {
            publisher.send_last_outcomes(cx, link.connection, link.number);
        }
        if let Some(reject) = reason {
            let closed = Frame::Closed { link: link.number, code: reject.code(), text: reject.text() };
            let _ = cx.send(link.connection, closed);
        }
        self.tell_closed(cx, link, end.channel);
    }

    fn tell_closed(&mut self, cx: &mut Context<'_>, link: ChannelLink, key: Key) {
        self.channels.call(cx, key, |channel, cx| channel.closed(cx, link));
        if let Some(entry) = self.channels.table.get_mut(key) {
            entry.links -= 1;
        }
        self.channels.drop_if_unneeded(cx, key);
    }

    /// What channels wanted done. Closing a link is told to its channel, which may want more done; each time there is a link less.
    fn carry_out(&mut self, cx: &mut Context<'_>) {
        loop {
            for link in self.channels.effects.blocked.drain(..) {
                if let Some(client) = Client::find(&mut self.clients, link.connection)
                    && !client.blocked.contains(&link.number)
                {
                    client.blocked.push(link.number);
                }
            }
            let Some((link, reason)) = self.channels.effects.closing.pop() else { return };
            self.close_channel(cx, link, Some(&reason));
        }
    }
}
