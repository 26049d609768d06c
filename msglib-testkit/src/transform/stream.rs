//! The client's side: a stream over another stream, waiting or not.

use super::record::{Direction, MAX_RECORD, Opener, RECORD_HEADER, Sealer};
use core::fmt;
use std::io::{self, ErrorKind, Read, Write};

/// Records and a keystream over any stream; the broker uses [`Transform`](super::Transform) with the same key.
/// The shape of TLS, not security.
///
/// Over a stream that waits it waits. Over one that does not, `WouldBlock` loses nothing: the same call, tried again
/// later, goes on where it stopped.
///
/// - `write` takes at most one record, 16 KiB, and only when the one before has left. What it has taken it sends at
///   once, as far as there is room below; the rest leaves with the next `read`, `write` or `flush`.
/// - `flush` is done when everything has left, and says `WouldBlock` until then. Dropping the stream does not flush.
/// - A stream that ends inside a record is `UnexpectedEof`, and stays so.
pub struct TransformStream<S> {
    inner: S,
    opener: Opener,
    sealer: Sealer,
    end: Option<End>,
    scratch: Box<[u8]>,
}

/// How what the broker sends has ended; told each time from there on.
#[derive(Clone)]
enum End {
    Clean,
    Error(ErrorKind, String),
}

impl<S> TransformStream<S> {
    /// A stream over `inner`, from its first byte on. Both ends must have the same `key`.
    pub fn new(inner: S, key: u64) -> TransformStream<S> {
        TransformStream {
            inner,
            opener: Opener::new(key, Direction::ToClient),
            sealer: Sealer::new(key, Direction::ToBroker),
            end: None,
            scratch: vec![0; MAX_RECORD].into(),
        }
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The stream below, to configure or to close it; moving bytes past the decorator breaks the records.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// How many sealed bytes wait to be sent: what a drop would lose.
    pub fn unsent(&self) -> usize {
        self.sealer.pending()
    }
}

impl<S: Write> TransformStream<S> {
    fn send(&mut self) -> io::Result<()> {
        self.sealer.flush(|bytes| self.inner.write(bytes))
    }

    /// Sends what goes through.
    fn send_what_fits(&mut self) -> io::Result<()> {
        match self.send() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }
}

impl<S: Read + Write> Read for TransformStream<S> {
    /// # Errors
    ///
    /// Those of the stream below; `UnexpectedEof` when it ends inside a record, `InvalidData` when what it brings is no
    /// record. `WouldBlock` when there is no whole record yet.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        // Who only reads, for an answer, must not wait for a question that was never sent. If sending fails the
        // answer may be there all the same; the next write tells.
        let _ = self.send();
        loop {
            let count = self.opener.take(buf);
            if count > 0 {
                return Ok(count);
            }
            match &self.end {
                Some(End::Clean) => return Ok(0),
                Some(End::Error(kind, words)) => return Err(io::Error::new(*kind, words.clone())),
                None => {}
            }
            let outcome = match self.inner.read(&mut self.scratch)? {
                0 => self.opener.finish().map(|()| self.end = Some(End::Clean)),
                arrived => self.opener.push(&self.scratch[..arrived]),
            };
            if let Err(error) = outcome {
                self.end = Some(End::Error(error.kind(), error.to_string()));
            }
        }
    }
}

impl<S: Write> Write for TransformStream<S> {
    /// # Errors
    ///
    /// `WouldBlock` while the record before has not left; those of the stream below.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.send()?;
        let count = self.sealer.seal(buf, MAX_RECORD + RECORD_HEADER);
        self.send_what_fits()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.inner.flush()
    }
}

impl<S: fmt::Debug> fmt::Debug for TransformStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the key nor the bytes.
        f.debug_struct("TransformStream")
            .field("inner", &self.inner)
            .field("unsent", &self.sealer.pending())
            .finish_non_exhaustive()
    }
}
