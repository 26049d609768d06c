//! The transport contract: how a broker moves bytes without knowing what moves them.
//!
//! A backend implements [`ConnectionManager`]; a broker drives it. This module knows nothing of frames, and the codec
//! knows nothing of it. Decorators (faults, recording, TLS) are plain wrappers around another manager.
//!
//! # The rules
//!
//! Each rule has a number, and the conformance kit of `msglib-testkit` has at least one case that bears it.
//! *Implementers* must keep all of them; *callers* may rely on nothing else.
//!
//! | rule | what holds |
//! | --- | --- |
//! | **T1** | [`Readiness::Opened`] is the first report about a connection, and comes exactly once. |
//! | **T2** | A [`ConnectionId`] is never used again for another connection. |
//! | **T3** | Data that arrives is reported ([`Readiness::Readable`]) at least once. Spurious reports are allowed. |
//! | **T4** | `read` fills at most `buf`. `Ok(0)` for a `buf` that is not empty is the end of the stream, and sticks. |
//! | **T5** | After `WouldBlock`, and after a count below `buf.len()`, new data is followed by a new report. An end that is already known is reported again until `read` has returned it. |
//! | **T6** | `write` accepts a prefix of what it is offered and says how long it was; a partial write is normal. |
//! | **T7** | Bytes arrive once, in order, unchanged. |
//! | **T8** | `close` with [`Close::Drain`] delivers what was accepted, or gives up at its deadline; [`Close::Abort`] ends at once and overrides a drain. Closing twice is harmless. |
//! | **T9** | After the peer has closed its sending side the broker can still write. |
//! | **T10** | The failure of one connection never fails `poll`. |
//! | **T11** | `poll` with a time-out of zero never blocks. |
//! | **T12** | `now` never goes back. |
//! | **T13** | After `write` returned `WouldBlock` or took only a part, [`Readiness::Writable`] follows when there is room. |
//! | **T14** | Any error of `read` or `write` but `WouldBlock` and `Interrupted` ends that connection for good; an id that is unknown, or was closed, is `NotFound`. |
//! | **T15** | A [`Waker`] used on another thread ends a waiting `poll`; a wake while nobody waits ends the next one. |
//! | **T16** | After [`announce`](ConnectionManager::announce) has returned true, its waker is called whenever something new can be reported that the caller's own calls have not brought about. |
//! | **T17** | After [`stop_accepting`](ConnectionManager::stop_accepting) has returned true, nobody who connects later is opened: they are refused, or find an end. Those who had connected before are opened or ended, and open connections go on. |
//!
//! What is only a hint: which of several ready connections is reported first, how often, and in how many pieces bytes
//! arrive.
//!
//! Several managers side by side are one: [`CompositeConnectionManager`].

mod composite;
mod connection_table;
mod waker;

pub use composite::{CompositeConnectionManager, Members};
pub use connection_table::ConnectionTable;
pub use waker::Waker;

use crate::time::Instant;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

/// Names one connection of one manager, for ever (rule T2).
///
/// `index` is small and dense, so that a user can keep a table beside it; `generation` differs each time that the index
/// is taken again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    index: u32,
    generation: u32,
}

impl ConnectionId {
    /// Puts an id together; for backends that keep a table of their own instead of a [`ConnectionTable`].
    pub const fn new(index: u32, generation: u32) -> ConnectionId {
        ConnectionId { index, generation }
    }

    /// The slot of the connection: small, and taken again after the connection is gone.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// How often the slot had been taken before.
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As in logs: `c3` for the first user of slot 3, `c3.1` for the second.
impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.generation {
            0 => write!(f, "c{}", self.index),
            g => write!(f, "c{}.{g}", self.index),
        }
    }
}

/// Where a peer is, as far as its transport can tell.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Address {
    /// A peer in the same process; the number is unique within its transport.
    Memory(u64),
    /// An internet address.
    Socket(SocketAddr),
    /// A path in the file system, if the peer has bound one.
    Unix(Option<Arc<str>>),
    /// Anything else, in words.
    Other(Arc<str>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Memory(n) => write!(f, "memory:{n}"),
            Address::Socket(address) => address.fmt(f),
            Address::Unix(Some(path)) => write!(f, "unix:{path}"),
            Address::Unix(None) => f.write_str("unix:(unnamed)"),
            Address::Other(words) => f.write_str(words),
        }
    }
}

/// Which of a manager's listeners a connection came through, in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ListenerId(pub u32);

/// What a transport knows about the other end of a new connection.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Where it connected from.
    pub address: Address,
    /// Which listener it came through.
    pub listener: ListenerId,
    /// The certificate that it proved to own (DER), where the transport checked one.
    pub certificate: Option<Arc<[u8]>>,
}

impl Peer {
    /// A peer at `address` that came through the first listener and showed no certificate.
    pub fn new(address: Address) -> Peer {
        Peer { address, listener: ListenerId(0), certificate: None }
    }

    /// The same peer, having come through `listener`.
    pub fn with_listener(mut self, listener: ListenerId) -> Peer {
        self.listener = listener;
        self
    }

    /// The same peer, having proved to own `certificate` (DER).
    pub fn with_certificate(mut self, certificate: Arc<[u8]>) -> Peer {
        self.certificate = Some(certificate);
        self
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// One report of [`ConnectionManager::poll`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// A peer connected. The first report about this id (T1).
    Opened(ConnectionId, Peer),
    /// `read` is worth a try: data, the end of the stream, or an error (T3, T5).
    Readable(ConnectionId),
    /// `write` is worth a try again (T13).
    Writable(ConnectionId),
}

impl Readiness {
    /// The connection that the report is about.
    pub fn id(&self) -> ConnectionId {
        match self {
            Readiness::Opened(id, _) | Readiness::Readable(id) | Readiness::Writable(id) => *id,
        }
    }
}

/// How to close a connection (T8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// Deliver what `write` has accepted, then end; give up at `deadline`. Until the end, what the peer still
    /// sends is read and thrown away. The caller does not wait: the manager works on it during later polls.
    Drain {
        /// In the manager's own time.
        deadline: Instant,
    },
    /// End at once; what was accepted but not delivered may be lost.
    Abort,
}

/// A source of connections and the way to their bytes.
///
/// The manager owns its connections; callers hold [`ConnectionId`]s. It is object-safe, and every method is called
/// from one thread. The [module's table](self) has the rules T1 to T17 that an implementation must keep;
/// `msglib-testkit` has the conformance kit that tries them.
///
/// A backend that has nothing better can keep its connections in a [`ConnectionTable`].
pub trait ConnectionManager {
    /// The time. Never goes back (T12). Cheap enough to be read once in a step.
    fn now(&self) -> Instant;

    /// Waits until something is ready and appends what it is to `ready`, which it does not clear.
    ///
    /// `timeout` is the longest wait; `None` leaves it to the manager's own maximum, which also bounds any longer
    /// `timeout`. Zero never blocks (T11). Returning early, and with nothing, is allowed.
    ///
    /// # Errors
    ///
    /// Only what concerns the manager as a whole, so that no later call can succeed either. What happens to one
    /// connection is told by its `read` and `write` (T10).
    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()>;

    /// Reads into `buf`; `Ok(0)` is the end of the stream, for good (T4).
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is nothing now (T5), `NotFound` for an unknown id; any other but `Interrupted` ends
    /// the connection (T14).
    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes a prefix of `bufs`, taken as one sequence of bytes, and says how long it was (T6).
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room now (T13), `NotFound` for an unknown id; any other but `Interrupted` ends
    /// the connection (T14).
    fn write(&mut self, id: ConnectionId, bufs: &[io::IoSlice<'_>]) -> io::Result<usize>;

    /// Closes the connection; from here on `read` and `write` say `NotFound` and nothing is reported about it.
    /// A second call is harmless, and an abort overrides a drain (T8).
    fn close(&mut self, id: ConnectionId, how: Close);

    /// How many connections were closed with a drain that is not over yet. Polls go on with them; a manager that is dropped
    /// before may cut them off. By default none: for a backend whose drains need nobody.
    fn draining(&self) -> usize {
        0
    }

    /// Takes no new connections from here on, for good: the broker goes away, and its peers are to find that out when they connect, instead
    /// of waiting for it. Listeners are closed; connections that are open, or drain, go on. True if that is so from now on (T17); a second
    /// call is harmless.
    ///
    /// By default false and nothing happens: whoever connects is opened, and told by the broker. A decorator passes the call on.
    fn stop_accepting(&mut self) -> bool {
        false
    }

    /// Something that ends a waiting `poll` from another thread (T15); `None` where a poll never waits.
    fn waker(&self) -> Option<Waker>;

    /// Asks to be told, by `waker`, when something becomes ready while nobody polls: for a caller that waits elsewhere, as a
    /// [`CompositeConnectionManager`] does for the managers that it puts side by side. True if it will be (T16); a later call
    /// takes the place of an earlier one.
    ///
    /// The waker is called on whatever thread makes the news: data, an end, a connection, room. Once is enough until the next
    /// poll. What was reported already and is so still, as an end that nobody has read, is no news. By default false, and
    /// whoever asks looks now and then instead; so for a backend that learns what is ready from the system only when it polls. A
    /// decorator that passes the call on answers for what it holds back itself.
    fn announce(&mut self, waker: Waker) -> bool {
        drop(waker);
        false
    }

    /// What the broker is about to be told from beside its connections, say by another thread that has decided something: each is an input
    /// in bytes whose meaning is the broker's own. A broker calls this in each step, behind `poll` and `now`, and acts on what `told` is
    /// then. So a decorator that records a broker sees all that it is told, and one that plays a recording back can put in what was told then
    /// in the place of what is told now. By default nothing is changed: this is nothing to a backend.
    fn aside(&mut self, told: &mut Vec<Vec<u8>>) {
        let _ = told;
    }

    /// Entropy: the system's in production, the test's under a test. A broker asks once, at its start, and derives
    /// all of its randomness from the answer.
    fn seed(&mut self) -> u128;
}

macro_rules! forward {
    ($($target:tt)*) => {
        impl<M: ConnectionManager + ?Sized> ConnectionManager for $($target)* {
            fn now(&self) -> Instant {
                (**self).now()
            }
            fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
                (**self).poll(ready, timeout)
            }
            fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
                (**self).read(id, buf)
            }
            fn write(&mut self, id: ConnectionId, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
                (**self).write(id, bufs)
            }
            fn close(&mut self, id: ConnectionId, how: Close) {
                (**self).close(id, how);
            }
            fn draining(&self) -> usize {
                (**self).draining()
            }
            fn stop_accepting(&mut self) -> bool {
                (**self).stop_accepting()
            }
            fn waker(&self) -> Option<Waker> {
                (**self).waker()
            }
            fn announce(&mut self, waker: Waker) -> bool {
                (**self).announce(waker)
            }
            fn aside(&mut self, told: &mut Vec<Vec<u8>>) {
                (**self).aside(told);
            }
            fn seed(&mut self) -> u128 {
                (**self).seed()
            }
        }
    };
}
forward!(&mut M);
forward!(Box<M>);
