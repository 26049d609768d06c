//! A tap around any handler: it writes down what passes, and changes nothing.

use crate::diagram::Diagram;
use core::fmt::Write;
use msglib_broker::{ConnectionId, Context, Dialect, Event, Frames, Handler, Reject};
use msglib_proto::Instant;

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
    /// Of each line: when, about whom, and whether it came from them.
    marks: Vec<(Instant, Option<ConnectionId>, bool)>,
}

impl<H> Tap<H> {
    /// A tap around `inner`.
    pub fn new(inner: H) -> Tap<H> {
        Tap { inner, lines: Vec::new(), marks: Vec::new() }
    }

    /// What has passed so far; it grows without end, for it is meant for tests.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// What has passed so far as a sequence diagram: frames are arrows to the handler, everything else is a note.
    pub fn diagram(&self, title: &str) -> Diagram {
        let mut diagram = Diagram::new(title);
        let handler = diagram.participant("handler");
        for (line, (at, whom, is_frame)) in self.lines.iter().zip(&self.marks) {
            let client = whom.map(|id| diagram.participant(id.to_string()));
            let name = whom.map_or(String::new(), |id| format!("{id} "));
            let words = line.strip_prefix(&name).unwrap_or(line);
            match client {
                Some(client) if *is_frame => {
                    diagram.sent(*at, client, handler, words.strip_prefix("sent ").unwrap_or(words));
                }
                _ => diagram.note(Some(*at), client, words),
            }
        }
        diagram
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
        let mark = match &event {
            Event::Frame { from, .. } => (cx.now(), Some(*from), true),
            Event::Connected { id, .. } | Event::Drained { id } | Event::Disconnected { id, .. } => {
                (cx.now(), Some(*id), false)
            }
            _ => (cx.now(), None, false),
        };
        let result = self.inner.handle(cx, event);
        if let Err(reject) = &result {
            // Writing to a string does not fail.
            let _ = write!(line, " → refused: {reject}");
        }
        self.lines.push(line);
        self.marks.push(mark);
        result
    }

    fn features(&self) -> u64 {
        self.inner.features()
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
