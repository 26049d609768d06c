//! The clock of a manager, with faults in it.

use super::Fault;
use super::fault::FaultSet;
use core::cell::Cell;
use core::time::Duration;
use msglib_proto::Instant;

#[derive(Debug, Default)]
pub(super) struct FaultyClock {
    /// Nanoseconds that it is ahead of the one below …
    ahead: u64,
    /// … and that it is behind.
    behind: u64,
    /// The length of a tick in nanoseconds, and for how many polls.
    coarse: Option<(u64, u32)>,
    /// What was told last: it goes back only when a fault says so (T12).
    latest: Cell<Instant>,
    /// To be counted as observed when somebody reads the clock.
    fired: Cell<FaultSet>,
    observed: Cell<FaultSet>,
}

impl FaultyClock {
    /// What this clock says when the one below says `below`, to somebody who acts upon it.
    pub(super) fn read(&self, below: Instant) -> Instant {
        let exact = self.exact(below);
        let mut fired = self.fired.take();
        let mut observed = self.observed.get();
        for fault in fired.take() {
            observed.insert(fault);
        }
        let told = match self.coarse {
            Some((tick, _)) => {
                if !exact.as_nanos().is_multiple_of(tick) {
                    observed.insert(Fault::CoarseClock);
                }
                Instant::from_nanos(exact.as_nanos() / tick * tick)
            }
            None => exact,
        };
        self.observed.set(observed);
        let told = told.max(self.latest.get());
        self.latest.set(told);
        told
    }

    /// What it would say without ticks.
    pub(super) fn exact(&self, below: Instant) -> Instant {
        Instant::from_nanos((below + Duration::from_nanos(self.ahead)).as_nanos().saturating_sub(self.behind))
    }

    /// The instant of the clock below that is `told` here.
    pub(super) fn below(&self, told: Instant) -> Instant {
        match told {
            // "Never" stays so.
            Instant::MAX => told,
            _ => Instant::from_nanos(told.as_nanos().saturating_add(self.behind).saturating_sub(self.ahead)),
        }
    }

    pub(super) fn jump(&mut self, nanos: u64) {
        self.ahead = self.ahead.saturating_add(nanos);
        self.fires(Fault::ClockJump);
    }

    /// False when it is too early to go back.
    pub(super) fn go_back(&mut self, nanos: u64, below: Instant) -> bool {
        let told = self.latest.get();
        let back = nanos.min(self.exact(below).as_nanos());
        if back == 0 || told == Instant::ZERO {
            return false;
        }
        self.behind = self.behind.saturating_add(back);
        self.latest.set(Instant::ZERO);
        self.fires(Fault::ClockBack);
        true
    }

    pub(super) fn coarsen(&mut self, tick: u64, polls: u32) {
        self.coarse = Some((tick.max(2), polls));
    }

    /// One poll more.
    pub(super) fn tick(&mut self) {
        self.coarse = self.coarse.and_then(|(tick, polls)| Some((tick, polls.checked_sub(1)?)));
    }

    pub(super) fn heal(&mut self) {
        self.coarse = None;
    }

    /// What somebody has seen since this was asked last.
    pub(super) fn take_observed(&self) -> impl Iterator<Item = Fault> + use<> {
        self.observed.take().take()
    }

    /// The same, and it is asked again.
    pub(super) fn peek_observed(&self) -> impl Iterator<Item = Fault> + use<> {
        self.observed.get().take()
    }

    fn fires(&mut self, fault: Fault) {
        self.fired.get_mut().insert(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn it_goes_back_only_when_told_to() {
        let mut clock = FaultyClock::default();
        assert_eq!(clock.read(at(105)), at(105));
        clock.coarsen(100, 1);
        assert_eq!(clock.read(at(106)), at(105), "a tick is no way back");
        assert_eq!(clock.read(at(310)), at(300));
        clock.tick();
        clock.tick();
        assert_eq!(clock.read(at(311)), at(311));
        clock.jump(1000);
        assert_eq!(clock.read(at(312)), at(1312));
        assert!(clock.go_back(500, at(312)));
        assert_eq!(clock.read(at(312)), at(812));
        let seen: Vec<Fault> = clock.take_observed().collect();
        assert_eq!(seen, [Fault::ClockJump, Fault::CoarseClock, Fault::ClockBack]);
    }

    #[test]
    fn a_deadline_is_translated_and_never_stays_never() {
        let mut clock = FaultyClock::default();
        clock.jump(1000);
        assert_eq!(clock.below(at(1500)), at(500));
        assert_eq!(clock.below(Instant::MAX), Instant::MAX);
    }
}
