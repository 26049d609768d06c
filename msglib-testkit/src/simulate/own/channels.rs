//! The channels: as a user would write them, for the stock handler of a run.

use super::facts::{IS_PANIC, IS_REFUSED};
use crate::simulate::guest::panic_in_hook;
use bytes::Bytes;
use msglib_broker::{Channel, ChannelContext, ChannelLink, ErrorCode, Open, Publication, Reject};
use std::collections::BTreeMap;

/// A cell holds a value. A watcher that is slow misses what was overwritten meanwhile, and never the last.
#[derive(Debug, Default)]
pub struct Cell {
    value: Bytes,
    version: u64,
    /// Which version each has seen.
    watchers: BTreeMap<ChannelLink, u64>,
}

impl Cell {
    fn tell(&mut self, cx: &mut ChannelContext<'_>) {
        for (link, seen) in &mut self.watchers {
            if *seen < self.version && cx.deliver(*link, 1, &self.value).is_ok() {
                *seen = self.version;
            }
        }
    }
}

impl Channel for Cell {
    fn opened(&mut self, _: &mut ChannelContext<'_>, link: ChannelLink, open: &Open<'_>) -> Result<(), Reject> {
        refuse_if_asked(open)?;
        if open.consumes {
            self.watchers.insert(link, 0);
        }
        Ok(())
    }
    fn published(&mut self, cx: &mut ChannelContext<'_>, _: ChannelLink, new: Publication<'_>) -> Result<(), Reject> {
        match new.payload.get(8) {
            Some(&IS_REFUSED) => return Err(Reject::new(ErrorCode::user(9), "no such value")),
            Some(&IS_PANIC) => panic_in_hook(),
            _ => {}
        }
        self.value = new.payload.share();
        self.version += 1;
        self.tell(cx);
        Ok(())
    }
    fn ready(&mut self, cx: &mut ChannelContext<'_>, _: ChannelLink) {
        self.tell(cx);
    }
    fn closed(&mut self, _: &mut ChannelContext<'_>, link: ChannelLink) {
        self.watchers.remove(&link);
    }
    fn is_needed(&self) -> bool {
        self.version > 0
    }
}

/// How many a barrier waits for.
pub const PARTY: usize = 3;

/// A barrier lets through as many as it waits for, together: a link comes to it with credit, and goes on with a delivery, the number of the
/// round.
#[derive(Debug, Default)]
pub struct Barrier {
    waiting: Vec<ChannelLink>,
    /// Let through, and there was no room to say so.
    owed: BTreeMap<ChannelLink, u64>,
    round: u64,
}

impl Barrier {
    fn tell(&mut self, cx: &mut ChannelContext<'_>) {
        self.owed.retain(|link, round| cx.deliver(*link, 1, &round.to_be_bytes()).is_err());
    }
}

impl Channel for Barrier {
    fn opened(&mut self, _: &mut ChannelContext<'_>, _: ChannelLink, open: &Open<'_>) -> Result<(), Reject> {
        refuse_if_asked(open)
    }
    fn ready(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink) {
        self.tell(cx);
        if cx.credit(link) > 0 && !self.owed.contains_key(&link) && !self.waiting.contains(&link) {
            self.waiting.push(link);
        }
        if self.waiting.len() == PARTY {
            self.round += 1;
            self.owed.extend(self.waiting.drain(..).map(|link| (link, self.round)));
            self.tell(cx);
        }
    }
    fn closed(&mut self, _: &mut ChannelContext<'_>, gone: ChannelLink) {
        self.waiting.retain(|link| *link != gone);
        self.owed.remove(&gone);
    }
    /// So that a round has its number for itself.
    fn is_needed(&self) -> bool {
        self.round > 0
    }
}

fn refuse_if_asked(open: &Open<'_>) -> Result<(), Reject> {
    match super::Asking::of(open.arguments) {
        Some((super::Asking::RefusedByChannel, _)) => Err(Reject::new(ErrorCode::user(8), "no such link")),
        _ => Ok(()),
    }
}
