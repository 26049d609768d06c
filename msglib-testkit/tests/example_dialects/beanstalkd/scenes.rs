//! What the server does, with time in hand.

use super::dialect::Beanstalk;
use super::server::Server;
use crate::world::World;
use msglib_io_memory::MemoryStream;
use std::time::Duration;

const MAX_JOB: u32 = 100;
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn world() -> World<Server, Beanstalk> {
    World::new(Server::new(MAX_JOB), Beanstalk { max_job: MAX_JOB })
}

impl World<Server, Beanstalk> {
    /// Says a line, and returns what comes back: lines, joined by ` | `.
    pub(super) fn ask(&mut self, peer: &MemoryStream, line: &str) -> String {
        self.say(peer, format!("{line}\r\n"));
        self.answers(peer)
    }

    pub(super) fn answers(&self, peer: &MemoryStream) -> String {
        let heard = String::from_utf8(self.hear(peer)).unwrap();
        heard.split_terminator("\r\n").collect::<Vec<_>>().join(" | ")
    }

    fn put(&mut self, peer: &MemoryStream, priority: u32, delay: u32, ttr: u32, body: &str) -> String {
        self.ask(peer, &format!("put {priority} {delay} {ttr} {}\r\n{body}", body.len()))
    }
}

#[test]
fn a_worker_waits_and_is_served_in_its_turn() {
    let mut world = world();
    let (producer, first, second) = (world.connect(), world.connect(), world.connect());
    assert_eq!(world.ask(&first, "reserve"), "");
    assert_eq!(world.ask(&second, "reserve-with-timeout 9"), "");
    assert_eq!(world.put(&producer, 1, 0, 60, "a"), "INSERTED 1");
    assert_eq!((world.answers(&first), world.answers(&second)), ("RESERVED 1 1 | a".into(), String::new()));
    assert_eq!(world.put(&producer, 1, 0, 60, "b"), "INSERTED 2");
    assert_eq!(world.answers(&second), "RESERVED 2 1 | b");
    world.advance(20 * SECOND);
    assert_eq!((world.answers(&first), world.answers(&second)), (String::new(), String::new()), "no time-out is left");
}

#[test]
fn the_most_urgent_of_several_tubes_comes_first_and_then_the_oldest() {
    let mut world = world();
    let (producer, worker) = (world.connect(), world.connect());
    for (tube, priority) in [("a", 5), ("b", 1), ("c", 5), ("a", 1)] {
        world.ask(&producer, &format!("use {tube}"));
        world.put(&producer, priority, 0, 60, tube);
    }
    for tube in ["c", "b", "a"] {
        world.ask(&worker, &format!("watch {tube}"));
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(world.ask(&worker, "reserve"));
    }
    assert_eq!(order, ["RESERVED 2 1 | b", "RESERVED 4 1 | a", "RESERVED 1 1 | a", "RESERVED 3 1 | c"]);
}

#[test]
fn delays_and_reservations_end_when_they_should_and_not_before() {
    let mut world = world();
    let (producer, worker) = (world.connect(), world.connect());
    world.put(&producer, 1, 3, 5, "late");
    world.advance(3 * SECOND - Duration::from_nanos(1));
    assert_eq!(world.ask(&worker, "reserve-with-timeout 0"), "TIMED_OUT");
    assert_eq!(world.ask(&worker, "reserve"), "");
    world.advance(Duration::from_nanos(1));
    assert_eq!(world.answers(&worker), "RESERVED 1 4 | late");

    world.advance(4 * SECOND);
    assert_eq!(world.ask(&worker, "touch 1"), "TOUCHED");
    world.advance(5 * SECOND - Duration::from_nanos(1));
    assert!(world.ask(&producer, "stats-job 1").contains("state: reserved"));
    world.advance(Duration::from_nanos(1));
    let stats = world.ask(&producer, "stats-job 1");
    assert!(stats.contains("state: ready") && stats.contains("timeouts: 1"), "{stats}");
    for command in ["touch 1", "release 1 1 0", "bury 1 1"] {
        assert_eq!(world.ask(&worker, command), "NOT_FOUND", "{command}");
    }
    assert_eq!(world.ask(&worker, "delete 1"), "DELETED", "as anybody can");
}

#[test]
fn a_worker_is_told_when_it_has_been_too_long() {
    let mut world = world();
    let (producer, worker) = (world.connect(), world.connect());
    world.put(&producer, 1, 0, 10, "job");
    assert_eq!(world.ask(&worker, "reserve"), "RESERVED 1 3 | job");
    assert_eq!(world.ask(&worker, "reserve-with-timeout 2"), "");
    world.advance(2 * SECOND);
    assert_eq!(world.answers(&worker), "TIMED_OUT");
    assert_eq!(world.ask(&worker, "reserve"), "");
    world.advance(7 * SECOND - Duration::from_nanos(1));
    assert_eq!(world.answers(&worker), "");
    world.advance(Duration::from_nanos(1));
    assert_eq!(world.answers(&worker), "DEADLINE_SOON");
    assert_eq!(world.ask(&worker, "reserve"), "DEADLINE_SOON", "again, at once");
    world.put(&producer, 1, 0, 10, "more");
    assert_eq!(world.ask(&worker, "reserve"), "RESERVED 2 4 | more", "but for what there is");
}

#[test]
fn who_leaves_gives_back_and_waits_no_longer() {
    let mut world = world();
    let (producer, gone, there) = (world.connect(), world.connect(), world.connect());
    world.put(&producer, 1, 0, 60, "a");
    world.ask(&gone, "reserve");
    world.ask(&gone, "reserve");
    world.ask(&there, "reserve");
    world.leave(gone);
    assert_eq!(world.answers(&there), "RESERVED 1 1 | a");
    world.put(&producer, 1, 0, 60, "b");
    assert_eq!(world.ask(&there, "reserve"), "RESERVED 2 1 | b");
}

#[test]
fn a_pause_ends_by_itself() {
    let mut world = world();
    let (producer, worker) = (world.connect(), world.connect());
    world.put(&producer, 1, 0, 60, "job");
    assert_eq!(world.ask(&producer, "pause-tube default 5"), "PAUSED");
    assert_eq!(world.ask(&worker, "reserve-with-timeout 5"), "");
    assert!(world.ask(&producer, "peek-ready").starts_with("FOUND 1"));
    world.advance(4 * SECOND);
    assert!(world.ask(&producer, "stats-tube default").contains("pause: 5\npause-time-left: 1\n"));
    world.advance(SECOND);
    assert_eq!(world.answers(&worker), "RESERVED 1 3 | job");
}

#[test]
fn a_full_server_takes_no_more_and_says_so() {
    let mut server = Server::new(MAX_JOB);
    server.store = msglib_broker::Store::new().with_max_bytes(200);
    let mut world = World::new(server, Beanstalk { max_job: MAX_JOB });
    let client = world.connect();
    assert_eq!(world.put(&client, 1, 0, 60, &"x".repeat(100)), "INSERTED 1");
    assert_eq!(world.put(&client, 1, 0, 60, &"y".repeat(100)), "OUT_OF_MEMORY");
    assert_eq!(world.ask(&client, "delete 1"), "DELETED");
    assert_eq!(world.put(&client, 1, 0, 60, &"z".repeat(100)), "INSERTED 2");
    assert_eq!(world.put(&client, 1, 0, 60, &"z".repeat(101)), "JOB_TOO_BIG");
}

#[test]
fn a_server_that_drains_takes_no_jobs_and_waits_for_those_at_work() {
    let mut world = world();
    let (client, worker) = (world.connect(), world.connect());
    world.put(&client, 1, 0, 60, "job");
    world.ask(&worker, "reserve");
    assert!(!world.broker.handler_mut().drain());
    assert_eq!(world.put(&client, 1, 0, 60, "more"), "DRAINING");
    assert_eq!(world.ask(&worker, "delete 1"), "DELETED");
    assert!(world.broker.handler_mut().drain());
    assert!(world.ask(&client, "stats").contains("draining: true"));
}

#[test]
fn a_tube_that_nobody_wants_is_forgotten() {
    let mut world = world();
    let client = world.connect();
    world.ask(&client, "watch a");
    world.ask(&client, "use b");
    assert_eq!(world.ask(&client, "list-tubes"), "OK 22 | ---\n- a\n- b\n- default\n");
    world.put(&client, 1, 0, 60, "keeps it");
    world.ask(&client, "ignore a");
    world.ask(&client, "use default");
    assert_eq!(world.ask(&client, "list-tubes"), "OK 18 | ---\n- b\n- default\n");
    world.ask(&client, "delete 1");
    assert_eq!(world.ask(&client, "list-tubes"), "OK 14 | ---\n- default\n");
    assert_eq!(world.ask(&client, "ignore default"), "NOT_IGNORED");
    for number in 1..1000 {
        assert_eq!(world.ask(&client, &format!("watch t{number}")), format!("WATCHING {}", number + 1));
    }
    assert_eq!(world.ask(&client, "watch one-more"), "OUT_OF_MEMORY");
    world.leave(client);
    let other = world.connect();
    assert!(world.ask(&other, "stats").contains("current-tubes: 1\n"));
}
