//! A handler that panics, recorded and replayed.

use super::scene::{File, broker, converse};
use msglib_broker::record::{Recorder, Recording};
use msglib_broker::{ConnectionHandler, Context, Event, Frame, Handler, Reject};
use msglib_testkit::replay::{Build, Replayer, diff, outputs};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The stock handler, but for one message that it does not take.
struct Superstitious(ConnectionHandler);

impl Handler for Superstitious {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        if let Event::Frame { frame: Frame::Publish { payload, .. }, .. } = &event {
            assert!(&**payload != b"job 13", "not that one");
        }
        self.0.handle(cx, event)
    }
    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        self.0.end_of_step(cx);
    }
}

fn superstitious() -> Superstitious {
    Superstitious(ConnectionHandler::new())
}

/// The file that a panicking broker leaves behind.
fn crash() -> Vec<u8> {
    let dump = File::default();
    let opened = dump.clone();
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let record = |manager| Recorder::new(manager).dump_on_panic(move || Ok(opened.clone()));
        let (transport, mut broker, _log) = broker(superstitious(), record);
        converse(&transport, &mut broker, 20);
    }));
    assert!(panicked.is_err());
    dump.bytes()
}

#[test]
fn a_panic_writes_the_ring_and_the_replay_panics_in_the_same_place() {
    let recording = Recording::read(&crash()[..]).unwrap();
    let mut replayer = Replayer::new(&recording, Build::new(superstitious())).unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| replayer.run())).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"not that one"));
    assert_eq!(replayer.broker().handler().0.queue("jobs").unwrap().ledger.accepted, 13, "all before it");
    assert!(replayer.broker().connection_manager().is_at_end(), "up to the last record");
}

#[test]
fn a_fixed_handler_goes_through_what_the_other_panicked_at() {
    let recording = Recording::read(&crash()[..]).unwrap();
    let fixed = ConnectionHandler::new();
    let mut replayer = Replayer::new(&recording, Build::new(fixed)).unwrap();
    replayer.run().expect("it does the same up to the last record");
    assert_eq!(replayer.broker().handler().queue("jobs").unwrap().ledger.accepted, 14);

    let last = outputs(&recording, Build::new(superstitious())).panic().unwrap().clone();
    assert!(last.text.contains("not that one"), "{last}");
    let diff = diff(&recording, superstitious(), ConnectionHandler::new());
    assert_eq!(diff.panics, [Some(last), None]);
    assert!(!diff.is_empty(), "nobody hears anything else yet, and still they differ");
    assert!(diff.to_string().contains("- step"), "{diff}");
}

#[test]
fn without_a_panic_nothing_is_dumped() {
    let dump = File::default();
    let opened = dump.clone();
    let record = |manager| Recorder::new(manager).dump_on_panic(move || Ok(opened.clone()));
    let (transport, mut broker, _log) = broker(superstitious(), record);
    converse(&transport, &mut broker, 5);
    drop(broker);
    assert_eq!(dump.bytes(), []);
}
