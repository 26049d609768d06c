//! What `read` returns: T4, and T7 for bytes from the peer.

use crate::conformance::trial::{Link, Trial, pattern, shown};
use crate::conformance::{Fixture, Outcome, Rule};
use std::io::ErrorKind;

/// Small buffers of several sizes; the kit checks each count. All bytes come, whatever the pieces.
pub fn t04_read_fills_at_most_the_buffer<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T4);
    for size in [1, 2, 3, 7, 100] {
        let link = trial.open();
        let sent = pattern(size as u64, 100);
        trial.peer_send(link.peer, &sent);
        trial.peer_drop(link.peer);
        trial.receive_to_end(link.id, size, &sent);
    }
    Ok(())
}

/// With nothing to read and the peer still there, `read` says `WouldBlock`, before and after data.
pub fn t04_no_data_is_not_an_end<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T4);
    let link = trial.open();
    for _ in 0..3 {
        for _ in 0..3 {
            let outcome = trial.read(link.id, &mut [0; 16]);
            trial.check(
                outcome == Err(ErrorKind::WouldBlock),
                "WouldBlock: the peer is there, and silent",
                shown(&outcome),
            );
            trial.round();
        }
        trial.peer_send(link.peer, b"data");
        trial.receive(link.id, b"data");
    }
    Ok(())
}

/// Once `read` has said `Ok(0)` it says nothing else.
pub fn t04_the_end_sticks<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T4);
    let link = trial.open();
    trial.peer_send(link.peer, b"data");
    trial.peer_drop(link.peer);
    trial.receive_to_end(link.id, 64, b"data");
    for _ in 0..5 {
        let outcome = trial.read(link.id, &mut [0; 16]);
        trial.check(outcome == Ok(0), "Ok(0) once more", shown(&outcome));
        trial.round();
    }
    Ok(())
}

/// A read into nothing takes nothing, and is no end.
pub fn t04_an_empty_buffer_changes_nothing<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T4);
    let link = trial.open();
    for data in [&b"first"[..], b"second"] {
        let outcome = trial.read(link.id, &mut []);
        let harmless = matches!(outcome, Ok(0) | Err(ErrorKind::WouldBlock));
        trial.check(harmless, "Ok(0) or WouldBlock for an empty buffer", shown(&outcome));
        trial.peer_send(link.peer, data);
        trial.await_readable(link.id);
        let outcome = trial.read(link.id, &mut []);
        let harmless = matches!(outcome, Ok(0) | Err(ErrorKind::WouldBlock));
        trial.check(harmless, "Ok(0) or WouldBlock for an empty buffer", shown(&outcome));
        let mut received = Vec::new();
        // Reported or not, for the empty read may have used the report up; all at once or not.
        trial.until("the data that was reported", |trial| {
            let mut buf = vec![0; data.len() - received.len()];
            match trial.read(link.id, &mut buf) {
                Ok(0) => trial.fail("the data that was reported", "the end of the stream"),
                Ok(count) => received.extend_from_slice(&buf[..count]),
                Err(ErrorKind::WouldBlock) => {}
                Err(kind) => trial.fail("the data that was reported", format_args!("{kind:?}")),
            }
            (received.len() == data.len()).then_some(())
        });
        trial.compare(&received, data, "before an empty read");
    }
    Ok(())
}

/// Much data, in pieces of odd sizes, read in pieces of other sizes.
pub fn t07_bytes_from_the_peer_arrive_in_order<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T7);
    for size in [13, 1000, 1 << 16] {
        let link = trial.open();
        let bytes = pattern(size as u64, size * 30);
        transfer(&mut trial, link, &bytes, size);
        trial.peer_drop(link.peer);
        trial.receive_to_end(link.id, size, b"");
    }
    Ok(())
}

/// Several connections send at once; each gets its own bytes.
pub fn t07_connections_do_not_mix<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T7);
    let links: Vec<Link> = (0..8).map(|_| trial.open()).collect();
    let data: Vec<Vec<u8>> = (0..8).map(|n| pattern(n, 20_000)).collect();
    let mut sent = [0; 8];
    let mut received = vec![Vec::new(); 8];
    trial.until("the bytes of 8 connections", |trial| {
        for (n, link) in links.iter().enumerate() {
            let upto = data[n].len().min(sent[n] + 3000);
            trial.peer_write_on(link.peer, &data[n][..upto], &mut sent[n]);
        }
        trial.round();
        for (n, link) in links.iter().enumerate() {
            trial.read_reported(link.id, 777, &mut received[n]);
        }
        received.iter().all(|received| received.len() >= 20_000).then_some(())
    });
    for (n, link) in links.iter().enumerate() {
        trial.compare(&received[n], &data[n], &format!("on {}", link.id));
    }
    Ok(())
}

/// The peer writes `bytes`, in pieces of changing sizes, while the user reads `size` at a time.
fn transfer<F: Fixture>(trial: &mut Trial<'_, F>, link: Link, bytes: &[u8], size: usize) {
    let mut sent = 0;
    let mut piece = 1;
    let mut received = Vec::new();
    trial.until(&format!("{} bytes on {}", bytes.len(), link.id), |trial| {
        let upto = bytes.len().min(sent + piece);
        trial.peer_write_on(link.peer, &bytes[..upto], &mut sent);
        piece = piece % 5000 * 2 + 1;
        trial.read_reported(link.id, size, &mut received);
        (received.len() >= bytes.len()).then_some(())
    });
    trial.compare(&received, bytes, &format!("on {}", link.id));
}
