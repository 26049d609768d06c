//! The listeners of a manager: whose turn it is, and when accepting pauses.

use crate::listener::{Listener, Verdict, judge};
use crate::stats::SocketStats;
use msglib_proto::Instant;
use msglib_proto::transport::{Address, ListenerId};
use socket2::Socket;
use std::io;
use std::time::Duration;

/// The first wait when the system is out of descriptors; doubled each time that it still is.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// The longest wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts a bounded number of connections for each poll, from all listeners in turn.
///
/// An edge tells once that peers wait, so that a listener whose peers have not all been accepted (the budget
/// was used up, or descriptors were) stays marked here.
#[derive(Debug)]
pub(crate) struct Acceptor {
    entries: Vec<Entry>,
    budget: usize,
    /// Who is asked first at the next poll.
    turn: usize,
    /// There was no room for another connection when we last tried.
    is_full: bool,
    /// The system was short of something when we last tried.
    pause: Option<Pause>,
}

#[derive(Debug)]
struct Entry {
    /// `None` when it was closed; its place stays, for the others are known by theirs.
    listener: Option<Listener>,
    address: Address,
    /// Peers may be waiting.
    pending: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    next: Duration,
}

/// A new connection.
pub(crate) struct Accepted {
    pub(crate) stream: Socket,
    pub(crate) from: Address,
    pub(crate) listener: ListenerId,
}

impl Acceptor {
    /// Accepts at most `budget` connections for each poll, at least one.
    pub(crate) fn new(budget: usize) -> Acceptor {
        Acceptor { entries: Vec::new(), budget: budget.max(1), turn: 0, is_full: false, pause: None }
    }

    pub(crate) fn add(&mut self, listener: Listener, address: Address) {
        self.entries.push(Entry { listener: Some(listener), address, pending: false });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.entries.iter().map(|entry| &entry.address)
    }

    /// An edge told that peers wait at the listener at `position`.
    pub(crate) fn mark(&mut self, position: u32) {
        if let Some(entry) = self.entries.get_mut(position as usize) {
            entry.pending = entry.listener.is_some();
        }
    }

    /// Lets go of every listener: nobody is accepted any more.
    pub(crate) fn take_listeners(&mut self) -> impl Iterator<Item = Listener> {
        self.entries.iter_mut().filter_map(|entry| {
            entry.pending = false;
            entry.listener.take()
        })
    }

    /// When [`accept`](Self::accept) is worth a call, as long as there is room for another connection; `None` until the next
    /// edge.
    pub(crate) fn due(&self) -> Option<Instant> {
        let pending = self.entries.iter().any(|entry| entry.pending);
        pending.then(|| self.pause.map_or(Instant::ZERO, |pause| pause.until))
    }

    /// A connection and its descriptor are gone: there is room, and a pause ends, but the next one will be no shorter than it would have been.
    pub(crate) fn descriptor_is_free(&mut self) {
        self.is_full = false;
        if let Some(pause) = &mut self.pause {
            pause.until = Instant::ZERO;
        }
    }

    /// Accepts who waits, within the budget and no more than there is `room` for, and hands each to `admit`, whose failure is a
    /// shortage too.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        room: usize,
        stats: &mut SocketStats,
        mut admit: impl FnMut(Accepted) -> io::Result<()>,
    ) {
        if self.due().is_none_or(|at| at > now) {
            return;
        }
        let (mut budget, mut room) = (self.budget, room);
        let count = self.entries.len();
        for position in (0..count).map(|n| (self.turn + n) % count) {
            while self.entries[position].pending && budget > 0 && room > 0 {
                budget -= 1;
                match self.entries[position].next(position).and_then(&mut admit) {
                    Ok(()) => {
                        stats.accepted += 1;
                        room -= 1;
                        self.pause = None;
                    }
                    Err(error) => match judge(&error) {
                        Verdict::Empty => {
                            self.entries[position].pending = false;
                            // Accepting takes a descriptor before it looks for a peer, so there is one.
                            self.pause = None;
                        }
                        Verdict::Next => stats.accept_errors += 1,
                        Verdict::Pause => return self.pause(now, stats),
                    },
                }
            }
        }
        // One listener's flood must not keep the others waiting for ever.
        self.turn = (self.turn + 1) % count;
        stats.accept_turns_cut += u64::from(budget == 0 && self.entries.iter().any(|entry| entry.pending));
        stats.accept_limits += u64::from(room == 0 && !self.is_full);
        self.is_full = room == 0;
    }

    fn pause(&mut self, now: Instant, stats: &mut SocketStats) {
        stats.accept_errors += 1;
        if self.pause.is_none() {
            stats.accept_pauses += 1;
        }
        let wait = self.pause.map_or(SHORTEST_PAUSE, |pause| pause.next);
        self.pause = Some(Pause { until: now + wait, next: (wait * 2).min(LONGEST_PAUSE) });
    }
}

impl Entry {
    fn next(&self, position: usize) -> io::Result<Accepted> {
        let listener = self.listener.as_ref().ok_or(io::ErrorKind::WouldBlock)?;
        let (stream, from) = listener.accept()?;
        // There are fewer listeners than descriptors, of which there are fewer than 2³¹.
        Ok(Accepted { stream, from, listener: ListenerId(position as u32) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(acceptor: &mut Acceptor, stats: &mut SocketStats, now: Instant) -> Duration {
        acceptor.pause(now, stats);
        acceptor.pause.map_or(Duration::ZERO, |pause| pause.until - now)
    }

    #[test]
    fn pauses_double_up_to_a_second_and_count_once() {
        let (mut acceptor, mut stats) = (Acceptor::new(0), SocketStats::default());
        let now = Instant::from_nanos(5);
        let waits: Vec<u128> = (0..9).map(|_| after(&mut acceptor, &mut stats, now).as_millis()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!((stats.accept_errors, stats.accept_pauses), (9, 1));

        acceptor.descriptor_is_free();
        assert_eq!(acceptor.pause.map(|pause| pause.until), Some(Instant::ZERO), "tried at once");
        assert_eq!(after(&mut acceptor, &mut stats, now).as_millis(), 1000, "but not more eagerly afterwards");
    }

    #[test]
    fn a_peer_that_fails_is_passed_over_and_a_shortage_is_waited_for() -> io::Result<()> {
        let socket = std::net::TcpListener::bind("[::1]:0")?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let (mut acceptor, mut stats) = (Acceptor::new(10), SocketStats::default());
        acceptor.add(Listener::Internet(mio::net::TcpListener::from_std(socket)), Address::Socket(address));
        let _peers = [(); 4].map(|()| std::net::TcpStream::connect(address));

        // What the system would say of the first, the second, and so on.
        let mut errors = [None, Some(io::ErrorKind::ConnectionAborted), Some(io::ErrorKind::OutOfMemory)].into_iter();
        let mut admit = |_: Accepted| errors.next().flatten().map_or(Ok(()), |kind| Err(kind.into()));
        acceptor.mark(0);
        let now = Instant::from_nanos(1);
        acceptor.accept(now, 10, &mut stats, &mut admit);
        assert_eq!((stats.accepted, stats.accept_errors, stats.accept_pauses), (1, 2, 1));

        assert_eq!(acceptor.due(), Some(now + SHORTEST_PAUSE));
        acceptor.accept(now, 10, &mut stats, &mut admit);
        assert_eq!(stats.accepted, 1, "not yet");
        acceptor.accept(now + SHORTEST_PAUSE, 10, &mut stats, &mut admit);
        assert_eq!((stats.accepted, stats.accept_errors), (2, 2));
        assert_eq!(acceptor.due(), None, "until the next edge");
        Ok(())
    }
}
