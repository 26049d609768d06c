//! One connection of a [`TlsManager`](crate::TlsManager) whose handshake is done, or under way.

use crate::below::Below;
use crate::session::Session;
use msglib_proto::transport::ConnectionManager;
use rustls::ServerConnection;
use std::io::{self, ErrorKind, IoSlice};

/// Reads from below in one turn, at most: a peer can send records without a byte in them for ever.
pub(crate) const READS: usize = 16;
/// Bytes that one read from below may bring, however few are wanted.
const LEAST: usize = 4096;

pub(crate) struct Connection {
    session: Session,
    /// The turn was over before all was read that may be there.
    has_more: bool,
    /// `read` has returned the end, which sticks (T4).
    end_told: bool,
    /// `write` has refused something, so a `Writable` is owed (T13).
    refused: bool,
    /// Why what was accepted could not be sent.
    broken: Option<io::Error>,
}

/// How far a handshake has come.
pub(crate) enum Handshake {
    GoesOn,
    Done,
    Failed,
}

impl Connection {
    pub(crate) fn new(tls: ServerConnection) -> Connection {
        let session = Session::new(tls);
        Connection { session, has_more: false, end_told: false, refused: false, broken: None }
    }

    /// The certificate of the peer (DER).
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.session.certificate()
    }

    /// Goes on with the handshake. When it has failed, the peer was told so as far as there was room.
    pub(crate) fn shake_hands(
        &mut self,
        below: &mut Below<'_, impl ConnectionManager>,
        scratch: &mut [u8],
    ) -> Handshake {
        self.fill(below, &mut [], scratch, |session, _| !session.is_handshaking());
        self.send_or_break(below);
        match self.session.is_handshaking() {
            // Whatever came behind it.
            false => Handshake::Done,
            true if self.session.end().is_some() || self.broken.is_some() => Handshake::Failed,
            true => Handshake::GoesOn,
        }
    }

    /// Fills `buf` from what is plain already, then from below.
    ///
    /// # Errors
    ///
    /// As [`ConnectionManager::read`].
    pub(crate) fn read(
        &mut self,
        below: &mut Below<'_, impl ConnectionManager>,
        buf: &mut [u8],
        scratch: &mut [u8],
    ) -> io::Result<usize> {
        let mut count = self.session.take(buf);
        // A connection that is broken below may be gone there, and has nothing more to give.
        if count < buf.len() && self.broken.is_none() {
            let rest = &mut buf[count..];
            let wanted = rest.len();
            count += self.fill(below, rest, scratch, |_, filled| filled == wanted);
            // What the protocol has to say by itself.
            self.send_or_break(below);
        }
        if count > 0 || buf.is_empty() { Ok(count) } else { self.nothing_to_read() }
    }

    /// Reads from below until that is `enough`, nothing more is there, or the turn is over; how many plain bytes came of it.
    fn fill(
        &mut self,
        below: &mut Below<'_, impl ConnectionManager>,
        buf: &mut [u8],
        scratch: &mut [u8],
        enough: impl Fn(&Session, usize) -> bool,
    ) -> usize {
        let mut count = 0;
        self.has_more = false;
        for _ in 0..READS {
            if self.session.end().is_some() || enough(&self.session, count) {
                return count;
            }
            // Hardly more than fits, so that little has to be kept.
            let most = scratch.len().min((buf.len() - count).max(LEAST));
            match below.manager.read(below.id, &mut scratch[..most]) {
                Ok(0) => self.session.cut_off(),
                Ok(arrived) => {
                    count += self.session.feed(&scratch[..arrived], &mut buf[count..]);
                    // Below a full buffer new data brings a new report (T5).
                    if arrived < most {
                        return count;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.session.failed(&error),
            }
        }
        self.has_more = true;
        count
    }

    /// What `read` says when there is no plain byte.
    fn nothing_to_read(&mut self) -> io::Result<usize> {
        match self.session.end() {
            Some(end) => {
                self.end_told = true;
                end.told()
            }
            None => Err(self.broken.take().unwrap_or(ErrorKind::WouldBlock.into())),
        }
    }

    /// Whether a `read` would have something to say, or to do, that no report from below will tell of (T5).
    pub(crate) fn owes_report(&self) -> bool {
        self.has_more || self.session.has_plain() || self.owes_end()
    }

    /// Whether an end, or an error, is known that was not returned yet.
    pub(crate) fn owes_end(&self) -> bool {
        (self.session.end().is_some() || self.broken.is_some()) && !self.end_told
    }

    /// Seals what there is room for and sends what goes through.
    ///
    /// # Errors
    ///
    /// As [`ConnectionManager::write`].
    pub(crate) fn write(
        &mut self,
        below: &mut Below<'_, impl ConnectionManager>,
        bufs: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let offered = bufs.iter().map(|buf| buf.len()).sum();
        let mut bufs: Vec<IoSlice<'_>> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
        let mut rest = &mut bufs[..];
        let mut count = 0;
        while count < offered {
            let sealed = self.session.seal(rest)?;
            count += sealed;
            IoSlice::advance_slices(&mut rest, sealed);
            match self.session.send(below) {
                // Below it is full, and so is what can wait here.
                Err(error) if error.kind() == ErrorKind::WouldBlock && sealed == 0 => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => other?,
            }
        }
        self.refused |= count < offered;
        if count == 0 && offered > 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    /// There is room below: sends on. Whether that is worth a `Writable`.
    pub(crate) fn send_on(&mut self, below: &mut Below<'_, impl ConnectionManager>) -> bool {
        self.send_or_break(below);
        let worth = self.refused && (!self.session.has_sealed() || self.broken.is_some());
        self.refused &= !worth;
        worth
    }

    fn send_or_break(&mut self, below: &mut Below<'_, impl ConnectionManager>) {
        if self.broken.is_some() {
            return;
        }
        match self.session.send(below) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => self.broken = Some(error),
            _ => {}
        }
    }

    /// The user is done with it, and the peer will be told; what is still to be sent, that included, goes by [`Session::send`].
    pub(crate) fn into_last_words(mut self) -> Session {
        self.session.finish();
        self.session
    }
}
