//! What the stock handler's queues do beyond first-in-first-out, from a client's and from the host program's side.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "queues/dead_letters.rs"]
mod dead_letters;
#[path = "queues/limits.rs"]
mod limits;
#[path = "queues/on_the_wire.rs"]
mod on_the_wire;
#[path = "queues/operations.rs"]
mod operations;
#[path = "queues/policies.rs"]
mod policies;
#[path = "queues/timing.rs"]
mod timing;

use msglib_broker::queue::Redelivery;
use msglib_broker::{ConnectionHandler, Ledger, NewMessage, QueueConfig, StockConfig};
use msglib_client::{Connection, Delivery, Subscription, subscribe_with_prefetch};
use msglib_testkit::Harness;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

type World = Harness<ConnectionHandler>;

/// A broker whose queues behave like this.
fn world(queue: QueueConfig) -> World {
    Harness::new(ConnectionHandler::with_config(StockConfig::default().with_queue(queue)))
}

fn redelivering(redelivery: Redelivery) -> World {
    world(QueueConfig::default().with_redelivery(redelivery))
}

/// What only some have with it, the host publishes.
fn publish<'m>(world: &mut World, queue: &str, message: impl Into<NewMessage<'m>>) {
    let message = message.into();
    world.act(|handler, cx| handler.publish(cx, queue, message)).unwrap();
}

fn ledger(world: &World, queue: &str) -> Ledger {
    world.handler().queue(queue).unwrap().ledger
}

/// A client that takes up to ten messages at once.
fn subscribe(world: &mut World, queue: &str) -> (Connection, Subscription) {
    let connection = world.connect();
    let subscription = subscribe_with_prefetch(&connection, queue, 10).unwrap();
    world.settle();
    (connection, subscription)
}

/// What there is for a subscription by now.
fn receive(world: &mut World, subscription: &mut Subscription) -> Vec<Delivery> {
    world.settle();
    std::iter::from_fn(|| subscription.try_next().unwrap()).collect()
}

fn texts(deliveries: &[Delivery]) -> Vec<String> {
    let text = |delivery: &Delivery| String::from_utf8_lossy(delivery.payload()).into_owned();
    deliveries.iter().map(|delivery| format!("{}×{}", text(delivery), delivery.count())).collect()
}
