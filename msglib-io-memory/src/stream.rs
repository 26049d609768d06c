//! The peer's side: a stream that never waits.

use crate::hub::Hub;
use msglib_proto::transport::{Address, ConnectionId};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

/// A connection to a manager in the same process.
///
/// Clones are handles on the same stream, so that one can be read from while another, maybe on another thread, is
/// written to. When the last one is dropped the connection is closed: the broker reads what was written, then the end.
///
/// Nothing blocks. What each call says:
///
/// | when | `read` | `write` |
/// | --- | --- | --- |
/// | there is nothing, or no room | `WouldBlock` | `WouldBlock` |
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
}

impl MemoryStream {
    pub(crate) fn new(hub: Arc<Hub>, id: ConnectionId, address: u64) -> MemoryStream {
        MemoryStream { end: Arc::new(End { hub, id, address }) }
    }

    /// Where the broker sees this stream come from: an [`Address::Memory`], unique within the transport.
    pub fn address(&self) -> Address {
        Address::Memory(self.end.address)
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
        self.end.hub.peer_read(self.end.id, buf)
    }
}

impl Write for &MemoryStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.end.hub.peer_write(self.end.id, bufs)
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
