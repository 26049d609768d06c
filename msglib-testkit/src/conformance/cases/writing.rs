//! What `write` takes, and when it is worth a try: T6, T9, T13, and T7 for bytes to the peer.

use crate::conformance::trial::{Link, Trial, pattern, shown};
use crate::conformance::{Fixture, Outcome, Rule};
use core::time::Duration;
use std::io::{ErrorKind, IoSlice};

/// Offered far more than there is room for, `write` says how much it took, and the peer gets exactly that.
pub fn t06_write_takes_a_prefix<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T6);
    let link = trial.open();
    let accepted = trial.fill(link.id)?;
    trial.peer_receive(link.peer, Vec::new(), &accepted);
    // Nothing may follow that `write` did not count.
    trial.rounds(5);
    let mut more = Vec::new();
    trial.peer_read_available(link.peer, &mut more);
    trial.check(more.is_empty(), "the bytes that write has counted", format_args!("{} more", more.len()));
    Ok(())
}

/// Buffers of several sizes, empty ones among them, are one sequence of bytes.
pub fn t06_many_buffers_are_one_sequence<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T6);
    let link = trial.open();
    let parts: [&[u8]; 7] = [b"", b"one", b"", b"two, ", b"t", b"hree", b""];
    let whole: Vec<u8> = parts.concat();
    let count = trial.write_into_room(link.id, &parts.map(IoSlice::new));
    trial.peer_receive(link.peer, Vec::new(), &whole[..count]);

    // More buffers than a system call takes.
    let bytes = pattern(6, 3000);
    let bufs: Vec<IoSlice<'_>> = bytes.chunks(1).map(IoSlice::new).collect();
    let mut sent = 0;
    let mut received = Vec::new();
    trial.until("3,000 buffers of one byte at the peer", |trial| {
        while sent < bytes.len() && trial.is_writable(link.id) {
            match trial.write(link.id, &bufs[sent..]) {
                Ok(count) => sent += count,
                Err(ErrorKind::WouldBlock) => {}
                Err(kind) => trial.fail("buffers to be taken", format_args!("{kind:?}")),
            }
        }
        trial.peer_read_available(link.peer, &mut received);
        (received.len() >= bytes.len()).then_some(())
    });
    trial.compare(&received, &bytes, "in buffers of one byte");
    Ok(())
}

/// A write of nothing takes nothing, and ends nothing.
pub fn t06_writing_nothing_changes_nothing<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T6);
    let link = trial.open();
    for bufs in [&[][..], &[IoSlice::new(b""), IoSlice::new(b"")]] {
        let outcome = trial.write(link.id, bufs);
        let harmless = matches!(outcome, Ok(0) | Err(ErrorKind::WouldBlock));
        trial.check(harmless, "Ok(0) or WouldBlock for nothing", shown(&outcome));
    }
    let count = trial.write_into_room(link.id, &[IoSlice::new(b"something")]);
    trial.peer_receive(link.peer, Vec::new(), &b"something"[..count]);
    Ok(())
}

/// Much data, with a peer that reads along; then a drain, so that a byte too many would show.
pub fn t07_bytes_to_the_peer_arrive_in_order<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T7);
    let link = trial.open();
    let bytes = pattern(7, 1_000_000);
    let received = trial.send(link, &bytes);
    trial.peer_receive(link.peer, received, &bytes);
    trial.drain(link.id, Duration::from_secs(3600));
    trial.peer_receive_to_end(link.peer, b"");
    Ok(())
}

/// Much data in both directions of one connection.
pub fn t07_both_directions_at_once<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T7);
    let link = trial.open();
    let (there, back) = (pattern(1, 300_000), pattern(2, 200_000));
    let (mut there_sent, mut back_sent) = (0, 0);
    let (mut there_received, mut back_received) = (Vec::new(), Vec::new());
    trial.until("300,000 bytes in one direction, 200,000 in the other", |trial| {
        trial.write_reported(link.id, &there, &mut there_sent);
        trial.peer_write_on(link.peer, &back, &mut back_sent);
        trial.peer_read_available(link.peer, &mut there_received);
        trial.read_reported(link.id, 5000, &mut back_received);
        (there_received.len() >= there.len() && back_received.len() >= back.len()).then_some(())
    });
    trial.compare(&there_received, &there, "to the peer");
    trial.compare(&back_received, &back, "from the peer");
    Ok(())
}

/// The peer asks, closes its sending side, and gets its answer.
pub fn t09_an_answer_after_the_peers_half_close<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T9);
    let link = trial.open();
    ask_and_half_close(&mut trial, link)?;
    let received = trial.send(link, b"answer");
    trial.peer_receive(link.peer, received, b"answer");
    Ok(())
}

/// The same with an answer that needs `Writable` on the way.
pub fn t09_a_long_answer_after_the_peers_half_close<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T9);
    let link = trial.open();
    ask_and_half_close(&mut trial, link)?;
    let mut answer = trial.fill(link.id)?;
    let rest = pattern(9, 100_000);
    let received = trial.send(link, &rest);
    answer.extend_from_slice(&rest);
    trial.peer_receive(link.peer, received, &answer);
    Ok(())
}

fn ask_and_half_close<F: Fixture>(trial: &mut Trial<'_, F>, link: Link) -> Outcome {
    trial.peer_send(link.peer, b"question");
    trial.peer_shutdown(link.peer)?;
    trial.receive_to_end(link.id, 64, b"question");
    Ok(())
}

/// Full, then the peer reads: `Writable` comes, and there is room.
pub fn t13_writable_follows_would_block<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T13);
    let link = trial.open();
    for _ in 0..3 {
        let accepted = trial.fill(link.id)?;
        trial.peer_receive(link.peer, Vec::new(), &accepted);
        write_once_writable(&mut trial, link);
    }
    Ok(())
}

/// The user stops at the first partial write, without `WouldBlock`; `Writable` comes all the same.
pub fn t13_writable_follows_a_partial_write<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T13);
    let link = trial.open();
    for _ in 0..3 {
        let accepted = trial.fill_to_a_part(link.id)?;
        trial.peer_receive(link.peer, Vec::new(), &accepted);
        write_once_writable(&mut trial, link);
    }
    Ok(())
}

/// A `Writable` may be spurious, so a refusal is answered by waiting on.
fn write_once_writable<F: Fixture>(trial: &mut Trial<'_, F>, link: Link) {
    let count = trial.until(&format!("a report that {} is writable, and room", link.id), |trial| {
        if !trial.is_writable(link.id) {
            return None;
        }
        match trial.write(link.id, &[IoSlice::new(b"on we go")]) {
            Ok(0) | Err(ErrorKind::WouldBlock) => None,
            Ok(count) => Some(count),
            Err(kind) => trial.fail("room, for the peer has read all", format_args!("{kind:?}")),
        }
    });
    trial.peer_receive(link.peer, Vec::new(), &b"on we go"[..count]);
}
