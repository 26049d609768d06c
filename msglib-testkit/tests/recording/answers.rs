//! Answers that other threads have given are recorded like all that a broker is told, without anybody's doing.

use super::scene::{File, recording};
use msglib_broker::record::{Record, Recorder, Recording};
use msglib_broker::{
    Broker, ConnectionHandler, Context, ErrorCode, Event, Frame, Frames, Handler, Identity, Native, PendingAnswer,
    Reject,
};
use msglib_client::{Connection, blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_testkit::replay::{Build, Replayer, diff, outputs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// The stock broker behind a door: who comes in is decided elsewhere.
struct Door {
    inner: ConnectionHandler,
    ask: Sender<PendingAnswer>,
    let_in: Vec<String>,
}

impl Door {
    fn new() -> (Door, Receiver<PendingAnswer>) {
        let (ask, asked) = channel();
        (Door { inner: ConnectionHandler::new(), ask, let_in: Vec::new() }, asked)
    }

    /// One whom nobody answers: what it asks for is refused at once.
    fn unanswered() -> Door {
        Door::new().0
    }
}

impl Handler for Door {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Frame { from, frame: Frame::Hello(_) } => {
                let _ = self.ask.send(cx.answer_later(from)?);
            }
            Event::Answered { from, refusal: None, .. } => {
                self.let_in.extend(cx.identity(from).map(Identity::to_string));
            }
            _ => {}
        }
        self.inner.handle(cx, event)
    }

    fn frames(&mut self, cx: &mut Context<'_>, frames: Frames<'_, Native>) {
        let from = frames.from();
        frames.for_each(cx, |cx, frame| self.handle(cx, Event::Frame { from, frame }));
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        self.inner.end_of_step(cx);
    }
}

/// Lets every second one in.
fn decide(number: usize, answer: PendingAnswer) {
    match number % 2 {
        0 => answer.accept(Identity::new(format!("client {number}"))),
        _ => answer.refuse(Reject::new(ErrorCode::BAD_CREDENTIALS, "not this time")),
    }
}

/// It also shows that an answer wakes a broker that waits: it would for a minute, and its clients for ten seconds.
#[test]
fn a_session_whose_clients_a_thread_let_in_is_replayed() {
    let address = "[::1]:0".parse().unwrap();
    let manager = EpollSocketManager::builder().listen(address).poll_timeout(Duration::from_secs(60)).build().unwrap();
    let address = manager.local_addr().unwrap();
    let file = File::default();
    let recorder = Recorder::to_stream(manager, file.clone());
    let log = recorder.log();
    let (door, asked) = Door::new();
    let mut broker = Broker::new(door, recorder);
    let stop = broker.stopper();
    std::thread::scope(|scope| {
        scope.spawn(move || asked.iter().enumerate().for_each(|(number, answer)| decide(number, answer)));
        scope.spawn(move || {
            for number in 0..4 {
                let client = Connection::new(msglib_io_epoll::connect(address, Duration::from_secs(10)).unwrap());
                let done = publish_to_q(&client, "jobs", b"job")
                    .and_then(|()| blocking_pull_subscribe_to_queue(&client, "jobs")?.next()?.ack());
                assert_eq!(done.is_ok(), number % 2 == 0, "{done:?}");
            }
            stop.stop();
        });
        broker.run().unwrap();
        log.shutting_down(Duration::from_secs(1));
        broker.shutdown(Duration::from_secs(1)).unwrap();
        // The thread that decides ends with the broker.
        broker.handler_mut().ask = channel().0;
    });
    assert_eq!(broker.handler().let_in, ["client 0", "client 2"]);

    let counters = *broker.counters();
    let let_in = broker.handler().let_in.clone();
    drop(broker);
    let recording = Recording::read(&file.bytes()[..]).unwrap();
    assert_eq!(recording.records().filter(|record| matches!(record, Record::Aside(_))).count(), 4);
    let mut replayer = Replayer::new(&recording, Build::new(Door::unanswered())).unwrap();
    replayer.run().unwrap();
    assert_eq!(replayer.broker().counters(), &counters);
    assert_eq!(replayer.broker().handler().let_in, let_in, "as it was then, whatever would be decided now");
}

#[test]
fn another_build_hears_the_answers_of_then() {
    let transport = Transport::new();
    let recorder = Recorder::new(InMemoryConnectionManager::new(&transport, "broker").unwrap());
    let log = recorder.log();
    let (door, asked) = Door::new();
    let mut broker = Broker::new(door, recorder);
    for number in 0..4 {
        let stream = transport.connect("broker").unwrap();
        let client = Connection::builder().non_blocking(true).build(stream).unwrap();
        let _ = publish_to_q(&client, "jobs", b"job");
        broker.process_connections().unwrap();
        transport.clock().advance(Duration::from_secs(1));
        decide(number, asked.recv().unwrap());
        while !broker.process_connections().unwrap().is_idle() {}
    }
    let recording = recording(&log);
    let same = diff(&recording, Door::unanswered(), Door::unanswered());
    assert!(same.is_empty(), "{same}");
    let outputs = outputs(&recording, Build::new(Door::unanswered()));
    let begin_with = |word: &str| outputs.connections().filter(|(_, lines)| lines[0].text.starts_with(word)).count();
    assert_eq!((begin_with("Welcome"), begin_with("Error")), (2, 2));
}
