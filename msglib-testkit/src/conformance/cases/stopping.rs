//! The broker goes away, and the transport takes nobody new: T17.

use crate::conformance::trial::Trial;
use crate::conformance::{Fixture, Outcome, Rule, Skipped};
use core::time::Duration;
use std::io::ErrorKind;

/// Asks the manager to stop; where it cannot there is nothing to see.
fn stop<F: Fixture>(trial: &mut Trial<'_, F>) -> Result<(), Skipped> {
    if trial.stop_accepting() { Ok(()) } else { Err(Skipped::new("this transport goes on taking connections")) }
}

/// Whoever connects later is refused, or finds an end; the broker hears nothing of it.
pub fn t17_who_comes_later_is_not_opened<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T17);
    trial.open();
    stop(&mut trial)?;
    for _ in 0..2 {
        let late = trial.try_connect();
        trial.rounds(5);
        let opened = trial.opened();
        trial.check(opened.is_none(), "nobody who connects later to be opened", format_args!("{opened:?} was"));
        if let Some(late) = late {
            trial.peer_finds_an_end(late);
        }
    }
    Ok(())
}

/// Connections that were open before are as they were, and a second call is harmless.
pub fn t17_open_connections_go_on<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T17);
    let link = trial.open();
    stop(&mut trial)?;
    for round in 0..3u8 {
        trial.peer_send(link.peer, &[round; 10]);
        trial.receive(link.id, &[round; 10]);
        let received = trial.send(link, &[round; 20]);
        trial.peer_receive(link.peer, received, &[round; 20]);
        let again = trial.stop_accepting();
        trial.check(again, "the promise again", "none, the second time");
    }
    let accepted = trial.fill(link.id)?;
    trial.drain(link.id, Duration::from_secs(3600));
    trial.peer_receive_to_end(link.peer, &accepted);
    Ok(())
}

/// Whoever had connected, and was not opened yet, is not left waiting.
pub fn t17_who_had_connected_is_opened_or_ended<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T17);
    trial.open();
    let waiting = trial.connect();
    stop(&mut trial)?;
    trial.until("a peer that had connected to be opened, or to find an end", |trial| {
        let has_ended = !matches!(trial.peer_read(waiting, &mut [0; 64]), Err(ErrorKind::WouldBlock));
        (has_ended || trial.opened().is_some()).then_some(())
    });
    Ok(())
}
