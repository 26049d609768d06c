//! One connection of a [`Transform`](super::Transform): plaintext on one side, records on the other.

use super::record::{Direction, Opener, RECORD_HEADER, Sealer};
use msglib_proto::transport::{ConnectionId, ConnectionManager};
use std::io::{self, ErrorKind, IoSlice};

/// The most bytes of sealed records that wait for one connection.
pub(super) const BUFFER: usize = 32 * 1024;

pub(super) struct Connection {
    opener: Opener,
    sealer: Sealer,
    /// What comes behind the plaintext, once it is known.
    end: Option<End>,
    /// `read` has returned the end, which sticks (T4).
    end_told: bool,
    /// `write` has refused something, so a `Writable` is owed (T13).
    refused: bool,
    /// Why what was accepted could not be sent.
    broken: Option<io::Error>,
}

enum End {
    Clean,
    Error(io::Error),
}

impl Connection {
    pub(super) fn new(key: u64) -> Connection {
        Connection {
            opener: Opener::new(key, Direction::ToBroker),
            sealer: Sealer::new(key, Direction::ToClient),
            end: None,
            end_told: false,
            refused: false,
            broken: None,
        }
    }

    /// Fills `buf` from what is open already, then from below, by way of `scratch`.
    ///
    /// # Errors
    ///
    /// As [`ConnectionManager::read`].
    pub(super) fn read(
        &mut self,
        inner: &mut impl ConnectionManager,
        id: ConnectionId,
        buf: &mut [u8],
        scratch: &mut [u8],
    ) -> io::Result<usize> {
        let mut count = self.opener.take(buf);
        // A connection that is broken below may be gone there, and has nothing more to give.
        let mut exhausted = self.broken.is_some();
        // Each turn brings plaintext or comes nearer to the end of a record, so `buf` bounds the turns; an interrupted
        // one is tried again.
        while count < buf.len() && self.end.is_none() && !exhausted {
            match inner.read(id, scratch) {
                Ok(0) => self.end = Some(self.opener.finish().map_or_else(End::Error, |()| End::Clean)),
                Ok(arrived) => {
                    self.end = self.opener.push(&scratch[..arrived]).err().map(End::Error);
                    // Below a full buffer new data brings a new report (T5).
                    exhausted = arrived < scratch.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => exhausted = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.end = Some(End::Error(error)),
            }
            count += self.opener.take(&mut buf[count..]);
        }
        if count > 0 || buf.is_empty() { Ok(count) } else { self.nothing_to_read() }
    }

    /// What `read` says when there is no plaintext.
    fn nothing_to_read(&mut self) -> io::Result<usize> {
        match self.end.take_if(|end| matches!(end, End::Error(_))) {
            Some(End::Error(error)) => Err(error),
            _ if self.end.is_some() => {
                self.end_told = true;
                Ok(0)
            }
            _ => Err(self.broken.take().unwrap_or(ErrorKind::WouldBlock.into())),
        }
    }

    /// Whether a `read` would have something to say that no report from below will tell of (T5).
    pub(super) fn owes_report(&self) -> bool {
        self.opener.has_plain() || self.owes_end()
    }

    /// Whether an end, or an error, is known that was not returned yet.
    pub(super) fn owes_end(&self) -> bool {
        (self.end.is_some() || self.broken.is_some()) && !self.end_told
    }

    /// Seals what there is room for and sends what goes through, by way of `scratch`.
    ///
    /// # Errors
    ///
    /// As [`ConnectionManager::write`].
    pub(super) fn write(
        &mut self,
        inner: &mut impl ConnectionManager,
        id: ConnectionId,
        bufs: &[IoSlice<'_>],
        scratch: &mut [u8],
    ) -> io::Result<usize> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        let mut count = 0;
        let mut blocked = false;
        while count < offered {
            let gathered = gather(bufs, count, scratch);
            let sealed = self.sealer.seal(&scratch[..gathered], BUFFER);
            count += sealed;
            match blocked {
                // Below it is full; here there is room up to the limit.
                true if sealed == 0 => break,
                true => {}
                false => match self.send(inner, id) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => blocked = true,
                    other => other?,
                },
            }
        }
        self.refused |= count < offered;
        if count == 0 && offered > 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    /// There is room below: sends on. Whether that is worth a `Writable`.
    pub(super) fn send_on(&mut self, inner: &mut impl ConnectionManager, id: ConnectionId) -> bool {
        match self.send(inner, id) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                self.sealer.clear();
                self.broken = Some(error);
            }
        }
        let worth = self.refused && self.sealer.pending() + RECORD_HEADER < BUFFER;
        self.refused &= !worth;
        worth
    }

    fn send(&mut self, inner: &mut impl ConnectionManager, id: ConnectionId) -> io::Result<()> {
        send(&mut self.sealer, inner, id)
    }

    /// What is still to be sent when the connection is closed; `None` when that is nothing.
    pub(super) fn into_unsent(self) -> Option<Sealer> {
        (self.sealer.pending() > 0).then_some(self.sealer)
    }
}

/// Sends what waits in `sealer`.
///
/// # Errors
///
/// `WouldBlock` when there is no room below for all of it; a `Writable` is owed then (T13).
pub(super) fn send(sealer: &mut Sealer, inner: &mut impl ConnectionManager, id: ConnectionId) -> io::Result<()> {
    sealer.flush(|bytes| match inner.write(id, &[IoSlice::new(bytes)]) {
        // The shortest of all prefixes (T6).
        Ok(0) => Err(ErrorKind::WouldBlock.into()),
        other => other,
    })
}

/// Copies bytes of `bufs`, from byte `skip` on, to `into`, so that small ones share a record; says how many.
fn gather(bufs: &[IoSlice<'_>], mut skip: usize, into: &mut [u8]) -> usize {
    let mut count = 0;
    for buf in bufs {
        let rest = &buf[skip.min(buf.len())..];
        skip -= buf.len() - rest.len();
        let fits = rest.len().min(into.len() - count);
        into[count..count + fits].copy_from_slice(&rest[..fits]);
        count += fits;
    }
    count
}
