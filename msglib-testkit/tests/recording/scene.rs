//! A broker in memory with a recorder, and what it takes to record it.

use msglib_broker::record::{RecordLog, Recorder, Recording};
use msglib_broker::{Broker, ConnectionHandler, Handler};
use msglib_client::{Connection, blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::io::{self, IoSlice, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Keeps every byte that a broker writes, and to whom; between a broker and whatever it runs on.
pub(crate) struct Written<M> {
    pub(crate) inner: M,
    pub(crate) bytes: Vec<u8>,
}

impl<M> Written<M> {
    pub(crate) fn new(inner: M) -> Written<M> {
        Written { inner, bytes: Vec::new() }
    }
}

impl<M: ConnectionManager> ConnectionManager for Written<M> {
    fn now(&self) -> Instant {
        self.inner.now()
    }
    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.poll(ready, timeout)
    }
    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(id, buf)
    }
    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.bytes.extend(format!("{id}:").bytes());
        bufs.iter().for_each(|buf| self.bytes.extend_from_slice(buf));
        self.inner.write(id, bufs)
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        self.bytes.extend(format!("{id} {how:?}").bytes());
        self.inner.close(id, how);
    }
    fn draining(&self) -> usize {
        self.inner.draining()
    }
    fn waker(&self) -> Option<Waker> {
        self.inner.waker()
    }
    fn aside(&mut self, told: &mut Vec<Vec<u8>>) {
        self.inner.aside(told);
    }

    fn seed(&mut self) -> u128 {
        self.inner.seed()
    }
}

/// A file in memory that a test can look into while it is written.
#[derive(Clone, Default)]
pub(crate) struct File(Arc<Mutex<Vec<u8>>>);

impl File {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lock().clone()
    }
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }
}

impl Write for File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(buf);
        Ok(buf.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) type Recorded<H> = Broker<H, Recorder<InMemoryConnectionManager>>;

/// A broker around `handler` with a recorder that `record` makes.
pub(crate) fn broker<H: Handler>(
    handler: H,
    record: impl FnOnce(InMemoryConnectionManager) -> Recorder<InMemoryConnectionManager>,
) -> (Transport, Recorded<H>, RecordLog) {
    let transport = Transport::new();
    let recorder = record(InMemoryConnectionManager::new(&transport, "broker").unwrap());
    let log = recorder.log();
    (transport, Broker::new(handler, recorder), log)
}

/// One publisher, one consumer, and so many messages, each of which is acked.
pub(crate) fn converse<H: Handler>(transport: &Transport, broker: &mut Recorded<H>, messages: usize) {
    let [sender, receiver] =
        [(); 2].map(|()| Connection::builder().non_blocking(true).build(transport.connect("broker").unwrap()).unwrap());
    let mut subscription = blocking_pull_subscribe_to_queue(&receiver, "jobs").unwrap();
    for number in 0..messages {
        while publish_to_q(&sender, "jobs", &format!("job {number}")).is_err() {
            broker.process_connections().unwrap();
        }
        let message = loop {
            broker.process_connections().unwrap();
            transport.clock().advance(Duration::from_millis(1));
            match subscription.next() {
                Err(error) if error.is_would_block() => {}
                result => break result.unwrap(),
            }
        };
        message.ack().unwrap();
    }
    broker.process_connections().unwrap();
}

/// The file of a small conversation, recorded in a ring that is large enough.
pub(crate) fn small_file() -> Vec<u8> {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    converse(&transport, &mut broker, 3);
    written(&log)
}

pub(crate) fn written(log: &RecordLog) -> Vec<u8> {
    let mut file = Vec::new();
    log.write_to(&mut file).unwrap();
    file
}

pub(crate) fn recording(log: &RecordLog) -> Recording {
    Recording::read(&written(log)[..]).unwrap()
}
