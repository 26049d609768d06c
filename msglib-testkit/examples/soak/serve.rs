//! `soak serve`: the broker, in a process of its own, so that its memory and its descriptors are its alone. For the soak itself, not
//! for people. It does what standard input says, a line each, and ends with it.

use crate::Result;
use msglib_broker::{
    Broker, BrokerConfig, ConnectionHandler, ConnectionManager, CoreConfig, Native, QueueConfig, StockConfig,
};
use msglib_io_epoll::EpollSocketManager;
use msglib_proto::transport::CompositeConnectionManager;
use msglib_proto::{ChannelName, Limits, OwnedName};
use msglib_testkit::faults::{Fault, FaultPlan, Faulty, Severity};
use nix::sys::resource::{Resource, setrlimit};
use std::io::{BufRead, Write};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;

/// Deadlines so short, and room so narrow, that each limit is met all the time.
const DEADLINE: Duration = Duration::from_millis(500);
const DESCRIPTORS: u64 = 128;
const CONNECTIONS: usize = 110;

/// The faulty door is everybody's; the other one is the witnesses'.
type Doors = CompositeConnectionManager<(Faulty<EpollSocketManager>, EpollSocketManager)>;
type SoakBroker = Broker<ConnectionHandler, Doors>;

pub(crate) fn serve(seed: u64) -> Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)?;
    let mut broker = broker(seed)?;
    let (faulty, plain) = broker.connection_manager().members();
    let addresses = [faulty.inner(), plain].map(EpollSocketManager::local_addr);
    let [Some(address), Some(witnesses)] = addresses else { return Err("a manager has no listener".into()) };
    say(&format!("{address} {witnesses}"))?;

    let (orders, to_do) = mpsc::channel();
    let stop = broker.stopper();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::io::Result::ok) {
            if orders.send(line).is_err() {
                return;
            }
            stop.wake();
        }
        stop.stop();
    });
    while !broker.stopper().is_stopped() {
        broker.process_connections()?;
        while let Ok(order) = to_do.try_recv() {
            match order.as_str() {
                "heal" => broker.connection_manager_mut().members_mut().0.heal(),
                "resume" => broker.connection_manager_mut().members_mut().0.resume(),
                "clear" => clear(&mut broker),
                "report" => say(&report(&broker))?,
                other => return Err(format!("an order that nobody knows: {other}").into()),
            }
        }
    }
    broker.shutdown(Duration::from_secs(1))?;
    Ok(())
}

fn broker(seed: u64) -> Result<SoakBroker> {
    let sockets = || EpollSocketManager::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)));
    // All that keeps to the contract, but for what would end the broker itself.
    let plan = FaultPlan::new(seed)
        .with_all(Severity::Passing, 0.01)
        .with_all(Severity::Stalling, 0.000_2)
        .with_all(Severity::Ending, 0.000_2)
        .without(Fault::PollFails)
        // The broker has one clock, so its jumps are the witnesses', too: two in a row must not look like their silence.
        .with_longest_jump(DEADLINE)
        .with_longest_hold(3);
    let core = CoreConfig::default()
        .with_handshake_timeout(DEADLINE)
        .with_write_timeout(DEADLINE)
        .with_close_timeout(DEADLINE)
        .with_max_connections(CONNECTIONS)
        .with_high_water(64 * 1024)
        .with_reserve(16 * 1024)
        .with_max_outbound(128 * 1024)
        .with_max_inbound(96 * 1024);
    let config = BrokerConfig::default().with_core(core).with_read_block(16 * 1024);
    let queue = QueueConfig::default().with_max_messages(2_000).with_max_bytes(4 << 20);
    let stock = StockConfig::default().with_queue(queue).with_max_queues(500).with_max_bytes(16 << 20);
    let dialect =
        Native::new(Limits::default().with_max_payload(65_536).with_max_links(8)).with_idle_timeout(4 * DEADLINE);
    let handler = ConnectionHandler::with_config(stock);
    let doors = CompositeConnectionManager::new((Faulty::new(sockets()?, plan), sockets()?));
    Ok(Broker::with_config(handler, doors, dialect, config))
}

/// Deletes what the attackers have left.
fn clear(broker: &mut SoakBroker) {
    broker.act(|handler, cx| {
        let theirs = handler.queues().map(|queue| queue.name).filter(|name| *name != witness());
        let names: Vec<OwnedName> = theirs.map(|name| name.to_owned()).collect();
        for name in names {
            handler.delete(cx, name.borrow());
        }
    });
}

fn witness() -> ChannelName<'static> {
    ChannelName::from(crate::witness::QUEUE)
}

/// Names and numbers, without the witnesses' connections and their queue.
fn report(broker: &SoakBroker) -> String {
    let (faulty, plain) = broker.connection_manager().members();
    let (load, counters, sockets) = (broker.load(), broker.counters(), faulty.inner().stats());
    let theirs = broker.connections().saturating_sub(plain.stats().open);
    let queues = broker.handler().queues().filter(|queue| queue.name != witness()).count();
    let unbalanced = broker.handler().queues().filter(|queue| !queue.ledger.is_balanced()).count();
    let (messages, _) = broker.handler().held();
    [
        ("connections", theirs as u64 + sockets.open as u64),
        ("draining", broker.connection_manager().draining() as u64),
        ("outbound", load.outbound as u64),
        ("inbound", load.inbound as u64),
        ("queues", queues as u64),
        ("messages", messages as u64),
        ("unbalanced", unbalanced as u64),
        ("connected", counters.connected),
        ("frames", counters.frames_received),
        ("faults", faulty.tally().fired()),
        ("protocol-errors", counters.protocol_errors),
        ("handshake-timeouts", counters.handshake_timeouts),
        ("write-timeouts", counters.write_timeouts),
        ("idle-timeouts", counters.idle_timeouts),
        ("turned-away", counters.turned_away),
        ("full", counters.full),
        ("aborted", counters.aborted),
        ("inbound-limits", counters.inbound_limits),
        ("outbound-limits", counters.outbound_limits),
        ("accept-pauses", sockets.accept_pauses),
    ]
    .map(|(name, number)| format!("{name}={number}"))
    .join(" ")
}

fn say(words: &str) -> Result<()> {
    println!("{words}");
    Ok(std::io::stdout().flush()?)
}
