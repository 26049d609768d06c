//! What is done with queues that have settings.

use super::facts::{Channel, LinkNumber};
use super::job::{DEAD, Job, JobOptions, config, job_queue};
use super::jobs::Jobs;
use super::{Deed, HostAct};
use crate::simulate::checker::Violation;
use crate::simulate::facts::Outcome;
use crate::simulate::world::World;
use msglib_broker::Handler;
use msglib_broker::queue::OrderKind;
use msglib_proto::{Frame, Payload, PublishOptions, Settling};
use std::time::Duration;

/// Bytes of a job at most: less than what a key may have in its turn.
const LARGEST: usize = 3_900;

impl<H: Handler + 'static> World<'_, H> {
    pub(super) fn work(&mut self, client: usize, deed: Deed) -> Result<bool, Violation> {
        if self.setup.jobs.is_empty() || !self.has_host() {
            return Ok(false);
        }
        match deed {
            Deed::Work { queue, credit } => {
                let opened = self.open_jobs(client, queue, false, None)?;
                self.allow_featured(client, opened, credit)
            }
            Deed::Put { queue, times, options, produces } => self.put(client, queue, times, options, produces),
            Deed::Settle { pick, from, count, confirm, settling } => {
                let holds = |link: LinkNumber| self.facts.jobs.link(link).is_some_and(|link| !link.held.is_empty());
                let Some(index) = self.pick_featured_index(client, pick, holds) else { return Ok(false) };
                let (link, held) = (self.facts.featured.link(index).number, self.facts.jobs.link(index));
                let tags: Vec<u64> = held.map(|link| link.held.keys().copied().collect()).unwrap_or_default();
                let first = tags[from % tags.len()];
                let last = first.saturating_add(count - 1).min(self.facts.featured.link(index).delivered);
                let frame = match (settling, confirm) {
                    (Settling::Ack, false) => Frame::Ack { link, first, last },
                    _ => Frame::Settle { link, first, last, confirm, settling },
                };
                self.send(client, &frame)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn open_jobs(
        &mut self,
        client: usize,
        queue: usize,
        publishes: bool,
        base: Option<u64>,
    ) -> Result<Option<LinkNumber>, Violation> {
        let settings = self.setup.jobs.get(queue).map(msglib_proto::QueueSettings::encode).unwrap_or_default();
        let opened = self.open_featured(client, Channel::Jobs(queue), publishes, &settings)?;
        if let Some(link) = opened {
            self.facts.jobs.opened(link, base, self.facts.now());
        }
        Ok(opened)
    }

    fn put(
        &mut self,
        client: usize,
        queue: usize,
        times: usize,
        options: JobOptions,
        produces: bool,
    ) -> Result<bool, Violation> {
        let is_it = |link: LinkNumber| {
            let there = self.facts.featured.link(link);
            let base = self.facts.jobs.link(link).and_then(|link| link.base);
            there.publishes && there.channel == Channel::Jobs(queue) && base.is_some() == produces
        };
        let index = match self.pick_featured_index(client, 0, is_it) {
            Some(link) => Some(link),
            None if produces => self.open_producer(client, queue)?,
            None => self.open_jobs(client, queue, true, None)?,
        };
        let Some(index) = index else { return Ok(false) };
        let mut new = 0;
        loop {
            let link = self.facts.featured.link(index);
            if link.published >= link.credit {
                break;
            }
            let base = self.facts.jobs.link(index).and_then(|link| link.base);
            // What had no outcome comes first, again.
            let key = (client, queue);
            let sequence = base.map(|base| (base + link.published) as usize);
            let again = sequence.and_then(|at| self.facts.jobs.producers.get(&key)?.get(at).copied());
            if again.is_none() {
                new += 1;
                if new > times {
                    break;
                }
            }
            let number = again.unwrap_or(self.facts.jobs.next());
            if base.is_some() && again.is_none() {
                self.facts.jobs.producers.entry(key).or_default().push(number);
            }
            self.publish_job(client, index, queue, number, options)?;
        }
        Ok(true)
    }

    fn open_producer(&mut self, client: usize, queue: usize) -> Result<Option<LinkNumber>, Violation> {
        let jobs = self.facts.jobs.producers.get(&(client, queue)).cloned().unwrap_or_default();
        let base = self.facts.jobs.first_open(&jobs) as u64;
        let Some(index) = self.open_jobs(client, queue, true, Some(base))? else { return Ok(None) };
        let link = self.facts.featured.link(index).number;
        self.send(client, &Frame::Producer { link, id: 1 + client as u128, base })?;
        Ok(Some(index))
    }

    fn publish_job(
        &mut self,
        client: usize,
        index: LinkNumber,
        queue: usize,
        number: usize,
        options: JobOptions,
    ) -> Result<(), Violation> {
        let now = self.facts.now();
        self.facts.jobs.says(index, number, |jobs| new_job(jobs, queue, options, now));
        let JobOptions { delay_ms, ttl_ms, priority, key } = self.facts.jobs.job(number).options;
        let key = key.map(|key| [key]);
        let key = key.as_ref().map(<[u8; 1]>::as_slice);
        let options = PublishOptions { delay_ms, ttl_ms, priority, key, ..PublishOptions::default() };
        // So large that a turn of a key is over soon.
        let is_fair = self
            .facts
            .jobs
            .config(queue)
            .is_some_and(|config| config.order == OrderKind::FairByKey && config.max_bytes > LARGEST * LARGEST);
        let payload = Jobs::payload(number, if is_fair { self.setup.large_payload().min(LARGEST) } else { 0 });
        let (payload, confirm, retain) = (Payload::from(&payload), true, false);
        let link = self.facts.featured.link(index);
        let (link, number) = (link.number, link.published + 1);
        let frame = match options.is_empty() {
            true => Frame::Publish { link, number, confirm, payload },
            false => Frame::PublishWith { link, number, confirm, retain, options, payload },
        };
        self.send(client, &frame)
    }

    /// The host program does something with a queue.
    pub(in crate::simulate) fn host(&mut self, queue: usize, act: HostAct) -> bool {
        let Some(settings) = self.setup.jobs.get(queue).cloned() else { return false };
        let (name, config) = (job_queue(queue), config(&settings));
        if !self.operate(name, act, &config) {
            return false;
        }
        match act {
            HostAct::Purge => self.facts.jobs.purged(queue),
            HostAct::Pause | HostAct::Resume => self.facts.jobs.pauses(queue, act == HostAct::Pause),
            HostAct::Declare => {}
        }
        true
    }

    /// After a new handler has begun.
    pub(in crate::simulate) fn declare_jobs(&mut self) {
        for queue in 0..self.setup.jobs.len() {
            self.host(queue, HostAct::Declare);
        }
    }

    /// Somebody takes all that there is, until nothing comes any more, whatever it waits for.
    pub(in crate::simulate) fn drain_jobs(&mut self) -> Result<(), Violation> {
        (0..self.setup.jobs.len()).for_each(|queue| {
            self.host(queue, HostAct::Resume);
        });
        let client = self.first_featured();
        // For a free hand.
        self.leave(client, |_| {})?;
        let mut still = 0;
        while still < 2 {
            self.advance(Duration::from_secs(70));
            let mut moved = false;
            loop {
                for queue in 0..=DEAD {
                    self.take_jobs(client, queue)?;
                }
                self.settle()?;
                let mut acked = false;
                for client in self.first_featured()..self.clients.len() {
                    while self.work(client, ACK_ALL)? {
                        acked = true;
                    }
                }
                moved |= acked;
                if !acked {
                    break;
                }
            }
            self.rest()?;
            still = if moved { 0 } else { still + 1 };
        }
        Ok(())
    }

    fn take_jobs(&mut self, client: usize, queue: usize) -> Result<(), Violation> {
        if !self.is_greeted(client)? {
            return Ok(());
        }
        let is_it = |link: LinkNumber| {
            let link = self.facts.featured.link(link);
            link.consumes && link.channel == Channel::Jobs(queue)
        };
        let link = match self.pick_featured_index(client, 0, is_it) {
            Some(link) => Some(link),
            None => self.open_jobs(client, queue, false, None)?,
        };
        self.allow_featured(client, link, 1_000)?;
        Ok(())
    }
}

const ACK_ALL: Deed = Deed::Settle { pick: 0, from: 0, count: u64::MAX, confirm: false, settling: Settling::Ack };

fn new_job(jobs: &Jobs, queue: usize, options: JobOptions, now: msglib_proto::Instant) -> Job {
    let config = jobs.config(queue);
    let own = options.ttl_ms.map(Duration::from_millis);
    Job {
        queue,
        sent_at: now,
        known_at: None,
        known_with: None,
        delay: options.delay_ms.map_or(config.map_or(Duration::ZERO, |config| config.delay), Duration::from_millis),
        ttl: [own, config.and_then(|config| config.ttl)].into_iter().flatten().min(),
        priority: options.priority.unwrap_or(0),
        outcome: Outcome::Pending,
        is_purged: false,
        was_there: false,
        is_gone: false,
        is_timed: true,
        died_after: None,
        is_refused: false,
        stages: Default::default(),
        options,
    }
}
