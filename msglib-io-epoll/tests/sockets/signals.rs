//! Signals: none is raised here, and those of others do no harm.

use crate::server::{PATIENCE, Server, TOO_LONG};
use msglib_io_epoll::connect;
use msglib_proto::transport::{Close, ConnectionManager};
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use socket2::SockRef;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Blocks `SIGPIPE` in this thread and says whether it was raised since: a signal that is blocked waits, also where std ignores it.
struct Pipes(SignalFd);

impl Pipes {
    fn watch() -> Pipes {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGPIPE);
        mask.thread_block().expect("a mask of this thread");
        Pipes(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK).expect("a signalfd"))
    }

    fn were_raised(&self) -> bool {
        self.0.read_signal().expect("what is pending").is_some()
    }
}

/// Both ways in which a connection writes, one slice and several, until it is told that nobody is there.
fn until_broken(mut write: impl FnMut(&[IoSlice<'_>]) -> std::io::Result<usize>) {
    let start = Instant::now();
    for slices in [&[IoSlice::new(b"one")][..], &[IoSlice::new(b"two"), IoSlice::new(b"three")]].iter().cycle() {
        assert!(start.elapsed() < PATIENCE, "the writes do not fail");
        match write(slices) {
            Ok(_) => std::thread::yield_now(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => return assert_eq!(error.kind(), ErrorKind::BrokenPipe),
        }
    }
}

#[test]
fn a_write_to_a_peer_that_is_gone_raises_no_sigpipe() {
    let pipes = Pipes::watch();
    let mut server = Server::new();
    // A client whose broker is gone writes on, by one slice and by several.
    let (client, id) = server.pair();
    server.manager.close(id, Close::Abort);
    until_broken(|slices| (&client).write_vectored(slices));
    until_broken(|slices| (&client).write_vectored(&slices[..1]));
    assert!(!pipes.were_raised(), "by a client");

    for slices in [&[IoSlice::new(b"one")][..], &[IoSlice::new(b"two"), IoSlice::new(b"three")]] {
        let (client, id) = server.pair();
        drop(client);
        let start = Instant::now();
        while server.manager.write(id, slices).is_ok() {
            assert!(start.elapsed() < PATIENCE, "the writes do not fail");
        }
    }
    assert!(!pipes.were_raised(), "by the manager");

    // What this would look like: std's own vectored write does raise it.
    let listener = std::net::TcpListener::bind("[::1]:0").expect("[::1]");
    let mut stream = std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    drop(listener.accept().expect("the stream"));
    until_broken(|slices| stream.write_vectored(slices));
    assert!(pipes.were_raised(), "the test sees nothing");
}

/// Sends signals to a thread, in a handler's presence, until it is dropped.
struct Pestering(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Pestering {
    fn of(thread: Pthread, every: Duration) -> Pestering {
        let seen = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&seen)).expect("a handler");
        let is_over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            while !watched.load(Ordering::Relaxed) {
                pthread_kill(thread, Signal::SIGUSR1).expect("a thread that waits for this one");
                std::thread::park_timeout(every);
            }
        });
        Pestering(is_over, Some(thread))
    }
}

impl Drop for Pestering {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            thread.thread().unpark();
            thread.join().expect("the one who pesters");
        }
    }
}

#[test]
fn a_signal_ends_a_wait_early_and_is_no_error() {
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG));
    let (mut client, id) = server.pair();
    // An event of the new connection ends the wait as well.
    server.poll(Some(Duration::ZERO));
    {
        let _pestering = Pestering::of(pthread_self(), Duration::from_millis(1));
        let start = Instant::now();
        assert_eq!(server.poll(None), [], "nothing has happened");
        assert!(start.elapsed() < PATIENCE);
    }
    client.write_all(b"on").expect("write");
    server.readable(id);
    assert_eq!(server.read_exactly(id, 2), b"on");
}

#[test]
fn signals_in_between_do_not_lengthen_a_clients_time_out_for_ever() {
    let mut server = Server::new();
    let timeout = Duration::from_millis(30);
    let client = connect(server.address(), timeout).expect("connect");
    let (id, _) = server.opened();
    let _pestering = Pestering::of(pthread_self(), Duration::from_millis(2));

    let start = Instant::now();
    let error = (&client).read(&mut [0; 8]).expect_err("nobody writes");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(start.elapsed() >= timeout && start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    let error = (&client).write_all(&vec![0; 64 << 20]).expect_err("nobody reads");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    client.set_timeout(Some(PATIENCE)).expect("a longer one");
    server.write_all(id, b"the stream is as good as ever");
    (&client).read_exact(&mut [0; 29]).expect("read");
}

/// After an interruption only what is left is waited for, and then the stream has its time-out back.
#[test]
fn a_signal_shortens_the_time_out_of_the_call_alone() {
    let mut server = Server::new();
    let client = connect(server.address(), TOO_LONG).expect("connect");
    let (id, _) = server.opened();
    let clone = client.try_clone().expect("a clone");
    let timeout = || SockRef::from(&clone).read_timeout().expect("an option of every socket");
    assert_eq!(timeout(), Some(TOO_LONG));
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let reader = scope.spawn(move || {
            sender.send(pthread_self()).expect("somebody waits");
            (&client).read_exact(&mut [0; 2]).expect("read");
        });
        let pestering = Pestering::of(receiver.recv().expect("a thread"), Duration::from_millis(2));
        let start = Instant::now();
        while timeout() == Some(TOO_LONG) {
            assert!(start.elapsed() < PATIENCE, "no signal has shortened it");
            std::thread::yield_now();
        }
        drop(pestering);
        server.write_all(id, b"on");
        reader.join().expect("a read that goes on");
    });
    assert_eq!(timeout(), Some(TOO_LONG));
}
