//! The load: publishers and consumers on one thread that never sleeps.
//!
//! It looks at its sockets every 50 µs and spins in between. A peer that sleeps must be woken, which costs the
//! *sender* tens of microseconds on a virtual machine: the server would be billed for it. What it finds there is
//! handled in one go, as a busy client would. A message is in flight until it is delivered and, where that is asked
//! for, confirmed.

mod consuming;
mod publishing;

use crate::Result;
use crate::frames::{self, Publishes, bytes_of};
use crate::plan::Plan;
use crate::sample::{Latency, Sample};
use crate::server::Server;
use crate::socket::{ReadBlock, Socket};
use crate::target::Target;
use consuming::Consumer;
use mio::{Events, Interest, Poll, Token};
use msglib_proto::Feature;
use publishing::{Burst, Publisher};
use std::time::{Duration, Instant};

/// How often the sockets are looked at.
pub(crate) const LOOK: Duration = Duration::from_micros(50);
/// Nothing moves for so long: something is broken.
pub(crate) const STALL: Duration = Duration::from_secs(10);
/// The queue of all that is published here.
const QUEUE: u64 = 1;

pub(crate) struct Load<'a> {
    server: &'a Server,
    target: &'a Target,
    plan: Plan,
    poll: Poll,
    events: Events,
    block: ReadBlock,
    publishers: Vec<Publisher>,
    consumers: Vec<Consumer>,
    publishes: Publishes,
    relay_acks: Vec<u8>,
    /// Of which the stamps in the messages count.
    epoch: Instant,
    /// Publishes to make in all.
    quota: u64,
    published: u64,
    delivered: u64,
    /// Of the sequences of what was delivered: finds a loss that a duplicate makes up for.
    sequences: u64,
    /// Who publishes first in the next turn.
    first: usize,
    burst: Burst,
    next_look: Instant,
    idle: Duration,
    latency: Latency,
    progress: (u64, Instant),
}

impl<'a> Load<'a> {
    /// Connects all; the consumers first.
    pub(crate) fn connect(server: &'a Server, target: &'a Target, plan: &Plan) -> Result<Load<'a>> {
        let mut load = Load {
            server,
            target,
            plan: plan.clone(),
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            block: ReadBlock::new(),
            publishers: Vec::new(),
            consumers: Vec::new(),
            publishes: Publishes::encode(&plan.sizes)?,
            relay_acks: Vec::new(),
            epoch: Instant::now(),
            quota: u64::MAX,
            published: 0,
            delivered: 0,
            sequences: 0,
            first: 0,
            burst: Burst::default(),
            next_look: Instant::now(),
            idle: Duration::ZERO,
            latency: Latency::new(),
            progress: (0, Instant::now()),
        };
        for index in 0..plan.consumers {
            let socket = load.dial(index, false)?;
            load.consumers.push(Consumer { socket, delivered: 0, allowed: 0 });
        }
        for index in 0..plan.publishers {
            let socket = load.dial(plan.consumers + index, true)?;
            let allowed = if target.is_floor() { u64::MAX } else { 0 };
            load.publishers.push(Publisher { socket, published: 0, confirmed: 0, allowed });
        }
        load.allow_deliveries()?;
        Ok(load)
    }

    fn dial(&mut self, token: usize, publishes: bool) -> Result<Socket> {
        let mut socket = Socket::connect(self.server.address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket.stream, Token(token), interest)?;
        if !self.target.is_floor() {
            let greeting = match self.plan.fans_out {
                true => [frames::hello_with(Feature::Topics.bit()), frames::open_topic(1, publishes)],
                false => [frames::hello(), frames::open(1, QUEUE, publishes)],
            };
            socket.send(&bytes_of(greeting)?)?;
        }
        Ok(socket)
    }

    /// Runs for `warm_up`, then for `time`, which is measured, and then until all is delivered.
    pub(crate) fn steady(&mut self, warm_up: Duration, time: Duration) -> Result<Sample> {
        let begin = Instant::now();
        while begin.elapsed() < warm_up || self.delivered == 0 {
            self.turn()?;
        }
        // What waits on purpose has an age, and no latency worth the name.
        if self.plan.waiting == 0 {
            self.latency.start();
        }
        let before = self.mark()?;
        while before.at.elapsed() < time {
            self.turn()?;
        }
        let mut sample = self.since(&before)?;
        sample.latency = self.latency.take();
        self.drain()?;
        sample.peak = self.server.peak_resident()?;
        Ok(sample)
    }

    /// Publishes until `count` are accepted, whatever becomes of them.
    pub(crate) fn fill(&mut self, count: u64) -> Result<Sample> {
        self.quota = count;
        let before = self.mark()?;
        while self.published < count || self.unconfirmed() > 0 {
            self.turn()?;
        }
        let mut sample = self.since(&before)?;
        sample.messages = count;
        Ok(sample)
    }

    /// Publishes nothing more, allows all, and waits until each message was delivered, once.
    pub(crate) fn drain(&mut self) -> Result<Sample> {
        let before = self.mark()?;
        self.quota = self.published;
        self.plan.waiting = 0;
        self.allow_deliveries()?;
        let copies = self.plan.copies();
        while self.delivered < self.published * copies || self.unconfirmed() > 0 {
            self.turn()?;
        }
        let sample = self.since(&before)?;
        let (published, expected) = (self.published, sum_to(self.published).wrapping_mul(copies));
        if self.delivered != published * copies || self.sequences != expected {
            let got = self.delivered;
            return Err(
                format!("{published} messages were published, {got} delivered, and not each of them once").into()
            );
        }
        Ok(sample)
    }

    fn mark(&self) -> Result<Mark> {
        Ok(Mark { at: Instant::now(), cpu: self.server.cpu()?, delivered: self.delivered, idle: self.idle })
    }

    fn since(&self, mark: &Mark) -> Result<Sample> {
        let (wall, cpu) = (mark.at.elapsed(), self.server.cpu()? - mark.cpu);
        let idle = (self.idle - mark.idle).as_secs_f64() / wall.as_secs_f64();
        let mut sample = Sample::new(self.delivered - mark.delivered, wall, cpu);
        sample.generator_busy = Some(1.0 - idle);
        Ok(sample)
    }

    /// Messages that have been delivered; to all, where that is what is to become of them.
    fn through(&self) -> u64 {
        match self.plan.fans_out {
            true => self.consumers.iter().map(|consumer| consumer.delivered).min().unwrap_or(0),
            false => self.delivered,
        }
    }

    fn unconfirmed(&self) -> u64 {
        match self.target {
            Target::Relay => 0,
            _ => self.publishers.iter().map(|publisher| publisher.published - publisher.confirmed).sum(),
        }
    }

    /// Publishes what may be published, and handles all that has come.
    fn turn(&mut self) -> Result<()> {
        self.publish()?;
        self.look()?;
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let Token(token) = event.token();
            if event.is_writable() {
                self.socket(token).flush()?;
            }
            match token.checked_sub(self.plan.consumers) {
                _ if !event.is_readable() => {}
                Some(publisher) => self.hear_outcomes(publisher)?,
                None => self.consume(token)?,
            }
        }
        self.events = events;
        self.check_progress()
    }

    fn socket(&mut self, token: usize) -> &mut Socket {
        match token.checked_sub(self.plan.consumers) {
            Some(publisher) => &mut self.publishers[publisher].socket,
            None => &mut self.consumers[token].socket,
        }
    }

    /// Waits for the next look that finds something; not for ever, for the pace may say that it is time.
    fn look(&mut self) -> Result<()> {
        let begin = Instant::now();
        loop {
            while Instant::now() < self.next_look {
                std::hint::spin_loop();
            }
            self.next_look = Instant::now() + LOOK;
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
            if !self.events.is_empty() || begin.elapsed() > Duration::from_millis(1) {
                break;
            }
        }
        self.idle += begin.elapsed();
        Ok(())
    }

    fn check_progress(&mut self) -> Result<()> {
        let sum = self.published + self.delivered + self.publishers.iter().map(|p| p.confirmed).sum::<u64>();
        if self.progress.0 != sum {
            self.progress = (sum, Instant::now());
        } else if self.progress.1.elapsed() > STALL {
            let (published, delivered, unconfirmed) = (self.published, self.delivered, self.unconfirmed());
            let what = format!("{published} published, {unconfirmed} of them not confirmed, {delivered} delivered");
            return Err(format!("nothing moved for {STALL:?}: {what}").into());
        }
        Ok(())
    }
}

struct Mark {
    at: Instant,
    cpu: Duration,
    delivered: u64,
    idle: Duration,
}

/// 1 + 2 + … + n, as far as 64 bits go.
fn sum_to(n: u64) -> u64 {
    (u128::from(n) * (u128::from(n) + 1) / 2) as u64
}
