//! What channels of one's own were told, in its order: the hooks of one channel are noted around it.

use super::link::Asking;
use super::{OwnLinkNumber, facts::write_of};
use core::ops::RangeInclusive;
use msglib_broker::{Channel, ChannelContext, ChannelLink, Open, Publication, Question, Reject};
use msglib_proto::{Payload, Verdict};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One thing that a channel was told, and of which link; `None` is a link that it was not told of before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// A link is opened; false: the channel refused it.
    Opened(Option<OwnLinkNumber>, bool),
    /// Something is published on a link: which write it is, and whether the channel takes it.
    Published(Option<OwnLinkNumber>, Option<usize>, bool),
    /// Anything else of a link that is there.
    Of(Option<OwnLinkNumber>),
    /// A link is over.
    Closed(Option<OwnLinkNumber>),
}

/// The notes that nobody has looked at yet.
#[derive(Clone, Debug, Default)]
pub struct Diary {
    notes: Arc<Mutex<Vec<Note>>>,
}

impl Diary {
    /// A channel, of which is noted what it is told.
    pub fn around<C: Channel>(&self, channel: C) -> Noted<C> {
        Noted { diary: self.clone(), inner: channel, links: BTreeMap::new() }
    }

    fn note(&self, note: Note) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    pub(in crate::simulate) fn take(&self) -> Vec<Note> {
        core::mem::take(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A channel, of which is noted what it is told.
#[derive(Debug)]
pub struct Noted<C> {
    diary: Diary,
    inner: C,
    /// By the broker's name for a link: who opened it last.
    links: BTreeMap<ChannelLink, OwnLinkNumber>,
}

impl<C> Noted<C> {
    fn who(&self, link: ChannelLink) -> Option<OwnLinkNumber> {
        self.links.get(&link).copied()
    }

    fn of(&self, link: ChannelLink) {
        self.diary.note(Note::Of(self.who(link)));
    }
}

impl<C: Channel> Channel for Noted<C> {
    fn opened(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink, open: &Open<'_>) -> Result<(), Reject> {
        let who = Asking::of(open.arguments).map(|(_, who)| who);
        if let Some(who) = who {
            self.links.insert(link, who);
        }
        let result = self.inner.opened(cx, link, open);
        self.diary.note(Note::Opened(who, result.is_ok()));
        result
    }
    fn published(
        &mut self,
        cx: &mut ChannelContext<'_>,
        link: ChannelLink,
        new: Publication<'_>,
    ) -> Result<(), Reject> {
        let (who, write) = (self.who(link), write_of(&new.payload));
        let result = self.inner.published(cx, link, new);
        self.diary.note(Note::Published(who, write, result.is_ok()));
        result
    }
    fn asked(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink, question: Question<'_>) -> Result<(), Reject> {
        self.of(link);
        self.inner.asked(cx, link, question)
    }
    fn ready(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink) {
        self.of(link);
        self.inner.ready(cx, link);
    }
    fn settled(
        &mut self,
        cx: &mut ChannelContext<'_>,
        link: ChannelLink,
        tags: RangeInclusive<u64>,
        refused: Option<Verdict>,
    ) -> u64 {
        self.of(link);
        self.inner.settled(cx, link, tags, refused)
    }
    fn frame(
        &mut self,
        cx: &mut ChannelContext<'_>,
        link: ChannelLink,
        kind: u16,
        flags: u16,
        body: Payload<'_>,
    ) -> Result<(), Reject> {
        self.of(link);
        self.inner.frame(cx, link, kind, flags, body)
    }
    fn timer(&mut self, cx: &mut ChannelContext<'_>, token: u64) {
        self.inner.timer(cx, token);
    }
    fn closed(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink) {
        self.diary.note(Note::Closed(self.who(link)));
        self.inner.closed(cx, link);
    }
    fn is_needed(&self) -> bool {
        self.inner.is_needed()
    }
}
