//! Bugs in a handler: around the stock one, so that everything else is as it should be.

use msglib_broker::{
    ChannelName, ConnectionHandler, ConnectionId, Context, Event, Frame, Frames, Handler, Native, Payload, Reject,
    StockConfig, Verdict,
};
use msglib_testkit::simulate::{Account, Setup, stock_books};

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// Nothing: the wrapper itself does no harm.
    None,
    ForgetsWhoLeft,
    ForgetsWhoClosed,
    ForgetsRoom,
    ForgetsToStartOver,
    ForgetsAcks,
    ForgetsCredit,
    AcksEverything,
    AcksOneMore,
    AcksWhatIsRefused,
    HasAgainWhatIsRefused,
    DropsWhatComesAgain,
    TakesTwice,
    SwapsPublishes,
    TakesNothingAndConfirms,
    DispatchesTwice,
    SkipsSomeSteps,
    PanicsOnce,
    Chatters,
    IgnoresItsLimits,
    IgnoresTheWindow,
    IgnoresTheSpan,
    IgnoresItsBudget,
    CountsNoBytes,
    CountsAcksTwice,
}

/// The stock handler with a bug.
pub struct Buggy {
    bug: Bug,
    inner: ConnectionHandler,
    events: u64,
    /// A publish that waits for the next one, to come behind it.
    held: Option<Held>,
}

struct Held {
    from: ConnectionId,
    link: u32,
    number: u64,
    confirm: bool,
    payload: Vec<u8>,
}

impl Buggy {
    pub fn new(bug: Bug, setup: &Setup) -> Buggy {
        let stock = setup.stock.clone();
        let defaults = StockConfig::default();
        let config = match bug {
            Bug::IgnoresItsLimits => stock.with_queue(defaults.queue),
            Bug::IgnoresTheWindow => stock.with_publish_window(5_000),
            Bug::IgnoresTheSpan => {
                let queue = stock.queue.clone().with_max_in_flight(65_536);
                stock.with_queue(queue)
            }
            Bug::IgnoresItsBudget => stock.with_deliveries_per_step(100_000),
            _ => stock,
        };
        Buggy { bug, inner: ConnectionHandler::with_config(config), events: 0, held: None }
    }

    pub fn books(&self, name: ChannelName<'_>) -> Option<Account> {
        let mut account = stock_books(&self.inner, name)?;
        match self.bug {
            Bug::CountsNoBytes => account.bytes = account.bytes.map(|bytes| bytes.saturating_sub(64)),
            Bug::CountsAcksTwice if account.ledger.ready > 0 && account.ledger.acked > 3 => {
                account.ledger.acked += 1;
                account.ledger.ready -= 1;
            }
            _ => {}
        }
        Some(account)
    }

    /// Takes the frame, or what waits in its place, or both, and in which order.
    fn swap(&mut self, cx: &mut Context<'_>, from: ConnectionId, frame: Frame<'_>) -> Result<(), Reject> {
        let Frame::Publish { link, number, confirm, payload } = frame else {
            self.release(cx)?;
            return self.inner.handle(cx, Event::Frame { from, frame });
        };
        match self.held.take() {
            Some(held) if (held.from, held.link, held.number + 1) == (from, link, number) => {
                let Held { confirm: earlier, payload: first, .. } = held;
                let second = Frame::Publish { link, number: number - 1, confirm: earlier, payload };
                self.inner.handle(cx, Event::Frame { from, frame: second })?;
                let first = Frame::Publish { link, number, confirm, payload: Payload::from(&first) };
                self.inner.handle(cx, Event::Frame { from, frame: first })
            }
            held => {
                self.held = held;
                self.release(cx)?;
                self.held = Some(Held { from, link, number, confirm, payload: payload.to_vec() });
                Ok(())
            }
        }
    }

    fn release(&mut self, cx: &mut Context<'_>) -> Result<(), Reject> {
        let Some(Held { from, link, number, confirm, payload }) = self.held.take() else { return Ok(()) };
        let frame = Frame::Publish { link, number, confirm, payload: Payload::from(&payload) };
        self.inner.handle(cx, Event::Frame { from, frame })
    }
}

impl Handler for Buggy {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        self.events += 1;
        let now_and_then = self.events.is_multiple_of(7);
        match (self.bug, event) {
            (Bug::ForgetsWhoLeft, Event::Disconnected { .. }) => Ok(()),
            (Bug::ForgetsRoom, Event::Drained { .. }) => Ok(()),
            (Bug::SwapsPublishes, Event::Frame { from, frame }) => self.swap(cx, from, frame),
            (bug, Event::Frame { from, frame }) => {
                let frame = match (bug, frame) {
                    (Bug::ForgetsWhoClosed, Frame::Close { .. }) => return Ok(()),
                    (Bug::ForgetsAcks, Frame::Ack { .. }) if now_and_then => return Ok(()),
                    (Bug::ForgetsCredit, Frame::Credit { .. }) if now_and_then => return Ok(()),
                    (Bug::AcksEverything, Frame::Ack { link, .. }) => Frame::Ack { link, first: 1, last: u64::MAX },
                    (Bug::AcksOneMore, Frame::Ack { link, first, last }) => {
                        Frame::Ack { link, first, last: last.saturating_add(1) }
                    }
                    (Bug::AcksWhatIsRefused, Frame::Refuse { link, first, last, verdict: Verdict::Again }) => {
                        Frame::Ack { link, first, last }
                    }
                    (Bug::HasAgainWhatIsRefused, Frame::Refuse { link, first, last, verdict: Verdict::ForGood }) => {
                        Frame::Refuse { link, first, last, verdict: Verdict::Again }
                    }
                    (Bug::DropsWhatComesAgain, Frame::Refuse { link, first, last, verdict: Verdict::Again }) => {
                        Frame::Refuse { link, first, last, verdict: Verdict::ForGood }
                    }
                    (Bug::TakesTwice, frame @ Frame::Publish { .. }) if now_and_then => {
                        self.inner.handle(cx, Event::Frame { from, frame })?;
                        frame
                    }
                    (Bug::TakesNothingAndConfirms, Frame::Publish { link, number, .. }) if now_and_then => {
                        let _ = cx.send(from, Frame::Confirmed { link, upto: number });
                        return Ok(());
                    }
                    (Bug::PanicsOnce, Frame::Publish { number: 9, .. }) => panic!("nobody publishes nine times"),
                    (Bug::Chatters, Frame::Publish { link, .. }) => {
                        let upto = cx.session(from).map_or(0, |session| session.publish_credit(link));
                        for _ in 0..20_000 {
                            let _ = cx.send(from, Frame::Credit { link, upto });
                        }
                        frame
                    }
                    (_, frame) => frame,
                };
                self.inner.handle(cx, Event::Frame { from, frame })
            }
            (_, event) => self.inner.handle(cx, event),
        }
    }

    fn started(&mut self, cx: &mut Context<'_>) {
        if self.bug != Bug::ForgetsToStartOver {
            self.inner.started(cx);
        }
    }

    fn frames(&mut self, cx: &mut Context<'_>, frames: Frames<'_, Native>) {
        let from = frames.from();
        frames.for_each(cx, |cx, frame| self.handle(cx, Event::Frame { from, frame }));
        // Nobody is there to be told of what is wrong with it.
        let _ = self.release(cx);
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        self.events += 1;
        if self.bug == Bug::SkipsSomeSteps && self.events.is_multiple_of(5) {
            return;
        }
        self.inner.end_of_step(cx);
        if self.bug == Bug::DispatchesTwice {
            self.inner.end_of_step(cx);
        }
    }
}
