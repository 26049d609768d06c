//! The links of one connection: states, numbers and credit (PROTOCOL §5, §6).

use msglib_proto::{FrameType, INITIAL_PUBLISH_CREDIT, LinkNumber, LinkState, Violation};

/// One link, as the broker sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(super) state: LinkState,
    pub(super) publishes: bool,
    pub(super) consumes: bool,
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
    fn new(publishes: bool, consumes: bool) -> Link {
        Link {
            state: LinkState::Opening,
            publishes,
            consumes,
            published: 0,
            publish_credit: INITIAL_PUBLISH_CREDIT,
            confirmed: 0,
            delivered: 0,
            delivery_credit: 0,
        }
    }

    /// The next publish: numbers one by one, and within the credit (PROTOCOL §6.1, §6.2).
    pub(super) fn publish(&mut self, link: LinkNumber, number: u64) -> Result<(), Violation> {
        let frame = FrameType::Publish;
        if !self.publishes {
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
    pub(super) fn open(
        &mut self,
        link: LinkNumber,
        publishes: bool,
        consumes: bool,
        max_links: u32,
    ) -> Result<(), Violation> {
        let next = (self.links.len() as u32 + 1).min(max_links);
        if link > next {
            return Err(Violation::LinkNumber { link, next });
        }
        let fresh = Link::new(publishes, consumes);
        match self.get_mut(link) {
            Some(slot) => *slot = fresh,
            None => self.links.push(fresh),
        }
        Ok(())
    }
}
