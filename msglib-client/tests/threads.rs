//! One connection, several threads: one waits while others publish and settle. No test sleeps; the wire says who waits.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]
#![allow(clippy::disallowed_methods, reason = "threads are what is tested here")]

mod common;

use common::{Broker, Faults, WELCOME, Wire};
use msglib_client::{Connection, Error, Settler, publish_to_q, publish_to_q_confirmed, subscribe_with_prefetch};
use msglib_proto::{Frame, Payload};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const SAFETY_NET: Duration = Duration::from_secs(10);

fn waiting() -> (Wire, Connection) {
    let wire = Wire::new(Faults { blocking: true, ..Faults::default() });
    let connection = wire.connect();
    wire.send(Frame::Welcome(WELCOME));
    connection.welcome().unwrap();
    wire.take_written();
    (wire, connection)
}

fn delivery(link: u32, tag: u64) -> Frame<'static> {
    Frame::Delivery { link, tag, count: 1, payload: Payload::from("x") }
}

#[test]
fn handles_can_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Connection>();
    check::<Settler>();
    check::<msglib_client::Delivery>();
    check::<msglib_client::Subscription>();
    check::<msglib_client::Confirmation>();
    check::<msglib_client::Publisher>();
    check::<Error>();
}

#[test]
fn another_thread_acks_and_publishes_while_this_one_waits() {
    let (wire, connection) = waiting();
    let mut sub = subscribe_with_prefetch(&connection, 1, 2).unwrap();
    wire.send(Frame::Opened { link: 1 });
    wire.send(delivery(1, 1));
    let (_, settler) = sub.next().unwrap().into_parts();
    wire.take_written();
    let (done, result) = mpsc::channel();
    let reader = thread::spawn(move || {
        let tag = sub.next().map(|msg| msg.count());
        done.send(tag).unwrap();
    });
    wire.wait_for_reader();
    thread::spawn(move || settler.ack().unwrap()).join().unwrap();
    publish_to_q(&connection, 2, "meanwhile").unwrap();
    assert_eq!(wire.frames(), ["ACK 1 1-1", "OPEN 2 #2", "PUBLISH 2 1 meanwhile"]);
    assert!(result.try_recv().is_err(), "the other one still waits");
    wire.send(delivery(1, 2));
    assert_eq!(result.recv_timeout(SAFETY_NET).unwrap().unwrap(), 1);
    reader.join().unwrap();
}

/// The reader reads for all: a publisher that waits for credit is woken by what the consumer's thread has read.
#[test]
fn a_thread_that_waits_is_served_by_the_one_that_reads() {
    let (wire, connection) = waiting();
    let mut sub = subscribe_with_prefetch(&connection, 1, 2).unwrap();
    wire.send(Frame::Opened { link: 1 });
    (0..16).for_each(|_| publish_to_q(&connection, 2, "x").unwrap());
    let reader = thread::spawn(move || sub.next().map(|_| sub));
    wire.wait_for_reader();
    wire.take_written();
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        let confirmation = publish_to_q_confirmed(&connection, 2, "late").unwrap();
        done.send(confirmation.wait()).unwrap();
    });
    wire.send(Frame::Opened { link: 2 });
    wire.send(Frame::Credit { link: 2, upto: 20 });
    wire.wait_for_bytes(24);
    assert_eq!(wire.frames(), ["PUBLISH 2 17 confirm late"]);
    wire.send(Frame::Confirmed { link: 2, upto: 17 });
    result.recv_timeout(SAFETY_NET).unwrap().unwrap();
    wire.send(delivery(1, 1));
    assert!(reader.join().unwrap().is_ok());
}

/// While one thread waits for a message, another one's batch goes out before that waits for credit.
#[test]
fn a_batch_is_written_before_its_thread_waits_for_the_one_that_reads() {
    let (wire, connection) = waiting();
    let mut sub = subscribe_with_prefetch(&connection, 1, 1).unwrap();
    wire.send(Frame::Opened { link: 1 });
    let mut jobs = connection.publisher_to_q(2).unwrap();
    let reader = thread::spawn(move || sub.next().map(|_| sub));
    wire.wait_for_reader();
    wire.take_written();
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        let mut batch = jobs.batch();
        (0..20).for_each(|_| assert!(batch.publish("x").is_ok()));
        done.send(batch.wait()).unwrap();
    });
    wire.wait_for_bytes(16 * 21);
    assert_eq!(wire.frames().len(), 16, "the credit before the first grant");
    wire.send(Frame::Opened { link: 2 });
    wire.send(Frame::Credit { link: 2, upto: 100 });
    wire.wait_for_bytes(4 * 21);
    assert_eq!(wire.frames().len(), 4);
    wire.send(Frame::Confirmed { link: 2, upto: 20 });
    result.recv_timeout(SAFETY_NET).unwrap().unwrap();
    wire.send(delivery(1, 1));
    assert!(reader.join().unwrap().is_ok());
}

/// When the reader has what it wanted, the next who waits reads on.
#[test]
fn the_role_of_the_reader_is_handed_on() {
    let (wire, connection) = waiting();
    let (done, results) = mpsc::channel();
    for id in 1..=4u64 {
        let mut sub = subscribe_with_prefetch(&connection, id, 1).unwrap();
        wire.send(Frame::Opened { link: id as u32 });
        let done = done.clone();
        thread::spawn(move || done.send((id, sub.next().map(|msg| msg.payload().len()), sub)).unwrap());
    }
    for id in [3, 1, 4, 2] {
        wire.wait_for_reader();
        wire.send(delivery(id, 1));
        let (got, result, _sub) = results.recv_timeout(SAFETY_NET).unwrap();
        assert_eq!((got, result.unwrap()), (u64::from(id), 1));
    }
}

#[test]
fn the_end_of_the_stream_wakes_all() {
    let (wire, connection) = waiting();
    let (done, results) = mpsc::channel();
    for id in 1..=3u64 {
        let mut sub = subscribe_with_prefetch(&connection, id, 1).unwrap();
        let done = done.clone();
        thread::spawn(move || done.send(sub.next().map(|_| ())).unwrap());
    }
    wire.wait_for_reader();
    wire.end();
    for _ in 0..3 {
        let error = results.recv_timeout(SAFETY_NET).unwrap().unwrap_err();
        assert!(matches!(error, Error::ConnectionLost { mid_frame: false, .. }), "{error}");
    }
}

#[test]
fn closing_wakes_those_who_wait() {
    let (wire, connection) = waiting();
    let (done, results) = mpsc::channel();
    let subs: Vec<_> = (1..=2u64).map(|id| subscribe_with_prefetch(&connection, id, 1).unwrap()).collect();
    for mut sub in subs {
        let done = done.clone();
        thread::spawn(move || done.send(sub.next().map(|_| ())).unwrap());
    }
    wire.wait_for_reader();
    let closer = thread::spawn(move || connection.close());
    let goodbye = common::bytes(Frame::Goodbye { code: msglib_proto::ErrorCode::NONE, text: "" });
    wire.take_written();
    while !wire.written().ends_with(&goodbye) {
        wire.wait_for_bytes(1);
        wire.take_written();
    }
    let closed = || assert!(matches!(results.recv_timeout(SAFETY_NET).unwrap(), Err(Error::Closed)));
    // The one that does not read itself need not wait for the broker.
    closed();
    wire.send_bytes(&goodbye);
    closer.join().unwrap().unwrap();
    closed();
}

/// While another thread reads, nobody would tell this one when there is room again.
#[test]
fn a_thread_that_cannot_write_does_not_wait_for_the_reader() {
    let (wire, connection) = waiting();
    let mut sub = subscribe_with_prefetch(&connection, 1, 1).unwrap();
    let reader = thread::spawn(move || sub.next().map(|_| ()));
    wire.wait_for_reader();
    wire.set_room(0);
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(connection.ping()).unwrap());
    assert!(result.recv_timeout(SAFETY_NET).unwrap().unwrap_err().is_would_block());
    wire.send(Frame::Opened { link: 1 });
    wire.send(delivery(1, 1));
    reader.join().unwrap().unwrap();
}

/// More than the send buffer holds, from several threads, through a stream that takes little at a time: who waits for
/// room gets it, and reads nothing meanwhile.
#[test]
fn publishers_that_wait_for_room_get_it() {
    let wire = Wire::new(Faults { blocking: true, blocking_writes: true, room: 100_000, ..Faults::default() });
    let connection = wire.connect();
    let broker = Broker::new(&wire).run();
    connection.welcome().unwrap();
    let publishers: Vec<_> = (0..4u64)
        .map(|id| {
            let connection = connection.clone();
            thread::spawn(move || {
                let payload = vec![id as u8; 600_000];
                (0..8).for_each(|_| publish_to_q(&connection, id, &payload).unwrap());
            })
        })
        .collect();
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    connection.close().unwrap();
    broker.join().unwrap();
    let published = common::frames(&wire.written()).iter().filter(|text| text.starts_with("PUBLISH")).count();
    assert_eq!(published, 32);
}

/// Four publishers, a consumer that hands its deliveries to another thread to be acked, and a broker, all at once.
#[test]
fn many_threads_on_one_connection() {
    const EACH: u64 = 200;
    let (wire, connection) = {
        let wire = Wire::new(Faults { blocking: true, ..Faults::default() });
        (wire.clone(), wire.connect())
    };
    let broker = Broker::new(&wire).run();
    let publishers: Vec<_> = (0..4u64)
        .map(|id| {
            let connection = connection.clone();
            thread::spawn(move || {
                for number in 0..EACH {
                    // One link for each, within the credit that the small broker never moves.
                    let queue = 100 + id;
                    if number < 16 {
                        publish_to_q_confirmed(&connection, queue, "x").unwrap().wait().unwrap();
                    } else {
                        connection.ping().unwrap();
                    }
                }
            })
        })
        .collect();
    let (to_settle, settlers) = mpsc::channel::<Settler>();
    let settling = thread::spawn(move || settlers.into_iter().for_each(|settler| settler.ack().unwrap()));
    let mut sub = subscribe_with_prefetch(&connection, 1, 8).unwrap();
    for expected in 1..=EACH {
        let (payload, settler) = sub.next().unwrap().into_parts();
        assert_eq!(payload, format!("message {expected}"));
        to_settle.send(settler).unwrap();
    }
    drop(to_settle);
    settling.join().unwrap();
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    connection.close().unwrap();
    broker.join().unwrap();
    let acked: u64 = common::frames(&wire.written()).iter().filter_map(|text| acked_tags(text)).sum();
    assert_eq!(acked, EACH, "each delivery is acked once");
}

fn acked_tags(text: &str) -> Option<u64> {
    let range = text.strip_prefix("ACK ")?.split(' ').nth(1)?;
    let (first, last) = range.split_once('-')?;
    Some(last.parse::<u64>().ok()? - first.parse::<u64>().ok()? + 1)
}
