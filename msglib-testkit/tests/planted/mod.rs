//! Planted bugs, which the simulation must find: in a wrapper of the stock handler, in what a broker says, and in its transport.
//! None of them is in production code.
//!
//! The table says which checker each is for, and a seed with which it is found; `cargo run --release --example simulate -- --planted`
//! looks for such seeds anew.

pub mod featured;
pub mod handlers;
pub mod output;
pub mod own;
pub mod transports;

use handlers::Buggy;
use msglib_broker::ConnectionHandler;
use msglib_proto::{QueueOrder, QueueSettings};
use msglib_testkit::faults::{Fault, FaultPlan};
use msglib_testkit::simulate::featured::{DEAD, stock_handler};
use msglib_testkit::simulate::{Books, Host, Report, Setup, Simulation, stock_books, stock_host};

/// Operations of a run that looks for a planted bug.
pub const OPERATIONS: usize = 1_000;

/// Clients of the features.
const CLIENTS: usize = 4;

/// A bug, and who must find it.
pub struct Planted {
    pub name: &'static str,
    /// How the names of the checkers begin that are right about it.
    pub caught_by: &'static [&'static str],
    /// A seed with which it is found.
    pub seed: u64,
    run: Run,
}

enum Run {
    Handler(handlers::Bug),
    /// In a handler that shows no books, so that only its clients can find it.
    Closed(handlers::Bug),
    Output(output::Rewrite),
    /// In what is said to the clients of the features.
    FeaturedOutput(output::Rewrite),
    /// In what becomes of what they say.
    FeaturedHandler(featured::Rewrite),
    /// As `FeaturedHandler`, where queues are fair, and jobs so large that turns are short.
    FeaturedFair(featured::Rewrite),
    Transport(transports::Bug),
    /// In channels of one's own, around them, or in who decides about links to them.
    Own(fn(&Setup) -> ConnectionHandler),
    /// In what the host program does.
    FeaturedHost(Host<ConnectionHandler>),
    /// In what the handler says of its queues.
    FeaturedBooks(Books<ConnectionHandler>),
    /// At the door.
    FeaturedDoor(fn(&Setup) -> ConnectionHandler),
    /// A fault that breaks the transport's contract.
    Breach(Fault),
}

impl Planted {
    /// A run of the seed with the bug.
    pub fn run(&self, seed: u64) -> Report {
        let simulation = Simulation::new(seed).operations(OPERATIONS).own_channels(0);
        let featured = simulation.featured(CLIENTS);
        // The others are found with their known seeds by what plain clients see.
        let simulation = Simulation::new(seed).operations(OPERATIONS).featured(0).own_channels(0);
        match self.run {
            Run::FeaturedHandler(rewrite) | Run::FeaturedFair(rewrite) => {
                let is_fair = matches!(self.run, Run::FeaturedFair(_));
                let featured = if is_fair { featured.adjust(fair) } else { featured };
                let simulation = featured.handler(move |setup| featured::Buggy::new(rewrite, setup)).featured(CLIENTS);
                let simulation = simulation.books(|handler, name| handler.books(name));
                simulation.host(|handler, cx, queue, act, config| handler.host(cx, queue, act, config)).run()
            }
            Run::FeaturedDoor(make) => {
                featured.handler(make).featured(CLIENTS).books(stock_books).host(stock_host).run()
            }
            Run::FeaturedBooks(books) => featured.books(books).run(),
            Run::FeaturedHost(host) => featured.host(host).run(),
            Run::FeaturedOutput(rewrite) => featured
                .adjust(with_room)
                .transport(move |manager| Box::new(output::Output::new(manager, rewrite)))
                .run(),
            Run::Handler(bug) => {
                let simulation = simulation.handler(move |setup| Buggy::new(bug, setup));
                simulation.books(|handler, name| handler.books(name)).run()
            }
            Run::Closed(bug) => simulation.handler(move |setup| Buggy::new(bug, setup)).run(),
            Run::Output(rewrite) => simulation
                .adjust(with_room)
                .transport(move |manager| Box::new(output::Output::new(manager, rewrite)))
                .run(),
            Run::Own(make) => simulation.handler(make).own_channels(CLIENTS).books(stock_books).run(),
            Run::Transport(bug) => simulation
                .adjust(without_faults)
                .transport(move |manager| Box::new(transports::Broken::new(manager, bug)))
                .run(),
            Run::Breach(fault) => {
                simulation.adjust(move |setup| setup.faults = FaultPlan::new(seed).with(fault, 0.01)).run()
            }
        }
    }

    /// Whether the right checker has found it.
    pub fn is_caught(&self, report: &Report) -> bool {
        let violation = report.failure.as_ref().map(|failure| &failure.violation);
        violation.is_some_and(|violation| self.caught_by.iter().any(|name| violation.checker.starts_with(name)))
    }
}

fn without_faults(setup: &mut Setup) {
    setup.faults = FaultPlan::new(0);
}

fn fair(setup: &mut Setup) {
    with_room(setup);
    setup.limits = setup.limits.with_max_payload(20_000);
    setup.broker = setup.broker.clone().with_read_block(65_536);
    for queue in &mut setup.jobs[..DEAD] {
        let dead_letter = queue.dead_letter.take();
        *queue = QueueSettings { order: Some(QueueOrder::FairByKey), dead_letter, ..QueueSettings::default() };
    }
}

/// The pipes take all, so that what is said instead has room.
fn with_room(setup: &mut Setup) {
    without_faults(setup);
    setup.pipe_capacity = 1 << 24;
}

macro_rules! planted {
    ($($kind:ident $bug:path, $($caught_by:literal)|+, $seed:literal;)+) => {
        /// All of them.
        pub const PLANTED: &[Planted] = &[
            $(Planted {
                name: stringify!($bug),
                caught_by: &[$($caught_by),+],
                seed: $seed,
                run: Run::$kind($bug),
            },)+
        ];
    };
}

planted! {
    Handler handlers::Bug::ForgetsWhoLeft, "I1 ", 1;
    Handler handlers::Bug::ForgetsWhoClosed, "I1 ", 2;
    Handler handlers::Bug::ForgetsRoom, "I12 ", 1;
    Handler handlers::Bug::ForgetsToStartOver, "I1 ", 5;
    Handler handlers::Bug::ForgetsAcks, "I1 ", 2;
    Handler handlers::Bug::ForgetsCredit, "I12 ", 1;
    Handler handlers::Bug::AcksEverything, "I8 ", 2;
    Handler handlers::Bug::AcksOneMore, "I8 ", 5;
    Handler handlers::Bug::AcksWhatIsRefused, "I8 ", 2;
    Handler handlers::Bug::HasAgainWhatIsRefused, "I7 ", 1;
    Handler handlers::Bug::DropsWhatComesAgain, "I8 ", 2;
    Handler handlers::Bug::TakesTwice, "I5 " | "I9 " | "I1 ", 8;
    Handler handlers::Bug::SwapsPublishes, "I9 ", 10;
    Handler handlers::Bug::TakesNothingAndConfirms, "I1 ", 1;
    Handler handlers::Bug::DispatchesTwice, "I25 ", 2;
    Handler handlers::Bug::SkipsSomeSteps, "I12 " | "I13 " | "I22 ", 12;
    Handler handlers::Bug::PanicsOnce, "I37 ", 1;
    Handler handlers::Bug::Chatters, "I24 ", 1;
    Handler handlers::Bug::IgnoresItsLimits, "I23 ", 1;
    Handler handlers::Bug::IgnoresTheWindow, "I13 ", 1;
    Handler handlers::Bug::IgnoresTheSpan, "I11 ", 3;
    Handler handlers::Bug::IgnoresItsBudget, "I25 ", 2;
    Handler handlers::Bug::CountsNoBytes, "I23 ", 1;
    Handler handlers::Bug::CountsAcksTwice, "I8 " | "I1 ", 1;
    Closed handlers::Bug::TakesNothingAndConfirms, "I2 ", 1;
    Closed handlers::Bug::ForgetsAcks, "I7 ", 4;
    Output output::confirms_twice, "I22 ", 1;
    Output output::confirms_too_much, "I22 ", 1;
    Output output::confirms_too_little, "I22 ", 1;
    Output output::loses_confirms, "I22 ", 1;
    Output output::loses_refusals, "I22 " | "I1 ", 1;
    Output output::refuses_too_much, "I22 " | "I1 ", 1;
    Output output::refuses_what_it_took, "I4 ", 1;
    Output output::allows_too_much, "I13 ", 1;
    Output output::takes_credit_back, "I13 ", 1;
    Output output::loses_credit, "I13 ", 3;
    Output output::skips_tags, "I11 ", 1;
    Output output::loses_deliveries, "I11 ", 5;
    Output output::delivers_twice, "I6 ", 1;
    Output output::counts_nothing, "I5 ", 1;
    Output output::counts_double, "I5 ", 1;
    Output output::changes_a_bit, "I3 ", 1;
    Output output::cuts_payloads, "I3 ", 1;
    Output output::opens_twice, "I33 ", 1;
    Output output::opens_nothing, "I33 " | "I26 ", 1;
    Output output::closes_nothing, "I26 ", 1;
    Output output::welcomes_twice, "I33 ", 1;
    Output output::says_nothing_to_pings, "I26 ", 1;
    Output output::answers_other_pings, "I26 ", 1;
    Output output::talks_on, "I33 ", 1;
    Output output::blames_the_innocent, "I32 ", 1;
    Output output::makes_noise, "I33 ", 1;
    Transport transports::Bug::LosesRoom, "I26 " | "I12 " | "I1 ", 1;
    Transport transports::Bug::LosesNews, "I26 " | "liveness", 1;
    Transport transports::Bug::LosesEnds, "I32 " | "I27 ", 1;
    Transport transports::Bug::ReadsTwice, "I32 ", 1;
    Transport transports::Bug::WritesLess, "I33 ", 1;
    Transport transports::Bug::CutsOff, "I32 ", 1;
    Transport transports::Bug::OpensTwice, "I37 ", 1;
    Transport transports::Bug::DrainsForEver, "I27 ", 1;
    Breach Fault::ClockBack, "I28 ", 1;
    Breach Fault::CorruptRead, "I32 " | "I3 ", 1;
    Breach Fault::CorruptWrite, "I33 " | "I3 ", 3;
    FeaturedOutput featured::names_another_topic, "I20 ", 1;
    FeaturedOutput featured::names_no_topic, "I20 ", 1;
    FeaturedOutput featured::changes_what_is_told, "I20 ", 2;
    FeaturedOutput featured::keeps_what_is_new, "I19 ", 1;
    FeaturedOutput featured::takes_last_values_for_new, "I19 ", 7;
    FeaturedOutput featured::loses_gaps, "I19 ", 1;
    FeaturedOutput featured::tells_gaps_twice, "I19 ", 1;
    FeaturedOutput featured::tells_twice, "I19 ", 2;
    FeaturedOutput featured::skips_a_tag, "I19 ", 2;
    FeaturedOutput featured::replies_twice, "I21 ", 3;
    FeaturedOutput featured::replies_to_another, "I21 ", 4;
    FeaturedOutput featured::loses_replies, "I21 ", 4;
    FeaturedOutput featured::loses_refusals, "I21 ", 1;
    FeaturedOutput featured::changes_replies, "I21 ", 3;
    FeaturedOutput featured::is_out_of_time, "I21 ", 3;
    FeaturedOutput featured::has_more_time, "I21 ", 1;
    FeaturedOutput featured::asks_with_other_words, "I21 ", 1;
    FeaturedHandler featured::publishes_twice, "I19 ", 1;
    FeaturedHandler featured::publishes_nothing, "I19 ", 3;
    FeaturedHandler featured::publishes_elsewhere, "I20 ", 2;
    FeaturedHandler featured::keeps_nothing, "I19 ", 3;
    FeaturedHandler featured::keeps_everything, "I19 ", 1;
    FeaturedHandler featured::forgets_answers, "I21 ", 4;
    FeaturedHandler featured::refuses_what_is_answered, "I21 ", 4;
    FeaturedHandler featured::waits_for_ever, "I21 ", 1;
    FeaturedHandler featured::waits_too_short, "I21 ", 1;
    FeaturedHandler featured::asks_twice, "I21 ", 1;
    FeaturedOutput featured::settles_one_more, "I8 ", 1;
    FeaturedOutput featured::confirms_what_is_refused, "I1 " | "I2 ", 1;
    FeaturedOutput featured::tells_no_cause, "I3 ", 1;
    FeaturedOutput featured::tells_another_cause, "I17 ", 1;
    FeaturedOutput featured::tells_one_hop_more, "I17 ", 1;
    FeaturedOutput featured::counts_no_attempts, "I5 ", 2;
    FeaturedHandler featured::forgets_delays, "I15 ", 1;
    FeaturedHandler featured::delays_some, "I9 ", 20;
    FeaturedHandler featured::forgets_times_to_live, "I15 ", 1;
    FeaturedHandler featured::turns_priorities_round, "I10 ", 631;
    FeaturedFair featured::forgets_keys, "fair", 1;
    FeaturedHandler featured::forgets_keys, "sticky", 2;
    FeaturedHandler featured::forgets_keys, "last value", 6;
    FeaturedHandler featured::takes_all_keys_for_one, "I2 ", 6;
    FeaturedHandler featured::forgets_producers, "I1 " | "I5 ", 130;
    FeaturedHandler featured::acks_what_is_extended, "I1 ", 1;
    FeaturedHandler featured::extends_too_short, "I16 ", 16;
    FeaturedHandler featured::extends_too_long, "I1 " | "I16 ", 14;
    FeaturedHandler featured::has_it_again_at_once, "I15 ", 14;
    FeaturedHandler featured::acks_what_comes_again, "I1 ", 1;
    FeaturedHandler featured::kills_what_comes_again, "I17 ", 1;
    FeaturedHandler featured::acks_what_is_dead, "I1 ", 1;
    FeaturedHandler featured::settles_all, "I1 " | "I16 " | "I8 ", 2;
    FeaturedHandler featured::says_nothing_of_settlings, "I8 ", 1;
    FeaturedHost featured::forgets_to_pause, "I3 ", 1;
    FeaturedHost featured::forgets_to_purge, "purge", 2;
    FeaturedHost featured::forgets_to_resume, "I1 ", 1;
    FeaturedBooks featured::takes_drops_for_purges, "purge", 2;
    FeaturedBooks featured::mixes_up_drops, "I23 ", 2;
    FeaturedBooks featured::has_more_than_it_may, "I23 ", 7;
    FeaturedBooks featured::never_replaces, "I23 " | "last value", 6;
    FeaturedBooks featured::forgets_what_it_dropped, "I1 ", 2;
    FeaturedDoor featured::lets_everybody_in, "admission", 1;
    FeaturedDoor featured::sends_friends_away, "admission", 1;
    FeaturedDoor featured::forgets_who_waits, "I32 ", 1;
    FeaturedDoor featured::does_not_wait, "admission", 1;
    FeaturedHandler featured::allows_nothing, "I19 " | "I21 ", 5;
    Own own::forgets_room, "I19 a watcher", 1;
    Own own::forgets_those_who_come_late, "I19 a watcher", 1;
    Own own::tells_again, "I19 a watcher", 1;
    Own own::tells_the_first, "I19 a watcher", 1;
    Own own::tells_what_it_refuses, "I19 a watcher", 1;
    Own own::changes_values, "I19 a watcher", 1;
    Own own::takes_what_it_refuses, "I22 a write", 1;
    Own own::opens_early, "I19 a barrier", 1;
    Own own::leaves_one_behind, "I19 a barrier", 1;
    Own own::waits_for_more, "I19 a barrier", 1;
    Own own::waits_for_those_who_left, "I19 a barrier", 7;
    Own own::lets_one_go_alone, "I19 a barrier", 1;
    Own own::ends_twice, "I37 a channel", 1;
    Own own::ends_never, "I37 a channel", 1;
    Own own::begins_twice, "I37 a channel", 1;
    Own own::goes_on_behind_the_end, "I37 a channel", 1;
    Own own::opens_what_nobody_may, "admission: a link", 1;
    Own own::does_not_ask, "admission: a link", 1;
    Own own::opens_at_once, "admission: a link", 1;
    Own own::answers_for_another, "admission: a link", 1;
    Own own::forgets_what_it_owes, "admission: a link", 1;
    Own own::turns_everybody_away, "admission: who asks", 1;
    Transport transports::Bug::LosesLastWords, "I32 ", 1;
}

/// The same three frames around nothing wrong: what is caught then is not the bug.
pub const HARMLESS: &[Planted] = &[
    Planted { name: "channels of one's own", caught_by: &[], seed: 1, run: Run::Own(stock_handler) },
    Planted {
        name: "a wrapper with the features",
        caught_by: &[],
        seed: 1,
        run: Run::FeaturedHandler(featured::nothing),
    },
    Planted { name: "features that pass", caught_by: &[], seed: 1, run: Run::FeaturedOutput(output::nothing) },
    Planted { name: "a wrapper without a bug", caught_by: &[], seed: 1, run: Run::Handler(handlers::Bug::None) },
    Planted { name: "frames that pass unchanged", caught_by: &[], seed: 1, run: Run::Output(output::nothing) },
    Planted { name: "a transport without a bug", caught_by: &[], seed: 1, run: Run::Transport(transports::Bug::None) },
];
