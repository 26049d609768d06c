//! Whatever clients do, and whatever time does: what the server remembers of each job is where its queue has it.

use super::scenes::world;
use super::server::Server;
use super::tube::{Hold, Place};
use msglib_broker::queue;
use msglib_io_memory::MemoryStream;
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Move {
    Say(usize, String),
    Leave(usize),
    /// So many milliseconds.
    Wait(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    let id = || 1..12_u64;
    let number = || 0..4_u32;
    let tube = || prop_oneof!["default", "a", "b"];
    let line = prop_oneof![
        4 => (number(), prop_oneof![3 => Just(0), 1 => 1..4_u32], 1..5_u32)
            .prop_map(|(priority, delay, ttr)| format!("put {priority} {delay} {ttr} 1\r\nx")),
        4 => prop_oneof![Just("reserve".to_owned()), number().prop_map(|time| format!("reserve-with-timeout {time}"))],
        3 => (prop_oneof!["delete", "touch", "kick-job", "reserve-job", "peek", "stats-job"], id())
            .prop_map(|(word, id)| format!("{word} {id}")),
        2 => (id(), number(), number()).prop_map(|(id, priority, delay)| format!("release {id} {priority} {delay}")),
        2 => (id(), number()).prop_map(|(id, priority)| format!("bury {id} {priority}")),
        2 => (prop_oneof!["use", "watch", "ignore", "stats-tube"], tube()).prop_map(|(word, tube)| format!("{word} {tube}")),
        1 => (tube(), number()).prop_map(|(tube, time)| format!("pause-tube {tube} {time}")),
        1 => number().prop_map(|bound| format!("kick {bound}")),
        1 => prop_oneof!["peek-ready", "peek-delayed", "peek-buried", "stats", "list-tubes"].prop_map(|word| word),
    ];
    prop_oneof![
        12 => (0..3_usize, line).prop_map(|(client, line)| Move::Say(client, line)),
        1 => (0..3_usize).prop_map(Move::Leave),
        3 => (0..3000_u64).prop_map(Move::Wait),
    ]
}

/// Each job is in one place, the same for the server and for its queue; and so is each client that waits.
fn check(server: &mut Server) {
    let ids: Vec<u64> = server.jobs.keys().copied().collect();
    for id in ids {
        let (_, job, tube, store) = server.job(id).unwrap();
        let at = tube.queue.message(store, job.message).unwrap().place;
        match (job.place, at) {
            (Place::Ready, queue::Place::Ready) => {}
            (Place::Delayed(until), queue::Place::Delayed(at)) => assert_eq!(at, until),
            (Place::Buried(place), queue::Place::Delayed(msglib_broker::Instant::MAX)) => {
                assert_eq!(tube.buried.get(&place), Some(&id));
            }
            (Place::Reserved(Hold { consumer, tag, .. }), queue::Place::InFlight { .. }) => {
                assert_eq!(at, queue::Place::InFlight { consumer, tag });
            }
            (_, at) => panic!("job {id} is {at:?}"),
        }
        assert_eq!(tube.jobs.get(&job.message), Some(&id));
    }
    for tube in server.tubes.values() {
        let ledger = tube.queue.ledger();
        assert!(ledger.is_balanced(), "{ledger:?}");
        let ours = server.jobs.values().filter(|job| server.tubes.get(&job.tube).is_some_and(|t| t.name == tube.name));
        assert_eq!((ours.count(), tube.jobs.len()), (tube.queue.len(), tube.queue.len()));
        assert_eq!(tube.delayed.len() + tube.buried.len(), ledger.delayed as usize);
        let watching = server
            .clients
            .values()
            .filter(|client| client.watches.iter().any(|id| server.names.get(&tube.name) == Some(id)));
        assert_eq!(watching.count(), tube.watching);
        // Nobody waits for what is there.
        let is_idle = tube.waiting.is_empty() || tube.pause.is_some() || ledger.ready == 0;
        assert!(is_idle, "{:?} wait for {} jobs", tube.waiting, ledger.ready);
    }
}

proptest! {
    #[test]
    fn the_server_and_its_queues_agree(moves in prop::collection::vec(moves(), 1..60)) {
        let mut world = world();
        let mut clients: Vec<MemoryStream> = (0..3).map(|_| world.connect()).collect();
        for step in moves {
            match step {
                Move::Say(client, line) => drop(world.ask(&clients[client], &line)),
                Move::Leave(client) => {
                    let new = world.connect();
                    world.leave(std::mem::replace(&mut clients[client], new));
                }
                Move::Wait(millis) => world.advance(Duration::from_millis(millis)),
            }
            check(world.broker.handler_mut());
        }
        // In the end nobody is left, and everything can be taken out.
        clients.into_iter().for_each(|client| world.leave(client));
        let last = world.connect();
        let ids: Vec<u64> = world.broker.handler().jobs.keys().copied().collect();
        for id in ids {
            prop_assert_eq!(world.ask(&last, &format!("delete {id}")), "DELETED");
        }
        world.leave(last);
        let server = world.broker.handler();
        prop_assert_eq!((server.jobs.len(), server.tubes.len(), server.store.payloads()), (0, 1, 0));
    }
}
