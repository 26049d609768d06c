//! Does what a client of the abuse suite did, to whoever listens.

use crate::learn::{Act, Script};
use crate::random::Random;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How an attacker treats what the script leaves open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Temper {
    /// Gone as soon as the script is over.
    Hasty,
    /// Stays and reads until the broker has had enough of it.
    Stubborn,
    /// Stays, and reads nothing at all.
    Deaf,
}

pub(crate) struct Attacker<'s> {
    stream: TcpStream,
    acts: core::slice::Iter<'s, Act>,
    writing: &'s [u8],
    temper: Temper,
    /// So long it stays at the most.
    until: Instant,
}

/// Longer than the broker of the soak waits for anything.
const LONGEST: Duration = Duration::from_secs(4);

impl<'s> Attacker<'s> {
    /// `None` if nobody answers.
    pub(crate) fn new(address: SocketAddr, script: &'s Script, random: &mut Random) -> Option<Attacker<'s>> {
        let stream = TcpStream::connect_timeout(&address, LONGEST).ok()?;
        stream.set_nonblocking(true).ok()?;
        let temper = match random.below(10) {
            0..6 => Temper::Hasty,
            6..9 => Temper::Stubborn,
            _ => Temper::Deaf,
        };
        let until = Instant::now() + LONGEST;
        Some(Attacker { stream, acts: script.iter(), writing: &[], temper, until })
    }

    /// Does what goes; false when it is over.
    pub(crate) fn turn(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        while !self.writing.is_empty() {
            match self.stream.write(self.writing) {
                Ok(count) => self.writing = &self.writing[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        match self.acts.next() {
            Some(Act::Write(bytes)) => self.writing = bytes,
            Some(Act::Read) => return self.read(),
            Some(Act::End) => drop(self.stream.shutdown(Shutdown::Write)),
            Some(Act::Reset) => {
                drop(SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
                return false;
            }
            Some(Act::Stay) => {
                self.acts = [].iter();
                self.temper = Temper::Stubborn;
            }
            None => return self.temper != Temper::Hasty && self.read(),
        }
        true
    }

    /// False at the end, and when the connection is broken.
    fn read(&mut self) -> bool {
        if self.temper == Temper::Deaf {
            return true;
        }
        let mut buf = [0; 16 * 1024];
        match self.stream.read(&mut buf) {
            Ok(count) => count > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}
