//! What can be set on a service.

use core::time::Duration;

/// How much a service takes on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestsConfig {
    /// Requests that may be under way at once: waiting, with a responder, or with an outcome that its caller has not taken. Default 65,536.
    pub max_pending: usize,
    /// Bytes that the requests that wait may take, each counted with its payload and
    /// [`Requests::OVERHEAD`](super::Requests::OVERHEAD). Default 256 MiB.
    pub max_bytes: usize,
    /// Bytes of replies that may wait for one caller who does not take them, counted likewise. A reply beyond that becomes
    /// [`Outcome::CallerTooSlow`](super::Outcome::CallerTooSlow); a larger one waits alone. Default 16 MiB.
    pub max_replies: usize,
    /// How far the tags of what one responder has in hand may spread, from the oldest that has no answer to the newest. Default 65,536.
    pub max_in_hand: usize,
    /// How long a request may take whose caller does not say, and at most. Default 60 s.
    pub deadline: Duration,
}

impl Default for RequestsConfig {
    fn default() -> RequestsConfig {
        RequestsConfig {
            max_pending: 65_536,
            max_bytes: 256 << 20,
            max_replies: 16 << 20,
            max_in_hand: 65_536,
            deadline: Duration::from_secs(60),
        }
    }
}

impl RequestsConfig {
    /// With another [`max_pending`](RequestsConfig::max_pending).
    pub fn with_max_pending(mut self, requests: usize) -> RequestsConfig {
        self.max_pending = requests;
        self
    }

    /// With another [`max_bytes`](RequestsConfig::max_bytes).
    pub fn with_max_bytes(mut self, bytes: usize) -> RequestsConfig {
        self.max_bytes = bytes;
        self
    }

    /// With another [`max_replies`](RequestsConfig::max_replies), in bytes.
    pub fn with_max_replies(mut self, bytes: usize) -> RequestsConfig {
        self.max_replies = bytes;
        self
    }

    /// With another [`max_in_hand`](RequestsConfig::max_in_hand); 0 counts as 1.
    pub fn with_max_in_hand(mut self, requests: usize) -> RequestsConfig {
        self.max_in_hand = requests.max(1);
        self
    }

    /// With another [`deadline`](RequestsConfig::deadline).
    pub fn with_deadline(mut self, deadline: Duration) -> RequestsConfig {
        self.deadline = deadline;
        self
    }
}
