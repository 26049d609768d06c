//! What a manager counts.

/// What an [`EpollSocketManager`](crate::EpollSocketManager) has done and holds; see
/// [`stats`](crate::EpollSocketManager::stats).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SocketStats {
    /// Connections that came through a listener, since the manager's creation.
    pub accepted: u64,
    /// Failed accepts, whatever the reason, since the manager's creation: peers that left before they were accepted,
    /// and attempts while the system was out of descriptors or memory.
    pub accept_errors: u64,
    /// How often accepting was paused because the system was out of descriptors or memory. When this moves, raise
    /// the limit of open files (`ulimit -n`).
    pub accept_pauses: u64,
    /// How often accepting stopped because as many connections were there as
    /// [`max_connections`](crate::EpollSocketManagerBuilder::max_connections) allows.
    pub accept_limits: u64,
    /// Polls that accepted as many as one may
    /// ([`accepts_per_poll`](crate::EpollSocketManagerBuilder::accepts_per_poll)), so that there may be more.
    pub accept_turns_cut: u64,
    /// Connections that are open now, accepted and adopted ones.
    pub open: usize,
    /// Connections that were closed with a drain which has not ended yet. They still hold a descriptor.
    pub draining: usize,
    /// Drains that met their deadline before the peer had closed, since the manager's creation.
    pub drain_timeouts: u64,
}
