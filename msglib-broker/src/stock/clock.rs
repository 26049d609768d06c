//! The time of the queues, which outlive the brokers that run them.

use msglib_proto::Instant;

/// The handler's own time. With its first broker it is that one's; if another broker takes over, whose clock begins somewhere
/// else, it goes on from where it was, so that what waits for a time waits for what was left of it.
#[derive(Debug, Default)]
pub(super) struct Clock {
    now: Instant,
    /// A moment on the broker's clock, and the handler's time then; `None` until a new broker has said what time it is.
    origin: Option<(Instant, Instant)>,
    /// Whether there was a broker before.
    has_run: bool,
}

impl Clock {
    /// Another broker runs the handler.
    pub(super) fn begin(&mut self) {
        self.origin = None;
    }

    /// The time, when it is this time on the broker's clock.
    #[inline]
    pub(super) fn read(&mut self, broker: Instant) -> Instant {
        let (theirs, ours) = match self.origin {
            Some(origin) => origin,
            None => self.set_origin(broker),
        };
        self.now = ours + (broker - theirs);
        self.now
    }

    /// The last time that was read.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// When it will be this time on the broker's clock.
    pub(super) fn to_broker(&self, at: Instant) -> Instant {
        let (theirs, ours) = self.origin.unwrap_or((at, at));
        theirs + (at - ours)
    }

    #[cold]
    fn set_origin(&mut self, broker: Instant) -> (Instant, Instant) {
        // The first broker's time is the handler's.
        let origin = if self.has_run { (broker, self.now) } else { (Instant::ZERO, Instant::ZERO) };
        (self.origin, self.has_run) = (Some(origin), true);
        origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_with_another_broker() {
        let at = Instant::from_nanos;
        let mut clock = Clock::default();
        clock.begin();
        assert_eq!((clock.read(at(100)), clock.read(at(150))), (at(100), at(150)), "the first one's time is the time");
        clock.begin();
        assert_eq!(clock.read(at(7)), at(150));
        assert_eq!((clock.read(at(10)), clock.now()), (at(153), at(153)));
        assert_eq!(clock.to_broker(at(160)), at(17));
        assert_eq!(clock.to_broker(at(100)), at(7), "what was due before is due");
    }
}
