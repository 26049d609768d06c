//! The client's stream in two, for two threads.
//!
//! Neither half waits for the other: the session is locked while bytes are sealed and opened, and never while a half reads from below
//! or writes to it.

use crate::session::Session;
use crate::stream::is_not_now;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The half that reads; made by [`TlsStream::into_halves`](crate::TlsStream::into_halves).
pub struct TlsReader<R, W> {
    inner: R,
    scratch: Box<[u8]>,
    shared: Arc<Shared<W>>,
}

/// The half that writes; made by [`TlsStream::into_halves`](crate::TlsStream::into_halves). What `write` has taken and not sent, for
/// want of room or time, leaves with the next `write` or `flush`.
pub struct TlsWriter<W> {
    shared: Arc<Shared<W>>,
}

struct Shared<W> {
    session: Mutex<Session>,
    /// Held by whoever writes, from before the bytes are sealed until they are sent: so they leave in their order.
    out: Mutex<Out<W>>,
}

struct Out<W> {
    inner: W,
    sealed: Vec<u8>,
    sent: usize,
}

pub(crate) fn split<R, W>(
    reader: R,
    writer: W,
    session: Session,
    scratch: Box<[u8]>,
) -> (TlsReader<R, W>, TlsWriter<W>) {
    let out = Mutex::new(Out { inner: writer, sealed: Vec::new(), sent: 0 });
    let shared = Arc::new(Shared { session: Mutex::new(session), out });
    (TlsReader { inner: reader, scratch, shared: Arc::clone(&shared) }, TlsWriter { shared })
}

/// The other half has panicked outside of this crate, if at all: what is here is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W: Write> Shared<W> {
    /// Sends all that is sealed.
    fn send(&self, out: &mut Out<W>) -> io::Result<()> {
        loop {
            while out.sent < out.sealed.len() {
                match out.inner.write(&out.sealed[out.sent..]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => out.sent += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            out.sealed.clear();
            out.sent = 0;
            lock(&self.session).send(&mut out.sealed)?;
            if out.sealed.is_empty() {
                return Ok(());
            }
        }
    }
}

impl<R: Read, W: Write> Read for TlsReader<R, W> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let TlsReader { inner, scratch, shared } = self;
        loop {
            let mut session = lock(&shared.session);
            let count = session.take(buf);
            if count > 0 {
                return Ok(count);
            }
            if let Some(end) = session.end() {
                return end.told();
            }
            drop(session);

            let arrived = inner.read(scratch)?;
            let mut session = lock(&shared.session);
            let count = match arrived {
                0 => {
                    session.cut_off();
                    0
                }
                _ => session.feed(&scratch[..arrived], buf),
            };
            let has_sealed = session.has_sealed();
            drop(session);
            // What the protocol has to say by itself. Who writes just now sends it as well; if it fails, the next write tells.
            if has_sealed && let Ok(mut out) = shared.out.try_lock() {
                drop(shared.send(&mut out));
            }
            if count > 0 {
                return Ok(count);
            }
        }
    }
}

impl<W: Write> Write for TlsWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut out = lock(&self.shared.out);
        self.shared.send(&mut out)?;
        let count = lock(&self.shared.session).seal(bufs)?;
        match self.shared.send(&mut out) {
            Err(error) if !is_not_now(&error) => Err(error),
            _ => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut out = lock(&self.shared.out);
        self.shared.send(&mut out)?;
        out.inner.flush()
    }
}

impl<W: Write> TlsWriter<W> {
    /// Tells the broker that nothing more comes, behind all that was written; reading goes on.
    ///
    /// # Errors
    ///
    /// As `flush`, with which it goes on.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        lock(&self.shared.session).finish();
        self.flush()
    }
}

impl<R: fmt::Debug, W> fmt::Debug for TlsReader<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsReader").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for TlsWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsWriter").finish_non_exhaustive()
    }
}
