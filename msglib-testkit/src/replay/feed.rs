//! The inputs of a recording for a broker that may do otherwise than the recorded one.

use core::time::Duration;
use msglib_broker::record::{Position, Record, RecordedError, Recording};
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};

use super::Outputs;

/// Step by step, the reports, the time and the bytes of a recording; what the broker does with them is its own business.
///
/// - Each poll is the next one of the recording, whatever was asked for. The clock shows the recorded time of that step.
/// - What was read in a recorded step can be read from then on, in the same pieces, and is reported until it was.
/// - Every write is taken whole: how much the recorded peers took says nothing about other bytes. So every peer reads at once, and
///   what a slow one does to a broker does not show.
/// - What the recorded peers said is said, though they might have said otherwise to another broker.
/// - Connections that were opened before the first record are not there.
#[derive(Debug)]
pub(super) struct Feed {
    recording: Recording,
    position: Position,
    now: Instant,
    step: u64,
    inboxes: BTreeMap<ConnectionId, VecDeque<Piece>>,
    /// What was told from beside the connections in this step.
    told: Vec<Vec<u8>>,
    outputs: Outputs,
}

/// What one recorded read brought.
#[derive(Debug)]
enum Piece {
    Bytes { bytes: Vec<u8>, taken: usize },
    End,
    Failed(RecordedError),
}

impl Feed {
    pub(super) fn new(recording: &Recording) -> Feed {
        let recording = recording.clone();
        let (position, outputs) = (Position::default(), Outputs::default());
        Feed { recording, position, now: Instant::ZERO, step: 0, inboxes: BTreeMap::new(), told: Vec::new(), outputs }
    }

    pub(super) fn outputs_mut(&mut self) -> &mut Outputs {
        &mut self.outputs
    }

    /// The step, counted from 1, and its time.
    pub(super) fn place(&self) -> (u64, Instant) {
        (self.step, self.now)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.recording.next(&mut self.position.clone()).is_none()
    }

    /// What the recorded program shut down, if that is what it did next.
    pub(super) fn shutdown(&mut self) -> Option<Duration> {
        let mut position = self.position;
        let Some(Record::Shutdown { within }) = self.recording.next(&mut position) else { return None };
        self.position = position;
        Some(within)
    }

    /// Goes on to the next poll, and past all that was read in its step.
    fn next_step(&mut self) -> Vec<Readiness> {
        let Feed { recording, position, inboxes, told, now, .. } = self;
        let (mut reports, mut has_polled, mut has_time) = (Vec::new(), false, false);
        loop {
            let before = *position;
            match recording.next(position) {
                None => break,
                // The next step, or the end of the steps.
                Some(Record::Poll { .. } | Record::Shutdown { .. }) if has_polled => {
                    *position = before;
                    break;
                }
                Some(Record::Poll { result, .. }) => {
                    has_polled = true;
                    reports = result.unwrap_or_default();
                    let opened = reports.iter().filter(|report| matches!(report, Readiness::Opened(..)));
                    inboxes.extend(opened.map(|report| (report.id(), VecDeque::new())));
                }
                // The one behind the poll is the step's.
                Some(Record::Now(at)) if has_polled && !has_time => {
                    has_time = true;
                    *now = at;
                }
                Some(Record::Aside(bytes)) => told.push(bytes.to_vec()),
                Some(Record::Read { id, result, .. }) => {
                    if let (Some(inbox), Some(piece)) = (inboxes.get_mut(&id), Piece::new(result)) {
                        inbox.push_back(piece);
                    }
                }
                Some(_) => {}
            }
        }
        reports.retain(|report| inboxes.contains_key(&report.id()));
        reports
    }
}

impl Piece {
    /// `None` for what says nothing.
    fn new(result: Result<&[u8], RecordedError>) -> Option<Piece> {
        match result {
            Ok([]) => Some(Piece::End),
            Ok(bytes) => Some(Piece::Bytes { bytes: bytes.to_vec(), taken: 0 }),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
            Err(error) => Some(Piece::Failed(error)),
        }
    }
}

impl ConnectionManager for Feed {
    fn now(&self) -> Instant {
        self.now
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, _timeout: Option<Duration>) -> io::Result<()> {
        self.step += 1;
        let reports = self.next_step();
        let is_reported = |id: ConnectionId| reports.contains(&Readiness::Readable(id));
        let waiting = self.inboxes.iter().filter(|(id, inbox)| !inbox.is_empty() && !is_reported(**id));
        let due: Vec<Readiness> = waiting.map(|(id, _)| Readiness::Readable(*id)).collect();
        ready.extend(reports);
        ready.extend(due);
        Ok(())
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let inbox = self.inboxes.get_mut(&id).ok_or(ErrorKind::NotFound)?;
        match inbox.front_mut() {
            None => Err(ErrorKind::WouldBlock.into()),
            Some(Piece::Bytes { bytes, taken }) => {
                let length = buf.len().min(bytes.len() - *taken);
                buf[..length].copy_from_slice(&bytes[*taken..*taken + length]);
                *taken += length;
                if *taken == bytes.len() {
                    inbox.pop_front();
                }
                Ok(length)
            }
            Some(Piece::End) => {
                inbox.clear();
                Ok(0)
            }
            Some(Piece::Failed(error)) => {
                let error = error.to_io();
                inbox.clear();
                Err(error)
            }
        }
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.inboxes.contains_key(&id) {
            return Err(ErrorKind::NotFound.into());
        }
        bufs.iter().for_each(|buf| self.outputs.bytes(self.step, self.now, id, buf));
        Ok(bufs.iter().map(|buf| buf.len()).sum())
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        if self.inboxes.remove(&id).is_some() {
            self.outputs.closed(self.step, self.now, id, how);
        }
    }

    fn waker(&self) -> Option<Waker> {
        None
    }

    /// Answers are known by their number: another build that asks in the same order gets the same.
    fn aside(&mut self, told: &mut Vec<Vec<u8>>) {
        *told = core::mem::take(&mut self.told);
    }

    fn seed(&mut self) -> u128 {
        self.recording.seed()
    }
}
