//! The decorator, and the handle to what it has recorded.

use super::RecordCounters;
use super::sink::Tape;
use core::fmt;
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::io::{self, IoSlice, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Records all that a broker is told by any connection manager, and changes nothing of it.
///
/// Put it outermost, so that what is recorded is what the broker saw. Each call takes a lock that nobody else holds for
/// long, and copies what was read. Keeps the rules T1 to T17 where the inner manager does.
///
/// Dropped, it ends its stream; while a panic goes through the broker it also writes its ring, if
/// [`dump_on_panic`](Recorder::dump_on_panic) says where to.
pub struct Recorder<M> {
    inner: M,
    log: RecordLog,
    /// The first seed, until the broker has asked for it.
    seed: Option<u128>,
    on_panic: Option<OpenDump>,
}

type OpenDump = Box<dyn FnMut() -> io::Result<Box<dyn Write>> + Send>;

/// What a [`Recorder`] has recorded; cheap to clone, for any thread.
#[derive(Clone)]
pub struct RecordLog {
    tape: Arc<Mutex<Tape>>,
}

impl<M: ConnectionManager> Recorder<M> {
    /// Records into a ring of 64 MiB.
    pub fn new(inner: M) -> Recorder<M> {
        Recorder::in_ring(inner, 64 << 20)
    }

    /// Records into a ring in memory. It takes `bytes` of memory at once, so that no message waits for it later, and no more but for
    /// one read's bytes; when it is full the oldest sixteenth goes, and with it the possibility to replay exactly
    /// (see the [module](self::super)). A ring that stays in the processor's cache costs a busy broker least: `docs/recording.md` has figures.
    pub fn in_ring(mut inner: M, bytes: usize) -> Recorder<M> {
        let seed = inner.seed();
        Recorder::with_tape(inner, seed, Tape::ring(seed, bytes))
    }

    /// Records all of it to `out`: in pieces of 64 KiB, and what there is when a poll brings nothing. A write that
    /// waits lets the broker wait; give it a file on a disk that is fast enough, or something that has a thread of its own.
    /// When `out` fails the recording is over, the broker goes on, and [`RecordLog::error`] has the reason.
    pub fn to_stream(mut inner: M, out: impl Write + Send + 'static) -> Recorder<M> {
        let seed = inner.seed();
        Recorder::with_tape(inner, seed, Tape::stream(seed, Box::new(out)))
    }

    fn with_tape(inner: M, seed: u128, tape: Tape) -> Recorder<M> {
        let log = RecordLog { tape: Arc::new(Mutex::new(tape)) };
        Recorder { inner, log, seed: Some(seed), on_panic: None }
    }

    /// Words for whoever will read the recording: which build this is, and how its handler is configured.
    pub fn about(self, words: impl Into<String>) -> Recorder<M> {
        self.log.lock().start.about = words.into();
        self
    }

    /// When a panic drops the recorder, writes the ring to what `open` returns. What goes wrong there goes to [`RecordLog::error`].
    ///
    /// A panic that is caught around a step drops nothing, and one in a program with `panic = "abort"` drops nothing either: those
    /// call [`RecordLog::write_to`], the latter from a panic hook.
    ///
    /// ```
    /// # use msglib_broker::{ConnectionManager, record::Recorder};
    /// # fn record(manager: impl ConnectionManager) {
    /// let recorder = Recorder::new(manager).dump_on_panic(|| std::fs::File::create("incident.msgrec"));
    ///
    /// let log = recorder.log(); // or, for panic = "abort":
    /// std::panic::set_hook(Box::new(move |_| {
    ///     let _ = std::fs::File::create("incident.msgrec").and_then(|file| log.write_to(file));
    /// }));
    /// # }
    /// ```
    pub fn dump_on_panic<W: Write + 'static>(
        mut self,
        mut open: impl FnMut() -> io::Result<W> + Send + 'static,
    ) -> Recorder<M> {
        self.on_panic = Some(Box::new(move || Ok(Box::new(open()?))));
        self
    }
}

impl<M> Recorder<M> {
    /// What is recorded, for whoever wants to write it out.
    pub fn log(&self) -> RecordLog {
        self.log.clone()
    }

    /// The manager inside.
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// The manager inside; what is done with it here is not recorded.
    pub fn inner_mut(&mut self) -> &mut M {
        &mut self.inner
    }
}

impl RecordLog {
    /// Writes what the ring holds, as a file. The ring goes on, and its broker waits meanwhile, as soon as it is to record.
    ///
    /// # Errors
    ///
    /// Those of `out`, and `Unsupported` for a recorder that streams.
    pub fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        self.lock().write_to(&mut out)
    }

    /// Gives a stream all that is recorded so far.
    pub fn flush(&self) {
        self.lock().flush();
    }

    /// Puts words between the records: what the program is about to do to its broker, beside its steps. A replay returns them at the
    /// same place.
    pub fn note(&self, text: &str) {
        self.lock().segment(text.len()).note(text);
    }

    /// Says that the next call is [`Broker::shutdown`](crate::Broker::shutdown), with `within`; a replay then does the same.
    pub fn shutting_down(&self, within: Duration) {
        self.lock().segment(0).shutdown(within);
    }

    /// How much was recorded.
    pub fn counters(&self) -> RecordCounters {
        self.lock().counters()
    }

    /// Why a stream gets nothing any more, or why a panic's ring could not be written; told once.
    pub fn error(&self) -> Option<io::Error> {
        self.lock().error.take()
    }

    /// Where a sink has panicked the records are still whole.
    fn lock(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: ConnectionManager> ConnectionManager for Recorder<M> {
    fn now(&self) -> Instant {
        let now = self.inner.now();
        self.log.lock().segment(0).now(now);
        now
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        const A_REPORT: usize = 32;
        let before = ready.len();
        let result = self.inner.poll(ready, timeout);
        let reports = &ready[before..];
        let mut tape = self.log.lock();
        tape.segment(reports.len() * A_REPORT).poll(timeout, result.as_ref().map(|()| reports));
        if reports.is_empty() && tape.current.has_news {
            tape.flush();
        }
        result
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(id, buf);
        let length = *result.as_ref().unwrap_or(&0);
        self.log.lock().segment(length).read(id, buf.len(), result.as_ref().map(|n| &buf[..*n]));
        result
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.inner.write(id, bufs);
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        self.log.lock().segment(0).write(id, offered, &result);
        result
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        self.inner.close(id, how);
        self.log.lock().segment(0).close(id, how);
    }

    fn draining(&self) -> usize {
        let count = self.inner.draining();
        self.log.lock().segment(0).draining(count);
        count
    }

    fn stop_accepting(&mut self) -> bool {
        let has_stopped = self.inner.stop_accepting();
        self.log.lock().segment(0).stop_accepting(has_stopped);
        has_stopped
    }

    fn waker(&self) -> Option<Waker> {
        let waker = self.inner.waker();
        self.log.lock().segment(0).waker(waker.is_some());
        waker
    }

    fn announce(&mut self, waker: Waker) -> bool {
        self.inner.announce(waker)
    }

    fn aside(&mut self, told: &mut Vec<Vec<u8>>) {
        self.inner.aside(told);
        for told in told {
            self.log.lock().segment(told.len()).aside(told);
        }
    }

    fn seed(&mut self) -> u128 {
        self.seed.take().unwrap_or_else(|| {
            let seed = self.inner.seed();
            self.log.lock().segment(0).seed(seed);
            seed
        })
    }
}

impl<M> Drop for Recorder<M> {
    fn drop(&mut self) {
        let mut tape = self.log.lock();
        tape.finish();
        let Some(open) = self.on_panic.as_mut().filter(|_| std::thread::panicking()) else { return };
        if let Err(error) = open().and_then(|mut out| tape.write_to(&mut out)) {
            tape.error = Some(error);
        }
    }
}

impl<M: fmt::Debug> fmt::Debug for Recorder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("inner", &self.inner).field("log", &self.log).finish_non_exhaustive()
    }
}

impl fmt::Debug for RecordLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecordLog").field(&self.counters()).finish()
    }
}
