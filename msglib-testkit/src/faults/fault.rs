//! The faults by name: what each does, and how bad it is.

use core::fmt;

/// What a fault does to those who keep the contract on either side of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The contract holds and every byte arrives in the end: nobody may notice more than a delay.
    Passing,
    /// The contract holds, and what is stalled goes on only when the faults are [healed](super::Faulty::heal).
    Stalling,
    /// The contract holds, and something ends: a connection, as a network may end it, or a deadline that comes early.
    Ending,
    /// The contract is broken: to see what a broker does then, which should not be a panic.
    Breach,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $severity:ident, $words:literal;)+) => {
        /// One way in which a transport can be unpleasant.
        ///
        /// "Called" below is what makes an opportunity: a plan draws the fault at each of them, or counts them for its
        /// script.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])* $name,)+
        }

        impl Fault {
            /// Every fault, in order.
            pub const ALL: [Fault; [$(Fault::$name),+].len()] = [$(Fault::$name),+];

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Fault::$name => Severity::$severity,)+
                }
            }
        }

        /// In words, as in a transcript.
        impl fmt::Display for Fault {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Fault::$name => $words,)+
                })
            }
        }
    };
}

faults! {
    /// Called with `read`: it returns fewer bytes than there are.
    ShortRead = Passing, "short read";
    /// Called with `read`: `WouldBlock` although there is something; a report follows with the next poll.
    ReadWouldBlock = Passing, "read would block";
    /// Called with `read`: `Interrupted`, never twice in a row on one connection.
    ReadInterrupted = Passing, "read interrupted";
    /// Called with `read`: what arrived is held for a few polls, and comes in one piece with what arrived later.
    Coalesce = Passing, "input coalesced";
    /// Called with `read`: some bytes later the input ends, as if the peer had closed its sending side there. What else it
    /// sends is lost.
    HalfClose = Ending, "half-close";
    /// Called with `read`: some bytes later the connection is reset.
    CutRead = Ending, "reset while it is read from";
    /// Called with `read`: one bit is another.
    CorruptRead = Breach, "a bit of the input flipped";
    /// Called with `write` of two bytes or more: only a part is taken.
    ShortWrite = Passing, "short write";
    /// Called with `write`: `WouldBlock` although there is room; a report follows with the next poll.
    WriteWouldBlock = Passing, "write would block";
    /// Called with `write`: `Interrupted`, never twice in a row on one connection.
    WriteInterrupted = Passing, "write interrupted";
    /// Called with `write`: from here on `WouldBlock` until healed, as with a peer that reads nothing.
    ZeroWindow = Stalling, "window of zero";
    /// Called with `write`: all is taken, nothing is delivered, and the connection is reset before the next poll.
    AcceptedThenLost = Ending, "accepted, then lost by a reset";
    /// Called with `write`: some bytes later the connection is reset.
    CutWrite = Ending, "reset while it is written to";
    /// Called with `write`: one bit is another.
    CorruptWrite = Breach, "a bit of the output flipped";
    /// Called for each new connection: its first bytes, each way, go one in each poll.
    Trickle = Passing, "one byte a tick";
    /// Called for each new connection: nothing is reported as readable again before it was read to its end.
    StrictEdges = Passing, "report withheld until drained";
    /// Called for each new connection: it is reported some polls late.
    LateOpen = Passing, "opened late";
    /// Called for each new connection: it is reset and never reported, as when accepting it had failed.
    RefusedOpen = Ending, "refused at the opening";
    /// Called with `poll`: a report about a connection with which nothing has happened.
    SpuriousReport = Passing, "spurious report";
    /// Called for each report: it comes some polls late.
    LateReport = Passing, "late report";
    /// Called with `poll`: the reports come in another order.
    ShuffledReports = Passing, "reports shuffled";
    /// Called with `poll`: the last reports come with the next poll.
    TruncatedReports = Passing, "reports truncated";
    /// Called with `poll`: a report comes twice.
    DuplicatedReport = Passing, "report duplicated";
    /// Called with `poll`: a report about a connection that is closed, and whose slot has another user. Breaks T8.
    StaleReport = Breach, "stale report";
    /// Called with `poll`: nothing is read from one connection for some polls.
    ClogRead = Passing, "input clogged";
    /// Called with `poll`: nothing can be written to one connection for some polls.
    ClogWrite = Passing, "output clogged";
    /// Called with `poll`: one connection is reset; what was under way in either direction is lost.
    Reset = Ending, "reset";
    /// Called with `poll`: nothing comes from one connection any more, and what is written to it is lost, without an end;
    /// when healed it is reset.
    BlackHole = Ending, "black hole";
    /// Called with `poll`: it fails, and so does every later one, healed or not.
    PollFails = Ending, "poll fails";
    /// Called with `poll`: the clock jumps ahead.
    ClockJump = Ending, "clock jumps ahead";
    /// Called with `poll`: for some polls the clock goes in coarse ticks.
    CoarseClock = Passing, "coarse clock";
    /// Called with `poll`: the clock goes back. Breaks T12.
    ClockBack = Breach, "clock goes back";
}

impl Fault {
    pub(super) const COUNT: usize = Fault::ALL.len();

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// Some of the faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct FaultSet(u64);

const _: () = assert!(Fault::COUNT <= 64, "a FaultSet has a bit for each");

impl FaultSet {
    pub(super) fn insert(&mut self, fault: Fault) {
        self.0 |= 1 << fault.index();
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Fault> + use<> {
        let bits = core::mem::take(&mut self.0);
        Fault::ALL.into_iter().filter(move |fault| bits & 1 << fault.index() != 0)
    }

    pub(super) fn extend(&mut self, other: FaultSet) {
        self.0 |= other.0;
    }

    pub(super) fn clear(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_back_what_was_put_in_once() {
        let mut set = FaultSet::default();
        for fault in [Fault::ClockBack, Fault::ShortRead, Fault::ShortRead] {
            set.insert(fault);
        }
        assert_eq!(set.take().collect::<Vec<_>>(), [Fault::ShortRead, Fault::ClockBack]);
        assert_eq!(set, FaultSet::default());
    }
}
