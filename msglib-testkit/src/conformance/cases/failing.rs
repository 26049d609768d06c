//! How connections end against the user's will: T10, T14.

use crate::conformance::trial::{Link, Trial, shown};
use crate::conformance::{Fixture, Outcome, Rule};
use core::time::Duration;
use msglib_proto::transport::{Close, ConnectionId};
use std::io::{ErrorKind, IoSlice};

/// One of three connections is reset while the manager has work with all of them.
pub fn t10_a_reset_does_not_fail_poll<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T10);
    let [first, victim, last] = [trial.open(), trial.open(), trial.open()];
    trial.peer_send(victim.peer, b"unread");
    trial.fill(victim.id)?;
    trial.peer_reset(victim)?;
    trial.rounds(10);
    for link in [first, last] {
        echo(&mut trial, link);
    }
    // Nobody has asked the victim yet; asking it must not hurt the others either.
    let _ = trial.read(victim.id, &mut [0; 64]);
    let _ = trial.write(victim.id, &[IoSlice::new(b"anyone?")]);
    trial.rounds(5);
    trial.close(victim.id, Close::Abort);
    for link in [first, last] {
        echo(&mut trial, link);
    }
    Ok(())
}

/// Peers leave with data under way in both directions, while their connections are open, draining and not yet known.
pub fn t10_a_peer_that_vanishes_does_not_fail_poll<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T10);
    let bystander = trial.open();
    let open = trial.open();
    let draining = trial.open();
    for link in [open, draining] {
        trial.peer_send(link.peer, b"unread");
        trial.fill(link.id)?;
    }
    trial.drain(draining.id, Duration::from_secs(3600));
    let unknown = trial.connect();
    for peer in [open.peer, draining.peer, unknown] {
        trial.peer_drop(peer);
    }
    trial.rounds(10);
    echo(&mut trial, bystander);
    Ok(())
}

/// Ids that no connection ever had.
pub fn t14_an_unknown_id_is_not_found<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T14);
    let link = trial.open();
    let (index, generation) = (link.id.index() as u32, link.id.generation());
    let unknown = [
        ConnectionId::new(u32::MAX, 0),
        ConnectionId::new(index.wrapping_add(1), 0),
        ConnectionId::new(index, generation.wrapping_add(1)),
    ];
    for id in unknown {
        not_found(&mut trial, id);
        trial.close(id, Close::Abort);
    }
    trial.rounds(2);
    echo(&mut trial, link);
    Ok(())
}

/// From `close` on the id is `NotFound`, also while a drain still works on it.
pub fn t14_a_closed_id_is_not_found<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T14);
    for how in [Close::Abort, Close::Drain { deadline: trial.now() + Duration::from_secs(3600) }] {
        let link = trial.open();
        trial.peer_send(link.peer, b"unread");
        trial.fill(link.id)?;
        trial.close(link.id, how);
        not_found(&mut trial, link.id);
        trial.rounds(3);
        not_found(&mut trial, link.id);
    }
    Ok(())
}

/// A reset is reported, told by `read`, and then there is nothing more of the connection.
pub fn t14_a_reset_is_told_and_final<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T14);
    let link = trial.open();
    echo(&mut trial, link);
    trial.peer_reset(link)?;
    trial.until("a report, and then an error or the end from read", |trial| {
        if !trial.is_readable(link.id) {
            return None;
        }
        match trial.read(link.id, &mut [0; 64]) {
            Err(ErrorKind::WouldBlock) => None,
            Ok(0) | Err(_) => Some(()),
            Ok(count) => trial.fail("no bytes that nobody has sent", format_args!("{count} of them")),
        }
    });
    for _ in 0..5 {
        let outcome = trial.read(link.id, &mut [0; 64]);
        let over = !matches!(outcome, Ok(1..) | Err(ErrorKind::WouldBlock));
        trial.check(over, "an error or the end, for good", shown(&outcome));
        trial.round();
    }
    write_fails(&mut trial, link.id);
    trial.close(link.id, Close::Abort);
    not_found(&mut trial, link.id);
    Ok(())
}

/// A write to a peer that has left ends in an error, and stays so.
pub fn t14_writing_to_a_peer_that_is_gone_fails<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T14);
    let link = trial.open();
    trial.peer_drop(link.peer);
    write_fails(&mut trial, link.id);
    for _ in 0..5 {
        let outcome = trial.write(link.id, &[IoSlice::new(b"anyone?")]);
        let over = !matches!(outcome, Ok(_) | Err(ErrorKind::WouldBlock));
        trial.check(over, "an error, for good", shown(&outcome));
        trial.round();
    }
    Ok(())
}

/// Writes until it is told that nobody is there; a transport may take some bytes before it knows.
#[track_caller]
fn write_fails<F: Fixture>(trial: &mut Trial<'_, F>, id: ConnectionId) {
    trial.until(&format!("a write to {id} to fail, for its peer is gone"), |trial| {
        match trial.write(id, &[IoSlice::new(b"anyone?")]) {
            Ok(_) | Err(ErrorKind::WouldBlock) => None,
            Err(_) => Some(()),
        }
    });
}

#[track_caller]
fn not_found<F: Fixture>(trial: &mut Trial<'_, F>, id: ConnectionId) {
    let read = trial.read(id, &mut [0; 16]);
    let written = trial.write(id, &[IoSlice::new(b"anyone?")]);
    for (call, outcome) in [("read", read), ("write", written)] {
        let found = outcome != Err(ErrorKind::NotFound);
        trial.check(!found, format_args!("NotFound from {call} for {id}"), shown(&outcome));
    }
}

fn echo<F: Fixture>(trial: &mut Trial<'_, F>, link: Link) {
    trial.peer_send(link.peer, b"ping");
    trial.receive(link.id, b"ping");
    let received = trial.send(link, b"pong");
    trial.peer_receive(link.peer, received, b"pong");
}
