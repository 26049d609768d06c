//! The operations of a run: a plain list, made from the seed before anything happens.
//!
//! Each operation means something whatever came before it: a publish by a client that is not connected connects first. So a
//! schedule from which any of them are taken out is a schedule as well, and shrinking needs to know nothing else.

use super::featured::{Deed, HostAct, JOBS, draw, draw_host};
use super::own::{self, Answer, OwnDeed};
use super::setup::Setup;
use super::streams::{Random, Streams};
use core::fmt;
use msglib_proto::Verdict;

/// One thing that somebody does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Operation {
    /// A client.
    Client(usize, Action),
    /// A client of the features.
    Featured(usize, Deed),
    /// A client of channels of one's own.
    Own(usize, OwnDeed),
    /// The host program answers somebody who waits for a link.
    Answer {
        /// Who, counted round.
        pick: usize,
        /// What it says.
        answer: Answer,
    },
    /// The host program, with a queue that has settings.
    Host(usize, HostAct),
    /// The host program decides about somebody who waits at the door.
    Decide {
        /// Who, counted round.
        pick: usize,
        /// It is let in.
        yes: bool,
    },
    /// So many steps of the broker; each time everybody writes and reads what there is.
    Steps(usize),
    /// Everybody goes on until nothing moves any more; then the books are compared.
    Rest,
    /// So many microseconds pass.
    Advance(u64),
    /// The broker ends, and another one begins.
    Restart {
        /// It says goodbye first.
        orderly: bool,
        /// With a new handler, so that what the old one held is lost; else with the same.
        fresh: bool,
    },
    /// The handler panics, so many events from now; the broker is dropped and another one begins.
    Panic {
        /// Events that it still handles.
        after: u64,
        /// As with [`Restart`](Operation::Restart).
        fresh: bool,
    },
}

/// What a client does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Takes a new connection; its old one is dropped.
    Connect {
        /// The largest payload that it takes, if it is less than any other's.
        takes: Option<u32>,
    },
    /// Opens another link to a queue.
    Open {
        /// Which queue.
        queue: usize,
        /// To publish.
        publishes: bool,
        /// To consume.
        consumes: bool,
    },
    /// Closes one of its links.
    Close {
        /// Which, counted round.
        pick: usize,
    },
    /// Publishes, as often as the credit allows and at most so often.
    Publish {
        /// To which queue.
        queue: usize,
        /// How often.
        times: usize,
        /// Asks for confirms.
        confirm: bool,
        /// How large, from 0 for the least to 1,000 for the most that there is.
        size: usize,
    },
    /// Allows so many more deliveries than have come.
    Credit {
        /// From which queue.
        queue: usize,
        /// How many more.
        more: u64,
    },
    /// Settles deliveries.
    Settle {
        /// On which of its links that hold some, counted round.
        pick: usize,
        /// The first of those that it holds there, counted round.
        from: usize,
        /// How many, in one range.
        count: u64,
        /// Acks, or refuses.
        how: Settling,
    },
    /// Settles what it does not hold: tags that are settled, or that were never allowed.
    SettleForeign {
        /// On which of its links, counted round.
        pick: usize,
        /// Beyond all that it has allowed; else what is settled.
        beyond: bool,
        /// Acks, or refuses.
        how: Settling,
    },
    /// Asks for a sign of life.
    Ping,
    /// Says goodbye.
    Goodbye,
    /// Closes its sending side; reads on.
    HalfClose,
    /// Sends so many more bytes of what it has to say, then resets the connection.
    Reset {
        /// How many.
        after: usize,
    },
    /// Sends so many more bytes of what it has to say, then drops the connection.
    Drop {
        /// How many.
        after: usize,
    },
    /// Reads nothing until it resumes.
    Stall,
    /// Reads again, and writes as much as there is room for.
    Resume,
    /// Writes at most so many bytes before each step.
    Trickle {
        /// How many.
        bytes: usize,
    },
    /// Neither writes nor reads any more, and does not close either.
    Vanish,
    /// Breaks the protocol.
    Violate(Violence),
}

/// How a delivery is settled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Settling {
    /// Done.
    Ack,
    /// To be delivered again, or never.
    Refuse(Verdict),
}

/// How a client breaks the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Violence {
    /// A second `HELLO`.
    HelloAgain,
    /// A publish with a number that is not the next.
    WrongNumber,
    /// A publish on a link that does not exist.
    WrongLink,
    /// Credit that goes back.
    CreditBack,
    /// A frame that only brokers send.
    BrokersFrame,
    /// A frame type that there is not.
    UnknownType,
    /// A length below the header's.
    ShortLength,
    /// A payload above the broker's limit; the header is enough.
    TooLarge,
    /// Bytes that are no protocol of ours.
    Noise,
}

const VIOLENCE: [Violence; 9] = [
    Violence::HelloAgain,
    Violence::WrongNumber,
    Violence::WrongLink,
    Violence::CreditBack,
    Violence::BrokersFrame,
    Violence::UnknownType,
    Violence::ShortLength,
    Violence::TooLarge,
    Violence::Noise,
];

/// Makes the list.
pub(super) fn schedule(setup: &Setup, streams: &mut Streams) -> Vec<Operation> {
    let weights = Weights::new(&mut streams.workload);
    let mut operations = Vec::with_capacity(setup.operations + setup.operations / 8);
    while operations.len() < setup.operations {
        operations.push(weights.draw(&mut streams.workload, setup));
        if setup.featured > 0 && streams.featured.chance(300) {
            let client = streams.featured.below(setup.featured);
            operations.push(Operation::Featured(client, draw(&mut streams.featured)));
            if is_due(&mut streams.featured, 10) {
                let (pick, yes) = (streams.featured.below(4), streams.featured.chance(700));
                operations.push(Operation::Decide { pick, yes });
            }
            if is_due(&mut streams.featured, 60) {
                let (queue, act) = draw_host(&mut streams.featured);
                operations.push(Operation::Host(queue, act));
            }
        }
        if setup.own > 0 && streams.own.chance(250) {
            let client = streams.own.below(setup.own);
            operations.push(Operation::Own(client, own::draw(&mut streams.own, setup.process_every > 0)));
            if is_due(&mut streams.own, 6) {
                let (pick, answer) = own::draw_answer(&mut streams.own);
                operations.push(Operation::Answer { pick, answer });
            }
        }
        if is_due(&mut streams.workload, setup.rest_every) {
            operations.push(Operation::Rest);
        }
        if is_due(&mut streams.network, setup.network_every) {
            let client = streams.network.below(setup.clients);
            operations.push(Operation::Client(client, network(&mut streams.network)));
        }
        if is_due(&mut streams.network, setup.hostile_every) {
            let client = streams.network.below(setup.clients);
            operations.push(Operation::Client(client, Action::Violate(streams.network.pick(&VIOLENCE))));
        }
        if is_due(&mut streams.clock, setup.clock_every) {
            operations.push(Operation::Advance(streams.clock.pick(&[
                1,
                1_000,
                100_000,
                1_000_000,
                11_000_000,
                3_600_000_000,
            ])));
        }
        if is_due(&mut streams.process, setup.process_every) {
            operations.push(process(&mut streams.process));
        }
    }
    operations
}

fn is_due(random: &mut Random, every: usize) -> bool {
    every > 0 && random.below(every) == 0
}

/// How often a run's clients do what: other weights for each seed, so that each has a character of its own.
struct Weights {
    of: [(usize, Kind); 9],
    sum: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Publish,
    Credit,
    Settle,
    Steps,
    Connect,
    Open,
    Close,
    Foreign,
    Goodbye,
}

impl Weights {
    fn new(random: &mut Random) -> Weights {
        let of = [
            (random.pick(&[20, 40, 60]), Kind::Publish),
            (random.pick(&[5, 15, 30]), Kind::Credit),
            (random.pick(&[10, 30, 50]), Kind::Settle),
            (random.pick(&[5, 20, 40]), Kind::Steps),
            (random.pick(&[0, 1, 3]), Kind::Connect),
            (random.pick(&[0, 1, 3]), Kind::Open),
            (random.pick(&[0, 1, 3]), Kind::Close),
            (random.pick(&[0, 2, 5]), Kind::Foreign),
            (random.pick(&[0, 1, 2]), Kind::Goodbye),
        ];
        Weights { of, sum: of.iter().map(|(weight, _)| weight).sum() }
    }

    fn draw(&self, random: &mut Random, setup: &Setup) -> Operation {
        let mut at = random.below(self.sum);
        let kind = self.of.iter().find(|(weight, _)| {
            let hit = at < *weight;
            at = at.saturating_sub(*weight);
            hit
        });
        let client = random.below(setup.clients);
        let queue = random.below(setup.queues);
        let pick = random.below(8);
        let action = match kind.map_or(Kind::Steps, |(_, kind)| *kind) {
            Kind::Publish => Action::Publish {
                queue,
                times: random.pick(&[1, 1, 1, 2, 5]),
                confirm: random.chance(600),
                size: random.pick(&[0, 0, 100, 500, 1_000]),
            },
            Kind::Credit => Action::Credit { queue, more: random.pick(&[1, 1, 2, 5, 20, 100]) },
            Kind::Settle => Action::Settle {
                pick,
                from: random.pick(&[0, 0, 0, 1, 5]),
                count: random.pick(&[1, 1, 2, 10, 1_000]),
                how: settling(random),
            },
            Kind::Steps => return Operation::Steps(random.pick(&[1, 1, 1, 2, 5])),
            Kind::Connect => Action::Connect { takes: random.chance(100).then_some(20) },
            Kind::Open => {
                let publishes = random.chance(500);
                Action::Open { queue, publishes, consumes: !publishes || random.chance(300) }
            }
            Kind::Close => Action::Close { pick },
            Kind::Foreign => Action::SettleForeign { pick, beyond: random.chance(500), how: settling(random) },
            Kind::Goodbye => random.pick(&[Action::Goodbye, Action::Ping, Action::Ping]),
        };
        Operation::Client(client, action)
    }
}

fn settling(random: &mut Random) -> Settling {
    match random.below(10) {
        0 => Settling::Refuse(Verdict::ForGood),
        1 | 2 => Settling::Refuse(Verdict::Again),
        _ => Settling::Ack,
    }
}

fn network(random: &mut Random) -> Action {
    match random.below(16) {
        0 => Action::HalfClose,
        1 | 2 => Action::Reset { after: random.pick(&[0, 1, 11, 12, 13, 40, 1_000]) },
        3 | 4 => Action::Drop { after: random.pick(&[0, 1, 11, 12, 13, 40, 1_000]) },
        5..=7 => Action::Stall,
        8..=11 => Action::Resume,
        12..=14 => Action::Trickle { bytes: random.pick(&[1, 2, 11, 50]) },
        _ => Action::Vanish,
    }
}

fn process(random: &mut Random) -> Operation {
    let fresh = random.chance(300);
    match random.below(2) {
        0 => Operation::Restart { orderly: random.chance(500), fresh },
        _ => Operation::Panic { after: random.below(20) as u64, fresh },
    }
}

/// One line for a person.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Operation::Client(client, action) => write!(f, "client {client}: {action}"),
            Operation::Featured(client, deed) => write!(f, "client {client} of the features: {deed}"),
            Operation::Own(client, deed) => write!(f, "client {client} of channels of one's own: {deed}"),
            Operation::Answer { answer, .. } => write!(f, "the host program {answer}"),
            Operation::Host(queue, act) => write!(f, "the host program: {act:?} {}", JOBS[queue]),
            Operation::Decide { yes: true, .. } => f.write_str("the host program lets somebody in"),
            Operation::Decide { yes: false, .. } => f.write_str("the host program sends somebody away"),
            Operation::Steps(1) => f.write_str("a step of the broker"),
            Operation::Steps(count) => write!(f, "{count} steps of the broker"),
            Operation::Rest => f.write_str("everything comes to rest"),
            Operation::Advance(micros) => write!(f, "{:?} pass", core::time::Duration::from_micros(micros)),
            Operation::Restart { orderly, fresh } => {
                let how = if orderly { "says goodbye and ends" } else { "ends without a word" };
                write!(f, "the broker {how}; another one begins with {}", handler(fresh))
            }
            Operation::Panic { after, fresh } => {
                write!(f, "the handler panics after {after} more events; another broker begins with {}", handler(fresh))
            }
        }
    }
}

fn handler(fresh: bool) -> &'static str {
    if fresh { "a new handler" } else { "the same handler" }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Action::Connect { takes: None } => f.write_str("takes a new connection"),
            Action::Connect { takes: Some(bytes) } => {
                write!(f, "takes a new connection, for payloads up to {bytes} bytes")
            }
            Action::Open { queue, publishes, consumes } => {
                let what = match (publishes, consumes) {
                    (true, true) => "publish and consume",
                    (true, false) => "publish",
                    _ => "consume",
                };
                write!(f, "opens a link to queue {queue}, to {what}")
            }
            Action::Close { pick } => write!(f, "closes a link ({pick})"),
            Action::Publish { queue, times, confirm, size } => {
                let how = if confirm { ", with a confirm" } else { "" };
                write!(f, "publishes to queue {queue}, {times} times, size {size}{how}")
            }
            Action::Credit { queue, more } => write!(f, "allows {more} more deliveries from queue {queue}"),
            Action::Settle { pick, from, count, how } => write!(f, "{how} {count} of what it holds ({pick}, {from})"),
            Action::SettleForeign { pick, beyond: true, how } => {
                write!(f, "{how} tags that it has not allowed ({pick})")
            }
            Action::SettleForeign { pick, beyond: false, how } => write!(f, "{how} what is settled ({pick})"),
            Action::Ping => f.write_str("pings"),
            Action::Goodbye => f.write_str("says goodbye"),
            Action::HalfClose => f.write_str("closes its sending side"),
            Action::Reset { after } => write!(f, "resets the connection, {after} bytes from here"),
            Action::Drop { after } => write!(f, "drops the connection, {after} bytes from here"),
            Action::Stall => f.write_str("reads nothing"),
            Action::Resume => f.write_str("reads again"),
            Action::Trickle { bytes } => write!(f, "writes {bytes} bytes at a time"),
            Action::Vanish => f.write_str("neither reads nor writes any more"),
            Action::Violate(how) => write!(f, "breaks the protocol: {how:?}"),
        }
    }
}

impl fmt::Display for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Settling::Ack => "acks",
            Settling::Refuse(Verdict::Again) => "refuses, to have again,",
            Settling::Refuse(Verdict::ForGood) => "refuses for good",
        })
    }
}
