//! What holds for one run: how many there are of what, and every limit. A random subset of the limits is at its least (swarm).

use super::featured::Door;
use super::own::Diary;
use super::streams::Random;
use crate::faults::{FaultPlan, Severity};
use msglib_broker::{BrokerConfig, CoreConfig, QueueConfig, StockConfig};
use msglib_proto::{ChannelName, Limits, QueueOrder, QueueOverflow, QueueSettings};
use std::time::Duration;

/// The choices of one run, made from its seed; [`Simulation::adjust`](super::Simulation::adjust) can change them.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Clients that may be connected at once, beside those that come at the end to drain the queues. 1 to 200.
    pub clients: usize,
    /// Queues that they use. 1 to 200.
    pub queues: usize,
    /// Clients beside them that use topics and services, 0 to 16; see [`Simulation::featured`](super::Simulation::featured).
    pub featured: usize,
    /// Clients beside them that use channels of one's own, 0 to 16; see [`Simulation::own_channels`](super::Simulation::own_channels).
    pub own: usize,
    /// What those channels were told.
    pub diary: Diary,
    /// The settings of the queues that they use: [`JOBS`](super::featured::JOBS).
    pub jobs: Vec<QueueSettings>,
    /// Who waits at the broker's door; see [`stock_handler`](super::featured::stock_handler).
    pub door: Door,
    /// Operations in the run's schedule, before it is healed and drained.
    pub operations: usize,
    /// What goes to the stock handler; a handler of the user's own need not look at it.
    pub stock: StockConfig,
    /// The limits of the broker.
    pub broker: BrokerConfig,
    /// The limits of the wire.
    pub limits: Limits,
    /// Bytes that wait on a connection each way.
    pub pipe_capacity: usize,
    /// The largest payload that the clients publish, in bytes; at least [`Setup::LEAST_PAYLOAD`].
    pub payload: usize,
    /// How often there is a fault of the network, the clock or a process: operations between two of a kind, on average. 0: never.
    pub network_every: usize,
    /// As [`network_every`](Setup::network_every), for the clock.
    pub clock_every: usize,
    /// As [`network_every`](Setup::network_every), for clients that break the protocol.
    pub hostile_every: usize,
    /// As [`network_every`](Setup::network_every), for restarts of the broker and handlers that panic.
    pub process_every: usize,
    /// Operations between two points at which everything comes to rest and the books are compared.
    pub rest_every: usize,
    /// What goes wrong between the broker and its transport.
    pub faults: FaultPlan,
}

impl Setup {
    /// Every payload of the simulation has its own number in it, so it has at least these bytes.
    pub const LEAST_PAYLOAD: usize = 9;

    pub(super) fn new(random: &mut Random, operations: usize) -> Setup {
        let limits = Limits::default()
            .with_max_payload(random.pick(&[64, 64, 1_000, 20_000]))
            .with_max_links(random.pick(&[8, 16, 65_536]));
        let broker = BrokerConfig::default()
            .with_core(core(random))
            .with_read_block(random.pick(&[1, 13, 64, 4_096, 4_096, 65_536]))
            .with_reads_per_turn(random.pick(&[1, 2, 4]));
        let pipe_capacity = random.pick(&[16, 100, 4_096, 65_536, 65_536]);
        let most = if is_narrow(&broker, pipe_capacity) { 64 } else { limits.max_payload as usize };
        let payload = random.pick(&[24, 64, most]).min(most);
        let never_often =
            |random: &mut Random, often: &[usize]| if random.chance(300) { 0 } else { random.pick(often) };
        Setup {
            clients: 2 + random.below(5),
            queues: 1 + random.below(3),
            featured: 0,
            own: 0,
            diary: Diary::default(),
            door: Door::default(),
            operations,
            stock: stock(random, payload),
            broker,
            limits,
            pipe_capacity,
            payload,
            network_every: never_often(random, &[20, 50, 200]),
            clock_every: never_often(random, &[20, 100]),
            hostile_every: never_often(random, &[100, 500]),
            process_every: never_often(random, &[300, 1_000]),
            rest_every: random.pick(&[20, 60, 150]),
            faults: faults(random),
            // Last, so that the rest is as it was.
            jobs: jobs(random),
        }
    }
}

impl Setup {
    /// The largest payload of those that would take too long where bytes move one by one.
    pub(super) fn large_payload(&self) -> usize {
        if is_narrow(&self.broker, self.pipe_capacity) { 0 } else { self.limits.max_payload as usize }
    }

    /// Whether the network may end a connection.
    pub fn may_be_cut(&self) -> bool {
        self.faults.faults().any(|fault| fault.severity() >= Severity::Ending)
    }
}

/// Where bytes move one by one, large payloads would be most of the time.
fn is_narrow(broker: &BrokerConfig, pipe_capacity: usize) -> bool {
    broker.read_block < 64 || pipe_capacity < 100
}

/// The name of a queue: the id 1 and the text "1" are two different names (PROTOCOL §5.1).
pub(super) fn queue_name(queue: usize) -> ChannelName<'static> {
    match queue {
        0 => ChannelName::id(1),
        1 => ChannelName::from("1"),
        other => ChannelName::id(other as u64),
    }
}

fn core(random: &mut Random) -> CoreConfig {
    CoreConfig::default()
        .with_high_water(random.pick(&[1, 64, 1_000, 256 * 1024]))
        .with_reserve(random.pick(&[0, 64, 1_000, 64 * 1024]))
        .with_frames_per_turn(random.pick(&[1, 3, 100, 16_384]))
        .with_timers_per_step(random.pick(&[1, 4_096]))
}

fn stock(random: &mut Random, payload: usize) -> StockConfig {
    let size = payload + 64;
    let queue = QueueConfig::default()
        .with_max_messages(random.pick(&[1, 2, 10, 100, 10_000_000]))
        .with_max_bytes(random.pick(&[size, 4 * size, 100 * size, 1 << 30]))
        .with_max_in_flight(random.pick(&[1, 2, 10, 65_536]));
    StockConfig::default()
        .with_queue(queue)
        .with_publish_window(random.pick(&[16, 17, 100, 1_024]))
        .with_deliveries_per_step(random.pick(&[1, 3, 16_384]))
        .with_deliveries_per_turn(random.pick(&[1, 2, 4_096]))
        // The books of a queue are compared with all that has ever happened with it, and a run lasts for hours.
        .with_unused_queue_expiry(Duration::MAX)
}

fn jobs(random: &mut Random) -> Vec<QueueSettings> {
    let mut one = || QueueSettings {
        order: random.pick(&[
            None,
            Some(QueueOrder::Priority),
            Some(QueueOrder::FairByKey),
            Some(QueueOrder::StickyByKey),
            Some(QueueOrder::LastValue),
        ]),
        lease_ms: random.pick(&[None, None, Some(10_000), Some(60_000)]),
        max_deliveries: random.pick(&[None, Some(1), Some(3)]),
        dead_letter: Some(queue_of_the_dead().to_owned()),
        ttl_ms: random.pick(&[None, None, Some(30_000)]),
        delay_ms: random.pick(&[None, None, Some(500)]),
        ..QueueSettings::default()
    };
    let mut jobs = vec![one(), one(), QueueSettings::default()];
    for queue in &mut jobs[..super::featured::DEAD] {
        (queue.max_messages, queue.max_bytes) =
            random.pick(&[(None, None), (None, None), (Some(3), None), (Some(20), None), (None, Some(600))]);
        let is_limited = queue.max_messages.or(queue.max_bytes).is_some();
        queue.overflow = is_limited.then(|| random.pick(QueueOverflow::ALL));
    }
    jobs
}

fn queue_of_the_dead() -> ChannelName<'static> {
    super::featured::job_queue(super::featured::DEAD)
}

fn faults(random: &mut Random) -> FaultPlan {
    let seed = random.number();
    match random.below(4) {
        0 => FaultPlan::new(seed),
        1 | 2 => FaultPlan::swarm(seed, Severity::Passing),
        _ => FaultPlan::swarm(seed, Severity::Ending),
    }
}
