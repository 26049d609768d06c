//! What publishers are told.

use crate::simulate::checker::{Checker, Seen, View};
use crate::simulate::facts::{ConnectionNumber, Facts, LinkFacts, LinkIndex, Outcome};
use msglib_proto::{ErrorCode, Frame, INITIAL_PUBLISH_CREDIT, LinkState};
use std::borrow::Cow;

type Verdict = Result<(), Cow<'static, str>>;

/// I13: credit comes back exactly once for each publish that has its outcome, and is there again at rest.
#[derive(Debug, Default)]
pub(super) struct PublishCredit;

impl<H> Checker<H> for PublishCredit {
    fn name(&self) -> &'static str {
        "I13 credit to publish comes back exactly once"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Seen::Received(connection, Frame::Credit { link, upto }) = seen else { return Ok(()) };
        let Some(index) = facts.find_link(*connection, *link) else { return Ok(()) };
        let link = facts.link(index);
        if !link.publishes {
            return Err(format!("{index} received CREDIT and does not publish").into());
        }
        if *upto < link.credit {
            return Err(format!("{index} may publish up to {}, and now up to {upto}", link.credit).into());
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let window = view.setup.stock.publish_window.max(INITIAL_PUBLISH_CREDIT);
        for (index, link) in live_publishers(view.facts) {
            if link.credit > link.published.saturating_add(window) && link.credit != u64::MAX {
                let words = format!(
                    "{index} has published {} and may up to {}; the window is {window}",
                    link.published, link.credit
                );
                return Err(words.into());
            }
            if link.credit <= link.published {
                return Err(format!("{index} has published {}, and waits for credit for ever", link.published).into());
            }
        }
        Ok(())
    }
}

/// I22: exactly one outcome for each publish on a connection that goes on.
#[derive(Debug, Default)]
pub(super) struct OneOutcome;

impl<H> Checker<H> for OneOutcome {
    fn name(&self) -> &'static str {
        "I22 exactly one outcome for each publish"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Seen::Received(connection, frame) = seen else { return Ok(()) };
        if let Frame::Goodbye { code: ErrorCode::NONE, .. } = frame
            && facts.connection(*connection).said_goodbye
            && !facts.is_goodbye_unasked()
        {
            let owed = facts
                .links()
                .find(|(_, link)| link.connection == *connection && owed(facts, link, link.wanted, false).is_some());
            return match owed {
                Some((index, _)) => Err(format!("{index} ended with GOODBYE before its outcomes").into()),
                None => Ok(()),
            };
        }
        let Some(index) = facts.find_link(*connection, frame.link()) else { return Ok(()) };
        let link = facts.link(index);
        match **frame {
            Frame::Confirmed { .. } | Frame::Refused { .. } if !link.publishes => {
                Err(format!("{index} received {frame:?} and does not publish").into())
            }
            Frame::Confirmed { upto, .. } if upto > link.published => {
                Err(format!("{index} has published {}, and {upto} is confirmed", link.published).into())
            }
            Frame::Confirmed { upto, .. } if upto <= link.confirmed => {
                Err(format!("{index} had {} confirmed, and now {upto}", link.confirmed).into())
            }
            Frame::Refused { last, .. } if last > link.published => {
                Err(format!("{index} has published {}, and {last} is refused", link.published).into())
            }
            Frame::Refused { first, .. } if first <= link.confirmed => {
                Err(format!("{index} had {} confirmed, and now {first} is refused", link.confirmed).into())
            }
            Frame::Refused { first, last, .. } => {
                let twice = (first..=last).find(|number| {
                    link.message(*number).is_some_and(|message| facts.message(message).outcome == Outcome::Refused)
                });
                twice.map_or(Ok(()), |number| Err(format!("publish {number} of {index} is refused twice").into()))
            }
            Frame::Closed { code: ErrorCode::NONE, .. } if link.state == LinkState::Closing => {
                // All that was taken is confirmed, asked for or not (PROTOCOL §5.4).
                match owed(facts, link, link.published, true) {
                    Some(number) => Err(format!("{index} was closed, and publish {number} has no outcome").into()),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        for (index, link) in live_publishers(view.facts) {
            if let Some(number) = owed(view.facts, link, link.wanted, false) {
                return Err(format!("publish {number} of {index} has no outcome").into());
            }
        }
        Ok(())
    }
}

/// The first publish up to `upto` that was neither confirmed nor refused, of all or of those that asked.
fn owed(facts: &Facts, link: &LinkFacts, upto: u64, all: bool) -> Option<u64> {
    let is_owed = |number: &u64| {
        let message = link.message(*number).map(|message| facts.message(message));
        message.is_some_and(|message| message.outcome != Outcome::Refused && (all || message.confirm))
    };
    (link.confirmed + 1..=upto).find(is_owed)
}

fn live_publishers(facts: &Facts) -> impl Iterator<Item = (LinkIndex, &LinkFacts)> {
    let links = (0..facts.connections.len())
        .flat_map(|connection| facts.connection(ConnectionNumber(connection)).numbers.iter().flatten().copied());
    links
        .filter(|index| facts.is_live(*index))
        .map(|index| (index, facts.link(index)))
        .filter(|(_, link)| link.publishes)
}
