//! An exact replay: every byte, every call.

use super::scene::{File, Written, broker, converse, recording};
use msglib_broker::record::{Record, Recorder, Recording};
use msglib_broker::{Broker, BrokerConfig, ConnectionHandler, CoreConfig, Native, QueueConfig, StockConfig};
use msglib_client::{Connection, blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_testkit::replay::{Build, Progress, Replay, Replayer};
use msglib_testkit::strategies::{Conversation, cases, conversations};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{Read, Write};
use std::time::Duration;

/// Small budgets, so that what does not fit into one step, or one connection, is recorded too.
fn narrow() -> BrokerConfig {
    let core = CoreConfig::default().with_high_water(200).with_reserve(300).with_frames_per_turn(3);
    BrokerConfig::default().with_core(core).with_read_block(100).with_reads_per_turn(2)
}

/// What a client does in one round: says so many bytes, hears so many, perhaps goes away.
type Round = (usize, usize, bool);

/// Lets raw clients say their conversations, and returns what the broker wrote, and the recording.
fn record(conversations: &[Conversation], rounds: &[Round], seed: u128) -> (Vec<u8>, Recording) {
    let transport = Transport::builder().seed(seed).pipe_capacity(400).build();
    let recorder = Recorder::in_ring(InMemoryConnectionManager::new(&transport, "broker").unwrap(), 1 << 20);
    let log = recorder.log();
    let mut broker = Broker::with_config(ConnectionHandler::new(), Written::new(recorder), Native::default(), narrow());
    let mut clients: Vec<(Vec<u8>, Option<MemoryStream>)> = conversations
        .iter()
        .map(|conversation| (conversation.to_bytes(), Some(transport.connect("broker").unwrap())))
        .collect();
    for (index, (say, hear, leave)) in rounds.iter().enumerate() {
        let whose = index % clients.len();
        let (unsaid, stream) = &mut clients[whose];
        if let Some(client) = stream {
            let said = client.write(&unsaid[..unsaid.len().min(*say)]).unwrap_or(0);
            unsaid.drain(..said);
            let _ = client.read(&mut vec![0; *hear]);
        }
        if *leave {
            *stream = None;
        }
        transport.clock().advance(Duration::from_micros(*say as u64 * 1000));
        broker.process_connections().unwrap();
    }
    log.shutting_down(Duration::from_secs(1));
    broker.shutdown(Duration::from_secs(1)).unwrap();
    (std::mem::take(&mut broker.connection_manager_mut().bytes), recording(&log))
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_replay_writes_every_byte_that_the_recorded_broker_wrote(
        conversations in vec(conversations(), 1..4),
        rounds in vec((0..600_usize, 0..600_usize, prop::bool::weighted(0.02)), 1..60),
        seed in any::<u128>(),
    ) {
        let (written, recording) = record(&conversations, &rounds, seed);
        let replay = Written::new(Replay::new(&recording).unwrap());
        let mut broker = Broker::with_config(ConnectionHandler::new(), replay, Native::default(), narrow());
        for _ in 0..rounds.len() {
            broker.process_connections().unwrap();
        }
        broker.shutdown(Duration::from_secs(1)).unwrap();
        let Written { inner: replay, bytes } = broker.connection_manager();
        prop_assert_eq!(replay.divergence(), None);
        prop_assert!(replay.is_at_end());
        prop_assert_eq!(bytes, &written);
    }
}

#[test]
fn the_replayer_finds_the_steps_and_the_shutdown_by_itself() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    converse(&transport, &mut broker, 20);
    let staying = transport.connect("broker").unwrap();
    broker.process_connections().unwrap();
    log.shutting_down(Duration::from_millis(500));
    let ended = broker.shutdown(Duration::from_millis(500)).unwrap();
    drop(staying);

    let recording = recording(&log);
    let mut replayer = Replayer::new(&recording, Build::new(ConnectionHandler::new())).unwrap();
    let mut last = None;
    while let Some(progress) = replayer.step().unwrap() {
        last = Some(progress);
    }
    assert!(matches!(last, Some(Progress::Shutdown(again)) if again == ended), "{last:?}");
    assert_eq!(replayer.broker().counters(), broker.counters());
    assert_eq!(replayer.broker().handler().queue("jobs").unwrap().ledger.acked, 20);
    assert!(replayer.transcript().to_string().contains("Delivery"), "{}", replayer.transcript());
}

#[test]
fn a_session_over_sockets_is_replayed_in_memory() {
    let address = "[::1]:0".parse().unwrap();
    let manager = EpollSocketManager::builder().listen(address).poll_timeout(Duration::from_millis(1)).build().unwrap();
    let address = manager.local_addr().unwrap();
    let file = File::default();
    let recorder = Recorder::to_stream(manager, file.clone());
    let log = recorder.log();
    let mut broker = Broker::new(ConnectionHandler::new(), recorder);
    let stop = broker.stopper();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let client = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(10)).unwrap());
            let mut subscription = blocking_pull_subscribe_to_queue(&client, "jobs").unwrap();
            for round in 0..200 {
                publish_to_q(&client, "jobs", &vec![b'x'; round * 100]).unwrap();
                let message = subscription.next().unwrap();
                assert_eq!(message.payload().len(), round * 100);
                message.ack().unwrap();
            }
            drop((subscription, client));
            stop.stop();
        });
        broker.run().unwrap();
    });
    log.shutting_down(Duration::from_secs(1));
    broker.shutdown(Duration::from_secs(1)).unwrap();
    let (counters, handler) = (*broker.counters(), broker.handler().queue("jobs").unwrap().ledger);
    drop(broker);

    let recording = Recording::read(&file.bytes()[..]).unwrap();
    let mut replayer = Replayer::new(&recording, Build::new(ConnectionHandler::new())).unwrap();
    replayer.run().unwrap();
    assert_eq!(replayer.broker().counters(), &counters);
    assert_eq!(replayer.broker().handler().queue("jobs").unwrap().ledger, handler);
}

#[test]
fn what_the_program_notes_comes_back_at_its_place() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    converse(&transport, &mut broker, 1);
    log.note("from here on queues are short");
    *broker.handler_mut() = short_queues();
    converse(&transport, &mut broker, 5);

    let recording = recording(&log);
    let mut replayer = Replayer::new(&recording, Build::new(ConnectionHandler::new())).unwrap();
    let mut notes = Vec::new();
    while let Some(progress) = replayer.step().unwrap() {
        if let Progress::Note(text) = progress {
            *replayer.broker_mut().handler_mut() = short_queues();
            notes.push(text);
        }
    }
    assert_eq!(notes, ["from here on queues are short"]);
    assert_eq!(replayer.broker().counters(), broker.counters());
}

fn short_queues() -> ConnectionHandler {
    ConnectionHandler::with_config(StockConfig::default().with_queue(QueueConfig::default().with_max_messages(1)))
}

#[test]
fn another_configuration_leaves_the_recording_and_is_told_where() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    converse(&transport, &mut broker, 3);
    let recording = recording(&log);
    let other = Build::new(ConnectionHandler::new()).with_dialect(Native::default().with_name("another name"));
    let mut replayer = Replayer::new(&recording, other).unwrap();
    let divergence = replayer.run().unwrap_err();
    assert_eq!(divergence.step, 1, "the welcome is longer: {divergence}");
    let wrong = recording.records().nth(divergence.record as usize).unwrap();
    assert!(matches!(wrong, Record::Write { .. }), "{wrong:?}");
    assert_eq!(divergence.recorded, wrong.to_string());
    assert!(divergence.found.starts_with("write "), "{divergence}");
    assert_eq!(replayer.step().unwrap_err(), divergence, "and it stays there");
}

#[test]
fn a_shutdown_that_nobody_spoke_of_is_found_and_explained() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    converse(&transport, &mut broker, 1);
    broker.shutdown(Duration::from_secs(1)).unwrap();
    let mut replayer = Replayer::new(&recording(&log), Build::new(ConnectionHandler::new())).unwrap();
    let divergence = replayer.run().unwrap_err().to_string();
    assert!(divergence.contains("RecordLog::shutting_down"), "{divergence}");
}
