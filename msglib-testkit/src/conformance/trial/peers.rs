//! What the peers do in a trial.

use super::{Link, PeerKey, Trial, shown, uninterrupted};
use crate::conformance::log::Entry;
use crate::conformance::{Fixture, RawPeer, Skipped};
use std::io::{ErrorKind, IoSlice};

/// The peers' calls.
impl<F: Fixture> Trial<'_, F> {
    #[track_caller]
    fn peer(&mut self, key: PeerKey) -> &mut F::Peer {
        self.peers[key.0].as_mut().expect("a case uses no peer that it has dropped")
    }

    pub(crate) fn peer_read(&mut self, key: PeerKey, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        let peer = self.peer(key);
        let outcome = uninterrupted(|| peer.try_read(buf));
        self.log.push(Entry::PeerRead { peer: key.0, outcome });
        self.arrived |= matches!(outcome, Ok(1..));
        outcome
    }

    pub(crate) fn peer_write(&mut self, key: PeerKey, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let peer = self.peer(key);
        let outcome = uninterrupted(|| peer.try_write(bytes));
        self.log.push(Entry::PeerWrite { peer: key.0, len: bytes.len(), outcome });
        outcome
    }

    /// Reads all that is there now. `Some` at the end of the stream.
    #[track_caller]
    pub(crate) fn peer_read_available(&mut self, key: PeerKey, into: &mut Vec<u8>) -> Option<()> {
        let mut buf = vec![0; 64 << 10];
        loop {
            match self.peer_read(key, &mut buf) {
                Ok(0) => return Some(()),
                Ok(count) => into.extend_from_slice(&buf[..count]),
                Err(ErrorKind::WouldBlock) => return None,
                Err(kind) => self.fail(format_args!("peer {} to read on", key.0), format_args!("{kind:?}")),
            }
        }
    }

    /// The peer reads, behind what it has in `received`, the rest of `expected`.
    #[track_caller]
    pub(crate) fn peer_receive(&mut self, key: PeerKey, mut received: Vec<u8>, expected: &[u8]) {
        self.until(&format!("{} bytes at peer {}", expected.len(), key.0), |trial| {
            match trial.peer_read_available(key, &mut received) {
                Some(()) if received.len() < expected.len() => trial.fail(
                    format_args!("{} bytes at peer {}", expected.len(), key.0),
                    format_args!("the end after {}", received.len()),
                ),
                _ => (received.len() >= expected.len()).then_some(()),
            }
        });
        self.compare(&received, expected, &format!("to peer {}", key.0));
    }

    /// The peer reads `expected`, then the end.
    #[track_caller]
    pub(crate) fn peer_receive_to_end(&mut self, key: PeerKey, expected: &[u8]) {
        let mut received = Vec::new();
        self.until(&format!("{} bytes at peer {}, then the end", expected.len(), key.0), |trial| {
            trial.peer_read_available(key, &mut received)
        });
        self.compare(&received, expected, &format!("to peer {}", key.0));
    }

    /// The peer writes all of `bytes`; the manager is polled meanwhile, and nothing is read.
    #[track_caller]
    pub(crate) fn peer_send(&mut self, key: PeerKey, bytes: &[u8]) {
        let mut sent = 0;
        self.until(&format!("room for {} bytes of peer {}", bytes.len(), key.0), |trial| {
            trial.peer_write_on(key, bytes, &mut sent);
            (sent == bytes.len()).then_some(())
        });
    }

    /// The peer writes `bytes`, for which there is room, without a poll.
    #[track_caller]
    pub(crate) fn peer_push(&mut self, key: PeerKey, bytes: &[u8]) {
        let written = self.peer_write(key, bytes);
        self.check(written == Ok(bytes.len()), format_args!("room for {} bytes", bytes.len()), shown(&written));
        self.peer(key).drive();
    }

    /// The peer writes on from `bytes[*sent]`, for as long as there is room.
    #[track_caller]
    pub(crate) fn peer_write_on(&mut self, key: PeerKey, bytes: &[u8], sent: &mut usize) {
        while *sent < bytes.len() {
            match self.peer_write(key, &bytes[*sent..]) {
                Ok(count) => *sent += count,
                Err(ErrorKind::WouldBlock) => return,
                Err(kind) => self.fail(format_args!("peer {} to write on", key.0), format_args!("{kind:?}")),
            }
        }
    }

    /// # Errors
    ///
    /// Where the transport has no half-close.
    #[track_caller]
    pub(crate) fn peer_shutdown(&mut self, key: PeerKey) -> Result<(), Skipped> {
        self.log.push(Entry::PeerShutdown { peer: key.0 });
        match self.peer(key).shutdown_write() {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                Err(Skipped::new("no half-close in this transport"))
            }
            Err(error) => self.fail(format_args!("peer {} to close its sending side", key.0), error),
        }
    }

    /// Resets the connection, with something unread at the peer (see [`RawPeer::reset`]).
    ///
    /// # Errors
    ///
    /// Where the transport has no reset.
    #[track_caller]
    pub(crate) fn peer_reset(&mut self, link: Link) -> Result<(), Skipped> {
        self.leave_something_unread(link);
        let key = link.peer;
        self.log.push(Entry::PeerReset { peer: key.0 });
        match self.peer(key).reset() {
            Ok(()) => {
                self.peers[key.0] = None;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => Err(Skipped::new("no reset in this transport")),
            Err(error) => self.fail(format_args!("peer {} to reset", key.0), error),
        }
    }

    /// Writes, and goes on until something was taken, or there is no room because something was taken before.
    #[track_caller]
    fn leave_something_unread(&mut self, link: Link) {
        for _ in 0..10 {
            let outcome = self.write(link.id, &[IoSlice::new(b"unread")]);
            self.check(matches!(outcome, Ok(_) | Err(ErrorKind::WouldBlock)), "a connection in order", shown(&outcome));
            self.round();
            if matches!(outcome, Ok(1..)) {
                return;
            }
        }
    }

    pub(crate) fn peer_drop(&mut self, key: PeerKey) {
        self.log.push(Entry::PeerDropped { peer: key.0 });
        self.peers[key.0] = None;
    }

    /// Polls until the peer finds its connection ended: by the end of the stream or by an error, whatever was under way.
    #[track_caller]
    pub(crate) fn peer_finds_an_end(&mut self, key: PeerKey) {
        let mut buf = vec![0; 64 << 10];
        self.until(&format!("peer {} to find the end, or an error", key.0), |trial| {
            loop {
                match trial.peer_read(key, &mut buf) {
                    Ok(0) => return Some(()),
                    Ok(_) => {}
                    Err(ErrorKind::WouldBlock) => return None,
                    Err(_) => return Some(()),
                }
            }
        });
    }

    /// Polls until the peer, which reads nothing, can no longer write.
    #[track_caller]
    pub(crate) fn peer_is_cut_off(&mut self, key: PeerKey) {
        self.until(
            &format!("the writes of peer {} to fail, for nobody takes them any more", key.0),
            |trial| match trial.peer_write(key, b"anyone?") {
                Ok(_) | Err(ErrorKind::WouldBlock) => None,
                Err(_) => Some(()),
            },
        );
    }
}
