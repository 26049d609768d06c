//! A sequence diagram as a value: what went from whom to whom, in order, for a person to look at.
//!
//! [`TranscriptLog::diagram`](crate::TranscriptLog::diagram) and [`Tap::diagram`](crate::Tap::diagram) make one of what has
//! passed; anyone else can put one together by hand. It is written as Mermaid text, which many viewers of Markdown draw, or
//! as an SVG that needs nothing but a browser.
//!
//! ```
//! use msglib_proto::Instant;
//! use msglib_testkit::diagram::Diagram;
//!
//! let mut diagram = Diagram::new("A message that is lost");
//! let (client, broker) = (diagram.participant("client"), diagram.participant("broker"));
//! diagram.sent(Instant::ZERO, client, broker, "Publish \"one\"");
//! diagram.fault(Instant::ZERO, Some(broker), "accepted, then lost by a reset");
//! diagram.lost(Instant::ZERO, broker, client, "Confirmed");
//!
//! assert!(diagram.mermaid().starts_with("sequenceDiagram\n"));
//! assert!(diagram.svg().starts_with("<svg "));
//! ```

mod mermaid;
mod svg;
mod text;

use msglib_proto::Instant;
use std::collections::VecDeque;

/// Participants, and what passed between them, the oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diagram {
    title: String,
    participants: Vec<String>,
    events: VecDeque<Event>,
    left_out: usize,
}

/// Somebody in a [`Diagram`]: a client, a broker. Belongs to the diagram that it was made by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Participant(usize);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Event {
    at: Option<Instant>,
    what: What,
    label: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Arrow { from: Participant, to: Participant, kind: Arrow },
    Note { over: Option<Participant>, is_fault: bool },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Arrow {
    Sent,
    Delivered,
    Lost,
}

impl Diagram {
    /// An empty diagram; an empty title is left out.
    pub fn new(title: impl Into<String>) -> Diagram {
        Diagram { title: title.into(), ..Diagram::default() }
    }

    /// The participant called `name`, which stands to the right of those before if it is new.
    pub fn participant(&mut self, name: impl AsRef<str>) -> Participant {
        let name = name.as_ref();
        let at = self.participants.iter().position(|known| known == name);
        Participant(at.unwrap_or_else(|| {
            self.participants.push(name.to_owned());
            self.participants.len() - 1
        }))
    }

    /// Gives a participant another name: `c0` may be the publisher. Without a participant called `from` nothing happens.
    pub fn rename(&mut self, from: &str, to: impl Into<String>) {
        if let Some(name) = self.participants.iter_mut().find(|name| *name == from) {
            *name = to.into();
        }
    }

    /// Something went from one to the other: a solid arrow.
    ///
    /// # Panics
    ///
    /// As all that take a participant: when it is one of another diagram, and not in this one.
    pub fn sent(&mut self, at: Instant, from: Participant, to: Participant, label: impl Into<String>) {
        self.arrow(at, from, to, Arrow::Sent, label.into());
    }

    /// What was sent earlier has come: a dashed arrow.
    pub fn delivered(&mut self, at: Instant, from: Participant, to: Participant, label: impl Into<String>) {
        self.arrow(at, from, to, Arrow::Delivered, label.into());
    }

    /// Something was sent that did not come, or did not come whole: an arrow that ends in a cross.
    pub fn lost(&mut self, at: Instant, from: Participant, to: Participant, label: impl Into<String>) {
        self.arrow(at, from, to, Arrow::Lost, label.into());
    }

    /// A fault, in red, over a participant or over all of them.
    pub fn fault(&mut self, at: Instant, over: Option<Participant>, label: impl Into<String>) {
        self.annotate(Some(at), over, true, label.into());
    }

    /// A remark, over a participant or over all of them.
    pub fn note(&mut self, at: Option<Instant>, over: Option<Participant>, label: impl Into<String>) {
        self.annotate(at, over, false, label.into());
    }

    /// How many arrows and notes it has.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Keeps the last `events` arrows and notes; how many there were before is said at the top. For long runs: what went wrong
    /// is mostly at the end, and Mermaid's viewers draw no more than some hundred.
    pub fn keep_last(&mut self, events: usize) {
        let surplus = self.events.len().saturating_sub(events);
        self.events.drain(..surplus);
        self.left_out += surplus;
    }

    /// As text for [Mermaid](https://mermaid.js.org). The time stands before what happened first at it.
    pub fn mermaid(&self) -> String {
        mermaid::write(self)
    }

    /// As an SVG that needs nothing else: the time on the left, faults in red. The names are repeated every 40 rows; what is too
    /// long for its place is cut, and shown whole under the pointer.
    pub fn svg(&self) -> String {
        svg::write(self)
    }

    fn arrow(&mut self, at: Instant, from: Participant, to: Participant, kind: Arrow, label: String) {
        self.check(from);
        self.check(to);
        self.events.push_back(Event { at: Some(at), what: What::Arrow { from, to, kind }, label });
    }

    fn annotate(&mut self, at: Option<Instant>, over: Option<Participant>, is_fault: bool, label: String) {
        if let Some(over) = over {
            self.check(over);
        }
        self.events.push_back(Event { at, what: What::Note { over, is_fault }, label });
    }

    fn check(&self, participant: Participant) {
        assert!(participant.0 < self.participants.len(), "{participant:?} is not in this diagram");
    }
}

/// Each event with its time, if that is another than the one before.
fn timed(diagram: &Diagram) -> impl Iterator<Item = (Option<String>, &Event)> {
    let mut last = None;
    diagram.events.iter().map(move |event| {
        let news = event.at.filter(|at| last != Some(*at));
        last = event.at.or(last);
        (news.map(|at| format!("{at:.3?}")), event)
    })
}
