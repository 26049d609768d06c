//! A tap around any handler: it writes down what passes, and changes nothing.

use core::fmt::Write;
use msglib_broker::{Context, Dialect, Event, Frames, Handler, Reject};

/// Wraps a handler and records every event that goes to it, and every refusal that comes back, in readable lines.
///
/// ```
/// use msglib_broker::ConnectionHandler;
/// use msglib_testkit::{Harness, Tap};
///
/// let mut harness = Harness::new(Tap::new(ConnectionHandler::new()));
/// let client = harness.connect();
/// harness.settle();
/// let lines = harness.handler().lines();
/// assert!(lines[0].starts_with("c0 connected from memory:"), "{lines:?}");
/// assert!(lines[1].starts_with("c0 sent Hello"), "{lines:?}");
/// # drop(client);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tap<H> {
    inner: H,
    lines: Vec<String>,
}

impl<H> Tap<H> {
    /// A tap around `inner`.
    pub fn new(inner: H) -> Tap<H> {
        Tap { inner, lines: Vec::new() }
    }

    /// What has passed so far; it grows without end, for it is meant for tests.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The handler inside.
    pub fn inner(&self) -> &H {
        &self.inner
    }

    /// The handler inside.
    pub fn inner_mut(&mut self) -> &mut H {
        &mut self.inner
    }

    /// The handler, without the tap.
    pub fn into_inner(self) -> H {
        self.inner
    }
}

impl<D: Dialect, H: Handler<D>> Handler<D> for Tap<H> {
    fn handle(&mut self, cx: &mut Context<'_, D>, event: Event<'_, D>) -> Result<(), Reject> {
        let mut line = format!("{event:?}");
        let result = self.inner.handle(cx, event);
        if let Err(reject) = &result {
            // Writing to a string does not fail.
            let _ = write!(line, " → refused: {reject}");
        }
        self.lines.push(line);
        result
    }

    fn started(&mut self, cx: &mut Context<'_, D>) {
        self.inner.started(cx);
    }

    /// One by one, so that each is seen: a handler with a `frames` of its own gets them through `handle` under a tap.
    fn frames(&mut self, cx: &mut Context<'_, D>, frames: Frames<'_, D>) {
        let from = frames.from();
        frames.for_each(cx, |cx, frame| self.handle(cx, Event::Frame { from, frame }));
    }

    fn end_of_step(&mut self, cx: &mut Context<'_, D>) {
        self.inner.end_of_step(cx);
    }
}
