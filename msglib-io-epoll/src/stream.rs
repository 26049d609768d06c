//! The client's side: a blocking stream with a time-out.

use crate::send::{send, split};
use socket2::SockRef;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// A connection to a broker, made by [`connect`](crate::connect): `std::io::Read` and `Write`, blocking.
///
/// A read or write that takes longer than the time-out is `TimedOut`; the stream stays usable. Dropping it closes
/// the connection, once its last clone is gone too. A write to a peer that is gone is `BrokenPipe` and no `SIGPIPE`.
///
/// Two threads can share it, by reference or by [`try_clone`](Self::try_clone): one that reads, one that writes.
///
/// ```
/// use msglib_io_epoll::connect;
/// use std::io::{ErrorKind, Read};
/// use std::net::TcpListener;
/// use std::time::Duration;
///
/// let silent = TcpListener::bind("[::1]:0")?;
/// let mut stream = connect(silent.local_addr()?, Duration::from_secs(10))?;
/// stream.set_timeout(Some(Duration::from_millis(1)))?;
/// let error = stream.read(&mut [0]).expect_err("nobody writes");
/// assert_eq!(error.kind(), ErrorKind::TimedOut);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct SocketStream {
    stream: TcpStream,
}

impl SocketStream {
    pub(crate) fn new(stream: TcpStream) -> SocketStream {
        SocketStream { stream }
    }

    /// A second handle on the same connection. What is [set](Self::set_timeout) or [shut down](Self::shutdown) through
    /// one holds for both.
    ///
    /// # Errors
    ///
    /// When the system is out of descriptors.
    pub fn try_clone(&self) -> io::Result<SocketStream> {
        self.stream.try_clone().map(SocketStream::new)
    }

    /// How long a read or a write may wait, each; `None` is for ever.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it is zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)?;
        self.stream.set_write_timeout(timeout)
    }

    /// Ends what is sent: the peer reads what was written and then the end, and can still answer.
    ///
    /// # Errors
    ///
    /// `NotConnected` when the connection is over.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Ends both directions, for all clones: a read that waits in another thread returns `Ok(0)`.
    ///
    /// # Errors
    ///
    /// `NotConnected` when the connection is over.
    pub fn shutdown(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Both)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// `NotConnected` when the connection is over.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Linux says `WouldBlock` when a time-out has passed, which callers would take for a non-blocking stream.
    /// Whether it is one is asked of the socket: a clone, or the raw descriptor, may have changed it.
    fn name_timeout(&self, error: io::Error, what: &str, timeout: io::Result<Option<Duration>>) -> io::Error {
        let blocking = || SockRef::from(&self.stream).nonblocking().is_ok_and(|nonblocking| !nonblocking);
        match timeout {
            Ok(Some(timeout)) if error.kind() == io::ErrorKind::WouldBlock && blocking() => {
                let peer = self.peer_addr().map_or("a peer that is gone".to_owned(), |address| address.to_string());
                io::Error::new(io::ErrorKind::TimedOut, format!("{what} {peer} within {timeout:?}"))
            }
            _ => error,
        }
    }

    fn name_read_timeout(&self, error: io::Error) -> io::Error {
        self.name_timeout(error, "nothing came from", self.stream.read_timeout())
    }

    fn name_write_timeout(&self, error: io::Error) -> io::Error {
        self.name_timeout(error, "no room to send to", self.stream.write_timeout())
    }
}

impl Read for &SocketStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.stream).read(buf).map_err(|error| self.name_read_timeout(error))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.stream).read_vectored(bufs).map_err(|error| self.name_read_timeout(error))
    }
}

impl Write for &SocketStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        send(&self.stream, split(bufs).0).map_err(|error| self.name_write_timeout(error))
    }

    /// Nothing to do: nothing is buffered here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for SocketStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Write for SocketStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for SocketStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsRawFd for SocketStream {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}
