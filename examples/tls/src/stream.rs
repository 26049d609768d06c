//! The client's side: a stream over another stream, waiting or not.

use crate::halves::{TlsReader, TlsWriter};
use crate::session::Session;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

/// Bytes that one read from below may bring.
pub(crate) const BLOCK: usize = 32 * 1024;

/// TLS over any stream, for a client; the broker has a [`TlsManager`](crate::TlsManager).
///
/// Over a stream that waits it waits. Over one that does not, `WouldBlock` loses nothing: the same call, tried again later, goes on
/// where it stopped.
///
/// - The handshake is made by the first call that needs it, or by [`handshake`](Self::handshake). A broker that does not take the client's
///   certificate says so only behind it: the first read has the reason.
/// - What `write` has taken is sent at once, as far as there is room below; the rest leaves with the next `read`, `write` or `flush`. Where
///   the handshake has to wait, up to 64 KiB are taken for what comes behind it.
/// - `flush` is done when everything has left, and says `WouldBlock` until then. Dropping the stream does not flush.
/// - A stream that ends without a `close_notify` is `UnexpectedEof`, and stays so.
pub struct TlsStream<S> {
    inner: S,
    session: Session,
    scratch: Box<[u8]>,
}

impl<S> TlsStream<S> {
    /// A stream over `inner`, from its first byte on, to a broker that has a certificate for `name`.
    ///
    /// # Errors
    ///
    /// When `config` has no protocol version or cipher that can be offered.
    pub fn new(inner: S, config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<TlsStream<S>, rustls::Error> {
        let session = Session::new(ClientConnection::new(config, name)?);
        Ok(TlsStream { inner, session, scratch: vec![0; BLOCK].into() })
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The stream below, to configure or to close it; moving bytes past TLS breaks the connection.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<S: Read + Write> TlsStream<S> {
    /// Makes the handshake, unless it is done.
    ///
    /// # Errors
    ///
    /// Those of the stream below: `WouldBlock`, or `TimedOut`, and then it can go on with the next call. `InvalidData` when the broker
    /// does not speak TLS, or its certificate is not good; the text says why.
    pub fn handshake(&mut self) -> io::Result<()> {
        loop {
            self.send()?;
            if !self.session.is_handshaking() {
                return Ok(());
            }
            self.fill(&mut [])?;
            if let Some(end) = self.session.end() {
                end.told()?;
            }
        }
    }

    /// Tells the broker that nothing more comes, behind all that was written; reading goes on.
    ///
    /// # Errors
    ///
    /// As `flush`, with which it goes on.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        self.handshake()?;
        self.session.finish();
        self.flush()
    }

    /// Makes two of it, so that one thread can read while another writes, after the handshake. `writer` is a second handle on the stream
    /// below, say by `try_clone`.
    ///
    /// # Errors
    ///
    /// As [`handshake`](Self::handshake); over a stream that does not wait, have that done before.
    pub fn into_halves<W: Write>(mut self, writer: W) -> io::Result<(TlsReader<S, W>, TlsWriter<W>)> {
        self.handshake()?;
        Ok(crate::halves::split(self.inner, writer, self.session, self.scratch))
    }

    /// Reads from below, once; how many bytes of `buf` that filled.
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(&mut self.scratch)? {
            0 => {
                self.session.cut_off();
                Ok(0)
            }
            arrived => {
                let count = self.session.feed(&self.scratch[..arrived], buf);
                // What the protocol has to say by itself; if that fails, the next write tells.
                drop(self.send());
                Ok(count)
            }
        }
    }
}

impl<S: Write> TlsStream<S> {
    fn send(&mut self) -> io::Result<()> {
        self.session.send(&mut self.inner)
    }

    /// Sends what goes through.
    fn send_what_fits(&mut self) -> io::Result<()> {
        match self.send() {
            Err(error) if is_not_now(&error) => Ok(()),
            other => other,
        }
    }
}

impl<S: Read + Write> Read for TlsStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        // Who only reads, for an answer, must not wait for a question that was never sent. If sending fails the
        // answer may be there all the same; the next write tells.
        drop(self.send());
        let mut count = self.session.take(buf);
        while count == 0 {
            if let Some(end) = self.session.end() {
                return end.told();
            }
            count = self.fill(buf)?;
        }
        Ok(count)
    }
}

impl<S: Read + Write> Write for TlsStream<S> {
    /// # Errors
    ///
    /// `WouldBlock` while there is no room, for what was taken before has not left; those of the stream below.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.handshake() {
            Err(error) if !is_not_now(&error) => return Err(error),
            _ => {}
        }
        let count = self.session.seal(bufs)?;
        self.send_what_fits()?;
        match count == 0 && bufs.iter().any(|buf| !buf.is_empty()) {
            true => Err(ErrorKind::WouldBlock.into()),
            false => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.handshake()?;
        self.inner.flush()
    }
}

/// Whether the stream below had no time to wait.
pub(crate) fn is_not_now(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither keys nor bytes.
        f.debug_struct("TlsStream").field("inner", &self.inner).finish_non_exhaustive()
    }
}
