//! The broker's side: a connection manager that never waits.

use crate::hub::Hub;
use crate::{BindError, Clock, Transport};
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::io::{self, IoSlice};
use std::sync::Arc;

/// What a broker uses to talk to the peers that [`connect`](Transport::connect) to its endpoint.
///
/// Keeps the rules T1 to T17 of [`msglib_proto::transport`], and these of its own:
///
/// - `poll` never waits, whatever its time-out, so there is no waker; but it
///   [announces](ConnectionManager::announce) its news, so that a
///   [`CompositeConnectionManager`](msglib_proto::transport::CompositeConnectionManager) can wait for it beside sockets. Its cost
///   grows with what it reports, not with the number of connections.
/// - Reports come in the order in which things happened, and no more often than the contract asks for.
/// - A connection whose `read` or `write` has failed for good (T14) is closed thereby; its id is `NotFound` from there on.
/// - `write` is `BrokenPipe` when the peer has dropped its stream, `read` and `write` are `ConnectionReset` when it has
///   [reset](crate::MemoryStream::reset) it.
/// - A drain ends when the peer has read all. Otherwise the first poll at or after its deadline ends it; the peer
///   then sees `ConnectionReset`, as it does after an abort.
/// - [`stop_accepting`](ConnectionManager::stop_accepting) frees the endpoint: to connect to it is refused, and another manager may be bound to
///   it. Peers that had connected before are opened.
/// - `seed` gives the next number of the transport's sequence, the configured seed first.
///
/// Dropping the manager frees its endpoint and closes its connections: each peer may read what was written to it, then
/// finds the end; its writes are `BrokenPipe`.
#[derive(Debug)]
pub struct InMemoryConnectionManager {
    transport: Transport,
    endpoint: String,
    hub: Arc<Hub>,
    clock: Clock,
}

impl InMemoryConnectionManager {
    /// Binds a new manager to `endpoint`, so that peers can connect to it from now on.
    ///
    /// # Errors
    ///
    /// When another manager is bound to `endpoint` in this transport.
    ///
    /// ```
    /// use msglib_io_memory::{InMemoryConnectionManager, Transport};
    ///
    /// let transport = Transport::new();
    /// let manager = InMemoryConnectionManager::new(&transport, "broker")?;
    /// assert!(InMemoryConnectionManager::new(&transport, "broker").is_err());
    /// drop(manager);
    /// InMemoryConnectionManager::new(&transport, "broker")?;
    /// # Ok::<(), msglib_io_memory::BindError>(())
    /// ```
    pub fn new(transport: &Transport, endpoint: impl AsRef<str>) -> Result<InMemoryConnectionManager, BindError> {
        let endpoint = endpoint.as_ref().to_owned();
        let hub = transport.bind(&endpoint)?;
        Ok(InMemoryConnectionManager { transport: transport.clone(), endpoint, hub, clock: transport.clock() })
    }

    /// The name that peers connect to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl ConnectionManager for InMemoryConnectionManager {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, _timeout: Option<Duration>) -> io::Result<()> {
        self.hub.poll(self.clock.now(), ready);
        Ok(())
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.hub.read(id, buf)
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.hub.write(id, bufs)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        self.hub.close(id, how);
    }

    fn stop_accepting(&mut self) -> bool {
        self.transport.unbind(&self.endpoint, &self.hub);
        true
    }

    fn waker(&self) -> Option<Waker> {
        None
    }

    fn announce(&mut self, waker: Waker) -> bool {
        self.hub.announce_to(waker);
        true
    }

    fn seed(&mut self) -> u128 {
        self.transport.next_seed()
    }
}

impl Drop for InMemoryConnectionManager {
    fn drop(&mut self) {
        self.transport.unbind(&self.endpoint, &self.hub);
        self.hub.orphan();
    }
}
