//! What clients do with jobs.

use super::dialect::Reply;
use super::server::{Cx, Server, reply};
use super::tube::{Counts, Hold, Job, JobId, Place, Tube, seconds};
use msglib_broker::queue::{Again, Settling};
use msglib_broker::{ConnectionId, ErrorCode, Instant, NewMessage, Reject, Store};
use std::time::Duration;

/// Jobs that one `kick` moves at most, so that a step is bounded; who wants more kicks again.
const MOST_KICKED: u32 = 10_000;

/// A job, its tube, and where the payloads are.
type Found<'a> = (JobId, &'a mut Job, &'a mut Tube, &'a mut Store);

impl Server {
    /// A job as it is now: that a reservation is over is noticed here.
    pub(crate) fn job(&mut self, id: JobId) -> Option<Found<'_>> {
        let Server { jobs, tubes, store, clients, totals, .. } = self;
        let job = jobs.get_mut(&id)?;
        let tube = tubes.get_mut(&job.tube)?;
        if let Some(hold) = job.hold()
            && tube.queue.held(store, hold.consumer, hold.tag).is_none()
        {
            tube.put(id, job, Place::Ready);
            job.counts.timeouts += 1;
            totals.timeouts += 1;
            if let Some(client) = clients.get_mut(&hold.client) {
                client.holds.remove(&id);
            }
        }
        Some((id, job, tube, store))
    }

    /// A job that this client has reserved.
    fn mine(&mut self, from: ConnectionId, id: JobId) -> Option<(Hold, Found<'_>)> {
        self.changed.extend(self.jobs.get(&id).map(|job| job.tube));
        let found = self.job(id)?;
        let hold = found.1.hold().filter(|hold| hold.client == from)?;
        Some((hold, found))
    }

    pub(crate) fn put(
        &mut self,
        cx: &mut Cx<'_>,
        from: ConnectionId,
        (priority, delay, ttr): (u32, u32, u32),
        body: &[u8],
    ) -> Result<(), Reject> {
        if self.is_draining {
            reply(cx, from, Reply::Word("DRAINING"));
            return Ok(());
        }
        let now = cx.now();
        let client = self.client(from);
        client.has_put = true;
        let tube_id = client.uses;
        let Server { tubes, store, jobs, totals, changed, .. } = self;
        let Some(tube) = tubes.get_mut(&tube_id) else { return Ok(()) };
        // The queue's order has the highest first, the protocol the lowest.
        let message = NewMessage::new(body).with_priority(!priority).with_delay(seconds(delay));
        let pushed = tube.queue.push(store, now, message);
        let message = pushed.map_err(|full| Reject::new(ErrorCode::QUEUE_FULL, full.to_string()))?;
        totals.jobs += 1;
        let id = totals.jobs;
        let (place, counts) = (Place::Ready, Counts::default());
        let mut job = Job { tube: tube_id, message, priority, delay, ttr: ttr.max(1), made: now, place, counts };
        if delay > 0 {
            tube.put(id, &mut job, Place::Delayed(now + seconds(delay)));
        }
        tube.jobs.insert(message, id);
        jobs.insert(id, job);
        changed.insert(tube_id);
        reply(cx, from, Reply::Number("INSERTED", id));
        Ok(())
    }

    /// Reserves a job for a client, wherever it is, unless somebody else has; `None` if that cannot be.
    pub(crate) fn hand_over(&mut self, cx: &mut Cx<'_>, to: ConnectionId, id: JobId) -> Option<()> {
        let now = cx.now();
        self.job(id).filter(|(_, job, ..)| job.hold().is_none())?;
        let Server { jobs, tubes, store, clients, changed, .. } = self;
        let (job, client) = (jobs.get_mut(&id)?, clients.get_mut(&to)?);
        let tube = tubes.get_mut(&job.tube)?;
        let consumer = *client.consumers.entry(job.tube).or_insert_with(|| tube.queue.add_consumer(to));
        let offer = tube.queue.deliver(store, now, job.message, consumer)?;
        let tag = offer.tag;
        // If that fails, the client is gone, and what it holds comes back.
        reply(cx, to, Reply::Job("RESERVED", id, offer.payload));
        let ttr = seconds(job.ttr);
        tube.queue.extend(now, consumer, tag..=tag, Some(ttr));
        tube.put(id, job, Place::Reserved(Hold { client: to, consumer, tag, until: now + ttr }));
        job.counts.reserves += 1;
        client.holds.insert(id);
        client.has_reserved = true;
        changed.insert(job.tube);
        Some(())
    }

    pub(crate) fn delete(&mut self, now: Instant, from: ConnectionId, id: JobId) -> Option<()> {
        let (_, job, tube, store) = self.job(id)?;
        match job.hold() {
            Some(hold) if hold.client != from => return None,
            Some(Hold { consumer, tag, .. }) => drop(tube.queue.ack(store, now, consumer, tag..=tag)),
            None => drop(tube.queue.remove(store, now, job.message)),
        }
        tube.put(id, job, Place::Ready);
        tube.jobs.remove(&job.message);
        tube.deletes += 1;
        self.client(from).holds.remove(&id);
        let job = self.jobs.remove(&id)?;
        self.changed.insert(job.tube);
        Some(())
    }

    pub(crate) fn release(
        &mut self,
        now: Instant,
        from: ConnectionId,
        id: JobId,
        priority: u32,
        delay: u32,
    ) -> Option<()> {
        let place = if delay > 0 { Place::Delayed(now + seconds(delay)) } else { Place::Ready };
        self.give_back(now, from, (id, place), Again::after(seconds(delay)).with_priority(!priority))?;
        let job = self.jobs.get_mut(&id)?;
        (job.priority, job.delay) = (priority, delay);
        job.counts.releases += 1;
        Some(())
    }

    /// Buried is delayed for ever.
    pub(crate) fn bury(&mut self, now: Instant, from: ConnectionId, id: JobId, priority: u32) -> Option<()> {
        let place = Place::Buried(self.next_number());
        self.give_back(now, from, (id, place), Again::after(Duration::MAX).with_priority(!priority))?;
        let job = self.jobs.get_mut(&id)?;
        job.priority = priority;
        job.counts.buries += 1;
        Some(())
    }

    fn give_back(&mut self, now: Instant, from: ConnectionId, (id, place): (JobId, Place), again: Again) -> Option<()> {
        let (Hold { consumer, tag, .. }, (_, job, tube, store)) = self.mine(from, id)?;
        tube.queue.settle(store, now, consumer, tag..=tag, Settling::Again(again));
        tube.put(id, job, place);
        self.client(from).holds.remove(&id);
        Some(())
    }

    /// Its time begins anew.
    pub(crate) fn touch(&mut self, now: Instant, from: ConnectionId, id: JobId) -> Option<()> {
        let (hold, (_, job, tube, _)) = self.mine(from, id)?;
        let ttr = seconds(job.ttr);
        tube.queue.extend(now, hold.consumer, hold.tag..=hold.tag, Some(ttr));
        job.place = Place::Reserved(Hold { until: now + ttr, ..hold });
        Some(())
    }

    pub(crate) fn kick_job(&mut self, now: Instant, id: JobId) -> Option<()> {
        let (_, job, tube, store) = self.job(id)?;
        let (Place::Buried(_) | Place::Delayed(_)) = job.place else { return None };
        tube.queue.make_ready(store, now, job.message);
        tube.put(id, job, Place::Ready);
        job.counts.kicks += 1;
        let tube = job.tube;
        self.changed.insert(tube);
        Some(())
    }

    /// Those that were buried first; if there are none, those whose delay is over soonest.
    pub(crate) fn kick(&mut self, now: Instant, from: ConnectionId, bound: u32) -> u64 {
        let most = bound.min(MOST_KICKED) as usize;
        let tube = self.client(from).uses;
        let tube = self.tube(tube);
        let mut jobs: Vec<JobId> = tube.buried.values().copied().take(most).collect();
        if tube.buried.is_empty() {
            jobs.extend(tube.delayed.iter().map(|(_, job)| *job).take(most));
        }
        jobs.into_iter().filter_map(|job| self.kick_job(now, job)).count() as u64
    }

    pub(crate) fn show(&mut self, cx: &mut Cx<'_>, to: ConnectionId, id: Option<JobId>) {
        let shown = id.and_then(|id| {
            let (_, job, tube, store) = self.job(id)?;
            let message = match job.hold() {
                Some(hold) => tube.queue.held(store, hold.consumer, hold.tag)?,
                None => tube.queue.message(store, job.message)?,
            };
            reply(cx, to, Reply::Job("FOUND", id, message.payload));
            Some(())
        });
        if shown.is_none() {
            reply(cx, to, Reply::Word("NOT_FOUND"));
        }
    }
}
