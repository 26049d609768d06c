//! What all handles of a connection share: the two halves of the stream, the state, and who may use which when.
//!
//! Locks are taken in this order: writer or reader, then state; never writer and reader together. The state is never
//! locked while a read or a write is under way.
//!
//! Leader and follower: at most one thread reads ([`State::reading`]); others that wait for something do so on a condition
//! variable until the reader has brought them what they wait for, or gives the role up, for whatever reason.

use super::call::{Call, Changes, Clock, Half};
use super::consuming::Settled;
use super::outside::Unblock;
use super::state::State;
use crate::error::{Error, would_block};
use core::task::Poll;
use core::time::Duration;
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

pub(super) struct Shared {
    state: Mutex<State>,
    /// Told whenever the state has changed in a way that somebody may wait for.
    changed: Condvar,
    /// The same, for those who wait with a deadline.
    changes: Changes,
    reader: Mutex<ReadHalf>,
    writer: Mutex<WriteHalf>,
    /// Whether reads are known never to wait.
    non_blocking: bool,
    unblock: Unblock,
    clock: Option<Clock>,
}

struct ReadHalf {
    stream: Box<dyn Read + Send>,
    buffer: Box<[u8]>,
    is_limited: bool,
}

struct WriteHalf {
    stream: Box<dyn Write + Send>,
    /// What was taken from the session and is not written yet.
    out: SendQueue,
    /// Whether the stream may still hold back some of what it took.
    unflushed: bool,
    is_limited: bool,
}

impl Shared {
    pub(super) fn new(
        state: State,
        reader: Box<dyn Read + Send>,
        writer: Box<dyn Write + Send>,
        non_blocking: bool,
        unblock: Unblock,
        clock: Option<Clock>,
    ) -> Shared {
        let buffer = vec![0; READ].into_boxed_slice();
        Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            changes: Changes::default(),
            reader: Mutex::new(ReadHalf { stream: reader, buffer, is_limited: false }),
            writer: Mutex::new(WriteHalf {
                stream: writer,
                out: SendQueue::new(),
                unflushed: false,
                is_limited: false,
            }),
            non_blocking,
            unblock,
            clock,
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

    pub(super) fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Wakes all who wait; after a change of the state that did not come from reading.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
        if self.clock.is_some() {
            self.changes.tell();
        }
    }

    /// Asks `poll` again and again until it is ready, and writes and reads in between what there is.
    ///
    /// `poll` must be such that asking it again does nothing twice: every call of a connection is built on this one, and
    /// that is why each can be made again after `WouldBlock`, or when its time is over.
    pub(super) fn wait<T>(
        &self,
        call: &Call<'_>,
        poll: impl FnMut(&mut State) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.wait_unexplained(call, 1, poll).or_else(|error| call.explain(error))
    }

    /// As [`wait`](Self::wait), but what `poll` queues may wait for more to come: it is written at once only from
    /// [`GATHERED`] on. Whoever calls this sees to it that the rest is written in the end.
    pub(super) fn wait_and_gather<T>(
        &self,
        call: &Call<'_>,
        poll: impl FnMut(&mut State) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.wait_unexplained(call, GATHERED, poll).or_else(|error| call.explain(error))
    }

    fn wait_unexplained<T>(
        &self,
        call: &Call<'_>,
        write_from: usize,
        mut poll: impl FnMut(&mut State) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut state = self.lock();
        let first = poll(&mut state);
        if let Poll::Ready(result) = first {
            self.write_due(state, write_from, call);
            return result;
        }
        drop(state);
        loop {
            let blocked = match self.flush(call) {
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
                self.write_due(state, write_from, call);
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
            if call.never_waits() && (state.reading || !self.non_blocking) {
                return Err(blocked.unwrap_or_else(Error::not_now));
            }
            call.check_time()?;
            if state.reading {
                match blocked {
                    // What this thread waits for may need those bytes to go out, and nobody would tell it when they can.
                    Some(error) => return Err(error),
                    None => call.wait_for_others(&self.changed, state),
                }
            } else {
                let role = ReaderRole::take(self, state);
                self.read_once(&role, call)?;
            }
        }
    }

    /// Writes all that waited when it was called. What others queue meanwhile is theirs to write, so that nobody writes
    /// for others without end.
    pub(super) fn flush(&self, call: &Call<'_>) -> Result<(), Error> {
        let result = self.write_pending(&mut lock(&self.writer), call);
        match result {
            Err(error) if !error.is_would_block() => Err(self.find_reason(error, call)),
            result => result,
        }
    }

    /// Writes what a call has queued. What goes wrong is left to the next call: an error stays, and `WouldBlock` passes.
    pub(super) fn flush_if_due(&self, call: &Call<'_>) {
        self.write_due(self.lock(), 1, call);
    }

    /// As [`flush_if_due`](Self::flush_if_due), for who holds the state already, if at least `write_from` bytes wait.
    pub(super) fn write_due(&self, state: MutexGuard<'_, State>, write_from: usize, call: &Call<'_>) {
        let (queued, left) = (state.session.pending().len() >= write_from, state.writing > 0);
        drop(state);
        if queued {
            let _ = self.flush(call);
        } else if left {
            // Left by a call that could not wait.
            self.write_unless_others_do(call);
        }
    }

    /// Writes what waits; if the writer is taken, somebody is at it.
    pub(super) fn write_unless_others_do(&self, call: &Call<'_>) {
        if let Ok(mut half) = self.writer.try_lock() {
            let _ = self.write_pending(&mut half, call);
        }
    }

    /// What a settling has queued, as [`write_due`](Self::write_due); an error if the connection ends with it.
    pub(super) fn write_settled(
        &self,
        state: MutexGuard<'_, State>,
        settled: Result<Settled, Error>,
        call: &Call<'_>,
    ) -> Result<(), Error> {
        self.write_due(state, 1, call);
        if settled? == Settled::Queued
            && let Some(error) = self.lock().ended()
        {
            return Err(error);
        }
        Ok(())
    }

    fn write_pending(&self, half: &mut WriteHalf, call: &Call<'_>) -> Result<(), Error> {
        let mut drained = false;
        while self.refill(half, &mut drained)? {
            self.limit(Half::Writing, call, &mut half.is_limited);
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let filled = half.out.io_slices(&mut pieces);
            match half.stream.write_vectored(&pieces[..filled]) {
                Ok(0) => return Err(Error::io(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    half.out.advance(n.min(half.out.len()));
                    half.unflushed = true;
                    if !half.out.is_empty() {
                        // However little each write takes.
                        call.check_time()?;
                    }
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
    fn find_reason(&self, error: Error, call: &Call<'_>) -> Error {
        let mut reads = 0;
        while reads < READS_FOR_REASON && self.read_unless_others_do(call) {
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
    pub(super) fn read_unless_others_do(&self, call: &Call<'_>) -> bool {
        let state = self.lock();
        if state.reading || state.ended().is_some() {
            return false;
        }
        let role = ReaderRole::take(self, state);
        self.read_once(&role, call).is_ok()
    }

    /// Reads once and lets the state know what came: data, the end, or an error. Only `WouldBlock` and its like are
    /// returned; everything else is in the state.
    fn read_once(&self, _role: &ReaderRole<'_>, call: &Call<'_>) -> Result<(), Error> {
        let mut half = lock(&self.reader);
        let ReadHalf { stream, buffer, is_limited } = &mut *half;
        self.limit(Half::Reading, call, is_limited);
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

    /// The next read or write waits no longer than is left of the call; for one without a deadline as long as ever.
    fn limit(&self, half: Half, call: &Call<'_>, is_limited: &mut bool) {
        // Nothing, to a stream, is for ever, or a mistake.
        const LEAST: Duration = Duration::from_millis(1);
        let Some(clock) = &self.clock else { return };
        let left = call.left().map(|left| left.max(LEAST));
        if left.is_some() || *is_limited {
            (clock.limit)(half, left);
            *is_limited = left.is_some();
        }
    }
}

/// The last handle is gone: what waits is sent as far as that goes, with a goodbye.
impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.lock().session.goodbye();
        let _ = self.write_pending(&mut lock(&self.writer), &Call::unlimited(self));
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
