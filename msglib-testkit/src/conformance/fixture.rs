//! What a backend's author supplies: a manager, peers that connect to it, and its clock.

use super::Skipped;
use core::time::Duration;
use msglib_proto::transport::ConnectionManager;
use std::io;

/// One manager and the means to connect to it; made anew for each case.
///
/// ```
/// use core::time::Duration;
/// use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
/// use msglib_testkit::conformance::{Fixture, RawPeer};
/// use std::io::{self, Read, Write};
///
/// struct Memory {
///     transport: Transport,
///     manager: InMemoryConnectionManager,
/// }
///
/// struct Peer(MemoryStream);
///
/// impl Fixture for Memory {
///     type Manager = InMemoryConnectionManager;
///     type Peer = Peer;
///
///     fn new() -> Memory {
///         let transport = Transport::new();
///         let manager = InMemoryConnectionManager::new(&transport, "broker").expect("nobody else is bound");
///         Memory { transport, manager }
///     }
///     fn manager(&mut self) -> &mut InMemoryConnectionManager {
///         &mut self.manager
///     }
///     fn connect(&mut self) -> Peer {
///         self.try_connect().expect("the manager listens")
///     }
///     fn try_connect(&mut self) -> Option<Peer> {
///         self.transport.connect("broker").ok().map(Peer)
///     }
///     fn advance(&mut self, by: Duration) {
///         self.transport.clock().advance(by);
///     }
/// }
///
/// impl RawPeer for Peer {
///     fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
///         self.0.read(buf)
///     }
///     fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
///         self.0.write(bytes)
///     }
///     fn shutdown_write(&mut self) -> io::Result<()> {
///         self.0.shutdown_write();
///         Ok(())
///     }
///     fn reset(&mut self) -> io::Result<()> {
///         self.0.reset();
///         Ok(())
///     }
/// }
///
/// // One `#[test]` for each case; in a module of its own if there is more than one fixture.
/// msglib_testkit::conformance!(Memory);
/// # fn main() {}
/// ```
pub trait Fixture: Sized {
    /// The manager under test.
    type Manager: ConnectionManager;
    /// The other end of a connection.
    type Peer: RawPeer;

    /// A manager that nobody has connected to, with room for at least 256 bytes in each direction of a
    /// connection. Give it a longest wait of two seconds or more: with a shorter one T15 cannot be seen, and its cases
    /// are skipped.
    ///
    /// # Panics
    ///
    /// When it cannot be made; that is the failure of the case.
    fn new() -> Self;

    /// The manager under test. The same one each time.
    fn manager(&mut self) -> &mut Self::Manager;

    /// Connects one more peer. Must return without the manager being polled.
    ///
    /// # Panics
    ///
    /// When it cannot connect; that is the failure of the case.
    fn connect(&mut self) -> Self::Peer;

    /// Connects one more peer if it is not refused, as it should be: only asked for after the manager has said that it takes no new
    /// connections (T17). By default [`connect`](Self::connect), which will do for a manager that never says so.
    fn try_connect(&mut self) -> Option<Self::Peer> {
        Some(self.connect())
    }

    /// Moves the manager's clock by `by`. A clock that goes by itself needs nothing: the kit then waits, by polling.
    fn advance(&mut self, by: Duration) {
        let _ = by;
    }

    /// Whether a connection is there as soon as its peer has connected. Where the transport has a handshake of its own, as TLS
    /// has, `Opened` comes when that is done, and a peer that leaves before it is nobody: the case about such a peer is then skipped.
    fn opens_at_once() -> bool {
        true
    }

    /// Whether the platform has threads, which the cases of T15 need.
    fn has_threads() -> bool {
        true
    }

    /// Takes limits away from the broker of the abuse suite, to see that the suite finds out.
    #[doc(hidden)]
    fn weaken(broker: &mut crate::abuse::Setup) {
        let _ = broker;
    }

    /// Called instead of a verdict when a case could not be run. By default it prints; an author who knows that their
    /// backend can do everything panics here, so that no case can fall silent.
    #[expect(clippy::print_stderr, reason = "the output of a test")]
    fn skipped(case: &str, why: &Skipped) {
        eprintln!("{case}: skipped: {why}");
    }
}

/// The peer's end of a connection: raw bytes, never waiting. Dropping it closes both directions in good order.
pub trait RawPeer {
    /// Reads what is there; `Ok(0)` is the end.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is nothing now; any other when the connection is broken.
    fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes what there is room for.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room now; any other when the connection is broken.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Ends the direction to the broker, behind what was written; the other one stays.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the transport has no such thing: the case is then skipped.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Breaks the connection off, both directions at once, as a crashed machine's reset would. The peer is dropped
    /// right after. There is always something that the peer has not read, so where closing with unread input is a reset,
    /// as on TCP, waiting for that input is enough.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the transport has no such thing: the case is then skipped.
    fn reset(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Moves what the peer itself has buffered; called before each poll. Only a peer with buffers of its own (an
    /// encrypting one) has something to do here; its errors show in the next read or write.
    fn drive(&mut self) {}
}
