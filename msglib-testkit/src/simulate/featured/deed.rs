//! What a client of the features does.

use super::{DEAD, FILTERS, JOBS, JobOptions, SERVICES, TOPICS};
use crate::simulate::streams::Random;
use core::fmt;
use msglib_proto::{Settling, TopicOverflow};

/// One thing that it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Deed {
    /// Subscribes.
    Subscribe {
        /// To which filter.
        filter: usize,
        /// In which group, from 1; 0 for itself.
        group: u8,
        /// What happens when its buffer is full.
        overflow: TopicOverflow,
        /// How many messages its buffer has room for.
        buffer: u32,
        /// Wants last values.
        retained: bool,
        /// Deliveries that it allows at first.
        credit: u64,
    },
    /// Publishes to a topic.
    Tell {
        /// To which.
        topic: usize,
        /// How often.
        times: usize,
        /// On a link to all topics, not to this one alone.
        wide: bool,
        /// As its last value.
        retain: bool,
    },
    /// Begins to answer.
    Serve {
        /// Which service.
        service: usize,
        /// Requests that it allows at first.
        credit: u64,
    },
    /// Asks.
    Ask {
        /// Which service.
        service: usize,
        /// How often.
        times: usize,
        /// How long it waits.
        deadline_ms: u32,
    },
    /// Answers requests that it has.
    Answer {
        /// On which of its links, counted round.
        pick: usize,
        /// How many at most.
        times: usize,
        /// With a reply; else with a refusal.
        well: bool,
    },
    /// Answers again what it has answered.
    AnswerAgain {
        /// On which of its links, counted round.
        pick: usize,
    },
    /// Begins to work on a queue with settings.
    Work {
        /// Which.
        queue: usize,
        /// Deliveries that it allows at first.
        credit: u64,
    },
    /// Publishes to such a queue.
    Put {
        /// To which.
        queue: usize,
        /// How often.
        times: usize,
        /// With this delay, time to live, priority, and key.
        options: JobOptions,
        /// As a producer, who repeats what has no outcome.
        produces: bool,
    },
    /// Settles what it holds of such a queue.
    Settle {
        /// On which of its links that hold some, counted round.
        pick: usize,
        /// The first of those that it holds there, counted round.
        from: usize,
        /// How many tags, in one range.
        count: u64,
        /// Wants to know how many it has settled.
        confirm: bool,
        /// How.
        settling: Settling,
    },
    /// Allows more deliveries, or requests.
    Allow {
        /// On which of its links, counted round.
        pick: usize,
        /// How many more than have come.
        more: u64,
    },
    /// Closes a link.
    Close {
        /// Which, counted round.
        pick: usize,
    },
    /// Drops its connection, after so many bytes of what it has to say.
    Leave {
        /// How many.
        after: usize,
    },
    /// Reads nothing until it resumes.
    Stall,
    /// Reads again.
    Resume,
}

/// What the host program does with a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostAct {
    /// Makes it, or finds it as it should be.
    Declare,
    /// Nothing is delivered from now on.
    Pause,
    /// Deliveries go on.
    Resume,
    /// Drops what waits.
    Purge,
}

fn settling(random: &mut Random) -> Settling {
    match random.below(10) {
        0..=3 => Settling::Ack,
        4 | 5 => Settling::Again {
            delay_ms: random.pick(&[None, Some(0), Some(2_000)]),
            priority: random.pick(&[None, None, Some(5)]),
        },
        6 | 7 => Settling::ForGood,
        _ => Settling::Extend { lease_ms: random.pick(&[0, 5_000, 100_000]) },
    }
}

pub(in crate::simulate) fn draw_host(random: &mut Random) -> (usize, HostAct) {
    let acts = [HostAct::Declare, HostAct::Pause, HostAct::Resume, HostAct::Resume, HostAct::Purge];
    (random.below(DEAD), random.pick(&acts))
}

pub(in crate::simulate) fn draw(random: &mut Random) -> Deed {
    let pick = random.below(16);
    match random.below(70) {
        40..=43 => Deed::Work { queue: random.below(JOBS.len()), credit: random.pick(&[0, 1, 10, 100]) },
        44..=53 => Deed::Put {
            queue: random.below(DEAD),
            times: random.pick(&[1, 1, 2, 5]),
            options: JobOptions {
                delay_ms: random.pick(&[None, None, None, Some(0), Some(1_000)]),
                ttl_ms: random.pick(&[None, None, None, Some(1), Some(20_000)]),
                priority: random.pick(&[None, None, Some(1), Some(9)]),
                // The first of them is noisy.
                key: random.pick(&[None, Some(b'a'), Some(b'a'), Some(b'a'), Some(b'b'), Some(b'c')]),
            },
            produces: random.chance(400),
        },
        54..=65 => Deed::Settle {
            pick,
            from: random.pick(&[0, 0, 1, 5]),
            count: random.pick(&[1, 1, 2, 100]),
            confirm: random.chance(300),
            settling: settling(random),
        },
        0..=3 => Deed::Subscribe {
            filter: random.below(FILTERS.len()),
            group: random.pick(&[0, 0, 0, 1, 2]),
            overflow: random.pick(TopicOverflow::ALL),
            buffer: random.pick(&[1, 2, 10, 100]),
            retained: random.chance(800),
            credit: random.pick(&[0, 1, 10, 1_000]),
        },
        4..=15 => Deed::Tell {
            topic: random.below(TOPICS.len()),
            times: random.pick(&[1, 1, 2, 5]),
            wide: random.chance(500),
            retain: random.chance(250),
        },
        16 | 17 => Deed::Serve { service: random.below(SERVICES.len()), credit: random.pick(&[0, 1, 5, 100]) },
        18..=23 => Deed::Ask {
            service: random.below(SERVICES.len()),
            times: random.pick(&[1, 1, 2, 5]),
            deadline_ms: random.pick(&[1, 100, 10_000, 60_000]),
        },
        24..=29 => Deed::Answer { pick, times: random.pick(&[1, 1, 3]), well: random.chance(700) },
        30 => Deed::AnswerAgain { pick },
        31..=35 => Deed::Allow { pick, more: random.pick(&[1, 2, 10, 100]) },
        36 => Deed::Close { pick },
        37 => Deed::Leave { after: random.pick(&[0, 1, 30, 1_000]) },
        38 if random.chance(300) => Deed::Stall,
        _ => Deed::Resume,
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Deed::Subscribe { filter, group, overflow, buffer, credit, .. } => {
                let who = if group == 0 { String::new() } else { format!(" in group {group}") };
                let filter = FILTERS[filter];
                write!(f, "subscribes to {filter}{who}, {overflow:?} above {buffer}, and allows {credit}")
            }
            Deed::Tell { topic, times, retain, .. } => {
                let kept = if retain { ", to be kept" } else { "" };
                write!(f, "publishes to topic {}, {times} times{kept}", TOPICS[topic])
            }
            Deed::Serve { service, credit } => write!(f, "serves {}, and allows {credit}", SERVICES[service]),
            Deed::Ask { service, times, deadline_ms } => {
                write!(f, "asks {}, {times} times, within {deadline_ms} ms", SERVICES[service])
            }
            Deed::Answer { pick, times, well: true } => write!(f, "answers {times} requests ({pick})"),
            Deed::Answer { pick, times, well: false } => write!(f, "refuses {times} requests ({pick})"),
            Deed::AnswerAgain { pick } => write!(f, "answers what it has answered ({pick})"),
            Deed::Work { queue, credit } => write!(f, "works on {}, and allows {credit}", JOBS[queue]),
            Deed::Put { queue, times, options, produces } => {
                let JobOptions { delay_ms, ttl_ms, priority, key } = options;
                let key = key.map(char::from);
                let who = if produces { " as a producer" } else { "" };
                write!(
                    f,
                    "publishes to {}{who}, {times} times ({delay_ms:?}, {ttl_ms:?}, {priority:?}, {key:?})",
                    JOBS[queue]
                )
            }
            Deed::Settle { pick, from, count, settling, .. } => {
                write!(f, "settles {count} of what it holds ({pick}, {from}): {settling:?}")
            }
            Deed::Allow { pick, more } => write!(f, "allows {more} more ({pick})"),
            Deed::Close { pick } => write!(f, "closes a link ({pick})"),
            Deed::Leave { after } => write!(f, "drops its connection, {after} bytes from here"),
            Deed::Stall => f.write_str("reads nothing"),
            Deed::Resume => f.write_str("reads again"),
        }
    }
}
