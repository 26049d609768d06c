//! Where a manager and the streams of its peers meet: all connections of one manager, behind one lock.
//!
//! It lives as long as the manager or any of the streams, so that a peer can read what a manager wrote before it went.

use crate::connection::{Connection, Report, Shared};
use crate::error;
use msglib_proto::Instant;
use msglib_proto::transport::{Address, Close, ConnectionId, ConnectionTable, Peer, Readiness, Waker};
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Each method takes the lock once.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    connections: ConnectionTable<Connection>,
    shared: Shared,
    /// How many connections wait to be reported, and how many may.
    waiting: usize,
    backlog: usize,
    /// Who wants to know of news (T16).
    waker: Option<Waker>,
}

impl Hub {
    pub(crate) fn new(pipe_capacity: usize, backlog: usize) -> Hub {
        let shared = Shared { capacity: pipe_capacity, ..Shared::default() };
        let connections = ConnectionTable::new();
        Hub { state: Mutex::new(State { connections, shared, waiting: 0, backlog, waker: None }) }
    }

    /// A new connection for the peer at `address`; `Err` has the number of those that wait, if no more may.
    pub(crate) fn connect(&self, address: u64) -> Result<ConnectionId, usize> {
        let mut state = self.lock();
        if state.waiting >= state.backlog {
            return Err(state.waiting);
        }
        state.waiting += 1;
        let id = state.connections.next_id();
        state.connections.insert(Connection::new(id, address));
        let had_news = state.shared.has_news;
        state.shared.report(Report::Opened(id));
        Hub::announce(state, had_news);
        Ok(id)
    }

    /// Lets go of the lock, and tells of the first news since the last poll (T16): not under the lock, for a waker is
    /// somebody else's code.
    fn announce(state: MutexGuard<'_, State>, had_news: bool) {
        let waker = state.waker.as_ref().filter(|_| state.shared.has_news && !had_news).cloned();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under the lock, and a panic elsewhere in the holder's thread leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the manager.
impl Hub {
    pub(crate) fn poll(&self, now: Instant, ready: &mut Vec<Readiness>) {
        let mut state = self.lock();
        state.give_up_drains(now);
        // Only what is there now: a known end is queued again for the next poll (T5).
        for _ in 0..state.shared.reports.len() {
            let Some(report) = state.shared.reports.pop_front() else { break };
            ready.extend(state.readiness(report));
        }
        state.shared.has_news = false;
    }

    /// From here on `waker` is told of news, and at once of what nobody has polled for yet (T16).
    pub(crate) fn announce_to(&self, waker: Waker) {
        let mut state = self.lock();
        state.waker = Some(waker);
        Hub::announce(state, false);
    }

    pub(crate) fn read(&self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        self.lock().for_manager(id, |connection, shared| connection.read(buf, shared))
    }

    pub(crate) fn write(&self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.lock().for_manager(id, |connection, shared| connection.write(bufs, shared))
    }

    pub(crate) fn close(&self, id: ConnectionId, how: Close) {
        let mut state = self.lock();
        let State { connections, shared, .. } = &mut *state;
        if let Some(connection) = connections.get_mut(id) {
            connection.close(how, shared);
            state.remove_if_over(id);
        }
    }

    /// The manager is gone.
    pub(crate) fn orphan(&self) {
        let mut state = self.lock();
        let State { connections, shared, .. } = &mut *state;
        for (_, connection) in connections.iter_mut() {
            connection.orphan(shared);
        }
        shared.reports.clear();
        let over: Vec<ConnectionId> =
            connections.iter().filter(|(_, connection)| connection.is_over()).map(|(id, _)| id).collect();
        for id in over {
            connections.remove(id);
        }
    }
}

/// For the peers. A call that would block waits for a change if `waits` says so.
impl Hub {
    pub(crate) fn peer_read(&self, id: ConnectionId, buf: &mut [u8], waits: bool) -> io::Result<usize> {
        self.peer_try(id, waits, |connection, shared| connection.peer_read(buf, shared))
    }

    pub(crate) fn peer_write(&self, id: ConnectionId, bufs: &[IoSlice<'_>], waits: bool) -> io::Result<usize> {
        self.peer_try(id, waits, |connection, shared| connection.peer_write(bufs, shared))
    }

    pub(crate) fn peer_shutdown_write(&self, id: ConnectionId) {
        self.peer_does(id, Connection::peer_shutdown_write);
    }

    pub(crate) fn peer_reset(&self, id: ConnectionId) {
        self.peer_does(id, Connection::peer_reset);
    }

    pub(crate) fn peer_drop(&self, id: ConnectionId) {
        self.peer_does(id, Connection::peer_drop);
    }

    fn peer_does(&self, id: ConnectionId, act: impl FnOnce(&mut Connection, &mut Shared)) {
        let mut state = self.lock();
        let had_news = state.shared.has_news;
        state.for_peer(id, act);
        state.remove_if_over(id);
        Hub::announce(state, had_news);
    }

    fn peer_try(
        &self,
        id: ConnectionId,
        waits: bool,
        mut act: impl FnMut(&mut Connection, &mut Shared) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut state = self.lock();
        loop {
            let had_news = state.shared.has_news;
            match state.for_peer(id, &mut act) {
                // Nothing was changed, so there is nothing to announce.
                Err(error) if waits && error.kind() == ErrorKind::WouldBlock => {
                    let changed = state.for_peer(id, |connection, _| connection.changed());
                    state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                result => {
                    Hub::announce(state, had_news);
                    return result;
                }
            }
        }
    }
}

impl State {
    /// # Errors
    ///
    /// `NotFound`, unless the manager's caller has been told of the connection and it is still open (T14).
    fn for_manager<T>(
        &mut self,
        id: ConnectionId,
        act: impl FnOnce(&mut Connection, &mut Shared) -> io::Result<T>,
    ) -> io::Result<T> {
        let open = self.connections.get_mut(id).filter(|connection| connection.is_open());
        let connection = open.ok_or_else(|| error::not_found(id))?;
        let result = act(connection, &mut self.shared);
        if result.is_err() {
            self.remove_if_over(id);
        }
        result
    }

    fn for_peer<T>(&mut self, id: ConnectionId, act: impl FnOnce(&mut Connection, &mut Shared) -> T) -> T {
        let connection = self.connections.get_mut(id);
        act(connection.expect("a connection stays in the table while its stream is held"), &mut self.shared)
    }

    /// What to tell about `report`, if it still means something.
    fn readiness(&mut self, report: Report) -> Option<Readiness> {
        let State { connections, shared, waiting, .. } = self;
        match report {
            Report::Opened(id) => {
                let connection = connections.get_mut(id)?;
                connection.accept();
                *waiting -= 1;
                Some(Readiness::Opened(id, Peer::new(Address::Memory(connection.address()))))
            }
            Report::Readable(id) => connections.get_mut(id)?.take_readable(shared).then_some(Readiness::Readable(id)),
            Report::Writable(id) => connections.get_mut(id)?.take_writable(shared).then_some(Readiness::Writable(id)),
        }
    }

    /// Ends the drains whose deadline has come (T8).
    fn give_up_drains(&mut self, now: Instant) {
        while let Some(&(deadline, id)) = self.shared.drains.first() {
            if deadline > now {
                break;
            }
            self.shared.drains.pop_first();
            if let Some(connection) = self.connections.get_mut(id) {
                connection.abort(&mut self.shared);
                self.remove_if_over(id);
            }
        }
    }

    fn remove_if_over(&mut self, id: ConnectionId) {
        if self.connections.get(id).is_some_and(Connection::is_over) {
            self.connections.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const LATE: Close = Close::Drain { deadline: Instant::MAX };

    /// A hub with one open connection, and bytes under way in both directions: more than fit, for the peer.
    fn busy() -> (Hub, ConnectionId) {
        let hub = Hub::new(4, 8);
        let id = hub.connect(0).unwrap();
        hub.poll(Instant::ZERO, &mut Vec::new());
        hub.peer_write(id, &[IoSlice::new(b"in")], false).unwrap();
        hub.write(id, &[IoSlice::new(b"out, and more")]).unwrap();
        (hub, id)
    }

    /// Connections, reports, drains.
    fn kept(hub: &Hub) -> (usize, usize, usize) {
        let state = hub.lock();
        (state.connections.len(), state.shared.reports.len(), state.shared.drains.len())
    }

    #[test]
    fn a_connection_is_forgotten_when_both_ends_have_left_it() {
        let ends: [fn(&Hub, ConnectionId); 7] = [
            |hub, id| hub.close(id, LATE),
            |hub, id| hub.close(id, Close::Abort),
            |hub, id| {
                hub.close(id, Close::Drain { deadline: Instant::ZERO });
                hub.poll(Instant::ZERO + Duration::from_nanos(1), &mut Vec::new());
            },
            |hub, id| {
                hub.close(id, LATE);
                hub.peer_reset(id);
            },
            |hub, id| {
                hub.close(id, LATE);
                hub.peer_read(id, &mut [0; 8], false).unwrap();
            },
            |hub, id| {
                hub.peer_reset(id);
                hub.read(id, &mut [0; 8]).unwrap_err();
            },
            |hub, _| hub.orphan(),
        ];
        for (case, end) in ends.iter().enumerate() {
            let (hub, id) = busy();
            end(&hub, id);
            hub.peer_drop(id);
            hub.poll(Instant::ZERO, &mut Vec::new());
            assert_eq!(kept(&hub), (0, 0, 0), "case {case}, the peer leaves last");
        }
    }

    #[test]
    fn a_connection_is_forgotten_when_the_manager_leaves_it_last() {
        let ends: [fn(&Hub, ConnectionId); 4] = [
            |hub, id| hub.close(id, LATE),
            |hub, id| hub.close(id, Close::Abort),
            |hub, id| assert!(hub.write(id, &[IoSlice::new(b"x")]).is_err()),
            |hub, _| hub.orphan(),
        ];
        for (case, end) in ends.iter().enumerate() {
            let (hub, id) = busy();
            hub.peer_drop(id);
            end(&hub, id);
            assert_eq!(kept(&hub).0, 0, "case {case}");
            hub.poll(Instant::ZERO, &mut Vec::new());
            assert_eq!(kept(&hub), (0, 0, 0), "case {case}");
        }
    }

    #[test]
    fn an_idle_connection_holds_no_buffer_and_a_reset_one_neither() {
        let (hub, id) = busy();
        assert!(hub.lock().connections.get(id).unwrap().owns_memory());
        hub.read(id, &mut [0; 8]).unwrap();
        hub.peer_read(id, &mut [0; 8], false).unwrap();
        assert!(!hub.lock().connections.get(id).unwrap().owns_memory());

        let (hub, id) = busy();
        hub.peer_reset(id);
        assert!(!hub.lock().connections.get(id).unwrap().owns_memory());
    }

    #[test]
    fn reports_that_nobody_fetches_do_not_pile_up() {
        let (hub, id) = busy();
        for _ in 0..100 {
            hub.write(id, &[IoSlice::new(b"more than fits")]).unwrap_or(0);
            hub.peer_read(id, &mut [0; 8], false).unwrap();
            hub.read(id, &mut [0; 8]).unwrap_or(0);
            hub.peer_write(id, &[IoSlice::new(b"x")], false).unwrap();
        }
        assert_eq!(kept(&hub).1, 2, "one for each direction");
    }

    #[test]
    fn nothing_is_queued_about_a_closed_connection() {
        let (hub, id) = busy();
        hub.poll(Instant::ZERO, &mut Vec::new());
        hub.close(id, LATE);
        hub.peer_read(id, &mut [0; 2], false).unwrap();
        hub.peer_shutdown_write(id);
        assert_eq!(kept(&hub), (1, 0, 1));

        let (hub, _) = busy();
        hub.orphan();
        assert_eq!(kept(&hub), (1, 0, 0), "what was queued before is dropped with the manager");
    }
}
