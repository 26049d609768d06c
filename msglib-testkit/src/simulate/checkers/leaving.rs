//! What leaves a queue with settings otherwise than by its consumers: purges, and limits.

use super::jobs::{Delivery, Verdict, delivery};
use crate::simulate::checker::{Checker, Seen, View};
use crate::simulate::facts::{Facts, Outcome};
use crate::simulate::featured::{DEAD, JOBS, Job, JobPlace, Jobs};
use msglib_broker::queue::Overflow;

/// A purge takes what waits, and is counted.
#[derive(Debug, Default)]
pub(super) struct Purged;

impl<H> Checker<H> for Purged {
    fn name(&self) -> &'static str {
        "purge: what waited is gone, and counted"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Some(Delivery { index, of_job, stage: 0, count: 1, payload, .. }) = delivery(facts, seen) else {
            return Ok(());
        };
        let Some(number) = facts.jobs.find(payload) else { return Ok(()) };
        // Nobody had it before, so it waited then.
        match of_job.was_read && facts.jobs.job(number).is_gone {
            true => Err(format!("link {index} received job {number}, which was purged").into()),
            false => Ok(()),
        }
    }

    fn after_step(&mut self, view: &View<'_, H>) -> Verdict {
        for (queue, account) in view.jobs.iter().enumerate() {
            let purged = account.map_or(0, |account| account.ledger.purged);
            if purged > 0 && view.facts.jobs.purges[queue] == 0 {
                return Err(format!("{purged} jobs of {} were purged by nobody", JOBS[queue]).into());
            }
        }
        Ok(())
    }

    /// No more have no end than were purged.
    fn drained(&mut self, view: &View<'_, H>) -> Verdict {
        for (queue, account) in view.jobs.iter().enumerate().take(DEAD) {
            let Some(account) = account else { continue };
            let of_queue = view.facts.jobs.all().filter(|(_, job)| job.queue == queue && job.is_purged);
            let gone = of_queue.filter(|(_, job)| is_lost(job));
            let (gone, counted) = (gone.count() as u64, account.ledger.purged + account.ledger.dropped.total());
            if gone > counted {
                return Err(format!("{gone} jobs of {} have no end, and {counted} are counted", JOBS[queue]).into());
            }
        }
        Ok(())
    }
}

/// I23: a queue has no more than it may, and what it drops for that is counted as what it is.
#[derive(Debug, Default)]
pub(super) struct Limits;

impl<H> Checker<H> for Limits {
    fn name(&self) -> &'static str {
        "I23 a queue with settings has no more than it may, and counts what it drops"
    }

    fn after_step(&mut self, view: &View<'_, H>) -> Verdict {
        for (queue, account) in view.jobs.iter().enumerate() {
            let (Some(account), Some(config)) = (account, view.facts.jobs.config(queue)) else { continue };
            let ledger = account.ledger;
            let has = ledger.ready + ledger.delayed + ledger.in_flight;
            if has > config.max_messages as u64 || account.bytes.is_some_and(|bytes| bytes > config.max_bytes) {
                let (messages, bytes) = (config.max_messages, config.max_bytes);
                let words = format!("{} may have {messages} jobs of {bytes} bytes, and has {account:?}", JOBS[queue]);
                return Err(words.into());
            }
            let dropped = ledger.dropped;
            let is_right = match config.overflow {
                Overflow::DropOldest => dropped.newest == 0,
                Overflow::DropNewest => dropped.oldest == 0,
                _ => dropped.newest + dropped.oldest == 0,
            };
            if !is_right {
                return Err(format!("{} is to {:?}, and has {dropped:?}", JOBS[queue], config.overflow).into());
            }
        }
        Ok(())
    }

    /// No more have no end than were dropped.
    fn drained(&mut self, view: &View<'_, H>) -> Verdict {
        let jobs = &view.facts.jobs;
        for (queue, account) in view.jobs.iter().enumerate().take(DEAD) {
            let Some(account) = account.filter(|_| may_drop(jobs, queue)) else { continue };
            let gone = jobs.all().filter(|(_, job)| job.queue == queue && is_lost(job)).count() as u64;
            let counted = account.ledger.dropped.total() + account.ledger.purged;
            if gone > counted {
                return Err(format!("{gone} jobs of {} have no end, and {counted} are counted", JOBS[queue]).into());
            }
        }
        Ok(())
    }
}

/// It was accepted, and has no end.
fn is_lost(job: &Job) -> bool {
    let is_done = |place: JobPlace| matches!(place, JobPlace::Done | JobPlace::Perhaps);
    job.outcome == Outcome::Accepted && !job.stages.iter().any(|stage| is_done(stage.place))
}

/// Whether a queue drops what it has accepted when there is no room.
pub(super) fn may_drop(jobs: &Jobs, queue: usize) -> bool {
    let drops = |overflow| matches!(overflow, Overflow::DropOldest | Overflow::DropNewest);
    jobs.config(queue).is_some_and(|config| drops(config.overflow))
}
