//! What consumers receive.

use crate::simulate::checker::{Checker, Seen, View};
use crate::simulate::facts::{ConnectionNumber, Facts, LinkIndex, MessageNumber, Outcome, Place};
use msglib_proto::Frame;
use std::borrow::Cow;
use std::collections::BTreeMap;

type Verdict = Result<(), Cow<'static, str>>;

/// A delivery, put into words that the checkers share.
struct Delivery<'a> {
    link: LinkIndex,
    tag: u64,
    count: u32,
    payload: &'a [u8],
}

/// The delivery that is seen, if it is one; on a link that is not there it is no affair of these checkers.
fn delivery<'a>(facts: &Facts, seen: &'a Seen<'_>) -> Option<Delivery<'a>> {
    let Seen::Received(connection, Frame::Delivery { link, tag, count, payload }) = seen else { return None };
    let link = facts.find_link(*connection, *link)?;
    Some(Delivery { link, tag: *tag, count: *count, payload: payload.as_slice() })
}

/// I3: every delivery was published, to this queue and to this handler, byte for byte.
#[derive(Debug, Default)]
pub(super) struct Expected;

impl<H> Checker<H> for Expected {
    fn name(&self) -> &'static str {
        "I3 every delivery was published, byte for byte"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { link, tag, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let what = || format!("{link} received, with tag {tag}, {:?}", payload.escape_ascii().to_string());
        let Some(number) = facts.message_of(payload) else {
            return Err(format!("{}, which nobody has published", what()).into());
        };
        let message = facts.message(number);
        let queue = facts.link(link).queue;
        if message.queue != queue {
            let words =
                format!("{}, which is {number}, published to queue {}, from queue {queue}", what(), message.queue);
            return Err(words.into());
        }
        if message.life != facts.life() {
            return Err(format!("{}, which is {number}, published to a handler that is no more", what()).into());
        }
        Ok(())
    }
}

/// I4: a refused publish is never delivered.
#[derive(Debug, Default)]
pub(super) struct NotRefused;

impl<H> Checker<H> for NotRefused {
    fn name(&self) -> &'static str {
        "I4 a refused publish is never delivered"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        if let Some(Delivery { link, payload, .. }) = delivery(facts, seen)
            && let Some(number) = facts.message_of(payload)
            && facts.message(number).outcome == Outcome::Refused
        {
            return Err(format!("{link} received {number}, which was refused").into());
        }
        let Seen::Received(connection, Frame::Refused { link, first, last, .. }) = seen else { return Ok(()) };
        let Some(link) = facts.find_link(*connection, *link) else { return Ok(()) };
        for number in (*first..=*last).filter_map(|number| facts.link(link).message(number)) {
            if facts.message(number).seen > 0 {
                return Err(format!("{number} is refused, and was delivered before").into());
            }
        }
        Ok(())
    }
}

/// I5: each attempt has the count that follows the one before.
#[derive(Debug, Default)]
pub(super) struct Counts;

impl<H> Checker<H> for Counts {
    fn name(&self) -> &'static str {
        "I5 the count of a delivery is the last one plus one"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { link, count, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let Some(number) = facts.message_of(payload) else { return Ok(()) };
        let message = facts.message(number);
        if count <= 64 && message.counts >> (count.max(1) - 1) & 1 == 1 {
            return Err(format!("{link} received {number} as attempt {count}, and so did somebody before").into());
        }
        Ok(())
    }

    /// What nobody has seen must have been under way to somebody who went away.
    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let facts = view.facts;
        if !facts.is_everybody_there() {
            return Ok(());
        }
        for (number, message) in facts.open_messages() {
            let unseen = message.highest.saturating_sub(message.seen);
            if unseen > facts.queues()[message.queue].unseen_ends {
                let words =
                    format!("{number} was delivered as attempt {}, and seen {} times", message.highest, message.seen);
                return Err(words.into());
            }
        }
        Ok(())
    }
}

/// Somebody has received what another one seems to have: right only if the other's end is on its way to it.
#[derive(Debug, Default)]
struct Suspicions {
    /// The link that must turn out to be over, and what was received elsewhere.
    of: Vec<(LinkIndex, MessageNumber, LinkIndex)>,
}

impl Suspicions {
    /// Those that did not come true by the time that everything is at rest.
    fn proven(&mut self, facts: &Facts) -> Option<(LinkIndex, MessageNumber, LinkIndex)> {
        let proven = self.of.iter().copied().find(|(holder, ..)| facts.is_live(*holder));
        self.of.retain(|(holder, ..)| {
            let link = facts.link(*holder);
            !link.gave_up && !facts.connection(link.connection).is_over
        });
        proven
    }
}

/// I6: a message is in flight to one consumer at most.
#[derive(Debug, Default)]
pub(super) struct OneHolder {
    suspicions: Suspicions,
}

impl<H> Checker<H> for OneHolder {
    fn name(&self) -> &'static str {
        "I6 a message is in flight to one consumer at most"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { link, count, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let Some(number) = facts.message_of(payload) else { return Ok(()) };
        let message = facts.message(number);
        match message.place {
            Place::InFlight(holder, tag) if holder == link => {
                return Err(format!("{link} received {number} again while it held it with tag {tag}").into());
            }
            Place::InFlight(holder, _) if !facts.link(link).gave_up => {
                // The older attempt may be read later than the newer one.
                let over = if count > message.highest { holder } else { link };
                self.suspicions.of.push((over, number, link));
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let Some((holder, number, link)) = self.suspicions.proven(view.facts) else { return Ok(()) };
        Err(format!("{link} received {number}, which {holder} held and has not given back").into())
    }
}

/// I7: an ack, or a refusal for good, is final.
#[derive(Debug, Default)]
pub(super) struct Final {
    suspicions: Suspicions,
}

impl<H> Checker<H> for Final {
    fn name(&self) -> &'static str {
        "I7 what is settled is settled"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { link, count, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let Some(number) = facts.message_of(payload) else { return Ok(()) };
        let message = facts.message(number);
        let is_late = count < message.highest;
        match message.place {
            Place::Settled(how) if !is_late => Err(format!("{link} received {number}, settled before ({how})").into()),
            Place::Settling(holder, how) if holder == link && !facts.link(link).gave_up => {
                Err(format!("{link} received {number} again, after it was settled there ({how})").into())
            }
            Place::Settling(holder, _) if holder != link && !is_late => {
                self.suspicions.of.push((holder, number, link));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let Some((holder, number, link)) = self.suspicions.proven(view.facts) else { return Ok(()) };
        Err(format!("{link} received {number}, which {holder} had settled").into())
    }
}

/// I9: first deliveries in the order of publication, for each publisher and queue.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By consumer and publisher: the last number that was a first delivery.
    last: BTreeMap<(LinkIndex, LinkIndex), u64>,
}

impl<H> Checker<H> for Order {
    fn name(&self) -> &'static str {
        "I9 first deliveries in the order of publication"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { link, count: 1, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let Some(number) = facts.message_of(payload) else { return Ok(()) };
        let message = facts.message(number);
        let last = self.last.entry((link, message.link)).or_default();
        if message.number <= *last {
            let words = format!("{link} received publish {} of {} behind {last}", message.number, message.link);
            return Err(words.into());
        }
        *last = message.number;
        let floor = facts.link(message.link).first_floor;
        if facts.link(link).was_read && message.number <= floor {
            let words = format!(
                "{link} received publish {} of {} for the first time; {floor} was before",
                message.number, message.link
            );
            return Err(words.into());
        }
        Ok(())
    }
}

/// I11: nobody is sent more than they allowed, nor more than may be in flight; tags are dense.
#[derive(Debug, Default)]
pub(super) struct Credit;

impl<H> Checker<H> for Credit {
    fn name(&self) -> &'static str {
        "I11 nobody is sent more than they allowed"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { link, tag, .. }) = delivery(facts, seen) else { return Ok(()) };
        let consumer = facts.link(link);
        if !consumer.consumes {
            return Err(format!("{link} received a delivery and does not consume").into());
        }
        if tag > consumer.granted {
            return Err(format!("{link} allowed tags up to {} and received {tag}", consumer.granted).into());
        }
        if tag != consumer.delivered + 1 {
            return Err(format!("{link} received tag {tag} behind {}", consumer.delivered).into());
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let most = view.setup.stock.queue.max_in_flight;
        let over = view.facts.links().find(|(_, link)| link.span() > most);
        match over {
            Some((index, link)) => {
                Err(format!("{index} has {} tags in flight, and {most} is the most", link.span()).into())
            }
            None => Ok(()),
        }
    }
}

/// I12: at rest there is never credit, and room, and a message that waits.
#[derive(Debug, Default)]
pub(super) struct NoLostWakeUp;

impl<H> Checker<H> for NoLostWakeUp {
    fn name(&self) -> &'static str {
        "I12 no message waits while a consumer could have it"
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let facts = view.facts;
        let most = view.setup.stock.queue.max_in_flight;
        let all_read = facts.is_everybody_there();
        let mut waiting: Vec<Option<MessageNumber>> = vec![None; facts.queues().len()];
        for (number, message) in facts.open_messages() {
            if message.outcome == Outcome::Accepted && message.place == Place::Waiting {
                waiting[message.queue].get_or_insert(number);
            }
        }
        for connection in (0..facts.connections.len()).map(ConnectionNumber) {
            for index in facts.connection(connection).numbers.iter().flatten() {
                let link = facts.link(*index);
                // A message that the books do not have is lost, which is another matter; without books it may be on its way to
                // somebody who does not read.
                let is_there = view.accounts[link.queue].map_or(all_read, |account| account.ledger.ready > 0);
                let can = is_there
                    && facts.is_live(*index)
                    && link.consumes
                    && link.granted > link.delivered
                    && link.span() < most;
                if can && let Some(number) = waiting[link.queue] {
                    let left = link.granted - link.delivered;
                    return Err(
                        format!("{number} waits in queue {}, and {index} allows {left} more", link.queue).into()
                    );
                }
            }
        }
        Ok(())
    }
}
