//! Who gets in, who does not, and what both are told.

mod support;

use msglib_broker::{
    Admission, Broker, ChannelName, ConnectionHandler, Context, ErrorCode, Hello, Identity, Open, Reject,
};
use msglib_client::{Connection, Error};
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness};
use msglib_tls::{TlsLimits, TlsManager, TlsStats, TlsStream, client_config, server_config};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use support::{Authority, Chain, NAME, name};

/// A broker's manager in memory, and whoever connects to it.
struct World {
    transport: Transport,
    manager: TlsManager<InMemoryConnectionManager>,
    reports: Vec<Readiness>,
}

impl World {
    fn new(config: Arc<ServerConfig>) -> World {
        World::with_limits(config, TlsLimits::default())
    }

    fn with_limits(config: Arc<ServerConfig>, limits: TlsLimits) -> World {
        let transport = Transport::builder().pipe_capacity(4 << 20).build();
        let inner = InMemoryConnectionManager::new(&transport, "broker").expect("nobody else is bound");
        World { transport, manager: TlsManager::with_limits(inner, config, limits), reports: Vec::new() }
    }

    fn connect(&self) -> MemoryStream {
        self.transport.connect("broker").expect("the manager listens")
    }

    fn connect_with(&self, config: &Arc<ClientConfig>) -> TlsStream<MemoryStream> {
        TlsStream::new(self.connect(), Arc::clone(config), name()).expect("TLS 1.3")
    }

    fn poll(&mut self) {
        self.manager.poll(&mut self.reports, Some(Duration::ZERO)).expect("poll");
    }

    /// Goes on with the client's handshake until it has come to an end.
    fn shake_hands(&mut self, client: &mut TlsStream<MemoryStream>) -> std::io::Result<()> {
        for _ in 0..100 {
            let result = client.handshake();
            self.poll();
            match result {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
        panic!("a handshake without an end");
    }

    /// Reads for the client until there is something.
    fn read(&mut self, client: &mut TlsStream<MemoryStream>) -> std::io::Result<usize> {
        for _ in 0..100 {
            match client.read(&mut [0; 64]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.poll(),
                done => return done,
            }
        }
        panic!("nothing comes");
    }

    fn opened(&self) -> usize {
        self.reports.iter().filter(|report| matches!(report, Readiness::Opened(..))).count()
    }

    fn certificate(&self) -> Option<&[u8]> {
        self.reports.iter().find_map(|report| match report {
            Readiness::Opened(_, peer) => peer.certificate.as_deref(),
            _ => None,
        })
    }
}

fn stats(completed: u64, failed: u64, timed_out: u64, turned_away: u64) -> (u64, u64, u64, u64, usize) {
    (completed, failed, timed_out, turned_away, 0)
}

fn counted(manager: &TlsManager<impl ConnectionManager>) -> (u64, u64, u64, u64, usize) {
    let TlsStats { completed, failed, timed_out, turned_away, pending, .. } = manager.stats();
    (completed, failed, timed_out, turned_away, pending)
}

/// A broker's configuration that asks clients for a certificate, or not.
fn server(authority: &Authority, clients: Option<RootCertStore>) -> Arc<ServerConfig> {
    let (chain, key) = authority.certify(NAME);
    server_config(chain, key, clients).expect("a good certificate")
}

#[test]
fn a_clients_certificate_is_the_peers() {
    let authority = Authority::new();
    let mut world = World::new(server(&authority, Some(authority.roots())));
    let (chain, key) = authority.certify("billing");
    let shown = chain[0].clone();
    let mut client = world.connect_with(&client_config(authority.roots(), Some((chain, key))).expect("a good one"));
    world.shake_hands(&mut client).expect("both are good");
    assert_eq!((world.opened(), world.certificate()), (1, Some(shown.as_ref())));
    assert_eq!(counted(&world.manager), stats(1, 0, 0, 0));
}

#[test]
fn where_no_certificate_is_asked_for_none_is_there() {
    let authority = Authority::new();
    let mut world = World::new(server(&authority, None));
    let mut client = world.connect_with(&client_config(authority.roots(), None).expect("roots"));
    world.shake_hands(&mut client).expect("the broker is good");
    assert_eq!((world.opened(), world.certificate()), (1, None));
}

/// In TLS 1.3 a client is done before its certificate was looked at: its first read has the answer.
#[test]
fn a_client_without_a_good_certificate_is_told_so_and_is_nobody() {
    let [authority, stranger] = [Authority::new(), Authority::new()];
    let expired = authority.certify_with("late", |params| {
        params.not_before = time::OffsetDateTime::UNIX_EPOCH;
        params.not_after = time::OffsetDateTime::UNIX_EPOCH + time::Duration::days(1);
    });
    let identities: [(Option<(Chain, _)>, &str); 3] = [
        (None, "CertificateRequired"),
        (Some(stranger.certify("billing")), "UnknownCA"),
        (Some(expired), "CertificateExpired"),
    ];
    let mut world = World::new(server(&authority, Some(authority.roots())));
    for (identity, why) in identities {
        let mut client = world.connect_with(&client_config(authority.roots(), identity).expect("a key that fits"));
        drop(world.shake_hands(&mut client));
        let error = world.read(&mut client).expect_err("not let in");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(world.opened(), 0);
    assert_eq!(counted(&world.manager), stats(0, 3, 0, 0));
}

#[test]
fn a_broker_without_a_good_certificate_is_not_talked_to() {
    let [authority, stranger] = [Authority::new(), Authority::new()];
    let trusting = client_config(authority.roots(), None).expect("roots");
    let (chain, key) = authority.certify("other.example");
    let other_name = server_config(chain, key, None).expect("a good certificate");
    for (config, why) in [(server(&stranger, None), "UnknownIssuer"), (other_name, "not valid for name")] {
        let mut world = World::new(config);
        let mut client = world.connect_with(&trusting);
        drop(client.write(b"a secret"));
        let error = world.shake_hands(&mut client).expect_err("a bad certificate");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(client.handshake().expect_err("for good").kind(), ErrorKind::InvalidData);
        for _ in 0..3 {
            world.poll();
        }
        assert_eq!((world.opened(), counted(&world.manager)), (0, stats(0, 1, 0, 0)));
    }
}

#[test]
fn a_client_without_tls_is_told_and_one_with_tls_finds_out() {
    let authority = Authority::new();
    let mut world = World::new(server(&authority, None));
    let mut plain = world.connect();
    plain.write_all(b"\0\0\0\x2C\0\x01\0\0\0\0\0\0MSGL\0\x01\0\x01").expect("room");
    for _ in 0..3 {
        world.poll();
    }
    let mut told = Vec::new();
    plain.read_to_end(&mut told).expect("an end in good order");
    // An alert: its type, then the version, the length, and a fatal description.
    assert_eq!((told.first(), told.get(5), told.len()), (Some(&21), Some(&2), 7), "{told:?}");
    assert_eq!((world.opened(), counted(&world.manager)), (0, stats(0, 1, 0, 0)));

    let transport = Transport::new();
    let mut broker = InMemoryConnectionManager::new(&transport, "plain").expect("nobody else is bound");
    let stream = transport.connect("plain").expect("it listens");
    let config = client_config(authority.roots(), None).expect("roots");
    let mut client = TlsStream::new(stream, config, name()).expect("TLS 1.3");
    client.handshake().expect_err("nobody has answered");
    let mut reports = Vec::new();
    broker.poll(&mut reports, None).expect("poll");
    broker.write(reports[0].id(), &[std::io::IoSlice::new(b"HTTP/1.1 400 Bad Request")]).expect("room");
    let error = client.handshake().expect_err("that is no TLS");
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().starts_with("TLS: "), "{error}");
}

#[test]
fn a_handshake_has_a_deadline_however_slowly_it_goes_on() {
    let authority = Authority::new();
    let patience = Duration::from_secs(3);
    let limits = TlsLimits::default().with_handshake_timeout(patience);
    let mut world = World::with_limits(server(&authority, None), limits);
    let mut silent = world.connect();
    let mut slow = world.connect();
    world.poll();
    for _ in 0..2 {
        slow.write_all(&[22]).expect("room");
        world.transport.clock().advance(patience / 2 - Duration::from_nanos(1));
        world.poll();
        assert_eq!(counted(&world.manager).4, 2, "not yet");
    }
    world.transport.clock().advance(Duration::from_nanos(2));
    world.poll();
    assert_eq!(counted(&world.manager), stats(0, 0, 2, 0));
    for peer in [&mut silent, &mut slow] {
        assert!(!matches!(peer.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock), "cut off");
    }
    let mut client = world.connect_with(&client_config(authority.roots(), None).expect("roots"));
    world.shake_hands(&mut client).expect("the others are served");
}

/// Its deadline must end a wait, for nothing else would.
#[test]
fn a_poll_waits_no_longer_than_the_next_handshakes_deadline() {
    let authority = Authority::new();
    let patience = Duration::from_millis(30);
    let sockets = msglib_io_epoll::EpollSocketManager::builder()
        .listen(([0, 0, 0, 0, 0, 0, 0, 1], 0).into())
        .poll_timeout(Duration::from_secs(30))
        .build()
        .expect("[::1]");
    let address = sockets.local_addr().expect("it listens");
    let limits = TlsLimits::default().with_handshake_timeout(patience);
    let mut manager = TlsManager::with_limits(sockets, server(&authority, None), limits);
    let _silent = std::net::TcpStream::connect(address).expect("connect");
    let start = std::time::Instant::now();
    while manager.stats().timed_out == 0 {
        manager.poll(&mut Vec::new(), None).expect("poll");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", manager.stats());
    }
    assert!(start.elapsed() >= patience);
}

#[test]
fn as_many_handshakes_as_may_go_on_and_one_more_is_turned_away() {
    let authority = Authority::new();
    let limits = TlsLimits::default().with_max_handshakes(3);
    let mut world = World::with_limits(server(&authority, None), limits);
    let mut waiting: Vec<_> = (0..3).map(|_| world.connect()).collect();
    world.poll();
    assert_eq!(counted(&world.manager), (0, 0, 0, 0, 3));
    let mut fourth = world.connect();
    world.poll();
    assert_eq!(counted(&world.manager), (0, 0, 0, 1, 3));
    assert!(!matches!(fourth.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock), "cut off");

    // Who has gone makes room.
    drop(waiting.pop());
    world.poll();
    let mut client = world.connect_with(&client_config(authority.roots(), None).expect("roots"));
    world.shake_hands(&mut client).expect("there is room");
    assert_eq!(counted(&world.manager), (1, 1, 0, 1, 2));
}

#[test]
fn a_renewed_certificate_is_for_those_who_come_later() {
    let [old, new] = [Authority::new(), Authority::new()];
    let mut world = World::new(server(&old, None));
    let mut early = world.connect_with(&client_config(old.roots(), None).expect("roots"));
    world.shake_hands(&mut early).expect("the old one");
    world.manager.set_config(server(&new, None));
    let mut late = world.connect_with(&client_config(new.roots(), None).expect("roots"));
    world.shake_hands(&mut late).expect("the new one");
    early.write_all(b"still here").expect("room");
    world.poll();
    let Readiness::Opened(first, _) = world.reports[0] else { panic!("{:?}", world.reports) };
    assert_eq!(world.manager.read(first, &mut [0; 64]).expect("read"), 10);
}

/// Nothing of a client's last words is lost when it leaves right behind its handshake, in good order or not.
#[test]
fn what_comes_right_behind_the_handshake_is_there() {
    for in_order in [true, false] {
        let authority = Authority::new();
        let mut world = World::new(server(&authority, None));
        let mut client = world.connect_with(&client_config(authority.roots(), None).expect("roots"));
        client.write_all(b"all at once").expect("room");
        world.poll();
        // The handshake is done on this side, and on the other all of it comes at once.
        client.handshake().expect("the broker has answered");
        let mut client = Some(client);
        match in_order {
            true => client.as_mut().expect("there").shutdown_write().expect("room"),
            false => drop(client.take()),
        }
        world.reports.clear();
        world.poll();
        let Readiness::Opened(id, _) = world.reports[0] else { panic!("{:?}", world.reports) };
        assert_eq!(world.reports[1], Readiness::Readable(id));
        if in_order {
            // A known end is told until it is taken (T5).
            world.reports.clear();
            world.poll();
            assert_eq!(world.reports, [Readiness::Readable(id)]);
        }
        assert_eq!(world.manager.read(id, &mut [0; 64]).expect("read"), 11);
        world.reports.clear();
        world.poll();
        assert!(world.reports.contains(&Readiness::Readable(id)), "the end is owed: {:?}", world.reports);
        match world.manager.read(id, &mut [0; 64]) {
            Ok(0) if in_order => {}
            Err(error) if !in_order && error.kind() == ErrorKind::UnexpectedEof => {}
            other => panic!("in order: {in_order}, {other:?}"),
        }
        world.manager.close(id, Close::Abort);
    }
}

/// Lets clients in by the certificate that they show, and knows them by it.
struct Door {
    welcome: CertificateDer<'static>,
}

impl Admission for Door {
    fn admit(&mut self, cx: &mut Context<'_>, from: ConnectionId, _: &Hello<'_>) -> Result<(), Reject> {
        let certificate = cx.peer(from).and_then(|peer| peer.certificate.as_deref());
        if certificate != Some(self.welcome.as_ref()) {
            return Err(Reject::new(ErrorCode::BAD_CREDENTIALS, "not with this certificate"));
        }
        cx.set_identity(from, Identity::new("billing"));
        Ok(())
    }

    fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
        let is_billing = cx.identity(from).is_some_and(|identity| identity.name() == "billing");
        match is_billing && open.name == ChannelName::from("bills") {
            true => Ok(()),
            false => Err(Reject::new(ErrorCode::NOT_ALLOWED, "billing has the bills, and nobody has more")),
        }
    }
}

#[test]
fn a_certificate_decides_over_the_admission_of_a_client_and_over_what_it_may_open() {
    let authority = Authority::new();
    let (welcome, other) = (authority.certify("billing"), authority.certify("sales"));
    let door = ConnectionHandler::new().with_admission(Door { welcome: welcome.0[0].clone() });
    let World { transport, manager, .. } = World::new(server(&authority, Some(authority.roots())));
    let mut broker = Broker::new(door, manager);
    let connect = |identity| {
        let config = client_config(authority.roots(), Some(identity)).expect("a good certificate");
        let stream = transport.connect("broker").expect("the manager listens");
        Connection::new(TlsStream::new(stream, config, name()).expect("TLS 1.3"))
    };
    let mut answer = |call: &mut dyn FnMut() -> Result<(), Error>| {
        for _ in 0..100 {
            broker.process_connections().expect("a step");
            match call() {
                Err(error) if error.is_would_block() => {}
                result => return result,
            }
        }
        panic!("no answer");
    };
    let let_in = connect(welcome);
    answer(&mut || let_in.welcome().map(drop)).expect("this is the one");
    for (name, allowed) in [("bills", true), ("salaries", false)] {
        let mut published = None;
        let result = answer(&mut || {
            let confirmation = match published.take() {
                Some(confirmation) => confirmation,
                None => let_in.publish_to_q_confirmed(name, "42")?,
            };
            published.insert(confirmation).wait()
        });
        assert_eq!(result.as_ref().map_err(Error::code).err(), (!allowed).then_some(Some(ErrorCode::NOT_ALLOWED)));
    }
    let refused = connect(other);
    let error = answer(&mut || refused.welcome().map(drop)).expect_err("this is another");
    assert!(matches!(&error, Error::FailedByBroker { code: ErrorCode::BAD_CREDENTIALS, .. }), "{error}");
}
