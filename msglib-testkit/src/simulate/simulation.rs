//! The run of one seed.

use super::books::{Books, stock_books};
use super::checker::{Checker, Violation};
use super::checkers;
use super::featured::{HostAct, stock_handler};
use super::report::{Failure, Report, Story, VIOLATION};
use super::schedule::{Operation, schedule};
use super::setup::Setup;
use super::shrink::shrink;
use super::streams::Streams;
use super::trace::{Moment, What};
use super::world::{Decorate, Host, Parts, World};
use crate::faults::FaultPlan;
use msglib_broker::{ChannelName, ConnectionHandler, Context, Handler, QueueConfig};
use msglib_proto::transport::ConnectionManager;
use std::rc::Rc;

type MakeChecker<H> = Rc<dyn Fn(&Setup) -> Vec<Box<dyn Checker<H>>>>;

/// Many clients and a broker on one thread and a virtual clock, from one seed.
///
/// The run has a safety phase, in which a schedule of [`Operation`]s is carried out while the network, the clock and processes
/// fail; then everything is healed, healthy consumers drain the queues within a budget of steps, and all say goodbye. [`Checker`]s look
/// at everything that happens. The same seed gives the same run, byte for byte.
///
/// ```
/// use msglib_testkit::simulate::Simulation;
///
/// let report = Simulation::new(7).operations(500).run();
/// assert!(report.failure.is_none(), "{report}");
/// ```
///
/// With a handler of one's own it checks the same promises, but for those that need the handler's [`books`](Simulation::books):
///
/// ```
/// # use msglib_broker::ConnectionHandler as MyHandler;
/// use msglib_testkit::simulate::Simulation;
///
/// let report = Simulation::new(7).handler(|setup| MyHandler::with_config(setup.stock.clone())).operations(500).run();
/// assert!(report.failure.is_none(), "{report}");
/// ```
pub struct Simulation<H> {
    seed: u64,
    operations: usize,
    parts: Parts<H>,
    checkers: Vec<MakeChecker<H>>,
    adjust: Vec<Adjust>,
    keep: Option<Vec<usize>>,
    is_calm: bool,
    before: Option<BeforeEach>,
    is_own: bool,
    featured: usize,
    own: usize,
}

type Adjust = Rc<dyn Fn(&mut Setup)>;
type BeforeEach = Rc<dyn Fn(usize, &Operation)>;

/// Operations in a schedule unless something else is said.
const OPERATIONS: usize = 7_500;

/// Clients of the features that come with the stock handler.
const FEATURED: usize = 3;

/// Clients of channels of one's own that come with it.
const OWN: usize = 3;

impl Simulation<ConnectionHandler> {
    /// The run of `seed` with the stock handler, 7,500 operations, and every checker.
    pub fn new(seed: u64) -> Simulation<ConnectionHandler> {
        let simulation = Simulation {
            seed,
            operations: OPERATIONS,
            parts: Parts {
                make: Rc::new(stock_handler),
                books: Some(stock_books),
                decorate: None,
                host: Some(stock_host),
            },
            checkers: Vec::new(),
            adjust: Vec::new(),
            keep: None,
            is_calm: false,
            before: None,
            is_own: false,
            featured: 0,
            own: 0,
        };
        let simulation = simulation.check_all(checkers::of_the_protocol).check_all(checkers::of_work_queues);
        simulation.featured(FEATURED).own_channels(OWN)
    }
}

/// What the host program does with the queues of the stock handler.
pub fn stock_host(
    handler: &mut ConnectionHandler,
    cx: &mut Context<'_>,
    queue: ChannelName<'static>,
    act: HostAct,
    config: &QueueConfig,
) -> bool {
    match act {
        HostAct::Declare => handler.declare(cx, queue, config.clone()).is_ok(),
        HostAct::Pause => handler.pause(cx, queue),
        HostAct::Resume => handler.resume(cx, queue),
        HostAct::Purge => handler.purge(cx, queue),
    }
}

impl<H: Handler + 'static> Simulation<H> {
    /// With another handler, which `make` makes: at the beginning, and after each restart that loses the old one. The checkers
    /// are those of the protocol and of work queues; what was added before is gone.
    pub fn handler<G: Handler + 'static>(self, make: impl Fn(&Setup) -> G + 'static) -> Simulation<G> {
        let Simulation { seed, operations, parts, adjust, keep, is_calm, before, .. } = self;
        let parts = Parts { make: Rc::new(make), books: None, decorate: parts.decorate, host: None };
        let checkers = Vec::new();
        let (is_own, featured, own) = (true, 0, 0);
        let simulation =
            Simulation { seed, operations, parts, checkers, adjust, keep, is_calm, before, is_own, featured, own };
        simulation.check_all(checkers::of_the_protocol).check_all(checkers::of_work_queues)
    }

    /// With so many clients, up to 16, that use topics and services as the stock handler has them, and the checkers of these: 3 with the
    /// stock handler, none with another one. What is around the stock handler can make it with
    /// [`stock_handler`](super::featured::stock_handler); then somebody is at its door.
    pub fn featured(self, clients: usize) -> Simulation<H> {
        let is_new = self.featured == 0 && clients > 0;
        let simulation = Simulation { featured: clients.min(16), ..self };
        if is_new { simulation.check_all(checkers::of_features) } else { simulation }
    }

    /// With so many clients, up to 16, that use channels of one's own, a cell and a barrier, whose links the host program may decide about
    /// later; and the checkers of these: 3 with the stock handler, none with another one. What is around the stock handler can make it with
    /// [`stock_handler`](super::featured::stock_handler).
    pub fn own_channels(self, clients: usize) -> Simulation<H> {
        let is_new = self.own == 0 && clients > 0;
        let simulation = Simulation { own: clients.min(16), ..self };
        if is_new { simulation.check_all(checkers::of_own_channels) } else { simulation }
    }

    /// Without any checker but for panics; for handlers whose channels are no work queues. Add those that hold:
    /// [`checkers::of_the_protocol`], and the user's own.
    pub fn without_checkers(mut self) -> Simulation<H> {
        self.checkers.clear();
        self
    }

    /// With another checker.
    pub fn check(self, checker: impl Checker<H> + Clone + 'static) -> Simulation<H> {
        self.check_all(move |_| vec![Box::new(checker.clone())])
    }

    /// With other checkers, which depend on the limits of the run.
    pub fn check_all(mut self, make: impl Fn(&Setup) -> Vec<Box<dyn Checker<H>>> + 'static) -> Simulation<H> {
        self.checkers.push(Rc::new(make));
        self
    }

    /// Where the handler's books are, so that they are compared with what the clients know.
    pub fn books(mut self, books: Books<H>) -> Simulation<H> {
        self.parts.books = Some(books);
        self
    }

    /// How the host program declares, pauses, resumes and purges the handler's queues; without it nobody uses queues with settings.
    pub fn host(mut self, host: Host<H>) -> Simulation<H> {
        self.parts.host = Some(host);
        self
    }

    /// With something around the transport, below the faults.
    pub fn transport(
        mut self,
        decorate: impl Fn(Box<dyn ConnectionManager>) -> Box<dyn ConnectionManager> + 'static,
    ) -> Simulation<H> {
        let decorate: Decorate = Rc::new(decorate);
        self.parts.decorate = Some(decorate);
        self
    }

    /// With so many operations in the schedule. Default 7,500.
    pub fn operations(mut self, operations: usize) -> Simulation<H> {
        self.operations = operations;
        self
    }

    /// With another setup than the seed gives.
    pub fn adjust(mut self, adjust: impl Fn(&mut Setup) + 'static) -> Simulation<H> {
        self.adjust.push(Rc::new(adjust));
        self
    }

    /// Only these operations of the schedule, by their places in it, which must ascend; as a failure that was shrunk names them.
    pub fn keep(mut self, keep: Vec<usize>) -> Simulation<H> {
        self.keep = Some(keep);
        self
    }

    /// Without faults between the broker and its transport; the operations stay as they are.
    pub fn calm(mut self, is_calm: bool) -> Simulation<H> {
        self.is_calm = is_calm;
        self
    }

    /// Calls `before` before each operation, with its place in the schedule: to stop there, say, and look around with a debugger.
    pub fn before_each(mut self, before: impl Fn(usize, &Operation) + 'static) -> Simulation<H> {
        self.before = Some(Rc::new(before));
        self
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Runs it.
    pub fn run(&self) -> Report {
        self.play(self.keep.as_deref(), self.is_calm, false).0
    }

    /// Finds the shortest schedule that fails in the same way, and tells what happens in it. It takes some hundred runs.
    pub fn explain(&self, failure: &Failure) -> Story {
        let (keep, is_calm) = shrink(failure, self.keep.clone(), self.is_calm, |keep, is_calm| {
            self.play(Some(keep), is_calm, false).0.failure
        });
        self.tell(Some(&keep), is_calm)
    }

    /// Runs it and tells what happens.
    pub fn story(&self) -> Story {
        self.tell(self.keep.as_deref(), self.is_calm)
    }

    fn tell(&self, keep: Option<&[usize]>, is_calm: bool) -> Story {
        let (report, moments, schedule) = self.play(keep, is_calm, true);
        let kept = keep.map_or_else(|| (0..schedule.len()).collect(), <[usize]>::to_vec);
        let (is_own, operations) = (self.is_own, self.operations);
        Story { report, moments, kept, is_calm, is_own, operations, of: schedule.len() }
    }

    fn play(&self, keep: Option<&[usize]>, is_calm: bool, is_traced: bool) -> (Report, Vec<Moment>, Vec<Operation>) {
        let mut streams = Streams::new(self.seed);
        let mut setup = Setup::new(&mut streams.setup, self.operations);
        setup.featured = self.featured;
        setup.own = self.own;
        if self.own > 0 {
            setup.broker.core.max_pending_answers = streams.own.pick(&[1, 2, 1_024]);
        }
        self.adjust.iter().for_each(|adjust| adjust(&mut setup));
        if is_calm {
            setup.faults = FaultPlan::new(0);
        }
        let schedule = schedule(&setup, &mut streams);
        let checkers = self.checkers.iter().flat_map(|make| make(&setup)).collect();
        let mut world = World::new(&self.parts, setup, &mut streams.broker, checkers, is_traced);

        let (mut done, mut failure) = (0, None);
        let all = 0..schedule.len();
        let kept: &mut dyn Iterator<Item = usize> = match keep {
            Some(keep) => &mut keep.iter().copied().filter(|index| *index < schedule.len()),
            None => &mut all.into_iter(),
        };
        for index in kept {
            world.hash.word(index as u64);
            world.note(|| What::Operation { index, operation: schedule[index] });
            if let Some(before) = &self.before {
                before(index, &schedule[index]);
            }
            match world.play(schedule[index]) {
                Ok(meant_something) => done += u64::from(meant_something),
                Err(violation) => {
                    failure = Some(Failure { violation, at: Some(index) });
                    break;
                }
            }
        }
        if failure.is_none() {
            world.note(|| What::Note("the faults end, and the queues are drained".to_owned()));
            failure = world.wind_up().err().map(|violation| Failure { violation, at: None });
        }
        if let Some(Failure { violation: Violation { checker, words }, .. }) = &failure {
            world.note(|| What::Note(format!("{VIOLATION}{checker}: {words}")));
        }
        let report = Report {
            seed: self.seed,
            operations: done,
            messages: world.facts.messages.len() as u64,
            deliveries: world.facts.messages.iter().map(|message| u64::from(message.seen)).sum(),
            time: world.facts.now.since(msglib_proto::Instant::ZERO),
            network_faults: world.network_faults(),
            process_faults: world.process_faults,
            hash: world.hash.value(),
            failure,
        };
        (report, world.trace.take().unwrap_or_default(), schedule)
    }
}
