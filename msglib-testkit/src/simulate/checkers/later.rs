//! Links that somebody decides about, at once or later.

use crate::simulate::checker::{Checker, Seen, View};
use crate::simulate::facts::{ConnectionNumber, Facts};
use crate::simulate::featured::Credentials;
use crate::simulate::own::{Answer, Asking, Note, OwnLinkNumber};
use crate::simulate::setup::Setup;
use msglib_proto::{ErrorCode, Frame, Instant, LinkState};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

type Verdict = Result<(), Cow<'static, str>>;

/// Each `OPEN` has one answer, the one that was decided, and nothing of a link has an effect before.
#[derive(Debug)]
pub(super) struct Decided {
    timeout: Duration,
}

impl Decided {
    pub(super) fn new(setup: &Setup) -> Decided {
        Decided { timeout: setup.broker.core.answer_timeout }
    }
}

/// Whether the link was, or may be, let in.
fn is_let_in(facts: &Facts, link: OwnLinkNumber) -> bool {
    let link = facts.own.link(link);
    match link.asking {
        Asking::AtOnce | Asking::RefusedByChannel => true,
        Asking::Later => link.decided == Some(Answer::Yes),
        Asking::Refused => false,
    }
}

impl<H> Checker<H> for Decided {
    fn name(&self) -> &'static str {
        "admission: a link is opened when it was decided, and not before"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        if let Seen::Noted(note) = seen {
            let link = match *note {
                Note::Opened(link, _) | Note::Published(link, ..) | Note::Of(link) | Note::Closed(link) => link,
            };
            return match link.filter(|link| !is_let_in(facts, *link)) {
                Some(link) => Err(format!("a channel was told {note:?}: {:?}", facts.own.link(link)).into()),
                None => Ok(()),
            };
        }
        let Seen::Received(connection, frame) = seen else { return Ok(()) };
        let Some(index) = facts.own.find(*connection, frame.link()) else { return Ok(()) };
        let link = facts.own.link(index);
        let is_late = facts.now().since(link.asked_at) >= self.timeout;
        let is_right = match **frame {
            Frame::Opened { .. } => {
                !link.was_opened && is_let_in(facts, index) && link.asking != Asking::RefusedByChannel
            }
            // The end of one that was open: only its client ends it.
            Frame::Closed { code, .. } if link.was_opened => code == ErrorCode::NONE,
            Frame::Closed { code, .. } => match (link.asking, link.decided) {
                (Asking::RefusedByChannel, _) => code == ErrorCode::user(8),
                (Asking::Refused, _) => code == ErrorCode::NOT_ALLOWED,
                // Whether too many wait another checker asks.
                (Asking::Later, None) => code == ErrorCode::BUSY || code == ErrorCode::INTERNAL && is_late,
                (Asking::Later, Some(Answer::No)) if code == ErrorCode::NOT_ALLOWED => true,
                (Asking::Later, Some(Answer::Nothing)) if code == ErrorCode::INTERNAL => true,
                (Asking::Later, Some(_)) => code == ErrorCode::INTERNAL && is_late,
                (Asking::AtOnce, _) => false,
            },
            _ => true,
        };
        match is_right {
            true => Ok(()),
            false => Err(format!("link {index} received {frame:?}: {link:?}").into()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let facts = view.facts;
        for (index, link) in facts.own.links() {
            let connection = facts.connection(link.connection);
            let takes_part = connection.is_listening && !connection.is_over && !connection.is_leaving;
            let first = facts.own.first_waiting(link.connection);
            // What is behind one that waits was not looked at.
            if !takes_part || first.is_some_and(|first| first < index) {
                continue;
            }
            let is_open = link.was_opened && link.state == LinkState::Open;
            let is_late = link.known_at.is_some_and(|at| facts.now().since(at) > self.timeout);
            let may_wait = first == Some(index) && link.decided.is_none() && !is_late;
            if !is_open && !may_wait && first.is_none_or(|first| first == index) {
                return Err(format!("link {index} waits for its answer, or its end: {link:?}").into());
            }
        }
        Ok(())
    }
}

/// As many may wait for an answer as are allowed, and who has one or goes away makes room.
#[derive(Debug)]
pub(super) struct Pending {
    most: usize,
    timeout: Duration,
    /// Who may be waiting, for all that is known.
    waiting: BTreeMap<Waiting, Since>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Waiting {
    Hello(ConnectionNumber),
    Open(OwnLinkNumber),
}

/// What is known of one who may be waiting.
#[derive(Clone, Copy, Debug)]
struct Since {
    connection: ConnectionNumber,
    /// How many others may have been waiting at once, at the most.
    others: usize,
    /// A time at which the broker was sure to have the question.
    known_at: Option<Instant>,
}

impl Pending {
    pub(super) fn new(setup: &Setup) -> Pending {
        let core = &setup.broker.core;
        Pending { most: core.max_pending_answers, timeout: core.answer_timeout, waiting: BTreeMap::new() }
    }

    /// The broker looks at what the connection asks next, from now on.
    fn goes_on(&mut self, connection: ConnectionNumber) {
        let others = self.waiting.values_mut().filter(|since| since.connection == connection);
        others.for_each(|since| since.known_at = None);
    }

    fn asks(&mut self, connection: ConnectionNumber, who: Waiting) {
        let others = self.waiting.len();
        self.waiting.insert(who, Since { connection, others, known_at: None });
        for since in self.waiting.values_mut() {
            since.others = since.others.max(others);
        }
    }
}

impl<H> Checker<H> for Pending {
    fn name(&self) -> &'static str {
        "admission: who asks is turned away only where too many wait"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        match *seen {
            Seen::Restarted { .. } => self.waiting.clear(),
            Seen::Sent(connection, Frame::Hello(_))
                if facts.connection(connection).credentials == Credentials::Unknown =>
            {
                self.asks(connection, Waiting::Hello(connection));
            }
            Seen::Sent(connection, Frame::Open(open)) => {
                let link = facts.own.find(connection, open.link);
                if let Some(link) = link.filter(|link| facts.own.link(*link).asking == Asking::Later) {
                    self.asks(connection, Waiting::Open(link));
                }
            }
            Seen::Received(connection, frame) => {
                let (who, code) = match *frame {
                    Frame::Opened { .. } => (facts.own.find(connection, frame.link()).map(Waiting::Open), None),
                    Frame::Closed { code, .. } => {
                        (facts.own.find(connection, frame.link()).map(Waiting::Open), Some(code))
                    }
                    Frame::Welcome(_) => (Some(Waiting::Hello(connection)), None),
                    Frame::Error { code, .. } => (Some(Waiting::Hello(connection)), Some(code)),
                    _ => return Ok(()),
                };
                let since = who.and_then(|who| self.waiting.remove(&who));
                if since.is_some() {
                    self.goes_on(connection);
                }
                if let Some(since) = since.filter(|since| code == Some(ErrorCode::BUSY) && since.others < self.most) {
                    let words = format!(
                        "{connection} is told that too many wait, and that were {} of {}",
                        since.others, self.most
                    );
                    return Err(words.into());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let (facts, timeout) = (view.facts, self.timeout);
        let is_decided = |who: &Waiting| match *who {
            Waiting::Hello(connection) => facts.connection(connection).credentials != Credentials::Unknown,
            Waiting::Open(link) => facts.own.link(link).decided.is_some(),
        };
        let decided: Vec<_> =
            self.waiting.iter().filter(|(who, _)| is_decided(who)).map(|(who, s)| (*who, s.connection)).collect();
        for (who, connection) in decided {
            self.waiting.remove(&who);
            self.goes_on(connection);
        }
        let several: Vec<ConnectionNumber> = self.waiting.values().map(|since| since.connection).collect();
        self.waiting.retain(|_, since| {
            let is_alone = several.iter().filter(|other| **other == since.connection).count() == 1;
            let known_at = *since.known_at.get_or_insert(facts.now());
            // The end of a connection that waits is not read.
            let is_late =
                is_alone && facts.connection(since.connection).is_over && facts.now().since(known_at) > timeout;
            !is_late
        });
        let others = self.waiting.len().saturating_sub(1);
        // Who reads has read what it was told before.
        for since in self.waiting.values_mut().filter(|since| facts.connection(since.connection).is_listening) {
            since.others = others;
        }
        Ok(())
    }
}
