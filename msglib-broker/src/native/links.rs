//! The links of one connection: states, numbers and credit (PROTOCOL §5, §6).

use msglib_proto::{ChannelKind, FrameType, INITIAL_PUBLISH_CREDIT, LinkNumber, LinkState, Open, Violation};

/// One link, as the broker sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(super) state: LinkState,
    pub(super) publishes: bool,
    pub(super) consumes: bool,
    /// It asks and answers instead of publishing and being delivered to, or as well (PROTOCOL §17.1).
    pub(super) calls: bool,
    pub(super) answers: bool,
    /// Its publishes have sequences.
    pub(super) has_producer: bool,
    /// The last number that was published.
    pub(super) published: u64,
    /// The last number that may be published.
    pub(super) publish_credit: u64,
    /// The last number that was confirmed.
    pub(super) confirmed: u64,
    /// The last tag that was delivered.
    pub(crate) delivered: u64,
    /// The last tag that may be delivered.
    pub(crate) delivery_credit: u64,
}

impl Link {
    /// A service's links take requests alone; those of the user's kinds take all that there is.
    fn new(open: &Open<'_>) -> Link {
        let (is_service, is_users) = (open.kind == ChannelKind::SERVICE, open.kind >= ChannelKind::USER);
        Link {
            state: LinkState::Opening,
            publishes: open.publishes && !is_service,
            consumes: open.consumes,
            calls: open.publishes && (is_service || is_users),
            answers: open.consumes && (is_service || is_users),
            has_producer: false,
            published: 0,
            publish_credit: INITIAL_PUBLISH_CREDIT,
            confirmed: 0,
            delivered: 0,
            delivery_credit: 0,
        }
    }

    /// The next publish: numbers one by one, and within the credit (PROTOCOL §6.1, §6.2).
    #[inline]
    pub(super) fn publish(&mut self, frame: FrameType, link: LinkNumber, number: u64) -> Result<(), Violation> {
        let may = if frame == FrameType::Request { self.calls } else { self.publishes };
        if !may {
            return Err(Violation::Link { frame, link });
        }
        let expected = self.published + 1;
        if number != expected {
            return Err(Violation::Number { frame, link, number, expected });
        }
        if number > self.publish_credit {
            return Err(Violation::CreditExceeded { frame, link, number, credit: self.publish_credit });
        }
        self.published = number;
        Ok(())
    }

    /// Who publishes must be known before the first publish, and once (PROTOCOL §15.6).
    pub(super) fn produce(&mut self, link: LinkNumber) -> Result<(), Violation> {
        if !self.publishes || self.has_producer || self.published > 0 {
            return Err(Violation::Link { frame: FrameType::Producer, link });
        }
        self.has_producer = true;
        Ok(())
    }

    /// Credit for deliveries never goes back (PROTOCOL §6.2).
    pub(super) fn grant(&mut self, link: LinkNumber, upto: u64) -> Result<(), Violation> {
        if !self.consumes {
            return Err(Violation::Link { frame: FrameType::Credit, link });
        }
        if upto < self.delivery_credit {
            return Err(Violation::CreditWentBack { link, had: self.delivery_credit, now: upto });
        }
        self.delivery_credit = upto;
        Ok(())
    }
}

/// The links by number; grows by one with each number that is used for the first time.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: Vec<Link>,
}

impl Links {
    pub(super) fn state(&self, link: LinkNumber) -> LinkState {
        self.get(link).map_or(LinkState::Free, |link| link.state)
    }

    pub(super) fn get(&self, link: LinkNumber) -> Option<&Link> {
        self.links.get((link as usize).checked_sub(1)?)
    }

    pub(super) fn get_mut(&mut self, link: LinkNumber) -> Option<&mut Link> {
        self.links.get_mut((link as usize).checked_sub(1)?)
    }

    /// A new link takes a number that is free again, or the one above the highest so far (PROTOCOL §5.2). The caller has
    /// seen that the number is free.
    pub(super) fn open(&mut self, open: &Open<'_>, max_links: u32) -> Result<(), Violation> {
        let link = open.link;
        let next = (self.links.len() as u32 + 1).min(max_links);
        if link > next {
            return Err(Violation::LinkNumber { link, next });
        }
        let fresh = Link::new(open);
        match self.get_mut(link) {
            Some(slot) => *slot = fresh,
            None => self.links.push(fresh),
        }
        Ok(())
    }
}
