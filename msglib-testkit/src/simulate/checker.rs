//! What a violation is: a checker says so. The user writes theirs as those of [`checkers`](super::checkers) are written.

use super::books::Account;
use super::facts::{ConnectionNumber, Facts};
use super::own::Note;
use super::setup::Setup;
use core::fmt;
use msglib_broker::{ConnectionId, Counters};
use msglib_proto::{Frame, Instant};
use std::borrow::Cow;

/// Looks at everything that happens, and says when it should not have.
///
/// A checker sees each thing *before* the [`Facts`] take it in, so that it can compare. What it returns as an error ends the run and
/// is shown to a person.
///
/// ```
/// use msglib_broker::ConnectionHandler;
/// use msglib_proto::Frame;
/// use msglib_testkit::simulate::{Checker, Facts, Seen, Simulation};
/// use std::borrow::Cow;
///
/// /// Nobody gets anything for the tenth time.
/// #[derive(Clone)]
/// struct NoTenthTime;
///
/// impl Checker<ConnectionHandler> for NoTenthTime {
///     fn name(&self) -> &'static str {
///         "no tenth time"
///     }
///     fn sees(&mut self, _: &Facts, seen: &Seen<'_>) -> Result<(), Cow<'static, str>> {
///         match seen {
///             Seen::Received(_, Frame::Delivery { count: 10, .. }) => Err("somebody got it for the tenth time".into()),
///             _ => Ok(()),
///         }
///     }
/// }
///
/// let report = Simulation::new(1).operations(100).check(NoTenthTime).run();
/// assert!(report.failure.is_none(), "{report}");
/// ```
pub trait Checker<H> {
    /// What it is about, in a few words; those of msglib begin with the invariant's number.
    fn name(&self) -> &'static str;

    /// Something happens.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Result<(), Cow<'static, str>> {
        let _ = (facts, seen);
        Ok(())
    }

    /// The broker has made a step.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    fn after_step(&mut self, view: &View<'_, H>) -> Result<(), Cow<'static, str>> {
        let _ = view;
        Ok(())
    }

    /// Nothing moves any more: whoever takes part has read all, and the broker has read all of theirs.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    fn at_rest(&mut self, view: &View<'_, H>) -> Result<(), Cow<'static, str>> {
        let _ = view;
        Ok(())
    }

    /// The faults are over, and the queues were drained by consumers that ack all.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    fn drained(&mut self, view: &View<'_, H>) -> Result<(), Cow<'static, str>> {
        let _ = view;
        Ok(())
    }

    /// All clients are gone.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    fn at_end(&mut self, view: &View<'_, H>) -> Result<(), Cow<'static, str>> {
        let _ = view;
        Ok(())
    }
}

/// Something that happens.
#[derive(Debug)]
#[non_exhaustive]
pub enum Seen<'a> {
    /// A client has said a frame; it may not have left it yet.
    Sent(ConnectionNumber, &'a Frame<'a>),
    /// A client has received a frame.
    Received(ConnectionNumber, &'a Frame<'a>),
    /// What a client has received is no frame: in words.
    NoFrame(ConnectionNumber, &'a str),
    /// Nothing passes on a connection any more.
    Ended(ConnectionNumber, Ended),
    /// The broker has told its handler something.
    Told(Told),
    /// A channel of one's own was told something.
    Noted(Note),
    /// The broker was replaced by another one.
    Restarted {
        /// With a new handler.
        fresh: bool,
    },
}

/// How a connection ended, from its client's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The broker closed it, and all was read.
    EndOfStream,
    /// The broker cut it off.
    Reset,
    /// The client left it.
    ByClient,
    /// The broker is no more.
    WithBroker,
}

/// What a handler is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// A connection is there.
    Connected(ConnectionId, Instant),
    /// Frames, or room, for a connection.
    Of(ConnectionId, Instant),
    /// A connection is over.
    Disconnected(ConnectionId, Instant),
    /// Something else.
    Other(Instant),
    /// Bytes that wait for a connection, at the end of a step.
    Queued(ConnectionId, usize),
}

/// What a checker can look at.
#[derive(Debug)]
pub struct View<'a, H> {
    /// What the clients know.
    pub facts: &'a Facts,
    /// The limits of the run.
    pub setup: &'a Setup,
    /// The handler.
    pub handler: &'a H,
    /// What the handler says of each queue; `None` if it does not say, or has no such queue.
    pub accounts: &'a [Option<Account>],
    /// As `accounts`, of the queues with settings: [`JOBS`](super::featured::JOBS).
    pub jobs: &'a [Option<Account>],
    /// What the broker has done.
    pub counters: &'a Counters,
    /// What it had done before its last step.
    pub counters_before: &'a Counters,
    /// Connections of the broker, and those that its connection manager still drains.
    pub connections: usize,
}

/// A promise that was not kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The name of the checker.
    pub checker: &'static str,
    /// What is wrong.
    pub words: Cow<'static, str>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.words)
    }
}
