//! The example broker as a person runs it: a file, tables, events, and an end in which as much is done as is possible.

use super::{BrokerProcess, example, text};
use msglib_client::{
    Connection, blocking_pull_subscribe_to_queue, publish_to_q, publish_to_topic, request, serve, subscribe_to_topic,
    subscribe_with_prefetch,
};
use msglib_proto::TopicSettings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

impl BrokerProcess {
    fn connect(&self) -> Connection {
        Connection::new(msglib_io_epoll::connect(&self.address, PATIENCE).unwrap())
    }

    fn stats(&self) -> String {
        let output = example("broker").args(["--stats", &self.address]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// What it prints until its end.
    fn rest(mut self) -> String {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

/// Words of a line, for columns are as wide as they must be.
fn row(table: &str, first: &str) -> String {
    let line = table.lines().find(|line| line.starts_with(first)).unwrap_or_else(|| panic!("no {first}:\n{table}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn queues_topics_and_services_by_a_file_and_what_there_is_as_tables() {
    let file = std::env::temp_dir().join(format!("msglib-serving-{}.toml", std::process::id()));
    std::fs::write(&file, "[queues.short]\nmax-messages = 1\noverflow = 'drop-oldest'\n").unwrap();
    let broker = BrokerProcess::start_with(&["--config", file.to_str().unwrap(), "--max-services", "2"]);
    std::fs::remove_file(&file).unwrap();

    let client = broker.connect();
    for job in ["one", "two"] {
        client.publish_to_q_confirmed("short", job).unwrap().wait().unwrap();
        client.publish_to_q_confirmed("long", job).unwrap().wait().unwrap();
    }
    let mut sub = blocking_pull_subscribe_to_queue(&client, "short").unwrap();
    let job = sub.next().unwrap();
    assert_eq!(job.payload(), b"two", "the file says so");

    let mut heat = subscribe_to_topic(&client, "house/+/heat", &TopicSettings::default(), 10).unwrap();
    publish_to_topic(&client, "house/hall/heat", "21").unwrap();
    assert_eq!(heat.next().unwrap().payload(), b"21");

    let responder = broker.connect();
    let answering = std::thread::spawn(move || {
        let mut service = serve(&responder, "double", 1).unwrap();
        let number: u64 = text(service.next().unwrap().payload()).parse().unwrap_or(0);
        (service, number)
    });
    // Asked before somebody is there to answer it is refused; so it is asked until there is.
    let reply = loop {
        let reply = request(&client, "double", "21", PATIENCE).unwrap().wait();
        match reply {
            Err(error) if error.code() == Some(msglib_client::ErrorCode::NO_RESPONDER) => {}
            other => break other,
        }
    };
    let (service, number) = answering.join().unwrap();
    assert_eq!(number, 21);
    assert!(reply.is_err(), "it was dropped: {reply:?}");

    let stats = broker.stats();
    assert_eq!(row(&stats, "short"), "short open 0 0 1 2 0 0 0 1 1 67", "{stats}");
    assert_eq!(row(&stats, "long"), "long open 2 0 0 2 0 0 0 0 0 134", "{stats}");
    assert_eq!(row(&stats, "house/+/heat"), "house/+/heat - 1 0 1 0", "{stats}");
    assert!(row(&stats, "$stats").starts_with("$stats 1 1 0 1 0 1"), "{stats}");
    assert!(stats.contains("memory:0") && stats.contains("[::1]:"), "{stats}");
    job.ack().unwrap();
    drop((sub, heat, service));
    client.close().unwrap();
    drop(client);
    let said = broker.end();
    assert!(said.contains("lost: 2 messages in 1 queues"), "{said}");
}

#[test]
fn nobody_else_answers_for_the_broker() {
    let broker = BrokerProcess::start();
    let client = broker.connect();
    let mut false_stats = serve(&client, "$stats", 1).unwrap();
    assert_eq!(false_stats.next().unwrap_err().code(), Some(msglib_client::ErrorCode::NOT_ALLOWED));
    assert!(broker.stats().contains("CONNECTION"));
}

#[test]
fn a_signal_ends_it_when_consumers_have_taken_what_is_there() {
    let broker = BrokerProcess::start_with(&["--drain", "60s"]);
    let (client, worker) = (broker.connect(), broker.connect());
    for job in 1..=100 {
        publish_to_q(&client, "jobs", &format!("{job}")).unwrap();
    }
    client.publish_to_q_confirmed("jobs", "the last").unwrap().wait().unwrap();
    let mut jobs = subscribe_with_prefetch(&worker, "jobs", 1).unwrap();
    let first = jobs.next().unwrap();
    broker.signal(Signal::SIGTERM);
    // It takes nothing new from now on, or soon.
    loop {
        match client.publish_to_q_confirmed("jobs", "late").unwrap().wait() {
            Ok(()) => {}
            Err(error) => break assert_eq!(error.code(), Some(msglib_client::ErrorCode::BUSY)),
        }
    }
    first.ack().unwrap();
    let mut taken = 1;
    while let Ok(job) = jobs.next() {
        taken += 1;
        job.ack().unwrap();
    }
    drop((jobs, worker, client));
    let said = broker.rest();
    assert!(taken >= 101, "{taken}");
    assert!(said.contains(&format!("queue jobs: accepted {taken}, acked {taken}, refused 0, left 0")), "{said}");
    assert!(said.contains("(0 cut off at the end)") && !said.contains("lost"), "{said}");
}

#[test]
fn who_holds_on_loses_it_at_the_deadline_and_that_is_told() {
    let broker = BrokerProcess::start_with(&["--drain", "50ms", "--goodbye", "50ms"]);
    let client = broker.connect();
    publish_to_q(&client, "jobs", "one").unwrap();
    publish_to_q(&client, "jobs", "two").unwrap();
    let mut jobs = blocking_pull_subscribe_to_queue(&client, "jobs").unwrap();
    let held = jobs.next().unwrap();
    broker.signal(Signal::SIGINT);
    assert!(jobs.next().is_ok(), "while it drains");
    assert!(jobs.next().is_err(), "goodbye");
    let said = broker.rest();
    assert!(said.contains("queue jobs: accepted 2, acked 0, refused 0, left 2"), "{said}");
    assert!(said.contains("lost: 2 messages in 1 queues"), "{said}");
    drop(held);
}

#[test]
fn a_second_signal_makes_it_hurry() {
    let broker = BrokerProcess::start_with(&["--drain", "1h", "--goodbye", "50ms"]);
    let client = broker.connect();
    client.publish_to_q_confirmed("jobs", "one").unwrap().wait().unwrap();
    let mut jobs = blocking_pull_subscribe_to_queue(&client, "jobs").unwrap();
    let held = jobs.next().unwrap();
    broker.signal(Signal::SIGTERM);
    while client.publish_to_q_confirmed("jobs", "late").unwrap().wait().is_ok() {}
    broker.signal(Signal::SIGTERM);
    let said = broker.rest();
    assert!(said.contains("lost: "), "{said}");
    drop(held);
}

#[test]
fn what_goes_on_is_told_on_standard_error_and_nothing_waits_for_an_input_that_is_none() {
    let mut child = example("broker")
        .args(["--listen", "[::1]:0", "--log", "info"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut broker = BrokerProcess::of(child.stdout.take().unwrap(), child);
    let mut events = broker.child.stderr.take().unwrap();
    let client = broker.connect();
    client.publish_to_q_confirmed("jobs", "a secret").unwrap().wait().unwrap();
    client.close().unwrap();
    drop(client);
    broker.signal(Signal::SIGTERM);
    broker.rest();
    let mut told = String::new();
    events.read_to_string(&mut told).unwrap();
    for event in
        ["INFO connected connection=", "INFO queue made queue=jobs", "INFO draining within=5s", "INFO shut down "]
    {
        assert!(told.contains(event), "{event}: {told}");
    }
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn settings_can_be_checked_without_a_broker() {
    let good = example("broker").args(["--check", "--order", "priority"]).output().unwrap();
    assert!(good.status.success());
    let bad = example("broker").args(["--check", "--order", "random"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("expected one of `fifo`"), "{}", text(&bad.stderr));
    let unknown = example("broker").args(["--speed", "9"]).output().unwrap();
    assert!(text(&unknown.stderr).contains("there is no option --speed; see --help"), "{}", text(&unknown.stderr));
    let help = example("broker").arg("--help").output().unwrap();
    assert!(text(&help.stdout).contains("--dead-letter QUEUE"));
}
