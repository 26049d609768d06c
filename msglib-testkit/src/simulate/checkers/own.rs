//! Channels of one's own: what a cell and a barrier promise, and what the broker promises to every channel.

use crate::simulate::checker::{Checker, Seen, View};
use crate::simulate::facts::{Facts, Outcome};
use crate::simulate::own::{CELLS, Note, OwnChannel, OwnLink, OwnLinkNumber, PARTY, Stage};
use msglib_proto::{ErrorCode, Frame, LinkState};
use std::borrow::Cow;

type Verdict = Result<(), Cow<'static, str>>;

/// A delivery on a link to a channel of one's own, if it is one.
fn delivery<'a>(facts: &'a Facts, seen: &'a Seen<'_>) -> Option<(OwnLinkNumber, &'a OwnLink, u64, &'a [u8])> {
    let Seen::Received(connection, Frame::Delivery { link, tag, payload, .. }) = seen else { return None };
    let index = facts.own.find(*connection, *link)?;
    Some((index, facts.own.link(index), *tag, payload.as_slice()))
}

/// Whether everything that the link's client said was looked at, and it has read all.
fn is_live(facts: &Facts, link: &OwnLink) -> bool {
    let connection = facts.connection(link.connection);
    let takes_part = connection.is_listening && !connection.is_over && !connection.is_leaving;
    link.state == LinkState::Open && takes_part && !facts.own.is_waiting(link.connection)
}

/// I19, of a cell: a watcher sees some of its versions, in their order and each once, and the last.
#[derive(Debug, Default)]
pub(super) struct Cells;

impl<H> Checker<H> for Cells {
    fn name(&self) -> &'static str {
        "I19 a watcher of a cell sees its versions in order, and the last"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some((index, link, tag, payload)) = delivery(facts, seen) else { return Ok(()) };
        let OwnChannel::Cell(cell) = link.channel else { return Ok(()) };
        let what = || format!("link {index}, a watcher of {}, received", CELLS[cell]);
        if link.publishes || tag != link.delivered + 1 || tag > link.granted {
            let words = format!("{} tag {tag} behind {}, and allows {}", what(), link.delivered, link.granted);
            return Err(words.into());
        }
        let write = facts.own.write_of(payload);
        let Some((number, write)) = write.and_then(|at| Some((at, facts.own.write(at)?))) else {
            return Err(format!("{} {:?}, which nobody wrote", what(), payload.escape_ascii().to_string()).into());
        };
        if write.cell != cell || write.life != facts.own.life() || write.outcome == Outcome::Refused {
            return Err(format!("{} write {number}, which the cell does not have: {write:?}", what()).into());
        }
        match (write.version, link.seen) {
            (None, _) => Err(format!("{} write {number}, which the cell has not taken", what()).into()),
            (Some(version), Some(last)) if version <= last => {
                Err(format!("{} version {version} behind version {last}", what()).into())
            }
            _ => Ok(()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let own = &view.facts.own;
        for (index, link) in own.links() {
            let OwnChannel::Cell(cell) = link.channel else { continue };
            let last = own.versions(cell).len().checked_sub(1);
            if link.publishes || link.granted <= link.delivered || last.is_none() || !is_live(view.facts, link) {
                continue;
            }
            if link.seen != last {
                let words = format!(
                    "link {index} has seen version {:?} of {}, and {last:?} is the last",
                    link.seen, CELLS[cell]
                );
                return Err(words.into());
            }
        }
        Ok(())
    }
}

/// A barrier lets nobody through before all are there, and then everybody.
#[derive(Debug, Default)]
pub(super) struct Barriers;

impl<H> Checker<H> for Barriers {
    fn name(&self) -> &'static str {
        "I19 a barrier lets all through together"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some((index, link, tag, payload)) = delivery(facts, seen) else { return Ok(()) };
        if link.channel != OwnChannel::Barrier {
            return Ok(());
        }
        let round = payload.try_into().ok().and_then(|bytes| usize::try_from(u64::from_be_bytes(bytes)).ok());
        let Some(round) = round else { return Err(format!("link {index} received no number of a round").into()) };
        if tag != link.delivered + 1 || tag > link.granted {
            return Err(format!("link {index} goes through with tag {tag}, and has come {} times", link.granted).into());
        }
        if link.seen.is_some_and(|last| round <= last) {
            return Err(format!("link {index} goes through in round {round}, behind {:?}", link.seen).into());
        }
        if facts.own.round(round).len() >= PARTY {
            return Err(format!("link {index} goes through in round {round}, and so did {PARTY} others").into());
        }
        if !link.was_read {
            // It may have been let through long ago, with others who are gone.
            return Ok(());
        }
        // Some may have gone away since; whoever had before everything was at rest the last time was not there any more.
        let is_there = |(at, other): &(OwnLinkNumber, &OwnLink)| {
            let has_come = other.channel == OwnChannel::Barrier && other.granted > other.delivered && !other.is_past;
            other.life == facts.own.life() && has_come || facts.own.round(round).contains(at)
        };
        let there = facts.own.all_links().filter(is_there).count();
        match there < PARTY {
            true => Err(format!("link {index} goes through in round {round}, and only {there} are there").into()),
            false => Ok(()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let own = &view.facts.own;
        let has_come = |link: &OwnLink| link.channel == OwnChannel::Barrier && link.granted > link.delivered;
        let waiting = own.links().filter(|(_, link)| has_come(link) && is_live(view.facts, link)).count();
        if waiting >= PARTY {
            return Err(format!("{waiting} are at the barrier, and nobody goes through").into());
        }
        let is_gone = |link: &OwnLink| link.life == own.life() && link.state == LinkState::Free && has_come(link);
        let gone = own.all_links().filter(|(_, link)| is_gone(link)).count();
        let unseen = own.unseen_passes();
        match unseen > gone && view.facts.is_everybody_there() {
            true => {
                Err(format!("{unseen} were left behind when their rounds went through, and {gone} are gone").into())
            }
            false => Ok(()),
        }
    }
}

/// I22: each write has one outcome, and it is what the channel said.
#[derive(Debug, Default)]
pub(super) struct Writes;

impl<H> Checker<H> for Writes {
    fn name(&self) -> &'static str {
        "I22 a write has one outcome, which is the channel's"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let own = &facts.own;
        if let Seen::Noted(Note::Published(_, write, is_taken)) = seen {
            let Some((number, write)) = write.and_then(|at| Some((at, own.write(at)?))) else {
                return Err("a channel was told of a write that nobody made".into());
            };
            let before = own.link(write.link).write(write.number.wrapping_sub(1)).and_then(|before| own.write(before));
            let is_in_order = before.is_none_or(|before| before.told.is_some());
            let is_fresh = write.told.is_none() && write.outcome != Outcome::Refused && write.life == own.life();
            return match is_fresh && is_in_order && *is_taken == write.is_good() {
                true => Ok(()),
                false => Err(format!("a channel was told of write {number} (taken: {is_taken}): {write:?}").into()),
            };
        }
        let Seen::Received(connection, frame) = seen else { return Ok(()) };
        let Some(index) = own.find(*connection, frame.link()) else { return Ok(()) };
        let link = own.link(index);
        let told = |number: u64| {
            link.write(number).and_then(|write| own.write(write)).map(|write| (write.outcome, write.told))
        };
        let is_right = match **frame {
            Frame::Confirmed { upto, .. } => {
                let covers = link.confirmed + 1..=upto;
                let is_confirmed = |number| {
                    matches!(told(number), Some((Outcome::Pending, Some(true)) | (Outcome::Refused, Some(false))))
                };
                link.publishes && !covers.is_empty() && upto <= link.published && covers.into_iter().all(is_confirmed)
            }
            Frame::Refused { first, last, .. } => {
                let is_refused = |number| told(number) == Some((Outcome::Pending, Some(false)));
                first <= last && last <= link.published && (first..=last).all(is_refused)
            }
            Frame::Credit { upto, .. } => link.publishes && upto >= link.credit,
            // All that was taken is confirmed, asked for or not (PROTOCOL §5.4).
            Frame::Closed { code: ErrorCode::NONE, .. } => (link.confirmed + 1..=link.published)
                .all(|number| told(number) == Some((Outcome::Refused, Some(false)))),
            _ => true,
        };
        match is_right {
            true => Ok(()),
            false => {
                Err(format!("link {index}, which published {}, received {frame:?}: {link:?}", link.published).into())
            }
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let own = &view.facts.own;
        for (index, link) in own.links().filter(|(_, link)| link.publishes && is_live(view.facts, link)) {
            for number in 1..=link.published {
                let Some(write) = link.write(number).and_then(|write| own.write(write)) else { continue };
                let is_owed = write.confirm && write.outcome == Outcome::Pending;
                if write.told.is_none() || is_owed {
                    return Err(format!("write {number} of link {index} has no outcome: {write:?}").into());
                }
            }
            if link.credit <= link.published {
                return Err(format!("link {index} published {}, and waits for credit for ever", link.published).into());
            }
        }
        Ok(())
    }
}

/// I37: what a channel is told of a link comes between its beginning and its end, and there is one of each.
#[derive(Debug, Default)]
pub(super) struct Hooks;

impl<H> Checker<H> for Hooks {
    fn name(&self) -> &'static str {
        "I37 a channel is told once that a link begins, and once that it ends"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Seen::Noted(note) = seen else { return Ok(()) };
        let (link, stage) = match *note {
            Note::Opened(link, _) => (link, Stage::Unknown),
            Note::Published(link, ..) | Note::Of(link) | Note::Closed(link) => (link, Stage::Open),
        };
        let Some(link) = link else { return Err(format!("a channel was told {note:?}, of nobody").into()) };
        let is_of_this_life = facts.own.link(link).life == facts.own.life();
        if !is_of_this_life || facts.own.stage(link) != stage {
            return Err(format!("a channel was told {note:?}, and link {link} is {:?}", facts.own.stage(link)).into());
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let own = &view.facts.own;
        for (index, link) in own.all_links().filter(|(_, link)| link.life == own.life()) {
            let stage = own.stage(index);
            if is_live(view.facts, link) && stage != Stage::Open {
                return Err(format!("link {index} is open, and to its channel it is {stage:?}").into());
            }
            let timeout = view.setup.broker.core.answer_timeout;
            if link.state == LinkState::Free
                && stage == Stage::Open
                && !own.may_linger(link.connection, view.facts.now(), timeout)
            {
                return Err(format!("link {index} is over, and its channel was not told").into());
            }
        }
        Ok(())
    }
}
