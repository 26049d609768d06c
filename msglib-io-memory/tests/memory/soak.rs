//! Many connections, random steps, and a broker that goes by its reports alone: nothing is lost, and nobody waits in vain.

use crate::support::{Random, World, peer_read, peer_write};
use msglib_io_memory::MemoryStream;
use msglib_proto::transport::{ConnectionId, Readiness};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;

/// Sends back what it reads, as a careful broker would: it reads when told, until it is told to wait.
#[derive(Default)]
struct Echo {
    peers: BTreeMap<ConnectionId, Pending>,
    /// Told to be readable, and not read to the end yet.
    unread: VecDeque<ConnectionId>,
    queued: BTreeSet<ConnectionId>,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    blocked: bool,
    ended: bool,
}

impl Echo {
    /// One bounded step: a poll, and one read for each connection that may have something.
    fn step(&mut self, world: &mut World, random: &mut Random) {
        for report in world.poll() {
            match report {
                Readiness::Opened(id, _) => assert!(self.peers.insert(id, Pending::default()).is_none(), "T1, T2"),
                Readiness::Readable(id) => self.queue(id),
                Readiness::Writable(id) => {
                    let peer = self.peers.get_mut(&id).expect("nothing is reported after a close");
                    assert!(peer.blocked, "{id}: more reports than the contract asks for");
                    peer.blocked = false;
                    self.flush(world, id);
                }
            }
        }
        for _ in 0..self.unread.len() {
            let Some(id) = self.unread.pop_front() else { break };
            self.queued.remove(&id);
            self.read(world, id, 1 + random.below(40));
            self.flush(world, id);
        }
    }

    fn queue(&mut self, id: ConnectionId) {
        if self.queued.insert(id) {
            self.unread.push_back(id);
        }
    }

    fn read(&mut self, world: &mut World, id: ConnectionId, most: usize) {
        let peer = self.peers.get_mut(&id).expect("nothing is reported after a close");
        match world.read(id, most) {
            Ok(got) if got.is_empty() => peer.ended = true,
            Ok(got) => {
                peer.bytes.extend(&got);
                if got.len() == most {
                    self.queue(id);
                }
            }
            Err(kind) => assert_eq!(kind, ErrorKind::WouldBlock),
        }
    }

    fn flush(&mut self, world: &mut World, id: ConnectionId) {
        let peer = self.peers.get_mut(&id).expect("nothing is reported after a close");
        if !peer.blocked && !peer.bytes.is_empty() {
            match world.write(id, &peer.bytes) {
                Ok(count) => {
                    peer.bytes.drain(..count);
                    peer.blocked = !peer.bytes.is_empty();
                }
                Err(kind) => {
                    assert_eq!(kind, ErrorKind::WouldBlock);
                    peer.blocked = true;
                }
            }
        }
        if peer.ended && peer.bytes.is_empty() {
            self.peers.remove(&id);
            world.drain(id);
        }
    }
}

/// A client that sends a fixed stream of bytes, closes its half, and reads its echo.
struct Client {
    stream: MemoryStream,
    sent: usize,
    total: usize,
    received: usize,
    done: bool,
}

impl Client {
    fn step(&mut self, random: &mut Random) {
        let byte = |at: usize| (at * 7 + self.total) as u8;
        let offer: Vec<u8> = (self.sent..self.total).take(1 + random.below(30)).map(byte).collect();
        if random.below(2) == 0 && self.sent < self.total {
            self.sent += peer_write(&self.stream, &offer).unwrap_or(0);
            if self.sent == self.total {
                self.stream.shutdown_write();
            }
        }
        match peer_read(&self.stream, 1 + random.below(30)) {
            Ok(got) if got.is_empty() => {
                assert_eq!(self.received, self.total, "the end came early");
                self.done = true;
            }
            Ok(got) => {
                let expected: Vec<u8> = (self.received..).take(got.len()).map(byte).collect();
                assert_eq!(got, expected);
                self.received += got.len();
            }
            Err(kind) => assert_eq!(kind, ErrorKind::WouldBlock),
        }
    }
}

#[test]
fn every_byte_comes_back_whatever_the_order_of_the_steps() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut world = World::with_capacity(1 + random.below(64));
        let mut echo = Echo::default();
        let mut clients: Vec<Client> = (0..1 + random.below(12))
            .map(|_| Client {
                stream: world.connect(),
                sent: 0,
                total: 1 + random.below(600),
                received: 0,
                done: false,
            })
            .collect();
        let mut steps = 0;
        while clients.iter().any(|client| !client.done) {
            steps += 1;
            assert!(steps < 1_000_000, "seed {seed}: somebody waits in vain");
            match random.below(clients.len() + 1) {
                0 => echo.step(&mut world, &mut random),
                n => clients[n - 1].step(&mut random),
            }
        }
        echo.step(&mut world, &mut random);
        assert!(echo.peers.is_empty(), "seed {seed}: all have ended");
        drop(clients);
        assert_eq!(world.poll(), []);
        assert!(world.open().1.index() < 13, "seed {seed}: slots are free again");
    }
}
