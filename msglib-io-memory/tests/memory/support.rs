//! A manager and its peers, in few words.

use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport, TransportBuilder};
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::time::Duration;

pub(crate) const BROKER: &str = "broker";

/// A transport with one bound manager.
pub(crate) struct World {
    pub(crate) transport: Transport,
    pub(crate) manager: InMemoryConnectionManager,
}

impl World {
    pub(crate) fn new() -> World {
        World::of(Transport::builder())
    }

    pub(crate) fn with_capacity(bytes: usize) -> World {
        World::of(Transport::builder().pipe_capacity(bytes))
    }

    pub(crate) fn of(builder: TransportBuilder) -> World {
        let transport = builder.build();
        let manager = InMemoryConnectionManager::new(&transport, BROKER).unwrap();
        World { transport, manager }
    }

    pub(crate) fn connect(&self) -> MemoryStream {
        self.transport.connect(BROKER).unwrap()
    }

    /// A connection that the manager has reported.
    pub(crate) fn open(&mut self) -> (MemoryStream, ConnectionId) {
        let stream = self.connect();
        let reports = self.poll();
        let [Readiness::Opened(id, _)] = reports[..] else { panic!("{reports:?}") };
        (stream, id)
    }

    pub(crate) fn poll(&mut self) -> Vec<Readiness> {
        let mut ready = Vec::new();
        self.manager.poll(&mut ready, Some(Duration::ZERO)).unwrap();
        ready
    }

    /// One read of at most `most` bytes.
    pub(crate) fn read(&mut self, id: ConnectionId, most: usize) -> Result<Vec<u8>, ErrorKind> {
        let mut buf = vec![0; most];
        let count = self.manager.read(id, &mut buf).map_err(|error| error.kind())?;
        buf.truncate(count);
        Ok(buf)
    }

    pub(crate) fn write(&mut self, id: ConnectionId, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.manager.write(id, &[IoSlice::new(bytes)]).map_err(|error| error.kind())
    }

    /// Closes with a drain of one second.
    pub(crate) fn drain(&mut self, id: ConnectionId) {
        let deadline = self.manager.now() + Duration::from_secs(1);
        self.manager.close(id, Close::Drain { deadline });
    }

    pub(crate) fn abort(&mut self, id: ConnectionId) {
        self.manager.close(id, Close::Abort);
    }
}

/// One read of the peer, of at most `most` bytes.
pub(crate) fn peer_read(mut stream: &MemoryStream, most: usize) -> Result<Vec<u8>, ErrorKind> {
    let mut buf = vec![0; most];
    let count = stream.read(&mut buf).map_err(|error| error.kind())?;
    buf.truncate(count);
    Ok(buf)
}

/// One write of the peer.
pub(crate) fn peer_write(mut stream: &MemoryStream, bytes: &[u8]) -> Result<usize, ErrorKind> {
    stream.write(bytes).map_err(|error: io::Error| error.kind())
}

/// xorshift64*: random enough for tests, and the same each time.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
