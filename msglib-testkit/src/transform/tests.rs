//! Both sides over transports that give and take little at a time.

use super::record::RECORD_HEADER;
use super::{MAX_RECORD, Transform, TransformStream};
use crate::conformance::{Fixture, RawPeer, Skipped};
use core::time::Duration;
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::collections::BTreeSet;
use std::io::{self, Cursor, ErrorKind, IoSlice, Read, Write};

const KEY: u64 = 99;

/// A manager that keeps the contract in the most tiresome way: no call moves more than `AT_MOST` bytes, every third is
/// interrupted, and of what is left it reports anew in the next poll.
struct Choppy<const AT_MOST: usize> {
    inner: InMemoryConnectionManager,
    calls: usize,
    due: BTreeSet<(ConnectionId, bool)>,
}

impl<const AT_MOST: usize> Choppy<AT_MOST> {
    fn interrupt(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    fn at_most(&self) -> usize {
        1 + self.calls * 7 % AT_MOST
    }
}

impl<const AT_MOST: usize> ConnectionManager for Choppy<AT_MOST> {
    fn now(&self) -> Instant {
        self.inner.now()
    }
    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        let report = |(id, reading)| if reading { Readiness::Readable(id) } else { Readiness::Writable(id) };
        ready.extend(core::mem::take(&mut self.due).into_iter().map(report));
        self.inner.poll(ready, timeout)
    }
    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.interrupt()?;
        let piece = buf.len().min(self.at_most());
        let count = self.inner.read(id, &mut buf[..piece])?;
        if count > 0 {
            self.due.insert((id, true));
        }
        Ok(count)
    }
    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.interrupt()?;
        // One piece, then WouldBlock until the next poll.
        if self.due.contains(&(id, false)) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let Some(first) = bufs.iter().find(|buf| !buf.is_empty()) else { return Ok(0) };
        let count = self.inner.write(id, &[IoSlice::new(&first[..first.len().min(self.at_most())])])?;
        self.due.insert((id, false));
        Ok(count)
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        self.due.retain(|(due, _)| *due != id);
        self.inner.close(id, how);
    }
    fn stop_accepting(&mut self) -> bool {
        self.inner.stop_accepting()
    }
    fn waker(&self) -> Option<Waker> {
        self.inner.waker()
    }
    fn seed(&mut self) -> u128 {
        self.inner.seed()
    }
}

/// A stream that moves at most one byte a call, and nothing in every other.
struct Drip<S> {
    inner: S,
    calls: usize,
}

impl<S> Drip<S> {
    fn may_move(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.calls % 4 {
            1 => Err(ErrorKind::WouldBlock.into()),
            3 => Err(ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }
}

impl<S: Read> Read for Drip<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.may_move()?;
        let piece = buf.len().min(1);
        self.inner.read(&mut buf[..piece])
    }
}

impl<S: Write> Write for Drip<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.may_move()?;
        self.inner.write(&buf[..buf.len().min(1)])
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Until it neither would block nor was interrupted.
fn insist<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..1_000_000 {
        match call() {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            other => return other,
        }
    }
    panic!("it never ends")
}

fn read_to_end(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buf = [0; 100];
    loop {
        match insist(|| stream.read(&mut buf))? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}

/// What a client that writes each of `parts` puts on the wire.
fn sealed(parts: &[&[u8]]) -> Vec<u8> {
    let mut stream = TransformStream::new(Cursor::new(Vec::new()), KEY);
    for part in parts {
        stream.write_all(part).unwrap();
    }
    stream.get_ref().get_ref().clone()
}

fn world<const AT_MOST: usize>() -> (Transport, Transform<Choppy<AT_MOST>>) {
    let transport = Transport::new();
    let inner = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    (transport, Transform::new(Choppy { inner, calls: 0, due: BTreeSet::new() }, KEY))
}

/// One poll, in which the connection opens.
fn accept(manager: &mut impl ConnectionManager) -> ConnectionId {
    let mut ready = Vec::new();
    manager.poll(&mut ready, None).unwrap();
    assert!(matches!(ready[0], Readiness::Opened(..)), "{ready:?}");
    ready[0].id()
}

/// What one poll reports.
fn reports(manager: &mut impl ConnectionManager) -> Vec<Readiness> {
    let mut ready = Vec::new();
    manager.poll(&mut ready, None).unwrap();
    ready
}

/// Reads what is reported, to the end or an error.
fn read_reported(manager: &mut impl ConnectionManager, id: ConnectionId) -> (Vec<u8>, io::Result<()>) {
    let mut received = Vec::new();
    let mut ready = Vec::new();
    for _ in 0..100_000 {
        manager.poll(&mut ready, None).unwrap();
        if ready.drain(..).any(|report| report == Readiness::Readable(id)) {
            let mut buf = [0; 3];
            loop {
                match manager.read(id, &mut buf) {
                    Ok(0) => return (received, Ok(())),
                    Ok(count) => {
                        received.extend_from_slice(&buf[..count]);
                        if count < buf.len() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return (received, Err(error)),
                }
            }
        }
    }
    panic!("no end, after {received:?}")
}

#[test]
fn one_byte_at_a_time_from_the_client() {
    let (transport, mut manager) = world::<1>();
    let mut client = TransformStream::new(Drip { inner: transport.connect("broker").unwrap(), calls: 0 }, KEY);
    let id = accept(&mut manager);
    for part in [&b"first"[..], b"second", &[7; 500]] {
        let count = insist(|| client.write(part)).unwrap();
        assert_eq!(count, part.len(), "one record takes it");
    }
    insist(|| client.flush()).unwrap();
    assert_eq!(client.unsent(), 0);
    drop(client);
    let (received, end) = read_reported(&mut manager, id);
    end.unwrap();
    assert_eq!(received, [&b"firstsecond"[..], &[7; 500]].concat());
}

#[test]
fn one_byte_at_a_time_to_the_client_and_a_drain_behind_it() {
    let (transport, mut manager) = world::<1>();
    let mut client = TransformStream::new(Drip { inner: transport.connect("broker").unwrap(), calls: 0 }, KEY);
    let id = accept(&mut manager);
    let accepted = manager.write(id, &[IoSlice::new(b"all "), IoSlice::new(b""), IoSlice::new(b"of it")]).unwrap();
    assert_eq!(accepted, 9, "there is room here, if not below");
    let deadline = manager.now() + Duration::from_secs(1);
    manager.close(id, Close::Drain { deadline });
    assert_eq!(manager.read(id, &mut [0; 9]).unwrap_err().kind(), ErrorKind::NotFound);

    for _ in 0..2 * (RECORD_HEADER + 9) {
        let mut ready = Vec::new();
        manager.poll(&mut ready, None).unwrap();
        assert_eq!(ready, [], "a closed connection is silent");
    }
    assert_eq!(read_to_end(&mut client).unwrap(), b"all of it");
}

#[test]
fn a_drain_that_does_not_get_through_ends_at_the_deadline() {
    let transport = Transport::builder().pipe_capacity(10).build();
    let inner = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut manager = Transform::new(inner, KEY);
    let mut client = TransformStream::new(transport.connect("broker").unwrap(), KEY);
    let id = accept(&mut manager);
    manager.write(id, &[IoSlice::new(&[1; 1000])]).unwrap();
    manager.close(id, Close::Drain { deadline: manager.now() + Duration::from_secs(1) });

    transport.clock().advance(Duration::from_millis(999));
    manager.poll(&mut Vec::new(), None).unwrap();
    assert_eq!(client.read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::WouldBlock, "half a record, and no end");
    transport.clock().advance(Duration::from_millis(1));
    manager.poll(&mut Vec::new(), None).unwrap();
    let error = read_to_end(&mut client).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof), "{error}");
}

#[test]
fn a_cut_off_stream_is_no_clean_end_at_the_broker() {
    let wire = sealed(&[b"whole", b"cut off"]);
    for cut in 0..=wire.len() {
        let (transport, mut manager) = world::<1>();
        let mut raw = transport.connect("broker").unwrap();
        let id = accept(&mut manager);
        raw.write_all(&wire[..cut]).unwrap();
        drop(raw);
        let (received, end) = read_reported(&mut manager, id);
        let first = RECORD_HEADER + 5;
        let plain = if cut < first { &b""[..] } else { &b"whole"[..] };
        match cut {
            _ if cut == wire.len() => assert_eq!(received, b"wholecut off"),
            _ => assert_eq!(received, plain, "cut at {cut}"),
        }
        match end {
            Ok(()) => assert!([0, first, wire.len()].contains(&cut), "cut at {cut}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}");
                let again = manager.read(id, &mut [0; 9]).unwrap_err();
                assert_eq!(again.kind(), ErrorKind::NotFound, "over for good (T14)");
            }
        }
    }
}

#[test]
fn a_cut_off_stream_is_no_clean_end_at_the_client() {
    let transport = Transport::new();
    let mut manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut client = TransformStream::new(transport.connect("broker").unwrap(), KEY);
    let id = accept(&mut manager);
    manager.write(id, &[IoSlice::new(&[0, 5, 1, 2, 3])]).unwrap();
    manager.close(id, Close::Drain { deadline: Instant::MAX });
    for _ in 0..3 {
        assert_eq!(client.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::UnexpectedEof, "and it stays so");
    }
}

#[test]
fn bytes_that_are_no_record_end_the_connection() {
    let (transport, mut manager) = world::<100>();
    let mut raw = transport.connect("broker").unwrap();
    let id = accept(&mut manager);
    raw.write_all(&sealed(&[b"good"])).unwrap();
    raw.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let (received, end) = read_reported(&mut manager, id);
    assert_eq!(received, b"good", "what came before is good");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(raw.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset, "the peer is told");
}

#[test]
fn plaintext_that_was_left_is_reported_anew() {
    let transport = Transport::new();
    let inner = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut manager = Transform::new(inner, KEY);
    let mut client = TransformStream::new(transport.connect("broker").unwrap(), KEY);
    client.write_all(b"abcdef").unwrap();
    let id = accept(&mut manager);
    for expected in [b"ab", b"cd", b"ef"] {
        let mut buf = [0; 2];
        assert_eq!(manager.read(id, &mut buf).unwrap(), 2);
        assert_eq!(&buf, expected);
        let mut ready = Vec::new();
        manager.poll(&mut ready, None).unwrap();
        let left = expected != b"ef";
        assert_eq!(ready.contains(&Readiness::Readable(id)), left, "{ready:?}");
        ready.clear();
        manager.poll(&mut ready, None).unwrap();
        assert_eq!(ready, [], "once for each read, so that a user who pauses is not kept awake");
    }
}

/// The manager below has told of its end, so the decorator must go on doing so (T5), until it is read or closed.
#[test]
fn an_end_that_is_known_here_alone_is_reported_until_it_is_read() {
    for closed in [false, true] {
        let transport = Transport::new();
        let inner = InMemoryConnectionManager::new(&transport, "broker").unwrap();
        let mut manager = Transform::new(inner, KEY);
        let mut client = TransformStream::new(transport.connect("broker").unwrap(), KEY);
        // With its header exactly what is read from below at once, so that the end is looked for as well.
        let last_words = [3; MAX_RECORD - RECORD_HEADER];
        client.write_all(&last_words).unwrap();
        drop(client);
        let id = accept(&mut manager);
        assert_eq!(manager.read(id, &mut [0; MAX_RECORD]).unwrap(), last_words.len());
        for _ in 0..3 {
            assert_eq!(reports(&mut manager), [Readiness::Readable(id)]);
        }
        if closed {
            manager.close(id, Close::Abort);
        } else {
            assert_eq!(manager.read(id, &mut [0; 100]).unwrap(), 0);
        }
        assert_eq!(reports(&mut manager), []);
    }
}

/// Who has asked and only waits for the answer sends the rest of the question with it.
#[test]
fn a_client_that_only_reads_sends_what_is_left() {
    let transport = Transport::builder().pipe_capacity(10).build();
    let inner = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut manager = Transform::new(inner, KEY);
    let mut client = TransformStream::new(transport.connect("broker").unwrap(), KEY);
    let id = accept(&mut manager);
    assert_eq!(client.write(&[8; 100]).unwrap(), 100);
    let mut received = 0;
    for _ in 0..20 {
        received += manager.read(id, &mut [0; 200]).unwrap_or(0);
        assert_eq!(client.read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    assert_eq!(received, 100);
}

#[test]
fn a_send_that_fails_in_a_poll_is_told_by_read() {
    let transport = Transport::builder().pipe_capacity(10).build();
    let inner = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut manager = Transform::new(inner, KEY);
    let client = transport.connect("broker").unwrap();
    let id = accept(&mut manager);
    assert_eq!(manager.write(id, &[IoSlice::new(&[1; 100])]).unwrap(), 100, "accepted here");
    drop(client);
    let mut ready = Vec::new();
    manager.poll(&mut ready, None).unwrap();
    assert!(ready.contains(&Readiness::Readable(id)), "{ready:?}");
    assert_eq!(manager.read(id, &mut [0; 10]).unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(manager.read(id, &mut [0; 10]).unwrap_err().kind(), ErrorKind::NotFound, "for good (T14)");
}

#[test]
fn what_waits_to_be_sent_is_bounded() {
    let transport = Transport::builder().pipe_capacity(100).build();
    let inner = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut manager = Transform::new(inner, KEY);
    let _client = transport.connect("broker").unwrap();
    let id = accept(&mut manager);
    let mut accepted = 0;
    let error = loop {
        match manager.write(id, &[IoSlice::new(&[5; 1000]); 100]) {
            Ok(count) => accepted += count,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!((30_000..=32 * 1024 + 100).contains(&accepted), "{accepted}");
}

#[test]
fn a_client_takes_one_record_at_a_time() {
    let transport = Transport::builder().pipe_capacity(100).build();
    let _manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut client = TransformStream::new(transport.connect("broker").unwrap(), KEY);
    assert_eq!(client.write(&[1; 100_000]).unwrap(), MAX_RECORD);
    assert_eq!(client.unsent(), RECORD_HEADER + MAX_RECORD - 100);
    assert_eq!(client.write(b"more").unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(client.flush().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// The whole kit, over a manager that gives and takes some hundred bytes at a time.
mod over_choppy {
    use super::*;

    struct OverChoppy {
        transport: Transport,
        manager: Transform<Choppy<700>>,
    }

    struct Peer(TransformStream<MemoryStream>);

    impl Fixture for OverChoppy {
        type Manager = Transform<Choppy<700>>;
        type Peer = Peer;

        fn new() -> OverChoppy {
            let (transport, manager) = world();
            OverChoppy { transport, manager }
        }
        fn manager(&mut self) -> &mut Transform<Choppy<700>> {
            &mut self.manager
        }
        fn connect(&mut self) -> Peer {
            self.try_connect().unwrap()
        }
        fn try_connect(&mut self) -> Option<Peer> {
            self.transport.connect("broker").ok().map(|stream| Peer(TransformStream::new(stream, KEY)))
        }
        fn advance(&mut self, by: Duration) {
            self.transport.clock().advance(by);
        }
        fn skipped(case: &str, why: &Skipped) {
            panic!("{case} was skipped: {why}");
        }
    }

    impl RawPeer for Peer {
        fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
        fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn shutdown_write(&mut self) -> io::Result<()> {
            // No case has more under way here than a pipe holds.
            self.0.flush()?;
            self.0.get_mut().shutdown_write();
            Ok(())
        }
        fn reset(&mut self) -> io::Result<()> {
            self.0.get_mut().reset();
            Ok(())
        }
        fn drive(&mut self) {
            // An error shows in the next read or write.
            let _ = self.0.flush();
        }
    }

    crate::conformance!(OverChoppy);
}
