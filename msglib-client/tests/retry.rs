//! Whatever a stream does in between, a conversation is the same: every call can be made again after `WouldBlock`.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use common::{Broker, Faults, Wire, persist};
use msglib_client::{
    Connection, Error, Verdict, blocking_pull_subscribe_to_queue, publish_to_q, publish_to_q_confirmed,
    subscribe_with_prefetch,
};

/// A bit of everything. Returns what was received.
fn conversation(connection: &Connection, broker: &mut Broker) -> Result<Vec<String>, Error> {
    let mut received = Vec::new();
    for number in 0..3 {
        persist(broker, || publish_to_q(connection, 1, format!("message {number}").as_bytes()))?;
    }
    let confirmation = persist(broker, || publish_to_q_confirmed(connection, "named", "confirm me"))?;
    persist(broker, || confirmation.wait())?;
    let mut pulls = persist(broker, || blocking_pull_subscribe_to_queue(connection, 1))?;
    for _ in 0..3 {
        let msg = persist(broker, || pulls.next())?;
        received.push(String::from_utf8_lossy(msg.payload()).into_owned());
        msg.ack()?;
    }
    let mut jobs = persist(broker, || connection.publisher_to_q("jobs"))?;
    let mut batch = jobs.batch();
    for number in 0..5 {
        persist(broker, || batch.publish(format!("job {number}").as_bytes()))?;
    }
    persist(broker, || batch.wait())?;
    persist(broker, || batch.publish("dropped"))?;
    drop(batch);
    persist(broker, || jobs.publish("alone"))?;
    persist(broker, || jobs.wait())?;
    persist(broker, || connection.ping())?;
    let mut ahead = persist(broker, || subscribe_with_prefetch(connection, 2, 1))?;
    let msg = persist(broker, || ahead.next())?;
    received.push(String::from_utf8_lossy(msg.payload()).into_owned());
    msg.refuse(Verdict::ForGood)?;
    persist(broker, || pulls.close())?;
    persist(broker, || connection.send_user(0x8000, 0, 0, "mine"))?;
    let mine = persist(broker, || connection.next_user())?;
    received.push(String::from_utf8_lossy(&mine.body).into_owned());
    persist(broker, || connection.flush())?;
    persist(broker, || connection.close())?;
    Ok(received)
}

struct Run {
    wire: Wire,
    result: Result<Vec<String>, Error>,
    /// What the connection says afterwards, twice.
    after: [Error; 2],
}

fn run(faults: Faults) -> Run {
    let wire = Wire::new(faults);
    let mut broker = Broker::new(&wire);
    let connection = wire.connect();
    let result = conversation(&connection, &mut broker);
    let after = [connection.ping().unwrap_err(), connection.ping().unwrap_err()];
    Run { wire, result, after }
}

#[test]
fn an_interruption_at_any_read_or_write_is_invisible() {
    let whole = run(Faults::default());
    let expected = whole.result.unwrap();
    assert_eq!(expected, ["message 1", "message 2", "message 3", "message 1", "mine"]);
    let operations = whole.wire.operations();
    assert!(operations > 20);
    for at in 0..operations {
        let once = run(Faults { would_block_at: |n, at| n == at, argument: at, ..Faults::default() });
        assert_eq!(once.result.unwrap(), expected, "at {at}");
        assert!(once.wire.written() == whole.wire.written(), "other bytes, at {at}");
        let twice = run(Faults { would_block_at: |n, at| n == at || n == at + 1, argument: at, ..Faults::default() });
        assert_eq!(twice.result.unwrap(), expected, "at {at}");
        assert!(twice.wire.written() == whole.wire.written(), "other bytes, twice at {at}");
    }
}

/// Reads and writes of single bytes, with `WouldBlock` in between in no pattern that reads and writes could fall in with.
#[test]
fn reads_and_writes_of_one_byte_with_interruptions_are_invisible() {
    let whole = run(Faults::default());
    let expected = whole.result.unwrap();
    for (chunk, every) in [(1, 2), (1, 3), (2, 2), (7, 2), (13, 3)] {
        let would_block_at = |n: u64, every| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).is_multiple_of(every);
        let pieces = run(Faults { chunk, would_block_at, argument: every, ..Faults::default() });
        assert_eq!(pieces.result.unwrap(), expected, "pieces of {chunk}");
        assert!(pieces.wire.written() == whole.wire.written(), "other bytes, pieces of {chunk}");
    }
}

/// Room for a few bytes at a time, made only when the client has given up.
#[test]
fn a_peer_that_reads_little_by_little_is_waited_for() {
    let whole = run(Faults::default());
    let expected = whole.result.unwrap();
    for room in [1, 5, 50] {
        let narrow = run(Faults { room, ..Faults::default() });
        assert_eq!(narrow.result.unwrap(), expected, "room for {room}");
        assert!(narrow.wire.written() == whole.wire.written(), "other bytes, room for {room}");
    }
}

/// An end within or between frames is a clean error, the same from then on.
#[test]
fn the_end_of_the_stream_after_any_byte_is_a_clean_error() {
    let total = run(Faults::default()).wire.delivered();
    assert!(total > 300);
    for cut in 0..total {
        let ended = run(Faults { cut_after: Some(cut), ..Faults::default() });
        let error = ended.result.unwrap_err();
        assert!(matches!(error, Error::ConnectionLost { .. }), "after {cut}: {error}");
        for after in ended.after {
            assert_eq!(after.to_string(), error.to_string(), "after {cut}");
        }
    }
    assert!(run(Faults { cut_after: Some(total), ..Faults::default() }).result.is_ok());
}
