//! What is known of channels of one's own: from their clients' ends, and from what the channels were told.

use super::deed::Answer;
use super::diary::Note;
use super::link::{Asking, OwnChannel, OwnLink, OwnLinkNumber};
use super::{CELLS, PARTY};
use crate::simulate::facts::{ConnectionNumber, Outcome};
use msglib_proto::{Frame, INITIAL_PUBLISH_CREDIT, Instant, LinkState};
use std::collections::BTreeMap;
use std::time::Duration;

/// What behind its number says that a cell refuses a value.
pub(super) const IS_REFUSED: u8 = b'-';
/// What says that a cell panics of it.
pub(super) const IS_PANIC: u8 = b'*';
/// What says neither.
pub(super) const IS_VALUE: u8 = b'=';

/// All that is known.
#[derive(Debug, Default)]
pub struct Own {
    links: Vec<OwnLink>,
    by_number: BTreeMap<(ConnectionNumber, u32), OwnLinkNumber>,
    /// What the channels know of each link.
    stages: Vec<Stage>,
    writes: Vec<Write>,
    /// By cell: the writes that it took in this life, in their order.
    versions: [Vec<usize>; CELLS.len()],
    /// By round: who was seen to go through.
    rounds: BTreeMap<usize, Vec<OwnLinkNumber>>,
    life: u32,
}

/// What a channel knows of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It was not told of it.
    Unknown,
    /// It is open.
    Open,
    /// It refused it, or it is over.
    Over,
}

/// A value for a cell.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    /// Which cell.
    pub cell: usize,
    /// On which link.
    pub link: OwnLinkNumber,
    /// Its number there.
    pub number: u64,
    /// In which life of the handler.
    pub life: u32,
    /// A confirm was asked for.
    pub confirm: bool,
    /// What became of it, as its publisher knows it.
    pub outcome: Outcome,
    /// The cell has seen it, and took it or did not.
    pub told: Option<bool>,
    /// Its place among the cell's versions.
    pub version: Option<usize>,
    /// What it is: the byte behind its number.
    pub sort: u8,
}

impl Write {
    /// Whether a cell takes it.
    pub fn is_good(&self) -> bool {
        self.sort == IS_VALUE
    }
}

/// The payload of a write.
pub(super) fn payload_of(write: usize, sort: u8) -> Vec<u8> {
    let mut payload = (write as u64).to_be_bytes().to_vec();
    payload.push(sort);
    payload.resize(9 + write % 12, b'.');
    payload
}

/// The write that this is the payload of, if it is one.
pub(super) fn write_of(payload: &[u8]) -> Option<usize> {
    usize::try_from(u64::from_be_bytes(*payload.first_chunk()?)).ok()
}

impl Own {
    /// The link that has this number on the connection now.
    pub fn find(&self, connection: ConnectionNumber, number: u32) -> Option<OwnLinkNumber> {
        self.by_number.get(&(connection, number)).copied()
    }

    /// A link.
    pub fn link(&self, link: OwnLinkNumber) -> &OwnLink {
        &self.links[link]
    }

    /// Every link so far, with its number.
    pub fn all_links(&self) -> impl Iterator<Item = (OwnLinkNumber, &OwnLink)> {
        self.links.iter().enumerate()
    }

    /// The links that are there, with their numbers.
    pub fn links(&self) -> impl Iterator<Item = (OwnLinkNumber, &OwnLink)> {
        self.by_number.values().map(|link| (*link, &self.links[*link]))
    }

    /// The links of a connection.
    pub fn of(&self, connection: ConnectionNumber) -> impl Iterator<Item = (OwnLinkNumber, &OwnLink)> {
        let range = (connection, 0)..=(connection, u32::MAX);
        self.by_number.range(range).map(|(_, link)| (*link, &self.links[*link]))
    }

    /// What the channels know of a link; of one that was never asked for nothing.
    pub fn stage(&self, link: OwnLinkNumber) -> Stage {
        self.stages.get(link).copied().unwrap_or(Stage::Unknown)
    }

    /// Whether a connection waits for a decision, so that nothing that it has said since is looked at.
    pub fn is_waiting(&self, connection: ConnectionNumber) -> bool {
        self.of(connection).any(|(_, link)| link.waits())
    }

    /// The first of a connection's links that waits for a decision: those behind it are not even asked for.
    pub fn first_waiting(&self, connection: ConnectionNumber) -> Option<OwnLinkNumber> {
        self.of(connection).filter(|(_, link)| link.waits()).map(|(index, _)| index).min()
    }

    /// Whether the broker may not know that a connection is over: it owes it an answer, and the deadline is not over.
    pub fn may_linger(&self, connection: ConnectionNumber, now: Instant, timeout: Duration) -> bool {
        let undecided = |link: &&OwnLink| link.connection == connection && link.may_wait() && link.decided.is_none();
        let mut waiting = self.links.iter().filter(undecided);
        match (waiting.next(), waiting.next()) {
            (None, _) => false,
            (Some(link), None) => link.known_at.is_none_or(|at| now.since(at) <= timeout),
            // One after the other.
            (Some(_), Some(_)) => true,
        }
    }

    /// A write.
    pub fn write(&self, write: usize) -> Option<&Write> {
        self.writes.get(write)
    }

    /// Every write so far.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The write whose payload this is; `None` if nobody has written it, byte for byte.
    pub fn write_of(&self, payload: &[u8]) -> Option<usize> {
        let write = write_of(payload)?;
        (payload_of(write, self.writes.get(write)?.sort) == payload).then_some(write)
    }

    /// What a cell held in this life, one after the other.
    pub fn versions(&self, cell: usize) -> &[usize] {
        &self.versions[cell]
    }

    /// Who was seen to go through in a round.
    pub fn round(&self, round: usize) -> &[OwnLinkNumber] {
        self.rounds.get(&round).map_or(&[], Vec::as_slice)
    }

    /// How many were let through, by the rounds that somebody has seen, and have not seen it.
    pub fn unseen_passes(&self) -> usize {
        self.rounds.values().map(|seen| PARTY.saturating_sub(seen.len())).sum()
    }

    /// The life of the handler that the links are of.
    pub fn life(&self) -> u32 {
        self.life
    }

    pub(super) fn next_link(&self) -> OwnLinkNumber {
        self.links.len()
    }

    pub(super) fn next_write(&self) -> usize {
        self.writes.len()
    }
}

/// What happens.
impl Own {
    pub(super) fn opened(
        &mut self,
        key: (ConnectionNumber, u32),
        channel: OwnChannel,
        publishes: bool,
        asking: Asking,
        now: Instant,
    ) {
        self.by_number.insert(key, self.links.len());
        self.stages.push(Stage::Unknown);
        self.links.push(OwnLink {
            connection: key.0,
            number: key.1,
            channel,
            publishes,
            asking,
            life: self.life,
            asked_at: now,
            known_at: None,
            decided: None,
            state: LinkState::Opening,
            was_opened: false,
            was_answered: false,
            published: 0,
            confirmed: 0,
            credit: INITIAL_PUBLISH_CREDIT,
            granted: 0,
            delivered: 0,
            seen: None,
            is_past: false,
            was_read: true,
            writes: Vec::new(),
        });
    }

    pub(super) fn decided(&mut self, link: OwnLinkNumber, answer: Answer) {
        if let Some(link) = self.links.get_mut(link) {
            link.decided.get_or_insert(answer);
        }
    }

    pub(in crate::simulate) fn sent(&mut self, connection: ConnectionNumber, frame: &Frame<'_>) {
        let Some(index) = self.find(connection, frame.link()) else { return };
        let link = &mut self.links[index];
        match *frame {
            Frame::Publish { number, confirm, payload, .. } => {
                link.published = number;
                link.writes.push(self.writes.len());
                let OwnChannel::Cell(cell) = link.channel else { return };
                self.writes.push(Write {
                    cell,
                    link: index,
                    number,
                    life: self.life,
                    confirm,
                    outcome: Outcome::Pending,
                    told: None,
                    version: None,
                    sort: payload.get(8).copied().unwrap_or(IS_VALUE),
                });
            }
            Frame::Credit { upto, .. } => link.granted = upto,
            Frame::Close { .. } => link.state = LinkState::Closing,
            _ => {}
        }
    }

    pub(in crate::simulate) fn received(&mut self, connection: ConnectionNumber, frame: &Frame<'_>) {
        let Some(index) = self.find(connection, frame.link()) else { return };
        let link = &mut self.links[index];
        match *frame {
            Frame::Opened { .. } => {
                (link.was_opened, link.was_answered) = (true, true);
                if link.state == LinkState::Opening {
                    link.state = LinkState::Open;
                }
            }
            Frame::Credit { upto, .. } => link.credit = upto,
            Frame::Confirmed { upto, .. } => {
                let from = core::mem::replace(&mut link.confirmed, upto) + 1;
                (from..=upto).for_each(|number| self.resolve(index, number, Outcome::Accepted));
            }
            Frame::Refused { first, last, .. } => {
                (first..=last).for_each(|number| self.resolve(index, number, Outcome::Refused));
            }
            Frame::Delivery { tag, payload, .. } => {
                link.delivered = tag;
                self.delivered(index, &payload);
            }
            Frame::Closed { .. } => {
                link.was_answered = true;
                self.over(index);
            }
            _ => {}
        }
    }

    fn delivered(&mut self, index: OwnLinkNumber, payload: &[u8]) {
        match self.links[index].channel {
            OwnChannel::Cell(_) => {
                let write = self.write_of(payload).and_then(|write| self.write(write));
                self.links[index].seen = write.and_then(|write| write.version);
            }
            OwnChannel::Barrier => {
                if let Some(round) = write_of(payload) {
                    self.links[index].seen = Some(round);
                    self.rounds.entry(round).or_default().push(index);
                }
            }
        }
    }

    fn resolve(&mut self, index: OwnLinkNumber, number: u64, outcome: Outcome) {
        let Some(write) = self.links[index].write(number).and_then(|write| self.writes.get_mut(write)) else { return };
        if write.outcome == Outcome::Pending {
            write.outcome = outcome;
        }
    }

    /// A channel was told something.
    pub(in crate::simulate) fn noted(&mut self, note: Note) {
        let mut is_now = |link: Option<OwnLinkNumber>, stage| {
            if let Some(known) = link.and_then(|link| self.stages.get_mut(link)) {
                *known = stage;
            }
        };
        match note {
            Note::Opened(link, is_ok) => is_now(link, if is_ok { Stage::Open } else { Stage::Over }),
            Note::Closed(link) => is_now(link, Stage::Over),
            Note::Published(_, write, is_taken) => {
                let Some((write, known)) = write.and_then(|at| Some((at, self.writes.get_mut(at)?))) else { return };
                known.told = Some(is_taken);
                if is_taken {
                    known.version = Some(self.versions[known.cell].len());
                    self.versions[known.cell].push(write);
                }
            }
            Note::Of(_) => {}
        }
    }

    fn over(&mut self, index: OwnLinkNumber) {
        let link = &mut self.links[index];
        link.state = LinkState::Free;
        let key = (link.connection, link.number);
        self.by_number.remove(&key);
    }

    pub(in crate::simulate) fn ended(&mut self, connection: ConnectionNumber) {
        let links: Vec<OwnLinkNumber> = self.of(connection).map(|(link, _)| link).collect();
        for link in links {
            (1..=self.links[link].published).for_each(|number| self.resolve(link, number, Outcome::Unknown));
            self.over(link);
        }
    }

    pub(in crate::simulate) fn begins_anew(&mut self) {
        self.life += 1;
        self.versions.iter_mut().for_each(Vec::clear);
        self.rounds.clear();
    }

    /// Everything is at rest, and the connections that take part have said and read all that is looked at.
    pub(in crate::simulate) fn rested(&mut self, now: Instant, takes_part: impl Fn(ConnectionNumber) -> bool) {
        // The first of each connection's.
        let mut waiting = BTreeMap::new();
        for (at, link) in self.links.iter().enumerate().filter(|(_, link)| link.may_wait() && link.life == self.life) {
            if link.decided.is_none() {
                waiting.entry(link.connection).or_insert(at);
            }
        }
        for (at, link) in self.links.iter_mut().enumerate() {
            link.is_past |= link.state == LinkState::Free && !waiting.contains_key(&link.connection);
            link.was_read = takes_part(link.connection);
            let is_known = link.state == LinkState::Free || takes_part(link.connection);
            if is_known && waiting.get(&link.connection) == Some(&at) {
                link.known_at.get_or_insert(now);
            }
        }
    }
}
