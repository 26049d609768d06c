//! What the handler is told, and what waits for its clients.

use crate::simulate::checker::{Checker, Seen, Told};
use crate::simulate::facts::Facts;
use crate::simulate::setup::Setup;
use msglib_broker::ConnectionId;
use msglib_proto::Instant;
use std::borrow::Cow;
use std::collections::BTreeSet;

type Verdict = Result<(), Cow<'static, str>>;

/// I28: time never goes back, each connection begins and ends once, and nothing is told of one that is over.
#[derive(Debug, Default)]
pub(super) struct Lifecycle {
    connected: BTreeSet<ConnectionId>,
    over: BTreeSet<ConnectionId>,
    now: Instant,
}

impl<H> Checker<H> for Lifecycle {
    fn name(&self) -> &'static str {
        "I28 time goes on, and a connection begins and ends once"
    }

    fn sees(&mut self, _: &Facts, seen: &Seen<'_>) -> Verdict {
        let told = match seen {
            Seen::Told(told) => *told,
            Seen::Restarted { .. } => {
                // Another broker has a clock of its own.
                *self = Lifecycle::default();
                return Ok(());
            }
            _ => return Ok(()),
        };
        match told {
            Told::Connected(id, at) => {
                if self.over.contains(&id) || !self.connected.insert(id) {
                    return Err(format!("the handler was told twice that {id} is there").into());
                }
                self.at(at)
            }
            Told::Of(id, at) => {
                if !self.connected.contains(&id) {
                    return Err(format!("the handler was told something of {id}, which is not there").into());
                }
                self.at(at)
            }
            Told::Disconnected(id, at) => {
                if !self.connected.remove(&id) {
                    return Err(format!("the handler was told that {id} is over, which was not there").into());
                }
                self.over.insert(id);
                self.at(at)
            }
            Told::Other(at) => self.at(at),
            Told::Queued(..) => Ok(()),
        }
    }
}

impl Lifecycle {
    fn at(&mut self, at: Instant) -> Verdict {
        if at < self.now {
            return Err(format!("the handler's clock went back from {:?} to {at:?}", self.now).into());
        }
        self.now = at;
        Ok(())
    }
}

/// I24: what waits for one connection is bounded, whether its client reads or not.
#[derive(Debug)]
pub(super) struct BoundedOutbound {
    most: usize,
}

impl BoundedOutbound {
    pub(super) fn new(setup: &Setup) -> BoundedOutbound {
        /// A delivery's header, the answers to one frame, and the outcomes of one link.
        const SLACK: usize = 8 * 1024;
        /// A refusal, with its words.
        const REFUSAL: usize = 120;
        let core = &setup.broker.core;
        let frames = core.frames_per_turn.saturating_mul(setup.broker.reads_per_turn + 1);
        let refusals = REFUSAL * frames.min(setup.stock.publish_window as usize);
        let most = core.high_water + core.reserve + setup.limits.max_payload as usize + SLACK + refusals;
        BoundedOutbound { most }
    }
}

impl<H> Checker<H> for BoundedOutbound {
    fn name(&self) -> &'static str {
        "I24 what waits for a connection is bounded"
    }

    fn sees(&mut self, _: &Facts, seen: &Seen<'_>) -> Verdict {
        match *seen {
            Seen::Told(Told::Queued(id, bytes)) if bytes > self.most => {
                Err(format!("{bytes} bytes wait for {id}, and {} is the most", self.most).into())
            }
            _ => Ok(()),
        }
    }
}
