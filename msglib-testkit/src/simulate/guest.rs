//! The user's handler inside a simulated broker: it outlives the broker, it panics when it is told to, and what it is told is noted.

use super::checker::Told;
use msglib_broker::{ConnectionId, Context, Event, Frames, Handler, Native, Reject};
use std::cell::RefCell;
use std::rc::Rc;

/// What a planned panic unwinds with, so that it is not taken for one of the handler's own.
#[derive(Debug)]
pub(super) enum Planned {
    /// Before the handler sees an event, so that it can go on in another broker.
    BeforeEvent,
    /// In a hook, where nobody knows how far it got.
    InHook,
}

/// Panics as a hook of the user's might.
pub(super) fn panic_in_hook() -> ! {
    // Without the hook that would print it: it is no news.
    std::panic::resume_unwind(Box::new(Planned::InHook))
}

/// A handle on the handler, for the broker.
pub(super) struct Guest<H> {
    pub(super) room: Rc<RefCell<Room<H>>>,
}

/// The handler, and what belongs to it.
#[derive(Debug)]
pub(super) struct Room<H> {
    pub(super) handler: H,
    /// Events until the planned panic.
    pub(super) fuse: Option<u64>,
    /// What the handler was told since somebody looked.
    pub(super) told: Vec<Told>,
}

impl<H> Room<H> {
    pub(super) fn new(handler: H) -> Rc<RefCell<Room<H>>> {
        Rc::new(RefCell::new(Room { handler, fuse: None, told: Vec::new() }))
    }

    /// Before the handler sees anything of an event, so that it can go on in another broker.
    fn burn(&mut self) {
        match &mut self.fuse {
            Some(0) => {
                self.fuse = None;
                // Without the hook that would print it: it is no news.
                std::panic::resume_unwind(Box::new(Planned::BeforeEvent));
            }
            Some(left) => *left -= 1,
            None => {}
        }
    }
}

impl<H: Handler> Handler for Guest<H> {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        let room = &mut *self.room.borrow_mut();
        room.burn();
        let now = cx.now();
        room.told.push(match event {
            Event::Connected { id, .. } => Told::Connected(id, now),
            Event::Disconnected { id, .. } => Told::Disconnected(id, now),
            Event::Drained { id } | Event::Frame { from: id, .. } => Told::Of(id, now),
            _ => Told::Other(now),
        });
        room.handler.handle(cx, event)
    }

    fn features(&self) -> u64 {
        self.room.borrow().handler.features()
    }

    fn started(&mut self, cx: &mut Context<'_>) {
        self.room.borrow_mut().handler.started(cx);
    }

    fn frames(&mut self, cx: &mut Context<'_>, frames: Frames<'_, Native>) {
        let room = &mut *self.room.borrow_mut();
        room.burn();
        room.told.push(Told::Of(frames.from(), cx.now()));
        room.handler.frames(cx, frames);
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        let room = &mut *self.room.borrow_mut();
        room.burn();
        room.handler.end_of_step(cx);
        let queued = cx.connections().map(|id: ConnectionId| Told::Queued(id, cx.queued(id)));
        room.told.extend(queued.filter(|told| !matches!(told, Told::Queued(_, 0))));
    }
}
