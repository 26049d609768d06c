//! What the broker sends: each frame checked by the table of PROTOCOL §10, then by numbers and credit, then acted on.

use super::links::Link;
use super::{BrokerInfo, Core, Details, End, Event, UserFrame};
use core::ops::RangeInclusive;
use msglib_proto::{
    ConnectionState, ErrorCode, Frame, FrameType, HEADER, LinkNumber, LinkState, ProtocolError, Role, Ruling, Scope,
    VERSION, Violation, Welcome, ruling,
};
use std::sync::Arc;

/// A rule that the broker broke, and how many bytes behind the beginning of the frame.
pub(super) struct Fault {
    pub(super) at: u32,
    pub(super) violation: Violation,
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Fault {
        Fault { at: 0, violation }
    }
}

impl Core {
    /// Acts on one frame, or says which rule it breaks.
    pub(super) fn on_frame(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let frame_type = frame.frame_type();
        let link_state = match frame_type.scope() {
            Scope::Link => self.links.state(frame.link()),
            Scope::Connection | Scope::Any => LinkState::Free,
        };
        match ruling(Role::Broker, frame_type, self.peer, link_state) {
            Ruling::Accept => self.on_accepted(frame, events),
            Ruling::Ignore => Ok(()),
            Ruling::Unexpected => Err(Violation::Unexpected { frame: frame_type }.into()),
            Ruling::BadLink => Err(Violation::Link { frame: frame_type, link: frame.link() }.into()),
        }
    }

    /// Ends the session because the broker broke a rule.
    pub(super) fn on_violation(&mut self, error: ProtocolError, events: &mut Vec<Event>) -> ProtocolError {
        self.send_error(&error);
        self.over(End::Violation(error), events);
        error
    }

    fn on_accepted(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        match *frame {
            Frame::Welcome(welcome) => self.on_welcome(&welcome, events)?,
            Frame::Goodbye { code, text } => self.on_goodbye(code, text, events),
            Frame::Error { code, offset, text } => self.on_error(code, offset, text, events),
            Frame::Ping { token } => {
                self.pong_due = Some(token);
                self.answer_ping();
            }
            Frame::Pong { token } => events.push(Event::Pong { token }),
            Frame::Opened { link } => {
                if let Some(link) = self.links.get_mut(link) {
                    link.state = LinkState::Open;
                }
                events.push(Event::Opened { link });
            }
            Frame::Closed { link, code, text } => self.on_closed(link, code, text, events),
            Frame::Credit { link, upto } => events.push(self.on_credit(link, upto)?),
            Frame::Confirmed { link, upto } => events.extend(self.on_confirmed(link, upto)),
            Frame::Refused { link, first, last, code, text } => {
                let numbers = self.sent_numbers(link, first, last);
                events.extend(numbers.map(|numbers| Event::Refused { link, numbers, code, text: Arc::from(text) }));
            }
            Frame::Delivery { link, tag, count, payload } => {
                self.on_delivery(FrameType::Delivery, link, tag)?;
                let payload = self.blocks.keep(payload);
                events.push(Event::Delivery { link, tag, count, payload, details: None });
            }
            Frame::DeliveryWith { link, tag, count, retained, ref options, payload } => {
                self.on_delivery(FrameType::DeliveryWith, link, tag)?;
                let details = Some(Box::new(Details::new(retained, options)));
                events.push(Event::Delivery { link, tag, count, payload: self.blocks.keep(payload), details });
            }
            Frame::Settled { link, first, last, count } => {
                self.link_for(link, FrameType::Settled, |link| link.consumes)?;
                events.push(Event::Settled { link, tags: first..=last, count });
            }
            Frame::Gap { link, lost } => {
                self.link_for(link, FrameType::Gap, |link| link.consumes)?;
                events.push(Event::Gap { link, lost });
            }
            Frame::Request { link, number: tag, deadline_ms, payload } => {
                self.on_delivery(FrameType::Request, link, tag)?;
                events.push(Event::Request { link, tag, deadline_ms, payload: self.blocks.keep(payload) });
            }
            Frame::Reply { link, number, payload } => {
                if self.takes_outcome(FrameType::Reply, link, number)? {
                    events.push(Event::Reply { link, number, payload: self.blocks.keep(payload) });
                }
            }
            Frame::NoReply { link, number, code, text } => {
                if self.takes_outcome(FrameType::NoReply, link, number)? {
                    events.push(Event::NoReply { link, number, code, text: Arc::from(text) });
                }
            }
            Frame::GoingAway { deadline_ms } => events.push(Event::GoingAway { deadline_ms }),
            Frame::User { kind, flags, link, body } => {
                events.push(Event::User(UserFrame { kind, flags, link, body: body.share() }));
            }
            Frame::Hello(_)
            | Frame::Open(_)
            | Frame::Close { .. }
            | Frame::Publish { .. }
            | Frame::Ack { .. }
            | Frame::PublishWith { .. }
            | Frame::Producer { .. }
            | Frame::Settle { .. }
            | Frame::Refuse { .. } => return Err(Violation::Unexpected { frame: frame.frame_type() }.into()),
        }
        Ok(())
    }

    fn on_welcome(&mut self, welcome: &Welcome<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let wrong = |field: u32, rule| {
            let violation = Violation::Field { frame: FrameType::Welcome, rule };
            Err(Fault { at: HEADER + field, violation })
        };
        if welcome.version != VERSION {
            return wrong(0, "the version is one that the client speaks");
        }
        if welcome.features & !self.offered != 0 {
            return wrong(2, "the features are among those that the client has");
        }
        self.peer = ConnectionState::Greeted;
        self.links.set_max(welcome.max_links);
        self.welcome = Some(BrokerInfo {
            version: welcome.version,
            features: welcome.features,
            max_payload: welcome.max_payload,
            max_links: welcome.max_links,
            idle_ms: welcome.idle_ms,
            name: Arc::from(welcome.name),
        });
        events.push(Event::Welcome);
        Ok(())
    }

    /// Sends what is due and this side's own goodbye, if it was not said (PROTOCOL §8.2).
    fn on_goodbye(&mut self, code: ErrorCode, text: &str, events: &mut Vec<Event>) {
        let end = if self.said_goodbye { End::Closed } else { End::Goodbye { code, text: Arc::from(text) } };
        // It fails only if it was said before.
        let _ = self.goodbye();
        self.over(end, events);
    }

    /// Who receives an `ERROR` sends nothing more, not even what waits (PROTOCOL §8.1).
    fn on_error(&mut self, code: ErrorCode, offset: u64, text: &str, events: &mut Vec<Event>) {
        self.out = msglib_proto::SendQueue::new();
        self.over(End::Failed { code, offset, text: Arc::from(text) }, events);
    }

    fn over(&mut self, end: End, events: &mut Vec<Event>) {
        self.peer = ConnectionState::Over;
        self.said_goodbye = true;
        self.pong_due = None;
        self.end = Some(end);
        events.push(Event::Over);
    }

    /// The end of a link: asked for, or to be answered with a `CLOSE` (PROTOCOL §5.4). Either way the number is free.
    fn on_closed(&mut self, link: LinkNumber, code: ErrorCode, text: &str, events: &mut Vec<Event>) {
        let asked = self.links.state(link) == LinkState::Closing;
        if !asked {
            // It fails only after this side's goodbye, when the links have ended anyway.
            let _ = self.send(&Frame::Close { link });
        }
        self.links.remove(link);
        events.push(Event::LinkClosed { link, asked, code, text: Arc::from(text) });
    }

    /// Credit for publishes, which never goes back (PROTOCOL §6.2).
    fn on_credit(&mut self, number: LinkNumber, upto: u64) -> Result<Event, Fault> {
        let link = self.link_for(number, FrameType::Credit, |link| link.publishes)?;
        if upto < link.publish_credit {
            return Err(Violation::CreditWentBack { link: number, had: link.publish_credit, now: upto }.into());
        }
        link.publish_credit = upto;
        Ok(Event::Credit { link: number, upto })
    }

    /// A receiver need not check `upto` (PROTOCOL §7.2): what says nothing new, or was never sent, changes nothing.
    fn on_confirmed(&mut self, number: LinkNumber, upto: u64) -> Option<Event> {
        let link = self.links.get_mut(number)?;
        let upto = upto.min(link.published);
        if upto <= link.confirmed {
            return None;
        }
        link.confirmed = upto;
        Some(Event::Confirmed { link: number, upto })
    }

    /// The part of a refused range that was sent and has no outcome yet.
    fn sent_numbers(&self, link: LinkNumber, first: u64, last: u64) -> Option<RangeInclusive<u64>> {
        let link = self.links.get(link)?;
        let numbers = first.max(link.confirmed.saturating_add(1))..=last.min(link.published);
        (!numbers.is_empty()).then_some(numbers)
    }

    /// Tags are numbered one by one, and within the credit (PROTOCOL §6).
    fn on_delivery(&mut self, frame: FrameType, number: LinkNumber, tag: u64) -> Result<(), Fault> {
        let link = self.link_for(number, frame, |link| link.consumes)?;
        let expected = link.delivered.saturating_add(1);
        if tag != expected {
            return Err(Violation::Number { frame, link: number, number: tag, expected }.into());
        }
        if tag > link.granted {
            return Err(Violation::CreditExceeded { frame, link: number, number: tag, credit: link.granted }.into());
        }
        link.delivered = tag;
        Ok(())
    }

    /// Whether the outcome is of a request that was made; one that never was changes nothing, as of a publish (PROTOCOL §7.2).
    fn takes_outcome(&mut self, frame: FrameType, number: LinkNumber, request: u64) -> Result<bool, Fault> {
        let link = self.link_for(number, frame, |link| link.publishes)?;
        Ok(request <= link.published)
    }

    fn link_for(&mut self, number: LinkNumber, frame: FrameType, fits: fn(&Link) -> bool) -> Result<&mut Link, Fault> {
        let link = self.links.get_mut(number).filter(|link| fits(link));
        link.ok_or(Fault { at: 0, violation: Violation::Link { frame, link: number } })
    }
}
