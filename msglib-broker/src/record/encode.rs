//! Records to bytes. On the way of every message, so nothing here allocates beyond the segment itself.

use super::RecordedError;
use super::error::{KINDS, is_passing};
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{Address, Close, ConnectionId, Peer, Readiness};
use std::io;
use std::net::SocketAddr;

/// The first byte of each record.
pub(super) mod tag {
    pub(in super::super) const NOW: u8 = 1;
    pub(in super::super) const POLL: u8 = 2;
    pub(in super::super) const READ: u8 = 3;
    pub(in super::super) const WRITE: u8 = 4;
    pub(in super::super) const DRAIN: u8 = 5;
    pub(in super::super) const ABORT: u8 = 6;
    pub(in super::super) const DRAINING: u8 = 7;
    pub(in super::super) const WAKER: u8 = 8;
    pub(in super::super) const SEED: u8 = 9;
    pub(in super::super) const SHUTDOWN: u8 = 10;
    pub(in super::super) const NOTE: u8 = 11;
    pub(in super::super) const ASIDE: u8 = 12;
    pub(in super::super) const STOP_ACCEPTING: u8 = 13;
}

/// What a result begins with, and what each report of a poll begins with.
pub(super) const OK: u8 = 0;
pub(super) const FAILED: u8 = 1;
pub(super) const OPENED: u8 = 0;
pub(super) const READABLE: u8 = 1;
pub(super) const WRITABLE: u8 = 2;

/// From some 2 KiB on the C library copies with `rep movsb`, which takes AMD's processors three times as long when the two places do
/// not lie well beside each other; and where a record lies is a matter of those before it.
const COPIED_AT_ONCE: usize = 1024;

/// Records as bytes, one behind the other, with nothing that refers to what is outside.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u64,
    /// Whether there is more in it than steps in which nothing happened.
    pub(super) has_news: bool,
    /// The time is written as the difference to the one before; the first in a segment, to zero.
    now: u64,
}

impl Segment {
    pub(super) fn with_capacity(bytes: usize) -> Segment {
        Segment { bytes: Vec::with_capacity(bytes), ..Segment::default() }
    }

    /// With memory that the system has really given, so that no message has to wait for it.
    pub(super) fn touched(bytes: usize) -> Segment {
        let touched = std::hint::black_box(vec![1; bytes]);
        Segment { bytes: touched, ..Segment::default() }.cleared()
    }

    /// Empty, with the memory that it has.
    pub(super) fn cleared(mut self) -> Segment {
        self.bytes.clear();
        Segment { bytes: self.bytes, ..Segment::default() }
    }

    pub(super) fn now(&mut self, at: Instant) {
        self.begin(tag::NOW);
        // Wraps where a clock goes back, which it must not (T12), and comes back as it was.
        self.number(at.as_nanos().wrapping_sub(self.now));
        self.now = at.as_nanos();
    }

    pub(super) fn poll(&mut self, timeout: Option<Duration>, result: Result<&[Readiness], &io::Error>) {
        self.begin(tag::POLL);
        self.number(timeout.map_or(0, |timeout| nanos(timeout).saturating_add(1)));
        match result {
            Ok(reports) => {
                self.bytes.push(OK);
                self.number(reports.len() as u64);
                self.has_news |= !reports.is_empty();
                reports.iter().for_each(|report| self.report(report));
            }
            Err(error) => self.error(error),
        }
    }

    pub(super) fn read(&mut self, id: ConnectionId, room: usize, result: Result<&[u8], &io::Error>) {
        self.begin(tag::READ);
        self.id(id);
        self.number(room as u64);
        match result {
            Ok(bytes) => {
                self.bytes.push(OK);
                self.bytes(bytes);
            }
            Err(error) => self.error(error),
        }
    }

    pub(super) fn write(&mut self, id: ConnectionId, offered: usize, result: &io::Result<usize>) {
        self.begin(tag::WRITE);
        self.id(id);
        self.number(offered as u64);
        match result {
            Ok(taken) => {
                self.bytes.push(OK);
                self.number(*taken as u64);
            }
            Err(error) => self.error(error),
        }
    }

    pub(super) fn close(&mut self, id: ConnectionId, how: Close) {
        match how {
            Close::Drain { deadline } => {
                self.begin(tag::DRAIN);
                self.id(id);
                self.number(deadline.as_nanos());
            }
            Close::Abort => {
                self.begin(tag::ABORT);
                self.id(id);
            }
        }
    }

    pub(super) fn aside(&mut self, told: &[u8]) {
        self.begin(tag::ASIDE);
        self.bytes(told);
    }

    pub(super) fn draining(&mut self, count: usize) {
        self.begin(tag::DRAINING);
        self.number(count as u64);
    }

    pub(super) fn stop_accepting(&mut self, has_stopped: bool) {
        self.begin(tag::STOP_ACCEPTING);
        self.bytes.push(u8::from(has_stopped));
    }

    pub(super) fn waker(&mut self, is_some: bool) {
        self.begin(tag::WAKER);
        self.bytes.push(u8::from(is_some));
    }

    pub(super) fn seed(&mut self, seed: u128) {
        self.begin(tag::SEED);
        self.bytes.extend_from_slice(&seed.to_be_bytes());
    }

    pub(super) fn shutdown(&mut self, within: Duration) {
        self.begin(tag::SHUTDOWN);
        self.number(nanos(within));
    }

    pub(super) fn note(&mut self, text: &str) {
        self.begin(tag::NOTE);
        self.bytes(text.as_bytes());
    }

    fn begin(&mut self, tag: u8) {
        self.records += 1;
        self.has_news |= !matches!(tag, tag::NOW | tag::POLL);
        self.bytes.push(tag);
    }

    fn report(&mut self, report: &Readiness) {
        self.bytes.push(match report {
            Readiness::Opened(..) => OPENED,
            Readiness::Readable(_) => READABLE,
            Readiness::Writable(_) => WRITABLE,
        });
        self.id(report.id());
        if let Readiness::Opened(_, peer) = report {
            self.peer(peer);
        }
    }

    fn peer(&mut self, peer: &Peer) {
        self.address(&peer.address);
        self.number(u64::from(peer.listener.0));
        match &peer.certificate {
            None => self.bytes.push(0),
            Some(certificate) => {
                self.bytes.push(1);
                self.bytes(certificate);
            }
        }
    }

    fn address(&mut self, address: &Address) {
        match address {
            Address::Memory(number) => {
                self.bytes.push(0);
                self.number(*number);
            }
            Address::Socket(SocketAddr::V4(v4)) => {
                self.bytes.push(1);
                self.bytes.extend_from_slice(&v4.ip().octets());
                self.bytes.extend_from_slice(&v4.port().to_be_bytes());
            }
            Address::Socket(SocketAddr::V6(v6)) => {
                self.bytes.push(2);
                self.bytes.extend_from_slice(&v6.ip().octets());
                self.bytes.extend_from_slice(&v6.port().to_be_bytes());
                self.number(u64::from(v6.flowinfo()));
                self.number(u64::from(v6.scope_id()));
            }
            Address::Unix(None) => self.bytes.push(3),
            Address::Unix(Some(path)) => {
                self.bytes.push(4);
                self.bytes(path.as_bytes());
            }
            // Also for what later versions of the contract may have: in words.
            other => {
                self.bytes.push(5);
                self.bytes(other.to_string().as_bytes());
            }
        }
    }

    fn id(&mut self, id: ConnectionId) {
        self.number(id.index() as u64);
        self.number(u64::from(id.generation()));
    }

    fn error(&mut self, error: &io::Error) {
        self.bytes.push(FAILED);
        let kind = KINDS.iter().position(|kind| *kind == error.kind()).unwrap_or(0);
        self.bytes.push(kind as u8);
        if is_passing(error.kind()) {
            return;
        }
        let RecordedError { os, text, .. } = RecordedError::from(error);
        match os {
            None => self.bytes.push(0),
            Some(code) => {
                self.bytes.push(1);
                self.bytes.extend_from_slice(&code.to_be_bytes());
            }
        }
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.reserve(bytes.len());
        bytes.chunks(COPIED_AT_ONCE).for_each(|piece| self.bytes.extend_from_slice(piece));
    }

    fn number(&mut self, number: u64) {
        number_into(&mut self.bytes, number);
    }
}

/// Seven bits to a byte, the lowest first; the top bit says that more follow.
pub(super) fn number_into(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::decode::{Mark, Reader};
    use super::super::{Record, RecordedError};
    use super::*;
    use std::io::ErrorKind;

    fn records(segment: &Segment) -> Vec<Record<'_>> {
        let mut reader = Reader::new(&segment.bytes, Mark::default());
        let mut records = Vec::new();
        while !reader.is_at_end() {
            records.push(reader.record().unwrap());
        }
        assert_eq!(records.len() as u64, segment.records);
        records
    }

    #[test]
    fn what_was_recorded_is_read_back() {
        let id = ConnectionId::new(300, u32::MAX);
        let (reset, full) = (io::Error::from_raw_os_error(104), io::Error::from(ErrorKind::WouldBlock));
        let mut segment = Segment::default();
        segment.now(Instant::from_nanos(5));
        segment.now(Instant::MAX);
        segment.now(Instant::from_nanos(7));
        segment.read(id, 1 << 40, Ok(b"bytes"));
        segment.read(id, 1, Ok(b""));
        segment.read(id, 1, Err(&reset));
        segment.write(id, 200, &Ok(128));
        segment.write(id, 200, &Err(full));
        segment.close(id, Close::Drain { deadline: Instant::MAX });
        segment.close(id, Close::Abort);
        segment.draining(3);
        segment.waker(true);
        segment.seed(u128::MAX - 1);
        segment.shutdown(Duration::from_millis(5));
        segment.note("new rules");
        segment.aside(b"told");
        segment.stop_accepting(true);
        let expected = [
            Record::Now(Instant::from_nanos(5)),
            Record::Now(Instant::MAX),
            Record::Now(Instant::from_nanos(7)),
            Record::Read { id, room: 1 << 40, result: Ok(b"bytes") },
            Record::Read { id, room: 1, result: Ok(b"") },
            Record::Read { id, room: 1, result: Err(RecordedError::from(&reset)) },
            Record::Write { id, offered: 200, result: Ok(128) },
            Record::Write { id, offered: 200, result: Err(RecordedError::from(&ErrorKind::WouldBlock.into())) },
            Record::Close { id, how: Close::Drain { deadline: Instant::MAX } },
            Record::Close { id, how: Close::Abort },
            Record::Draining(3),
            Record::Waker(true),
            Record::Seed(u128::MAX - 1),
            Record::Shutdown { within: Duration::from_millis(5) },
            Record::Note("new rules"),
            Record::Aside(b"told"),
            Record::StopAccepting(true),
        ];
        assert_eq!(records(&segment), expected);
    }

    #[test]
    fn a_poll_is_read_back_with_every_kind_of_peer() {
        let id = ConnectionId::new(1, 2);
        let addresses = [
            Address::Memory(u64::MAX),
            Address::Socket("127.0.0.1:80".parse().unwrap()),
            Address::Socket("[fe80::1%3]:65535".parse().unwrap()),
            Address::Unix(None),
            Address::Unix(Some("/run/broker".into())),
            Address::Other("a pipe".into()),
        ];
        let peers = addresses.map(|address| Peer::new(address).with_listener(msglib_proto::transport::ListenerId(9)));
        let shown = Peer::new(Address::Unix(None)).with_certificate(b"DER"[..].into());
        let mut reports: Vec<Readiness> = peers.into_iter().map(|peer| Readiness::Opened(id, peer)).collect();
        reports.extend([Readiness::Opened(id, shown), Readiness::Readable(id), Readiness::Writable(id)]);
        let broken = io::Error::new(ErrorKind::Unsupported, "no more");
        let mut segment = Segment::default();
        segment.poll(None, Ok(&[]));
        segment.poll(Some(Duration::ZERO), Ok(&reports));
        segment.poll(Some(Duration::from_secs(10)), Err(&broken));
        let expected = [
            Record::Poll { timeout: None, result: Ok(vec![]) },
            Record::Poll { timeout: Some(Duration::ZERO), result: Ok(reports) },
            Record::Poll { timeout: Some(Duration::from_secs(10)), result: Err(RecordedError::from(&broken)) },
        ];
        assert_eq!(records(&segment), expected);
    }

    #[test]
    fn no_prefix_of_a_record_is_a_record_and_no_byte_makes_the_reader_panic() {
        let mut segment = Segment::default();
        segment.poll(None, Ok(&[Readiness::Opened(ConnectionId::new(1, 200), Peer::new(Address::Unix(None)))]));
        segment.read(ConnectionId::new(1, 1), 300, Err(&io::Error::from_raw_os_error(104)));
        for length in 0..segment.bytes.len() {
            let mut reader = Reader::new(&segment.bytes[..length], Mark::default());
            assert!(reader.record().and_then(|_| reader.record()).is_err(), "{length} bytes");
            for byte in 0..=u8::MAX {
                let mut other = segment.bytes.clone();
                other[length] = byte;
                let mut reader = Reader::new(&other, Mark::default());
                while !reader.is_at_end() && reader.record().is_ok() {}
            }
        }
    }
}
