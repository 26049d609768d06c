//! A subscription that outlives its connection.

use super::line::{Generation, Line};
use crate::connection::{Connection, Deliveries, Delivery, Subscription};
use crate::error::Error;
use core::fmt;
use msglib_proto::{ChannelKind, OwnedName};
use std::sync::Arc;

/// A subscription that is made again on the next connection; from [`Reconnecting::subscribe`](super::Reconnecting::subscribe).
///
/// It goes on within the call that waits for a message. A delivery belongs to the connection that it came by: when that has ended, to
/// settle it is the connection's error, and the message comes again, to this subscription or another. What a topic's subscribers were
/// sent meanwhile is lost to this one.
pub struct ResumingSubscription {
    line: Arc<Line>,
    wanted: Wanted,
    open: Option<(Generation, Subscription)>,
}

struct Wanted {
    kind: ChannelKind,
    name: OwnedName,
    arguments: Vec<u8>,
    prefetch: u32,
}

impl ResumingSubscription {
    pub(super) fn open(
        line: Arc<Line>,
        kind: ChannelKind,
        name: OwnedName,
        arguments: &[u8],
        prefetch: u32,
    ) -> Result<ResumingSubscription, Error> {
        let wanted = Wanted { kind, name, arguments: arguments.to_vec(), prefetch };
        let mut subscription = ResumingSubscription { line, wanted, open: None };
        subscription.keep_trying(|_| Ok(()))?;
        Ok(subscription)
    }

    /// Waits for the next delivery, as [`Subscription::next`], on as many connections as it takes.
    ///
    /// # Errors
    ///
    /// [`Error::LinkClosed`] with the reason when the broker refused or ended the subscription: the next call subscribes again. As every
    /// call: see [`Reconnecting`](super::Reconnecting).
    // As `Subscription::next`.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Delivery, Error> {
        self.keep_trying(Subscription::next)
    }

    /// Waits for the next delivery and takes all that have arrived by then, as [`Subscription::next_batch`].
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_batch(&mut self, most: usize) -> Result<Deliveries, Error> {
        self.keep_trying(|subscription| subscription.next_batch(most))
    }

    /// Makes a call on the subscription of the current connection.
    fn keep_trying<T>(&mut self, mut call: impl FnMut(&mut Subscription) -> Result<T, Error>) -> Result<T, Error> {
        let ResumingSubscription { line, wanted, open } = self;
        line.keep_trying(|generation, connection| {
            let subscription = match open {
                Some((of, subscription)) if *of == generation => subscription,
                _ => &mut open.insert((generation, wanted.subscribe(connection)?)).1,
            };
            let result = call(subscription);
            if let Err(Error::LinkClosed { .. }) = result {
                *open = None;
            }
            result
        })
    }
}

impl Wanted {
    fn subscribe(&self, connection: &Connection) -> Result<Subscription, Error> {
        connection.subscribe(self.kind, &self.name, &self.arguments, self.prefetch)
    }
}

impl fmt::Debug for ResumingSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumingSubscription").field("name", &self.wanted.name).finish_non_exhaustive()
    }
}
