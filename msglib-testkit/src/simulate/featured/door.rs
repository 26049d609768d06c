//! Who is let in, and who may open a link to a channel of one's own: decisions that are made at once, or later by the host program.

use msglib_broker::{
    Admission, ConnectionHandler, ConnectionId, Context, ErrorCode, Hello, Identity, Open, PendingAnswer, Reject,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::simulate::own::{Answer, Asking, BARRIER, Barrier, CELL, Cell, OwnLinkNumber};
use crate::simulate::setup::Setup;

/// The door of a simulated broker: those who wait at it.
#[derive(Clone, Debug, Default)]
pub struct Door {
    waiting: Arc<Mutex<Vec<(String, PendingAnswer)>>>,
    /// Links that wait.
    opens: Arc<Mutex<Vec<(OwnLinkNumber, PendingAnswer)>>>,
    has_keeper: Arc<AtomicBool>,
}

/// What a client shows at the door.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Credentials {
    /// Nothing: it is let in, as nobody.
    #[default]
    None,
    /// It is let in.
    Friend,
    /// It is not.
    Stranger,
    /// The host program decides, and has not yet.
    Unknown,
    /// It has decided.
    Decided(bool),
}

impl Credentials {
    pub(in crate::simulate) fn as_bytes(self) -> &'static [u8] {
        match self {
            Credentials::None => b"",
            Credentials::Friend => b"friend",
            Credentials::Stranger => b"stranger",
            Credentials::Unknown | Credentials::Decided(_) => b"unknown",
        }
    }
}

impl Door {
    /// Whoever keeps it, for a handler with an [`Admission`].
    pub fn keeper(&self) -> impl Admission + 'static {
        self.has_keeper.store(true, Ordering::Relaxed);
        Keeper(self.clone())
    }

    pub(in crate::simulate) fn has_keeper(&self) -> bool {
        self.has_keeper.load(Ordering::Relaxed)
    }

    /// Decides about one of those who wait, counted round; its name.
    pub(in crate::simulate) fn decide(&self, pick: usize, yes: bool) -> Option<String> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let at = pick.checked_rem(waiting.len())?;
        let (name, answer) = waiting.remove(at);
        match yes {
            true => answer.accept(Identity::new("known")),
            false => answer.refuse(Reject::new(ErrorCode::BAD_CREDENTIALS, "not today")),
        }
        Some(name)
    }

    /// Answers one of those who wait for a link, counted round; which it is.
    pub(in crate::simulate) fn answer(&self, pick: usize, answer: Answer) -> Option<OwnLinkNumber> {
        let mut opens = self.opens.lock().unwrap_or_else(PoisonError::into_inner);
        let at = pick.checked_rem(opens.len())?;
        let (link, owed) = opens.remove(at);
        match answer {
            Answer::Yes => owed.allow(),
            Answer::No => owed.refuse(Reject::new(ErrorCode::NOT_ALLOWED, "not this one")),
            Answer::Nothing => drop(owed),
        }
        Some(link)
    }

    /// Whoever waits for a link waits for this.
    pub fn keep_open(&self, link: OwnLinkNumber, owed: PendingAnswer) {
        self.opens.lock().unwrap_or_else(PoisonError::into_inner).push((link, owed));
    }
}

struct Keeper(Door);

impl Admission for Keeper {
    fn admit(&mut self, cx: &mut Context<'_>, from: ConnectionId, hello: &Hello<'_>) -> Result<(), Reject> {
        match hello.credentials {
            b"stranger" => return Err(Reject::new(ErrorCode::BAD_CREDENTIALS, "a stranger")),
            b"friend" => cx.set_identity(from, Identity::new("friend")),
            b"unknown" => {
                let answer = cx.answer_later(from)?;
                let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.push((hello.name.to_owned(), answer));
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
        if !matches!(open.kind, CELL | BARRIER) {
            return Ok(());
        }
        match Asking::of(open.arguments) {
            Some((Asking::Refused, _)) => Err(Reject::new(ErrorCode::NOT_ALLOWED, "not anybody")),
            Some((Asking::Later, link)) => {
                let answer = cx.answer_later(from)?;
                self.0.keep_open(link, answer);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The stock handler of a run, with its limits, its door, and channels of one's own.
pub fn stock_handler(setup: &Setup) -> ConnectionHandler {
    let handler = ConnectionHandler::with_config(setup.stock.clone());
    let handler = if setup.featured + setup.own > 0 { handler.with_admission(setup.door.keeper()) } else { handler };
    if setup.own == 0 {
        return handler;
    }
    let (cells, barriers) = (setup.diary.clone(), setup.diary.clone());
    let handler = handler.with_channel(CELL, move |_| cells.around(Cell::default()));
    handler.with_channel(BARRIER, move |_| barriers.around(Barrier::default()))
}
