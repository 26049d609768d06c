//! The client's side: a blocking stream with a time-out.

use crate::address;
use crate::send::{send, split};
use msglib_proto::transport::Address;
use socket2::Socket;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

/// A connection to a broker, made by [`connect`](crate::connect) or [`connect_unix`](crate::connect_unix):
/// `std::io::Read` and `Write`, blocking.
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
/// use std::time::{Duration, Instant};
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
    stream: Socket,
}

impl SocketStream {
    pub(crate) fn new(stream: Socket) -> SocketStream {
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
        self.set_read_timeout(timeout)?;
        self.set_write_timeout(timeout)
    }

    /// How long a read may wait; `None` is for ever. Signals can lengthen the wait, to twice as long at most.
    ///
    /// # Errors
    ///
    /// As [`set_timeout`](Self::set_timeout).
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        not_zero(timeout)?;
        self.stream.set_read_timeout(timeout)
    }

    /// How long a write may wait; `None` is for ever. Signals can lengthen the wait, to twice as long at most.
    ///
    /// # Errors
    ///
    /// As [`set_timeout`](Self::set_timeout).
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        not_zero(timeout)?;
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
    pub fn local_addr(&self) -> io::Result<Address> {
        self.stream.local_addr().map(|address| address::of_socket(&address))
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// `NotConnected` when the connection is over.
    pub fn peer_addr(&self) -> io::Result<Address> {
        self.stream.peer_addr().map(|address| address::of_socket(&address))
    }

    /// Makes `attempt`, again after a signal, and says what has not happened when the time-out is over.
    fn wait<T>(&self, direction: Direction, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let result = match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.go_on(direction, attempt),
            result => result,
        };
        result.map_err(|error| self.name_timeout(direction, error))
    }

    /// After an interruption: each further one must not start the time-out anew, or a program with a timer's signals (a
    /// profiler has them) would wait for ever.
    fn go_on<T>(&self, direction: Direction, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let (timeout, start) = (direction.timeout(&self.stream)?, Instant::now());
        let result = loop {
            if let Some(timeout) = timeout {
                let left = timeout.saturating_sub(start.elapsed());
                if left.is_zero() {
                    break Err(io::ErrorKind::WouldBlock.into());
                }
                direction.set_timeout(&self.stream, Some(left))?;
            }
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        direction.set_timeout(&self.stream, timeout)?;
        result
    }

    /// Linux says `WouldBlock` when a time-out has passed, which callers would take for a non-blocking stream.
    /// Whether it is one is asked of the socket: a clone, or the raw descriptor, may have changed it.
    fn name_timeout(&self, direction: Direction, error: io::Error) -> io::Error {
        let blocking = || self.stream.nonblocking().is_ok_and(|nonblocking| !nonblocking);
        match direction.timeout(&self.stream) {
            Ok(Some(timeout)) if error.kind() == io::ErrorKind::WouldBlock && blocking() => {
                let peer = self.peer_addr().map_or("a peer that is gone".to_owned(), |address| address.to_string());
                let what = match direction {
                    Direction::In => "nothing came from",
                    Direction::Out => "no room to send to",
                };
                io::Error::new(io::ErrorKind::TimedOut, format!("{what} {peer} within {timeout:?}"))
            }
            _ => error,
        }
    }
}

/// To the system, zero is for ever.
fn not_zero(timeout: Option<Duration>) -> io::Result<()> {
    match timeout {
        Some(Duration::ZERO) => Err(io::Error::new(io::ErrorKind::InvalidInput, "a time-out of zero")),
        _ => Ok(()),
    }
}

/// Each way has a time-out of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    In,
    Out,
}

impl Direction {
    fn timeout(self, stream: &Socket) -> io::Result<Option<Duration>> {
        match self {
            Direction::In => stream.read_timeout(),
            Direction::Out => stream.write_timeout(),
        }
    }

    fn set_timeout(self, stream: &Socket, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Direction::In => stream.set_read_timeout(timeout),
            Direction::Out => stream.set_write_timeout(timeout),
        }
    }
}

impl Read for &SocketStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.wait(Direction::In, || (&self.stream).read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.wait(Direction::In, || (&self.stream).read_vectored(bufs))
    }
}

impl Write for &SocketStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.wait(Direction::Out, || send(&self.stream, split(bufs).0))
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
