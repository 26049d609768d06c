//! Topics, as publishers and subscribers see them.

use crate::simulate::checker::{Checker, Seen, View};
use crate::simulate::facts::{Facts, Outcome};
use crate::simulate::featured::{Channel, FILTERS, FeaturedLink, LinkNumber, TOPICS};
use msglib_proto::{Frame, LinkState};
use std::borrow::Cow;

type Verdict = Result<(), Cow<'static, str>>;

/// What came over a link of a subscriber.
struct Delivery<'a> {
    index: LinkNumber,
    link: &'a FeaturedLink,
    filter: usize,
    group: u8,
    tag: u64,
    is_retained: bool,
    topic: Option<&'a [u8]>,
    payload: &'a [u8],
}

fn delivery<'a>(facts: &'a Facts, seen: &'a Seen<'_>) -> Option<Delivery<'a>> {
    let Seen::Received(connection, frame) = seen else { return None };
    let index = facts.featured.find(*connection, frame.link())?;
    let link = facts.featured.link(index);
    let Channel::Filter(filter, group) = link.channel else { return None };
    let (tag, is_retained, topic, payload) = match frame {
        Frame::Delivery { tag, payload, .. } => (*tag, false, None, payload.as_slice()),
        Frame::DeliveryWith { tag, retained, options, payload, .. } => {
            (*tag, *retained, options.topic, payload.as_slice())
        }
        _ => return None,
    };
    Some(Delivery { index, link, filter, group, tag, is_retained, topic, payload })
}

/// I20: what comes was published to a topic that the filter means, byte for byte, in this life, and says which.
#[derive(Debug, Default)]
pub(super) struct Meant;

impl<H> Checker<H> for Meant {
    fn name(&self) -> &'static str {
        "I20 a subscription gets what its filter means"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, filter, topic, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let what = || format!("link {index}, a subscription to {}, received", FILTERS[filter]);
        let number = facts.featured.said_of(payload).filter(|_| payload.get(8..) == Some(b"!"));
        let Some(number) = number else {
            return Err(
                format!("{} {:?}, which nobody has published", what(), payload.escape_ascii().to_string()).into()
            );
        };
        let said = facts.featured.said(number);
        if !facts.featured.is_of_this_life(number) || said.outcome == Outcome::Refused {
            return Err(format!("{} message {number}, which nobody has", what()).into());
        }
        let is_named = topic.map_or(!FILTERS[filter].contains(['+', '#']), |topic| topic == said.name().as_bytes());
        if !said.is_meant_by(filter) || !is_named {
            let told = topic.map(|topic| topic.escape_ascii().to_string());
            return Err(format!("{} message {number} of {}, as {told:?}", what(), said.name()).into());
        }
        Ok(())
    }
}

/// I19: one copy at most, to one of a group at most, in order; nothing beyond credit.
#[derive(Debug, Default)]
pub(super) struct OneCopy;

impl<H> Checker<H> for OneCopy {
    fn name(&self) -> &'static str {
        "I19 a subscription gets one copy, in order"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, link, filter, group, tag, is_retained, payload, .. }) = delivery(facts, seen) else {
            return Ok(());
        };
        if tag != link.delivered + 1 || tag > link.granted {
            let words =
                format!("link {index} received tag {tag} behind {}, and allows {}", link.delivered, link.granted);
            return Err(words.into());
        }
        let Some(number) = facts.featured.said_of(payload) else { return Ok(()) };
        if link.seen.contains(&number) {
            return Err(format!("link {index} received message {number} twice").into());
        }
        let said = facts.featured.said(number);
        if is_retained {
            return match said.retain {
                true => Ok(()),
                false => Err(format!("link {index} received message {number} as a last value").into()),
            };
        }
        if group > 0 && facts.featured.was_seen_by_group(filter, group, number) {
            return Err(format!("link {index} received message {number}, and so did another one of its group").into());
        }
        let last = link.last.get(&(said.link, said.to)).copied().unwrap_or(0);
        match said.number > last {
            true => Ok(()),
            false => {
                Err(format!("link {index} received publish {} of {} behind {last}", said.number, said.name()).into())
            }
        }
    }
}

/// I19: at rest whoever allows more has had a copy, or was told of a gap, for each message since it is there.
#[derive(Debug, Default)]
pub(super) struct NoneMissing;

impl<H> Checker<H> for NoneMissing {
    fn name(&self) -> &'static str {
        "I19 a subscription misses nothing that it is not told of"
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let featured = &view.facts.featured;
        for (index, link) in featured.links() {
            // Of a group somebody else may have had it, and what waited for the group before is for its next as well.
            let (Channel::Filter(filter, 0), Some(opened)) = (link.channel, link.opened) else { continue };
            if !is_live(view.facts, link) || link.granted <= link.delivered {
                continue;
            }
            let (mut sure, mut perhaps) = (0, 0);
            for (_, said) in featured.all_said().filter(|(_, said)| said.is_meant_by(filter)) {
                let is_before = said.known.is_some_and(|known| known < link.asked);
                match said.outcome {
                    Outcome::Refused => {}
                    Outcome::Accepted if said.sent > opened => sure += 1,
                    _ if is_before => {}
                    _ => perhaps += 1,
                }
            }
            let (least, most) = (sure, sure + perhaps);
            let told = link.fresh + link.lost;
            if !(least..=most).contains(&told) {
                let (fresh, lost) = (link.fresh, link.lost);
                let words = format!(
                    "link {index}, a subscription to {}, received {fresh} messages and gaps of {lost}; there were {least} to {most}",
                    FILTERS[filter]
                );
                return Err(words.into());
            }
        }
        Ok(())
    }
}

/// I19: a last value is the last: nothing that was kept before another one was known to be there.
#[derive(Debug, Default)]
pub(super) struct LastValues;

impl<H> Checker<H> for LastValues {
    fn name(&self) -> &'static str {
        "I19 a last value is the last"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, link, is_retained: true, payload, .. }) = delivery(facts, seen) else {
            return Ok(());
        };
        let Some(number) = facts.featured.said_of(payload) else { return Ok(()) };
        let said = facts.featured.said(number);
        let Some(known) = said.known else { return Ok(()) };
        let newer = facts.featured.all_said().find(|(_, other)| {
            let is_there = other.known.is_some_and(|known| known < link.asked);
            other.retain && !other.is_request && other.to == said.to && other.sent > known && is_there
        });
        match newer {
            Some((newer, _)) => {
                Err(format!("link {index} received {number} as the last value, and {newer} was later").into())
            }
            None => Ok(()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let featured = &view.facts.featured;
        for (index, link) in featured.links() {
            let Channel::Filter(filter, 0) = link.channel else { continue };
            if !is_live(view.facts, link) || link.granted <= link.delivered || !link.wants_retained {
                continue;
            }
            for (topic, name) in TOPICS.iter().enumerate() {
                let kept = featured.all_said().filter(|(_, said)| said.retain && !said.is_request && said.to == topic);
                let mut kept = kept.filter(|(_, said)| said.outcome != Outcome::Refused && said.is_meant_by(filter));
                let was_there = kept.clone().any(|(_, said)| said.known.is_some_and(|known| known < link.asked));
                if was_there && !kept.any(|(number, _)| link.seen.contains(&number)) && link.lost == 0 {
                    return Err(format!("link {index} has not received the last value of {name}").into());
                }
            }
        }
        Ok(())
    }
}

fn is_live(facts: &Facts, link: &FeaturedLink) -> bool {
    let connection = facts.connection(link.connection);
    link.state == LinkState::Open && connection.is_listening && !connection.is_over && !connection.is_leaving
}
