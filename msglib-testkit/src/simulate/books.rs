//! What a handler says of its queues, so that it can be compared with what the clients know.

use msglib_broker::{ConnectionHandler, Ledger};
use msglib_proto::ChannelName;

/// What a handler says of one queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// What became of every message.
    pub ledger: Ledger,
    /// Bytes that its messages take, each with an overhead of [`OVERHEAD`](msglib_broker::queue::OVERHEAD); `None` if the handler
    /// does not count them.
    pub bytes: Option<usize>,
    /// Consumers.
    pub consumers: usize,
    /// Links.
    pub links: usize,
}

/// Where a handler's books are.
pub type Books<H> = fn(&H, ChannelName<'_>) -> Option<Account>;

/// The books of the stock handler.
pub fn stock_books(handler: &ConnectionHandler, name: ChannelName<'_>) -> Option<Account> {
    let queue = handler.queue(name)?;
    let (ledger, consumers, links) = (queue.ledger, queue.consumers, queue.links);
    Some(Account { ledger, bytes: Some(queue.bytes), consumers, links })
}
