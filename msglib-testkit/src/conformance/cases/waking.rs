//! Another thread ends a wait: T15; news that are announced: T16.

use crate::conformance::trial::Trial;
use crate::conformance::{Fixture, Outcome, Rule, Skipped};
use core::time::Duration;
use msglib_proto::transport::{ConnectionManager, Waker};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

/// The time-out of a poll that nobody wakes, to see whether it waits.
const IDLE: Duration = Duration::from_millis(1500);
/// A poll that was woken takes less than this, one that was not takes more. Far from both, for the sake of a busy
/// machine.
const PROMPT: Duration = Duration::from_millis(1200);
/// The time-out of a poll that is to be woken.
const LONG: Duration = Duration::from_secs(10);

/// A wake from another thread, before or during the wait as it happens.
pub fn t15_a_wake_ends_a_waiting_poll<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T15);
    let Some(waker) = visible_waker(&mut trial)? else { return Ok(()) };
    let (go, gone) = channel();
    let thread = thread::spawn(move || {
        for round in 0..20 {
            if gone.recv().is_err() {
                return;
            }
            // Sometimes later, so that some wakes meet a poll that waits already.
            for _ in 0..round % 5 {
                thread::yield_now();
            }
            waker.wake();
        }
    });
    for _ in 0..20 {
        // The thread ends by itself only after its last wake.
        let _ = go.send(());
        woken_poll(&mut trial);
    }
    drop(go);
    let joined = thread.join();
    trial.check(joined.is_ok(), "wake() not to panic", "a panic on the waking thread");
    Ok(())
}

/// The wake is over before the poll begins.
pub fn t15_a_wake_while_nobody_waits_ends_the_next_poll<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T15);
    let Some(waker) = visible_waker(&mut trial)? else { return Ok(()) };
    for wakes in 1..4 {
        let waker = waker.clone();
        let thread = thread::spawn(move || (0..wakes).for_each(|_| waker.wake()));
        let joined = thread.join();
        trial.check(joined.is_ok(), "wake() not to panic", "a panic on the waking thread");
        woken_poll(&mut trial);
    }
    Ok(())
}

#[track_caller]
fn woken_poll<F: Fixture>(trial: &mut Trial<'_, F>) {
    let start = trial.now();
    trial.poll(Some(LONG));
    let waited = trial.now() - start;
    trial.check(waited < PROMPT, "the wake to end the poll", format_args!("a poll that took {waited:?}"));
}

/// The waker, if a poll of this manager waits at all.
fn visible_waker<F: Fixture>(trial: &mut Trial<'_, F>) -> Result<Option<Waker>, Skipped> {
    if !F::has_threads() {
        return Err(Skipped::new("no threads on this platform"));
    }
    // A poll may return early, so the longest of a few counts.
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let start = trial.now();
        trial.poll(Some(IDLE));
        longest = longest.max(trial.now() - start);
        if longest > PROMPT {
            break;
        }
    }
    match trial.manager().waker() {
        Some(_) if longest <= PROMPT => Err(Skipped::new(format!(
            "a poll waits no longer than {longest:?}: give the fixture's manager a longest wait of two seconds or more"
        ))),
        Some(waker) => Ok(Some(waker)),
        None => {
            let waits = longest >= Duration::from_millis(25);
            trial.check(!waits, "a waker, for a poll waits", format_args!("none, and a poll that took {longest:?}"));
            Ok(None)
        }
    }
}

/// A new connection, data, an end, and room: each is announced, without a poll, by a manager that has promised to. (One that
/// has not is asked now and then instead; nothing is missing.)
pub fn t16_news_are_announced<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T16);
    let Some(calls) = announcements(&mut trial) else { return Ok(()) };
    let peer = expect_call(&mut trial, &calls, "a new connection", |trial| trial.connect());
    let id = trial.accept();
    for round in 0..3u8 {
        expect_call(&mut trial, &calls, "data", |trial| trial.peer_push(peer, &[round; 5]));
        trial.receive(id, &[round; 5]);
    }
    let accepted = trial.fill(id)?;
    let mut received = Vec::new();
    expect_call(&mut trial, &calls, "room", |trial| trial.peer_read_available(peer, &mut received));
    trial.peer_receive(peer, received, &accepted);
    expect_call(&mut trial, &calls, "an end", |trial| trial.peer_drop(peer));
    trial.receive_to_end(id, 64, b"");
    Ok(())
}

/// Whoever asks last is told, and nobody else.
pub fn t16_the_latest_waker_counts<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut trial = Trial::new(fixture, Rule::T16);
    let Some(first) = announcements(&mut trial) else { return Ok(()) };
    let second = announcements(&mut trial);
    trial.check(second.is_some(), "the promise again", "none, the second time");
    let second = second.unwrap_or_default();
    expect_call(&mut trial, &second, "a new connection", |trial| trial.connect());
    let late = first.load(Ordering::Acquire);
    trial.check(late == 0, "no call of the earlier waker", format_args!("{late}"));
    Ok(())
}

/// How often a new waker is called, if the manager promises to.
fn announcements<F: Fixture>(trial: &mut Trial<'_, F>) -> Option<Arc<AtomicUsize>> {
    let calls = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&calls);
    let waker = Waker::new(move || {
        counted.fetch_add(1, Ordering::AcqRel);
    });
    trial.manager().announce(waker).then_some(calls)
}

/// Does something that makes news, and waits for the call: no longer than a poll that was woken may take.
#[track_caller]
fn expect_call<F: Fixture, T>(
    trial: &mut Trial<'_, F>,
    calls: &AtomicUsize,
    what: &str,
    act: impl FnOnce(&mut Trial<'_, F>) -> T,
) -> T {
    trial.rounds(3);
    calls.store(0, Ordering::Release);
    let done = act(trial);
    let start = Instant::now();
    while calls.load(Ordering::Acquire) == 0 {
        let in_time = start.elapsed() < PROMPT;
        trial.check(in_time, format_args!("a call of the waker: {what}"), format_args!("none in {PROMPT:?}"));
        thread::yield_now();
    }
    done
}
