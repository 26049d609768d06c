//! Structured events of what a broker does, for the crate `tracing`: the one file that knows it, and nothing without the
//! feature of that name.
//!
//! Only what is rare is told, and never a message or what is in it: connections and their ends, refusals, failures, queues. Each
//! event has the target `msglib_broker`; where it is about a connection, its field `connection` names it. Who wants to see
//! them installs a subscriber; this library installs none.
#![cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nobody is told"))]

use crate::identity::Identity;
use crate::reason::{Reason, Reject};
use core::fmt::Display;
use core::time::Duration;
use msglib_proto::transport::{ConnectionId, Peer};

macro_rules! event {
    ($level:ident, $($fields:tt)+) => {
        #[cfg(feature = "tracing")]
        tracing::$level!(target: "msglib_broker", $($fields)+);
    };
}

pub(crate) fn connected(connection: ConnectionId, peer: &Peer) {
    event!(info, %connection, %peer, listener = peer.listener.0, "connected");
}

/// It is decided who it is.
pub(crate) fn identified(connection: ConnectionId, identity: &Identity) {
    event!(info, %connection, %identity, "identified");
}

/// Its end, whoever wanted it; for a failure or a broken protocol it is worth a warning.
pub(crate) fn disconnected(connection: ConnectionId, reason: &Reason) {
    match reason {
        Reason::Goodbye | Reason::PeerClosed | Reason::Closed => {
            event!(info, %connection, %reason, "disconnected");
        }
        _ => {
            event!(warn, %connection, %reason, "disconnected");
        }
    }
}

/// A handler's refusal of a frame, after which the connection may go on.
pub(crate) fn refused(connection: ConnectionId, reject: &Reject) {
    event!(info, %connection, code = %reject.code(), text = reject.text(), "refused");
}

/// What waited for it was not written in time.
pub(crate) fn cut_off(connection: ConnectionId) {
    event!(warn, %connection, "cut off before all was written");
}

/// The handler sent what the protocol has no place for.
pub(crate) fn misused(mistake: &str) {
    event!(error, mistake, "a mistake of the handler's");
}

pub(crate) fn shutting_down(connections: usize, within: Duration) {
    event!(info, connections, ?within, "shutting down");
}

pub(crate) fn shut_down(orderly: usize, aborted: usize) {
    event!(info, orderly, aborted, "shut down");
}

pub(crate) fn queue_made(queue: &dyn Display) {
    event!(info, %queue, "queue made");
}

/// A consumer that the stock handler could not deliver to.
pub(crate) fn consumer_dismissed(connection: ConnectionId, link: u32, why: &dyn Display) {
    event!(warn, %connection, link, %why, "consumer dismissed");
}
