//! The faults, each a way to break a rule that somebody has fallen for or well could.

use super::broken::{Fault, Memory, Ready, World};
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{Address, Close, ConnectionId, ConnectionManager, Peer, Readiness, Waker};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
pub(crate) struct Honest;
impl Fault for Honest {}

/// Faults of `poll` that need nothing but the reports of the honest one.
macro_rules! twist_reports {
    ($($fault:ident($($state:ty)?): |$this:ident, $world:ident, $reports:ident| $twist:expr;)+) => {
        $(
            #[derive(Default)]
            pub(crate) struct $fault($($state)?);
            impl Fault for $fault {
                fn poll(&mut self, $world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
                    let mut $reports = Vec::new();
                    $world.honest.poll(&mut $reports, None)?;
                    let $this = self;
                    ready.extend::<Ready>($twist);
                    Ok(())
                }
            }
        )+
    };
}

twist_reports! {
    ReadableFirst(): |_this, _world, reports| {
        reports.sort_by_key(|report| matches!(report, Readiness::Opened(..)));
        reports
    };
    OpenedAgain(): |_this, _world, reports| {
        let again = |id: &ConnectionId| Readiness::Opened(*id, Peer::new(Address::Memory(0)));
        reports.iter().map(|report| match report {
            Readiness::Readable(id) => again(id),
            other => other.clone(),
        }).chain(reports.clone()).collect()
    };
    ForgetsTheGone(BTreeSet<ConnectionId>): |this, world, reports| {
        for report in &reports {
            if let Readiness::Opened(id, _) = report && world.honest.write(*id, &[]).is_err() {
                this.0.insert(*id);
            }
        }
        reports.retain(|report| !this.0.contains(&report.id()));
        reports
    };
    DropsReports(usize): |this, _world, reports| {
        reports.retain(|report| {
            this.0 += usize::from(matches!(report, Readiness::Readable(_)));
            !this.0.is_multiple_of(7) || matches!(report, Readiness::Opened(..))
        });
        reports
    };
    LosesEarlyReports(): |_this, _world, reports| {
        let opens = reports.iter().any(|report| matches!(report, Readiness::Opened(..)));
        reports.retain(|report| !opens || matches!(report, Readiness::Opened(..)));
        reports
    };
    OneWakeUp(BTreeSet<ConnectionId>): |this, _world, reports| {
        reports.retain(|report| !matches!(report, Readiness::Readable(id) if !this.0.insert(*id)));
        reports
    };
    NoWritable(): |_this, _world, reports| {
        reports.retain(|report| !matches!(report, Readiness::Writable(_)));
        reports
    };
}

#[derive(Default)]
pub(crate) struct ClearsReady;
impl Fault for ClearsReady {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        ready.clear();
        world.honest.poll(ready, None)
    }
}

/// Ids in the form of the honest manager, with the generation cut off.
#[derive(Default)]
pub(crate) struct ReusesIds(BTreeMap<ConnectionId, ConnectionId>);
impl ReusesIds {
    fn real(&self, id: ConnectionId) -> ConnectionId {
        self.0.get(&id).copied().unwrap_or(id)
    }
}
impl Fault for ReusesIds {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        let mut reports = Vec::new();
        world.honest.poll(&mut reports, None)?;
        for report in reports {
            let id = ConnectionId::new(report.id().index() as u32, 0);
            self.0.insert(id, report.id());
            ready.push(match report {
                Readiness::Opened(_, peer) => Readiness::Opened(id, peer),
                Readiness::Readable(_) => Readiness::Readable(id),
                Readiness::Writable(_) => Readiness::Writable(id),
            });
        }
        Ok(())
    }
    fn read(&mut self, honest: &mut Memory, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        honest.read(self.real(id), buf)
    }
    fn write(&mut self, honest: &mut Memory, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        honest.write(self.real(id), bufs)
    }
    fn close(&mut self, honest: &mut Memory, id: ConnectionId, how: Close) {
        honest.close(self.real(id), how);
    }
}

/// Reads ahead, and reports only what is new: data, and an end that came alone. An end that came with data is never
/// told of again.
#[derive(Default)]
pub(crate) struct ForgetsEnds(BTreeMap<ConnectionId, Ahead>);
#[derive(Default)]
pub(crate) struct Ahead {
    bytes: Vec<u8>,
    ended: bool,
}
impl Ahead {
    /// Whether there was anything new, and whether that was only an end.
    fn read_on(&mut self, honest: &mut Memory, id: ConnectionId) -> (bool, bool) {
        let (had, had_end) = (self.bytes.len(), self.ended);
        let mut buf = [0; 4096];
        while !self.ended {
            match honest.read(id, &mut buf) {
                Ok(0) => self.ended = true,
                Ok(count) => self.bytes.extend_from_slice(&buf[..count]),
                Err(_) => break,
            }
        }
        let (data, end) = (self.bytes.len() > had, self.ended && !had_end);
        (data || end, end && !data)
    }
    fn take(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && !self.ended {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = buf.len().min(self.bytes.len());
        buf[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes.drain(..count);
        Ok(count)
    }
}
impl Fault for ForgetsEnds {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        let mut reports = Vec::new();
        world.honest.poll(&mut reports, None)?;
        reports.retain(|report| match report {
            Readiness::Readable(id) => self.0.entry(*id).or_default().read_on(&mut world.honest, *id).0,
            _ => true,
        });
        ready.append(&mut reports);
        Ok(())
    }
    fn read(&mut self, _: &mut Memory, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.0.entry(id).or_default().take(buf)
    }
}

#[derive(Default)]
pub(crate) struct HidesLoneEnds(ForgetsEnds);
impl Fault for HidesLoneEnds {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        let mut reports = Vec::new();
        world.honest.poll(&mut reports, None)?;
        reports.retain(|report| match report {
            Readiness::Readable(id) => !self.0.0.entry(*id).or_default().read_on(&mut world.honest, *id).1,
            _ => true,
        });
        ready.append(&mut reports);
        Ok(())
    }
    fn read(&mut self, honest: &mut Memory, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(honest, id, buf)
    }
}

/// As edge-triggered readiness is without care: after a report nothing more until `WouldBlock`.
#[derive(Default)]
pub(crate) struct EdgesOnly(BTreeSet<ConnectionId>);
impl Fault for EdgesOnly {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        world.honest.poll(ready, None)?;
        ready.retain(|report| match report {
            Readiness::Readable(id) if id.index() != u32::MAX as usize => self.0.insert(*id),
            _ => true,
        });
        Ok(())
    }
    fn read(&mut self, honest: &mut Memory, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let outcome = honest.read(id, buf);
        if matches!(&outcome, Err(error) if error.kind() == ErrorKind::WouldBlock) {
            self.0.remove(&id);
        }
        outcome
    }
}

/// Faults of `read`.
macro_rules! twist_reads {
    ($($fault:ident($($state:ty)?): |$this:ident, $honest:ident, $id:ident, $buf:ident| $twist:expr;)+) => {
        $(
            #[derive(Default)]
            pub(crate) struct $fault($($state)?);
            impl Fault for $fault {
                fn read(&mut self, $honest: &mut Memory, $id: ConnectionId, $buf: &mut [u8]) -> io::Result<usize> {
                    let $this = self;
                    $twist
                }
            }
        )+
    };
}

twist_reads! {
    ReadsTooMuch(): |_this, honest, id, buf| honest.read(id, buf).map(|_| buf.len() + 1);
    ZeroForNothing(): |_this, honest, id, buf| match honest.read(id, buf) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    };
    EndOnce(BTreeSet<ConnectionId>): |this, honest, id, buf| match honest.read(id, buf) {
        Ok(0) if !this.0.insert(id) => Err(ErrorKind::WouldBlock.into()),
        other => other,
    };
    EmptyReadTakes(): |_this, honest, id, buf| match buf.len() {
        0 => honest.read(id, &mut [0]).map(|_| 0).or(Ok(0)),
        _ => honest.read(id, buf),
    };
    SwapsBytes(): |_this, honest, id, buf| {
        let count = honest.read(id, buf)?;
        if count > 1 {
            buf.swap(count - 2, count - 1);
        }
        Ok(count)
    };
    MixesConnections(BTreeSet<ConnectionId>): |this, honest, id, buf| {
        this.0.insert(id);
        this.0.iter().rev().find_map(|other| honest.read(*other, buf).ok()).ok_or(ErrorKind::WouldBlock.into())
    };
    EndEndsBoth(): |_this, honest, id, buf| {
        let count = honest.read(id, buf)?;
        if count == 0 {
            honest.close(id, Close::Abort);
        }
        Ok(count)
    };
    Heals(BTreeSet<ConnectionId>): |this, honest, id, buf| match honest.read(id, buf) {
        Err(error) if error.kind() != ErrorKind::WouldBlock && !this.0.insert(id) => {
            Err(ErrorKind::WouldBlock.into())
        }
        other => other,
    };
    WrongError(): |_this, honest, id, buf| match honest.read(id, buf) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ErrorKind::WouldBlock.into()),
        other => other,
    };
}

/// Faults of `write`.
macro_rules! twist_writes {
    ($($fault:ident: |$honest:ident, $id:ident, $bufs:ident| $twist:expr;)+) => {
        $(
            #[derive(Default)]
            pub(crate) struct $fault;
            impl Fault for $fault {
                fn write(
                    &mut self,
                    $honest: &mut Memory,
                    $id: ConnectionId,
                    $bufs: &[IoSlice<'_>],
                ) -> io::Result<usize> {
                    $twist
                }
            }
        )+
    };
}

fn offered(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
}

twist_writes! {
    ClaimsAll: |honest, id, bufs| {
        honest.write(id, bufs).map(|count| if count > 0 { offered(bufs) } else { count })
    };
    CountsTwice: |honest, id, bufs| honest.write(id, bufs).map(|_| offered(bufs) + 1);
    LastBufferFirst: |honest, id, bufs| {
        let mut wrong = bufs.to_vec();
        wrong.reverse();
        honest.write(id, &wrong)
    };
    EmptyWriteFails: |honest, id, bufs| match offered(bufs) {
        0 => Err(ErrorKind::InvalidInput.into()),
        _ => honest.write(id, bufs),
    };
    DoublesBytes: |honest, id, bufs| {
        let count = honest.write(id, bufs)?;
        if let Some(first) = bufs.iter().find(|buf| !buf.is_empty()) {
            let _ = honest.write(id, &[IoSlice::new(&first[..1])]);
        }
        Ok(count)
    };
    ChangesBytes: |honest, id, bufs| {
        let mut wrong: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).collect();
        if let Some(last) = wrong.last_mut() {
            *last ^= 1;
        }
        honest.write(id, &[IoSlice::new(&wrong)])
    };
    WritesIntoTheVoid: |honest, id, bufs| match honest.write(id, bufs) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Ok(offered(bufs)),
        other => other,
    };
}

/// Faults of `close`.
macro_rules! twist_closes {
    ($($fault:ident($($state:ty)?): |$this:ident, $honest:ident, $id:ident, $how:ident| $twist:expr;)+) => {
        $(
            #[derive(Default)]
            pub(crate) struct $fault($($state)?);
            impl Fault for $fault {
                fn close(&mut self, $honest: &mut Memory, $id: ConnectionId, $how: Close) {
                    let $this = self;
                    $twist
                }
            }
        )+
    };
}

twist_closes! {
    DrainAborts(): |_this, honest, id, _how| honest.close(id, Close::Abort);
    IgnoresDrains(): |_this, honest, id, how| if how == Close::Abort {
        honest.close(id, how);
    };
    EndlessDrain(): |_this, honest, id, how| match how {
        Close::Drain { .. } => honest.close(id, Close::Drain { deadline: Instant::MAX }),
        Close::Abort => honest.close(id, how),
    };
    SecondCloseAborts(BTreeSet<ConnectionId>): |this, honest, id, how| {
        honest.close(id, if this.0.insert(id) { how } else { Close::Abort });
    };
    ClosesOnce(BTreeSet<ConnectionId>): |this, honest, id, how| {
        assert!(this.0.insert(id), "closed twice");
        honest.close(id, how);
    };
    AbortDrains(): |_this, honest, id, _how| honest.close(id, Close::Drain { deadline: Instant::MAX });
    FirstCloseWins(BTreeSet<ConnectionId>): |this, honest, id, how| if this.0.insert(id) {
        honest.close(id, how);
    };
}

#[derive(Default)]
pub(crate) struct ReportsClosed(Vec<ConnectionId>);
impl Fault for ReportsClosed {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        ready.extend(self.0.drain(..).map(Readiness::Readable));
        world.honest.poll(ready, None)
    }
    fn close(&mut self, honest: &mut Memory, id: ConnectionId, how: Close) {
        self.0.push(id);
        honest.close(id, how);
    }
}

/// An error of one connection comes out of the next poll.
#[derive(Default)]
pub(crate) struct FailsPoll(Option<io::Error>);
impl Fault for FailsPoll {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        match self.0.take() {
            Some(error) => Err(error),
            None => world.honest.poll(ready, None),
        }
    }
    fn read(&mut self, honest: &mut Memory, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        honest.read(id, buf).inspect_err(|error| {
            if error.kind() == ErrorKind::ConnectionReset {
                self.0 = Some(error.kind().into());
            }
        })
    }
}

/// Tries each connection in each poll, and takes it hard that a peer is gone.
#[derive(Default)]
pub(crate) struct FailsPollForTheGone(BTreeSet<ConnectionId>);
impl Fault for FailsPollForTheGone {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        world.honest.poll(ready, None)?;
        for report in ready {
            if let Readiness::Opened(id, _) = report {
                self.0.insert(*id);
            }
        }
        for id in &self.0 {
            if let Err(error) = world.honest.write(*id, &[])
                && error.kind() == ErrorKind::BrokenPipe
            {
                return Err(error);
            }
        }
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct ZeroWaits;
impl Fault for ZeroWaits {
    fn poll(&mut self, world: &mut World, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<()> {
        world.transport.clock().advance(timeout.unwrap_or_default().max(Duration::from_millis(1)));
        world.honest.poll(ready, None)
    }
}

/// Loses a nanosecond at every tenth reading.
#[derive(Default)]
pub(crate) struct BackwardClock(Cell<u64>);
impl Fault for BackwardClock {
    fn now(&self, honest: &Memory) -> Instant {
        self.0.set(self.0.get() + 1);
        Instant::from_nanos((honest.now().as_nanos() + 1_000_000).saturating_sub(self.0.get() / 10))
    }
}

#[derive(Default)]
pub(crate) struct StoppedClock;
impl Fault for StoppedClock {
    fn now(&self, _: &Memory) -> Instant {
        Instant::ZERO
    }
}

/// Polls that wait, on the clock of the test.
macro_rules! waiting {
    ($($fault:ident($($state:ty)?): waker $waker:expr, wait unless $woken:expr;)+) => {
        $(
            #[derive(Default)]
            pub(crate) struct $fault($($state)?);
            impl Fault for $fault {
                fn poll(&mut self, world: &mut World, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<()> {
                    let woken: fn(&$fault) -> bool = $woken;
                    if !woken(self) {
                        world.transport.clock().advance(timeout.unwrap_or_default());
                    }
                    world.honest.poll(ready, None)
                }
                fn waker(&self) -> Option<Waker> {
                    let waker: fn(&$fault) -> Option<Waker> = $waker;
                    waker(self)
                }
            }
        )+
    };
}

fn setting(flag: &Arc<AtomicBool>) -> Option<Waker> {
    let flag = Arc::clone(flag);
    Some(Waker::new(move || flag.store(true, Ordering::Release)))
}

waiting! {
    WaitsUnwakeable(): waker |_| None, wait unless |_| false;
    DeafWaker(): waker |_| Some(Waker::new(|| {})), wait unless |_| false;
    KeepsWakes(Arc<AtomicBool>): waker |this| setting(&this.0), wait unless |this| this.0.swap(false, Ordering::AcqRel);
    ForgetsEarlyWakes(Arc<AtomicBool>): waker |this| setting(&this.0), wait unless |this| {
        // Begins to wait with a clean slate, as one does who looks at the flag too late.
        this.0.store(false, Ordering::Release);
        this.0.swap(false, Ordering::AcqRel)
    };
}
