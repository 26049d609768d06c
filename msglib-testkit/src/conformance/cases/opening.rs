//! Connections come into being: T1, T2.

use crate::conformance::trial::{Link, Trial, shown};
use crate::conformance::{Fixture, Outcome, Rule, Skipped};
use core::time::Duration;
use msglib_proto::transport::Close;
use std::collections::BTreeSet;
use std::io::{ErrorKind, IoSlice};

/// A peer that writes at once is opened first, and readable later. (Each poll of each case checks the order.)
pub fn t01_opened_comes_first<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T1);
    let peer = trial.connect();
    trial.peer_send(peer, b"early");
    let id = trial.accept();
    trial.receive(id, b"early");
    Ok(())
}

/// However much goes on, no connection is opened a second time.
pub fn t01_opened_comes_once<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T1);
    let links: Vec<Link> = (0..5).map(|_| trial.open()).collect();
    for round in 0..3u8 {
        for link in &links {
            trial.peer_send(link.peer, &[round; 10]);
            trial.receive(link.id, &[round; 10]);
            let received = trial.send(*link, &[round; 20]);
            trial.peer_receive(link.peer, received, &[round; 20]);
        }
    }
    trial.rounds(20);
    Ok(())
}

/// A peer that came, wrote and left before the first poll is opened, read and ended like any other.
pub fn t01_a_peer_that_is_gone_already_is_opened<F: Fixture>(fixture: &mut F) -> Outcome {
    if !F::opens_at_once() {
        return Err(Skipped::new("a peer that leaves during the transport's own handshake is nobody"));
    }
    let mut trial = Trial::new(fixture, Rule::T1);
    let peer = trial.connect();
    let written = trial.peer_write(peer, b"gone");
    trial.check(written == Ok(4), "room for 4 bytes in a new connection", shown(&written));
    trial.peer_drop(peer);
    let id = trial.accept();
    trial.receive_to_end(id, 64, b"gone");
    Ok(())
}

/// Connections come and go in each way there is; every one has an id of its own.
pub fn t02_ids_are_never_used_again<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T2);
    let mut seen = BTreeSet::new();
    for round in 0..40 {
        let stays = trial.open();
        let goes = trial.open();
        for id in [stays.id, goes.id] {
            trial.check(seen.insert(id), "an id of its own for each connection", format_args!("{id} once more"));
        }
        match round % 3 {
            0 => trial.close(goes.id, Close::Abort),
            1 => trial.drain(goes.id, Duration::ZERO),
            _ => {
                trial.peer_drop(goes.peer);
                trial.receive_to_end(goes.id, 64, b"");
                trial.close(goes.id, Close::Abort);
            }
        }
        trial.rounds(2);
        trial.close(stays.id, Close::Abort);
    }
    Ok(())
}

/// A call with an id whose connection is gone does not touch the connection that came after it.
pub fn t02_an_old_id_reaches_nobody<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T2);
    let old = trial.open();
    trial.close(old.id, Close::Abort);
    trial.peer_drop(old.peer);
    trial.rounds(5);

    let new = trial.open();
    trial.check(new.id != old.id, "a new id", format_args!("{} once more", old.id));
    trial.peer_send(new.peer, b"for the new one");
    trial.await_readable(new.id);
    let read = trial.read(old.id, &mut [0; 64]);
    let written = trial.write(old.id, &[IoSlice::new(b"astray")]);
    for outcome in [read, written] {
        let told = shown(&outcome);
        trial.check(outcome == Err(ErrorKind::NotFound), format_args!("NotFound for {}", old.id), told);
    }
    trial.close(old.id, Close::Abort);
    trial.receive(new.id, b"for the new one");
    let received = trial.send(new, b"answer");
    trial.peer_receive(new.peer, received, b"answer");
    Ok(())
}
