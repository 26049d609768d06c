//! Single decisions of the user's own.

use super::*;
use msglib_broker::policy::{Departure, Policy, Publishing, Refusal};
use msglib_broker::queue::{
    Again, Candidates, Fate, List, MessageInfo, Messages, Next, Order, OrderKind, Overflow, Pick, Settling, Ticket,
};
use msglib_broker::{ChannelName, ConsumerKey, OwnedName, Reject};
use msglib_client::{ErrorCode, Verdict, publish_to_q, publish_to_q_confirmed};
use std::borrow::Cow;
use std::sync::{Arc, Mutex};

fn with_policy(config: QueueConfig, policy: impl Policy + 'static) -> World {
    Harness::new(ConnectionHandler::with_config(StockConfig::default().with_queue(config)).with_policy(policy))
}

#[test]
fn who_may_publish_is_a_decision_and_the_refusal_is_told() {
    struct NoSecrets;
    impl Policy for NoSecrets {
        fn admit(&mut self, publishing: &Publishing<'_>) -> Result<(), Reject> {
            match (&publishing.message.payload[..], publishing.from) {
                (b"secret", Some(_)) => Err(Reject::new(ErrorCode::NOT_ALLOWED, "no secrets")),
                (b"attack", _) => Err(Reject::new(ErrorCode::NOT_ALLOWED, "enough").fatal()),
                _ => Ok(()),
            }
        }
    }
    let mut world = with_policy(QueueConfig::default(), NoSecrets);
    let client = world.connect();
    publish_to_q(&client, "q", "open").unwrap();
    let confirmation = publish_to_q_confirmed(&client, "q", "secret").unwrap();
    let error = world.step_until_done("an outcome", || confirmation.wait()).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NOT_ALLOWED));
    assert!(error.to_string().contains("no secrets") && !error.ends_connection(), "{error}");
    publish(&mut world, "q", "secret");
    assert_eq!(ledger(&world, "q").accepted, 2, "the program may");
    publish_to_q(&client, "q", "attack").unwrap();
    world.settle();
    assert_eq!(world.broker().connections(), 0, "that was fatal");
}

#[test]
fn where_a_message_goes_and_what_it_belongs_to_are_decisions() {
    /// What is before a colon is the queue, and the first word behind it the key.
    struct ByContent;
    fn parts<'p>(publishing: &Publishing<'p>) -> Option<(&'p [u8], &'p [u8])> {
        let payload = publishing.message.payload.as_slice();
        let colon = payload.iter().position(|byte| *byte == b':')?;
        Some((&payload[..colon], &payload[colon + 1..]))
    }
    impl Policy for ByContent {
        fn route(&mut self, publishing: &Publishing<'_>) -> Option<OwnedName> {
            let (queue, _) = parts(publishing)?;
            Some(ChannelName::bytes(queue).ok()?.to_owned())
        }
        fn key<'p>(&mut self, publishing: &Publishing<'p>) -> Option<Cow<'p, [u8]>> {
            let (_, rest) = parts(publishing)?;
            rest.split(|byte| *byte == b' ').next().map(Cow::Borrowed)
        }
    }
    let mut world = with_policy(QueueConfig::default().with_order(OrderKind::LastValue), ByContent);
    let client = world.connect();
    for payload in ["prices:gold 1", "prices:tin 2", "prices:gold 3", "plain"] {
        let confirmation = publish_to_q_confirmed(&client, "in", payload).unwrap();
        world.step_until_ok("a confirm", || confirmation.wait());
    }
    let (_connection, mut sub) = subscribe(&mut world, "prices");
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["prices:gold 3×1", "prices:tin 2×1"]);
    assert_eq!((ledger(&world, "in").accepted, ledger(&world, "prices").dropped.replaced), (1, 1));
}

#[test]
fn whom_a_message_goes_to_is_a_decision() {
    /// Whoever has the lower link number, as long as it holds less than two; the others get nothing.
    struct Favourite;
    impl Policy for Favourite {
        fn pick(
            &mut self,
            queue: ChannelName<'_>,
            _: &MessageInfo<'_>,
            candidates: &Candidates<'_, ConsumerKey>,
        ) -> Pick {
            if queue != ChannelName::from("q") {
                return Pick::Default;
            }
            let favourite = candidates.iter().min_by_key(|candidate| *candidate.consumer);
            favourite.filter(|it| it.in_flight < 2).map_or(Pick::Nobody, |it| Pick::To(it.id))
        }
    }
    let mut world = with_policy(QueueConfig::default(), Favourite);
    let (_first, mut first) = subscribe(&mut world, "q");
    let (_second, mut second) = subscribe(&mut world, "q");
    let client = world.connect();
    for payload in ["1", "2", "3"] {
        publish_to_q(&client, "q", payload).unwrap();
    }
    let mut held = receive(&mut world, &mut first);
    assert_eq!(texts(&held), ["1×1", "2×1"]);
    assert!(receive(&mut world, &mut second).is_empty());
    assert!(world.step().is_idle(), "nobody is asked again before something changes");
    held.remove(0).ack().unwrap();
    assert_eq!(texts(&receive(&mut world, &mut first)), ["3×1"]);
}

#[test]
fn what_a_refusal_means_is_a_decision() {
    struct OnceMore;
    impl Policy for OnceMore {
        fn refused(&mut self, refusal: &Refusal<'_>) -> Settling {
            assert_eq!(refusal.queue, ChannelName::from("q"));
            match refusal.message.deliveries {
                1 => Settling::Again(Again::after(5 * SECOND)),
                _ => Settling::ForGood,
            }
        }
    }
    let mut world = with_policy(QueueConfig::default(), OnceMore);
    publish(&mut world, "q", "x");
    let (_connection, mut sub) = subscribe(&mut world, "q");
    receive(&mut world, &mut sub).pop().unwrap().refuse(Verdict::ForGood).unwrap();
    world.settle();
    assert_eq!(ledger(&world, "q").delayed, 1);
    world.advance(5 * SECOND);
    receive(&mut world, &mut sub).pop().unwrap().refuse(Verdict::ForGood).unwrap();
    world.settle();
    assert_eq!(ledger(&world, "q").refused, 1);
}

#[derive(Default)]
struct Watching {
    seen: Arc<Mutex<Vec<(String, Fate)>>>,
    /// Where what is dropped for want of room goes.
    instead: Option<&'static str>,
}

impl Policy for Watching {
    fn departed(&mut self, departure: &Departure<'_>) -> Option<OwnedName> {
        let text = String::from_utf8_lossy(&departure.payload).into_owned();
        self.seen.lock().unwrap().push((text, departure.fate));
        let instead = self.instead.filter(|_| departure.fate == Fate::DroppedOldest)?;
        Some(ChannelName::from(instead).to_owned())
    }
}

/// Mosquitto #3687, libzmq #2037: acked, then silently dropped. Here every drop is seen.
#[test]
fn every_drop_expiry_and_dead_letter_is_told() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let policy = Watching { seen: Arc::clone(&seen), instead: None };
    let redelivery = Redelivery::default().with_dead_letter("dead");
    let config = QueueConfig::default().with_max_messages(2).with_overflow(Overflow::DropOldest);
    let mut world = with_policy(config, policy);
    let dying = QueueConfig::default().with_redelivery(redelivery);
    world.act(|handler, cx| handler.declare(cx, "dying", dying)).unwrap();
    for payload in ["1", "2", "3"] {
        publish(&mut world, "q", payload);
    }
    publish(&mut world, "q", NewMessage::from("4").with_ttl(SECOND));
    publish(&mut world, "dying", "5");
    let (_connection, mut sub) = subscribe(&mut world, "dying");
    receive(&mut world, &mut sub).pop().unwrap().refuse(Verdict::ForGood).unwrap();
    world.settle();
    world.advance(SECOND);
    world.settle();
    let told = std::mem::take(&mut *seen.lock().unwrap());
    use Fate::*;
    let expected = [("1", DroppedOldest), ("2", DroppedOldest), ("5", Refused), ("4", Expired)];
    assert_eq!(told, expected.map(|(payload, fate)| (payload.to_owned(), fate)));
    assert_eq!(world.handler().held().0, 2, "3, and the dead letter; whoever is told keeps nothing");
}

#[test]
fn what_a_drop_means_is_a_decision() {
    let policy = Watching { instead: Some("archive"), ..Watching::default() };
    let config = QueueConfig::default().with_max_messages(2).with_overflow(Overflow::DropOldest);
    let mut world = with_policy(config, policy);
    let archive = QueueConfig::default().with_max_messages(2);
    world.act(|handler, cx| handler.declare(cx, "archive", archive)).unwrap();
    for payload in ["1", "2", "3", "4", "5"] {
        publish(&mut world, "q", payload);
    }
    let (_connection, mut sub) = subscribe(&mut world, "archive");
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["1×1", "2×1"], "and 3 found no room there");
    assert_eq!((ledger(&world, "q").dropped.oldest, ledger(&world, "archive").turned_away), (3, 1));
    assert_eq!(world.handler().held().0, 4);
}

#[test]
fn the_order_of_a_queue_can_be_ones_own() {
    #[derive(Default)]
    struct LastInFirstOut(List);
    impl Order for LastInFirstOut {
        fn insert(&mut self, messages: &mut Messages, ticket: Ticket) -> Option<Ticket> {
            self.0.push_front(messages, ticket);
            None
        }
        fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
            self.0.remove(messages, ticket);
        }
        fn next(&mut self, _: &Messages) -> Option<Next> {
            self.0.front().map(Next::to_anyone)
        }
        fn has_next(&self) -> bool {
            !self.0.is_empty()
        }
    }
    struct Stacks;
    impl Policy for Stacks {
        fn order(&mut self, queue: ChannelName<'_>) -> Option<Box<dyn Order>> {
            let is_stack = queue.as_bytes().is_some_and(|name| name.starts_with(b"stack"));
            is_stack.then(|| Box::new(LastInFirstOut::default()) as Box<dyn Order>)
        }
    }
    let mut world = with_policy(QueueConfig::default(), Stacks);
    for queue in ["stack 1", "queue 1"] {
        publish(&mut world, queue, "1");
        publish(&mut world, queue, "2");
    }
    let (_connection, mut stack) = subscribe(&mut world, "stack 1");
    let (_connection, mut queue) = subscribe(&mut world, "queue 1");
    assert_eq!(texts(&receive(&mut world, &mut stack)), ["2×1", "1×1"]);
    assert_eq!(texts(&receive(&mut world, &mut queue)), ["1×1", "2×1"]);
}
