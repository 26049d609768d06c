//! What the clients know of queues with settings: leases, delays, times to live, priorities, producers, dead letters.
//!
//! Times are known within bounds: a delivery was made between the last rest and when it was received.

use super::facts::{Channel, Featured, LinkNumber};
use crate::simulate::facts::Outcome;
use core::time::Duration;
use msglib_broker::QueueConfig;
use msglib_broker::queue::OrderKind;
use msglib_proto::{ChannelName, ErrorCode, Frame, Instant, QueueOrder, QueueSettings, Settling, Verdict};
use std::collections::{BTreeMap, VecDeque};

/// The queues with settings, and behind them that of their dead letters.
pub const JOBS: [&str; 3] = ["jobs", "chores", "dead"];
/// The queue of dead letters.
pub const DEAD: usize = 2;

/// This bit is in the payload of each job.
const MARK: u64 = 0b11 << 62;

/// How one of these queues is configured.
pub(super) fn config(settings: &QueueSettings) -> QueueConfig {
    let mut config = QueueConfig::default();
    if settings.order == Some(QueueOrder::Priority) {
        config = config.with_order(OrderKind::Priority);
    }
    let redelivery = &mut config.redelivery;
    redelivery.lease = settings.lease_ms.filter(|lease| *lease > 0).map(Duration::from_millis);
    redelivery.max_deliveries = settings.max_deliveries.filter(|most| *most > 0);
    redelivery.dead_letter.clone_from(&settings.dead_letter);
    config.ttl = settings.ttl_ms.filter(|ttl| *ttl > 0).map(Duration::from_millis);
    config.delay = Duration::from_millis(settings.delay_ms.unwrap_or(0));
    config
}

/// The name of one.
pub fn job_queue(queue: usize) -> ChannelName<'static> {
    ChannelName::from(JOBS[queue])
}

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
    /// When everything was at rest: what was due by then has happened.
    pub rested_at: Instant,
    /// Nothing is delivered.
    is_paused: [bool; 3],
    /// As it was when everything was at rest.
    was_paused: [bool; 3],
}

/// A link to one of these queues.
#[derive(Debug, Default)]
pub struct JobLink {
    /// Number by number.
    said: Vec<usize>,
    confirmed: u64,
    /// What it holds: by tag.
    pub held: BTreeMap<u64, usize>,
    /// Settlings that ask for an answer: how many of the range it held.
    pub settlings: VecDeque<u64>,
    /// All that was sent to it before this time was read.
    pub floor: Instant,
    /// It took part when everything was at rest for the last time; or it is younger.
    pub was_read: bool,
    /// Settled since the last rest.
    settled: Vec<usize>,
    /// It belongs to a producer, whose sequences go on from here.
    pub(super) base: Option<u64>,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Job {
    /// To which queue.
    pub queue: usize,
    /// When it was sent first.
    pub sent_at: Instant,
    /// A time at which it was known to be accepted.
    pub known_at: Option<Instant>,
    /// Its delay: its own or the queue's.
    pub delay: Duration,
    /// Its time to live: the shorter of its own and the queue's.
    pub ttl: Option<Duration>,
    /// Its priority.
    pub priority: u8,
    /// What became of it.
    pub outcome: Outcome,
    /// It may have been purged.
    pub is_purged: bool,
    /// Its times are of this broker's clock; another one begins anew.
    pub is_timed: bool,
    /// Somebody has refused it for good, in time or not.
    pub is_refused: bool,
    /// How often it had been delivered when it died, if it did.
    pub died_after: Option<u32>,
    /// In its queue, and as a dead letter.
    pub stages: [Stage; 2],
    pub(super) options: (Option<u64>, Option<u64>, Option<u8>),
}

/// A message in one queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stage {
    /// Which counts came, up to 64.
    pub counts: u64,
    /// The highest.
    pub highest: u32,
    /// Where it is.
    pub place: JobPlace,
    /// It was given back on a link, not to come again before this.
    pub not_before: Instant,
    /// By whom, if that was not at once.
    pub giver: Option<LinkNumber>,
}

/// Where a job is, as its consumers know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum JobPlace {
    /// In the queue.
    #[default]
    Waiting,
    /// Somebody holds it.
    Held {
        /// Who.
        link: LinkNumber,
        /// With which tag.
        tag: u64,
        /// It does not come back before this, unless it is given back.
        least: Instant,
        /// It has come back by then.
        most: Instant,
        /// An extension is under way: until when it is held at the least, and for how long.
        extension: Option<(Instant, Duration)>,
    },
    /// Settled on this link, and perhaps too late: its lease was not over before this. Done with, or refused for good.
    Settling(LinkNumber, Instant, bool),
    /// Settled for good.
    Done,
    /// Nobody knows.
    Perhaps,
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
        (payload.get(8..) == Some(b"job") && (self.first..self.jobs.len()).contains(&number)).then_some(number)
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

    pub(super) fn payload(number: usize) -> Vec<u8> {
        let mut payload = (number as u64 | MARK).to_be_bytes().to_vec();
        payload.extend_from_slice(b"job");
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
        for job in &mut self.jobs[self.first..] {
            job.is_purged |= job.queue == queue || queue == DEAD;
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
        self.sent = [0; 3];
        (self.acks, self.is_paused, self.was_paused) = ([0; 3], [false; 3], [false; 3]);
    }

    /// Everything is at rest: who takes part has said and read all.
    pub(in crate::simulate) fn rested(&mut self, now: Instant, takes_part: impl Fn(LinkNumber) -> bool) {
        self.rested_at = now;
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
        for job in &mut self.jobs[self.first..] {
            if job.outcome == Outcome::Accepted {
                job.known_at.get_or_insert(now);
            }
        }
    }
}
