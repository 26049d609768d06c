//! What handshakes may cost, and what became of them.

use std::time::Duration;

/// The limits of a [`TlsManager`](crate::TlsManager); those of the broker begin when a handshake is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TlsLimits {
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_handshakes: usize,
}

impl Default for TlsLimits {
    fn default() -> TlsLimits {
        TlsLimits { handshake_timeout: Duration::from_secs(10), max_handshakes: 1024 }
    }
}

impl TlsLimits {
    /// How long a peer has for its handshake, from the moment that it connected. Default 10 s, as the broker gives for its own. The
    /// last words to a peer that is no TLS client, or a bad one, have as long.
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> TlsLimits {
        self.handshake_timeout = timeout;
        self
    }

    /// How many handshakes may go on at once; who comes then is cut off. Default 1,024: each takes a few KiB, at most 64.
    pub fn with_max_handshakes(mut self, handshakes: usize) -> TlsLimits {
        self.max_handshakes = handshakes;
        self
    }
}

/// What became of the handshakes of a [`TlsManager`](crate::TlsManager) since its creation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct TlsStats {
    /// Those that go on now.
    pub pending: usize,
    /// Those that were done.
    pub completed: u64,
    /// Those that ended otherwise: no TLS, no certificate that is good, nothing in common, or a peer that went away.
    pub failed: u64,
    /// Those that were not done in time.
    pub timed_out: u64,
    /// Those that never began, for too many went on.
    pub turned_away: u64,
}
