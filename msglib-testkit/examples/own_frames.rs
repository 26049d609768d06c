//! Frames of one's own: an auction whose wire format is one Rust type, which the broker and its clients share.
//!
//! Run it with `cargo run --example own_frames`; it plays a small scene in memory and tells what happens.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::{ConnectionId, Context, ErrorCode, Event, Frame, Handler, Reject};
use msglib_client::{Connection, Error};

/// All that is said, in both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// By a client.
    Bid(u32),
    /// By the broker.
    Highest(u32),
}

impl Said {
    fn to_frame(self) -> (u16, [u8; 4]) {
        match self {
            Said::Bid(amount) => (0x8000, amount.to_be_bytes()),
            Said::Highest(amount) => (0x8001, amount.to_be_bytes()),
        }
    }
    fn from_frame(kind: u16, body: &[u8]) -> Option<Said> {
        let amount = u32::from_be_bytes(body.try_into().ok()?);
        [Said::Bid(amount), Said::Highest(amount)].into_iter().find(|said| said.to_frame().0 == kind)
    }
}

/// The broker: who bids more than all others is heard by all, and who does not hears what there is.
#[derive(Default)]
pub struct Auction(u32);

impl Handler for Auction {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        let Event::Frame { from, frame: Frame::User { kind, body, .. } } = event else { return Ok(()) };
        let Some(Said::Bid(amount)) = Said::from_frame(kind, &body) else {
            return Err(Reject::new(ErrorCode::UNKNOWN_TYPE, "only bids, please"));
        };
        let everyone: Vec<ConnectionId> = cx.connections().filter(|id| *id == from || amount > self.0).collect();
        self.0 = self.0.max(amount);
        let (kind, body) = Said::Highest(self.0).to_frame();
        for id in everyone {
            let _ = cx.send(id, Frame::User { kind, flags: 0, link: 0, body: (&body).into() });
        }
        Ok(())
    }
}

/// The client's side: what says something …
pub fn say(client: &Connection, said: Said) -> Result<(), Error> {
    let (kind, body) = said.to_frame();
    client.send_user(kind, 0, 0, &body)
}

/// … and what hears something; `None` for what is not of this auction.
pub fn hear(client: &Connection) -> Result<Option<Said>, Error> {
    client.next_user().map(|frame| Said::from_frame(frame.kind, &frame.body))
}

fn main() -> Result<(), Error> {
    let mut harness = msglib_testkit::Harness::new(Auction::default());
    let (alice, bob) = (harness.connect(), harness.connect());
    harness.settle();
    for (bidder, amount, hearers) in
        [(&alice, 10, vec![&alice, &bob]), (&bob, 25, vec![&alice, &bob]), (&alice, 20, vec![&alice])]
    {
        say(bidder, Said::Bid(amount))?;
        for hearer in hearers {
            let heard = harness.step_until_ok("an answer", || hear(hearer));
            println!("{} hears {heard:?}", if std::ptr::eq(hearer, &alice) { "alice" } else { "bob" });
        }
    }
    Ok(())
}
