//! The conformance kit and the abuse suite of `msglib-testkit` over this backend.

use msglib_testkit::conformance::{Fixture, RawPeer, Skipped};
use out_of_tree_backend::UnixManager;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

mod conformance {
    msglib_testkit::conformance!(super::OverUnix);
}

mod abuse {
    msglib_testkit::abuse!(super::OverUnix);
}

struct OverUnix {
    path: PathBuf,
    manager: UnixManager,
}

struct UnixPeer(UnixStream);

impl Fixture for OverUnix {
    type Manager = UnixManager;
    type Peer = UnixPeer;

    fn new() -> OverUnix {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("out-of-tree-{}-{number}", std::process::id()));
        let listener = UnixListener::bind(&path).expect("a path that nobody else has");
        OverUnix { path, manager: UnixManager::new(listener).expect("descriptors") }
    }
    fn manager(&mut self) -> &mut UnixManager {
        &mut self.manager
    }
    fn connect(&mut self) -> UnixPeer {
        self.try_connect().expect("the manager listens")
    }
    fn try_connect(&mut self) -> Option<UnixPeer> {
        let stream = UnixStream::connect(&self.path).ok()?;
        stream.set_nonblocking(true).expect("a mode of every socket");
        Some(UnixPeer(stream))
    }
    fn skipped(case: &str, why: &Skipped) {
        panic!("{case} was skipped: {why}");
    }
}

impl Drop for OverUnix {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).expect("the path that was bound");
    }
}

impl RawPeer for UnixPeer {
    fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
    /// A Unix socket that is closed with unread input is reset, and what was sent to it is there at once.
    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }
}
