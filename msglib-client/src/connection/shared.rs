//! What all handles of a connection share: the two halves of the stream, the state, and who may use which when.
//!
//! Locks are taken in this order: writer or reader, then state; never writer and reader together. The state is never
//! locked while a read or a write is under way.
//!
//! Leader and follower: at most one thread reads ([`State::reading`]); others that wait for something do so on a condition
//! variable until the reader has brought them what they wait for, or gives the role up, for whatever reason.

use super::consuming::Settled;
use super::outside::Unblock;
use super::state::State;
use crate::error::{Error, would_block};
use core::task::Poll;
use msglib_proto::SendQueue;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// One read takes at most this many bytes.
const READ: usize = 256 * 1024;
/// What a batch gathers before it is written, in bytes.
const GATHERED: usize = 32 * 1024;
/// One write is offered at most this many pieces.
const PIECES: usize = 16;
/// After a failed write, this many reads look for the reason that the broker may have given before it closed.
const READS_FOR_REASON: usize = 16;

/// How long a call may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    /// As long as the stream waits.
    Wait,
    /// It waits for nothing; it reads only if the stream is known not to wait.
    Never,
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// Told whenever the state has changed in a way that somebody may wait for.
    changed: Condvar,
    reader: Mutex<ReadHalf>,
    writer: Mutex<WriteHalf>,
    /// Whether reads are known never to wait.
    non_blocking: bool,
    unblock: Unblock,
}

struct ReadHalf {
    stream: Box<dyn Read + Send>,
    buffer: Box<[u8]>,
}

struct WriteHalf {
    stream: Box<dyn Write + Send>,
    /// What was taken from the session and is not written yet.
    out: SendQueue,
    /// Whether the stream may still hold back some of what it took.
    unflushed: bool,
}

impl Shared {
    pub(super) fn new(
        state: State,
        reader: Box<dyn Read + Send>,
        writer: Box<dyn Write + Send>,
        non_blocking: bool,
        unblock: Unblock,
    ) -> Shared {
        Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            reader: Mutex::new(ReadHalf { stream: reader, buffer: vec![0; READ].into_boxed_slice() }),
            writer: Mutex::new(WriteHalf { stream: writer, out: SendQueue::new(), unflushed: false }),
            non_blocking,
            unblock,
        }
    }

    /// The end, now, for those as well who wait.
    pub(super) fn end_with(&self, error: Error) {
        self.lock().break_with(error);
        self.notify();
        self.unblock();
    }

    /// Makes reads and writes return that wait in other threads.
    pub(super) fn unblock(&self) {
        self.unblock.call();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Wakes all who wait; after a change of the state that did not come from reading.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Asks `poll` again and again until it is ready, and writes and reads in between what there is.
    ///
    /// `poll` must be such that asking it again does nothing twice: every call of a connection is built on this one, and
    /// that is why each can be made again after `WouldBlock`.
    pub(super) fn wait<T>(
        &self,
        patience: Patience,
        poll: impl FnMut(&mut State) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.wait_unexplained(patience, 1, poll).map_err(|error| self.lock().explain(error))
    }

    /// As [`wait`](Self::wait), but what `poll` queues may wait for more to come: it is written at once only from
    /// [`GATHERED`] on. Whoever calls this sees to it that the rest is written in the end.
    pub(super) fn wait_and_gather<T>(
        &self,
        poll: impl FnMut(&mut State) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.wait_unexplained(Patience::Wait, GATHERED, poll).map_err(|error| self.lock().explain(error))
    }

    fn wait_unexplained<T>(
        &self,
        patience: Patience,
        write_from: usize,
        mut poll: impl FnMut(&mut State) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut state = self.lock();
        let first = poll(&mut state);
        if let Poll::Ready(result) = first {
            self.write_due(state, write_from);
            return result;
        }
        drop(state);
        loop {
            let blocked = match self.flush() {
                Ok(()) => None,
                Err(error) if error.is_would_block() => Some(error),
                Err(error) => {
                    // What this call waits for may have come right before the end.
                    return match poll(&mut self.lock()) {
                        Poll::Ready(result) => result,
                        Poll::Pending => Err(error),
                    };
                }
            };
            let mut state = self.lock();
            let queued = state.session.pending().len();
            state.wants_room = false;
            if let Poll::Ready(result) = poll(&mut state) {
                self.write_due(state, write_from);
                return result;
            }
            if let Some(error) = state.ended() {
                return Err(error);
            }
            let has_queued = state.session.pending().len() > queued;
            if blocked.is_none() && (has_queued || state.wants_room) {
                // What `poll` has queued goes out before anybody waits for the answer; and no answer makes room.
                continue;
            }
            if patience == Patience::Never && (state.reading || !self.non_blocking) {
                return Err(blocked.unwrap_or_else(Error::not_now));
            }
            if state.reading {
                match blocked {
                    // What this thread waits for may need those bytes to go out, and nobody would tell it when they can.
                    Some(error) => return Err(error),
                    None => drop(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)),
                }
            } else {
                let role = ReaderRole::take(self, state);
                self.read_once(&role)?;
            }
        }
    }

    /// Writes all that waited when it was called. What others queue meanwhile is theirs to write, so that nobody writes
    /// for others without end.
    pub(super) fn flush(&self) -> Result<(), Error> {
        let result = self.write_pending(&mut lock(&self.writer));
        match result {
            Err(error) if !error.is_would_block() => Err(self.find_reason(error)),
            result => result,
        }
    }

    /// Writes what a call has queued. What goes wrong is left to the next call: an error stays, and `WouldBlock` passes.
    pub(super) fn flush_if_due(&self) {
        self.write_due(self.lock(), 1);
    }

    /// As [`flush_if_due`](Self::flush_if_due), for who holds the state already, if at least `write_from` bytes wait.
    pub(super) fn write_due(&self, state: MutexGuard<'_, State>, write_from: usize) {
        let (queued, left) = (state.session.pending().len() >= write_from, state.writing > 0);
        drop(state);
        if queued {
            let _ = self.flush();
        } else if left {
            // Left by a call that could not wait.
            self.write_unless_others_do();
        }
    }

    /// Writes what waits; if the writer is taken, somebody is at it.
    pub(super) fn write_unless_others_do(&self) {
        if let Ok(mut half) = self.writer.try_lock() {
            let _ = self.write_pending(&mut half);
        }
    }

    /// What a settling has queued, as [`write_due`](Self::write_due); an error if the connection ends with it.
    pub(super) fn write_settled(
        &self,
        state: MutexGuard<'_, State>,
        settled: Result<Settled, Error>,
    ) -> Result<(), Error> {
        self.write_due(state, 1);
        if settled? == Settled::Queued
            && let Some(error) = self.lock().ended()
        {
            return Err(error);
        }
        Ok(())
    }

    fn write_pending(&self, half: &mut WriteHalf) -> Result<(), Error> {
        let mut drained = false;
        while self.refill(half, &mut drained)? {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let filled = half.out.io_slices(&mut pieces);
            match half.stream.write_vectored(&pieces[..filled]) {
                Ok(0) => return Err(Error::io(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    half.out.advance(n.min(half.out.len()));
                    half.unflushed = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(error)),
            }
        }
        while half.unflushed {
            match half.stream.flush() {
                Ok(()) => half.unflushed = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(error)),
            }
        }
        Ok(())
    }

    /// Makes sure that the writer has something to write, and takes it from the session once; false if all is written.
    fn refill(&self, half: &mut WriteHalf, drained: &mut bool) -> Result<bool, Error> {
        let mut state = self.lock();
        if let Some(error) = state.silenced() {
            half.out = SendQueue::new();
            half.unflushed = false;
            state.writing = 0;
            return Err(error);
        }
        if half.out.is_empty() && !*drained {
            state.session.drain_into(&mut half.out);
            *drained = true;
        }
        state.writing = half.out.len();
        Ok(!half.out.is_empty())
    }

    /// After a failed write: a broker that refuses a client says why and closes, so the reason may have arrived. A stream
    /// that cannot be written any more has ended or will soon, so these reads do not wait for long.
    fn find_reason(&self, error: Error) -> Error {
        let mut reads = 0;
        while reads < READS_FOR_REASON && self.read_unless_others_do() {
            reads += 1;
        }
        let mut state = self.lock();
        state.break_with(error.clone());
        let cause = state.ended().unwrap_or(error);
        drop(state);
        self.notify();
        cause
    }

    /// Reads once, unless another thread does; whether that went well, so that it can be done again.
    pub(super) fn read_unless_others_do(&self) -> bool {
        let state = self.lock();
        if state.reading || state.ended().is_some() {
            return false;
        }
        let role = ReaderRole::take(self, state);
        self.read_once(&role).is_ok()
    }

    /// Reads once and lets the state know what came: data, the end, or an error. Only `WouldBlock` and its like are
    /// returned; everything else is in the state.
    fn read_once(&self, _role: &ReaderRole<'_>) -> Result<(), Error> {
        let mut half = lock(&self.reader);
        let ReadHalf { stream, buffer } = &mut *half;
        let result = loop {
            match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        match result {
            Ok(0) => self.lock().end_of_stream(),
            Ok(n) => self.lock().handle_input(&buffer[..n.min(buffer.len())]),
            Err(error) if would_block(error.kind()) => return Err(Error::io(error)),
            Err(error) => self.lock().break_with(Error::io(error)),
        }
        Ok(())
    }
}

/// The last handle is gone: what waits is sent as far as that goes, with a goodbye.
impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.lock().session.goodbye();
        let _ = self.write_pending(&mut lock(&self.writer));
    }
}

/// The right to read. Whoever has it gives it back, however the read ends, and all who wait look again.
struct ReaderRole<'a> {
    shared: &'a Shared,
}

impl<'a> ReaderRole<'a> {
    fn take(shared: &'a Shared, mut state: MutexGuard<'a, State>) -> ReaderRole<'a> {
        state.reading = true;
        ReaderRole { shared }
    }
}

impl Drop for ReaderRole<'_> {
    fn drop(&mut self) {
        self.shared.lock().reading = false;
        self.shared.notify();
    }
}

/// A panic of the user's stream, the only foreign code that runs under a lock, leaves nothing half changed here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
