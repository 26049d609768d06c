//! One stream as both halves, for whoever has only one.

use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A half of a stream that must not be read and written at the same time: while one half waits, the other does too.
pub(super) struct OneStream<S>(Arc<Mutex<S>>);

impl<S> OneStream<S> {
    pub(super) fn halves(stream: S) -> (OneStream<S>, OneStream<S>) {
        let stream = Arc::new(Mutex::new(stream));
        (OneStream(stream.clone()), OneStream(stream))
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Read> Read for OneStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.lock().read(buf)
    }
}

impl<S: Write> Write for OneStream<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.lock().write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.lock().write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}
