//! What each deed does in a world.

use super::facts::{IS_PANIC, IS_REFUSED, IS_VALUE, payload_of};
use super::link::{Asking, OwnChannel, OwnLink, OwnLinkNumber};
use super::{Answer, BARRIER, CELL, CELLS, GATE, OwnDeed};
use crate::simulate::checker::Violation;
use crate::simulate::world::World;
use msglib_broker::Handler;
use msglib_proto::{ChannelName, Frame, LinkState, Open, Payload};

/// Links that one client has at most.
const MOST_LINKS: u32 = 8;

impl<H: Handler + 'static> World<'_, H> {
    /// Carries out a deed; false if it meant nothing as things were.
    pub(in crate::simulate) fn do_own(&mut self, client: usize, deed: OwnDeed) -> Result<bool, Violation> {
        if self.setup.own == 0 {
            return Ok(false);
        }
        let client = self.first_own() + client % self.setup.own;
        if !self.is_greeted(client)? {
            return Ok(true);
        }
        match deed {
            OwnDeed::Watch { cell, asking, credit } => {
                let opened = self.open_own(client, OwnChannel::Cell(cell), false, asking)?;
                self.allow_own(client, opened, credit)
            }
            OwnDeed::Set { cell, times, asking, badly, confirm } => {
                let sort = if badly { IS_REFUSED } else { IS_VALUE };
                self.set(client, cell, times, asking, (sort, confirm))
            }
            OwnDeed::Break { cell } => self.set(client, cell, 1, Asking::AtOnce, (IS_PANIC, true)),
            OwnDeed::Arrive { pick, asking } => {
                let link = match asking {
                    Some(asking) => self.open_own(client, OwnChannel::Barrier, false, asking)?,
                    None => self.pick_own(client, pick, |link| link.channel == OwnChannel::Barrier),
                };
                // Not twice before it was let through.
                let link = link.filter(|link| {
                    let link = self.facts.own.link(*link);
                    link.granted == link.delivered
                });
                self.allow_own(client, link, 1)
            }
            OwnDeed::Allow { pick, more } => {
                let link = self.pick_own(client, pick, |link| !link.publishes && link.channel != OwnChannel::Barrier);
                self.allow_own(client, link, more)
            }
            OwnDeed::Close { pick } => {
                let link = self.pick_own(client, pick, |_| true);
                let Some(number) = link.map(|link| self.facts.own.link(link).number) else { return Ok(false) };
                self.send(client, &Frame::Close { link: number })?;
                Ok(true)
            }
            OwnDeed::Leave { after } => {
                self.leave(client, |open| {
                    open.write(after);
                })?;
                Ok(true)
            }
            OwnDeed::Vanish => {
                self.vanish(client);
                Ok(true)
            }
            OwnDeed::Stall | OwnDeed::Resume => {
                self.stall(client, deed == OwnDeed::Stall);
                Ok(true)
            }
        }
    }

    pub(in crate::simulate) fn first_own(&self) -> usize {
        self.first_featured() + self.setup.featured
    }

    /// The host program answers one of those who wait for a link, counted round.
    pub(in crate::simulate) fn answer_own(&mut self, pick: usize, answer: Answer) -> bool {
        let Some(link) = self.setup.door.answer(pick, answer) else { return false };
        self.facts.own.decided(link, answer);
        true
    }

    /// One of the client's links that can be used and that is `such`.
    fn pick_own(&self, client: usize, pick: usize, such: impl Fn(&OwnLink) -> bool) -> Option<OwnLinkNumber> {
        let connection = self.clients[client].as_ref()?.connection;
        let is_usable = |link: &OwnLink| matches!(link.state, LinkState::Opening | LinkState::Open);
        let links = || self.facts.own.of(connection).filter(|(_, link)| is_usable(link) && such(link));
        links().nth(pick % links().count().max(1)).map(|(link, _)| link)
    }

    fn open_own(
        &mut self,
        client: usize,
        channel: OwnChannel,
        publishes: bool,
        asking: Asking,
    ) -> Result<Option<OwnLinkNumber>, Violation> {
        let Some(connection) = self.clients[client].as_ref().map(|open| open.connection) else { return Ok(None) };
        let most = self.setup.limits.max_links.min(MOST_LINKS);
        let is_free = |number: &u32| self.facts.own.find(connection, *number).is_none();
        let Some(link) = (1..=most).find(is_free) else { return Ok(None) };
        let (kind, name) = match channel {
            OwnChannel::Cell(cell) => (CELL, ChannelName::from(CELLS[cell])),
            OwnChannel::Barrier => (BARRIER, ChannelName::from(GATE)),
        };
        let arguments = &asking.arguments(self.facts.own.next_link())[..];
        self.facts.own.opened((connection, link), channel, publishes, asking, self.facts.now);
        self.send(client, &Frame::Open(Open { link, publishes, consumes: !publishes, kind, name, arguments }))?;
        Ok(self.facts.own.find(connection, link))
    }

    fn allow_own(&mut self, client: usize, link: Option<OwnLinkNumber>, more: u64) -> Result<bool, Violation> {
        let Some(link) = link.map(|link| self.facts.own.link(link)) else { return Ok(false) };
        let upto = link.delivered + more;
        if upto <= link.granted {
            return Ok(false);
        }
        let frame = Frame::Credit { link: link.number, upto };
        self.send(client, &frame)?;
        Ok(true)
    }

    fn set(
        &mut self,
        client: usize,
        cell: usize,
        times: usize,
        asking: Asking,
        (sort, confirm): (u8, bool),
    ) -> Result<bool, Violation> {
        let there = self.pick_own(client, 0, |link| link.publishes && link.channel == OwnChannel::Cell(cell));
        let index = match there {
            Some(link) => Some(link),
            None => self.open_own(client, OwnChannel::Cell(cell), true, asking)?,
        };
        let Some(index) = index else { return Ok(false) };
        let mut did = false;
        for _ in 0..times {
            let link = self.facts.own.link(index);
            if link.published >= link.credit {
                break;
            }
            let (link, number) = (link.number, link.published + 1);
            let payload = payload_of(self.facts.own.next_write(), sort);
            self.send(client, &Frame::Publish { link, number, confirm, payload: Payload::from(&payload) })?;
            did = true;
        }
        Ok(did)
    }

    /// Whoever waits for a link gets it, and everybody takes what there is.
    pub(in crate::simulate) fn drain_own(&mut self) -> Result<(), Violation> {
        for client in self.first_own()..self.clients.len() {
            for pick in 0..MOST_LINKS as usize {
                let link = self.pick_own(client, pick, |link| {
                    !link.publishes && link.channel != OwnChannel::Barrier && link.granted < 100_000
                });
                self.allow_own(client, link, 100_000)?;
            }
        }
        loop {
            self.settle()?;
            if !self.answer_own(0, Answer::Yes) {
                return self.rest();
            }
        }
    }
}
