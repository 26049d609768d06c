//! How connections end by the user's will: T8.

use crate::conformance::trial::{Link, Trial, shown};
use crate::conformance::{Fixture, Outcome, Rule, Skipped};
use core::time::Duration;
use msglib_proto::transport::{Close, ConnectionId};
use std::io::ErrorKind;

/// A deadline that no case gets to.
const FAR: Duration = Duration::from_secs(3600);

/// As much as the transport takes, then a drain: the peer gets all of it, and the end.
pub fn t08_a_drain_delivers_what_was_accepted<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T8);
    let link = trial.open();
    let accepted = trial.fill(link.id)?;
    trial.drain(link.id, FAR);
    trial.rounds(5);
    trial.peer_receive_to_end(link.peer, &accepted);
    Ok(())
}

/// With nothing to deliver the peer finds the end at once.
pub fn t08_a_drain_of_nothing_ends<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T8);
    let link = trial.open();
    trial.drain(link.id, FAR);
    trial.peer_receive_to_end(link.peer, b"");
    Ok(())
}

/// A peer that goes on sending loses nothing of what was accepted for it. (A socket that is closed with unread
/// input is reset, and what it had accepted is lost.)
pub fn t08_a_drain_throws_away_what_the_peer_still_sends<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T8);
    let link = trial.open();
    let noise = [7; 5000];
    // Unread when the drain begins …
    let _ = trial.peer_write(link.peer, &noise);
    trial.rounds(2);
    let accepted = trial.fill(link.id)?;
    trial.drain(link.id, FAR);
    let mut received = Vec::new();
    let mut buf = vec![0; 1 << 16];
    trial.until(&format!("{} bytes at the peer, then the end", accepted.len()), |trial| {
        // … and more while it goes on; whether the transport takes it is no matter here.
        let _ = trial.peer_write(link.peer, &noise);
        match trial.peer_read(link.peer, &mut buf) {
            Ok(0) => return Some(()),
            Ok(count) => received.extend_from_slice(&buf[..count]),
            Err(ErrorKind::WouldBlock) => {}
            Err(kind) => trial.fail(
                format_args!("{} bytes at the peer, then the end", accepted.len()),
                format_args!("{kind:?} after {}", received.len()),
            ),
        }
        None
    });
    trial.compare(&received, &accepted, "before the drain");
    Ok(())
}

/// A peer that finishes sending before it reads gets there, and then finds everything that was accepted for it.
pub fn t08_a_drain_lets_the_peer_finish_sending<F: Fixture>(fixture: &mut F) -> Outcome {
    const ENOUGH: usize = 64 << 20;
    let mut trial = Trial::new(fixture, Rule::T8);
    let link = trial.open();
    let accepted = trial.fill(link.id)?;
    let noise = [7; 50_000];
    let mut sent = 0;
    while let Ok(count @ 1..) = trial.peer_write(link.peer, &noise) {
        sent += count;
        if sent > ENOUGH {
            return Err(Skipped::new(format!(
                "the transport has taken {sent} bytes that nobody reads, and takes more"
            )));
        }
    }
    trial.rounds(2);
    trial.drain(link.id, FAR);
    for _ in 0..10 {
        trial.peer_send(link.peer, &noise);
    }
    trial.peer_receive_to_end(link.peer, &accepted);
    Ok(())
}

/// A drain towards a peer that has closed its own sending side already.
pub fn t08_a_drain_after_the_peers_half_close_delivers<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T8);
    let link = trial.open();
    trial.peer_shutdown(link.peer)?;
    trial.receive_to_end(link.id, 64, b"");
    let accepted = trial.fill(link.id)?;
    trial.drain(link.id, FAR);
    trial.rounds(5);
    trial.peer_receive_to_end(link.peer, &accepted);
    Ok(())
}

/// A peer that reads nothing is cut off when the deadline is over, and not before.
pub fn t08_a_drain_gives_up_at_its_deadline<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T8);
    let link = trial.open();
    trial.fill(link.id)?;
    trial.drain(link.id, Duration::from_millis(400));
    trial.rounds(3);
    let outcome = trial.peer_write(link.peer, b"still there?");
    let there = matches!(outcome, Ok(_) | Err(ErrorKind::WouldBlock));
    trial.check(there, "what the peer sends during the drain to be thrown away", shown(&outcome));
    trial.wait(Duration::from_millis(450));
    trial.peer_is_cut_off(link.peer);
    Ok(())
}

/// The deadline of a drain comes while a poll waits for something else.
pub fn t08_a_deadline_ends_a_wait<F: Fixture>(fixture: &mut F) -> Outcome {
    const DEADLINE: Duration = Duration::from_millis(300);
    let mut trial = Trial::new(fixture, Rule::T8);
    let link = trial.open();
    trial.fill(link.id)?;
    let start = trial.now();
    trial.drain(link.id, DEADLINE);
    // What can be done at once, so that nothing but the deadline is left to wait for.
    trial.rounds(5);
    trial.poll(Some(Duration::from_secs(5)));
    // A poll may return early, and some never wait.
    let left = start + 2 * DEADLINE - trial.now();
    trial.wait(left);
    trial.peer_is_cut_off(link.peer);
    let passed = trial.now() - start;
    let limit = Duration::from_secs(3);
    trial.check(passed < limit, format_args!("the end of the drain after {DEADLINE:?}"), format_args!("{passed:?}"));
    Ok(())
}

/// An abort needs no deadline and no reader.
pub fn t08_an_abort_ends_at_once<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T8);
    let idle = trial.open();
    trial.close(idle.id, Close::Abort);
    trial.peer_finds_an_end(idle.peer);

    let stalled = trial.open();
    trial.fill(stalled.id)?;
    trial.close(stalled.id, Close::Abort);
    trial.peer_is_cut_off(stalled.peer);
    Ok(())
}

/// A drain that could go on for an hour ends with an abort.
pub fn t08_an_abort_overrides_a_drain<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T8);
    let link = trial.open();
    trial.fill(link.id)?;
    trial.drain(link.id, FAR);
    trial.rounds(5);
    trial.close(link.id, Close::Abort);
    trial.peer_is_cut_off(link.peer);
    Ok(())
}

/// What was accepted is delivered, also when somebody says twice that it should be.
pub fn t08_a_second_drain_loses_nothing<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T8);
    for rounds_between in [0, 3] {
        let link = trial.open();
        let accepted = trial.fill(link.id)?;
        trial.drain(link.id, FAR);
        trial.rounds(rounds_between);
        trial.drain(link.id, FAR);
        trial.peer_receive_to_end(link.peer, &accepted);
    }
    Ok(())
}

/// Every order of two closes, and a bystander that notices nothing.
pub fn t08_closing_twice_is_harmless<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T8);
    let bystander = trial.open();
    let drain = Close::Drain { deadline: trial.now() + FAR };
    for (first, second) in [(Close::Abort, Close::Abort), (Close::Abort, drain), (drain, Close::Abort), (drain, drain)]
    {
        for rounds_between in [0, 3] {
            let link = trial.open();
            trial.close(link.id, first);
            trial.rounds(rounds_between);
            trial.close(link.id, second);
            trial.peer_finds_an_end(link.peer);
            trial.peer_drop(link.peer);
            trial.rounds(2);
            trial.close(link.id, second);
        }
    }
    trial.close(ConnectionId::new(u32::MAX, 3), Close::Abort);
    still_works(&mut trial, bystander);
    Ok(())
}

/// A closed connection is silent, whatever its peer does. (Each poll of each case checks it.)
pub fn t08_nothing_is_reported_after_close<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T8);
    for how in [Close::Abort, Close::Drain { deadline: trial.now() + FAR }] {
        let link = trial.open();
        trial.fill(link.id)?;
        let _ = trial.peer_write(link.peer, b"unread");
        trial.close(link.id, how);
        for _ in 0..5 {
            trial.round();
            // What comes of it depends on how it was closed.
            let _ = trial.peer_write(link.peer, b"more");
            let _ = trial.peer_read(link.peer, &mut [0; 5000]);
        }
        trial.peer_drop(link.peer);
        trial.rounds(5);
    }
    Ok(())
}

fn still_works<F: Fixture>(trial: &mut Trial<'_, F>, link: Link) {
    trial.peer_send(link.peer, b"still");
    trial.receive(link.id, b"still");
    let received = trial.send(link, b"here");
    trial.peer_receive(link.peer, received, b"here");
}
