//! A broker of one's own, from nothing but [`Handler`]: each message goes to the consumer with the fewest unacknowledged ones.
//!
//! Run it with `cargo run --example own_broker`; it plays a small scene in memory and tells what happens.
#![allow(clippy::print_stdout, reason = "it is a program")]

use bytes::Bytes;
use msglib_broker::{ConnectionId, Context, Event, Frame, Handler, LinkNumber, Reject, Verdict};
use std::collections::{BTreeMap, VecDeque};

/// One queue for all, whatever name a client opens.
#[derive(Default)]
pub struct FewestUnacked {
    waiting: VecDeque<(u32, Bytes)>,
    held: BTreeMap<(ConnectionId, LinkNumber), BTreeMap<u64, (u32, Bytes)>>,
}

impl FewestUnacked {
    fn give_back(&mut self, comes_back: impl Fn(ConnectionId, LinkNumber, u64) -> bool) {
        for ((id, link), held) in &mut self.held {
            let tags: Vec<u64> = held.keys().copied().filter(|tag| comes_back(*id, *link, *tag)).collect();
            for (count, message) in tags.into_iter().rev().filter_map(|tag| held.remove(&tag)) {
                self.waiting.push_front((count + 1, message));
            }
        }
    }

    fn forget(&mut self, gone: impl Fn(ConnectionId, LinkNumber) -> bool) {
        self.give_back(|id, link, _| gone(id, link));
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
            Event::Frame { from, frame: Frame::Refuse { link, first, last, verdict: Verdict::Again } } => {
                self.give_back(|id, l, tag| (id, l) == (from, link) && (first..=last).contains(&tag));
            }
            Event::Frame {
                from,
                frame: Frame::Ack { link, first, last } | Frame::Refuse { link, first, last, .. },
            } => {
                if let Some(held) = self.held.get_mut(&(from, link)) {
                    held.retain(|tag, _| !(first..=last).contains(tag));
                }
            }
            Event::Frame { from, frame: Frame::Close { link } } => self.forget(|id, l| (id, l) == (from, link)),
            Event::Disconnected { id, .. } => self.forget(|gone, _| gone == id),
            _ => {}
        }
        Ok(())
    }

    /// The clients of an earlier broker are gone.
    fn started(&mut self, _: &mut Context<'_>) {
        self.forget(|_, _| true);
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        while let Some((count, message)) = self.waiting.front() {
            let mut willing: Vec<_> =
                self.held.iter_mut().filter(|((id, link), _)| cx.credit(*id, *link) > 0).collect();
            willing.sort_by_key(|(_, held)| held.len());
            // Who has no room now is asked again in the next step.
            let taken = willing.into_iter().find_map(|(&(id, link), held)| {
                let tag = cx.deliver(id, link, *count, message).ok()?;
                Some((tag, held))
            });
            let Some((tag, held)) = taken else { return };
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
