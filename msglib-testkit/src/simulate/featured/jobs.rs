//! What the clients know of queues with settings: leases, delays, times to live, priorities, producers, dead letters.
//!
//! Times are known within bounds: a delivery was made between the last rest and when it was received.

use super::facts::{Channel, Featured, LinkNumber};
use super::job::{DEAD, Job, JobLink, JobPlace, config};
use crate::simulate::facts::Outcome;
use core::time::Duration;
use msglib_broker::QueueConfig;
use msglib_proto::{ErrorCode, Frame, Instant, QueueSettings, Settling, Verdict};
use std::collections::BTreeMap;

/// This bit is in the payload of each job.
const MARK: u64 = 0b11 << 62;

/// All that they know.
#[derive(Debug, Default)]
pub struct Jobs {
    jobs: Vec<Job>,
    first: usize,
    links: BTreeMap<LinkNumber, JobLink>,
    /// By client and queue: what was given to it, the first sequence first.
    pub(super) producers: BTreeMap<(usize, usize), Vec<usize>>,
    configs: Vec<QueueConfig>,
    /// Jobs of this life, by queue.
    pub sent: [u64; 3],
    /// Settlings that were sent: acks, in each queue.
    pub acks: [u64; 3],
    /// How often each queue was purged.
    pub purges: [u64; 3],
    /// When everything was at rest: what was due by then has happened.
    pub rested_at: Instant,
    /// How many jobs had been sent by then.
    pub rested_with: usize,
    /// Nothing is delivered.
    is_paused: [bool; 3],
    /// As it was when everything was at rest.
    was_paused: [bool; 3],
}

impl Jobs {
    pub(in crate::simulate) fn new(settings: &[QueueSettings]) -> Jobs {
        Jobs { configs: settings.iter().map(config).collect(), ..Jobs::default() }
    }

    /// How a queue is configured.
    pub fn config(&self, queue: usize) -> Option<&QueueConfig> {
        self.configs.get(queue)
    }

    /// The jobs of this life.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Job)> {
        self.jobs.iter().enumerate().skip(self.first)
    }

    /// A job, by its number.
    pub fn job(&self, number: usize) -> &Job {
        &self.jobs[number]
    }

    /// The job whose payload this is, if it is of this life.
    pub fn find(&self, payload: &[u8]) -> Option<usize> {
        let number = u64::from_be_bytes(*payload.first_chunk()?) ^ MARK;
        let number = usize::try_from(number).ok()?;
        let padding = payload.get(8..)?.strip_prefix(b"job")?;
        (padding.iter().all(|byte| *byte == 0) && (self.first..self.jobs.len()).contains(&number)).then_some(number)
    }

    /// A link of theirs.
    pub fn link(&self, link: LinkNumber) -> Option<&JobLink> {
        self.links.get(&link)
    }

    /// Whether nothing has been delivered from a queue since everything was at rest.
    pub fn is_still_paused(&self, queue: usize) -> bool {
        self.is_paused[queue] && self.was_paused[queue]
    }

    /// Whether nothing is delivered from a queue.
    pub fn is_paused(&self, queue: usize) -> bool {
        self.is_paused[queue]
    }

    /// At least `size` bytes.
    pub(super) fn payload(number: usize, size: usize) -> Vec<u8> {
        let mut payload = (number as u64 | MARK).to_be_bytes().to_vec();
        payload.extend_from_slice(b"job");
        payload.resize(size.max(payload.len()), 0);
        payload
    }

    pub(super) fn next(&self) -> usize {
        self.jobs.len()
    }

    /// The first sequence of a producer that has no outcome that is certain.
    pub(super) fn first_open(&self, jobs: &[usize]) -> usize {
        let is_open = |number: &usize| self.jobs[*number].outcome != Outcome::Accepted;
        jobs.iter().position(is_open).unwrap_or(jobs.len())
    }

    pub(super) fn opened(&mut self, link: LinkNumber, base: Option<u64>, now: Instant) {
        self.links.insert(link, JobLink { base, floor: now, was_read: true, ..JobLink::default() });
    }

    fn lease(&self, queue: usize) -> Option<Duration> {
        self.configs.get(queue)?.redelivery.lease
    }

    fn waits(&mut self, number: usize, stage: usize, not_before: Instant) {
        let stage = &mut self.jobs[number].stages[stage];
        (stage.place, stage.not_before) = (JobPlace::Waiting, not_before);
    }
}

/// What happens.
impl Jobs {
    /// A job is sent, for the first time or again.
    pub(super) fn says(&mut self, link: LinkNumber, number: usize, job: impl FnOnce(&Jobs) -> Job) {
        if number == self.jobs.len() {
            let job = job(self);
            self.sent[job.queue] += 1;
            self.jobs.push(job);
        }
        self.jobs[number].outcome = Outcome::Pending;
        if let Some(link) = self.links.get_mut(&link) {
            link.said.push(number);
        }
    }

    pub(in crate::simulate) fn sent(
        &mut self,
        featured: &Featured,
        index: LinkNumber,
        frame: &Frame<'_>,
        now: Instant,
    ) {
        let Channel::Jobs(queue) = featured.link(index).channel else { return };
        match *frame {
            Frame::Ack { first, last, .. } => self.settles(index, queue, (first, last), Settling::Ack, false, now),
            Frame::Refuse { first, last, verdict, .. } => {
                let settling = match verdict {
                    Verdict::Again => Settling::Again { delay_ms: None, priority: None },
                    Verdict::ForGood => Settling::ForGood,
                };
                self.settles(index, queue, (first, last), settling, false, now);
            }
            Frame::Settle { first, last, confirm, settling, .. } => {
                self.settles(index, queue, (first, last), settling, confirm, now);
            }
            Frame::Close { .. } => self.gives_up(index, queue),
            _ => {}
        }
    }

    fn settles(
        &mut self,
        index: LinkNumber,
        queue: usize,
        (first, last): (u64, u64),
        settling: Settling,
        confirm: bool,
        now: Instant,
    ) {
        let (stage, lease) = (usize::from(queue == DEAD), self.lease(queue));
        let backoff = self.configs.get(queue).and_then(|config| config.redelivery.backoff);
        let Some(link) = self.links.get_mut(&index) else { return };
        let held: Vec<(u64, usize)> = link.held.range(first..=last).map(|(tag, job)| (*tag, *job)).collect();
        if confirm {
            link.settlings.push_back(held.len() as u64);
        }
        for (tag, number) in held {
            let is_extended = matches!(settling, Settling::Extend { .. });
            if let Some(link) = self.links.get_mut(&index).filter(|_| !is_extended) {
                link.held.remove(&tag);
            }
            let job = &mut self.jobs[number];
            job.is_refused |= settling == Settling::ForGood;
            let JobPlace::Held { link: holder, tag: under, least, .. } = job.stages[stage].place else { continue };
            if (holder, under) != (index, tag) {
                continue;
            }
            let link = self.links.entry(index).or_default();
            if let Settling::Extend { lease_ms } = settling {
                let by = if lease_ms > 0 { Some(Duration::from_millis(lease_ms)) } else { lease };
                let Some(by) = by else { continue };
                // Effective or not, it does not end before the earlier of both.
                let (least, extension) = (least.min(now + by), Some((now + by, by)));
                job.stages[stage].place = JobPlace::Held { link: index, tag, least, most: Instant::MAX, extension };
                continue;
            }
            link.settled.push(number);
            match settling {
                Settling::Again { delay_ms, priority } => {
                    let backoff = backoff.map(|backoff| backoff.after(job.stages[stage].highest));
                    let delay = delay_ms.map(Duration::from_millis).or(backoff).unwrap_or_default();
                    job.priority = priority.unwrap_or(job.priority);
                    // Where a lease may have ended before, it may have come back without the delay.
                    let not_before = if lease.is_none() && least == Instant::MAX { now + delay } else { Instant::ZERO };
                    self.waits(number, stage, not_before);
                    self.jobs[number].stages[stage].giver = Some(index);
                }
                _ => {
                    job.stages[stage].place = JobPlace::Settling(index, least, settling == Settling::ForGood);
                    self.acks[queue] += u64::from(settling == Settling::Ack);
                }
            }
        }
    }

    fn gives_up(&mut self, index: LinkNumber, queue: usize) {
        let Some(link) = self.links.get_mut(&index) else { return };
        for (_, number) in core::mem::take(&mut link.held) {
            let stage = usize::from(queue == DEAD);
            if matches!(self.jobs[number].stages[stage].place, JobPlace::Held { link, .. } if link == index) {
                self.waits(number, stage, Instant::ZERO);
            }
        }
    }

    pub(in crate::simulate) fn received(
        &mut self,
        featured: &Featured,
        index: LinkNumber,
        frame: &Frame<'_>,
        now: Instant,
    ) {
        let Channel::Jobs(queue) = featured.link(index).channel else { return };
        match *frame {
            Frame::Confirmed { upto, .. } => {
                let Some(link) = self.links.get_mut(&index) else { return };
                for number in link.confirmed + 1..=upto {
                    if let Some(number) = link.said.get(number as usize - 1)
                        && self.jobs[*number].outcome == Outcome::Pending
                    {
                        self.jobs[*number].outcome = Outcome::Accepted;
                    }
                }
                link.confirmed = upto;
            }
            Frame::Refused { first, last, code, .. } => {
                let Some(link) = self.links.get_mut(&index) else { return };
                for number in first..=last {
                    if let Some(number) = link.said.get(number as usize - 1) {
                        let is_old = code == ErrorCode::TOO_OLD;
                        self.jobs[*number].outcome = if is_old { Outcome::Unknown } else { Outcome::Refused };
                    }
                }
            }
            Frame::Delivery { tag, count, payload, .. } => self.delivered(featured, index, (tag, count), &payload, now),
            Frame::DeliveryWith { tag, count, options, payload, .. } => {
                if let (Some(number), Some(cause)) = (self.find(&payload), options.cause) {
                    self.jobs[number].died_after = Some(cause.count);
                }
                self.delivered(featured, index, (tag, count), &payload, now);
            }
            Frame::Settled { .. } => {
                if let Some(link) = self.links.get_mut(&index) {
                    link.settlings.pop_front();
                }
            }
            Frame::Closed { .. } => self.over(index, queue, Outcome::Unknown),
            _ => {}
        }
    }

    fn delivered(
        &mut self,
        featured: &Featured,
        index: LinkNumber,
        (tag, count): (u64, u32),
        payload: &[u8],
        now: Instant,
    ) {
        let Channel::Jobs(queue) = featured.link(index).channel else { return };
        let Some(number) = self.find(payload) else { return };
        let (at, lease) = (usize::from(queue == DEAD), self.lease(queue));
        let Some(link) = self.links.get_mut(&index) else { return };
        let job = &mut self.jobs[number];
        job.outcome = Outcome::Accepted;
        let stage = &mut job.stages[at];
        let is_late = count < stage.highest;
        stage.highest = stage.highest.max(count);
        stage.counts |= 1 << (count.clamp(1, 64) - 1);
        let is_given_up = featured.link(index).state == msglib_proto::LinkState::Closing;
        if !is_given_up {
            link.held.insert(tag, number);
        }
        if is_late {
            return;
        }
        stage.place = match is_given_up {
            true => JobPlace::Waiting,
            false => JobPlace::Held {
                link: index,
                tag,
                least: lease.map_or(Instant::MAX, |lease| link.floor.max(job.sent_at) + lease),
                most: lease.map_or(Instant::MAX, |lease| now + lease),
                extension: None,
            },
        };
    }

    /// A link is over.
    pub(in crate::simulate) fn over(&mut self, index: LinkNumber, queue: usize, outcome: Outcome) {
        self.gives_up(index, queue);
        let Some(link) = self.links.get_mut(&index) else { return };
        let (said, settled) = (core::mem::take(&mut link.said), core::mem::take(&mut link.settled));
        for number in said {
            if self.jobs[number].outcome == Outcome::Pending {
                self.jobs[number].outcome = outcome;
            }
        }
        let stage = usize::from(queue == DEAD);
        for number in settled {
            let place = &mut self.jobs[number].stages[stage].place;
            if matches!(place, JobPlace::Settling(link, ..) if *link == index) {
                *place = JobPlace::Perhaps;
            }
            self.jobs[number].stages[stage].not_before = Instant::ZERO;
        }
    }

    pub(super) fn pauses(&mut self, queue: usize, is_paused: bool) {
        self.is_paused[queue] = is_paused;
        self.was_paused[queue] &= is_paused;
    }

    pub(super) fn purged(&mut self, queue: usize) {
        self.purges[queue] += 1;
        for job in &mut self.jobs[self.first..] {
            job.is_purged |= job.queue == queue || queue == DEAD;
            job.was_there |= job.queue == queue && job.known_at.is_some();
        }
    }

    /// Another broker begins, whose clock begins anew.
    pub(in crate::simulate) fn restarts(&mut self) {
        self.rested_at = Instant::ZERO;
        for job in &mut self.jobs[self.first..] {
            job.is_timed = false;
            job.stages.iter_mut().for_each(|stage| stage.not_before = Instant::ZERO);
        }
    }

    pub(in crate::simulate) fn begins_anew(&mut self) {
        self.first = self.jobs.len();
        self.producers.clear();
        (self.sent, self.purges) = ([0; 3], [0; 3]);
        (self.acks, self.is_paused, self.was_paused) = ([0; 3], [false; 3], [false; 3]);
    }

    /// Everything is at rest: who takes part has said and read all.
    pub(in crate::simulate) fn rested(&mut self, now: Instant, takes_part: impl Fn(LinkNumber) -> bool) {
        (self.rested_at, self.rested_with) = (now, self.jobs.len());
        self.was_paused = self.is_paused;
        for (index, link) in &mut self.links {
            link.was_read = takes_part(*index);
            if !link.was_read {
                continue;
            }
            link.floor = now;
            for number in link.said.iter().copied() {
                if self.jobs[number].outcome == Outcome::Pending {
                    self.jobs[number].outcome = Outcome::Accepted;
                }
            }
            for number in link.settled.drain(..) {
                for (which, stage) in self.jobs[number].stages.iter_mut().enumerate() {
                    if let JobPlace::Settling(at, least, for_good) = stage.place
                        && at == *index
                    {
                        // It was in time if the lease is not over now.
                        stage.place = match now < least {
                            // It goes on as a dead letter.
                            true if for_good && which == 0 => JobPlace::Waiting,
                            true => JobPlace::Done,
                            false => JobPlace::Perhaps,
                        };
                    }
                }
            }
            for (tag, number) in &link.held {
                for stage in &mut self.jobs[*number].stages {
                    if let JobPlace::Held { link: at, tag: under, least, most, extension } = &mut stage.place
                        && (*at, *under) == (*index, *tag)
                        && let Some((until, by)) = extension.take()
                    {
                        *least = if now < *least { until } else { *least };
                        *most = now + by;
                    }
                }
            }
        }
        let with = self.jobs.len();
        for job in &mut self.jobs[self.first..] {
            job.is_gone |= job.was_there && job.stages[0].highest == 0;
            if job.outcome == Outcome::Accepted {
                job.known_at.get_or_insert(now);
                job.known_with.get_or_insert(with);
            }
        }
    }
}
