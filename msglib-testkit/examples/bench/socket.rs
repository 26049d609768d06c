//! One connection of the load generator.

use crate::Result;
use crate::frames;
use crate::load::STALL;
use mio::net::TcpStream;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// As much as the broker reads at once.
const READ: usize = 256 * 1024;

/// The block that all connections read into, one after the other, so that a thousand of them hold no buffer each.
pub(crate) struct ReadBlock(Vec<u8>);

impl ReadBlock {
    pub(crate) fn new() -> ReadBlock {
        ReadBlock(vec![0; 2 * READ])
    }
}

pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    /// A frame whose end has not come yet.
    cut: Vec<u8>,
    /// Bytes that the socket has not taken yet.
    unsent: Vec<u8>,
    sent: usize,
}

impl Socket {
    pub(crate) fn connect(address: SocketAddr) -> Result<Socket> {
        let stream =
            std::net::TcpStream::connect(address).map_err(|error| format!("connecting to {address}: {error}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        // A reset at the end, so that thousands of connections leave no port behind that waits.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        Ok(Socket { stream: TcpStream::from_std(stream), cut: Vec::new(), unsent: Vec::new(), sent: 0 })
    }

    /// All that was given to `send` has left.
    pub(crate) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends what the socket takes, straight from `bytes`, and keeps a copy of the rest.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = if self.is_flushed() { self.write(bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// Goes on with what `send` has kept.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.is_flushed() {
            return Ok(());
        }
        let unsent = std::mem::take(&mut self.unsent);
        let result = self.write(&unsent[self.sent..]);
        self.unsent = unsent;
        self.sent += result?;
        if self.sent == self.unsent.len() {
            self.unsent.clear();
            self.sent = 0;
        }
        Ok(())
    }

    /// One read, and each whole frame that is there then handed to `each`. True if there may be more to read.
    pub(crate) fn receive(
        &mut self,
        block: &mut ReadBlock,
        each: impl FnMut(u16, &[u8]) -> Result<()>,
    ) -> Result<bool> {
        let kept = self.cut.len();
        if block.0.len() < kept + READ {
            block.0.resize(kept + READ, 0);
        }
        block.0[..kept].copy_from_slice(&self.cut);
        let read = match self.stream.read(&mut block.0[kept..kept + READ]) {
            Ok(0) => return Err("the server has closed a connection".into()),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(format!("reading from the server: {error}").into()),
        };
        let bytes = &block.0[..kept + read];
        let used = frames::scan(bytes, each)?;
        self.cut.clear();
        self.cut.extend_from_slice(&bytes[used..]);
        Ok(read == READ)
    }

    /// Reads without a pause until a frame of `wanted` has come; what comes with it is looked at and thrown away.
    pub(crate) fn wait_for(&mut self, block: &mut ReadBlock, wanted: u16) -> Result<()> {
        let begin = Instant::now();
        let mut has_come = false;
        while !has_come {
            self.flush()?;
            self.receive(block, |frame_type, frame| {
                if frame_type == wanted {
                    has_come = true;
                    return Ok(());
                }
                frames::check_other(frame)
            })?;
            if begin.elapsed() > STALL {
                return Err(format!("no frame of type 0x{wanted:04X} came within {STALL:?}").into());
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self.stream.write(bytes) {
            Ok(n) => Ok(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(format!("writing to the server: {error}").into()),
        }
    }
}
