//! Every row, in the order of the table.

use super::{Bystanders, Growth, Row, Scenario, Settings};
use crate::plan::{Pace, Plan};
use crate::target::Target;
use std::time::Duration;

/// Descriptors that a process needs beside its connections.
const SPARE: usize = 100;

pub(crate) fn all(settings: &Settings) -> Vec<Row> {
    let most_connections = settings.descriptors.saturating_sub(SPARE);
    let mut rows = flows(settings.quick, most_connections);
    rows.extend(memory(settings.quick, most_connections));
    rows.extend(growth(settings.quick, most_connections));
    rows.extend([in_memory("in-memory", false), in_memory("in-memory-ack-each", true)]);
    rows
}

fn flows(quick: bool, most_connections: usize) -> Vec<Row> {
    let plan = Plan::new;
    let big = Plan { sizes: vec![65_536; 64], window: 64, ..plan(1, 1) };
    let fan_out = Plan { fans_out: true, ..plan(1, 16) };
    let mixed = Plan { sizes: mixed_sizes(4_096), ..plan(1, 1) };
    let bursts = Plan { pace: Pace::Bursts { size: 1_000, pause: Duration::from_millis(2) }, ..plan(1, 1) };
    let (publishers, note) = limited(1_000, most_connections);
    let crowd = Plan { window: 16, ..plan(publishers, 1) };
    let crowd_is = format!("{} publishers with 16 in flight each, 1 consumer{note}", grouped(publishers as u64));
    let count = if quick { 200_000 } else { 1_000_000 };
    let behind = Plan { waiting: count, ..plan(1, 1) };
    vec![
        flow("workq-1x1", "1 publisher, 1 consumer, 128 B, 1,000 in flight", Target::RelayAck, plan(1, 1)),
        flow("workq-8x8", "8 publishers, 8 consumers, one queue", Target::RelayAck, plan(8, 8)),
        flow("fan-out-1x16", "1 publisher, a topic with 16 subscribers; for each delivery", Target::Relay, fan_out),
        flow("big-64k", "1 publisher, 1 consumer, 64 KiB, 64 in flight", Target::Relay, big),
        flow("mixed", "64 B to 64 KiB, most of them small", Target::RelayAck, mixed),
        flow("bursts", "1,000 at once, then 2 ms of nothing", Target::RelayAck, bursts),
        flow("crowd", &crowd_is, Target::RelayAck, crowd),
        row("rtt", "there and back, the client spins; CPU for each of the two messages", Scenario::RoundTrip)
            .with_floor(Target::Relay),
        row("client", "the blocking client: batches of 250, a prefetch of 1,000", Scenario::Client),
        row("behind", format!("{} wait before the consumer begins", grouped(count)), Scenario::Behind(behind, count)),
    ]
}

fn memory(quick: bool, most_connections: usize) -> Vec<Row> {
    let (connections, note) = limited(10_000, most_connections);
    let queues = if quick { 10_000 } else { 100_000 };
    vec![
        row(
            "idle-conns",
            format!("{} connections after the handshake; CPU to greet each{note}", grouped(connections as u64)),
            Scenario::IdleConnections(connections),
        ),
        row(
            "many-queues",
            format!("{} queues with 10 messages each, filled and emptied", grouped(queues as u64)),
            Scenario::ManyQueues { queues, each: 10 },
        ),
    ]
}

fn growth(quick: bool, most_connections: usize) -> Vec<Row> {
    let waiting = if quick { [100, 3_000, 100_000] } else { [100, 10_000, 1_000_000] };
    let connections = if quick { [10, 300, 3_000] } else { [10, 1_000, 10_000] };
    let queues = if quick { [1, 300, 10_000] } else { [1, 1_000, 100_000] };
    let mut rows = Vec::new();
    for at in waiting {
        let plan = Plan { waiting: at, ..Plan::new(1, 1) };
        rows.push(point("waiting", at, "messages wait at the queue", plan, Bystanders::Nobody));
    }
    for wanted in connections {
        let (at, note) = limited(wanted, most_connections);
        let what = format!("idle connections beside{note}");
        rows.push(point("connections", at as u64, &what, Plan::new(1, 1), Bystanders::Connections(at)));
    }
    for wanted in connections {
        const ACTIVE: usize = 10;
        let (at, note) = limited(wanted, most_connections);
        let idle = Bystanders::Connections(at - ACTIVE);
        let what = format!("5 publishers, 5 consumers; {} connections in all{note}", grouped(at as u64));
        rows.push(curve("active", at as u64, what, Plan::new(ACTIVE / 2, ACTIVE / 2), idle));
    }
    for deaf in [0, 10, 100] {
        let what =
            format!("8 publishers, 8 consumers; {deaf} beside who do not read what is delivered, {deaf} no answers");
        rows.push(curve("deaf", (16 + 2 * deaf) as u64, what, Plan::new(8, 8), Bystanders::Deaf(deaf)));
    }
    for at in queues {
        let bystanders = Bystanders::Queues(at);
        rows.push(point(
            "queues",
            at as u64,
            "more queues, with a link and a message each",
            Plan::new(1, 1),
            bystanders,
        ));
    }
    rows
}

/// As many connections as are wanted, or as the system allows, and a note if these are fewer.
fn limited(wanted: usize, most: usize) -> (usize, String) {
    match wanted <= most {
        true => (wanted, String::new()),
        false => (most, format!(" (not {}: raise the hard limit of open files, ulimit -Hn)", grouped(wanted as u64))),
    }
}

fn flow(name: &str, what: &str, floor: Target, plan: Plan) -> Row {
    row(name, what, Scenario::Flow(plan, Bystanders::Nobody)).with_floor(floor)
}

fn point(of: &'static str, at: u64, what: &str, plan: Plan, bystanders: Bystanders) -> Row {
    curve(of, at, format!("1 publisher, 1 consumer; {} {what}", grouped(at)), plan, bystanders)
}

fn curve(of: &'static str, at: u64, what: String, plan: Plan, bystanders: Bystanders) -> Row {
    let growth = Some(Growth { of, at });
    Row { growth, ..row(&format!("{of}-{at}"), what, Scenario::Flow(plan, bystanders)) }
}

fn in_memory(name: &str, ack_each: bool) -> Row {
    let what = if ack_each { "no sockets, one thread; an ack each" } else { "no sockets, one thread; acks in ranges" };
    row(name, what, Scenario::InMemory { ack_each })
}

fn row(name: &str, what: impl Into<String>, scenario: Scenario) -> Row {
    Row { name: name.into(), what: what.into(), floor: None, growth: None, scenario }
}

impl Row {
    fn with_floor(mut self, floor: Target) -> Row {
        self.floor = Some(floor);
        self
    }
}

/// Nine of ten below 512 bytes, one of a hundred above 8 KiB; the same ones in each run.
fn mixed_sizes(count: usize) -> Vec<usize> {
    let mut state = 1_u64;
    let mut draw = |from: u64, to: u64| {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (from + (z ^ (z >> 31)) % (to - from + 1)) as usize
    };
    let mut size = || match draw(1, 100) {
        1..=90 => draw(64, 512),
        91..=99 => draw(513, 8_192),
        _ => draw(8_193, 65_536),
    };
    (0..count).map(|_| size()).collect()
}

/// 1,000,000 instead of 1000000.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
