//! The orders of queues with settings, as their consumers see them: each, fair, sticky, and last values.
//!
//! That one job was accepted before another one was sent is certain where it was known at a rest before that
//! ([`Job::is_before`]); nothing is said of others.

use super::jobs::{Delivery, Verdict, delivery, is_live};
use super::leaving::may_drop;
use crate::simulate::checker::{Checker, Seen, View};
use crate::simulate::facts::{Facts, Outcome};
use crate::simulate::featured::{DEAD, JOBS, Job, JobPlace, Jobs, Key, LinkNumber};
use msglib_broker::QueueConfig;
use msglib_broker::queue::{OVERHEAD, OrderKind, Overflow};
use msglib_proto::Instant;
use std::collections::{BTreeMap, BTreeSet};

fn order(jobs: &Jobs, queue: usize) -> OrderKind {
    jobs.config(queue).map(|config| config.order).unwrap_or_default()
}

/// Whether nobody has seen it though it was there to be had when everything was at rest, and nothing else can have become of it.
fn waited(jobs: &Jobs, job: &Job) -> bool {
    let was_due = job.is_timed && job.known_at.is_some_and(|at| at + job.delay <= jobs.rested_at);
    was_due && job.outcome == Outcome::Accepted && job.ttl.is_none() && !job.is_purged && job.stages[0].highest == 0
}

/// I9: of jobs that are alike to their queue's order, none is passed by one that came later.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    /// Who got a job, and which were passed by that, if they come there for the first time.
    passed: BTreeSet<(LinkNumber, usize)>,
}

/// What makes jobs alike; `None` where the later one may take the earlier one's place.
fn class(order: OrderKind, job: &Job) -> Option<(Option<Key>, u8)> {
    match order {
        OrderKind::Fifo => Some((None, 0)),
        OrderKind::Priority => Some((None, job.priority)),
        OrderKind::FairByKey | OrderKind::StickyByKey => Some((job.options.key, 0)),
        _ => None,
    }
}

impl<H> Checker<H> for InOrder {
    fn name(&self) -> &'static str {
        "I9 a job is not passed by one that came later, where the order has them alike"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, queue, stage: 0, count: 1, payload, .. }) = delivery(facts, seen) else {
            return Ok(());
        };
        let (jobs, Some(number)) = (&facts.jobs, facts.jobs.find(payload)) else { return Ok(()) };
        if self.passed.contains(&(index, number)) {
            return Err(format!("link {index} received job {number} for the first time, behind later ones").into());
        }
        let (order, job) = (order(jobs, queue), jobs.job(number));
        let Some(this) = class(order, job) else { return Ok(()) };
        for (other, waits) in jobs.all().take_while(|(other, _)| *other < number) {
            // One that was delayed had its place when it was due.
            let is_before = match waits.delay.is_zero() {
                true => waits.is_before(number),
                false => number >= jobs.rested_with && waited(jobs, waits),
            };
            let is_new = waits.stages[0].highest == 0;
            if waits.queue == queue && is_before && is_new && class(order, waits) == Some(this) {
                self.passed.insert((index, other));
            }
        }
        Ok(())
    }
}

/// Of a sticky queue no two consumers hold jobs of one key.
#[derive(Debug, Default)]
pub(super) struct OneKeeper {
    /// Two that do, unless one of them turns out to be over.
    suspicions: Vec<(LinkNumber, LinkNumber, usize)>,
}

impl<H> Checker<H> for OneKeeper {
    fn name(&self) -> &'static str {
        "sticky: the jobs of a key are with one consumer at a time"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, of_job, queue, stage: 0, count, payload, .. }) = delivery(facts, seen) else {
            return Ok(());
        };
        let (jobs, Some(number)) = (&facts.jobs, facts.jobs.find(payload)) else { return Ok(()) };
        let job = jobs.job(number);
        if order(jobs, queue) != OrderKind::StickyByKey || job.options.key.is_none() || count < job.stages[0].highest {
            return Ok(());
        }
        // It was sent after what was read at the last rest, so its lease is not over before this.
        let lease = jobs.config(queue).and_then(|config| config.redelivery.lease);
        let until = lease.map_or(Instant::MAX, |lease| of_job.floor + lease);
        if facts.now() >= until {
            return Ok(());
        }
        let alike = |job: &Job| job.queue == queue && job.is_timed && job.options.key == jobs.job(number).options.key;
        for (_, other) in jobs.all().filter(|(other, job)| *other != number && alike(job)) {
            if let JobPlace::Held { link: holder, least, .. } = other.stages[0].place
                && holder != index
                && facts.now() < least
            {
                self.suspicions.push((holder, index, number));
            }
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let is_there = |link: LinkNumber| is_live(view.facts, view.facts.featured.link(link));
        match self.suspicions.drain(..).find(|(one, other, _)| is_there(*one) && is_there(*other)) {
            Some((holder, link, number)) => {
                let words = format!("link {link} received job {number}, and link {holder} has one with the same key");
                Err(words.into())
            }
            None => Ok(()),
        }
    }
}

/// What an earlier value is never delivered ahead of: the later one, where that waits.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// Who got an earlier one, and the later ones that waited, if they come there for the first time.
    late: BTreeSet<(LinkNumber, usize)>,
}

impl<H> Checker<H> for Replaced {
    fn name(&self) -> &'static str {
        "last value: nothing is delivered that a later one has replaced"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, of_job, queue, stage: 0, count, payload, .. }) = delivery(facts, seen) else {
            return Ok(());
        };
        let (jobs, Some(number)) = (&facts.jobs, facts.jobs.find(payload)) else { return Ok(()) };
        let job = jobs.job(number);
        if order(jobs, queue) != OrderKind::LastValue || job.options.key.is_none() {
            return Ok(());
        }
        if count == 1 && self.late.contains(&(index, number)) {
            return Err(format!("link {index} received an earlier value while job {number} waited").into());
        }
        if of_job.was_read && count > job.stages[0].highest {
            let replaces = |(later, waits): &(usize, &Job)| {
                waits.queue == queue
                    && waits.options.key == job.options.key
                    && job.is_before(*later)
                    && waited(jobs, waits)
            };
            self.late.extend(jobs.all().filter(replaces).map(|(later, _)| (index, later)));
        }
        Ok(())
    }

    fn after_step(&mut self, view: &View<'_, H>) -> Verdict {
        for (queue, account) in view.jobs.iter().enumerate() {
            let replaced = account.map_or(0, |account| account.ledger.dropped.replaced);
            if replaced > 0 && order(&view.facts.jobs, queue) != OrderKind::LastValue {
                return Err(format!("{replaced} jobs of {} were replaced, whose order has none", JOBS[queue]).into());
            }
        }
        Ok(())
    }

    /// Those that have no end are as many as the books say.
    fn drained(&mut self, view: &View<'_, H>) -> Verdict {
        let jobs = &view.facts.jobs;
        for (queue, account) in view.jobs.iter().enumerate().take(DEAD) {
            let gone = jobs.all().filter(|(number, job)| job.queue == queue && may_be_replaced(jobs, *number)).count();
            let Some(replaced) = account.map(|account| account.ledger.dropped.replaced) else { continue };
            if gone as u64 > replaced && !may_drop(jobs, queue) {
                let words = format!("{gone} jobs of {} have no end, and {replaced} were replaced", JOBS[queue]);
                return Err(words.into());
            }
        }
        Ok(())
    }
}

/// Whether a job was accepted, has no end, and a later one may have taken its place.
pub(super) fn may_be_replaced(jobs: &Jobs, number: usize) -> bool {
    let job = jobs.job(number);
    let is_open = !job.stages.iter().any(|stage| matches!(stage.place, JobPlace::Done | JobPlace::Perhaps));
    let takes_its_place = |(other, later): (usize, &Job)| {
        other != number
            && later.queue == job.queue
            && later.options.key == job.options.key
            && later.outcome != Outcome::Refused
            && !later.is_before(number)
    };
    order(jobs, job.queue) == OrderKind::LastValue
        && (job.outcome == Outcome::Accepted && !job.is_purged && is_open)
        && job.options.key.is_some()
        && jobs.all().any(takes_its_place)
}

/// Of a fair queue: while a key waits, no other one has more than two turns.
///
/// Each key has one turn before the one that waits, or the rest of one and then none; it may have left over less than a whole turn,
/// for no job is larger than that.
#[derive(Debug, Default)]
pub(super) struct Fair {
    /// What waited when everything was at rest, a job for each queue and key.
    waited: BTreeMap<(usize, Option<Key>), usize>,
    /// What came since: from which queue, on which link, of which key, how many bytes.
    came: Vec<(usize, LinkNumber, Option<Key>, usize)>,
    /// Somebody went who may have been sent something without reading it.
    is_uncertain: bool,
}

/// Bytes of a key's turn.
const TURN: usize = 4_096;

impl Fair {
    /// What each key had before this one, which waited when everything was at rest.
    fn before(&self, queue: usize, key: Option<Key>) -> BTreeMap<Option<Key>, usize> {
        let of_queue = || self.came.iter().filter(|(from, ..)| *from == queue);
        let mut own = of_queue().filter(|(_, _, of, ..)| *of == key).map(|(_, link, ..)| *link);
        let first = own.next();
        let mut before = BTreeMap::new();
        // What came over several links has no order.
        if own.any(|link| Some(link) != first) {
            return before;
        }
        for (_, link, of, bytes) in of_queue() {
            match first {
                Some(first) if *link != first => continue,
                _ if *of == key => break,
                _ => *before.entry(*of).or_default() += bytes,
            }
        }
        before
    }
}

impl<H> Checker<H> for Fair {
    fn name(&self) -> &'static str {
        "fair: while a key waits, no other one has more than two turns"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        self.is_uncertain |= matches!(seen, Seen::Ended(..) | Seen::Restarted { .. });
        let Some(Delivery { index, queue, stage: 0, payload, .. }) = delivery(facts, seen) else { return Ok(()) };
        let (jobs, Some(number)) = (&facts.jobs, facts.jobs.find(payload)) else { return Ok(()) };
        if order(jobs, queue) == OrderKind::FairByKey {
            let key = jobs.job(number).options.key;
            let bytes = payload.len() + key.map_or(0, |_| 1) + OVERHEAD;
            self.came.push((queue, index, key, bytes));
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let (facts, jobs) = (view.facts, &view.facts.jobs);
        let is_certain = facts.is_everybody_there() && !facts.may_be_cut;
        let mut waited = core::mem::take(&mut self.waited);
        waited.retain(|_, job| !jobs.job(*job).is_purged && is_certain && !self.is_uncertain);
        for ((queue, key), number) in waited {
            let most = self.before(queue, key).into_iter().find(|(_, bytes)| *bytes > 2 * TURN);
            if let Some((other, bytes)) = most {
                return Err(format!("job {number} of {key:?} waits, and {bytes} bytes of {other:?} come first").into());
            }
        }
        self.came.clear();
        self.is_uncertain = !is_certain;
        let is_due = |job: &Job| job.is_timed && job.known_at.is_some_and(|at| at + job.delay <= facts.now());
        let is_plain = |job: &Job| job.ttl.is_none() && !job.is_purged && job.stages[0].highest == 0;
        for (number, job) in jobs.all().filter(|(_, job)| is_due(job) && is_plain(job)) {
            // Where deliveries are limited it may be dead, without anybody having seen it.
            let is_such = |config: &QueueConfig| {
                config.order == OrderKind::FairByKey
                    && config.redelivery.max_deliveries.is_none()
                    && config.overflow == Overflow::RefuseNew
            };
            if job.outcome == Outcome::Accepted && jobs.config(job.queue).is_some_and(is_such) {
                self.waited.insert((job.queue, job.options.key), number);
            }
        }
        Ok(())
    }
}
