//! The broker of a world: its steps, its ends, and what its host program does.

use super::{ENDPOINT, World};
use crate::faults::Faulty;
use crate::simulate::checker::{Ended, Seen, Violation};
use crate::simulate::featured::HostAct;
use crate::simulate::guest::{Guest, Planned, Room};
use crate::simulate::trace::What;
use crate::{Transcript, TranscriptLog};
use msglib_broker::{Broker, ChannelName, Counters, Handler, Native, QueueConfig};
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::transport::ConnectionManager;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

impl<H: Handler + 'static> World<'_, H> {
    /// Everybody writes, the broker makes a step, everybody reads. True if anything moved.
    pub(in crate::simulate) fn tick(&mut self) -> Result<bool, Violation> {
        let wrote = self.write_all();
        let stepped = self.step()?;
        let read = self.read_all()?;
        Ok(wrote || stepped || read)
    }

    fn step(&mut self) -> Result<bool, Violation> {
        let faults = self.trace.is_some().then(fault_log);
        let Some(broker) = &mut self.broker else { return Ok(false) };
        self.counters_before = *broker.counters();
        if let Some(log) = &faults {
            broker.connection_manager_mut().tell(log.clone());
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| broker.process_connections()));
        for fault in faults.iter().flat_map(TranscriptLog::lines) {
            // Without the time, which the moment has.
            let words = fault.trim_start().split_once("  ").map_or(fault.as_str(), |(_, words)| words).to_owned();
            self.note(|| What::Fault(words));
        }
        let step = match outcome {
            Ok(Ok(step)) => step,
            Ok(Err(error)) => return Err(contained(format!("process_connections failed: {error}"))),
            Err(panic) if panic.is::<Planned>() => {
                let is_fresh = self.panic_is_fresh || is_in_hook(panic.as_ref());
                self.process_faults += 1;
                self.note(|| What::Note("the handler panics".to_owned()));
                self.look_at_told()?;
                return self.replace_broker(false, is_fresh).map(|()| true);
            }
            Err(panic) => return Err(contained(format!("the broker panicked: {}", words_of(panic.as_ref())))),
        };
        if let Some(broker) = &self.broker {
            self.facts.now = broker.connection_manager().now();
        }
        self.hash.word(u64::from(step.changed) << 1 | u64::from(step.has_more));
        self.look_at_told()?;
        if step.changed {
            self.look_after_step()?;
        }
        Ok(!step.is_idle())
    }

    /// What the handler was told in this step.
    fn look_at_told(&mut self) -> Result<(), Violation> {
        let mut told = core::mem::take(&mut self.room.borrow_mut().told);
        let result = told.drain(..).try_for_each(|told| self.seen(&Seen::Told(told)));
        self.room.borrow_mut().told = told;
        result?;
        for note in self.setup.diary.take() {
            self.seen(&Seen::Noted(note))?;
            self.facts.own.noted(note);
        }
        Ok(())
    }

    /// The broker ends, and another one begins.
    pub(in crate::simulate) fn replace_broker(&mut self, orderly: bool, mut fresh: bool) -> Result<(), Violation> {
        self.is_replacing = true;
        if orderly && let Some(broker) = &mut self.broker {
            match catch_unwind(AssertUnwindSafe(|| broker.shutdown(Duration::from_secs(1)))) {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(contained(format!("shutdown failed: {error}"))),
                Err(panic) if panic.is::<Planned>() => fresh |= is_in_hook(panic.as_ref()),
                Err(panic) => return Err(contained(format!("the broker panicked: {}", words_of(panic.as_ref())))),
            }
            // It may have waited, and its time went on.
            self.facts.now = self.broker.as_ref().map_or(self.facts.now, |broker| broker.connection_manager().now());
            self.look_at_told()?;
        }
        if let Some(broker) = self.broker.take() {
            self.faults += &broker.connection_manager().tally();
        }
        // What was said before the end can still be read; then everybody finds out.
        self.facts.is_ending = true;
        self.read_all()?;
        for client in 0..self.clients.len() {
            if let Some(gone) = self.clients[client].take() {
                self.ended(gone.connection, Ended::WithBroker)?;
            }
        }
        for ghost in core::mem::take(&mut self.ghosts) {
            self.ended(ghost.connection, Ended::WithBroker)?;
        }
        if fresh {
            // What the old one was told in the end.
            self.setup.diary.take();
            let handler = (self.parts.make)(&self.setup);
            self.room = Room::new(handler);
            self.facts.begins_anew();
        }
        self.room.borrow_mut().fuse = None;
        self.room.borrow_mut().told.clear();
        self.is_replacing = false;
        self.facts.is_ending = false;
        self.start_broker();
        self.facts.jobs.restarts();
        if fresh && self.setup.featured > 0 {
            self.declare_jobs();
        }
        self.note(|| {
            What::Note(format!("another broker begins, with {} handler", if fresh { "a new" } else { "the same" }))
        });
        self.seen(&Seen::Restarted { fresh })
    }

    pub(in crate::simulate) fn plan_panic(&mut self, after: u64, fresh: bool) {
        self.room.borrow_mut().fuse = Some(after);
        self.panic_is_fresh = fresh;
    }

    pub(in crate::simulate) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        if let Some(broker) = &self.broker {
            self.facts.now = broker.connection_manager().now();
        }
    }

    pub(in crate::simulate) fn has_host(&self) -> bool {
        self.parts.host.is_some()
    }

    /// The host program does something with a queue.
    pub(in crate::simulate) fn operate(
        &mut self,
        name: ChannelName<'static>,
        act: HostAct,
        config: &QueueConfig,
    ) -> bool {
        let (Some(host), Some(broker)) = (self.parts.host, &mut self.broker) else { return false };
        broker.act(|guest, cx| host(&mut guest.room.borrow_mut().handler, cx, name, act, config))
    }

    pub(super) fn start_broker(&mut self) {
        let manager = InMemoryConnectionManager::new(&self.transport, ENDPOINT);
        let manager = manager.expect("the one before is gone, so its name is free");
        let mut boxed: Box<dyn ConnectionManager> = Box::new(manager);
        if let Some(decorate) = &self.parts.decorate {
            boxed = decorate(boxed);
        }
        let mut manager = Faulty::new(boxed, self.setup.faults.clone());
        if self.facts.is_healed {
            manager.heal();
        }
        let guest = Guest { room: Rc::clone(&self.room) };
        let dialect = Native::new(self.setup.limits);
        self.counters_before = Counters::default();
        self.facts.now = manager.now();
        self.broker = Some(Broker::with_config(guest, manager, dialect, self.setup.broker.clone()));
    }
}

/// Somewhere for the faults to be noted, apart from what passes.
fn fault_log() -> TranscriptLog {
    let nowhere = InMemoryConnectionManager::new(&Transport::new(), "nowhere");
    Transcript::keeping(nowhere.expect("a transport of its own"), 1_000).log()
}

fn contained(words: String) -> Violation {
    Violation { checker: "I37 nothing but a planned panic ends a broker", words: words.into() }
}

/// Whether the handler cannot go on in another broker.
fn is_in_hook(panic: &(dyn std::any::Any + Send)) -> bool {
    matches!(panic.downcast_ref(), Some(Planned::InHook))
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}
