//! What the session sends: each frame checked against PROTOCOL §4.4 to §7 before it is queued.

use super::{Core, End, SessionError};
use core::ops::RangeInclusive;
use msglib_proto::{
    ChannelKind, ChannelName, ErrorCode, Feature, Frame, LinkNumber, LinkState, MAX_HELLO, Open, Payload,
    ProtocolError, PublishOptions, SendQueue, Settling, Verdict, encode,
};

/// While more than this waits, the answer to a ping waits as well, and the latest one answers for all before it
/// (PROTOCOL §8.3). So a broker that pings and does not read cannot make the queue grow.
const PONG_BELOW: usize = 64 * 1024;

impl Core {
    pub(super) fn open(
        &mut self,
        kind: ChannelKind,
        name: ChannelName<'_>,
        publishes: bool,
        consumes: bool,
        arguments: &[u8],
    ) -> Result<LinkNumber, SessionError> {
        self.check_alive()?;
        let link = self.links.next_number().ok_or(SessionError::NoFreeLink { max: self.links.max() })?;
        self.send(&Frame::Open(Open { link, publishes, consumes, kind, name, arguments }))?;
        self.links.open(link, publishes, consumes);
        Ok(link)
    }

    pub(super) fn publish(
        &mut self,
        number: LinkNumber,
        payload: Payload<'_>,
        confirm: bool,
    ) -> Result<u64, SessionError> {
        let link = number;
        self.numbered(link, payload.len(), |number| Frame::Publish { link, number, confirm, payload })
    }

    /// Queues a frame with the next number of a publishing link, within its credit.
    #[inline]
    fn numbered<'f>(
        &mut self,
        number: LinkNumber,
        size: usize,
        frame: impl FnOnce(u64) -> Frame<'f>,
    ) -> Result<u64, SessionError> {
        self.check_alive()?;
        let link = self.links.get(number).filter(|link| link.publishes && link.is_usable());
        let link = link.ok_or(SessionError::NoSuchLink { link: number })?;
        // 2⁶⁴−1 is the end of the range and allows all (PROTOCOL §6.2); no sender gets beyond it.
        let (next, credit) = (link.published.saturating_add(1), link.publish_credit);
        self.check_size(size)?;
        if next > credit {
            return Err(SessionError::NoCredit { link: number, credit });
        }
        self.send(&frame(next))?;
        if let Some(link) = self.links.get_mut(number) {
            link.published = next;
        }
        Ok(next)
    }

    pub(super) fn publish_with(
        &mut self,
        link: LinkNumber,
        payload: Payload<'_>,
        confirm: bool,
        retain: bool,
        options: &PublishOptions<'_>,
    ) -> Result<u64, SessionError> {
        if options.is_empty() && !retain {
            return self.publish(link, payload, confirm);
        }
        let needed = if retain || options.topic.is_some() { Feature::Topics } else { Feature::Queues };
        self.check_agreed(needed)?;
        self.numbered(link, payload.len(), |number| Frame::PublishWith {
            link,
            number,
            confirm,
            retain,
            options: *options,
            payload,
        })
    }

    pub(super) fn producer(&mut self, number: LinkNumber, id: u128, base: u64) -> Result<(), SessionError> {
        self.check_agreed(Feature::Queues)?;
        let link = self.links.get(number).filter(|link| link.publishes && link.is_usable() && link.published == 0);
        link.ok_or(SessionError::NoSuchLink { link: number })?;
        self.send(&Frame::Producer { link: number, id, base })
    }

    pub(super) fn settle(
        &mut self,
        link: LinkNumber,
        tags: RangeInclusive<u64>,
        settling: Settling,
        confirm: bool,
    ) -> Result<(), SessionError> {
        self.check_agreed(Feature::Queues)?;
        self.consumer(link)?;
        self.flush_acks(link);
        self.send(&Frame::Settle { link, first: *tags.start(), last: *tags.end(), confirm, settling })
    }

    pub(super) fn request(
        &mut self,
        link: LinkNumber,
        payload: Payload<'_>,
        deadline_ms: u32,
    ) -> Result<u64, SessionError> {
        self.check_agreed(Feature::Requests)?;
        self.numbered(link, payload.len(), |number| Frame::Request { link, number, deadline_ms, payload })
    }

    pub(super) fn reply(&mut self, link: LinkNumber, tag: u64, payload: Payload<'_>) -> Result<(), SessionError> {
        self.check_agreed(Feature::Requests)?;
        self.consumer(link)?;
        self.check_size(payload.len())?;
        self.send(&Frame::Reply { link, number: tag, payload })
    }

    pub(super) fn no_reply(
        &mut self,
        link: LinkNumber,
        tag: u64,
        code: ErrorCode,
        text: &str,
    ) -> Result<(), SessionError> {
        self.check_agreed(Feature::Requests)?;
        self.consumer(link)?;
        self.send(&Frame::NoReply { link, number: tag, code, text })
    }

    /// The features that both sides have; none before the `WELCOME`.
    pub(super) fn features(&self) -> u64 {
        self.welcome.as_ref().map_or(0, |welcome| welcome.features)
    }

    /// What a feature adds may be used only after the `WELCOME` has named it (PROTOCOL §12.1).
    pub(super) fn check_agreed(&self, feature: Feature) -> Result<(), SessionError> {
        self.check_alive()?;
        match &self.welcome {
            None => Err(SessionError::BeforeWelcome),
            Some(welcome) if !feature.is_in(welcome.features) => Err(SessionError::NotAgreed(feature)),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn grant(&mut self, link: LinkNumber, upto: u64) -> Result<(), SessionError> {
        if upto <= self.consumer(link)?.granted {
            return Ok(());
        }
        self.send(&Frame::Credit { link, upto })?;
        if let Some(link) = self.links.get_mut(link) {
            link.granted = upto;
        }
        Ok(())
    }

    pub(super) fn ack(&mut self, link: LinkNumber, tags: RangeInclusive<u64>) -> Result<(), SessionError> {
        self.consumer(link)?;
        if let Some(link) = self.links.get_mut(link) {
            link.acks.insert(tags);
        }
        Ok(())
    }

    pub(super) fn refuse(
        &mut self,
        link: LinkNumber,
        tags: RangeInclusive<u64>,
        verdict: Verdict,
    ) -> Result<(), SessionError> {
        self.consumer(link)?;
        self.send(&Frame::Refuse { link, first: *tags.start(), last: *tags.end(), verdict })
    }

    /// Acks need a delivery, so they come after the `WELCOME` and nothing can refuse them; if there were one that could
    /// not be sent, its delivery would only come again.
    pub(super) fn flush_acks(&mut self, link: LinkNumber) {
        while let Some(tags) = self.links.get_mut(link).and_then(|link| link.acks.pop_first()) {
            let _ = self.send(&Frame::Ack { link, first: *tags.start(), last: *tags.end() });
        }
    }

    pub(super) fn flush_all_acks(&mut self) {
        for link in self.links.numbers() {
            self.flush_acks(link);
        }
    }

    pub(super) fn close_link(&mut self, link: LinkNumber) -> Result<(), SessionError> {
        self.check_alive()?;
        self.links.get(link).filter(|link| link.is_usable()).ok_or(SessionError::NoSuchLink { link })?;
        self.flush_acks(link);
        self.send(&Frame::Close { link })?;
        if let Some(link) = self.links.get_mut(link) {
            link.state = LinkState::Closing;
        }
        Ok(())
    }

    pub(super) fn goodbye(&mut self) -> Result<(), SessionError> {
        self.check_alive()?;
        self.flush_all_acks();
        self.send(&Frame::Goodbye { code: ErrorCode::NONE, text: "" })?;
        self.said_goodbye = true;
        Ok(())
    }

    /// Tells the broker what it did wrong. Left out where even that is more than may be sent (PROTOCOL §4.4).
    pub(super) fn send_error(&mut self, error: &ProtocolError) {
        let text = error.violation.to_string();
        let _ = self.send(&Frame::Error { code: error.code(), offset: error.offset, text: &text });
    }

    pub(super) fn answer_ping(&mut self) {
        if self.out.len() < PONG_BELOW
            && let Some(token) = self.pong_due.take()
        {
            let _ = self.send(&Frame::Pong { token });
        }
    }

    /// Queues a frame if the session's state allows any.
    pub(super) fn send(&mut self, frame: &Frame<'_>) -> Result<(), SessionError> {
        self.check_alive()?;
        if self.welcome.is_none() {
            return self.send_before_welcome(frame);
        }
        let before = self.out.len();
        encode(frame, &mut self.out)?;
        self.queued += (self.out.len() - before) as u64;
        Ok(())
    }

    /// What may be sent before the `WELCOME` has 16,384 bytes in all (PROTOCOL §4.4).
    fn send_before_welcome(&mut self, frame: &Frame<'_>) -> Result<(), SessionError> {
        let mut encoded = SendQueue::new();
        encode(frame, &mut encoded)?;
        let queued = self.queued + encoded.len() as u64;
        if queued > u64::from(MAX_HELLO) {
            return Err(SessionError::BeforeWelcome);
        }
        self.out.append(&mut encoded);
        self.queued = queued;
        Ok(())
    }

    /// The broker's `max_payload`; before that is known, what could be sent at all.
    pub(super) fn check_size(&self, length: usize) -> Result<(), SessionError> {
        match &self.welcome {
            Some(welcome) if length as u64 > u64::from(welcome.max_payload) => {
                Err(SessionError::TooLarge { length, max: welcome.max_payload })
            }
            None if length as u64 > u64::from(MAX_HELLO) => Err(SessionError::BeforeWelcome),
            _ => Ok(()),
        }
    }

    pub(super) fn check_alive(&self) -> Result<(), SessionError> {
        match &self.end {
            Some(end) => Err(SessionError::Over(end.clone())),
            None if self.said_goodbye => Err(SessionError::Over(End::Closed)),
            None => Ok(()),
        }
    }

    /// The link, if deliveries can be allowed and settled on it.
    fn consumer(&self, number: LinkNumber) -> Result<&super::links::Link, SessionError> {
        self.check_alive()?;
        let link = self.links.get(number).filter(|link| link.consumes && link.is_usable());
        link.ok_or(SessionError::NoSuchLink { link: number })
    }
}
