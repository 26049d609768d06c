//! A connection manager that says what was recorded, as long as it is asked what was recorded.

use super::{Divergence, Incomplete};
use crate::transcript::TranscriptLog;
use core::fmt;
use core::time::Duration;
use msglib_broker::record::{Position, Record, Recording};
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

/// Plays a [`Recording`] back to a broker, and checks each call of the broker against it. [`Replayer`](super::Replayer) drives it.
///
/// After the last record, and after the first call that differs, a poll fails and nothing is read or written.
#[derive(Debug)]
pub struct Replay {
    recording: Recording,
    log: TranscriptLog,
    position: Cell<Position>,
    now: Cell<Instant>,
    steps: Cell<u64>,
    /// What the program did during the step, or before it.
    marks: RefCell<VecDeque<ProgramMark>>,
    divergence: RefCell<Option<Divergence>>,
    seed: Option<u128>,
}

/// A record of the program's own.
#[derive(Clone, Debug)]
pub(super) enum ProgramMark {
    Shutdown(Duration),
    Note(String),
}

impl Replay {
    /// Plays `recording` back.
    ///
    /// # Errors
    ///
    /// When it is a ring's that has let go of its beginning.
    pub fn new(recording: &Recording) -> Result<Replay, Incomplete> {
        let dropped = recording.dropped();
        if dropped.records > 0 {
            return Err(Incomplete { dropped });
        }
        Ok(Replay {
            recording: recording.clone(),
            log: TranscriptLog::keeping(1_000),
            position: Cell::default(),
            now: Cell::default(),
            steps: Cell::default(),
            marks: RefCell::default(),
            divergence: RefCell::default(),
            seed: Some(recording.seed()),
        })
    }

    /// What passes, in readable lines: the last thousand, unless they are taken out in time.
    pub fn log(&self) -> &TranscriptLog {
        &self.log
    }

    /// The first call that was not the recorded one.
    pub fn divergence(&self) -> Option<Divergence> {
        self.divergence.borrow().clone()
    }

    /// How many records are behind.
    pub fn record(&self) -> u64 {
        self.position.get().record()
    }

    /// How many steps were begun.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// Whether no record is left.
    pub fn is_at_end(&self) -> bool {
        self.recording.next(&mut self.position.get()).is_none()
    }

    /// The next thing that the program did before its broker's next call.
    pub(super) fn next_mark(&self) -> Option<ProgramMark> {
        let mut position = self.position.get();
        if let Some(mark) = self.recording.next(&mut position).as_ref().and_then(mark) {
            self.position.set(position);
            self.marks.borrow_mut().push_back(mark);
        }
        self.marks.borrow_mut().pop_front()
    }

    /// The record of the next call; what the program put before it is put aside.
    fn next(&self) -> Option<Record<'_>> {
        if self.divergence.borrow().is_some() {
            return None;
        }
        loop {
            let mut position = self.position.get();
            let record = self.recording.next(&mut position)?;
            self.position.set(position);
            match mark(&record) {
                Some(mark) => self.marks.borrow_mut().push_back(mark),
                None => return Some(record),
            }
        }
    }

    /// The broker did otherwise than `recorded`. Nothing was recorded: then this is the end, and no difference.
    fn differs(&self, recorded: Option<Record<'_>>, found: fmt::Arguments<'_>) {
        let Some(recorded) = recorded else { return };
        *self.divergence.borrow_mut() = Some(Divergence {
            step: self.steps.get(),
            record: self.record() - 1,
            at: self.now.get(),
            recorded: recorded.to_string(),
            found: found.to_string(),
        });
    }
}

fn mark(record: &Record<'_>) -> Option<ProgramMark> {
    match record {
        Record::Note(text) => Some(ProgramMark::Note((*text).to_owned())),
        Record::Shutdown { within } => Some(ProgramMark::Shutdown(*within)),
        _ => None,
    }
}

impl ConnectionManager for Replay {
    fn now(&self) -> Instant {
        match self.next() {
            Some(Record::Now(at)) => self.now.set(at),
            other => self.differs(other, format_args!("asks for the time")),
        }
        self.now.get()
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        self.steps.set(self.steps.get() + 1);
        match self.next() {
            Some(Record::Poll { timeout: recorded, result }) if recorded == timeout => {
                let reports = result.map_err(|error| error.to_io())?;
                for report in &reports {
                    if let Readiness::Opened(id, peer) = report {
                        self.log.opened(self.now.get(), *id, peer);
                    }
                }
                ready.extend(reports);
                Ok(())
            }
            other => {
                self.differs(other, format_args!("polls for {timeout:?} at most"));
                Err(io::Error::other("the recording does not go on from here"))
            }
        }
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let now = self.now.get();
        match self.next() {
            Some(Record::Read { id: recorded, room, result }) if (recorded, room) == (id, buf.len()) => {
                let bytes = result
                    .map_err(|error| error.to_io())
                    .inspect_err(|error| self.log.failed(now, id, false, error))?;
                let taken = bytes.len().min(buf.len());
                buf[..taken].copy_from_slice(&bytes[..taken]);
                self.log.received(now, id, &buf[..taken]);
                Ok(taken)
            }
            other => {
                self.differs(other, format_args!("read {} bytes from {id}", buf.len()));
                Err(ErrorKind::WouldBlock.into())
            }
        }
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        let now = self.now.get();
        match self.next() {
            Some(Record::Write { id: recorded, offered: length, result }) if (recorded, length) == (id, offered) => {
                let taken =
                    result.map_err(|error| error.to_io()).inspect_err(|error| self.log.failed(now, id, true, error))?;
                self.log.sent(now, id, bufs, taken);
                Ok(taken)
            }
            other => {
                self.differs(other, format_args!("write {offered} bytes to {id}"));
                Err(ErrorKind::WouldBlock.into())
            }
        }
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        match self.next() {
            Some(record) if record == Record::Close { id, how } => self.log.closed(self.now.get(), id, how),
            other => self.differs(other, format_args!("{}", Record::Close { id, how })),
        }
    }

    fn draining(&self) -> usize {
        match self.next() {
            Some(Record::Draining(count)) => count,
            other => {
                self.differs(other, format_args!("asks how many connections drain, as it does in a shutdown"));
                0
            }
        }
    }

    fn stop_accepting(&mut self) -> bool {
        match self.next() {
            Some(Record::StopAccepting(has_stopped)) => has_stopped,
            other => {
                self.differs(other, format_args!("takes no new connections any more, as it does when it goes away"));
                false
            }
        }
    }

    fn waker(&self) -> Option<Waker> {
        match self.next() {
            Some(Record::Waker(is_some)) => is_some.then(|| Waker::new(|| {})),
            other => {
                self.differs(other, format_args!("asks for a waker, as it does at its start and in a shutdown"));
                None
            }
        }
    }

    /// What is told now was told then, or is none of this run's business.
    fn aside(&mut self, told: &mut Vec<Vec<u8>>) {
        told.clear();
        if self.divergence.borrow().is_some() {
            return;
        }
        let mut position = self.position.get();
        while let Some(Record::Aside(bytes)) = self.recording.next(&mut position) {
            told.push(bytes.to_vec());
            self.position.set(position);
        }
    }

    fn seed(&mut self) -> u128 {
        if let Some(seed) = self.seed.take() {
            return seed;
        }
        match self.next() {
            Some(Record::Seed(seed)) => seed,
            other => {
                self.differs(other, format_args!("asks for another seed"));
                0
            }
        }
    }
}
