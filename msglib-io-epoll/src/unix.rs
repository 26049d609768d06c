//! Listening at a path: who may connect, what is left of a broker that crashed, and whose the path is.

use crate::error::{Action, failed};
use msglib_proto::transport::Address;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A path that a socket of ours was bound to. Dropped, it is unlinked, unless it is somebody else's by then.
///
/// To be dropped before the socket, which keeps the inode's number from being given out again.
#[derive(Debug)]
pub(crate) struct BoundPath {
    path: PathBuf,
    inode: Inode,
}

/// Names one file for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Inode {
    device: u64,
    number: u64,
}

/// How long another broker's start may take that has come at the same time.
const PATIENCE: Duration = Duration::from_secs(1);

/// Listens at `path`, which only those can connect to whom `mode` lets write; non-blocking.
///
/// A socket that is there and that nobody listens on is what a crashed broker has left: it is replaced.
pub(crate) fn listen_at(path: &Path, mode: u32, backlog: i32) -> io::Result<(UnixListener, BoundPath)> {
    listen(path, mode, backlog).map_err(|error| {
        let words = path.to_string_lossy().into_owned();
        failed(Action::Listen, vec![(Address::Unix(Some(words.into())), error)])
    })
}

fn listen(path: &Path, mode: u32, backlog: i32) -> io::Result<(UnixListener, BoundPath)> {
    // The caller may change its working directory later.
    let (path, address) = (std::path::absolute(path)?, SockAddr::unix(path)?);
    let _lock = lock_directory(&path);
    take_away_stale(&path, &address)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&address)?;
    let bound = BoundPath { inode: Inode::at(&path)?, path };
    // Before the socket listens nobody can connect, so there is no moment with a wider mode.
    fs::set_permissions(&bound.path, Permissions::from_mode(mode))?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from(OwnedFd::from(socket)), bound))
}

/// Between a look at what is there and its unlinking another broker could have taken its place, and would be made deaf. So
/// brokers that start in one directory do so one after the other.
///
/// Who does not get the lock in time goes on without: anybody who can read the directory could hold it for ever.
fn lock_directory(path: &Path) -> Option<File> {
    let directory = File::open(path.parent()?).ok()?;
    match directory.try_lock() {
        Ok(()) => Some(directory),
        Err(TryLockError::WouldBlock) => wait_for_lock(directory),
        Err(TryLockError::Error(_)) => None,
    }
}

/// The system has no lock with a time-out, so a thread waits for it. When it comes too late it is let go of at once.
fn wait_for_lock(directory: File) -> Option<File> {
    let (sender, locked) = mpsc::channel();
    let wait = move || {
        if directory.lock().is_ok() {
            // Dropped with the lock if nobody listens any more.
            drop(sender.send(directory));
        }
    };
    thread::Builder::new().name("msglib-lock".to_owned()).spawn(wait).ok()?;
    locked.recv_timeout(PATIENCE).ok()
}

/// Unlinks the socket at `path` if nobody listens on it; an error if it cannot be ours.
fn take_away_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => Err(ErrorKind::AlreadyExists.into()),
        Ok(_) if is_alive(address)? => Err(ErrorKind::AddrInUse.into()),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether somebody listens there. Tried without waiting: a full backlog is an answer too.
fn is_alive(address: &SockAddr) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(false),
        // A socket of another type, or one that we may not connect to, is somebody's.
        Ok(()) | Err(_) => Ok(true),
    }
}

impl BoundPath {
    fn is_ours(&self) -> bool {
        Inode::at(&self.path).is_ok_and(|inode| inode == self.inode)
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if self.is_ours() {
            // If the directory does not allow it any more there is nobody to be told, and the next broker replaces it.
            drop(fs::remove_file(&self.path));
        }
    }
}

impl Inode {
    fn at(path: &Path) -> io::Result<Inode> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Inode { device: metadata.dev(), number: metadata.ino() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the test's own in the place of a directory: what is locked makes no difference.
    fn file(name: &str) -> io::Result<(PathBuf, File)> {
        let path = std::env::temp_dir().join(format!("msglib-{}-{name}", std::process::id()));
        let file = File::create(&path)?;
        Ok((path, file))
    }

    #[test]
    fn who_waits_for_a_lock_gets_it_when_it_is_free() -> io::Result<()> {
        let (path, holder) = file("free")?;
        holder.lock()?;
        let other = File::open(&path)?;
        let waits = thread::spawn(move || wait_for_lock(other));
        drop(holder);
        let locked = waits.join().map_err(|_| ErrorKind::Other)?;
        let third = File::open(&path)?;
        assert!(locked.is_some() && matches!(third.try_lock(), Err(TryLockError::WouldBlock)));
        drop(locked);
        third.try_lock()?;
        fs::remove_file(path)
    }

    #[test]
    fn who_does_not_get_a_lock_in_time_goes_on_and_does_not_take_it_later() -> io::Result<()> {
        let (path, holder) = file("kept")?;
        holder.lock()?;
        assert!(wait_for_lock(File::open(&path)?).is_none());
        drop(holder);
        // The thread that has waited gets it now, and lets go of it: this waits for no longer than that.
        File::open(&path)?.lock()?;
        fs::remove_file(path)
    }
}
