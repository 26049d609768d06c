//! A drain is recorded like all that a broker is told, without anybody's doing.

use super::scene::{File, broker, converse, recording};
use msglib_broker::record::{Record, Recorder, Recording};
use msglib_broker::{Broker, ConnectionHandler};
use msglib_client::{Connection, publish_to_q, subscribe_with_prefetch};
use msglib_io_epoll::EpollSocketManager;
use msglib_testkit::replay::{Build, Progress, Replayer, diff, lines};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// All of it again; each call of the broker is compared with the recorded one.
fn replayed(recording: &Recording) -> (Replayer<ConnectionHandler>, Vec<Progress>) {
    let mut replayer = Replayer::new(recording, Build::new(ConnectionHandler::new())).unwrap();
    let mut all = Vec::new();
    while let Some(progress) = replayer.step().unwrap() {
        all.push(progress);
    }
    (replayer, all)
}

#[test]
fn a_drain_in_memory_is_replayed() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    converse(&transport, &mut broker, 3);
    let (publisher, consumer) = (transport.connect("broker").unwrap(), transport.connect("broker").unwrap());
    let (publisher, consumer) = (Connection::new(publisher), Connection::new(consumer));
    let mut subscription = subscribe_with_prefetch(&consumer, "q", 1).unwrap();
    publish_to_q(&publisher, "q", "one").unwrap();
    while !broker.process_connections().unwrap().is_idle() {}
    let one = subscription.next().unwrap();

    broker.begin_drain(LONG);
    broker.process_connections().unwrap();
    one.ack().unwrap();
    consumer.flush().unwrap();
    let drained = broker.drain(LONG / 2).unwrap();
    assert_eq!((drained.connections, drained.unsettled), (2, 0));
    log.shutting_down(LONG);
    broker.shutdown(LONG).unwrap();

    let recording = recording(&log);
    let told = recording.records().filter(|record| matches!(record, Record::Aside(_))).count();
    let stops = recording.records().filter(|record| matches!(record, Record::StopAccepting(true))).count();
    assert_eq!((told, stops), (2, 1), "each drain, and one end of accepting");
    let (replayer, all) = replayed(&recording);
    assert!(matches!(all.last(), Some(Progress::Shutdown(end)) if (end.orderly, end.aborted) == (2, 0)), "{all:?}");
    assert_eq!(replayer.broker().counters(), broker.counters());
    let transcript = replayer.transcript().to_string();
    assert!(transcript.contains("GoingAway { deadline_ms: 60000 }"), "{transcript}");
    assert!(lines(&recording).any(|line| line.ends_with("no new connections are taken")));
}

#[test]
fn a_drain_over_sockets_is_replayed_in_memory() {
    let manager = EpollSocketManager::bind("[::1]:0").unwrap();
    let address = manager.local_addr().unwrap();
    let file = File::default();
    let recorder = Recorder::to_stream(manager, file.clone());
    let log = recorder.log();
    let mut broker = Broker::new(ConnectionHandler::new(), recorder);
    let client = std::thread::spawn(move || {
        let connection = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(20)).unwrap());
        let mut subscription = subscribe_with_prefetch(&connection, "q", 1).unwrap();
        publish_to_q(&connection, "q", "one").unwrap();
        let one = subscription.next().unwrap();
        while connection.going_away().is_none() {
            connection.ping().unwrap();
            assert!(subscription.try_next().unwrap().is_none());
        }
        one.ack().unwrap();
        connection.flush().unwrap();
        subscription.next().unwrap_err();
    });
    broker.run_until(|broker| broker.handler().queue("q").is_some_and(|queue| queue.ledger.in_flight == 1)).unwrap();
    let drained = broker.drain(Duration::from_secs(20)).unwrap();
    assert_eq!((drained.connections, drained.unsettled), (1, 0));
    log.shutting_down(LONG);
    broker.shutdown(LONG).unwrap();
    client.join().unwrap();
    let counters = *broker.counters();
    drop(broker);

    let recording = Recording::read(&file.bytes()[..]).unwrap();
    let (replayer, _) = replayed(&recording);
    assert_eq!(replayer.broker().counters(), &counters);
    assert_eq!(replayer.broker().handler().queue("q").unwrap().ledger.acked, 1);
}

/// Another build drains at the same time.
#[test]
fn a_drain_is_fed_to_other_builds() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    converse(&transport, &mut broker, 1);
    let late = Connection::new(transport.connect("broker").unwrap());
    broker.process_connections().unwrap();
    broker.begin_drain(LONG);
    broker.process_connections().unwrap();
    publish_to_q(&late, "q", "late").unwrap();
    broker.process_connections().unwrap();
    let recording = recording(&log);
    assert!(diff(&recording, ConnectionHandler::new(), ConnectionHandler::new()).is_empty());
    let outputs = msglib_testkit::replay::outputs(&recording, Build::new(ConnectionHandler::new())).to_string();
    assert!(outputs.contains("GoingAway") && outputs.contains("SHUTTING_DOWN"), "{outputs}");
}
