//! Who waits for a job, and what happens when its time has come.

use super::dialect::Reply;
use super::server::{Cx, Due, Server, reply};
use super::tube::{JobId, Place, TubeId, Wait, seconds};
use msglib_broker::{ConnectionId, Instant};
use std::time::Duration;

/// So long before the time of one of its jobs is over, a client that waits is told that it is.
const SAFETY_MARGIN: Duration = Duration::from_secs(1);
/// Delays and reservations that end in one step at most; more of them end in the next.
const MOST_DUE: usize = 1_000;

impl Server {
    /// A job at once, or when there is one.
    pub(crate) fn reserve(&mut self, cx: &mut Cx<'_>, from: ConnectionId, timeout: Option<u32>) {
        self.client(from).has_reserved = true;
        if let Some(job) = self.best_for(from) {
            self.hand_over(cx, from, job);
        } else if self.is_deadline_soon(cx.now(), from) {
            reply(cx, from, Reply::Word("DEADLINE_SOON"));
        } else if timeout == Some(0) {
            reply(cx, from, Reply::Word("TIMED_OUT"));
        } else {
            self.wait(cx, from, timeout.map(|timeout| cx.now() + seconds(timeout)));
        }
    }

    /// The most urgent of the jobs that are next in the tubes that a client watches.
    fn best_for(&mut self, client: ConnectionId) -> Option<JobId> {
        let Server { tubes, store, clients, .. } = self;
        let watched = &clients.get(&client)?.watches;
        let next = watched.iter().filter_map(|tube| {
            let tube = tubes.get_mut(tube).filter(|tube| tube.pause.is_none())?;
            tube.next(store)
        });
        // What is in another tube can be dealt with only by comparing, and the job's number says which is older.
        next.collect::<Vec<_>>().into_iter().min().map(|(_, job)| job)
    }

    /// Nothing more is taken from the client until it has its answer.
    fn wait(&mut self, cx: &mut Cx<'_>, from: ConnectionId, until: Option<Instant>) {
        let turn = self.next_number();
        self.client(from).waits = Some(Wait { turn, until, timer: None });
        for tube in self.client(from).watches.clone() {
            self.tube(tube).waiting.insert((turn, from));
        }
        cx.hold(from);
        self.set_client_timer(cx, from);
    }

    /// If the client waits, it does so no longer.
    pub(crate) fn wait_no_longer(&mut self, cx: &mut Cx<'_>, from: ConnectionId) {
        let Some(Wait { turn, timer, .. }) = self.client(from).waits.take() else { return };
        for tube in self.client(from).watches.clone() {
            self.tube(tube).waiting.remove(&(turn, from));
        }
        if let Some(timer) = timer {
            cx.cancel_timer(timer);
            self.timers.remove(&timer);
        }
        cx.go_on(from);
    }

    /// Gives the jobs of a tube to those who wait, in their turns.
    pub(crate) fn give_out(&mut self, cx: &mut Cx<'_>, tube: TubeId) {
        while let Some(&(_, client)) = self.tubes.get(&tube).and_then(|tube| tube.waiting.first())
            && let Some(job) = self.best_for(client)
        {
            self.wait_no_longer(cx, client);
            self.hand_over(cx, client, job);
        }
    }

    /// The first moment at which the time of a job is over that the client has reserved.
    fn first_deadline(&mut self, client: ConnectionId) -> Option<Instant> {
        let holds = self.client(client).holds.clone();
        holds.into_iter().filter_map(|job| Some(self.job(job)?.1.hold()?.until)).min()
    }

    fn is_deadline_soon(&mut self, now: Instant, client: ConnectionId) -> bool {
        self.first_deadline(client).is_some_and(|deadline| deadline.since(now) <= SAFETY_MARGIN)
    }

    fn set_client_timer(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        let warning = self.first_deadline(id).map(|deadline| {
            let margin = SAFETY_MARGIN.as_nanos() as u64;
            Instant::from_nanos(deadline.as_nanos().saturating_sub(margin))
        });
        let Some(mut wait) = self.client(id).waits else { return };
        wait.timer = warning.into_iter().chain(wait.until).min().map(|at| cx.set_timer(at, 0));
        self.timers.extend(wait.timer.map(|timer| (timer, Due::Client(id))));
        self.client(id).waits = Some(wait);
    }

    /// A client has waited for as long as it may.
    pub(crate) fn client_is_due(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        let now = cx.now();
        let Some(wait) = self.clients.get(&id).and_then(|client| client.waits) else { return };
        // Something else may be due at the same time, so that there is a job just now.
        let job = self.best_for(id);
        let word = match wait.until {
            _ if job.is_some() => None,
            _ if self.is_deadline_soon(now, id) => Some("DEADLINE_SOON"),
            Some(until) if until <= now => Some("TIMED_OUT"),
            _ => return self.set_client_timer(cx, id),
        };
        self.wait_no_longer(cx, id);
        if let Some(job) = job {
            self.hand_over(cx, id, job);
        }
        if let Some(word) = word {
            reply(cx, id, Reply::Word(word));
        }
    }

    /// No job of the tube is given out before `until`.
    pub(crate) fn pause(&mut self, name: &str, until: Instant, seconds: u32) -> Option<()> {
        let id = *self.names.get(name)?;
        let tube = self.tube(id);
        tube.pause = Some((until, seconds));
        tube.pauses += 1;
        self.changed.insert(id);
        Some(())
    }

    /// Delays, reservations, or a pause are over.
    pub(crate) fn tube_is_due(&mut self, now: Instant, id: TubeId) {
        let Server { tubes, store, jobs, changed, .. } = self;
        let Some(tube) = tubes.get_mut(&id) else { return };
        tube.timer = None;
        tube.queue.advance(store, now, MOST_DUE);
        while let Some(&(until, job_id)) = tube.delayed.first().filter(|(until, _)| *until <= now) {
            match jobs.get_mut(&job_id) {
                Some(job) => tube.put(job_id, job, Place::Ready),
                None => drop(tube.delayed.remove(&(until, job_id))),
            }
        }
        tube.pause = tube.pause.filter(|(until, _)| *until > now);
        changed.insert(id);
    }

    /// After something has changed in a tube: when is it due, and is it still wanted?
    pub(crate) fn look_after(&mut self, cx: &mut Cx<'_>, id: TubeId) {
        let Some(tube) = self.tubes.get_mut(&id) else { return };
        let due = if tube.is_used() { tube.next_due() } else { None };
        if tube.timer.map(|(at, _)| at) != due {
            if let Some((_, timer)) = tube.timer.take() {
                cx.cancel_timer(timer);
                self.timers.remove(&timer);
            }
            tube.timer = due.map(|at| (at, cx.set_timer(at, 0)));
            self.timers.extend(tube.timer.map(|(_, timer)| (timer, Due::Tube(id))));
        }
        if !tube.is_used() {
            self.names.remove(&tube.name);
            self.tubes.remove(&id);
        }
    }
}
