//! What a step, and the end, came to.

/// What happened in one [`process_connections`](crate::Broker::process_connections).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Step {
    /// Reports of the connection manager.
    pub reports: usize,
    /// Whether the next step has something to do without any report.
    pub has_more: bool,
    /// Whether anything was received, sent, opened, ended or due.
    pub changed: bool,
}

impl Step {
    /// Nothing happened, and nothing is left to do until somebody else does something or time passes.
    ///
    /// Reports alone do not count: the known end of a connection that nobody reads any more is reported for ever (T5).
    pub fn is_idle(&self) -> bool {
        !self.has_more && !self.changed
    }
}

/// How the connections ended in a [`shutdown`](crate::Broker::shutdown).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Shutdown {
    /// Connections that were told goodbye and had all that was due to them written.
    pub orderly: usize,
    /// Connections that did not take it in time, and were cut off.
    pub aborted: usize,
}

/// What was left at the end of a [`drain`](crate::Broker::drain).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that are still open.
    pub connections: usize,
    /// What their clients have not settled ([`Handler::unsettled`](crate::Handler::unsettled)); it goes back when they are closed.
    pub unsettled: usize,
}
