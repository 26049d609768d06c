//! The fixture's manager in the broker's hands, while the fixture goes on connecting peers.

use crate::conformance::Fixture;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::io::{self, IoSlice};
use std::rc::Rc;

/// How long one poll may wait: everybody is on one thread, and it may be the peers' turn.
const LONGEST_WAIT: Duration = Duration::from_millis(1);

pub(super) struct Lent<'f, F> {
    pub(super) fixture: Rc<RefCell<&'f mut F>>,
    /// The first two who came.
    pub(super) witnesses: Vec<ConnectionId>,
    /// Calls of `read` for all others, whatever came of them.
    pub(super) reads: Rc<Cell<u64>>,
}

impl<F: Fixture> ConnectionManager for Lent<'_, F> {
    fn now(&self) -> Instant {
        self.fixture.borrow_mut().manager().now()
    }
    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        let wait = timeout.map_or(LONGEST_WAIT, |timeout| timeout.min(LONGEST_WAIT));
        self.fixture.borrow_mut().manager().poll(ready, Some(wait))?;
        if self.witnesses.len() < 2 {
            let opened = ready.iter().filter(|report| matches!(report, Readiness::Opened(..))).map(Readiness::id);
            self.witnesses.extend(opened);
            self.witnesses.truncate(2);
        }
        Ok(())
    }
    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + u64::from(!self.witnesses.contains(&id)));
        self.fixture.borrow_mut().manager().read(id, buf)
    }
    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.fixture.borrow_mut().manager().write(id, bufs)
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        self.fixture.borrow_mut().manager().close(id, how);
    }
    fn draining(&self) -> usize {
        self.fixture.borrow_mut().manager().draining()
    }
    fn stop_accepting(&mut self) -> bool {
        self.fixture.borrow_mut().manager().stop_accepting()
    }
    fn waker(&self) -> Option<Waker> {
        self.fixture.borrow_mut().manager().waker()
    }
    fn announce(&mut self, waker: Waker) -> bool {
        self.fixture.borrow_mut().manager().announce(waker)
    }
    fn aside(&mut self, told: &mut Vec<Vec<u8>>) {
        self.fixture.borrow_mut().manager().aside(told);
    }
    fn seed(&mut self) -> u128 {
        self.fixture.borrow_mut().manager().seed()
    }
}
