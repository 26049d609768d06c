//! One connection of the manager below, as a writer.

use msglib_proto::transport::{ConnectionId, ConnectionManager};
use std::io::{self, IoSlice, Write};

pub(crate) struct Below<'a, M> {
    pub(crate) manager: &'a mut M,
    pub(crate) id: ConnectionId,
}

impl<M: ConnectionManager> Write for Below<'_, M> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.manager.write(self.id, &[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.manager.write(self.id, bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
