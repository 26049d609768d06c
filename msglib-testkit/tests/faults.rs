//! A stock broker with faults below it, in memory and over sockets: each fault alone, all together, and at every byte.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use msglib_broker::{Broker, BrokerConfig, ConnectionHandler, ConnectionManager, Native};
use msglib_client::{Confirmation, Connection, Error, Subscription, publish_to_q_confirmed, subscribe_with_prefetch};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::transport::Readiness;
use msglib_testkit::faults::{Fault, FaultPlan, Faulty, Severity, Tally};
use msglib_testkit::{Tap, Transcript, TranscriptLog};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Where a test's broker listens, and how its clients connect.
trait Net {
    type Manager: ConnectionManager;
    fn new() -> (Self, Self::Manager)
    where
        Self: Sized;
    fn connect(&self) -> Connection;
    /// Lets some time pass, where it does not by itself.
    fn tick(&self) {}
}

struct Memory(Transport);

impl Net for Memory {
    type Manager = InMemoryConnectionManager;
    fn new() -> (Memory, InMemoryConnectionManager) {
        let transport = Transport::builder().pipe_capacity(4096).build();
        let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
        (Memory(transport), manager)
    }
    fn connect(&self) -> Connection {
        Connection::builder().non_blocking(true).build(self.0.connect("broker").unwrap()).unwrap()
    }
    fn tick(&self) {
        self.0.clock().advance(Duration::from_micros(1_234));
    }
}

struct Sockets(SocketAddr);

impl Net for Sockets {
    type Manager = EpollSocketManager;
    fn new() -> (Sockets, EpollSocketManager) {
        let any = "[::1]:0".parse().unwrap();
        let manager = EpollSocketManager::builder().listen(any).poll_timeout(Duration::from_millis(1)).build().unwrap();
        (Sockets(manager.local_addr().unwrap()), manager)
    }
    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.0).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        Connection::builder().non_blocking(true).build(stream).unwrap()
    }
}

type Managed<N> = Transcript<Faulty<<N as Net>::Manager>>;

/// A broker in a storm, and clients that publish, consume, leave and come back whatever happens to them.
struct Storm<N: Net> {
    net: N,
    broker: Broker<Tap<ConnectionHandler>, Managed<N>>,
    log: TranscriptLog,
    sender: Connection,
    pending: Vec<(u32, Confirmation)>,
    receiver: Option<(Connection, Subscription)>,
    next: u32,
    confirmed: BTreeSet<u32>,
    received: BTreeSet<u32>,
    has_failed: bool,
}

impl<N: Net> Storm<N> {
    fn new(plan: FaultPlan) -> Storm<N> {
        let (net, manager) = N::new();
        let mut manager = Transcript::new(Faulty::new(manager, plan));
        let log = manager.log();
        manager.inner_mut().tell(log.clone());
        let sender = net.connect();
        Storm {
            broker: Broker::with_config(Tap::new(ConnectionHandler::new()), manager, Native::default(), small_bites()),
            net,
            log,
            sender,
            pending: Vec::new(),
            receiver: None,
            next: 0,
            confirmed: BTreeSet::new(),
            received: BTreeSet::new(),
            has_failed: false,
        }
    }

    fn faulty(&mut self) -> &mut Faulty<N::Manager> {
        self.broker.connection_manager_mut().inner_mut()
    }

    fn tally(&self) -> Tally {
        self.broker.connection_manager().inner().tally()
    }

    fn step(&mut self) {
        self.net.tick();
        self.has_failed |= self.broker.process_connections().is_err();
    }

    /// Everybody says something, the broker makes a step, and now and then somebody leaves.
    fn round(&mut self, round: u32) {
        self.publish();
        self.step();
        self.settle_pending();
        self.consume();
        if round % 7 == 3 {
            // Away without a word, and back in the next round.
            self.receiver = None;
        }
        if round % 11 == 5 {
            self.replace_sender();
        }
    }

    fn publish(&mut self) {
        let mut payload = self.next.to_be_bytes().to_vec();
        payload.resize(4 + 37 * self.next as usize % 900, 7);
        match publish_to_q_confirmed(&self.sender, "q", &payload) {
            Ok(confirmation) => {
                self.pending.push((self.next, confirmation));
                self.next += 1;
            }
            Err(error) if error.is_would_block() => {}
            Err(_) => self.replace_sender(),
        }
    }

    fn replace_sender(&mut self) {
        self.pending.clear();
        self.sender = self.net.connect();
    }

    fn settle_pending(&mut self) {
        let confirmed = &mut self.confirmed;
        self.pending.retain(|(number, confirmation)| match confirmation.wait() {
            Ok(_) => !confirmed.insert(*number),
            Err(error) => error.is_would_block(),
        });
    }

    fn consume(&mut self) {
        if self.receiver.is_none() {
            let connection = self.net.connect();
            self.receiver = subscribe_with_prefetch(&connection, "q", 4).ok().map(|sub| (connection, sub));
        }
        let Some((_, sub)) = &mut self.receiver else { return };
        for _ in 0..8 {
            let taken = sub.next().and_then(|delivery| {
                let number = delivery.payload().first_chunk().map_or(u32::MAX, |bytes| u32::from_be_bytes(*bytes));
                delivery.ack().map(|()| number)
            });
            match taken {
                Ok(number) => self.received.insert(number),
                Err(error) if error.is_would_block() => return,
                Err(_) => return self.receiver = None,
            };
        }
    }

    /// The storm is over: all that was confirmed comes to a consumer.
    fn drain(&mut self) {
        self.faulty().heal();
        for _ in 0..2000 {
            self.step();
            self.settle_pending();
            self.consume();
            if self.confirmed.is_subset(&self.received) && self.is_served() {
                return;
            }
        }
        let lost: Vec<&u32> = self.confirmed.difference(&self.received).collect();
        panic!("confirmed, and not delivered: {lost:?}\n{}\n{}", self.tally(), self.log);
    }

    /// Whether a new message goes through.
    fn is_served(&mut self) -> bool {
        let probe = self.net.connect();
        let mut confirmation = None;
        for _ in 0..50 {
            self.step();
            match &confirmation {
                None => confirmation = publish_to_q_confirmed(&probe, "probes", "x").ok(),
                Some(waiting) if Confirmation::wait(waiting).is_ok() => return true,
                Some(_) => {}
            }
        }
        false
    }
}

/// So that a step often leaves something unread.
fn small_bites() -> BrokerConfig {
    BrokerConfig::default().with_read_block(256).with_reads_per_turn(2)
}

/// Alone, often enough to be seen soon.
fn alone(fault: Fault) -> FaultPlan {
    let plan = FaultPlan::new(fault as u64 + 1);
    match fault.severity() {
        _ if fault == Fault::PollFails => plan.at(fault, 20),
        Severity::Passing => plan.with(fault, 0.3),
        Severity::Stalling => plan.with(fault, 0.03),
        Severity::Ending => plan.with(fault, 0.03),
        Severity::Breach => plan.with(fault, 0.1),
    }
}

/// Each fault by itself: armed, fired and observed, and nothing that was confirmed is lost.
fn each_fault_alone<N: Net>() {
    for fault in Fault::ALL {
        let mut storm = Storm::<N>::new(alone(fault));
        for round in 0..2000 {
            storm.round(round);
            if round > 60 && storm.tally().missing([fault]).is_empty() || storm.has_failed {
                break;
            }
        }
        let tally = storm.tally();
        assert_eq!(tally.missing([fault]), [], "{fault:?} was not seen\n{tally}\n{}", storm.log);
        assert_eq!(tally.missing(Fault::ALL).len(), Fault::ALL.len() - 1, "and no other");
        assert_eq!(storm.has_failed, fault == Fault::PollFails, "{fault:?}");
        if fault.severity() < Severity::Breach && !storm.has_failed {
            assert!(storm.confirmed.len() > 3, "{fault:?}: next to nothing went through\n{tally}\n{}", storm.log);
            storm.drain();
        }
    }
}

#[test]
fn in_memory_each_fault_is_armed_fired_and_observed() {
    each_fault_alone::<Memory>();
}

#[test]
fn over_sockets_each_fault_is_armed_fired_and_observed() {
    each_fault_alone::<Sockets>();
}

/// Another mixture for each seed; nothing that was confirmed is lost.
fn swarm<N: Net>(seeds: core::ops::Range<u64>, rounds: u32, worst: Severity) -> Tally {
    let mut sum = Tally::new();
    for seed in seeds {
        let mut storm = Storm::<N>::new(FaultPlan::swarm(seed, worst));
        (0..rounds).for_each(|round| storm.round(round));
        if worst < Severity::Breach {
            storm.drain();
        }
        sum += &storm.tally();
    }
    sum
}

#[test]
fn in_memory_no_mixture_of_faults_loses_what_was_confirmed() {
    let tally = swarm::<Memory>(0..60, 300, Severity::Ending);
    let all = Fault::ALL.into_iter().filter(|fault| fault.severity() < Severity::Breach && *fault != Fault::PollFails);
    assert_eq!(tally.missing(all), [], "every fault was seen\n{tally}");
}

#[test]
fn over_sockets_no_mixture_of_faults_loses_what_was_confirmed() {
    swarm::<Sockets>(0..10, 200, Severity::Ending);
}

#[test]
fn a_breach_of_the_contract_is_no_panic() {
    swarm::<Memory>(0..30, 300, Severity::Breach);
}

/// What the handler was told, and what was seen of each fault.
fn trace(plan: FaultPlan) -> (Vec<String>, Tally) {
    let mut storm = Storm::<Memory>::new(plan);
    (0..200).for_each(|round| storm.round(round));
    (storm.broker.handler().lines().to_vec(), storm.tally())
}

#[test]
fn one_seed_has_the_same_faults_each_time() {
    let first = trace(FaultPlan::swarm(7, Severity::Breach));
    assert_eq!(first, trace(FaultPlan::swarm(7, Severity::Breach)));
    assert_ne!(first, trace(FaultPlan::swarm(8, Severity::Breach)));
}

#[test]
fn a_plan_without_faults_changes_nothing() {
    let (lines, tally) = trace(FaultPlan::new(1));
    assert_eq!(tally, Tally::new());
    assert_eq!(lines, trace(FaultPlan::new(2)).0);
}

/// Publishes two messages through a broker whose first connection has `plan`, and says how many of them it took.
fn accepted(plan: FaultPlan) -> (u64, Tally, Result<(), Error>) {
    let transport = Transport::new();
    let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), Faulty::new(manager, plan));
    let client = Connection::builder().non_blocking(true).build(transport.connect("broker").unwrap()).unwrap();
    let mut outcome = Ok(());
    for message in ["first", "second"] {
        let confirmation = publish_to_q_confirmed(&client, "q", message);
        for _ in 0..20 {
            broker.process_connections().unwrap();
        }
        outcome = confirmation.and_then(|confirmation| confirmation.wait().map(drop));
    }
    let ledger = broker.handler().queue("q").map(|queue| queue.ledger);
    assert!(ledger.is_none_or(|ledger| ledger.is_balanced()));
    let tally = broker.connection_manager().tally();
    assert_eq!(broker.connections(), usize::from(tally.fired() == 0), "what ended is gone, what did not is there");
    (ledger.map_or(0, |ledger| ledger.accepted), tally, outcome)
}

/// Cut at every byte of a conversation, each way: a message counts if all of it had come, and never twice.
#[test]
fn a_cut_at_any_byte_leaves_whole_messages_or_none() {
    let (whole, _, outcome) = accepted(FaultPlan::new(0));
    assert_eq!((whole, outcome.is_ok()), (2, true));
    for fault in [Fault::HalfClose, Fault::CutRead, Fault::CutWrite] {
        let mut counts = Vec::new();
        for after in 0.. {
            let (count, tally, outcome) = accepted(FaultPlan::new(0).cut(fault, 0, after));
            if tally.of(fault).fired == 0 {
                assert!(outcome.is_ok(), "behind the last byte nothing is cut");
                assert!(after > 50, "{fault:?} was not tried: {after} bytes");
                break;
            }
            assert!(outcome.is_err() || count == 2, "{fault:?} after {after} bytes: who is told of a confirm has one");
            counts.push(count);
        }
        assert!(counts.is_sorted(), "{fault:?}: the more comes, the more counts: {counts:?}");
        assert!(counts.contains(&1), "{fault:?}: some cut falls between the two messages: {counts:?}");
    }
}

#[test]
fn a_script_strikes_once_where_it_says() {
    let plan = FaultPlan::new(0).at_connection(0, Fault::Reset, 3);
    let (_, tally, outcome) = accepted(plan);
    assert!(outcome.is_err());
    let counts = tally.of(Fault::Reset);
    assert_eq!((counts.armed, counts.fired, counts.observed), (1, 1, 1));
}

#[test]
fn the_transcript_says_where_a_fault_was() {
    let mut storm = Storm::<Memory>::new(FaultPlan::new(0).at_connection(0, Fault::Reset, 4));
    (0..6).for_each(|round| storm.round(round));
    let log = storm.log.to_string();
    assert!(log.contains("c0  (fault: reset)"), "{log}");
}

/// What a fault ends is over below at once, and its slot free there; the caller does not know yet.
#[test]
fn a_slot_has_no_new_user_before_the_end_of_its_earlier_one_was_told() {
    let transport = Transport::new();
    let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut faulty = Faulty::new(manager, FaultPlan::new(1).at(Fault::Reset, 2));
    let mut ready = Vec::new();
    drop(transport.connect("broker").unwrap());
    faulty.poll(&mut ready, None).unwrap();
    let id = ready[0].id();
    faulty.poll(&mut ready, None).unwrap();
    let _second = transport.connect("broker").unwrap();
    let mut told = false;
    for _ in 0..100 {
        ready.clear();
        faulty.poll(&mut ready, None).unwrap();
        let opened = ready.iter().find(|report| matches!(report, Readiness::Opened(..)));
        if let Some(next) = opened {
            assert_eq!(next.id().index(), id.index(), "memory gives the slot away again");
            assert!(told, "{next:?} while {id} is not over for its caller");
            return;
        }
        told |= match faulty.read(id, &mut [0; 4]) {
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
            Ok(_) => false,
        };
    }
    panic!("the second was never opened; told of the end: {told}");
}

/// Who reads nothing more, and waits for room, learns of the end by a report that there is some (T13).
#[test]
fn the_end_of_a_connection_that_is_not_read_is_told_to_who_writes() {
    let transport = Transport::builder().pipe_capacity(4).build();
    let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut faulty = Faulty::new(manager, FaultPlan::new(1).at(Fault::Reset, 3));
    let mut ready = Vec::new();
    let _peer = transport.connect("broker").unwrap();
    faulty.poll(&mut ready, None).unwrap();
    let id = ready[0].id();
    while faulty.write(id, &[std::io::IoSlice::new(b"more than fits")]).is_ok() {}
    for _ in 0..10 {
        ready.clear();
        faulty.poll(&mut ready, None).unwrap();
        if ready.contains(&Readiness::Writable(id)) {
            let error = faulty.write(id, &[std::io::IoSlice::new(b"x")]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            return;
        }
    }
    panic!("it was never told");
}
