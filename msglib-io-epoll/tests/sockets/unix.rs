//! Unix sockets: paths, their modes, and what is left of brokers that are gone.

use crate::server::{PATIENCE, Server, TOO_LONG, pattern};
use msglib_io_epoll::{EpollSocketManager, connect, connect_unix};
use msglib_proto::transport::{Close, ConnectionManager, ListenerId};
use std::fs;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// A directory that is gone when the test is over.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("msglib-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for sockets");
        Directory(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the directory is there until now");
    }
}

fn listen(path: &Path) -> std::io::Result<EpollSocketManager> {
    EpollSocketManager::builder().listen_unix(path, 0o600).poll_timeout(TOO_LONG).build()
}

#[test]
fn t17_a_path_of_ours_is_unlinked_when_nobody_new_is_taken() {
    let directory = Directory::new("stop");
    let (ours, theirs) = (directory.file("ours"), directory.file("theirs"));
    let mut server = Server::over(listen(&ours).expect("a free path"));
    server.manager.adopt_unix_listener(UnixListener::bind(&theirs).expect("a free path")).expect("adopt");
    let mut client = connect_unix(&ours, PATIENCE).expect("connect");
    let (id, _) = server.opened();
    assert!(server.manager.stop_accepting());
    assert_eq!(directory.names(), ["theirs"]);
    assert_eq!(UnixStream::connect(&theirs).expect_err("nobody listens").kind(), ErrorKind::ConnectionRefused);
    client.write_all(b"still here").expect("write");
    assert_eq!(server.read_exactly(id, 10), b"still here");
    // The path is free for the next broker, which keeps it when this one goes.
    let next = listen(&ours).expect("a free path");
    drop(server);
    assert!(ours.exists());
    drop(next);
}

/// As a broker leaves it that was killed.
fn leave_stale(path: &Path) {
    drop(UnixListener::bind(path).expect("a free path"));
    assert!(path.exists());
}

#[test]
fn bytes_go_both_ways_and_both_ends_can_be_half_closed() {
    const LENGTH: usize = 3 << 20;
    let directory = Directory::new("both-ways");
    let path = directory.file("socket");
    let mut server = Server::over(listen(&path).expect("a free path"));
    let mut client = connect_unix(&path, PATIENCE).expect("connect");
    let (id, peer) = server.opened();
    assert_eq!((peer.listener, peer.to_string()), (ListenerId(0), "unix:(unnamed)".to_owned()));
    assert_eq!(client.peer_addr().expect("connected").to_string(), format!("unix:{}", path.display()));

    client.write_all(b"request").expect("write");
    client.shutdown_write().expect("half-close");
    assert_eq!(server.read_exactly(id, 7), b"request");
    server.readable(id);
    assert_eq!(server.manager.read(id, &mut [0; 8]).expect("the end"), 0);

    let sent = pattern(LENGTH);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut received = Vec::new();
            client.read_to_end(&mut received).map(|_| received).expect("read")
        });
        let waits = server.write_all(id, &sent);
        assert!(waits > 0, "the test must meet a full buffer");
        let deadline = server.manager.now() + PATIENCE;
        server.manager.close(id, Close::Drain { deadline });
        assert!(reader.join().expect("the reader") == sent, "the bytes differ");
    });
    assert_eq!(server.manager.stats().draining, 0);
}

#[test]
fn a_drain_delivers_what_was_accepted_though_input_is_unread() {
    let directory = Directory::new("drain");
    let path = directory.file("socket");
    let mut server = Server::over(listen(&path).expect("a free path"));
    let mut client = connect_unix(&path, PATIENCE).expect("connect");
    let (id, _) = server.opened();
    client.write_all(&[1; 50_000]).expect("what the broker will not read");
    let filled = server.fill(id);
    let deadline = server.manager.now() + PATIENCE;
    server.manager.close(id, Close::Drain { deadline });
    let mut received = Vec::new();
    client.read_to_end(&mut received).expect("no reset");
    assert_eq!(received.len(), filled);
    drop(client);
    server.run_until("the drain is over", |manager| manager.stats().draining == 0);
}

#[test]
fn an_abort_ends_both_sides_at_once() {
    let directory = Directory::new("abort");
    let path = directory.file("socket");
    let mut server = Server::over(listen(&path).expect("a free path"));
    let mut client = connect_unix(&path, PATIENCE).expect("connect");
    let (id, _) = server.opened();
    server.manager.close(id, Close::Abort);
    assert_eq!(client.read(&mut [0; 8]).expect("the end"), 0);
    assert_eq!(client.write(b"anyone?").expect_err("nobody").kind(), ErrorKind::BrokenPipe);
}

#[test]
fn the_mode_says_who_may_connect() {
    let directory = Directory::new("mode");
    let path = directory.file("socket");
    for mode in [0o600, 0o660, 0o666] {
        let manager = EpollSocketManager::builder().listen_unix(&path, mode).build().expect("a free path");
        let metadata = fs::symlink_metadata(&path).expect("the socket");
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{mode:o}, whatever the umask is");
        drop(manager);
    }
}

#[test]
fn a_path_is_unlinked_with_the_manager_unless_it_is_somebody_elses() {
    let directory = Directory::new("unlink");
    let path = directory.file("socket");
    drop(listen(&path).expect("a free path"));
    assert!(!path.exists(), "its own");

    let first = listen(&path).expect("a free path");
    fs::remove_file(&path).expect("somebody tidies up too much");
    let second = listen(&path).expect("a free path again");
    drop(first);
    drop(connect_unix(&path, PATIENCE).expect("the second listens still"));
    drop(second);
    assert!(!path.exists());
}

#[test]
fn what_a_killed_broker_has_left_is_replaced() {
    let directory = Directory::new("stale");
    let path = directory.file("socket");
    leave_stale(&path);
    let mut server = Server::over(listen(&path).expect("nobody listens there"));
    connect_unix(&path, PATIENCE).expect("connect");
    server.opened();
    assert_eq!(directory.names(), ["socket"], "nothing is left lying about");
}

#[test]
fn a_path_that_somebody_listens_on_is_left_alone() {
    let directory = Directory::new("living");
    let path = directory.file("socket");
    let mut server = Server::over(listen(&path).expect("a free path"));
    let error = listen(&path).expect_err("it is in use");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let expected = format!("cannot listen on unix:{}: somebody listens there", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}");

    let mut client = connect_unix(&path, PATIENCE).expect("connect");
    client.write_all(b"as before").expect("write");
    // The first connection may be the other broker's, which has looked whether anybody is there.
    let is_served = (0..10).any(|_| {
        let reports = server.poll(Some(Duration::from_secs(1)));
        reports.iter().any(|report| matches!(server.manager.read(report.id(), &mut [0; 16]), Ok(9)))
    });
    assert!(is_served, "the first broker's client");
}

#[test]
fn other_files_are_left_alone() {
    let directory = Directory::new("files");
    let (file, datagrams) = (directory.file("file"), directory.file("datagrams"));
    fs::write(&file, "precious").expect("a file");
    let error = listen(&file).expect_err("it is a file");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("there is a file that is no socket"), "{error}");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "precious");

    let _other = UnixDatagram::bind(&datagrams).expect("a free path");
    assert_eq!(listen(&datagrams).expect_err("somebody's").kind(), ErrorKind::AddrInUse);
    assert!(datagrams.exists());

    let error = listen(&directory.file("nowhere/socket")).expect_err("no such directory");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("there is no such directory"), "{error}");
    let error = listen(&directory.file(&"long".repeat(30))).expect_err("too long for a socket");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Each finds the stale socket; the one that comes second must not take the first one's away.
#[test]
fn of_many_brokers_that_find_a_stale_socket_one_listens() {
    const BROKERS: usize = 4;
    let directory = Directory::new("race");
    let path = directory.file("socket");
    for round in 0..30 {
        leave_stale(&path);
        let barrier = Barrier::new(BROKERS);
        let managers: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                listen(&path)
            };
            let threads: Vec<_> = (0..BROKERS).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().expect("a broker's start")).collect()
        });
        let (listening, refused): (Vec<_>, Vec<_>) = managers.into_iter().partition(Result::is_ok);
        for error in refused.into_iter().filter_map(Result::err) {
            assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");
        }
        let [Ok(manager)] = <[_; 1]>::try_from(listening).expect("one broker") else { panic!("it listens") };
        let mut server = Server::over(manager);
        let mut client = connect_unix(&path, PATIENCE).unwrap_or_else(|error| panic!("round {round}: {error}"));
        client.write_all(b"x").expect("write");
        server.wait_for("the client", |report| {
            matches!(report, msglib_proto::transport::Readiness::Readable(_)).then_some(())
        });
        assert_eq!(directory.names(), ["socket"]);
        drop(server);
        assert_eq!(directory.names(), [""; 0]);
    }
}

/// Brokers that start in one directory do so one after the other; but who keeps it locked for ever does not keep them from starting.
#[test]
fn a_start_waits_for_another_in_its_directory_and_not_for_ever() {
    let directory = Directory::new("locked");
    let holder = fs::File::open(&directory.0).expect("the directory");
    holder.lock().expect("nobody else has it");
    let start = Instant::now();
    let manager = listen(&directory.file("socket")).expect("a free path");
    assert!(start.elapsed() >= Duration::from_secs(1));
    drop((manager, holder));
}

/// A program changes its working directory; the path that it listened at is still unlinked. In a process of its own, for it has one.
#[test]
fn a_relative_path_is_meant_from_where_it_was_said() {
    let directory = Directory::new("relative");
    let test = std::env::current_exe().expect("this test's path");
    let mut child = Command::new(test);
    child.args(["--ignored", "--exact", "unix::from_another_working_directory"]).current_dir(&directory.0);
    let output = child.output().expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(directory.names().is_empty(), "{:?}", directory.names());
}

#[test]
#[ignore = "run by a_relative_path_is_meant_from_where_it_was_said"]
fn from_another_working_directory() {
    let manager = listen(Path::new("socket")).expect("a free path");
    assert!(Path::new("socket").exists());
    std::env::set_current_dir("/").expect("there is a root");
    drop(manager);
}

#[test]
fn listeners_of_both_kinds_are_numbered_as_they_came() {
    let directory = Directory::new("mixed");
    let (ours, theirs) = (directory.file("ours"), directory.file("theirs"));
    let mut manager = EpollSocketManager::builder()
        .listen_unix(&ours, 0o600)
        .listen(([127, 0, 0, 1], 0).into())
        .build()
        .expect("a free path, and a free port");
    let listener = UnixListener::bind(&theirs).expect("a free path");
    assert_eq!(manager.adopt_unix_listener(listener).expect("adopt"), ListenerId(2));
    let address = manager.local_addr().expect("one for TCP");
    let all: Vec<String> = manager.listeners().map(ToString::to_string).collect();
    let paths = [&ours, &theirs].map(|path| format!("unix:{}", path.display()));
    assert_eq!(all, [paths[0].clone(), address.to_string(), paths[1].clone()]);

    let mut server = Server::over(manager);
    let _clients = [
        connect_unix(&theirs, PATIENCE).expect("connect"),
        connect(address, PATIENCE).expect("connect"),
        connect_unix(&ours, PATIENCE).expect("connect"),
    ];
    let mut came: Vec<u32> = (0..3).map(|_| server.opened().1.listener.0).collect();
    came.sort_unstable();
    assert_eq!(came, [0, 1, 2]);
    drop(server);
    assert!(!ours.exists() && theirs.exists(), "an adopted listener's path is its owner's");
}

#[test]
fn a_stream_that_was_made_elsewhere_is_taken_over() {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let mut server = Server::over(EpollSocketManager::builder().build().expect("a manager"));
    let id = server.manager.adopt_unix_stream(ours).expect("adopt");
    let (opened, peer) = server.opened();
    assert_eq!((opened, peer.to_string()), (id, "unix:(unnamed)".to_owned()));
    theirs.write_all(b"hello").expect("write");
    assert_eq!(server.read_exactly(id, 5), b"hello");
    server.manager.write(id, &[IoSlice::new(b"and you")]).expect("write");
    theirs.read_exact(&mut [0; 7]).expect("read");
}

#[test]
fn a_client_is_told_why_it_cannot_connect() {
    let directory = Directory::new("client");
    let path = directory.file("socket");
    let error = connect_unix(&path, PATIENCE).expect_err("nothing is there");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let expected = format!("cannot connect to unix:{}: there is no such socket", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}");

    leave_stale(&path);
    let error = connect_unix(&path, PATIENCE).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(connect_unix(&path, Duration::ZERO).expect_err("no time").kind(), ErrorKind::InvalidInput);
    fs::remove_file(&path).expect("the stale one");

    let manager = EpollSocketManager::builder().listen_unix(&path, 0o600).backlog(0).build().expect("a free path");
    let timeout = Duration::from_millis(20);
    let mut waiting = Vec::new();
    let start = Instant::now();
    let error = loop {
        match connect_unix(&path, timeout) {
            Ok(client) => waiting.push(client),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10, "a backlog of 0 takes {} connections", waiting.len());
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!((timeout..PATIENCE).contains(&start.elapsed()));
    drop(manager);
}
