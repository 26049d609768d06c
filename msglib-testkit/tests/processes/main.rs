//! The example programs as separate processes: a broker, a publisher, a consumer.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod serving;
mod settings;

use msglib_client::Connection;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

/// The examples lie beside the tests; `cargo test` builds both.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let path: PathBuf = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing; `cargo build --examples` makes it", path.display());
    Command::new(path)
}

struct BrokerProcess {
    child: Child,
    out: BufReader<ChildStdout>,
    address: String,
}

impl BrokerProcess {
    fn start() -> BrokerProcess {
        BrokerProcess::start_with(&[])
    }

    fn start_with(options: &[&str]) -> BrokerProcess {
        let mut child = example("broker")
            .args(["--listen", "[::1]:0", "--log", "warn"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        BrokerProcess::of(child.stdout.take().unwrap(), child)
    }

    fn of(out: ChildStdout, child: Child) -> BrokerProcess {
        let mut out = BufReader::new(out);
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let address = first.strip_prefix("listening on ").expect("the first line").trim().to_owned();
        BrokerProcess { child, out, address }
    }

    fn run(&self, name: &str, options: &[&str]) -> Output {
        example(name).args(["--connect", &self.address]).args(options).output().unwrap()
    }

    /// Closes its standard input, and returns what it printed then.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn publish_and_consume_over_a_broker_in_another_process() {
    let broker = BrokerProcess::start();
    let published = broker.run("publish", &["--queue", "jobs", "--message", "Hello, world!", "--count", "2000"]);
    assert!(published.status.success(), "{}", text(&published.stderr));
    assert_eq!(text(&published.stdout), "published 2000 to jobs\n");
    let consumed = broker.run("consume", &["--queue", "jobs", "--count", "1999"]);
    assert!(consumed.status.success(), "{}", text(&consumed.stderr));
    assert_eq!(text(&consumed.stdout), "Hello, world!\n".repeat(1999));
    let counters = broker.end();
    assert!(counters.contains("queue jobs: accepted 2000, acked 1999, refused 0, left 1"), "{counters}");
}

#[test]
fn a_unix_socket_beside_a_port() {
    let path = std::env::temp_dir().join(format!("msglib-processes-{}.sock", std::process::id()));
    let unix = format!("unix:{}", path.display());
    let broker = BrokerProcess::start_with(&["--listen", &unix]);
    let published = example("publish").args(["--connect", &unix, "--queue", "jobs", "--message", "local"]).output();
    let published = published.unwrap();
    assert!(published.status.success(), "{}", text(&published.stderr));
    let consumed = broker.run("consume", &["--queue", "jobs", "--count", "1"]);
    assert_eq!(text(&consumed.stdout), "local\n");
    broker.end();
    assert!(!path.exists(), "unlinked at the end");
}

#[test]
fn a_recording_of_one_process_is_replayed_in_another() {
    let path = std::env::temp_dir().join(format!("msglib-processes-{}.msgrec", std::process::id()));
    let file = path.to_str().unwrap();
    for options in [&["--record", file][..], &["--record", file, "--record-ring", "1000000"]] {
        let broker = BrokerProcess::start_with(options);
        assert!(broker.run("publish", &["--queue", "jobs", "--message", "a job", "--count", "3"]).status.success());
        assert!(broker.run("consume", &["--queue", "jobs", "--count", "2"]).status.success());
        // Somebody who is told that the broker goes away.
        let stream = msglib_io_epoll::connect(&broker.address, Duration::from_secs(10)).unwrap();
        let connection = Connection::new(stream);
        connection.ping().unwrap();
        broker.end();
        let replayed = example("replay_recording").arg(file).output().unwrap();
        assert!(replayed.status.success(), "{}", text(&replayed.stderr));
        let shown = text(&replayed.stdout);
        assert!(shown.contains(r#"Delivery { link: 1, tag: 2, count: 1, payload: "a job" }"#), "{shown}");
        assert!(shown.contains("accepted: 3, ready: 1"), "{shown}");
        assert!(shown.contains("GoingAway"), "the drain too: {shown}");
        let same = example("replay_recording").args([file, "--diff"]).output().unwrap();
        assert!(same.status.success(), "{}", text(&same.stdout));
        let other = example("replay_recording").args([file, "--diff", "--max-messages", "2"]).output().unwrap();
        assert!(text(&other.stdout).contains("QUEUE_FULL"), "{}", text(&other.stdout));
        assert_eq!(other.status.code(), Some(1), "as of diff(1)");
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_programs_say_what_is_wrong_and_fail() {
    let broker = BrokerProcess::start();
    let busy = example("broker").args(["--listen", &broker.address]).stdin(Stdio::null()).output().unwrap();
    assert!(!busy.status.success());
    assert!(text(&busy.stderr).contains(&broker.address), "{}", text(&busy.stderr));

    let nothing = broker.run("consume", &["--queue", "empty", "--count", "1", "--timeout", "0.01"]);
    assert!(!nothing.status.success());
    assert!(text(&nothing.stderr).contains("nothing came from"), "{}", text(&nothing.stderr));

    let unknown = broker.run("publish", &["--speed", "9"]);
    assert!(!unknown.status.success());
    assert!(text(&unknown.stderr).contains("--speed"), "{}", text(&unknown.stderr));
    broker.end();
}
