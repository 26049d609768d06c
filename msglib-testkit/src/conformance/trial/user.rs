//! What the manager's user does in a trial.

use super::{Link, Trial, pattern, uninterrupted};
use crate::conformance::log::Entry;
use crate::conformance::{Fixture, Rule, Skipped};
use core::time::Duration;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager};
use std::io::{ErrorKind, IoSlice};

/// Polls within which a refusal that was for a moment only is over.
const A_FEW: usize = 5;

/// The user's calls.
impl<F: Fixture> Trial<'_, F> {
    /// One `read`, reported or not (T4).
    #[track_caller]
    pub(crate) fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        let manager = self.fixture.manager();
        let outcome = uninterrupted(|| manager.read(id, buf));
        self.log.push(Entry::Read { id, len: buf.len(), outcome });
        self.arrived |= matches!(outcome, Ok(1..));
        if let Ok(count) = outcome
            && count > buf.len()
        {
            self.fail_by(Rule::T4, format_args!("at most {} bytes", buf.len()), format_args!("Ok({count})"));
        }
        if outcome != Ok(buf.len())
            && let Some(known) = self.known.get_mut(&id)
        {
            known.readable = false;
        }
        outcome
    }

    /// One `write`, reported or not (T6).
    #[track_caller]
    pub(crate) fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> Result<usize, ErrorKind> {
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        let manager = self.fixture.manager();
        let outcome = uninterrupted(|| manager.write(id, bufs));
        self.log.push(Entry::Write { id, len: offered, outcome });
        if let Ok(count) = outcome
            && count > offered
        {
            self.fail_by(Rule::T6, format_args!("at most {offered} bytes"), format_args!("Ok({count})"));
        }
        if outcome != Ok(offered)
            && let Some(known) = self.known.get_mut(&id)
        {
            known.writable = false;
        }
        outcome
    }

    pub(crate) fn close(&mut self, id: ConnectionId, how: Close) {
        self.log.push(Entry::Close { id, how });
        self.fixture.manager().close(id, how);
        if let Some(known) = self.known.get_mut(&id) {
            known.closed = true;
        }
    }

    pub(crate) fn stop_accepting(&mut self) -> bool {
        let outcome = self.fixture.manager().stop_accepting();
        self.log.push(Entry::StopAccepting { outcome });
        outcome
    }

    /// Closes with a drain that has `time` to finish.
    #[track_caller]
    pub(crate) fn drain(&mut self, id: ConnectionId, time: Duration) {
        let deadline = self.now() + time;
        self.close(id, Close::Drain { deadline });
    }

    /// Reads what was reported, if anything was, into `into`. `Some` at the end of the stream.
    #[track_caller]
    pub(crate) fn read_reported(&mut self, id: ConnectionId, size: usize, into: &mut Vec<u8>) -> Option<()> {
        let mut buf = vec![0; size];
        while self.is_readable(id) {
            match self.read(id, &mut buf) {
                Ok(0) => return Some(()),
                Ok(count) => into.extend_from_slice(&buf[..count]),
                Err(ErrorKind::WouldBlock) => {}
                Err(kind) => self.fail(format_args!("{id} to be read from"), format_args!("{kind:?}")),
            }
        }
        None
    }

    /// Receives `expected` and compares.
    #[track_caller]
    pub(crate) fn receive(&mut self, id: ConnectionId, expected: &[u8]) {
        let mut received = Vec::new();
        self.until(&format!("{} bytes of {id}, read when they are reported", expected.len()), |trial| {
            match trial.read_reported(id, 4096, &mut received) {
                Some(()) if received.len() < expected.len() => trial.fail(
                    format_args!("{} bytes of {id}", expected.len()),
                    format_args!("the end after {}", received.len()),
                ),
                _ => (received.len() >= expected.len()).then_some(()),
            }
        });
        self.compare(&received, expected, &format!("on {id}"));
    }

    /// Receives `expected`, then the end, reading `size` bytes at a time and only what was reported.
    #[track_caller]
    pub(crate) fn receive_to_end(&mut self, id: ConnectionId, size: usize, expected: &[u8]) {
        let mut received = Vec::new();
        self.until(&format!("{} bytes of {id}, then its end", expected.len()), |trial| {
            trial.read_reported(id, size, &mut received)
        });
        self.compare(&received, expected, &format!("on {id}"));
    }

    /// Sends all of `bytes`, waiting for `Writable` where there is no room, while the peer reads. Returns what the
    /// peer has read so far.
    #[track_caller]
    pub(crate) fn send(&mut self, link: Link, bytes: &[u8]) -> Vec<u8> {
        let mut sent = 0;
        let mut received = Vec::new();
        self.until(&format!("{} bytes to {}, written when it is writable", bytes.len(), link.id), |trial| {
            trial.write_reported(link.id, bytes, &mut sent);
            trial.peer_read_available(link.peer, &mut received);
            (sent == bytes.len()).then_some(())
        });
        received
    }

    /// Writes on from `bytes[*sent]`, for as long as there is room.
    #[track_caller]
    pub(crate) fn write_reported(&mut self, id: ConnectionId, bytes: &[u8], sent: &mut usize) {
        while *sent < bytes.len() && self.is_writable(id) {
            match self.write(id, &[IoSlice::new(&bytes[*sent..])]) {
                Ok(count) => *sent += count,
                Err(ErrorKind::WouldBlock) => {}
                Err(kind) => self.fail(format_args!("{id} to be written to"), format_args!("{kind:?}")),
            }
        }
    }

    /// Writes until `WouldBlock`, and returns what was taken. The peer reads nothing meanwhile.
    ///
    /// # Errors
    ///
    /// When the transport takes without end.
    #[track_caller]
    pub(crate) fn fill(&mut self, id: ConnectionId) -> Result<Vec<u8>, Skipped> {
        self.fill_while(id, |_| true)
    }

    /// The same, but stops at the first write that takes only a part.
    ///
    /// # Errors
    ///
    /// When the transport takes without end.
    #[track_caller]
    pub(crate) fn fill_to_a_part(&mut self, id: ConnectionId) -> Result<Vec<u8>, Skipped> {
        self.fill_while(id, |trial| trial.is_writable(id))
    }

    #[track_caller]
    fn fill_while(&mut self, id: ConnectionId, go_on: impl Fn(&Self) -> bool) -> Result<Vec<u8>, Skipped> {
        const ENOUGH: usize = 64 << 20;
        let block = pattern(u64::from(id.generation()) << 32 | id.index() as u64, 1 << 20);
        let (mut accepted, mut refusals) = (Vec::new(), 0);
        while accepted.len() < ENOUGH {
            match self.write(id, &[IoSlice::new(&block)]) {
                Ok(count @ 1..) => {
                    accepted.extend_from_slice(&block[..count]);
                    refusals = 0;
                }
                // That may have been for a moment only; but a report of room may be spurious (T3), each time.
                Ok(0) | Err(ErrorKind::WouldBlock) if refusals < A_FEW && self.becomes_writable(id) => refusals += 1,
                Ok(0) | Err(ErrorKind::WouldBlock) => return Ok(accepted),
                Err(kind) => self.fail(format_args!("{id} to be written to"), format_args!("{kind:?}")),
            }
            if !go_on(self) {
                return Ok(accepted);
            }
        }
        Err(Skipped::new(format!("the transport has taken {ENOUGH} bytes that nobody reads, and takes more")))
    }

    /// Whether there is room again within a few polls, with a peer that reads nothing.
    #[track_caller]
    fn becomes_writable(&mut self, id: ConnectionId) -> bool {
        (0..A_FEW).any(|_| {
            self.round();
            self.is_writable(id)
        })
    }

    /// The first write to a new connection, in which there is room; says how much was taken.
    #[track_caller]
    pub(crate) fn write_into_room(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> usize {
        self.until("room in a new connection", |trial| match trial.write(id, bufs) {
            Ok(count @ 1..) => Some(count),
            Ok(0) | Err(ErrorKind::WouldBlock) => None,
            Err(kind) => trial.fail("room in a new connection", format_args!("{kind:?}")),
        })
    }

    #[track_caller]
    pub(crate) fn compare(&self, received: &[u8], expected: &[u8], place: &str) {
        if received == expected {
            return;
        }
        let at = received.iter().zip(expected).take_while(|(a, b)| a == b).count();
        self.fail_by(
            Rule::T7,
            format_args!("the {} bytes that were sent {place}", expected.len()),
            format_args!("{} bytes, and a difference at byte {at}", received.len()),
        );
    }
}
