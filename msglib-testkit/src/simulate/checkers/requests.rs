//! Requests, as those see them who ask and who answer.

use crate::simulate::checker::{Checker, Seen, View};
use crate::simulate::facts::{Facts, Outcome};
use crate::simulate::featured::{Channel, FeaturedLink};
use msglib_proto::{ErrorCode, Frame, LinkState};
use std::borrow::Cow;
use std::time::Duration;

type Verdict = Result<(), Cow<'static, str>>;

/// I21: each request has one outcome, and it is its own.
#[derive(Debug, Default)]
pub(super) struct OneAnswer {
    /// Requests whose responder is said to be gone, and no end of one is known yet.
    suspicions: Vec<usize>,
}

impl<H> Checker<H> for OneAnswer {
    fn name(&self) -> &'static str {
        "I21 a request has one outcome, of its own"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Seen::Received(connection, frame) = seen else { return Ok(()) };
        let Some(index) = facts.featured.find(*connection, frame.link()) else { return Ok(()) };
        let number = match frame {
            Frame::Reply { number, .. } | Frame::NoReply { number, .. } => *number,
            _ => return Ok(()),
        };
        let Some(request) = facts.featured.request(index, number) else {
            return Err(format!("link {index} received {frame:?}, and did not ask").into());
        };
        let said = facts.featured.said(request);
        if said.is_over {
            return Err(format!("request {request} has another outcome: {frame:?}").into());
        }
        let is_right = match frame {
            Frame::Reply { payload, .. } => {
                facts.featured.said_of(payload) == Some(request) && payload.get(8..) == Some(b"=") && said.answered.0
            }
            Frame::NoReply { code: ErrorCode::TIMED_OUT, .. } => {
                facts.now() >= said.sent_at + Duration::from_millis(said.deadline_ms.into())
            }
            Frame::NoReply { code: ErrorCode::RESPONDER_GONE, .. } => {
                self.suspicions.push(request);
                true
            }
            Frame::NoReply { code, .. } if *code == ErrorCode::user(7) => said.answered.1,
            _ => true,
        };
        match is_right {
            true => Ok(()),
            false => Err(format!("request {request}, sent at {:?}, has {frame:?}: {said:?}", said.sent_at).into()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let featured = &view.facts.featured;
        for request in self.suspicions.drain(..) {
            let said = featured.said(request);
            let has_lost = featured.has_lost_responder(said.to, said.rest) || is_anybody_leaving(view.facts, said.to);
            if !has_lost && !view.facts.may_be_cut && featured.is_of_this_life(request) {
                return Err(format!("request {request} has lost its responder, and all are there").into());
            }
        }
        let is_served = |service: usize| {
            featured.links().any(|(_, link)| link.consumes && link.channel == Channel::Service(service))
        };
        for (number, said) in featured.all_said().filter(|(_, said)| said.is_request && !said.is_over) {
            if !is_live(view.facts, featured.link(said.link)) || said.outcome == Outcome::Refused {
                continue;
            }
            let late = said.known_at.map(|at| at + Duration::from_millis(said.deadline_ms.into()));
            if late.is_some_and(|late| view.facts.now() > late) {
                return Err(format!("request {number} has no outcome, and its time is over: {said:?}").into());
            }
            if (said.answered.0 || said.answered.1) && view.facts.is_everybody_there() {
                return Err(format!("request {number} was answered, and has no outcome: {said:?}").into());
            }
            if !is_served(said.to) && view.facts.is_everybody_there() {
                return Err(format!("request {number} has no outcome, and nobody is there to answer").into());
            }
        }
        Ok(())
    }
}

/// I21, I11, I12: each request goes to one responder, within its credit, and does not wait for one that is free.
#[derive(Debug, Default)]
pub(super) struct OneResponder;

impl<H> Checker<H> for OneResponder {
    fn name(&self) -> &'static str {
        "I21 a request goes to one responder"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Verdict {
        let Seen::Received(connection, Frame::Request { link, number, deadline_ms, payload }) = seen else {
            return Ok(());
        };
        let Some(index) = facts.featured.find(*connection, *link) else { return Ok(()) };
        let link = facts.featured.link(index);
        if *number != link.delivered + 1 || *number > link.granted {
            let words =
                format!("link {index} received {number} behind {}, and allows {}", link.delivered, link.granted);
            return Err(words.into());
        }
        let request = facts.featured.said_of(payload).filter(|_| payload.get(8..) == Some(b"?"));
        let Some(request) = request.filter(|request| facts.featured.is_of_this_life(*request)) else {
            return Err(format!("link {index} received a request that nobody has made").into());
        };
        let said = facts.featured.said(request);
        if link.channel != Channel::Service(said.to) || !said.is_request {
            return Err(format!("link {index} received request {request}, which is for {}", said.name()).into());
        }
        if let Some(other) = said.responder {
            return Err(format!("link {index} received request {request}, and so did {other}").into());
        }
        match *deadline_ms <= said.deadline_ms {
            true => Ok(()),
            false => Err(format!("request {request} has {deadline_ms} ms left of {}", said.deadline_ms).into()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Verdict {
        let featured = &view.facts.featured;
        if !view.facts.is_everybody_there() {
            return Ok(());
        }
        let waits = |said: &crate::simulate::featured::Said| {
            said.is_request && !said.is_over && said.responder.is_none() && said.outcome == Outcome::Accepted
        };
        for (number, said) in featured.all_said().filter(|(_, said)| waits(said)) {
            let is_free = |link: &FeaturedLink| {
                link.consumes && link.channel == Channel::Service(said.to) && link.granted > link.delivered
            };
            let free = featured.links().find(|(_, link)| is_free(link) && is_live(view.facts, link));
            if let Some((link, _)) = free {
                return Err(format!("request {number} waits, and link {link} could have it (I12)").into());
            }
        }
        Ok(())
    }
}

/// Whether a responder has said that it goes, or is stalled, so that its end may be known to the broker alone.
fn is_anybody_leaving(facts: &Facts, service: usize) -> bool {
    let of_service = |link: &FeaturedLink| link.consumes && link.channel == Channel::Service(service);
    facts.featured.links().any(|(_, link)| of_service(link) && !is_live(facts, link))
}

fn is_live(facts: &Facts, link: &FeaturedLink) -> bool {
    let connection = facts.connection(link.connection);
    link.state == LinkState::Open && connection.is_listening && !connection.is_over && !connection.is_leaving
}
