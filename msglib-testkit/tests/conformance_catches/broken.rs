//! A manager over the memory transport with a fault in it, and the fixture for it.

use super::faults::Honest;
use core::time::Duration;
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use msglib_testkit::conformance::{Fixture, RawPeer, Skipped};
use std::io::{self, IoSlice, Read, Write};

pub(crate) type Memory = InMemoryConnectionManager;
pub(crate) type Ready = Vec<Readiness>;

/// A way to be broken: what differs from the honest manager.
pub(crate) trait Fault: Default {
    fn now(&self, honest: &Memory) -> Instant {
        honest.now()
    }
    fn poll(&mut self, world: &mut World, ready: &mut Ready, _: Option<Duration>) -> io::Result<()> {
        world.honest.poll(ready, None)
    }
    fn read(&mut self, honest: &mut Memory, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        honest.read(id, buf)
    }
    fn write(&mut self, honest: &mut Memory, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        honest.write(id, bufs)
    }
    fn close(&mut self, honest: &mut Memory, id: ConnectionId, how: Close) {
        honest.close(id, how);
    }
    fn waker(&self) -> Option<Waker> {
        None
    }
    fn announce(&mut self, honest: &mut Memory, waker: Waker) -> bool {
        honest.announce(waker)
    }
    fn stop_accepting(&mut self, world: &mut World) -> bool {
        world.honest.stop_accepting()
    }
}

pub(crate) struct World {
    pub(crate) transport: Transport,
    pub(crate) honest: Memory,
}

pub(crate) struct Broken<B> {
    world: World,
    fault: B,
}

impl<B: Fault> ConnectionManager for Broken<B> {
    fn now(&self) -> Instant {
        self.fault.now(&self.world.honest)
    }
    fn poll(&mut self, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<()> {
        self.fault.poll(&mut self.world, ready, timeout)
    }
    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.fault.read(&mut self.world.honest, id, buf)
    }
    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.fault.write(&mut self.world.honest, id, bufs)
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        self.fault.close(&mut self.world.honest, id, how);
    }
    fn waker(&self) -> Option<Waker> {
        self.fault.waker()
    }
    fn announce(&mut self, waker: Waker) -> bool {
        self.fault.announce(&mut self.world.honest, waker)
    }
    fn stop_accepting(&mut self) -> bool {
        self.fault.stop_accepting(&mut self.world)
    }
    fn seed(&mut self) -> u128 {
        self.world.honest.seed()
    }
}

impl<B: Fault> Fixture for Broken<B> {
    type Manager = Broken<B>;
    type Peer = MemoryPeer;

    fn new() -> Broken<B> {
        let transport = Transport::new();
        let honest = Memory::new(&transport, "broker").expect("nobody else is bound");
        Broken { world: World { transport, honest }, fault: B::default() }
    }
    fn manager(&mut self) -> &mut Broken<B> {
        self
    }
    fn connect(&mut self) -> MemoryPeer {
        self.try_connect().expect("the manager listens")
    }
    fn try_connect(&mut self) -> Option<MemoryPeer> {
        self.world.transport.connect("broker").ok().map(MemoryPeer)
    }
    fn advance(&mut self, by: Duration) {
        self.world.transport.clock().advance(by);
    }
    fn skipped(case: &str, why: &Skipped) {
        panic!("{case}: {why}");
    }
}

pub(crate) struct MemoryPeer(MemoryStream);

impl RawPeer for MemoryPeer {
    fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown_write();
        Ok(())
    }
    fn reset(&mut self) -> io::Result<()> {
        self.0.reset();
        Ok(())
    }
}

/// Honest, with peers that can do only what every peer can.
pub(crate) struct Limited(Broken<Honest>);

impl Fixture for Limited {
    type Manager = Broken<Honest>;
    type Peer = LimitedPeer;

    fn new() -> Limited {
        Limited(Broken::new())
    }
    fn manager(&mut self) -> &mut Broken<Honest> {
        self.0.manager()
    }
    fn connect(&mut self) -> LimitedPeer {
        LimitedPeer(self.0.connect())
    }
}

pub(crate) struct LimitedPeer(MemoryPeer);

impl RawPeer for LimitedPeer {
    fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
