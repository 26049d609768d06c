//! Two builds, the same inputs.

use super::scene::{broker, converse, recording};
use msglib_broker::record::Recorder;
use msglib_broker::{ConnectionHandler, Native, QueueConfig, StockConfig};
use msglib_client::{Connection, publish_to_q};
use msglib_testkit::replay::{Build, Change, Replayer, diff, diff_builds, outputs};

fn at_most(messages: usize) -> ConnectionHandler {
    ConnectionHandler::with_config(
        StockConfig::default().with_queue(QueueConfig::default().with_max_messages(messages)),
    )
}

#[test]
fn a_build_against_itself_has_no_difference() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    converse(&transport, &mut broker, 50);
    let recording = recording(&log);
    let diff = diff(&recording, ConnectionHandler::new(), ConnectionHandler::new());
    assert!(diff.is_empty(), "{diff}");
    assert_eq!(diff.same, 2, "two connections were compared");
}

/// Where every recorded write was taken whole, feeding the recorded build is replaying it.
#[test]
fn a_recorded_build_says_what_it_said() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    converse(&transport, &mut broker, 50);
    let recording = recording(&log);
    let mut replayer = Replayer::new(&recording, Build::new(ConnectionHandler::new())).unwrap();
    let mut replayed = Vec::new();
    while replayer.step().unwrap().is_some() {
        let lines = replayer.transcript().take();
        replayed.extend(lines.iter().filter_map(|line| Some(line.split_once("broker → c1  ")?.1.to_owned())));
    }
    let outputs = outputs(&recording, Build::new(ConnectionHandler::new()));
    let (receiver, _) = outputs.connections().nth(1).unwrap();
    let fed: Vec<&str> = outputs.of(receiver).iter().map(|line| line.text.split(" #").next().unwrap()).collect();
    assert!(fed.iter().filter(|text| text.starts_with("Delivery")).count() == 50, "{fed:?}");
    assert_eq!(fed, replayed);
}

#[test]
fn a_shorter_queue_refuses_what_the_other_took_and_the_diff_shows_it_frame_by_frame() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    let sender = Connection::builder().non_blocking(true).build(transport.connect("broker").unwrap()).unwrap();
    for number in 0..10 {
        publish_to_q(&sender, "jobs", &format!("job {number}")).unwrap();
    }
    for _ in 0..3 {
        broker.process_connections().unwrap();
    }
    let recording = recording(&log);
    let diff = diff(&recording, ConnectionHandler::new(), at_most(8));
    let [connection] = &diff.connections[..] else { panic!("one connection: {diff}") };
    let refused: Vec<&Change> = connection
        .changes
        .iter()
        .filter(|change| matches!(change, Change::New(line) if line.text.starts_with("Refused")))
        .collect();
    assert_eq!(refused.len(), 1, "the last two, in one frame:\n{diff}");
    assert!(refused[0].to_string().contains("first: 9, last: 10"), "{diff}");
    assert!(connection.same > 0, "the welcome is the same:\n{diff}");
}

#[test]
fn brokers_that_differ_in_their_dialect_are_compared_too() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), Recorder::new);
    converse(&transport, &mut broker, 1);
    let renamed = Build::new(ConnectionHandler::new()).with_dialect(Native::default().with_name("another"));
    let diff = diff_builds(&recording(&log), Build::new(ConnectionHandler::new()), renamed);
    assert_eq!(diff.connections.len(), 2);
    for connection in &diff.connections {
        assert_eq!(connection.changes.len(), 2, "the welcome, as it was and as it is: {connection}");
    }
}
