//! Bytes to records.

use super::encode::{FAILED, OK, OPENED, READABLE, WRITABLE, tag};
use super::error::{KINDS, is_passing};
use super::{Record, RecordedError};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{Address, Close, ConnectionId, ListenerId, Peer, Readiness};

/// What cannot be, and how far into the segment it is.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

/// How far a segment has been read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    pub(super) at: usize,
    now: u64,
}

/// Reads one segment from a mark on.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    mark: Mark,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], mark: Mark) -> Reader<'a> {
        Reader { bytes, mark }
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.mark.at == self.bytes.len()
    }

    pub(super) fn record(&mut self) -> Result<Record<'a>, Malformed> {
        let start = self.mark.at;
        match self.byte()? {
            tag::NOW => {
                self.mark.now = self.mark.now.wrapping_add(self.number()?);
                Ok(Record::Now(Instant::from_nanos(self.mark.now)))
            }
            tag::POLL => {
                let timeout = self.number()?.checked_sub(1).map(Duration::from_nanos);
                Ok(Record::Poll { timeout, result: self.result(Self::reports)? })
            }
            tag::READ => {
                let (id, room) = (self.id()?, self.size()?);
                Ok(Record::Read { id, room, result: self.result(Self::bytes)? })
            }
            tag::WRITE => {
                let (id, offered) = (self.id()?, self.size()?);
                Ok(Record::Write { id, offered, result: self.result(Self::size)? })
            }
            tag::DRAIN => {
                let (id, deadline) = (self.id()?, Instant::from_nanos(self.number()?));
                Ok(Record::Close { id, how: Close::Drain { deadline } })
            }
            tag::ABORT => Ok(Record::Close { id: self.id()?, how: Close::Abort }),
            tag::DRAINING => Ok(Record::Draining(self.size()?)),
            tag::STOP_ACCEPTING => Ok(Record::StopAccepting(self.flag()?)),
            tag::WAKER => Ok(Record::Waker(self.flag()?)),
            tag::SEED => Ok(Record::Seed(u128::from_be_bytes(self.array()?))),
            tag::SHUTDOWN => Ok(Record::Shutdown { within: Duration::from_nanos(self.number()?) }),
            tag::ASIDE => Ok(Record::Aside(self.bytes()?)),
            tag::NOTE => Ok(Record::Note(self.text()?)),
            _ => Err(Malformed { at: start, what: "a record of a type that there is not" }),
        }
    }

    fn result<T>(
        &mut self,
        ok: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Result<T, RecordedError>, Malformed> {
        match self.byte()? {
            OK => ok(self).map(Ok),
            FAILED => self.error().map(Err),
            _ => Err(self.malformed("a result that is neither good nor bad")),
        }
    }

    fn error(&mut self) -> Result<RecordedError, Malformed> {
        let number = usize::from(self.byte()?);
        let kind = *KINDS.get(number).ok_or_else(|| self.malformed("an error of a kind that there is not"))?;
        if is_passing(kind) {
            return Ok(RecordedError { kind, os: None, text: kind.to_string() });
        }
        let os = if self.flag()? { Some(i32::from_be_bytes(self.array()?)) } else { None };
        Ok(RecordedError { kind, os, text: self.text()?.to_owned() })
    }

    fn reports(&mut self) -> Result<Vec<Readiness>, Malformed> {
        // Not with that capacity at once: each report is a byte at least, and that is not checked yet.
        (0..self.number()?).map(|_| self.report()).collect()
    }

    fn report(&mut self) -> Result<Readiness, Malformed> {
        let what = self.byte()?;
        let id = self.id()?;
        match what {
            OPENED => Ok(Readiness::Opened(id, self.peer()?)),
            READABLE => Ok(Readiness::Readable(id)),
            WRITABLE => Ok(Readiness::Writable(id)),
            _ => Err(self.malformed("a report of a type that there is not")),
        }
    }

    fn peer(&mut self) -> Result<Peer, Malformed> {
        let peer = Peer::new(self.address()?).with_listener(ListenerId(self.small()?));
        Ok(if self.flag()? { peer.with_certificate(self.bytes()?.into()) } else { peer })
    }

    fn address(&mut self) -> Result<Address, Malformed> {
        Ok(match self.byte()? {
            0 => Address::Memory(self.number()?),
            1 => {
                let (ip, port) = (Ipv4Addr::from(self.array::<4>()?), u16::from_be_bytes(self.array()?));
                Address::Socket(SocketAddrV4::new(ip, port).into())
            }
            2 => {
                let (ip, port) = (Ipv6Addr::from(self.array::<16>()?), u16::from_be_bytes(self.array()?));
                Address::Socket(SocketAddrV6::new(ip, port, self.small()?, self.small()?).into())
            }
            3 => Address::Unix(None),
            4 => Address::Unix(Some(self.text()?.into())),
            5 => Address::Other(self.text()?.into()),
            _ => return Err(self.malformed("an address of a type that there is not")),
        })
    }

    fn id(&mut self) -> Result<ConnectionId, Malformed> {
        Ok(ConnectionId::new(self.small()?, self.small()?))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.bytes()?;
        core::str::from_utf8(bytes).map_err(|_| self.malformed("a text that is not UTF-8"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.size()?;
        self.take(length)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.malformed("a flag that is neither 0 nor 1")),
        }
    }

    fn small(&mut self) -> Result<u32, Malformed> {
        let number = self.number()?;
        u32::try_from(number).map_err(|_| self.malformed("a number that is too large"))
    }

    fn size(&mut self) -> Result<usize, Malformed> {
        let number = self.number()?;
        usize::try_from(number).map_err(|_| self.malformed("a number that is too large"))
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                return Err(self.malformed("a number that is too large"));
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.malformed("a number without an end"))
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let at = self.mark.at;
        self.take(N)?.try_into().map_err(|_| Malformed { at, what: "a record that is not whole" })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let rest = &self.bytes[self.mark.at..];
        let taken = rest.get(..length).ok_or_else(|| self.malformed("a record that is not whole"))?;
        self.mark.at += length;
        Ok(taken)
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { at: self.mark.at, what }
    }
}
