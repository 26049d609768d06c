//! The wait itself: mio's poll, an optional spin before it sleeps, and the waker.

use crate::error::during;
use crate::token::Source;
use mio::event::{self, Event};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use msglib_proto::transport::{ConnectionId, Waker};
use socket2::Socket;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// The most events that one wait brings; the kernel keeps the others for the next.
const EVENTS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Selector {
    poll: Poll,
    events: Events,
    spin: Duration,
    waker: Waker,
}

impl Selector {
    /// `spin`: how long to look again and again before sleeping.
    pub(crate) fn new(spin: Duration) -> io::Result<Selector> {
        let poll = Poll::new().map_err(during("creating an epoll instance"))?;
        let waker = mio::Waker::new(poll.registry(), Source::Waker.token()).map_err(during("creating an eventfd"))?;
        // The only failure, a full counter, means that a wake is waiting already.
        let waker = Waker::new(move || drop(waker.wake()));
        Ok(Selector { poll, events: Events::with_capacity(EVENTS), spin, waker })
    }

    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    pub(crate) fn add<S: event::Source + ?Sized>(
        &self,
        what: &mut S,
        from: Source,
        interest: Interest,
    ) -> io::Result<()> {
        self.poll.registry().register(what, from.token(), interest)
    }

    /// Also where somebody else has a clone of its descriptor, whose events would come here for as long as that is open.
    pub(crate) fn remove<S: event::Source + ?Sized>(&self, what: &mut S) {
        // It fails when the kernel has forgotten the descriptor, which is what is wanted.
        drop(self.poll.registry().deregister(what));
    }

    /// Registers a connection, once for all that will ever be asked of it.
    pub(crate) fn add_connection(&self, stream: &Socket, id: ConnectionId) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.add(&mut SourceFd(&stream.as_raw_fd()), Source::Connection(id), interest)
    }

    pub(crate) fn remove_connection(&self, stream: &Socket) {
        self.remove(&mut SourceFd(&stream.as_raw_fd()));
    }

    /// Waits for events, at most as long as `longest`. A signal ends the wait early.
    pub(crate) fn wait(&mut self, longest: Duration) -> io::Result<()> {
        let spin = self.spin.min(longest);
        if spin.is_zero() {
            return self.select(longest);
        }
        let start = Instant::now();
        loop {
            self.select(Duration::ZERO)?;
            let waited = start.elapsed();
            if !self.events.is_empty() || waited >= longest {
                return Ok(());
            }
            if waited >= spin {
                return self.select(longest - waited);
            }
        }
    }

    /// What the last wait brought.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    /// mio rounds up to whole milliseconds, so that a short wait does not become a spin.
    fn select(&mut self, longest: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(longest)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other.map_err(during("waiting for sockets")),
        }
    }
}
