//! What each deed does in a world.

use super::facts::{Channel, FeaturedLink, LinkNumber, payload_of};
use super::{Deed, FILTERS, JOBS, SERVICES, TOPICS};
use crate::simulate::checker::Violation;
use crate::simulate::world::World;
use msglib_broker::Handler;
use msglib_proto::{
    ChannelKind, ChannelName, ErrorCode, Frame, LinkState, Open, Payload, PublishOptions, TopicSettings,
};
use std::time::Duration;

impl<H: Handler + 'static> World<'_, H> {
    /// Carries out a deed; false if it meant nothing as things were.
    pub(in crate::simulate) fn do_deed(&mut self, client: usize, deed: Deed) -> Result<bool, Violation> {
        if self.setup.featured == 0 {
            return Ok(false);
        }
        let client = self.first_featured() + client % self.setup.featured;
        if !self.is_greeted(client)? {
            return Ok(true);
        }
        match deed {
            Deed::Subscribe { filter, group, overflow, buffer, retained, credit } => {
                let group_name = (group > 0).then(|| vec![group].into());
                let (overflow, buffer, retained_first) = (Some(overflow), Some(buffer), Some(retained));
                let settings = TopicSettings { group: group_name, overflow, buffer, retained: retained_first };
                let opened = self.open_featured(client, Channel::Filter(filter, group), false, &settings.encode())?;
                if let (Some(link), true) = (opened, retained) {
                    self.facts.featured.wants_retained(link);
                }
                self.allow_featured(client, opened, credit)
            }
            Deed::Tell { topic, times, wide, retain } => self.tell(client, topic, times, wide, retain),
            Deed::Serve { service, credit } => {
                let opened = self.open_featured(client, Channel::Service(service), false, b"")?;
                self.allow_featured(client, opened, credit)
            }
            Deed::Ask { service, times, deadline_ms } => self.ask(client, service, times, deadline_ms),
            Deed::Answer { pick, times, well } => {
                let link = self.pick_featured(client, pick, |link| !link.open.is_empty());
                let mut did = false;
                for _ in 0..times {
                    did |= self.answer(client, link, well)?;
                }
                Ok(did)
            }
            Deed::AnswerAgain { pick } => {
                let link = self.pick_featured(client, pick, |link| !link.answered.is_empty());
                let Some(link) = link.map(|link| self.facts.featured.link(link)) else { return Ok(false) };
                let number = link.answered[link.answered.len() / 2];
                let frame = Frame::Reply { link: link.number, number, payload: Payload::from("once more") };
                self.send(client, &frame)?;
                Ok(true)
            }
            Deed::Allow { pick, more } => {
                let link = self.pick_featured(client, pick, |link| link.consumes);
                self.allow_featured(client, link, more)
            }
            Deed::Close { pick } => {
                let link = self.pick_featured(client, pick, |_| true);
                let Some(number) = link.map(|link| self.facts.featured.link(link).number) else { return Ok(false) };
                self.send(client, &Frame::Close { link: number })?;
                Ok(true)
            }
            Deed::Leave { after } => {
                self.leave(client, |open| {
                    open.write(after);
                })?;
                Ok(true)
            }
            Deed::Work { .. } | Deed::Put { .. } | Deed::Settle { .. } => self.work(client, deed),
            Deed::Stall | Deed::Resume => {
                self.stall(client, deed == Deed::Stall);
                Ok(true)
            }
        }
    }

    pub(in crate::simulate) fn first_featured(&self) -> usize {
        self.setup.clients + self.setup.queues
    }

    /// Connects if there is no connection; what comes with a feature waits for the `WELCOME`.
    pub(in crate::simulate) fn is_greeted(&mut self, client: usize) -> Result<bool, Violation> {
        if self.clients[client].is_none() {
            self.connect(client, self.setup.limits.max_payload)?;
        }
        let Some(open) = &self.clients[client] else { return Ok(false) };
        let facts = self.facts.connection(open.connection);
        Ok(facts.is_greeted && !facts.is_leaving && facts.last_word.is_none())
    }

    /// One of the client's links that can be used and that is `such`.
    fn pick_featured(&self, client: usize, pick: usize, such: impl Fn(&FeaturedLink) -> bool) -> Option<LinkNumber> {
        let connection = self.clients[client].as_ref()?.connection;
        let is_usable = |link: &FeaturedLink| matches!(link.state, LinkState::Opening | LinkState::Open);
        let links = || self.facts.featured.of(connection).filter(|(_, link)| is_usable(link) && such(link));
        links().nth(pick % links().count().max(1)).map(|(link, _)| link)
    }

    /// As `pick_featured`, by what is known of it elsewhere.
    pub(super) fn pick_featured_index(
        &self,
        client: usize,
        pick: usize,
        such: impl Fn(LinkNumber) -> bool,
    ) -> Option<LinkNumber> {
        let connection = self.clients[client].as_ref()?.connection;
        let is_usable = |link: &FeaturedLink| matches!(link.state, LinkState::Opening | LinkState::Open);
        let links = || self.facts.featured.of(connection).filter(|(index, link)| is_usable(link) && such(*index));
        links().nth(pick % links().count().max(1)).map(|(link, _)| link)
    }

    pub(super) fn open_featured(
        &mut self,
        client: usize,
        channel: Channel,
        publishes: bool,
        arguments: &[u8],
    ) -> Result<Option<LinkNumber>, Violation> {
        let Some(connection) = self.clients[client].as_ref().map(|open| open.connection) else { return Ok(None) };
        let most = self.setup.limits.max_links.min(12);
        let is_free = |number: &u32| self.facts.featured.find(connection, *number).is_none();
        let Some(link) = (1..=most).find(is_free) else { return Ok(None) };
        let (kind, name) = match channel {
            Channel::Topic(topic) => (ChannelKind::TOPIC, topic.map_or("#", |topic| TOPICS[topic])),
            Channel::Filter(filter, _) => (ChannelKind::TOPIC, FILTERS[filter]),
            Channel::Service(service) => (ChannelKind::SERVICE, SERVICES[service]),
            Channel::Jobs(queue) => (ChannelKind::QUEUE, JOBS[queue]),
        };
        let name = ChannelName::from(name);
        self.facts.featured.opened((connection, link), channel, publishes);
        self.send(client, &Frame::Open(Open { link, publishes, consumes: !publishes, kind, name, arguments }))?;
        Ok(self.facts.featured.find(connection, link))
    }

    /// A link that the client has for this, or a new one.
    fn featured_link(&mut self, client: usize, channel: Channel) -> Result<Option<LinkNumber>, Violation> {
        match self.pick_featured(client, 0, |link| link.publishes && link.channel == channel) {
            Some(link) => Ok(Some(link)),
            None => self.open_featured(client, channel, true, b""),
        }
    }

    pub(super) fn allow_featured(
        &mut self,
        client: usize,
        link: Option<LinkNumber>,
        more: u64,
    ) -> Result<bool, Violation> {
        let Some(link) = link.map(|link| self.facts.featured.link(link)) else { return Ok(false) };
        let upto = (link.delivered + more).max(link.granted);
        if upto == 0 {
            return Ok(true);
        }
        let frame = Frame::Credit { link: link.number, upto };
        self.send(client, &frame)?;
        Ok(true)
    }

    fn tell(&mut self, client: usize, topic: usize, times: usize, wide: bool, retain: bool) -> Result<bool, Violation> {
        let channel = Channel::Topic((!wide).then_some(topic));
        let Some(index) = self.featured_link(client, channel)? else { return Ok(false) };
        let mut did = false;
        for _ in 0..times {
            let link = self.facts.featured.link(index);
            if link.published >= link.credit {
                break;
            }
            let (link, number) = (link.number, link.published + 1);
            let payload = self.facts.featured.payload(b"!");
            let (payload, confirm) = (Payload::from(&payload), true);
            let topic = wide.then_some(TOPICS[topic].as_bytes());
            let options = PublishOptions { topic, ..PublishOptions::default() };
            let frame = match wide || retain {
                true => Frame::PublishWith { link, number, confirm, retain, options, payload },
                false => Frame::Publish { link, number, confirm, payload },
            };
            self.send(client, &frame)?;
            did = true;
        }
        Ok(did)
    }

    fn ask(&mut self, client: usize, service: usize, times: usize, deadline_ms: u32) -> Result<bool, Violation> {
        let Some(index) = self.featured_link(client, Channel::Service(service))? else { return Ok(false) };
        let mut did = false;
        for _ in 0..times {
            let link = self.facts.featured.link(index);
            if link.published >= link.credit {
                break;
            }
            let (link, number) = (link.number, link.published + 1);
            let payload = self.facts.featured.payload(b"?");
            self.send(client, &Frame::Request { link, number, deadline_ms, payload: Payload::from(&payload) })?;
            did = true;
        }
        Ok(did)
    }

    fn answer(&mut self, client: usize, link: Option<LinkNumber>, well: bool) -> Result<bool, Violation> {
        let Some(link) = link.map(|link| self.facts.featured.link(link)) else { return Ok(false) };
        let Some((tag, request)) = link.open.iter().next().map(|(tag, request)| (*tag, *request)) else {
            return Ok(false);
        };
        let payload = payload_of(request, b"=");
        let (link, number) = (link.number, tag);
        let frame = match well {
            true => Frame::Reply { link, number, payload: Payload::from(&payload) },
            false => Frame::NoReply { link, number, code: ErrorCode::user(7), text: "not today" },
        };
        self.send(client, &frame)?;
        Ok(true)
    }

    /// Whatever has a deadline has met it, and everybody takes what there is.
    pub(in crate::simulate) fn drain_featured(&mut self) -> Result<(), Violation> {
        self.advance(Duration::from_secs(120));
        for client in self.first_featured()..self.clients.len() {
            for pick in 0..16 {
                let link = self.pick_featured(client, pick, |link| link.consumes && link.granted < 100_000);
                self.allow_featured(client, link, 100_000)?;
            }
        }
        self.rest()?;
        if self.setup.jobs.is_empty() || !self.has_host() { Ok(()) } else { self.drain_jobs() }
    }
}
