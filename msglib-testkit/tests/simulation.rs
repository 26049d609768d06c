//! The simulation of the stock broker, of a broker of one's own, and of itself: that one seed is one run, that it can fail, and
//! that a failure gets short.

#[allow(dead_code, unreachable_pub)]
#[path = "../examples/own_simulation.rs"]
mod own_simulation;

use msglib_broker::policy::{Departure, Policy, Publishing};
use msglib_broker::queue::{Candidates, MessageInfo, Pick};
use msglib_broker::{
    ChannelName, ConnectionHandler, ConsumerKey, Context, ErrorCode, Event, Frame, Frames, Handler, Native, OwnedName,
    Reject,
};
use msglib_testkit::faults::FaultPlan;
use msglib_testkit::simulate::featured::stock_handler;
use msglib_testkit::simulate::{
    Checker, Facts, Operation, Seen, Setup, Simulation, What, parse_kept, stock_books, stock_host,
};
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn the_stock_broker_keeps_its_promises() {
    let (mut deliveries, mut network, mut process) = (0, 0, 0);
    for seed in 1..=40 {
        let report = Simulation::new(seed).operations(1_000).run();
        assert!(report.failure.is_none(), "{report}");
        deliveries += report.deliveries;
        network += report.network_faults.fired();
        process += report.process_faults;
    }
    assert!(deliveries > 1_000 && network > 1_000 && process > 10, "{deliveries}, {network}, {process}");
}

#[test]
fn one_seed_twice_is_one_run() {
    for seed in 1..=10 {
        let hash = || Simulation::new(seed).operations(500).run().hash;
        assert_eq!(hash(), hash());
    }
    assert_ne!(Simulation::new(1).run().hash, Simulation::new(2).run().hash, "the hash sees the run");
}

/// A trace for a person must not change what happens.
#[test]
fn a_story_is_of_the_same_run() {
    for seed in 1..=5 {
        let simulation = Simulation::new(seed).operations(300);
        assert_eq!(simulation.story().report.hash, simulation.run().hash);
    }
}

#[test]
fn a_broker_of_ones_own_keeps_the_same_promises() {
    for report in (1..=10).map(own_simulation::run) {
        let failure = report.failure.as_ref().map(|failure| failure.violation.checker);
        assert!(failure.is_none_or(|checker| checker == "nobody hoards a hundred"), "{report}");
    }
    let own = (1..=20).filter_map(|seed| own_simulation::run(seed).failure).count();
    assert!(own > 0, "the example's own promise is one that it breaks");
}

/// Says no to some, gives to whoever holds the fewest, and hears of all that leaves.
#[derive(Default)]
struct Decides {
    asked: u64,
    refused: Arc<AtomicU64>,
    picked: Arc<AtomicU64>,
    departed: Arc<AtomicU64>,
}

impl Policy for Decides {
    fn admit(&mut self, _: &Publishing<'_>) -> Result<(), Reject> {
        self.asked += 1;
        if !self.asked.is_multiple_of(7) {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Reject::new(ErrorCode::NOT_ALLOWED, "each seventh is not"))
    }

    fn pick(&mut self, _: ChannelName<'_>, _: &MessageInfo<'_>, candidates: &Candidates<'_, ConsumerKey>) -> Pick {
        self.picked.fetch_add(1, Ordering::Relaxed);
        let least = candidates.iter().min_by_key(|candidate| candidate.in_flight);
        least.map_or(Pick::Default, |candidate| Pick::To(candidate.id))
    }

    fn departed(&mut self, _: &Departure<'_>) -> Option<OwnedName> {
        self.departed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Decisions of the user's own, within all that goes wrong: what the stock broker promises holds as before.
#[test]
fn a_broker_with_a_policy_keeps_the_same_promises() {
    let counts = [const { AtomicU64::new(0) }; 3].map(Arc::new);
    for seed in 1..=12 {
        let [refused, picked, departed] = counts.clone();
        let policy = move || {
            let (refused, picked, departed) = (refused.clone(), picked.clone(), departed.clone());
            Decides { asked: 0, refused, picked, departed }
        };
        let simulation = Simulation::new(seed).operations(300);
        let simulation = simulation.handler(move |setup| stock_handler(setup).with_policy(policy())).featured(3);
        let report = simulation.books(stock_books).host(stock_host).run();
        assert!(report.failure.is_none(), "{report}");
    }
    let [refused, picked, departed] = counts.map(|count| count.load(Ordering::Relaxed));
    assert!(refused > 50 && picked > 50 && departed > 5, "{refused}, {picked}, {departed}");
}

/// Acks of more than one message lose the last one's credit: something that takes a few operations to come about.
struct ForgetsRefusals(ConnectionHandler);

impl Handler for ForgetsRefusals {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Frame { frame: Frame::Refuse { .. }, .. } => Ok(()),
            event => self.0.handle(cx, event),
        }
    }
    fn started(&mut self, cx: &mut Context<'_>) {
        self.0.started(cx);
    }
    fn frames(&mut self, cx: &mut Context<'_>, frames: Frames<'_, Native>) {
        let from = frames.from();
        frames.for_each(cx, |cx, frame| self.handle(cx, Event::Frame { from, frame }));
    }
    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        self.0.end_of_step(cx);
    }
}

fn forgetful(seed: u64) -> Simulation<ForgetsRefusals> {
    let make = |setup: &Setup| ForgetsRefusals(ConnectionHandler::with_config(setup.stock.clone()));
    Simulation::new(seed).handler(make).books(|handler, name| stock_books(&handler.0, name))
}

#[test]
fn a_failure_gets_short_and_its_story_can_be_told_again() {
    let (seed, report) =
        (1..100).map(|seed| (seed, forgetful(seed).run())).find(|(_, report)| report.failure.is_some()).unwrap();
    let failure = report.failure.unwrap();
    let story = forgetful(seed).explain(&failure);
    assert!(story.kept.len() <= 12, "a delivery, a refusal and rest are enough:\n{story}");
    let violation = &story.report.failure.as_ref().unwrap().violation;
    assert_eq!(violation.checker, failure.violation.checker);
    let text = story.to_string();
    assert!(text.contains("refuses") && text.contains("VIOLATION") && text.contains("again, with the same"), "{text}");
    let stock = Simulation::new(seed).operations(10).story().to_string();
    assert!(stock.contains("--example replay -- --seed"), "{stock}");

    let (mermaid, svg) = (story.diagram().mermaid(), story.diagram().svg());
    assert!(mermaid.contains("Refuse") && mermaid.contains("VIOLATION") && svg.contains("VIOLATION"), "{mermaid}");

    let kept = story.options().split("--keep ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let again = forgetful(seed).keep(parse_kept(&kept).unwrap()).calm(story.is_calm).run();
    assert_eq!((again.hash, again.failure), (story.report.hash, story.report.failure));
}

/// If this passed, the simulation would look at nothing.
#[test]
fn the_canary_dies() {
    #[derive(Clone)]
    struct Canary;
    impl<H> Checker<H> for Canary {
        fn name(&self) -> &'static str {
            "the canary"
        }
        fn sees(&mut self, _: &Facts, seen: &Seen<'_>) -> Result<(), Cow<'static, str>> {
            match seen {
                Seen::Received(_, Frame::Delivery { .. }) => Err("a delivery".into()),
                _ => Ok(()),
            }
        }
    }
    let failure = Simulation::new(1).check(Canary).run().failure.expect("the canary lives");
    assert_eq!(failure.violation.checker, "the canary");
}

/// Other faults, and none, leave the workload as it is: their randomness is their own.
#[test]
fn the_streams_are_separate() {
    let operations = |adjust: fn(&mut Setup)| {
        let seen: Rc<RefCell<Vec<Operation>>> = Rc::default();
        let log = Rc::clone(&seen);
        let before = move |_: usize, operation: &Operation| log.borrow_mut().push(*operation);
        Simulation::new(5).operations(300).adjust(adjust).before_each(before).run();
        seen.take()
    };
    let calm = operations(|setup| {
        setup.faults = FaultPlan::new(0);
        setup.clock_every = 0;
        setup.process_every = 0;
    });
    let with_clock = operations(|setup| {
        setup.faults = FaultPlan::new(0);
        setup.clock_every = 10;
        setup.process_every = 0;
    });
    let without_time =
        |all: &[Operation]| all.iter().filter(|o| !matches!(o, Operation::Advance(_))).copied().collect::<Vec<_>>();
    let (calm_ones, clocked) = (without_time(&calm), without_time(&with_clock));
    assert!(with_clock.len() > clocked.len(), "the clock was moved");
    let same = calm_ones.len().min(clocked.len());
    assert_eq!(calm_ones[..same], clocked[..same]);
}

/// What a client that reads nothing holds up is its own.
#[test]
fn a_stalled_peer_changes_nothing_for_those_on_other_queues() {
    use msglib_testkit::simulate::{Action, Moment};
    let history = |moments: &[Moment]| {
        let received = moments.iter().filter_map(|moment| match &moment.what {
            What::Received { client: 0, words, .. } => Some(words.clone()),
            _ => None,
        });
        received.collect::<Vec<_>>()
    };
    // What client 0 does on queue 0, with and without what the others do on theirs, who stall and never read again.
    let (mut compared, mut stalls) = (0, 0);
    for seed in 1..=40 {
        let adjust = |setup: &mut Setup| {
            (setup.clients, setup.queues) = (3, 2);
            setup.faults = FaultPlan::new(0);
            (setup.network_every, setup.hostile_every, setup.clock_every, setup.process_every) = (5, 0, 0, 0);
            setup.stock = setup.stock.clone().with_deliveries_per_step(10_000);
        };
        let seen: Rc<RefCell<Vec<(usize, Operation)>>> = Rc::default();
        let log = Rc::clone(&seen);
        let note = move |index: usize, operation: &Operation| log.borrow_mut().push((index, *operation));
        Simulation::new(seed).operations(400).adjust(adjust).before_each(note).run();
        let all = seen.take();
        let queue_of = |action: &Action| match action {
            Action::Publish { queue, .. } | Action::Credit { queue, .. } | Action::Open { queue, .. } => Some(*queue),
            _ => None,
        };
        let is_stall = |operation: &Operation| matches!(operation, Operation::Client(_, Action::Stall));
        let is_own = |operation: &Operation| match operation {
            Operation::Client(0, action) => queue_of(action) == Some(0),
            Operation::Rest => true,
            _ => false,
        };
        let is_others = |operation: &Operation| match operation {
            Operation::Client(client, action) => {
                *client > 0 && (queue_of(action) == Some(1) || *action == Action::Stall)
            }
            _ => false,
        };
        stalls += all.iter().filter(|(_, operation)| is_others(operation)).filter(|(_, o)| is_stall(o)).count();
        let alone: Vec<usize> = all.iter().filter(|(_, o)| is_own(o)).map(|(index, _)| *index).collect();
        let together: Vec<usize> =
            all.iter().filter(|(_, o)| is_own(o) || is_others(o)).map(|(index, _)| *index).collect();
        let tell = |keep: Vec<usize>| Simulation::new(seed).operations(400).adjust(adjust).keep(keep).story();
        let (alone, together) = (tell(alone), tell(together));
        assert!(alone.report.failure.is_none() && together.report.failure.is_none());
        // Message numbers differ, for the others have published as well.
        let plain = |lines: Vec<String>| -> Vec<String> {
            lines.into_iter().map(|line| line.split(": message").next().unwrap_or_default().to_owned()).collect()
        };
        let (alone, together) = (plain(history(&alone.moments)), plain(history(&together.moments)));
        assert_eq!(alone, together, "seed {seed}");
        compared += alone.len();
    }
    assert!(compared > 500 && stalls > 100, "{compared} frames were compared, {stalls} times somebody stalled");
}
