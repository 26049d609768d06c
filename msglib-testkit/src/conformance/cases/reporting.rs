//! What arrives is reported: T3, T5.

use crate::conformance::trial::{Link, Trial, pattern, shown};
use crate::conformance::{Fixture, Outcome, Rule};

/// Data on a connection that was idle.
pub fn t03_data_is_reported<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T3);
    let link = trial.open();
    trial.rounds(5);
    trial.peer_send(link.peer, b"hello");
    trial.receive(link.id, b"hello");
    Ok(())
}

/// Data that was there before the manager knew of the connection.
pub fn t03_data_from_before_the_first_poll_is_reported<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T3);
    let peer = trial.connect();
    let written = trial.peer_write(peer, b"early");
    trial.check(written == Ok(5), "room for 5 bytes in a new connection", shown(&written));
    let id = trial.accept();
    trial.receive(id, b"early");
    Ok(())
}

/// Data on many connections at once, several times.
pub fn t03_each_of_many_is_reported<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T3);
    let links: Vec<Link> = (0..30).map(|_| trial.open()).collect();
    for round in 0..5u8 {
        for link in &links {
            trial.peer_send(link.peer, &[round; 7]);
        }
        for link in &links {
            trial.receive(link.id, &[round; 7]);
        }
    }
    Ok(())
}

/// The end of the stream on a connection that was idle.
pub fn t03_the_end_is_reported<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T3);
    let link = trial.open();
    trial.rounds(5);
    trial.peer_drop(link.peer);
    trial.receive_to_end(link.id, 64, b"");
    Ok(())
}

/// After `WouldBlock`, and only then, the user waits; new data must wake it each time.
pub fn t05_new_data_after_would_block_is_reported<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T5);
    let link = trial.open();
    for round in 0..10u8 {
        let outcome = trial.read(link.id, &mut [0; 64]);
        trial.check(outcome == Err(std::io::ErrorKind::WouldBlock), "WouldBlock: nothing was sent", shown(&outcome));
        trial.rounds(2);
        trial.peer_send(link.peer, &[round; 3]);
        trial.receive(link.id, &[round; 3]);
    }
    Ok(())
}

/// A user that stops at a count below its buffer's length, without `WouldBlock`, is told of new data all the same.
pub fn t05_new_data_after_a_short_count_is_reported<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T5);
    let link = trial.open();
    for round in 0..10u8 {
        trial.peer_send(link.peer, &[round; 3]);
        // Reads with 4,096 bytes of room, so each count is short, and stops there.
        trial.receive(link.id, &[round; 3]);
    }
    Ok(())
}

/// Data and the end share one report; the user reads the data, sees a short count, and waits for the end, of which it
/// is told until it reads it.
pub fn t05_an_end_behind_a_short_count_is_reported_again<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T5);
    let link = trial.open();
    trial.peer_send(link.peer, b"last words");
    trial.peer_drop(link.peer);
    // So that the manager knows of both before the first read.
    trial.rounds(10);
    trial.receive(link.id, b"last words");
    for _ in 0..3 {
        trial.await_readable(link.id);
        trial.forget_readable(link.id);
    }
    trial.receive_to_end(link.id, 64, b"");
    Ok(())
}

/// The same for a user whose budget ended with a full buffer, just before the end.
pub fn t05_an_end_behind_a_full_buffer_is_reported_again<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T5);
    let link = trial.open();
    trial.peer_send(link.peer, b"ten bytes!");
    trial.peer_drop(link.peer);
    trial.rounds(10);

    let mut received = Vec::new();
    while received.len() < 10 {
        trial.await_readable(link.id);
        let mut buf = [0; 10];
        let room = 10 - received.len();
        match trial.read(link.id, &mut buf[..room]) {
            Ok(0) => trial.fail("10 bytes before the end", format_args!("the end after {}", received.len())),
            Ok(count) => received.extend_from_slice(&buf[..count]),
            Err(_) => {}
        }
    }
    trial.compare(&received, b"ten bytes!", "before the end");
    trial.forget_readable(link.id);
    trial.receive_to_end(link.id, 64, b"");
    Ok(())
}

/// A user that does not read yet is told of the end again and again.
pub fn t05_an_end_is_reported_until_it_is_read<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T5);
    let link = trial.open();
    trial.peer_drop(link.peer);
    for _ in 0..5 {
        trial.await_readable(link.id);
        trial.forget_readable(link.id);
    }
    trial.receive_to_end(link.id, 64, b"");
    Ok(())
}

/// Many connections, each with data and an end at once: not one may be left behind.
pub fn t05_none_of_many_ends_is_forgotten<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T5);
    let links: Vec<Link> = (0..100).map(|_| trial.open()).collect();
    let data = |n: usize| pattern(n as u64, 1 + n % 50);
    for (n, link) in links.iter().enumerate() {
        trial.peer_send(link.peer, &data(n));
        trial.peer_drop(link.peer);
    }
    for (n, link) in links.iter().enumerate() {
        trial.receive_to_end(link.id, 4096, &data(n));
    }
    Ok(())
}
