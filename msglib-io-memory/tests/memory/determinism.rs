//! What happens follows from the calls, in their order, and the seed.

use crate::support::{Random, World, peer_read, peer_write};
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::transport::{ConnectionId, ConnectionManager, Readiness};
use std::fmt::Write as _;
use std::time::Duration;

#[test]
fn reports_come_in_the_order_in_which_things_happened() {
    let mut world = World::with_capacity(1);
    let peers: Vec<(MemoryStream, ConnectionId)> = (0..4).map(|_| world.open()).collect();
    let ids: Vec<ConnectionId> = peers.iter().map(|(_, id)| *id).collect();
    world.write(ids[0], b"ab").unwrap();
    peer_write(&peers[2].0, b"x").unwrap();
    peer_read(&peers[0].0, 1).unwrap();
    peers[3].0.shutdown_write();
    let late = world.connect();
    peer_write(&peers[1].0, b"x").unwrap();
    peer_write(&late, b"x").unwrap();

    let reports = world.poll();
    let [Readiness::Opened(late, _)] = reports[3..4] else { panic!("{reports:?}") };
    let seen: Vec<ConnectionId> = reports.iter().map(Readiness::id).collect();
    assert_eq!(seen, [ids[2], ids[0], ids[3], late, ids[1], late]);
    assert_eq!(reports[1], Readiness::Writable(ids[0]));
}

#[test]
fn the_same_script_twice_is_the_same_to_the_byte() {
    let transcripts: Vec<String> = (0..40).map(|seed| transcript(seed, 400)).collect();
    for (seed, first) in transcripts.iter().enumerate() {
        assert_eq!(*first, transcript(seed as u64, 400), "seed {seed}");
    }
    assert_ne!(transcripts[0], transcripts[1]);
    let all = transcripts.concat();
    for word in ["Opened", "Readable", "Writable", "WouldBlock", "ConnectionReset", "BrokenPipe", "NotFound"] {
        assert!(all.contains(word), "no script came to see {word}");
    }
}

/// A random script with everything in it, and all that anybody saw.
fn transcript(seed: u64, steps: usize) -> String {
    let mut random = Random::new(seed);
    let mut world = World::with_capacity(50);
    let (mut peers, mut ids, mut log) = (Vec::new(), Vec::new(), String::new());
    for _ in 0..steps {
        let step = step(&mut world, &mut random, &mut peers, &mut ids);
        writeln!(log, "{step}").unwrap();
    }
    log
}

fn step(world: &mut World, random: &mut Random, peers: &mut Vec<MemoryStream>, ids: &mut Vec<ConnectionId>) -> String {
    let what = random.below(14);
    if what == 0 || peers.is_empty() || ids.is_empty() {
        peers.push(world.connect());
        let reports = world.poll();
        ids.extend(reports.iter().filter(|r| matches!(r, Readiness::Opened(..))).map(Readiness::id));
        return format!("{reports:?}");
    }
    let (peer, id) = (random.below(peers.len()), ids[random.below(ids.len())]);
    let size = 1 + random.below(60);
    match what {
        1 => drop(peers.swap_remove(peer)),
        2 if size < 20 => peers[peer].reset(),
        2 => peers[peer].shutdown_write(),
        3 if size < 20 => world.abort(id),
        3 => world.drain(id),
        4 => world.transport.clock().advance(Duration::from_millis(200)),
        5 | 6 => return format!("{peer} {:?}", peer_write(&peers[peer], &vec![size as u8; size])),
        7 | 8 => return format!("{peer} {:?}", peer_read(&peers[peer], size)),
        9 => return format!("{id} {:?}", world.write(id, &vec![size as u8; size])),
        10 | 11 => return format!("{id} {:?}", world.read(id, size)),
        _ => return format!("{:?}", world.poll()),
    }
    String::new()
}

#[test]
fn seeds_follow_from_the_first_across_managers_and_restarts() {
    let seeds = |transport: Transport| {
        let mut a = InMemoryConnectionManager::new(&transport, "a").unwrap();
        let mut b = InMemoryConnectionManager::new(&transport, "b").unwrap();
        let (first, second) = (a.seed(), b.seed());
        drop(a);
        let mut a = InMemoryConnectionManager::new(&transport, "a").unwrap();
        [first, second, a.seed(), b.seed()]
    };
    let of_42 = seeds(Transport::builder().seed(42).build());
    assert_eq!(of_42[0], 42);
    assert_eq!(of_42, seeds(Transport::builder().seed(42).build()));
    assert_ne!(of_42[1..], seeds(Transport::builder().seed(43).build())[1..]);
    let mut distinct = of_42.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 4);
    assert_eq!(seeds(Transport::new()), seeds(Transport::default()), "a fixed number unless set");
}
