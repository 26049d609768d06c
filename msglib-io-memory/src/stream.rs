//! The peer's side: a stream that waits only if it is told to.

use crate::hub::Hub;
use msglib_proto::transport::{Address, ConnectionId};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A connection to a manager in the same process.
///
/// Clones are handles on the same stream, so that one can be read from while another, maybe on another thread, is
/// written to. When the last one is dropped the connection is closed: the broker reads what was written, then the end.
///
/// Nothing blocks, unless [`set_blocking`](MemoryStream::set_blocking) says so. What each call says:
///
/// | when | `read` | `write` |
/// | --- | --- | --- |
/// | there is nothing, or no room | `WouldBlock`, or it waits | `WouldBlock`, or it waits |
/// | the broker drains the connection | what is left | all is taken and thrown away |
/// | the broker has closed it, or is gone | what is left, then `Ok(0)` | `BrokenPipe` |
/// | the broker has aborted it, or its drain met its deadline | `ConnectionReset` | `ConnectionReset` |
/// | after [`shutdown_write`](MemoryStream::shutdown_write) | as ever | `BrokenPipe` |
/// | after [`reset`](MemoryStream::reset) | `ConnectionReset` | `ConnectionReset` |
///
/// `write` may take only a part; `flush` does nothing.
///
/// ```
/// use msglib_io_memory::{InMemoryConnectionManager, Transport};
/// use std::io::{ErrorKind, Read, Write};
///
/// let transport = Transport::builder().pipe_capacity(4).build();
/// let _manager = InMemoryConnectionManager::new(&transport, "broker")?;
/// let writer = transport.connect("broker")?;
/// let reader = writer.clone();
///
/// assert_eq!((&writer).write(b"hello")?, 4);
/// assert_eq!((&writer).write(b"o").unwrap_err().kind(), ErrorKind::WouldBlock);
/// assert_eq!((&reader).read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryStream {
    end: Arc<End>,
}

/// The peer's end of one connection, for which all handles stand.
struct End {
    hub: Arc<Hub>,
    id: ConnectionId,
    address: u64,
    waits: AtomicBool,
}

impl MemoryStream {
    pub(crate) fn new(hub: Arc<Hub>, id: ConnectionId, address: u64) -> MemoryStream {
        MemoryStream { end: Arc::new(End { hub, id, address, waits: AtomicBool::new(false) }) }
    }

    /// Where the broker sees this stream come from: an [`Address::Memory`], unique within the transport.
    pub fn address(&self) -> Address {
        Address::Memory(self.end.address)
    }

    /// Whether `read` and `write` wait for the broker instead of saying `WouldBlock`; for all handles alike. They do not unless
    /// this says so, and calls that are under way go on as they began.
    ///
    /// For a thread that is not the broker's own, which would wait for itself. A wait ends with what it waits for, and with
    /// the connection, from whichever end: the manager's drop and [`reset`](MemoryStream::reset) included. It has no
    /// time-out, for there is no clock here but one that somebody moves.
    ///
    /// ```
    /// use msglib_io_memory::{InMemoryConnectionManager, Transport};
    /// use std::io::Read;
    ///
    /// let transport = Transport::new();
    /// let manager = InMemoryConnectionManager::new(&transport, "broker")?;
    /// let mut stream = transport.connect("broker")?;
    /// stream.set_blocking(true);
    /// let reader = std::thread::spawn(move || stream.read(&mut [0; 8]));
    /// drop(manager);
    /// assert_eq!(reader.join().unwrap()?, 0, "the end");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_blocking(&self, waits: bool) {
        self.end.waits.store(waits, Ordering::Relaxed);
    }

    /// Ends the sending side: the broker reads what was written, then the end, and can still write (T9).
    ///
    /// A second call is harmless, as is one after the connection has ended.
    pub fn shutdown_write(&self) {
        self.end.hub.peer_shutdown_write(self.end.id);
    }

    /// Ends the connection at once: what is under way in either direction is lost, and the broker's next `read` or
    /// `write` says `ConnectionReset`.
    ///
    /// A second call is harmless, as is one after the connection has ended.
    pub fn reset(&self) {
        self.end.hub.peer_reset(self.end.id);
    }
}

impl Read for &MemoryStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.end.hub.peer_read(self.end.id, buf, self.end.waits.load(Ordering::Relaxed))
    }
}

impl Write for &MemoryStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.end.hub.peer_write(self.end.id, bufs, self.end.waits.load(Ordering::Relaxed))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for MemoryStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for MemoryStream {
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

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStream({})", self.address())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.hub.peer_drop(self.id);
    }
}
