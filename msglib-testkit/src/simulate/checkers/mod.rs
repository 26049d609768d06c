//! The promises of a broker of work queues, a checker for each; the numbers are those of the invariants.
//!
//! | checker | what it needs |
//! | --- | --- |
//! | I1 conservation, I8 stale tags, I23 bytes and limits, I25 budgets of deliveries | the handler's [books](super::Account) |
//! | I2 nothing lost, I27 nothing left | the end of the run |
//! | I3 nothing unexpected, I4 nothing refused, I5 counts, I6 one holder, I7 settled is settled, I9 order, I11 credit | deliveries, as clients see them |
//! | I12 no lost wake-up, I13 publish credit, I22 one outcome, I26 everybody is answered | points of rest |
//! | I19 and I20 topics, I21 requests, I9 and I10 orders (by priority, fair, sticky, last values), purges and I23 limits, I14 and I15 times, I16 leases, I17 and I18 dead letters | clients of these [features](super::featured) |
//! | I19 cells and barriers, I22 what is written to a cell, I37 the hooks of a channel, admission of links | clients of [channels of one's own](super::own) |
//! | I24 what waits for a connection, I28 beginnings and ends, I25 budgets of frames | the broker that the run drives |
//! | I32 ends, I33 the wire | frames, as clients see them |
//! | I37 panics | every step: one that nobody planned, in a handler or in a hook of a channel, is a violation, whatever the checkers say |
//!
//! Elsewhere: that a stalled peer does not change another's history (the rest of I24), that one seed has one trace (I35), and
//! that memory and sockets agree (I36), need several runs, so they are tests; chunkings, round trips and arbitrary bytes
//! (I29 to I31) are properties of the codec. I34, that an interruption is invisible, is what all of these say when faults of the
//! network are on.

mod books;
mod deliveries;
mod door;
mod handler;
mod jobs;
mod later;
mod leaving;
mod orders;
mod own;
mod publishing;
mod requests;
mod topics;
mod wire;

use super::checker::Checker;
use super::setup::Setup;

/// What holds for every broker that speaks the protocol, whatever it does with messages.
pub fn of_the_protocol<H: 'static>(setup: &Setup) -> Vec<Box<dyn Checker<H>>> {
    vec![
        Box::new(wire::Wire),
        Box::new(wire::Ends::new(setup)),
        Box::new(wire::Answers),
        Box::new(handler::Lifecycle::default()),
        Box::new(handler::BoundedOutbound::new(setup)),
        Box::new(publishing::OneOutcome),
    ]
}

/// What a broker of topics, services and queues with settings promises, to the clients that [`Simulation::featured`](super::Simulation::featured) adds.
pub fn of_features<H: 'static>(_: &Setup) -> Vec<Box<dyn Checker<H>>> {
    vec![
        Box::new(door::Door),
        Box::new(jobs::Expected),
        Box::new(jobs::Counts),
        Box::new(jobs::InTime::default()),
        Box::new(jobs::OneHolder::default()),
        Box::new(jobs::Priorities::default()),
        Box::new(orders::InOrder::default()),
        Box::new(orders::Fair::default()),
        Box::new(orders::OneKeeper::default()),
        Box::new(orders::Replaced::default()),
        Box::new(leaving::Purged),
        Box::new(leaving::Limits),
        Box::new(jobs::Dead),
        Box::new(jobs::Settled),
        Box::new(jobs::Books),
        Box::new(jobs::NothingLost),
        Box::new(topics::Meant),
        Box::new(topics::OneCopy),
        Box::new(topics::NoneMissing),
        Box::new(topics::LastValues),
        Box::new(requests::OneAnswer::default()),
        Box::new(requests::OneResponder),
    ]
}

/// What a broker promises to channels of one's own, and to those who wait for a link to one, and what a cell and a barrier promise: to
/// the clients that [`Simulation::own_channels`](super::Simulation::own_channels) adds.
pub fn of_own_channels<H: 'static>(setup: &Setup) -> Vec<Box<dyn Checker<H>>> {
    vec![
        Box::new(later::Decided::new(setup)),
        Box::new(later::Pending::new(setup)),
        Box::new(own::Hooks),
        Box::new(own::Writes),
        Box::new(own::Cells),
        Box::new(own::Barriers),
    ]
}

/// What a broker of work queues promises beyond that.
pub fn of_work_queues<H: 'static>(_: &Setup) -> Vec<Box<dyn Checker<H>>> {
    vec![
        Box::new(deliveries::Expected),
        Box::new(deliveries::NotRefused),
        Box::new(deliveries::Counts),
        Box::new(deliveries::OneHolder::default()),
        Box::new(deliveries::Final::default()),
        Box::new(deliveries::Order::default()),
        Box::new(deliveries::Credit),
        Box::new(books::OnlySettled),
        Box::new(books::Budgets::default()),
        Box::new(books::Conservation),
        Box::new(books::Bytes),
        Box::new(deliveries::NoLostWakeUp),
        Box::new(publishing::PublishCredit),
        Box::new(books::NothingLost),
        Box::new(books::NothingLeft),
    ]
}
