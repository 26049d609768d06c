//! A broker of one's own, from nothing but [`Handler`]: each message goes to the consumer with the fewest unacknowledged ones.
//!
//! Run it with `cargo run --example own_broker`; it plays a small scene in memory and tells what happens.
#![allow(clippy::print_stdout, reason = "it is a program")]

use bytes::Bytes;
use msglib_broker::{ConnectionId, Context, Event, Frame, Handler, LinkNumber, Reject};
use std::collections::{BTreeMap, VecDeque};

/// One queue for all, whatever name a client opens.
#[derive(Default)]
pub struct FewestUnacked {
    waiting: VecDeque<(u32, Bytes)>,
    held: BTreeMap<(ConnectionId, LinkNumber), BTreeMap<u64, (u32, Bytes)>>,
}

impl FewestUnacked {
    fn give_back(&mut self, gone: impl Fn(ConnectionId, LinkNumber) -> bool) {
        for (_, held) in self.held.iter_mut().filter(|((id, link), _)| gone(*id, *link)) {
            for (_, (count, message)) in std::mem::take(held).into_iter().rev() {
                self.waiting.push_front((count + 1, message));
            }
        }
        self.held.retain(|(id, link), _| !gone(*id, *link));
    }
}

impl Handler for FewestUnacked {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Frame { from, frame: Frame::Open(open) } => {
                if open.consumes {
                    self.held.insert((from, open.link), BTreeMap::new());
                }
                if open.publishes {
                    let _ = cx.send(from, Frame::Credit { link: open.link, upto: u64::MAX });
                }
            }
            Event::Frame { from, frame: Frame::Publish { link, number, payload, .. } } => {
                self.waiting.push_back((1, payload.share()));
                let _ = cx.send(from, Frame::Confirmed { link, upto: number });
            }
            Event::Frame { from, frame: Frame::Ack { link, first, last } } => {
                if let Some(held) = self.held.get_mut(&(from, link)) {
                    held.retain(|tag, _| !(first..=last).contains(tag));
                }
            }
            Event::Frame { from, frame: Frame::Close { link } } => self.give_back(|id, l| (id, l) == (from, link)),
            Event::Disconnected { id, .. } => self.give_back(|gone, _| gone == id),
            _ => {}
        }
        Ok(())
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        while let Some((count, message)) = self.waiting.front() {
            let willing = self.held.iter_mut().filter(|((id, link), _)| cx.credit(*id, *link) > 0);
            let Some((&(id, link), held)) = willing.min_by_key(|(_, held)| held.len()) else { return };
            let Ok(tag) = cx.deliver(id, link, *count, message) else { return };
            held.extend(self.waiting.pop_front().map(|delivered| (tag, delivered)));
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use msglib_client::{publish_to_q, subscribe_with_prefetch};
    let mut harness = msglib_testkit::Harness::new(FewestUnacked::default());
    let (alice, bob, sender) = (harness.connect(), harness.connect(), harness.connect());
    let mut to_alice = subscribe_with_prefetch(&alice, "jobs", 10)?;
    let mut to_bob = subscribe_with_prefetch(&bob, "jobs", 10)?;
    harness.settle();
    for job in 1..=3 {
        publish_to_q(&sender, "jobs", &format!("job {job}"))?;
    }
    let held = [harness.step_until_message(&mut to_alice), harness.step_until_message(&mut to_alice)];
    let done = harness.step_until_message(&mut to_bob);
    println!("alice holds {:?} and {:?}, bob has done {:?}", text(&held[0]), text(&held[1]), text(&done));
    done.ack()?;
    harness.settle();
    publish_to_q(&sender, "jobs", "job 4")?;
    let next = harness.step_until_message(&mut to_bob);
    println!("so {:?} goes to bob, who holds nothing", text(&next));
    Ok(())
}

fn text(message: &msglib_client::Delivery) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(message.payload())
}
