//! Bugs in channels of one's own, in what they are told, and in who decides about links to them.

use msglib_broker::{
    Admission, Channel, ChannelContext, ChannelLink, ConnectionHandler, ConnectionId, Context, ErrorCode, Open,
    PendingAnswer, Publication, Reject,
};
use msglib_testkit::simulate::Setup;
use msglib_testkit::simulate::own::{Asking, BARRIER, Barrier, CELL, Cell};
use std::collections::BTreeMap;

/// What is wrong with a cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CellBug {
    ForgetsRoom,
    ForgetsThoseWhoComeLate,
    TellsAgain,
    TellsTheFirst,
    TellsWhatItRefuses,
    ChangesValues,
    TakesWhatItRefuses,
}

/// A cell of its own, for the one in the library has no bugs to switch on.
struct BadCell {
    bug: CellBug,
    value: Vec<u8>,
    version: u64,
    watchers: BTreeMap<ChannelLink, u64>,
}

impl BadCell {
    fn tell(&mut self, cx: &mut ChannelContext<'_>) {
        let bug = self.bug;
        let mut value = self.value.clone();
        if let (CellBug::ChangesValues, Some(last)) = (bug, value.last_mut()) {
            *last ^= 1;
        }
        for (link, seen) in &mut self.watchers {
            let is_due = *seen < self.version || bug == CellBug::TellsAgain;
            if is_due && self.version > 0 && cx.deliver(*link, 1, &value).is_ok() {
                *seen = self.version;
            }
        }
    }
}

impl Channel for BadCell {
    fn opened(&mut self, _: &mut ChannelContext<'_>, link: ChannelLink, open: &Open<'_>) -> Result<(), Reject> {
        refuse_if_asked(open)?;
        if open.consumes {
            let is_blind = self.bug == CellBug::ForgetsThoseWhoComeLate;
            self.watchers.insert(link, if is_blind { self.version } else { 0 });
        }
        Ok(())
    }
    fn published(&mut self, cx: &mut ChannelContext<'_>, _: ChannelLink, new: Publication<'_>) -> Result<(), Reject> {
        let is_bad = new.payload.get(8) == Some(&b'-') && self.bug != CellBug::TakesWhatItRefuses;
        if !is_bad || self.bug == CellBug::TellsWhatItRefuses {
            if self.bug != CellBug::TellsTheFirst || self.version == 0 {
                self.value = new.payload.to_vec();
            }
            self.version += 1;
            self.tell(cx);
        }
        if is_bad { Err(Reject::new(ErrorCode::user(9), "no such value")) } else { Ok(()) }
    }
    fn ready(&mut self, cx: &mut ChannelContext<'_>, _: ChannelLink) {
        if self.bug != CellBug::ForgetsRoom {
            self.tell(cx);
        }
    }
    fn closed(&mut self, _: &mut ChannelContext<'_>, link: ChannelLink) {
        self.watchers.remove(&link);
    }
    fn is_needed(&self) -> bool {
        self.version > 0
    }
}

/// What is wrong with a barrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BarrierBug {
    OpensEarly,
    LeavesOneBehind,
    WaitsForMore,
    WaitsForThoseWhoLeft,
    LetsOneGoAlone,
}

#[derive(Debug)]
struct BadBarrier {
    bug: BarrierBug,
    waiting: Vec<ChannelLink>,
    owed: BTreeMap<ChannelLink, u64>,
    round: u64,
}

impl BadBarrier {
    fn tell(&mut self, cx: &mut ChannelContext<'_>) {
        self.owed.retain(|link, round| cx.deliver(*link, 1, &round.to_be_bytes()).is_err());
    }

    fn party(&self) -> usize {
        match self.bug {
            BarrierBug::OpensEarly => 2,
            BarrierBug::WaitsForMore => 4,
            BarrierBug::LetsOneGoAlone if self.round % 3 == 2 => 1,
            _ => 3,
        }
    }
}

impl Channel for BadBarrier {
    fn opened(&mut self, _: &mut ChannelContext<'_>, _: ChannelLink, open: &Open<'_>) -> Result<(), Reject> {
        refuse_if_asked(open)
    }
    fn ready(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink) {
        self.tell(cx);
        if cx.credit(link) > 0 && !self.owed.contains_key(&link) && !self.waiting.contains(&link) {
            self.waiting.push(link);
        }
        if self.waiting.len() >= self.party() {
            self.round += 1;
            if self.bug == BarrierBug::LeavesOneBehind {
                self.waiting.pop();
            }
            self.owed.extend(self.waiting.drain(..).map(|link| (link, self.round)));
            self.tell(cx);
        }
    }
    fn closed(&mut self, _: &mut ChannelContext<'_>, gone: ChannelLink) {
        if self.bug != BarrierBug::WaitsForThoseWhoLeft {
            self.waiting.retain(|link| *link != gone);
        }
        self.owed.remove(&gone);
    }
    fn is_needed(&self) -> bool {
        self.round > 0
    }
}

fn refuse_if_asked(open: &Open<'_>) -> Result<(), Reject> {
    match Asking::of(open.arguments) {
        Some((Asking::RefusedByChannel, _)) => Err(Reject::new(ErrorCode::user(8), "no such link")),
        _ => Ok(()),
    }
}

/// What is wrong between a broker and its channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum HookBug {
    EndsTwice,
    EndsNever,
    BeginsTwice,
    GoesOnBehindTheEnd,
}

/// A channel, which is told something else.
struct Misled<C> {
    bug: HookBug,
    inner: C,
}

impl<C: Channel> Channel for Misled<C> {
    fn opened(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink, open: &Open<'_>) -> Result<(), Reject> {
        if self.bug == HookBug::BeginsTwice {
            self.inner.opened(cx, link, open)?;
        }
        self.inner.opened(cx, link, open)
    }
    fn published(
        &mut self,
        cx: &mut ChannelContext<'_>,
        link: ChannelLink,
        new: Publication<'_>,
    ) -> Result<(), Reject> {
        self.inner.published(cx, link, new)
    }
    fn ready(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink) {
        self.inner.ready(cx, link);
    }
    fn closed(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink) {
        match self.bug {
            HookBug::EndsNever => return,
            HookBug::EndsTwice => self.inner.closed(cx, link),
            _ => {}
        }
        self.inner.closed(cx, link);
        if self.bug == HookBug::GoesOnBehindTheEnd {
            self.inner.ready(cx, link);
        }
    }
    fn is_needed(&self) -> bool {
        self.inner.is_needed()
    }
}

/// What is wrong with who decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum GateBug {
    OpensWhatNobodyMay,
    DoesNotAsk,
    OpensAtOnce,
    AnswersForAnother,
    ForgetsWhatItOwes,
    TurnsEverybodyAway,
}

/// Who decides about links, and gets it wrong.
struct BadGate {
    bug: GateBug,
    setup: Setup,
    before: Option<(usize, PendingAnswer)>,
}

impl Admission for BadGate {
    fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
        let (Some((asking, link)), true) = (Asking::of(open.arguments), matches!(open.kind, CELL | BARRIER)) else {
            return Ok(());
        };
        match (asking, self.bug) {
            (Asking::Refused, GateBug::OpensWhatNobodyMay) | (Asking::Later, GateBug::DoesNotAsk) => Ok(()),
            (Asking::Later, GateBug::TurnsEverybodyAway) => Err(Reject::new(ErrorCode::BUSY, "too many")),
            (Asking::Refused, _) => Err(Reject::new(ErrorCode::NOT_ALLOWED, "not anybody")),
            (Asking::Later, bug) => {
                let answer = cx.answer_later(from)?;
                match bug {
                    GateBug::OpensAtOnce => answer.allow(),
                    GateBug::ForgetsWhatItOwes => drop(answer),
                    // Whoever came before gets the answer that this one was meant to get.
                    GateBug::AnswersForAnother => {
                        if let Some((_, other)) = self.before.replace((link, answer)) {
                            self.setup.door.keep_open(link, other);
                        }
                    }
                    _ => self.setup.door.keep_open(link, answer),
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn handler<C: Channel + 'static, B: Channel + 'static>(
    setup: &Setup,
    cell: impl Fn() -> C + Send + 'static,
    barrier: impl Fn() -> B + Send + 'static,
) -> ConnectionHandler {
    let handler = ConnectionHandler::with_config(setup.stock.clone()).with_admission(setup.door.keeper());
    handler.with_channel(CELL, move |_| cell()).with_channel(BARRIER, move |_| barrier())
}

macro_rules! cells {
    ($($name:ident: $bug:ident;)+) => {
        $(
            pub fn $name(setup: &Setup) -> ConnectionHandler {
                let (bug, cells, barriers) = (CellBug::$bug, setup.diary.clone(), setup.diary.clone());
                let cell = move || BadCell { bug, value: Vec::new(), version: 0, watchers: BTreeMap::new() };
                handler(setup, move || cells.around(cell()), move || barriers.around(Barrier::default()))
            }
        )+
    };
}

macro_rules! barriers {
    ($($name:ident: $bug:ident;)+) => {
        $(
            pub fn $name(setup: &Setup) -> ConnectionHandler {
                let (bug, cells, barriers) = (BarrierBug::$bug, setup.diary.clone(), setup.diary.clone());
                let barrier = move || BadBarrier { bug, waiting: Vec::new(), owed: BTreeMap::new(), round: 0 };
                handler(setup, move || cells.around(Cell::default()), move || barriers.around(barrier()))
            }
        )+
    };
}

macro_rules! hooks {
    ($($name:ident: $bug:ident;)+) => {
        $(
            pub fn $name(setup: &Setup) -> ConnectionHandler {
                let (bug, cells, barriers) = (HookBug::$bug, setup.diary.clone(), setup.diary.clone());
                let cell = move || Misled { bug, inner: cells.around(Cell::default()) };
                handler(setup, cell, move || Misled { bug, inner: barriers.around(Barrier::default()) })
            }
        )+
    };
}

macro_rules! gates {
    ($($name:ident: $bug:ident;)+) => {
        $(
            pub fn $name(setup: &Setup) -> ConnectionHandler {
                let (cells, barriers) = (setup.diary.clone(), setup.diary.clone());
                let gate = BadGate { bug: GateBug::$bug, setup: setup.clone(), before: None };
                let barrier = move || barriers.around(Barrier::default());
                handler(setup, move || cells.around(Cell::default()), barrier).with_admission(gate)
            }
        )+
    };
}

cells! {
    forgets_room: ForgetsRoom;
    forgets_those_who_come_late: ForgetsThoseWhoComeLate;
    tells_again: TellsAgain;
    tells_the_first: TellsTheFirst;
    tells_what_it_refuses: TellsWhatItRefuses;
    changes_values: ChangesValues;
    takes_what_it_refuses: TakesWhatItRefuses;
}

barriers! {
    opens_early: OpensEarly;
    leaves_one_behind: LeavesOneBehind;
    waits_for_more: WaitsForMore;
    waits_for_those_who_left: WaitsForThoseWhoLeft;
    lets_one_go_alone: LetsOneGoAlone;
}

hooks! {
    ends_twice: EndsTwice;
    ends_never: EndsNever;
    begins_twice: BeginsTwice;
    goes_on_behind_the_end: GoesOnBehindTheEnd;
}

gates! {
    opens_what_nobody_may: OpensWhatNobodyMay;
    does_not_ask: DoesNotAsk;
    opens_at_once: OpensAtOnce;
    answers_for_another: AnswersForAnother;
    forgets_what_it_owes: ForgetsWhatItOwes;
    turns_everybody_away: TurnsEverybodyAway;
}
