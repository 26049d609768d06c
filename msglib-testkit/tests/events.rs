//! The structured events of a broker: what is told, and that no message is.

use msglib_broker::{ConnectionHandler, Context, Event, Frame, Handler, Identity, QueueConfig, Reject, StockConfig};
use msglib_client::{Connection, publish_to_q, subscribe_with_prefetch};
use msglib_testkit::{Harness, HarnessConfig};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is told while `scene` plays, without times.
fn told(scene: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(move || writer.clone());
    tracing::subscriber::with_default(subscriber.finish(), scene);
    let bytes = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn connections_queues_refusals_and_the_end_are_told_and_messages_are_not() {
    let told = told(|| {
        let config = StockConfig::default().with_queue(QueueConfig::default()).with_max_queues(1);
        let mut harness = Harness::new(ConnectionHandler::with_config(config));
        let (good, greedy, silent) = (harness.connect(), harness.connect(), harness.connect_raw());
        publish_to_q(&good, "jobs", "a secret").unwrap();
        harness.settle();
        let refused = subscribe_with_prefetch(&greedy, "another", 1).unwrap();
        harness.settle();
        harness.advance(Duration::from_secs(60));
        harness.settle();
        drop((refused, greedy));
        harness.step_until_ok("a goodbye", || good.close());
        harness.settle();
        harness.broker_mut().shutdown(Duration::from_secs(1)).unwrap();
        drop(silent);
    });
    let expected = [
        " INFO msglib_broker: connected connection=c0 peer=memory:0 listener=0",
        " INFO msglib_broker: connected connection=c1 peer=memory:1 listener=0",
        " INFO msglib_broker: connected connection=c2 peer=memory:2 listener=0",
        " INFO msglib_broker: queue made queue=jobs",
        " INFO msglib_broker: refused connection=c1 code=TOO_MANY_CHANNELS (0x0306) text=\"there are 1 queues already, and all of them in use\"",
        " WARN msglib_broker: disconnected connection=c2 reason=the handshake was not finished in time",
        " INFO msglib_broker: disconnected connection=c1 reason=the peer said goodbye",
        " INFO msglib_broker: disconnected connection=c0 reason=the peer said goodbye",
        " INFO msglib_broker: shutting down connections=0 within=1s",
        " INFO msglib_broker: shut down orderly=0 aborted=0",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn what_goes_wrong_is_worth_a_warning() {
    struct Mistaken;
    impl Handler for Mistaken {
        fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
            if let Event::Frame { from, frame: Frame::Hello(_) } = event {
                cx.set_identity(from, Identity::new("alice"));
                let _ = cx.send(from, Frame::Ack { link: 1, first: 1, last: 1 });
            }
            Ok(())
        }
    }
    let told = told(|| {
        let mut harness = Harness::new(Mistaken);
        let client: Connection = harness.connect();
        let mut garbage = harness.connect_raw();
        garbage.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        harness.settle();
        // Whoever does not read what is due to it.
        let config = HarnessConfig::default().with_pipe_capacity(8);
        let mut narrow = Harness::with_config(ConnectionHandler::new(), config);
        let deaf = narrow.connect();
        narrow.settle();
        narrow.broker_mut().shutdown(Duration::from_secs(1)).unwrap();
        drop((client, deaf));
    });
    let lines: Vec<&str> = told.lines().filter(|line| !line.contains("connected connection=c0")).collect();
    assert_eq!(lines[1], " INFO msglib_broker: identified connection=c0 identity=alice");
    assert!(lines[2].starts_with("ERROR msglib_broker: a mistake of the handler's mistake=\"Ack"), "{told}");
    assert!(
        lines[3].starts_with(" WARN msglib_broker: disconnected connection=c1 reason=the peer broke the"),
        "{told}"
    );
    let end = &lines[lines.len() - 2..];
    let expected = [
        " WARN msglib_broker: cut off before all was written connection=c0",
        " INFO msglib_broker: shut down orderly=0 aborted=1",
    ];
    assert_eq!(end, expected);
}
