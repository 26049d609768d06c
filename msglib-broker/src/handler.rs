//! The messaging logic as a seam (rung 4 of the ladder of control in `docs/ladder.md`).

use crate::core::{Context, Frames};
use crate::dialect::Dialect;
use crate::event::Event;
use crate::native::Native;
use crate::reason::Reject;

/// What a broker does: everything that its author decides.
///
/// A handler is told what happens, one [`Event`] after the other, and acts through the [`Context`]. It runs on the
/// broker's thread and must not block. What it sends is queued, so nothing that it does comes back to it within the
/// same call.
///
/// # What a handler owes its clients
///
/// With the native dialect, `WELCOME`, `OPENED`, `CLOSED` and `PONG` go out by themselves, and what a client may not send
/// never comes here. The rest is the handler's:
///
/// | when | then |
/// | --- | --- |
/// | [`Frame::Open`](crate::Frame::Open) with `publishes` | send `CREDIT`: without it the link can publish 16 times, ever (PROTOCOL §6.2) |
/// | `Open` with `consumes`, then `Credit` | deliver ([`Context::deliver`]) as far as [`Context::credit`] goes |
/// | `Publish` with `confirm` | send `CONFIRMED` when the message is taken, or return a [`Reject`] |
/// | `Ack`, `Refuse` | the deliveries with these tags are settled |
/// | `Close`, [`Event::Disconnected`] | what is in flight on the link, or on all links of the connection, comes back |
///
/// A handler that panics unwinds through the broker, whose state is then undefined; drop it.
///
/// ```
/// use msglib_broker::{Context, Event, Frame, Handler, Reject};
///
/// /// Sends every frame of the user's own back to where it came from.
/// struct Echo;
///
/// impl Handler for Echo {
///     fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
///         if let Event::Frame { from, frame: frame @ Frame::User { .. } } = event {
///             // Full: the peer does not read its echoes, and loses them.
///             let _ = cx.send(from, frame);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Handler<D: Dialect = Native> {
    /// Acts on one event.
    ///
    /// # Errors
    ///
    /// A refusal of a frame; see [`Reject`] for what the peer is told. For events that are no frames it ends the
    /// connection that the event is about, and is ignored where there is none.
    fn handle(&mut self, cx: &mut Context<'_, D>, event: Event<'_, D>) -> Result<(), Reject>;

    /// The features of the protocol that the handler serves, a bit each (PROTOCOL §14.1): clients are told, and their frames come here
    /// then. By default none.
    fn features(&self) -> u64 {
        0
    }

    /// How much its clients still have to settle: deliveries in flight, requests without an outcome. A broker that
    /// [drains](crate::Broker::drain) waits for it, and asks some times in a second. By default nothing.
    fn unsettled(&self) -> usize {
        0
    }

    /// A broker begins to run this handler. One that has served another broker before starts over: that one's connections are gone
    /// without a word, and the new ones' ids can be the same.
    fn started(&mut self, cx: &mut Context<'_, D>) {
        let _ = cx;
    }

    /// Acts on the frames that arrived together. By default each goes to [`handle`](Handler::handle).
    fn frames(&mut self, cx: &mut Context<'_, D>, frames: Frames<'_, D>) {
        let from = frames.from();
        frames.for_each(cx, |cx, frame| self.handle(cx, Event::Frame { from, frame }));
    }

    /// All that was ready in this step has been handled: the place to dispatch what became possible.
    fn end_of_step(&mut self, cx: &mut Context<'_, D>) {
        let _ = cx;
    }
}

macro_rules! forward {
    ($($target:tt)*) => {
        impl<D: Dialect, H: Handler<D> + ?Sized> Handler<D> for $($target)* {
            fn handle(&mut self, cx: &mut Context<'_, D>, event: Event<'_, D>) -> Result<(), Reject> {
                (**self).handle(cx, event)
            }
            fn features(&self) -> u64 {
                (**self).features()
            }
            fn unsettled(&self) -> usize {
                (**self).unsettled()
            }
            fn started(&mut self, cx: &mut Context<'_, D>) {
                (**self).started(cx);
            }
            fn frames(&mut self, cx: &mut Context<'_, D>, frames: Frames<'_, D>) {
                (**self).frames(cx, frames);
            }
            fn end_of_step(&mut self, cx: &mut Context<'_, D>) {
                (**self).end_of_step(cx);
            }
        }
    };
}
forward!(&mut H);
forward!(Box<H>);

/// A handler made from a closure; see [`handler_fn`].
#[derive(Clone, Debug)]
pub struct HandlerFn<F>(F);

/// Makes a handler of a closure.
///
/// ```
/// use msglib_broker::{Event, handler_fn};
///
/// let mut connections = 0;
/// let handler = handler_fn(|_cx, event| {
///     if let Event::Connected { .. } = event {
///         connections += 1;
///     }
///     Ok(())
/// });
/// # let _ = handler;
/// ```
pub fn handler_fn<F>(f: F) -> HandlerFn<F>
where
    F: FnMut(&mut Context<'_>, Event<'_>) -> Result<(), Reject>,
{
    HandlerFn(f)
}

impl<F> Handler for HandlerFn<F>
where
    F: FnMut(&mut Context<'_>, Event<'_>) -> Result<(), Reject>,
{
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        (self.0)(cx, event)
    }
}
