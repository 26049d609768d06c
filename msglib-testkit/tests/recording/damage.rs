//! Files that are not what was written.

use super::scene::{File, broker, converse, small_file};
use msglib_broker::ConnectionHandler;
use msglib_broker::record::{Recorder, Recording, RecordingError};
use msglib_testkit::replay::{Build, Replayer};
use std::io::{self, Write};

#[test]
fn a_file_that_is_cut_off_anywhere_says_where() {
    let file = small_file();
    Recording::read(&file[..]).unwrap();
    for length in 0..file.len() {
        match Recording::read(&file[..length]) {
            Err(RecordingError::Truncated { offset, .. }) => assert_eq!(offset, length as u64),
            other => panic!("{length} bytes of {}: {other:?}", file.len()),
        }
    }
}

#[test]
fn a_byte_that_is_not_the_one_that_was_written_is_found() {
    let file = small_file();
    for at in 0..file.len() {
        // Not one that makes an earlier version of this one, which is read.
        for change in [4, 0x80] {
            let mut damaged = file.clone();
            damaged[at] ^= change;
            let error = Recording::read(&damaged[..]).expect_err("one byte is another");
            match (at, &error) {
                (0..8, RecordingError::NotARecording) | (8..12, RecordingError::Version { .. }) => {}
                (12.., RecordingError::Damaged { offset, .. }) => assert!(*offset <= at as u64, "{at}: {error}"),
                // A length that is too long now.
                (12.., RecordingError::Truncated { .. }) => {}
                _ => panic!("byte {at}: {error}"),
            }
        }
    }
}

#[test]
fn what_is_before_the_damage_is_replayed() {
    let stream = File::default();
    let (transport, mut broker, log) =
        broker(ConnectionHandler::new(), |manager| Recorder::to_stream(manager, stream.clone()));
    converse(&transport, &mut broker, 5);
    log.flush();
    let whole = stream.bytes().len();
    converse(&transport, &mut broker, 5);
    log.flush();
    // As after a kill: no end mark.
    let mut file = stream.bytes();
    assert!(matches!(Recording::read(&file[..]), Err(RecordingError::Truncated { .. })));
    let (recording, fault) = Recording::recover(&file[..]).unwrap();
    assert!(matches!(fault, Some(RecordingError::Truncated { .. })), "{fault:?}");
    assert_eq!(acked(&recording), 10);

    file[whole + 100] ^= 1;
    let (recording, fault) = Recording::recover(&file[..]).unwrap();
    assert!(matches!(fault, Some(RecordingError::Damaged { offset, .. }) if offset >= whole as u64), "{fault:?}");
    assert_eq!(acked(&recording), 5, "what was behind is gone");
}

fn acked(recording: &Recording) -> u64 {
    let mut replayer = Replayer::new(recording, Build::new(ConnectionHandler::new())).unwrap();
    replayer.run().unwrap();
    replayer.broker().handler().queue("jobs").unwrap().ledger.acked
}

#[test]
fn a_file_of_a_later_version_is_not_guessed_at() {
    let mut file = small_file();
    for earlier in 1..3 {
        file[11] = earlier;
        assert!(Recording::read(&file[..]).is_ok(), "an earlier one had less in it");
    }
    file[11] = 4;
    let error = Recording::read(&file[..]).unwrap_err().to_string();
    assert_eq!(
        error,
        "a recording of version 4, and this program reads version 3; read it with the program that wrote it"
    );
}

#[test]
fn a_stream_that_fails_ends_the_recording_and_not_the_broker() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(buf.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (transport, mut broker, log) =
        broker(ConnectionHandler::new(), |manager| Recorder::to_stream(manager, Full(300)));
    converse(&transport, &mut broker, 20);
    log.flush();
    assert_eq!(log.error().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
    converse(&transport, &mut broker, 20);
    assert_eq!(broker.handler().queue("jobs").unwrap().ledger.acked, 40);
}

#[test]
fn a_stream_has_what_was_said_as_soon_as_nothing_is_said() {
    let stream = File::default();
    let (transport, mut broker, _log) =
        broker(ConnectionHandler::new(), |manager| Recorder::to_stream(manager, stream.clone()));
    converse(&transport, &mut broker, 1);
    broker.process_connections().unwrap();
    broker.process_connections().unwrap();
    let (recording, _) = Recording::recover(&stream.bytes()[..]).unwrap();
    assert_eq!(acked(&recording), 1);
    let length = stream.bytes().len();
    for _ in 0..100 {
        broker.process_connections().unwrap();
    }
    assert_eq!(stream.bytes().len(), length, "steps in which nothing happens wait for company");
    drop(broker);
    Recording::read(&stream.bytes()[..]).expect("a broker that is dropped ends its stream");
}
