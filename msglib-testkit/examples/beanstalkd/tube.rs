//! Tubes, the jobs in them, and the clients: what the server remembers beside its queues.

use super::order::MostUrgent;
use msglib_broker::queue::{MessageId, MessageInfo};
use msglib_broker::{ConnectionId, ConsumerId, Instant, Queue, QueueConfig, Store, TimerId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The tube that is always there, and that a client uses and watches unless it says otherwise.
pub(crate) const DEFAULT: &str = "default";

/// Never used again for another tube.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct TubeId(pub(crate) u64);

/// The number of a job, the same in all tubes and for as long as the server lives.
pub(crate) type JobId = u64;

/// A queue: it knows which jobs are ready, delayed and reserved, and when a delay or a reservation is over. A job that is buried is
/// delayed, for ever.
pub(crate) struct Tube {
    pub(crate) name: String,
    pub(crate) queue: Queue<ConnectionId>,
    pub(crate) jobs: BTreeMap<MessageId, JobId>,
    /// By when they will be ready.
    pub(crate) delayed: BTreeSet<(Instant, JobId)>,
    /// By when they were buried.
    pub(crate) buried: BTreeMap<u64, JobId>,
    /// Clients that wait for a job, by their turns.
    pub(crate) waiting: BTreeSet<(u64, ConnectionId)>,
    pub(crate) using: usize,
    pub(crate) watching: usize,
    /// Until when no job is given out, and for how many seconds in all.
    pub(crate) pause: Option<(Instant, u32)>,
    pub(crate) timer: Option<(Instant, TimerId)>,
    pub(crate) deletes: u64,
    pub(crate) pauses: u64,
}

pub(crate) struct Job {
    pub(crate) tube: TubeId,
    pub(crate) message: MessageId,
    pub(crate) priority: u32,
    pub(crate) delay: u32,
    pub(crate) ttr: u32,
    pub(crate) made: Instant,
    pub(crate) place: Place,
    pub(crate) counts: Counts,
}

/// Where a job is.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Ready,
    Delayed(Instant),
    Reserved(Hold),
    /// With its place among the buried ones.
    Buried(u64),
}

/// Who has reserved a job, and until when.
#[derive(Clone, Copy)]
pub(crate) struct Hold {
    pub(crate) client: ConnectionId,
    pub(crate) consumer: ConsumerId,
    pub(crate) tag: u64,
    pub(crate) until: Instant,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) reserves: u64,
    pub(crate) timeouts: u64,
    pub(crate) releases: u64,
    pub(crate) buries: u64,
    pub(crate) kicks: u64,
}

pub(crate) struct Client {
    pub(crate) uses: TubeId,
    /// In the order in which it began to.
    pub(crate) watches: Vec<TubeId>,
    /// What it is called in the tubes that it has had a job of.
    pub(crate) consumers: BTreeMap<TubeId, ConsumerId>,
    /// The jobs that it has reserved. Of some the time may be over.
    pub(crate) holds: BTreeSet<JobId>,
    pub(crate) waits: Option<Wait>,
    pub(crate) has_put: bool,
    pub(crate) has_reserved: bool,
}

/// A client waits for a job.
#[derive(Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) turn: u64,
    pub(crate) until: Option<Instant>,
    pub(crate) timer: Option<TimerId>,
}

impl Tube {
    pub(crate) fn new(name: &str) -> Tube {
        Tube {
            name: name.to_owned(),
            queue: Queue::new(QueueConfig::default().with_index()).with_order(MostUrgent::default()),
            jobs: BTreeMap::new(),
            delayed: BTreeSet::new(),
            buried: BTreeMap::new(),
            waiting: BTreeSet::new(),
            using: 0,
            watching: 0,
            pause: None,
            timer: None,
            deletes: 0,
            pauses: 0,
        }
    }

    /// The job that is next, behind how urgent it is: the least is the most urgent.
    pub(crate) fn next(&mut self, store: &Store) -> Option<(u32, JobId)> {
        let MessageInfo { id, priority, .. } = self.queue.peek(store)?;
        Some((!priority, *self.jobs.get(&id)?))
    }

    /// The job is somewhere else from now on.
    pub(crate) fn put(&mut self, id: JobId, job: &mut Job, place: Place) {
        match job.place {
            Place::Delayed(until) => drop(self.delayed.remove(&(until, id))),
            Place::Buried(place) => drop(self.buried.remove(&place)),
            Place::Ready | Place::Reserved(_) => {}
        }
        match place {
            Place::Delayed(until) => drop(self.delayed.insert((until, id))),
            Place::Buried(place) => drop(self.buried.insert(place, id)),
            Place::Ready | Place::Reserved(_) => {}
        }
        job.place = place;
    }

    /// When something happens by itself.
    pub(crate) fn next_due(&mut self) -> Option<Instant> {
        let pause = self.pause.map(|(until, _)| until);
        self.queue.next_due().into_iter().chain(pause).min().filter(|due| *due < Instant::MAX)
    }

    pub(crate) fn is_used(&self) -> bool {
        self.using > 0 || self.watching > 0 || !self.queue.is_empty() || self.name == DEFAULT
    }
}

impl Job {
    pub(crate) fn hold(&self) -> Option<Hold> {
        match self.place {
            Place::Reserved(hold) => Some(hold),
            _ => None,
        }
    }
}

impl Client {
    pub(crate) fn new(tube: TubeId) -> Client {
        Client {
            uses: tube,
            watches: vec![tube],
            consumers: BTreeMap::new(),
            holds: BTreeSet::new(),
            waits: None,
            has_put: false,
            has_reserved: false,
        }
    }
}

/// Seconds as the protocol has them.
pub(crate) fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}
