//! The end of a broker's life: nothing new is taken, and what is there goes to whoever takes it.

use msglib_broker::{Broker, ConnectionHandler, ConnectionManager, OwnedName, QueueInfo, QueueState};

/// What a recording says of [`drain`].
pub(crate) const NOTE: &str = "drain";

/// Whether there are queues that take messages: also new ones, while clients may still come.
pub(crate) fn is_due<M: ConnectionManager>(broker: &Broker<ConnectionHandler, M>) -> bool {
    broker.handler().queues().any(|queue| queue.state != QueueState::Draining)
}

/// No queue takes anything new any more. Those that are paused go on, for there is no later.
pub(crate) fn drain<M: ConnectionManager>(broker: &mut Broker<ConnectionHandler, M>) {
    let open = broker.handler().queues().filter(|queue| queue.state != QueueState::Draining);
    let names: Vec<OwnedName> = open.map(|queue| queue.name.to_owned()).collect();
    broker.act(|handler, cx| {
        for name in &names {
            handler.resume(cx, name);
            handler.drain(cx, name);
        }
    });
}

/// Whether all is done with that consumers are there for. What is delayed is left.
pub(crate) fn is_done<M: ConnectionManager>(broker: &Broker<ConnectionHandler, M>) -> bool {
    broker.handler().queues().all(|queue| {
        let ledger = queue.ledger;
        ledger.in_flight == 0 && (ledger.ready == 0 || queue.consumers == 0)
    })
}

/// What is in a queue when the broker ends, and so is lost.
pub(crate) fn left(queue: &QueueInfo<'_>) -> u64 {
    queue.ledger.ready + queue.ledger.delayed + queue.ledger.in_flight
}
