//! Queues with settings, as their clients see them.

use super::leaving::may_drop;
use super::orders::may_be_replaced;
use crate::simulate::checker::{Checker, Seen, View};
use crate::simulate::facts::{Facts, Outcome};
use crate::simulate::featured::{Channel, DEAD, FeaturedLink, JOBS, JobLink, JobPlace, LinkNumber};
use msglib_broker::QueueConfig;
use msglib_broker::queue::{OrderKind, Overflow};
use msglib_proto::{DeliveryOptions, ErrorCode, Frame, Instant, LinkState};
use std::borrow::Cow;

pub(super) type Verdict = Result<(), Cow<'static, str>>;

/// What came over a link of a consumer of such a queue.
pub(super) struct Delivery<'a> {
    pub(super) index: LinkNumber,
    link: &'a FeaturedLink,
    pub(super) of_job: &'a JobLink,
    pub(super) queue: usize,
    pub(super) stage: usize,
    tag: u64,
    pub(super) count: u32,
    options: DeliveryOptions<'a>,
    pub(super) payload: &'a [u8],
}

pub(super) fn delivery<'a>(facts: &'a Facts, seen: &'a Seen<'_>) -> Option<Delivery<'a>> {
    let Seen::Received(connection, frame) = seen else { return None };
    let index = facts.featured.find(*connection, frame.link())?;
    let link = facts.featured.link(index);
    let Channel::Jobs(queue) = link.channel else { return None };
    let (tag, count, options, payload) = match frame {
        Frame::Delivery { tag, count, payload, .. } => (*tag, *count, DeliveryOptions::default(), payload.as_slice()),
        Frame::DeliveryWith { tag, count, options, payload, .. } => (*tag, *count, *options, payload.as_slice()),
        _ => return None,
    };
    let (of_job, stage) = (facts.jobs.link(index)?, usize::from(queue == DEAD));
    Some(Delivery { index, link, of_job, queue, stage, tag, count, options, payload })
}

/// I3, I11: what comes was published, to this queue or to one whose dead letters come here; within credit.
#[derive(Debug, Default)]
pub(super) struct Expected;

impl<H> Checker<H> for Expected {
    fn name(&self) -> &'static str {
        "I3 what comes from a queue with settings was published to it"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, link, of_job, queue, tag, options, payload, .. }) = delivery(facts, seen) else {
            return Ok(());
        };
        let Some(number) = facts.jobs.find(payload) else {
            return Err(format!("link {index} received {:?}", payload.escape_ascii().to_string()).into());
        };
        if tag != link.delivered + 1 || tag > link.granted {
            let words =
                format!("link {index} received tag {tag} behind {}, and allows {}", link.delivered, link.granted);
            return Err(words.into());
        }
        if facts.jobs.is_still_paused(queue) && of_job.was_read {
            return Err(format!("link {index} received job {number}, and {} is paused", JOBS[queue]).into());
        }
        let job = facts.jobs.job(number);
        let is_right = if queue == DEAD { options.cause.is_some() } else { job.queue == queue };
        match is_right {
            true => Ok(()),
            false => Err(format!("job {number} of {} came from {}: {options:?}", JOBS[job.queue], JOBS[queue]).into()),
        }
    }
}

/// I5, I17: each attempt has its own count, up to the limit; so a retry of a publish is no second message.
#[derive(Debug, Default)]
pub(super) struct Counts;

impl<H> Checker<H> for Counts {
    fn name(&self) -> &'static str {
        "I5 a job has one attempt of each count, and no more than it may"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, queue, stage, count, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let Some(number) = facts.jobs.find(payload) else { return Ok(()) };
        if count <= 64 && facts.jobs.job(number).stages[stage].counts >> (count.max(1) - 1) & 1 == 1 {
            return Err(format!("link {index} received job {number} as attempt {count}, and so did somebody").into());
        }
        let most = facts.jobs.config(queue).and_then(|config| config.redelivery.max_deliveries);
        match most.is_some_and(|most| count > most) {
            true => Err(format!("link {index} received job {number} as attempt {count} of {most:?} (I17)").into()),
            false => Ok(()),
        }
    }
}

/// I14, I15: nothing comes before its delay is over, nor when its time is.
#[derive(Debug, Default)]
pub(super) struct InTime {
    /// Who gave a job back, not to come again so soon: right only if its connection went first.
    suspicions: Vec<(LinkNumber, usize)>,
}

impl<H> Checker<H> for InTime {
    fn name(&self) -> &'static str {
        "I15 nothing comes before its delay is over, nor (I14) when its time is"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, of_job, stage, count, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let Some(number) = facts.jobs.find(payload) else { return Ok(()) };
        let (job, now) = (facts.jobs.job(number), facts.now());
        if !job.is_timed {
            return Ok(());
        }
        if stage == 0 && now < job.sent_at + job.delay {
            return Err(format!("link {index} received job {number} at {now:?}: {job:?}").into());
        }
        if count > job.stages[stage].highest && now < job.stages[stage].not_before {
            self.suspicions.extend(job.stages[stage].giver.map(|giver| (giver, number)));
        }
        // What was read at the last rest was all that had been sent, so this was sent later.
        let expires = job.known_at.zip(job.ttl).map(|(at, ttl)| at + ttl);
        match expires.is_some_and(|expires| stage == 0 && expires <= of_job.floor) {
            true => Err(format!("link {index} received job {number} behind {:?}: {job:?} (I14)", of_job.floor).into()),
            false => Ok(()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let is_there = |link: &LinkNumber| is_live(view.facts, view.facts.featured.link(*link));
        match self.suspicions.drain(..).find(|(giver, _)| is_there(giver)) {
            Some((giver, number)) => {
                Err(format!("job {number} came again before link {giver} wants it to, which gave it back").into())
            }
            None => Ok(()),
        }
    }
}

/// I6, I7, I16: somebody else gets it when it was given back, or its lease is over, and not when it is settled.
#[derive(Debug, Default)]
pub(super) struct OneHolder {
    /// Who must turn out to be over, and what was received elsewhere.
    suspicions: Vec<(LinkNumber, usize)>,
}

impl<H> Checker<H> for OneHolder {
    fn name(&self) -> &'static str {
        "I16 a job is with one consumer, until its lease is over"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, link, stage, count, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let Some(number) = facts.jobs.find(payload) else { return Ok(()) };
        let job = facts.jobs.job(number);
        if count < job.stages[stage].highest || link.state == LinkState::Closing {
            return Ok(());
        }
        match job.stages[stage].place {
            JobPlace::Held { link: holder, least, .. } | JobPlace::Settling(holder, least, _)
                if facts.now() < least =>
            {
                if holder == index {
                    return Err(format!("link {index} received job {number}, which it has: {job:?}").into());
                }
                self.suspicions.push((holder, number));
                Ok(())
            }
            JobPlace::Done => Err(format!("link {index} received job {number}, which is done (I7)").into()),
            _ => Ok(()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let proven =
            self.suspicions.drain(..).find(|(holder, _)| is_live(view.facts, view.facts.featured.link(*holder)));
        match proven {
            Some((holder, number)) => {
                Err(format!("somebody received job {number}, which link {holder} has not given back").into())
            }
            None => Ok(()),
        }
    }
}

/// I10: no job waits behind one with a lower priority.
#[derive(Debug, Default)]
pub(super) struct Priorities {
    /// Those that were passed over, for all that is known.
    suspicions: Vec<usize>,
}

impl<H> Checker<H> for Priorities {
    fn name(&self) -> &'static str {
        "I10 no job waits behind one with a lower priority"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { queue, stage: 0, count: 1, payload, of_job, .. }) = delivery(facts, seen) else {
            return Ok(());
        };
        let Some(number) = facts.jobs.find(payload) else { return Ok(()) };
        // Where deliveries are limited it may be dead, without anybody having seen it.
        let is_such = facts.jobs.config(queue).is_some_and(|config| {
            config.order == OrderKind::Priority
                && config.redelivery.max_deliveries.is_none()
                && config.overflow == Overflow::RefuseNew
        });
        if !is_such {
            return Ok(());
        }
        let (job, rested) = (facts.jobs.job(number), facts.jobs.rested_at);
        if !of_job.was_read {
            return Ok(());
        }
        for (other, waits) in facts.jobs.all() {
            let could =
                waits.queue == queue && waits.is_timed && waits.known_at.is_some_and(|at| at + waits.delay <= rested);
            let is_plain = waits.ttl.is_none() && !waits.is_purged && waits.stages[0].highest == 0;
            if could && is_plain && waits.outcome == Outcome::Accepted && waits.priority > job.priority {
                self.suspicions.push(other);
            }
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let facts = view.facts;
        let may_tell = facts.is_everybody_there() && !facts.may_be_cut;
        let waits = |job: &usize| facts.jobs.job(*job).stages.iter().all(|stage| stage.highest == 0);
        let passed = self.suspicions.drain(..).find(|job| may_tell && waits(job));
        let Some(number) = passed.filter(|number| facts.jobs.all().any(|(job, _)| job == *number)) else {
            return Ok(());
        };
        match facts.jobs.job(number).is_purged {
            true => Ok(()),
            false => Err(format!("job {number} waits: {:?}", facts.jobs.job(number)).into()),
        }
    }
}

/// I17, I18: a dead letter says why, and is in one queue.
#[derive(Debug, Default)]
pub(super) struct Dead;

impl<H> Checker<H> for Dead {
    fn name(&self) -> &'static str {
        "I17 a dead letter has a cause, and (I18) is in one queue"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, stage, count, options, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let Some(number) = facts.jobs.find(payload) else { return Ok(()) };
        let job = facts.jobs.job(number);
        if stage == 0 {
            // What was delivered before can be read later.
            return match job.died_after.is_some_and(|deliveries| count > deliveries) {
                true => Err(format!("link {index} received job {number}, which is dead (I18): {job:?}").into()),
                false => Ok(()),
            };
        }
        let Some(cause) = options.cause else { return Ok(()) };
        let most = facts.jobs.config(job.queue).and_then(|config| config.redelivery.max_deliveries);
        let is_right = match cause.reason {
            ErrorCode::TOO_MANY_DELIVERIES => most == Some(cause.count),
            ErrorCode::DROPPED => {
                facts.jobs.config(job.queue).is_some_and(|config| config.overflow == Overflow::DeadLetterOldest)
            }
            ErrorCode::REFUSED_FOR_GOOD => job.is_refused && cause.count > 0,
            ErrorCode::EXPIRED => job.ttl.is_some_and(|ttl| !job.is_timed || facts.now() >= job.sent_at + ttl),
            _ => false,
        };
        let came = cause.source.as_bytes() == Some(JOBS[job.queue].as_bytes()) && cause.hops == 1;
        match is_right && came && cause.count >= job.stages[0].highest {
            true => Ok(()),
            false => Err(format!("job {number} is dead for {cause:?}: {job:?}").into()),
        }
    }
}

/// I8: who asks how many it has settled is told so, and no more than it held.
#[derive(Debug, Default)]
pub(super) struct Settled;

impl<H> Checker<H> for Settled {
    fn name(&self) -> &'static str {
        "I8 a consumer settles what it holds, and is told how much that was"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Seen::Received(connection, Frame::Settled { link, count, .. }) = seen else { return Ok(()) };
        let Some(index) = facts.featured.find(*connection, *link) else { return Ok(()) };
        let Channel::Jobs(queue) = facts.featured.link(index).channel else { return Ok(()) };
        let Some(held) = facts.jobs.link(index).and_then(|link| link.settlings.front().copied()) else {
            return Err(format!("link {index} is told that it settled {count}, and has not asked").into());
        };
        let _ = queue;
        match *count > held {
            true => Err(format!("link {index} is told that it settled {count}, and held {held}").into()),
            false => Ok(()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        for (index, link) in view.facts.featured.links().filter(|(_, link)| is_live(view.facts, link)) {
            if view.facts.jobs.link(index).is_some_and(|of_job| !of_job.settlings.is_empty()) {
                return Err(format!("link {index} ({}) waits to be told what it has settled", link.number).into());
            }
        }
        Ok(())
    }
}

/// I1, I12, I16: the books say what the clients know.
#[derive(Debug, Default)]
pub(super) struct Books;

impl<H> Checker<H> for Books {
    fn name(&self) -> &'static str {
        "I1 the books of a queue with settings say what its clients know"
    }

    fn after_step(&mut self, view: &View<'_, H>) -> Verdict {
        let jobs = &view.facts.jobs;
        for (queue, account) in view.jobs.iter().enumerate() {
            let Some(ledger) = account.map(|account| account.ledger) else { continue };
            if !ledger.is_balanced() {
                return Err(format!("the ledger of {} does not add up: {ledger:?}", JOBS[queue]).into());
            }
            if ledger.acked > jobs.acks[queue] {
                let words =
                    format!("{} acks of {}, and the clients sent {}", ledger.acked, JOBS[queue], jobs.acks[queue]);
                return Err(words.into());
            }
            let sent = jobs.sent[queue];
            if queue != DEAD && ledger.accepted > sent {
                return Err(format!("{} has accepted {} of {sent} jobs", JOBS[queue], ledger.accepted).into());
            }
        }
        let deaths: u64 = view.jobs.iter().take(DEAD).flatten().map(|account| account.ledger.dead_lettered).sum();
        match view.jobs.get(DEAD) {
            Some(Some(dead)) if dead.ledger.accepted != deaths => {
                Err(format!("{deaths} dead letters have left, and {} have come (I18)", dead.ledger.accepted).into())
            }
            _ => Ok(()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let (facts, jobs) = (view.facts, &view.facts.jobs);
        for (queue, account) in view.jobs.iter().enumerate() {
            let Some(ledger) = account.map(|account| account.ledger) else { continue };
            let live = || {
                facts
                    .featured
                    .links()
                    .filter(|(_, link)| link.consumes && link.channel == Channel::Jobs(queue) && is_live(facts, link))
            };
            // What waits in a sticky queue may be for somebody who holds one of its key.
            let is_for_all = |config: &QueueConfig| config.order != OrderKind::StickyByKey || ledger.in_flight == 0;
            if ledger.ready > 0
                && jobs.config(queue).is_some_and(is_for_all)
                && !jobs.is_paused(queue)
                && let Some((index, _)) = live().find(|(_, link)| link.granted > link.delivered)
            {
                return Err(format!(
                    "{} jobs wait in {}, and link {index} allows more (I12)",
                    ledger.ready, JOBS[queue]
                )
                .into());
            }
            let known = |job: &crate::simulate::featured::Job| job.queue == queue && job.known_at.is_some();
            let accepted = jobs.all().filter(|(_, job)| known(job)).count() as u64;
            if queue != DEAD && ledger.accepted < accepted {
                return Err(
                    format!("{} has accepted {} jobs, and confirmed {accepted}", JOBS[queue], ledger.accepted).into()
                );
            }
            if facts.is_everybody_there() && !facts.may_be_cut {
                let stage = usize::from(queue == DEAD);
                let is_held = |job: usize| match jobs.job(job).stages[stage].place {
                    JobPlace::Held { most, .. } => facts.now() <= most || most == Instant::MAX,
                    _ => false,
                };
                let held = live().flat_map(|(index, _)| jobs.link(index)).flat_map(|link| link.held.values());
                let held = held.filter(|job| is_held(**job)).count() as u64;
                if ledger.in_flight > held {
                    let words = format!(
                        "{} jobs of {} are in flight, and {held} are held (I16)",
                        ledger.in_flight, JOBS[queue]
                    );
                    return Err(words.into());
                }
            }
        }
        Ok(())
    }

    fn at_end(&mut self, view: &View<'_, H>) -> Verdict {
        for (queue, account) in view.jobs.iter().enumerate() {
            let Some(account) = account else { continue };
            if account.consumers + account.links > 0 || account.ledger.ready + account.ledger.in_flight > 0 {
                return Err(format!("{} still has {account:?}", JOBS[queue]).into());
            }
        }
        Ok(())
    }
}

/// I2: every job that was accepted has been acked, or is dead and was acked as such.
#[derive(Debug, Default)]
pub(super) struct NothingLost;

impl<H> Checker<H> for NothingLost {
    fn name(&self) -> &'static str {
        "I2 no job that was accepted is lost"
    }

    fn drained(&mut self, view: &View<'_, H>) -> Verdict {
        for (number, job) in view.facts.jobs.all().filter(|(_, job)| job.outcome == Outcome::Accepted && !job.is_purged)
        {
            let is_done = job.stages.iter().any(|stage| matches!(stage.place, JobPlace::Done | JobPlace::Perhaps));
            // What is dropped is counted, which others look at.
            let may_be_gone = may_be_replaced(&view.facts.jobs, number) || may_drop(&view.facts.jobs, job.queue);
            if !is_done && !may_be_gone {
                return Err(format!("job {number} was accepted and has no end: {job:?}").into());
            }
        }
        Ok(())
    }
}

pub(super) fn is_live(facts: &Facts, link: &FeaturedLink) -> bool {
    let connection = facts.connection(link.connection);
    link.state == LinkState::Open && connection.is_listening && !connection.is_over && !connection.is_leaving
}
