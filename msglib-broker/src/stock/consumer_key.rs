//! Whom a delivery is for.

use msglib_proto::LinkNumber;
use msglib_proto::transport::ConnectionId;

/// A consumer of the stock handler: a link of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub struct ConsumerKey {
    /// The connection.
    pub connection: ConnectionId,
    /// The link.
    pub link: LinkNumber,
}
