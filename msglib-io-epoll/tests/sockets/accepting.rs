//! Listeners: which there are, how peers come through them, and what happens without descriptors.

use crate::server::{PATIENCE, Server, TOO_LONG};
use msglib_io_epoll::{EpollSocketManager, SocketStream, connect};
use msglib_proto::transport::{Close, ConnectionManager, ListenerId, Readiness};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn several_listeners_are_told_apart() {
    let mut manager = EpollSocketManager::builder()
        .listen((Ipv6Addr::LOCALHOST, 0).into())
        .listen((Ipv4Addr::LOCALHOST, 0).into())
        .build()
        .expect("both loopback addresses");
    let adopted = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1");
    // It waits since before the manager knew the listener.
    let early = connect(adopted.local_addr().expect("address"), PATIENCE).expect("connect");
    assert_eq!(manager.adopt_listener(adopted).expect("adopt"), ListenerId(2));

    let addresses: Vec<SocketAddr> = manager.local_addrs().collect();
    assert_eq!(manager.local_addr(), addresses.first().copied());
    assert!(addresses[0].is_ipv6() && addresses[1].is_ipv4() && addresses.len() == 3, "{addresses:?}");

    let mut server = Server::over(manager);
    let (_, peer) = server.opened();
    assert_eq!((peer.listener, peer.to_string()), (ListenerId(2), name(&early)));
    for (n, address) in addresses.into_iter().enumerate() {
        let client = connect(address, PATIENCE).expect("connect");
        let (_, peer) = server.opened();
        assert_eq!((peer.listener, peer.to_string()), (ListenerId(n as u32), name(&client)));
    }
    assert_eq!(server.manager.stats().accepted, 4);
}

/// A listener that another process has as well goes on there, and its peers are not looked at here any more.
#[test]
fn t17_listeners_are_closed_and_those_of_others_left_alone() {
    let mut server = Server::with(|builder| builder.listen((Ipv4Addr::LOCALHOST, 0).into()).poll_timeout(TOO_LONG));
    let shared = TcpListener::bind("[::1]:0").expect("[::1]");
    server.manager.adopt_listener(shared.try_clone().expect("a clone")).expect("adopt");
    let addresses: Vec<SocketAddr> = server.manager.local_addrs().collect();
    let (mut client, id) = server.pair();
    let mut waiting = connect(addresses[1], PATIENCE).expect("connect");

    assert!(server.manager.stop_accepting() && server.manager.stop_accepting());
    for address in &addresses[..2] {
        assert_eq!(refused(*address).kind(), ErrorKind::ConnectionRefused);
    }
    assert_eq!(waiting.read(&mut [0]).expect_err("not accepted").kind(), ErrorKind::ConnectionReset);
    assert_eq!(server.manager.local_addrs().count(), 3, "they are still told apart");

    while !server.poll(Some(Duration::ZERO)).is_empty() {}
    let others = connect(addresses[2], PATIENCE).expect("somebody else listens");
    let (start, wait) = (Instant::now(), Duration::from_millis(20));
    let ready = server.poll(Some(wait));
    assert!(start.elapsed() >= wait, "somebody else's peer wakes nobody here");
    assert!(!ready.iter().any(|report| matches!(report, Readiness::Opened(..))), "{ready:?}");
    shared.set_nonblocking(false).expect("a mode of every socket");
    let (_, from) = shared.accept().expect("it waits there");
    assert_eq!(from.to_string(), name(&others));

    client.write_all(b"still here").expect("write");
    assert_eq!(server.read_exactly(id, 10), b"still here");
}

/// How connecting fails. A test beside this one that starts a process has copies of all descriptors in it until that runs, and a listener is not closed before the
/// last copy is.
fn refused(address: SocketAddr) -> std::io::Error {
    let start = Instant::now();
    loop {
        match std::net::TcpStream::connect(address) {
            Err(error) => return error,
            Ok(_) => assert!(start.elapsed() < PATIENCE, "somebody listens at {address}"),
        }
    }
}

fn name(client: &SocketStream) -> String {
    client.local_addr().expect("address").to_string()
}

#[test]
fn the_wildcard_takes_both_families_and_tells_ipv4_peers_as_such() {
    let manager = EpollSocketManager::bind("[::]:0").expect("[::]");
    let port = manager.local_addr().expect("a listener").port();
    let mut server = Server::over(manager);
    for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))] {
        let mut client = connect(address, PATIENCE).expect("connect");
        let (id, peer) = server.opened();
        assert_eq!(peer.to_string(), name(&client));
        client.write_all(b"hello").expect("write");
        assert_eq!(server.read_exactly(id, 5), b"hello");
    }
}

#[test]
fn the_ipv6_wildcard_alone_leaves_ipv4_to_another() {
    let ipv6_only =
        |port| EpollSocketManager::builder().listen_ipv6_only(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0));
    let manager = ipv6_only(0).build().expect("[::]");
    let port = manager.local_addr().expect("a listener").port();
    let mut other =
        Server::over(EpollSocketManager::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free for IPv4"));
    let mut server = Server::over(manager);
    let ipv4 = connect((Ipv4Addr::LOCALHOST, port), PATIENCE).expect("connect");
    let ipv6 = connect((Ipv6Addr::LOCALHOST, port), PATIENCE).expect("connect");
    assert_eq!(server.opened().1.to_string(), name(&ipv6));
    assert_eq!(other.opened().1.to_string(), name(&ipv4));

    let both = EpollSocketManager::bind((Ipv6Addr::UNSPECIFIED, port)).expect_err("IPv4 has this port");
    assert_eq!(both.kind(), ErrorKind::AddrInUse);
}

#[test]
fn as_many_connections_as_are_allowed_are_accepted_and_the_next_when_one_is_gone() {
    let mut server = Server::with(|builder| builder.max_connections(3).poll_timeout(Duration::from_millis(5)));
    let mut clients: Vec<_> = (0..2).map(|_| server.connect()).collect();
    let (first, second) = (server.opened().0, server.opened().0);
    assert_eq!(server.manager.stats().accept_limits, 0, "there is room for one more");
    clients.extend((0..3).map(|_| server.connect()));
    server.opened();
    for _ in 0..3 {
        assert_eq!(opened(&server.poll(None)), [], "no room, and no spin: a poll waits");
    }
    assert_eq!((server.manager.stats().open, server.manager.stats().accept_limits), (3, 1));

    server.manager.close(first, Close::Abort);
    server.opened();
    assert_eq!((server.manager.stats().open, server.manager.stats().accept_limits), (3, 2));

    // One that drains still has its descriptor.
    let deadline = server.manager.now() + PATIENCE;
    server.manager.close(second, Close::Drain { deadline });
    assert_eq!(opened(&server.poll(None)), []);
    drop(clients.remove(1));
    server.opened();
    assert_eq!((server.manager.stats().open, server.manager.stats().draining), (3, 0));
}

#[test]
fn a_limit_on_connections_does_not_keep_a_poll_from_waiting() {
    let own = Duration::from_millis(5);
    let mut server = Server::with(|builder| builder.max_connections(1).poll_timeout(own));
    let _clients = [server.connect(), server.connect()];
    server.opened();
    // Edges of both clients, which say nothing new.
    for _ in 0..5 {
        assert_eq!(server.poll(None), []);
    }
    let start = Instant::now();
    assert_eq!(server.poll(None), []);
    assert!(start.elapsed() >= own, "somebody waits, but nobody can be let in");
}

#[test]
fn a_port_in_use_is_named() {
    let server = Server::new();
    let error = EpollSocketManager::bind(server.address()).expect_err("it is in use");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let expected = format!("cannot listen on {}: address in use; stop the program", server.address());
    assert!(error.to_string().starts_with(&expected), "{error}");

    let error = EpollSocketManager::builder().listen(server.address()).build().expect_err("it is in use");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn the_first_address_that_works_is_listened_on() {
    let in_use = Server::new();
    let free = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let manager = EpollSocketManager::bind(&[in_use.address(), free][..]).expect("the second works");
    assert_ne!(manager.local_addr(), Some(in_use.address()));

    // 192.0.2.0/24 is for documents; no machine has it.
    let error = EpollSocketManager::bind(&[in_use.address(), ([192, 0, 2, 1], 0).into()][..]).expect_err("neither");
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(error.to_string().contains(&in_use.address().to_string()), "{error}");
    assert!(error.to_string().contains("192.0.2.1:0: no interface of this machine"), "{error}");
}

#[test]
fn a_manager_without_listeners_is_possible() {
    let mut manager = EpollSocketManager::builder().build().expect("a manager");
    assert_eq!(manager.local_addr(), None);
    manager.poll(&mut Vec::new(), Some(Duration::ZERO)).expect("poll");
}

#[test]
fn one_poll_accepts_no_more_than_its_budget_and_the_next_goes_on() {
    let mut server = Server::with(|builder| builder.accepts_per_poll(2).poll_timeout(TOO_LONG));
    let _clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    let start = Instant::now();
    let accepted = [(); 3].map(|()| opened(&server.poll(None)).len());
    assert_eq!(accepted, [2, 2, 1], "no edge tells of those who are left over");
    assert_eq!(server.manager.stats().accept_turns_cut, 2);
    assert!(start.elapsed() < PATIENCE);
    assert_eq!(server.manager.stats().open, 5);
}

#[test]
fn a_flood_at_one_listener_does_not_keep_another_waiting() {
    let mut server = Server::with(|builder| builder.listen((Ipv6Addr::LOCALHOST, 0).into()).accepts_per_poll(1));
    let second = server.manager.local_addrs().nth(1).expect("two listeners");
    let _flood: Vec<_> = (0..5).map(|_| server.connect()).collect();
    let _other = connect(second, PATIENCE).expect("connect");
    let order: Vec<u32> = (0..4).flat_map(|_| opened(&server.poll(None))).map(|listener| listener.0).collect();
    assert_eq!(order[..2], [0, 1], "{order:?}");
}

/// The listeners of new connections.
fn opened(reports: &[Readiness]) -> Vec<ListenerId> {
    let listener = |report: &Readiness| match report {
        Readiness::Opened(_, peer) => Some(peer.listener),
        _ => None,
    };
    reports.iter().filter_map(listener).collect()
}

#[test]
fn peers_that_leave_before_they_are_accepted_do_no_harm() {
    let mut server = Server::new();
    for _ in 0..50 {
        let client = std::net::TcpStream::connect(server.address()).expect("connect");
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("linger");
    }
    let mut client = server.connect();
    client.write_all(b"alive").expect("write");
    let expected = name(&client);
    let id = server.wait_for("the one that stayed", |report| match report {
        Readiness::Opened(id, peer) if peer.to_string() == expected => Some(*id),
        _ => None,
    });
    assert_eq!(server.read_exactly(id, 5), b"alive");
}

/// The limit of open files holds for a process, so that this takes one of its own.
#[test]
fn without_descriptors_accepting_pauses_and_serving_goes_on() {
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -n 40; exec "$0" --ignored --exact accepting::with_forty_descriptors"#])
        .arg(std::env::current_exe().expect("this program"))
        .output()
        .expect("sh");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "without_descriptors_accepting_pauses_and_serving_goes_on runs it, under a low limit of open files"]
fn with_forty_descriptors() {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("/proc");
    let limit = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit of open files");
    assert_eq!(limit.split_whitespace().nth(3), Some("40"), "to be run under `ulimit -n 40`");

    // A retry must come from the timer, not from the manager's own time-out.
    let mut server = Server::with(|builder| builder.poll_timeout(TOO_LONG));
    let (mut witness, id) = server.pair();
    let mut clients = clients_to_the_limit(&server);
    assert!(clients.len() > 10, "{} clients", clients.len());

    let start = Instant::now();
    let mut polls = 0;
    while server.manager.stats().accept_errors < 4 {
        assert_eq!(server.poll(None), []);
        polls += 1;
        assert!(polls < 12, "{polls} polls: it spins");
    }
    let backoff = Duration::from_millis(10 + 20 + 40);
    assert!((backoff..PATIENCE).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(server.manager.stats().accept_pauses, 1);

    witness.write_all(b"still served").expect("write");
    assert_eq!(server.read_exactly(id, 12), b"still served");
    server.manager.write(id, &[IoSlice::new(b"of course")]).expect("write");
    witness.read_exact(&mut [0; 9]).expect("read");

    // Descriptors become free elsewhere: the timer finds them.
    drop(clients.split_off(clients.len() - 3));
    let (first, _) = server.opened();

    // One becomes free by closing here: it is used at once, whatever the timer says.
    clients.extend(clients_to_the_limit(&server));
    let errors = server.manager.stats().accept_errors;
    server.run_until("it is out of descriptors again", |manager| manager.stats().accept_errors > errors);
    assert_eq!(server.manager.stats().accept_pauses, 2);
    server.manager.close(first, Close::Abort);
    let reports = server.poll(Some(Duration::ZERO));
    assert!(!opened(&reports).is_empty(), "{reports:?}");
}

fn clients_to_the_limit(server: &Server) -> Vec<SocketStream> {
    std::iter::from_fn(|| connect(server.address(), PATIENCE).ok()).collect()
}
