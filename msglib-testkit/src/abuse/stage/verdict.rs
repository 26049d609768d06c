//! What holds in each step of a case, and what at its end.

use super::setup::{MOST_IN_QUEUES, MOST_INBOUND, MOST_OUTBOUND};
use super::{Counter, Stage};
use crate::conformance::Fixture;
use msglib_broker::{ConnectionManager, Counters, Load};
use msglib_proto::OwnedName;

/// The queue of the witnesses.
const WITNESS: &str = "witness";

/// In each step.
impl<F: Fixture> Stage<'_, F> {
    /// What is kept for each connection, and of all messages, is below its limit.
    #[track_caller]
    pub(super) fn bears_the_load(&self) {
        let load = self.broker.load();
        let everybody = load.connections + load.closing;
        self.check(load.inbound <= everybody * MOST_INBOUND, "what came in within the limit of each connection", load);
        let outbound = self.broker.each_connection().map(|connection| connection.queued).max();
        self.check(outbound <= Some(MOST_OUTBOUND), "what waits for one connection within its limit", outbound);
        let (messages, bytes) = self.handler().held();
        self.check(bytes <= MOST_IN_QUEUES, "queues within their limit", (messages, bytes));
    }
}

/// At the end.
impl<F: Fixture> Stage<'_, F> {
    /// As [`finish_counting`](Self::finish_counting), with so many violations of the protocol and late handshakes.
    #[track_caller]
    pub(in crate::abuse) fn finish(self, violations: u64, late: u64) {
        self.finish_counting(&[(Counter::ProtocolErrors, violations), (Counter::HandshakeTimeouts, late)]);
    }

    /// The end of each case: every attacker leaves, the broker serves the witnesses alone, no message of theirs is missing, it has counted
    /// this and nothing else, and nothing is left of the attackers.
    #[track_caller]
    pub(in crate::abuse) fn finish_counting(mut self, counted: &[(Counter, u64)]) {
        self.attackers.clear();
        self.until("no connections but the witnesses', and none that drains", |stage| {
            let draining = stage.fixture.borrow_mut().manager().draining();
            let load = stage.broker.load();
            (load.connections == 2 && load.closing == 0 && draining == 0).then_some(())
        });
        let more = self.witnesses.received + 4;
        self.until("the witnesses still at work", |stage| (stage.witnesses.received >= more).then_some(()));
        self.witnesses.publishes = false;
        self.until("each of the witnesses' messages confirmed and received", |stage| {
            stage.witnesses.is_done().then_some(())
        });
        self.until("nothing that is kept of anybody", |stage| {
            let Load { outbound, inbound, .. } = stage.broker.load();
            (outbound == 0 && inbound == 0).then_some(())
        });
        self.nothing_is_left();
        let Counters { connected, disconnected, .. } = *self.counters();
        self.check(connected == disconnected + 2, "each connection counted as over", (connected, disconnected));
        for counter in Counter::ALL {
            let expected = counted.iter().find(|(of, _)| *of == counter).map_or(0, |(_, count)| *count);
            let seen = counter.read(self.counters());
            self.check(seen == expected, &format!("{expected} counted as {counter:?}"), seen);
        }
    }

    /// Queues that the attackers have left hold no more than what they published, and that can be thrown away; nothing else is there.
    #[track_caller]
    fn nothing_is_left(&mut self) {
        let handler = self.broker.handler();
        let (subscriptions, services) = (handler.subscriptions().count(), handler.services().count());
        self.check(subscriptions == 0 && services == 0, "nobody who waits", (subscriptions, services));
        let topics = handler.topic_ledger();
        self.check(topics.is_balanced() && topics.waiting == 0, "the books of topics closed", topics);

        let theirs: Vec<OwnedName> = handler
            .queues()
            .filter(|queue| queue.name != WITNESS.into())
            .inspect(|queue| {
                self.check(queue.links == 0 && queue.consumers == 0, "a queue that nobody uses", queue.name);
                self.check(queue.ledger.in_flight == 0, "nothing in flight to nobody", queue.name);
            })
            .map(|queue| queue.name.to_owned())
            .collect();
        for queue in &theirs {
            self.broker.act(|handler, cx| handler.purge(cx, queue));
        }
        self.until("queues that can be emptied, and memory that comes back", |stage| {
            (stage.handler().held() == (0, 0)).then_some(())
        });
        for queue in self.handler().queues() {
            self.check(queue.ledger.is_balanced(), "books that add up", (queue.name, queue.ledger));
        }
    }
}
