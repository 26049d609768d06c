//! The abuse suite's clients, learned by listening: each case runs once in memory, and what its attackers do to their connections is
//! written down. So what is new in the suite is in the soak too.

use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_testkit::abuse::cases;
use msglib_testkit::conformance::{Fixture, RawPeer, Skipped};
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

/// What a client does, in order.
#[derive(Debug)]
pub(crate) enum Act {
    Write(Vec<u8>),
    /// It reads what is there.
    Read,
    /// It ends its sending side.
    End,
    Reset,
    /// It says nothing more, and waits for what the broker will do.
    Stay,
}

pub(crate) type Script = Vec<Act>;

/// Of one client no more than this many bytes are remembered: the rest of a flood is more of the same.
const MOST: usize = 256 * 1024;
/// In each case the first two connections are the witnesses.
const WITNESSES: usize = 2;

/// For each case the scripts of its attackers.
pub(crate) fn scripts() -> Vec<Vec<Script>> {
    let mut scripts: Vec<Vec<Script>> = Vec::new();
    for (_, case) in cases::all::<Overheard>() {
        let mut fixture = Overheard::new();
        let heard = Rc::clone(&fixture.heard);
        // What a case skips is not learned.
        let _ = case(&mut fixture);
        drop(fixture);
        let attackers = heard.borrow_mut().split_off(WITNESSES);
        scripts.push(attackers.into_iter().map(|notes| notes.take().acts).collect());
    }
    scripts.retain(|attackers| !attackers.is_empty());
    scripts
}

#[derive(Default)]
struct Notes {
    acts: Script,
    bytes: usize,
}

struct Overheard {
    transport: Transport,
    manager: InMemoryConnectionManager,
    heard: Rc<RefCell<Vec<Rc<RefCell<Notes>>>>>,
}

struct Ear {
    stream: MemoryStream,
    notes: Rc<RefCell<Notes>>,
}

impl Fixture for Overheard {
    type Manager = InMemoryConnectionManager;
    type Peer = Ear;

    fn new() -> Overheard {
        let transport = Transport::new();
        let manager = InMemoryConnectionManager::new(&transport, "broker").expect("nobody else is bound");
        Overheard { transport, manager, heard: Rc::default() }
    }
    fn manager(&mut self) -> &mut InMemoryConnectionManager {
        &mut self.manager
    }
    fn connect(&mut self) -> Ear {
        let notes = Rc::<RefCell<Notes>>::default();
        self.heard.borrow_mut().push(Rc::clone(&notes));
        Ear { stream: self.transport.connect("broker").expect("the manager listens"), notes }
    }
    fn advance(&mut self, by: Duration) {
        self.transport.clock().advance(by);
    }
    fn skipped(_: &str, _: &Skipped) {}
}

impl Notes {
    fn wrote(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(MOST - self.bytes)];
        self.bytes += bytes.len();
        match self.acts.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Act::Write(earlier)) => earlier.extend_from_slice(bytes),
            _ => self.acts.push(Act::Write(bytes.to_vec())),
        }
    }

    fn read(&mut self) {
        if matches!(self.acts.last(), Some(Act::Write(_))) {
            self.acts.push(Act::Read);
        }
    }
}

impl RawPeer for Ear {
    fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.notes.borrow_mut().read();
        self.stream.read(buf)
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream.write(bytes)?;
        self.notes.borrow_mut().wrote(&bytes[..count]);
        Ok(count)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.notes.borrow_mut().acts.push(Act::End);
        self.stream.shutdown_write();
        Ok(())
    }
    fn reset(&mut self) -> io::Result<()> {
        self.notes.borrow_mut().acts.push(Act::Reset);
        self.stream.reset();
        Ok(())
    }
}
