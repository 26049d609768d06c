//! A broker between a publishing and a consuming client, in memory.

use super::{BATCH, PAYLOAD};
use msglib_broker::{Broker, ConnectionHandler};
use msglib_client::{ChannelName, Connection, Error, Subscription, publish_to_q_confirmed, subscribe_with_prefetch};
use msglib_io_memory::{InMemoryConnectionManager, Transport};

/// Each message is confirmed and acked on its own; up to a batch of them is under way.
pub(crate) struct Clients {
    pub(crate) broker: Broker<ConnectionHandler, InMemoryConnectionManager>,
    publisher: Connection,
    subscription: Subscription,
    published: u64,
}

impl Clients {
    pub(crate) fn in_memory() -> Clients {
        let transport = Transport::builder().pipe_capacity(1 << 20).seed(1).build();
        let manager = InMemoryConnectionManager::new(&transport, "broker").expect("its own transport");
        let broker = Broker::new(ConnectionHandler::new(), manager);
        let connect = || Connection::new(transport.connect("broker").expect("the broker is there"));
        let subscription = subscribe_with_prefetch(&connect(), ChannelName::id(1), BATCH as u32);
        let subscription = subscription.expect("nothing that can fail");
        Clients { broker, publisher: connect(), subscription, published: 0 }
    }

    /// Publish → confirm, deliver → ack. Not inlined, so that a profiler can tell it from the rest.
    #[inline(never)]
    pub(crate) fn run(&mut self) {
        let mut outcomes = Vec::with_capacity(BATCH as usize);
        for _ in 0..BATCH {
            let publisher = &self.publisher;
            let publish = || publish_to_q_confirmed(publisher, ChannelName::id(1), &[7; PAYLOAD]);
            outcomes.push(until(&mut self.broker, publish));
        }
        for outcome in outcomes {
            until(&mut self.broker, || outcome.wait());
        }
        for _ in 0..BATCH {
            let delivery = until(&mut self.broker, || self.subscription.next());
            delivery.ack().expect("nothing that can fail");
        }
        self.published += BATCH;
    }

    /// Sends what waits, and looks whether all that was published was acked.
    pub(crate) fn finish(mut self) {
        until(&mut self.broker, || self.subscription.close());
        let queue = self.broker.handler().queue(1).expect("it was opened");
        assert_eq!(queue.ledger.acked, self.published, "messages that were acked");
    }
}

/// Repeats a call of a client while it would block, with a move of the broker between.
fn until<T>(
    broker: &mut Broker<ConnectionHandler, InMemoryConnectionManager>,
    mut call: impl FnMut() -> Result<T, Error>,
) -> T {
    loop {
        match call() {
            Err(error) if error.is_would_block() => drop(broker.process_connections().expect("memory does not fail")),
            result => return result.expect("nothing that can fail"),
        }
    }
}
