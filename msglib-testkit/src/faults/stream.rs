//! The client's side: a stream over another stream.

use super::dice::Dice;
use super::{Fault, FaultPlan, Tally};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Any stream, with the faults of a [`FaultPlan`] that come with a read or a write; the others never happen here.
///
/// For scripts its connection is number 0. Faults that end the connection drop the stream below, so that the broker sees the client
/// go. `WouldBlock` and `Interrupted` never come twice in a row, but for [`Fault::ZeroWindow`], which lasts until
/// [healed](StreamFaults::heal).
///
/// ```
/// use msglib_client::{Connection, publish_to_q};
/// use msglib_testkit::Harness;
/// use msglib_testkit::faults::{Fault, FaultPlan, FaultyStream};
///
/// let mut harness = Harness::new(msglib_broker::ConnectionHandler::new());
/// let plan = FaultPlan::new(7).with(Fault::ShortWrite, 0.9).with(Fault::WriteWouldBlock, 0.5);
/// let stream = FaultyStream::new(harness.connect_raw(), plan);
/// let faults = stream.faults();
/// let client = Connection::builder().non_blocking(true).build(stream)?;
///
/// publish_to_q(&client, "jobs", b"in small pieces")?;
/// harness.step_until_ok("the message to leave", || client.flush());
/// harness.settle();
/// assert_eq!(harness.handler().queue("jobs").unwrap().ledger.accepted, 1);
/// assert!(faults.tally().of(Fault::ShortWrite).observed > 0);
/// # Ok::<(), msglib_client::Error>(())
/// ```
#[derive(Debug)]
pub struct FaultyStream<S> {
    /// Dropped when a fault has ended the connection.
    inner: Option<S>,
    faults: StreamFaults,
    reading: Side,
    writing: Side,
    /// The broker's direction ended, which sticks.
    at_end: bool,
    /// From here on nothing can be written.
    zero_window: bool,
    scratch: Vec<u8>,
}

/// The faults of a [`FaultyStream`], also while a client owns it; cheap to clone.
#[derive(Clone, Debug)]
pub struct StreamFaults {
    dice: Arc<Mutex<Dice>>,
}

/// One direction.
#[derive(Debug)]
struct Side {
    /// The last call was turned away.
    turned_away: bool,
    /// The fault that ends it, and behind how many bytes.
    cut: Option<(Fault, u64)>,
}

impl<S> FaultyStream<S> {
    /// `inner` with the faults of `plan`.
    pub fn new(inner: S, plan: FaultPlan) -> FaultyStream<S> {
        let mut dice = Dice::new(&plan);
        let reading = Side { turned_away: false, cut: dice.take_cut(0, true) };
        let writing = Side { turned_away: false, cut: dice.take_cut(0, false) };
        let faults = StreamFaults { dice: Arc::new(Mutex::new(dice)) };
        FaultyStream {
            inner: Some(inner),
            faults,
            reading,
            writing,
            at_end: false,
            zero_window: false,
            scratch: vec![],
        }
    }

    /// Its faults, to look at and to end.
    pub fn faults(&self) -> StreamFaults {
        self.faults.clone()
    }

    /// The stream below, unless a fault has ended the connection.
    pub fn get_ref(&self) -> Option<&S> {
        self.inner.as_ref()
    }

    fn reset(&mut self, fault: Fault) -> io::Error {
        self.faults.see(fault);
        self.inner = None;
        gone()
    }
}

impl StreamFaults {
    /// Ends the faults, as [`Faulty::heal`](super::Faulty::heal) does. What ended stays so.
    pub fn heal(&self) {
        self.lock().healed = true;
    }

    /// What came of the faults so far.
    pub fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    /// Fired, and seen at once by whoever has called.
    fn see(&self, fault: Fault) {
        let tally = &mut self.lock().tally;
        tally.fire(fault);
        tally.observe(fault);
    }

    /// Whether one of `faults` turns this call away, and how.
    fn turn_away(&self, side: &mut Side, faults: [(Fault, ErrorKind); 2]) -> io::Result<()> {
        let again = core::mem::take(&mut side.turned_away);
        for (fault, how) in faults {
            let drawn = self.lock().draw(fault, 0);
            if drawn && !again {
                self.see(fault);
                side.turned_away = true;
                return Err(how.into());
            }
        }
        Ok(())
    }

    /// Draws the faults that end a direction; how many bytes may pass, and by which fault no more.
    fn limit(&self, side: &mut Side, room: usize, cuts: &[Fault], short: Fault) -> (usize, Option<Fault>) {
        let mut dice = self.lock();
        for fault in cuts {
            if dice.draw(*fault, 0) && side.cut.is_none() {
                let later = dice.below(*fault, 2) == 1;
                side.cut = Some((*fault, if later { dice.piece(*fault, room.max(2)) as u64 } else { 0 }));
            }
        }
        if dice.healed {
            side.cut = None;
        }
        let mut limit = (room, None);
        if room > 1 && dice.draw(short, 0) {
            limit = (dice.piece(short, room), Some(short));
        }
        match side.cut {
            Some((_, after)) if after < limit.0 as u64 => (after as usize, None),
            _ => limit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Dice> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Side {
    fn passed(&mut self, count: usize) {
        if let Some((_, after)) = &mut self.cut {
            *after -= count as u64;
        }
    }
}

impl<S: Read> Read for FaultyStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at_end || buf.is_empty() {
            return Ok(0);
        }
        if self.inner.is_none() {
            return Err(gone());
        }
        let kinds = [(Fault::ReadInterrupted, ErrorKind::Interrupted), (Fault::ReadWouldBlock, ErrorKind::WouldBlock)];
        self.faults.turn_away(&mut self.reading, kinds)?;
        let cuts = [Fault::HalfClose, Fault::CutRead];
        let (limit, by) = self.faults.limit(&mut self.reading, buf.len(), &cuts, Fault::ShortRead);
        match self.reading.cut {
            Some((Fault::HalfClose, 0)) => {
                self.faults.see(Fault::HalfClose);
                self.at_end = true;
                return Ok(0);
            }
            Some((fault, 0)) => return Err(self.reset(fault)),
            _ => {}
        }
        let Some(inner) = &mut self.inner else { return Err(gone()) };
        let count = inner.read(&mut buf[..limit])?;
        self.reading.passed(count);
        // A count that fills what was asked for may have left something behind.
        if let Some(fault) = by.filter(|_| count == limit) {
            self.faults.see(fault);
        }
        if count > 0 && self.faults.lock().draw(Fault::CorruptRead, 0) {
            flip(&mut buf[..count], self.faults.lock().below(Fault::CorruptRead, 8 * count as u64));
            self.faults.see(Fault::CorruptRead);
        }
        Ok(count)
    }
}

impl<S: Write> Write for FaultyStream<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.inner.is_none() {
            return Err(gone());
        }
        let kinds =
            [(Fault::WriteInterrupted, ErrorKind::Interrupted), (Fault::WriteWouldBlock, ErrorKind::WouldBlock)];
        self.faults.turn_away(&mut self.writing, kinds)?;
        self.zero_window |= self.faults.lock().draw(Fault::ZeroWindow, 0);
        if self.zero_window && !self.faults.lock().healed {
            self.faults.see(Fault::ZeroWindow);
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.faults.lock().draw(Fault::AcceptedThenLost, 0) {
            let _ = self.reset(Fault::AcceptedThenLost);
            return Ok(buf.len());
        }
        let (limit, by) = self.faults.limit(&mut self.writing, buf.len(), &[Fault::CutWrite], Fault::ShortWrite);
        if let Some((fault, 0)) = self.writing.cut {
            return Err(self.reset(fault));
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(&buf[..limit]);
        let flipped = self.faults.lock().draw(Fault::CorruptWrite, 0);
        let bit = if flipped { self.faults.lock().below(Fault::CorruptWrite, 8 * limit as u64) } else { 0 };
        if flipped {
            flip(&mut self.scratch, bit);
        }
        let Some(inner) = &mut self.inner else { return Err(gone()) };
        let count = inner.write(&self.scratch)?;
        self.writing.passed(count);
        if flipped && bit / 8 < count as u64 {
            self.faults.see(Fault::CorruptWrite);
        }
        if let Some(fault) = by.filter(|_| count == limit) {
            self.faults.see(fault);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.as_mut().map_or_else(|| Err(gone()), S::flush)
    }
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::ConnectionReset, "the fault plan has ended the connection")
}

fn flip(bytes: &mut [u8], bit: u64) {
    bytes[bit as usize / 8] ^= 1 << (bit % 8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read_all(plan: FaultPlan) -> (Vec<u8>, Option<ErrorKind>, Tally) {
        let mut stream = FaultyStream::new(Cursor::new((0..100).collect::<Vec<u8>>()), plan);
        let (mut all, mut buf) = (Vec::new(), [0; 40]);
        for _ in 0..1000 {
            match stream.read(&mut buf) {
                Ok(0) => return (all, None, stream.faults().tally()),
                Ok(count) => all.extend_from_slice(&buf[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return (all, Some(error.kind()), stream.faults().tally()),
            }
        }
        panic!("no end in a thousand reads");
    }

    fn write_all(plan: FaultPlan) -> (Vec<u8>, Option<ErrorKind>, Tally) {
        let bytes: Vec<u8> = (0..100).collect();
        let mut below = Vec::new();
        let mut stream = FaultyStream::new(&mut below, plan);
        let (mut sent, mut failed) = (0, None);
        for _ in 0..1000 {
            match stream.write(&bytes[sent..]) {
                Ok(0) => break,
                Ok(count) => sent += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => {
                    failed = Some(error.kind());
                    break;
                }
            }
        }
        let tally = stream.faults().tally();
        drop(stream);
        (below, failed, tally)
    }

    #[test]
    fn each_fault_of_a_stream_is_seen_and_what_passes_is_whole() {
        let whole: Vec<u8> = (0..100).collect();
        for fault in [Fault::ShortRead, Fault::ReadWouldBlock, Fault::ReadInterrupted] {
            let (read, failed, tally) = read_all(FaultPlan::new(1).with(fault, 1.0));
            assert_eq!((read, failed, tally.missing([fault])), (whole.clone(), None, vec![]), "{fault:?}");
        }
        for fault in [Fault::ShortWrite, Fault::WriteWouldBlock, Fault::WriteInterrupted] {
            let (written, failed, tally) = write_all(FaultPlan::new(1).with(fault, 1.0));
            assert_eq!((written, failed, tally.missing([fault])), (whole.clone(), None, vec![]), "{fault:?}");
        }
    }

    #[test]
    fn a_cut_falls_behind_its_byte() {
        for after in 0..100 {
            let (read, failed, _) = read_all(FaultPlan::new(0).cut(Fault::CutRead, 0, after));
            assert_eq!((read.len() as u64, failed), (after, Some(ErrorKind::ConnectionReset)));
            let (read, failed, _) = read_all(FaultPlan::new(0).cut(Fault::HalfClose, 0, after));
            assert_eq!((read.len() as u64, failed), (after, None));
            let (written, failed, _) = write_all(FaultPlan::new(0).cut(Fault::CutWrite, 0, after));
            assert_eq!((written.len() as u64, failed), (after, Some(ErrorKind::ConnectionReset)));
        }
    }

    #[test]
    fn one_bit_is_another() {
        let differ = |bytes: &[u8]| (0..100u8).zip(bytes).map(|(sent, came)| (sent ^ came).count_ones()).sum::<u32>();
        assert_eq!(differ(&read_all(FaultPlan::new(3).at(Fault::CorruptRead, 2)).0), 1);
        assert_eq!(differ(&write_all(FaultPlan::new(3).at(Fault::CorruptWrite, 1)).0), 1);
    }

    #[test]
    fn what_was_accepted_is_lost_and_a_window_of_zero_opens_when_healed() {
        let (written, failed, _) = write_all(FaultPlan::new(0).at(Fault::AcceptedThenLost, 1));
        assert_eq!((written.len(), failed), (0, None), "all was taken at once");
        let mut below = Vec::new();
        let mut stream = FaultyStream::new(&mut below, FaultPlan::new(0).at(Fault::ZeroWindow, 1));
        for _ in 0..3 {
            assert_eq!(stream.write(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
        }
        stream.faults().heal();
        assert_eq!(stream.write(b"x").unwrap(), 1);
    }
}
