//! A broker over a recording, step by step.

use super::manager::{ProgramMark, Replay};
use super::{Build, Divergence, Incomplete};
use crate::transcript::TranscriptLog;
use msglib_broker::record::Recording;
use msglib_broker::{Broker, Dialect, Handler, Native, Shutdown, Step};
use std::io;

/// A broker that goes through a [`Recording`] again, step by step: see the [module](super).
///
/// Where the recorded handler panicked, this one does too, in the same place.
pub struct Replayer<H, D: Dialect = Native> {
    broker: Broker<H, Replay, D>,
}

/// How far a replay came with one [`step`](Replayer::step).
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress {
    /// One step of the broker; the last one of a recording may be cut short.
    Stepped(Step),
    /// The program shut its broker down, as this one just was.
    Shutdown(Shutdown),
    /// The program did something else, and said so in its own words ([`RecordLog::note`](msglib_broker::record::RecordLog::note)).
    /// For an exact replay, do the same to [`broker_mut`](Replayer::broker_mut) now.
    Note(String),
    /// The connection manager failed as a whole in the recording.
    Failed(io::Error),
}

impl<H: Handler<D>, D: Dialect> Replayer<H, D> {
    /// The broker of `build`, at the beginning of `recording`.
    ///
    /// # Errors
    ///
    /// When the recording is a ring's that has let go of its beginning.
    pub fn new(recording: &Recording, build: Build<H, D>) -> Result<Replayer<H, D>, Incomplete> {
        let replay = Replay::new(recording)?;
        Ok(Replayer { broker: Broker::with_config(build.handler, replay, build.dialect, build.config) })
    }

    /// Goes on by one step, or by one thing that the recorded program did otherwise; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the broker does otherwise than the recorded one, and in each later call.
    pub fn step(&mut self) -> Result<Option<Progress>, Divergence> {
        let progress = match self.replay().next_mark() {
            Some(ProgramMark::Note(text)) => return Ok(Some(Progress::Note(text))),
            Some(ProgramMark::Shutdown(within)) => self.broker.shutdown(within).map(Progress::Shutdown),
            None if self.replay().is_at_end() => return self.check(None),
            None => self.broker.process_connections().map(Progress::Stepped),
        };
        match progress {
            // What a poll behind the last record says is no failure that was recorded.
            Err(_) if self.replay().is_at_end() => self.check(None),
            Err(error) => self.check(Some(Progress::Failed(error))),
            Ok(progress) => self.check(Some(progress)),
        }
    }

    /// All steps to the end; what the program noted is passed over.
    ///
    /// # Errors
    ///
    /// As [`step`](Replayer::step).
    pub fn run(&mut self) -> Result<(), Divergence> {
        while self.step()?.is_some() {}
        Ok(())
    }

    /// The broker, to look into.
    pub fn broker(&self) -> &Broker<H, Replay, D> {
        &self.broker
    }

    /// The broker, to do to it what the recorded program did.
    pub fn broker_mut(&mut self) -> &mut Broker<H, Replay, D> {
        &mut self.broker
    }

    /// What has passed, in readable lines.
    pub fn transcript(&self) -> &TranscriptLog {
        self.replay().log()
    }

    fn replay(&self) -> &Replay {
        self.broker.connection_manager()
    }

    fn check(&self, progress: Option<Progress>) -> Result<Option<Progress>, Divergence> {
        self.replay().divergence().map_or(Ok(progress), Err)
    }
}
