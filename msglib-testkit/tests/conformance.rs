//! The conformance kit over every transport of this workspace, and over a decorator of each.

use core::time::Duration;
use msglib_broker::record::Recorder;
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::transport::ConnectionManager;
use msglib_testkit::conformance::{Fixture, RawPeer, Skipped};
use msglib_testkit::faults::{FaultPlan, Faulty, Severity};
use msglib_testkit::{Transform, TransformStream};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
#[path = "fixtures/mod.rs"]
mod fixtures;

use fixtures::{OverEpoll, OverMemory, Plain, Transformed, Unpleasant};

mod memory {
    msglib_testkit::conformance!(super::OverMemory<super::Plain>);
}

mod narrow_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Plain, 256>);
}

mod epoll {
    msglib_testkit::conformance!(super::OverEpoll<super::Plain>);
}

mod faulty_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Unpleasant>);
}

mod faulty_narrow_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Unpleasant, 256>);
}

mod faulty_epoll {
    msglib_testkit::conformance!(super::OverEpoll<super::Unpleasant>);
}

mod transform_over_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Transformed>);
}

mod transform_over_narrow_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Transformed, 256>);
}

mod transform_over_epoll {
    msglib_testkit::conformance!(super::OverEpoll<super::Transformed>);
}

mod recorder_over_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Recorded, 256>);
}

mod recorder_over_epoll {
    msglib_testkit::conformance!(super::OverEpoll<super::Recorded>);
}

/// What is put over a transport, on both sides.
trait Layer: 'static {
    type Manager<M: ConnectionManager>: ConnectionManager;
    type Peer<S: Stream>: RawPeer;
    fn manager<M: ConnectionManager>(inner: M) -> Self::Manager<M>;
    fn peer<S: Stream>(stream: S) -> Self::Peer<S>;
}

/// A peer's stream that does not wait.
trait Stream: Read + Write {
    fn shutdown_write(&mut self) -> io::Result<()>;
    fn reset(&mut self) -> io::Result<()>;
}

/// Memory with pipes of so many bytes.
struct OverMemory<L: Layer, const PIPE: usize = 65_536> {
    transport: Transport,
    manager: L::Manager<InMemoryConnectionManager>,
}

impl<L: Layer, const PIPE: usize> Fixture for OverMemory<L, PIPE> {
    type Manager = L::Manager<InMemoryConnectionManager>;
    type Peer = L::Peer<MemoryStream>;

    fn new() -> OverMemory<L, PIPE> {
        let transport = Transport::builder().pipe_capacity(PIPE).build();
        let manager = InMemoryConnectionManager::new(&transport, "broker").expect("nobody else is bound");
        OverMemory { transport, manager: L::manager(manager) }
    }
    fn manager(&mut self) -> &mut L::Manager<InMemoryConnectionManager> {
        &mut self.manager
    }
    fn connect(&mut self) -> L::Peer<MemoryStream> {
        L::peer(self.transport.connect("broker").expect("the manager listens"))
    }
    fn advance(&mut self, by: Duration) {
        self.transport.clock().advance(by);
    }
    fn skipped(case: &str, why: &Skipped) {
        nothing_is_skipped(case, why);
    }
}

impl Stream for MemoryStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        MemoryStream::shutdown_write(self);
        Ok(())
    }
    fn reset(&mut self) -> io::Result<()> {
        MemoryStream::reset(self);
        Ok(())
    }
}

/// Sockets on this machine, with the clock on the wall.
struct OverEpoll<L: Layer> {
    address: SocketAddr,
    manager: L::Manager<EpollSocketManager>,
}

impl<L: Layer> Fixture for OverEpoll<L> {
    type Manager = L::Manager<EpollSocketManager>;
    type Peer = L::Peer<TcpStream>;

    fn new() -> OverEpoll<L> {
        let any_port = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0));
        let builder = EpollSocketManager::builder().listen(any_port).poll_timeout(Duration::from_secs(10));
        let manager = builder.build().expect("a free port");
        OverEpoll { address: manager.local_addr().expect("it listens"), manager: L::manager(manager) }
    }
    fn manager(&mut self) -> &mut L::Manager<EpollSocketManager> {
        &mut self.manager
    }
    fn connect(&mut self) -> L::Peer<TcpStream> {
        let stream = TcpStream::connect(self.address).expect("the manager listens");
        stream.set_nonblocking(true).expect("a mode of every socket");
        L::peer(stream)
    }
    fn skipped(case: &str, why: &Skipped) {
        nothing_is_skipped(case, why);
    }
}

impl Stream for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
    /// A socket that is closed with unread input is reset, so all it takes is to wait for some.
    fn reset(&mut self) -> io::Result<()> {
        self.set_nonblocking(false)?;
        self.set_read_timeout(Some(Duration::from_secs(10)))?;
        self.peek(&mut [0]).map(drop)
    }
}

/// Our own transports can do everything, so a case that falls silent is a failure.
fn nothing_is_skipped(case: &str, why: &Skipped) {
    panic!("{case} was skipped: {why}");
}

/// Nothing in between.
struct Plain;

impl Layer for Plain {
    type Manager<M: ConnectionManager> = M;
    type Peer<S: Stream> = PlainPeer<S>;
    fn manager<M: ConnectionManager>(inner: M) -> M {
        inner
    }
    fn peer<S: Stream>(stream: S) -> PlainPeer<S> {
        PlainPeer(stream)
    }
}

struct PlainPeer<S>(S);

impl<S: Stream> RawPeer for PlainPeer<S> {
    fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown_write()
    }
    fn reset(&mut self) -> io::Result<()> {
        self.0.reset()
    }
}

/// Every fault that nobody may notice.
struct Unpleasant;

impl Layer for Unpleasant {
    type Manager<M: ConnectionManager> = Faulty<M>;
    type Peer<S: Stream> = PlainPeer<S>;
    fn manager<M: ConnectionManager>(inner: M) -> Faulty<M> {
        Faulty::new(inner, FaultPlan::new(1).with_all(Severity::Passing, 0.1).with_longest_hold(3))
    }
    fn peer<S: Stream>(stream: S) -> PlainPeer<S> {
        PlainPeer(stream)
    }
}

/// The flight recorder, with a ring so small that it is full all the time.
struct Recorded;

impl Layer for Recorded {
    type Manager<M: ConnectionManager> = Recorder<M>;
    type Peer<S: Stream> = PlainPeer<S>;
    fn manager<M: ConnectionManager>(inner: M) -> Recorder<M> {
        Recorder::in_ring(inner, 1000)
    }
    fn peer<S: Stream>(stream: S) -> PlainPeer<S> {
        PlainPeer(stream)
    }
}

/// Records and a keystream.
struct Transformed;

impl Layer for Transformed {
    type Manager<M: ConnectionManager> = Transform<M>;
    type Peer<S: Stream> = TransformedPeer<S>;
    fn manager<M: ConnectionManager>(inner: M) -> Transform<M> {
        Transform::new(inner, KEY)
    }
    fn peer<S: Stream>(stream: S) -> TransformedPeer<S> {
        TransformedPeer { stream: TransformStream::new(stream, KEY), ending: false }
    }
}

struct TransformedPeer<S> {
    stream: TransformStream<S>,
    /// The sending side is to be closed when everything has left.
    ending: bool,
}

impl<S: Stream> RawPeer for TransformedPeer<S> {
    fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.ending = true;
        self.drive();
        Ok(())
    }
    fn reset(&mut self) -> io::Result<()> {
        self.stream.get_mut().reset()
    }
    fn drive(&mut self) {
        // An error shows in the next read or write.
        if self.stream.flush().is_ok() && self.ending {
            self.ending = self.stream.get_mut().shutdown_write().is_err();
        }
    }
}
