//! What a handler says of its queues, against what the clients know.

use crate::simulate::books::Account;
use crate::simulate::checker::{Checker, Seen, View};
use crate::simulate::facts::{Facts, Outcome, Place, QueueTally};
use std::borrow::Cow;

type Verdict = Result<(), Cow<'static, str>>;

/// Bytes that each message counts for beyond its payload.
const OVERHEAD: u64 = msglib_broker::queue::OVERHEAD as u64;

/// I1: every accepted message is counted once, and where the clients know it to be.
#[derive(Debug, Default)]
pub(super) struct Conservation;

impl<H> Checker<H> for Conservation {
    fn name(&self) -> &'static str {
        "I1 every accepted message is somewhere, once"
    }

    fn after_step(&mut self, view: &View<'_, H>) -> Verdict {
        for (queue, account) in accounts(view) {
            if !account.ledger.is_balanced() {
                return Err(format!("the ledger of queue {queue} does not add up: {:?}", account.ledger).into());
            }
            let attempted = view.facts.queues()[queue].attempted;
            if account.ledger.accepted > attempted {
                let words = format!("queue {queue} has accepted {} of {attempted} publishes", account.ledger.accepted);
                return Err(words.into());
            }
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let is_exact = view.facts.is_everybody_there();
        accounts(view).try_for_each(|(queue, account)| compare(queue, account, &view.facts.tally(queue), is_exact))
    }
}

/// Whether the books say what the clients know.
fn compare(queue: usize, account: &Account, tally: &QueueTally, is_exact: bool) -> Verdict {
    let ledger = &account.ledger;
    let there = ledger.ready + ledger.in_flight;
    let within = |what: &str, is: u64, least: u64, most: u64| -> Verdict {
        match (least..=most).contains(&is) {
            true => Ok(()),
            false if least == most => {
                Err(format!("queue {queue} counts {is} {what}, and it is {least}; {ledger:?}").into())
            }
            false => Err(format!("queue {queue} counts {is} {what}, and it is {least} to {most}; {ledger:?}").into()),
        }
    };
    within("accepted", ledger.accepted, tally.accepted, tally.accepted + tally.unknown)?;
    within("acked", ledger.acked, tally.acked, tally.acked + tally.perhaps_acked)?;
    within("refused by consumers", ledger.refused, tally.dropped, tally.dropped + tally.perhaps_dropped)?;
    within("waiting or in flight", there, tally.live, tally.live + tally.unknown_live)?;
    within("turned away", ledger.turned_away, 0, tally.refused + tally.unknown)?;
    if is_exact {
        within("in flight", ledger.in_flight, tally.in_flight, tally.in_flight)?;
    }
    Ok(())
}

/// I8: nothing is settled but what a client has settled, whatever tags it names.
#[derive(Debug, Default)]
pub(super) struct OnlySettled;

impl<H> Checker<H> for OnlySettled {
    fn name(&self) -> &'static str {
        "I8 a tag that is not held settles nothing"
    }

    fn after_step(&mut self, view: &View<'_, H>) -> Verdict {
        for (queue, account) in accounts(view) {
            let facts = view.facts.queues()[queue];
            let sides =
                [("acked", account.ledger.acked, facts.acks), ("refused", account.ledger.refused, facts.refusals)];
            if let Some((what, is, most)) = sides.into_iter().find(|(_, is, most)| is > most) {
                return Err(format!("queue {queue} counts {is} {what}, and the clients settled {most}").into());
            }
        }
        Ok(())
    }
}

/// I23: the bytes of a queue are those of its messages, and its limits hold.
#[derive(Debug, Default)]
pub(super) struct Bytes;

impl<H> Checker<H> for Bytes {
    fn name(&self) -> &'static str {
        "I23 bytes are counted, and limits hold"
    }

    fn after_step(&mut self, view: &View<'_, H>) -> Verdict {
        let config = &view.setup.stock.queue;
        for (queue, account) in accounts(view) {
            let there = account.ledger.ready + account.ledger.in_flight;
            if there > config.max_messages as u64 {
                return Err(
                    format!("queue {queue} has {there} messages, and {} is the most", config.max_messages).into()
                );
            }
            if let Some(bytes) = account.bytes.filter(|bytes| *bytes > config.max_bytes) {
                return Err(format!("queue {queue} has {bytes} bytes, and {} is the most", config.max_bytes).into());
            }
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        for (queue, account) in accounts(view) {
            let Some(bytes) = account.bytes else { continue };
            let tally = view.facts.tally(queue);
            let least = tally.bytes + OVERHEAD * tally.live;
            let most = least + tally.unknown_bytes + OVERHEAD * tally.unknown_live;
            if !(least..=most).contains(&(bytes as u64)) {
                return Err(format!("queue {queue} counts {bytes} bytes, and it is {least} to {most}").into());
            }
        }
        Ok(())
    }
}

/// I25: a step does no more than its budgets allow.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    /// Deliveries of all queues before the step; `None` behind steps that nobody looked at.
    delivered: Option<u64>,
}

impl<H> Checker<H> for Budgets {
    fn name(&self) -> &'static str {
        "I25 a step keeps within its budgets"
    }

    fn sees(&mut self, _: &Facts, seen: &Seen<'_>) -> Verdict {
        if let Seen::Restarted { .. } = seen {
            self.delivered = None;
        }
        Ok(())
    }

    fn after_step(&mut self, view: &View<'_, H>) -> Verdict {
        // Each delivery is in flight, or ended in one of these ways.
        let delivered = accounts(view).map(|(_, account)| {
            let ledger = account.ledger;
            ledger.in_flight + ledger.acked + ledger.refused + ledger.given_back
        });
        let delivered: u64 = delivered.sum();
        let most = view.setup.stock.deliveries_per_step as u64;
        let in_step = self.delivered.replace(delivered).map_or(0, |before| delivered.saturating_sub(before));
        if in_step > most {
            return Err(format!("{in_step} deliveries in one step, and {most} is the most").into());
        }
        let (core, reads) = (&view.setup.broker.core, view.setup.broker.reads_per_turn as u64);
        let connections = view.counters.connected - view.counters_before.disconnected;
        let most = connections.saturating_mul(core.frames_per_turn as u64).saturating_mul(reads + 1);
        let frames = view.counters.frames_received - view.counters_before.frames_received;
        if frames > most {
            return Err(format!("{frames} frames of {connections} connections in one step; {most} is the most").into());
        }
        Ok(())
    }
}

/// I2: after the faults and the draining, every accepted message has found its end.
#[derive(Debug, Default)]
pub(super) struct NothingLost;

impl<H> Checker<H> for NothingLost {
    fn name(&self) -> &'static str {
        "I2 nothing that was accepted is lost"
    }

    fn drained(&mut self, view: &View<'_, H>) -> Verdict {
        let lost = view.facts.open_messages().find(|(_, message)| {
            message.outcome == Outcome::Accepted && matches!(message.place, Place::Waiting | Place::InFlight(..))
        });
        let Some((number, message)) = lost else { return Ok(()) };
        let words = format!(
            "{number} was accepted and never came to its end: {:?}, {} deliveries",
            message.place, message.seen
        );
        Err(words.into())
    }
}

/// I27: everything is zero when all are gone.
#[derive(Debug, Default)]
pub(super) struct NothingLeft;

impl<H> Checker<H> for NothingLeft {
    fn name(&self) -> &'static str {
        "I27 everything is given back when all are gone"
    }

    fn at_end(&mut self, view: &View<'_, H>) -> Verdict {
        if view.connections > 0 {
            return Err(format!("{} connections are left", view.connections).into());
        }
        let (opened, closed) = (view.counters.connected, view.counters.disconnected);
        if opened != closed {
            return Err(format!("{opened} connections were opened and {closed} are over").into());
        }
        for (queue, account) in accounts(view) {
            let Account { ledger, bytes, consumers, links } = account;
            if ledger.ready + ledger.in_flight > 0 || bytes.is_some_and(|bytes| bytes > 0) || consumers + links > 0 {
                return Err(format!("queue {queue} still has {account:?}").into());
            }
        }
        Ok(())
    }
}

fn accounts<'v, H>(view: &View<'v, H>) -> impl Iterator<Item = (usize, &'v Account)> {
    view.accounts.iter().enumerate().filter_map(|(queue, account)| Some((queue, account.as_ref()?)))
}
