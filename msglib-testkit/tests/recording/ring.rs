//! A ring that is full.

use super::scene::{broker, converse, recording, written};
use msglib_broker::ConnectionHandler;
use msglib_broker::record::{Recorder, Recording};
use msglib_testkit::replay::{Build, Replayer, lines, outputs};

const RING: usize = 16 * 1024;

#[test]
fn a_ring_that_was_full_keeps_the_latest_and_says_that_it_cannot_be_replayed() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), |manager| Recorder::in_ring(manager, RING));
    converse(&transport, &mut broker, 10);
    Replayer::new(&recording(&log), Build::new(ConnectionHandler::new())).unwrap().run().unwrap();
    converse(&transport, &mut broker, 2_000);

    let file = written(&log);
    let (least, most) = (RING / 2, RING + RING / 16);
    assert!((least..most).contains(&file.len()), "{} bytes in a ring of {RING}", file.len());
    let recording = Recording::read(&file[..]).unwrap();
    let counters = log.counters();
    assert_eq!(recording.dropped(), counters.dropped);
    assert_eq!(recording.dropped().records + recording.len(), counters.records, "nothing is gone in the middle");
    let why = Replayer::new(&recording, Build::new(ConnectionHandler::new())).err().unwrap().to_string();
    assert!(why.contains(&format!("first {} records", counters.dropped.records)), "{why}");
    assert!(why.contains("make the ring larger, or stream to a file"), "{why}");
}

#[test]
fn what_a_full_ring_has_left_can_be_read_and_its_new_connections_fed() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), |manager| Recorder::in_ring(manager, RING));
    converse(&transport, &mut broker, 2_000);
    converse(&transport, &mut broker, 10);
    let recording = recording(&log);
    let lines: Vec<String> = lines(&recording).collect();
    assert!(lines[0].contains("records") && lines[0].contains("let go"), "{}", lines[0]);
    let known = lines.iter().position(|line| line.contains("opened from")).expect("the second pair is in the ring");
    let (old, new) = lines.split_at(known);
    assert!(old.iter().any(|line| line.contains("→ broker") && line.ends_with(" bytes")), "{old:?}");
    assert!(!old.iter().any(|line| line.contains("Publish")), "not known where a frame begins");
    assert_eq!(new.iter().filter(|line| line.contains("Publish")).count(), 10);

    let outputs = outputs(&recording, Build::new(ConnectionHandler::new()));
    let heard: Vec<&str> = outputs.connections().flat_map(|(_, lines)| lines).map(|line| &*line.text).collect();
    assert_eq!(outputs.connections().count(), 2, "those who were there before are not");
    assert_eq!(heard.iter().filter(|text| text.starts_with("Delivery")).count(), 10, "{heard:?}");
}

#[test]
fn the_smallest_ring_still_has_the_last_records() {
    let (transport, mut broker, log) = broker(ConnectionHandler::new(), |manager| Recorder::in_ring(manager, 0));
    converse(&transport, &mut broker, 50);
    let recording = recording(&log);
    assert!(!recording.is_empty() && recording.len() < 200, "{recording:?}");
}
