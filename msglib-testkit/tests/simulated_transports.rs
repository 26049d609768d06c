//! The same script over memory and over sockets: the same history, frame by frame, for each client.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use msglib_broker::{Broker, BrokerConfig, ConnectionHandler, ConnectionManager, CoreConfig, Native, StockConfig};
use msglib_client::{Event, Session, SessionConfig};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::{ChannelKind, ChannelName, Payload, Verdict};
use msglib_testkit::simulate::Random;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

/// Steps in which an answer comes, over any transport.
const MOST_STEPS: usize = 10_000;

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

struct Client {
    stream: Box<dyn Stream>,
    session: Session,
    links: Vec<u32>,
    /// Deliveries that are not settled: link and tag.
    held: Vec<(u32, u64)>,
    history: Vec<String>,
    pings: u64,
}

impl Client {
    fn new(stream: Box<dyn Stream>) -> Client {
        let session = Session::new(&SessionConfig::default()).unwrap();
        Client { stream, session, links: Vec::new(), held: Vec::new(), history: Vec::new(), pings: 0 }
    }

    fn write(&mut self) {
        while !self.session.pending().is_empty() {
            match self.stream.write(self.session.pending().first_segment()) {
                Ok(n) => self.session.sent(n),
                Err(error) if is_passing(error.kind()) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn read(&mut self) {
        let (mut buf, mut events) = ([0; 4096], Vec::new());
        match self.stream.read(&mut buf) {
            Ok(n) => self.session.handle_input(&buf[..n], &mut events).unwrap(),
            Err(error) => assert!(is_passing(error.kind()), "{error}"),
        }
        for event in events {
            if let Event::Delivery { link, tag, .. } = event {
                self.held.push((link, tag));
            }
            self.history.push(format!("{event:?}"));
        }
    }

    /// Whether its last ping is answered: then all that was written to it before has been read as well.
    fn is_answered(&self) -> bool {
        let pong = format!("{:?}", Event::Pong { token: self.pings });
        self.history.iter().rev().any(|line| *line == pong)
    }
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// After each thing that a client does all of them ping, one after the other, and wait for their answers.
fn settle<M: ConnectionManager>(broker: &mut Broker<ConnectionHandler, M>, clients: &mut [Client]) {
    for client in clients {
        client.pings += 1;
        client.session.ping(client.pings).unwrap();
        for step in 0.. {
            client.write();
            broker.process_connections().unwrap();
            client.read();
            if client.is_answered() {
                break;
            }
            assert!(step < MOST_STEPS, "no answer to a ping");
        }
    }
}

fn history<M: ConnectionManager>(
    seed: u64,
    handler: ConnectionHandler,
    manager: M,
    connect: impl Fn() -> Box<dyn Stream>,
) -> Vec<Vec<String>> {
    let mut random = Random::new(seed);
    let core = CoreConfig::default().with_high_water(random.pick(&[1, 100, 100_000]));
    let config = BrokerConfig::default().with_core(core).with_read_block(random.pick(&[1, 100, 100_000]));
    let mut broker = Broker::with_config(handler, manager, Native::default(), config);
    let mut clients: Vec<Client> = (0..3)
        .map(|_| {
            // One by one, so that both transports report them in this order.
            let client = Client::new(connect());
            broker.process_connections().unwrap();
            client
        })
        .collect();
    for client in &mut clients {
        for (queue, publishes) in [(1, true), (1, false), (2, true), (2, false)] {
            let link = client.session.open(ChannelKind::QUEUE, ChannelName::id(queue), publishes, !publishes).unwrap();
            client.links.push(link);
        }
    }
    settle(&mut broker, &mut clients);
    for number in 0..120_u32 {
        let client = &mut clients[random.below(3)];
        let (queue, count) = (2 * random.below(2), random.below(4) as u64 + 1);
        match random.below(4) {
            0 | 1 => {
                let payload = format!("message {number} {}", "x".repeat(random.below(40)));
                // Without credit nothing is published, over either transport.
                let _ = client.session.publish(client.links[queue], Payload::from(&payload), random.chance(500));
            }
            2 => {
                let link = client.links[queue + 1];
                client.session.grant(link, client.held.len() as u64 + count + u64::from(number) / 4).unwrap();
            }
            _ => {
                if !client.held.is_empty() {
                    let (link, tag) = client.held.remove(random.below(client.held.len()));
                    match random.below(3) {
                        0 => client.session.refuse(link, tag..=tag, Verdict::Again).unwrap(),
                        _ => client.session.ack(link, tag..=tag).unwrap(),
                    }
                    client.session.flush_all_acks();
                }
            }
        }
        settle(&mut broker, &mut clients);
    }
    clients.into_iter().map(|client| client.history).collect()
}

#[test]
fn one_script_over_memory_and_over_sockets_is_one_history() {
    let (mut frames, mut deliveries) = (0, 0);
    for seed in 1..=5 {
        let handler = || ConnectionHandler::with_config(StockConfig::default().with_publish_window(20));
        let transport = Transport::new();
        let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
        let in_memory = history(seed, handler(), manager, || Box::new(transport.connect("broker").unwrap()));

        let manager = EpollSocketManager::builder()
            .listen("[::1]:0".parse().unwrap())
            .poll_timeout(Duration::from_millis(1))
            .build()
            .unwrap();
        let address = manager.local_addr().unwrap();
        let over_sockets = history(seed, handler(), manager, || {
            let stream = msglib_io_epoll::connect(address, Duration::from_secs(10)).unwrap();
            stream.set_timeout(Some(Duration::from_millis(1))).unwrap();
            Box::new(stream)
        });
        assert_eq!(in_memory, over_sockets, "seed {seed}");
        frames += in_memory.iter().map(Vec::len).sum::<usize>();
        deliveries += in_memory.iter().flatten().filter(|line| line.starts_with("Delivery")).count();
    }
    assert!(frames > 1_000 && deliveries > 100, "{frames} frames, {deliveries} deliveries");
}
