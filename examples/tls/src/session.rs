//! One end of one TLS connection, and no IO: sealed bytes on one side, plain ones on the other.

use rustls::Connection;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

/// The most sealed bytes that wait to be sent.
pub(crate) const BUFFER: usize = 64 * 1024;

/// A rustls connection that is fed with what arrives, and empties itself into what is sent.
pub(crate) struct Session {
    connection: Connection,
    /// Plain bytes that wait to be taken.
    plain: usize,
    /// Sealed bytes that arrived and that rustls does not take before some of the plain ones are taken.
    unfed: Vec<u8>,
    end: Option<End>,
}

/// What comes behind the last plain byte.
#[derive(Clone)]
pub(crate) enum End {
    /// The peer has said that it is the end.
    Clean,
    /// The stream was cut off, or what came is not TLS.
    Error(ErrorKind, Arc<str>),
}

impl End {
    /// What a read says of it.
    pub(crate) fn told(&self) -> io::Result<usize> {
        match self {
            End::Clean => Ok(0),
            End::Error(kind, words) => Err(io::Error::new(*kind, words.to_string())),
        }
    }
}

impl Session {
    pub(crate) fn new(connection: impl Into<Connection>) -> Session {
        let mut connection = connection.into();
        connection.set_buffer_limit(Some(BUFFER));
        Session { connection, plain: 0, unfed: Vec::new(), end: None }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The certificate that the peer has proved to own (DER), if it showed one.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.connection.peer_certificates()?.first().map(|certificate| certificate.as_ref())
    }

    /// What comes behind the plain bytes, once it is known.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Whether [`take`](Self::take) would bring something.
    pub(crate) fn has_plain(&self) -> bool {
        self.plain > 0 || !self.unfed.is_empty()
    }

    /// Takes sealed bytes that arrived, and fills `buf` with what is plain; how much that is. What does not fit is kept.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], buf: &mut [u8]) -> usize {
        let mut count = self.take(buf);
        while self.unfed.is_empty() && self.step(&mut bytes) {
            count += self.take(&mut buf[count..]);
        }
        self.unfed.extend_from_slice(bytes);
        count
    }

    /// Fills `buf` with plain bytes that wait; how many.
    pub(crate) fn take(&mut self, buf: &mut [u8]) -> usize {
        let mut count = 0;
        loop {
            // It fails where there is nothing, for whatever reason; `end` has the reason.
            let taken = self.connection.reader().read(&mut buf[count..]).unwrap_or(0);
            count += taken;
            self.plain -= taken;
            let unfed = std::mem::take(&mut self.unfed);
            let mut rest = &unfed[..];
            if count == buf.len() || !self.step(&mut rest) {
                self.unfed = unfed;
                return count;
            }
            self.unfed = rest.to_vec();
        }
    }

    /// Hands some of `bytes` to rustls; false when it takes none now, or there are none.
    fn step(&mut self, bytes: &mut &[u8]) -> bool {
        if bytes.is_empty() {
            return false;
        }
        if self.end.is_some() {
            // What comes behind the end is nobody's.
            *bytes = &[];
            return false;
        }
        // The only failure is that there are too many plain bytes already.
        if self.connection.read_tls(bytes).is_err() {
            return false;
        }
        match self.connection.process_new_packets() {
            Ok(state) => {
                self.plain = state.plaintext_bytes_to_read();
                if state.peer_has_closed() {
                    self.end = Some(End::Clean);
                }
            }
            Err(error) => self.end = Some(End::Error(ErrorKind::InvalidData, format!("TLS: {error}").into())),
        }
        true
    }

    /// The stream below has ended.
    pub(crate) fn cut_off(&mut self) {
        let words = match self.is_handshaking() {
            true => "the peer went away during the TLS handshake",
            false => "the peer closed the connection without a word of TLS: what it sent last may be missing",
        };
        self.end.get_or_insert(End::Error(ErrorKind::UnexpectedEof, words.into()));
    }

    /// The stream below has failed.
    pub(crate) fn failed(&mut self, error: &io::Error) {
        self.end.get_or_insert(End::Error(error.kind(), error.to_string().into()));
    }

    /// Seals what there is room for; how many plain bytes that was.
    pub(crate) fn seal(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.connection.writer().write_vectored(bufs)
    }

    /// Behind all that was sealed the peer is told that nothing more comes.
    pub(crate) fn finish(&mut self) {
        self.connection.send_close_notify();
    }

    /// Whether something is sealed and not sent.
    pub(crate) fn has_sealed(&self) -> bool {
        self.connection.wants_write()
    }

    /// Sends what is sealed, until all is sent or `out` fails; after `WouldBlock` it can be tried again.
    pub(crate) fn send(&mut self, out: &mut dyn Write) -> io::Result<()> {
        while self.has_sealed() {
            match self.connection.write_tls(out) {
                // The shortest of all prefixes (T6).
                Ok(0) => return Err(ErrorKind::WouldBlock.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => drop(other?),
            }
        }
        Ok(())
    }
}
