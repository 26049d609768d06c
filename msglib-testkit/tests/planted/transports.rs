//! Bugs in a transport: what it reports, reads and says of the time.

use msglib_broker::transport::{Close, Readiness, Waker};
use msglib_broker::{ConnectionId, ConnectionManager, Instant};
use std::io::{self, IoSlice};
use std::time::Duration;

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    None,
    LosesRoom,
    LosesNews,
    LosesEnds,
    ReadsTwice,
    WritesLess,
    CutsOff,
    OpensTwice,
    LosesLastWords,
    DrainsForEver,
}

/// Any transport, with a bug.
pub struct Broken<M> {
    bug: Bug,
    inner: M,
    calls: u64,
    has_closed: bool,
}

impl<M: ConnectionManager> Broken<M> {
    pub fn new(inner: M, bug: Bug) -> Broken<M> {
        Broken { bug, inner, calls: 0, has_closed: false }
    }
}

impl<M: ConnectionManager> ConnectionManager for Broken<M> {
    fn now(&self) -> Instant {
        self.inner.now()
    }
    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.poll(ready, timeout)?;
        self.calls += 1;
        let now_and_then = self.calls.is_multiple_of(11);
        match self.bug {
            Bug::LosesRoom => ready.retain(|report| !matches!(report, Readiness::Writable(_))),
            Bug::LosesNews if now_and_then => ready.retain(|report| !matches!(report, Readiness::Readable(_))),
            Bug::OpensTwice if now_and_then => {
                let opened: Vec<Readiness> =
                    ready.iter().filter(|report| matches!(report, Readiness::Opened(..))).cloned().collect();
                ready.extend(opened);
            }
            _ => {}
        }
        Ok(())
    }
    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        let read = self.inner.read(id, buf)?;
        match self.bug {
            Bug::LosesEnds if read == 0 => Err(io::ErrorKind::WouldBlock.into()),
            Bug::ReadsTwice if self.calls.is_multiple_of(11) && 2 * read < buf.len() => {
                buf.copy_within(..read, read);
                Ok(2 * read)
            }
            _ => Ok(read),
        }
    }
    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.calls += 1;
        let now_and_then = self.calls.is_multiple_of(11);
        if self.bug == Bug::CutsOff && now_and_then {
            self.inner.close(id, Close::Abort);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let written = self.inner.write(id, bufs)?;
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        match self.bug == Bug::WritesLess && now_and_then && written < offered {
            true => Ok(written + 1),
            false => Ok(written),
        }
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        let how = if self.bug == Bug::LosesLastWords { Close::Abort } else { how };
        self.has_closed = true;
        self.inner.close(id, how);
    }
    fn draining(&self) -> usize {
        self.inner.draining() + usize::from(self.bug == Bug::DrainsForEver && self.has_closed)
    }
    fn waker(&self) -> Option<Waker> {
        self.inner.waker()
    }
    fn seed(&mut self) -> u128 {
        self.inner.seed()
    }
}
