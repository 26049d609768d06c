//! Binding, connecting, and what is left when a manager goes.

use crate::support::{BROKER, World, peer_read, peer_write};
use msglib_io_memory::{BindError, ConnectError, InMemoryConnectionManager, Transport};
use msglib_proto::transport::{ConnectionManager, Readiness};
use std::io::{self, ErrorKind};

#[test]
fn a_connection_to_nobody_is_refused_and_names_those_who_are_there() {
    let transport = Transport::new();
    let nobody = transport.connect("broker").unwrap_err();
    assert!(nobody.to_string().contains("\"broker\"") && nobody.to_string().contains("nothing is bound"), "{nobody}");

    let _b = InMemoryConnectionManager::new(&transport, "beta").unwrap();
    let _a = InMemoryConnectionManager::new(&transport, "alpha").unwrap();
    let error = transport.connect("gamma").unwrap_err();
    let ConnectError::Refused { endpoint, bound } = &error else { panic!("{error:?}") };
    assert_eq!((endpoint.as_str(), &bound[..]), ("gamma", &["alpha".to_owned(), "beta".to_owned()][..]));
    assert!(error.to_string().contains(r#"["alpha", "beta"]"#), "{error}");
    assert_eq!(io::Error::from(error).kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_long_list_of_endpoints_is_cut() {
    let transport = Transport::new();
    let bind = |n| InMemoryConnectionManager::new(&transport, format!("e{n:02}")).unwrap();
    let _managers: Vec<_> = (0..10).map(bind).collect();
    let text = transport.connect("broker").unwrap_err().to_string();
    assert!(text.contains("e07") && !text.contains("e08") && text.contains("2 more"), "{text}");
}

#[test]
fn an_endpoint_has_one_manager_at_a_time() {
    let transport = Transport::new();
    let first = InMemoryConnectionManager::new(&transport, BROKER).unwrap();
    let error = InMemoryConnectionManager::new(&transport, BROKER).unwrap_err();
    assert_eq!(error, BindError::AlreadyBound { endpoint: BROKER.to_owned() });
    assert_eq!(io::Error::from(error).kind(), ErrorKind::AddrInUse);
    transport.connect(BROKER).expect("the failed attempt has unbound nothing");

    drop(first);
    assert!(transport.connect(BROKER).is_err());
    let _second = InMemoryConnectionManager::new(&transport, BROKER).unwrap();
    transport.connect(BROKER).unwrap();
}

#[test]
fn two_brokers_in_one_transport_do_not_mix() {
    let transport = Transport::new();
    let mut a = InMemoryConnectionManager::new(&transport, "a").unwrap();
    let mut b = InMemoryConnectionManager::new(&transport, "b").unwrap();
    let (to_a, to_b) = (transport.connect("a").unwrap(), transport.connect("b").unwrap());
    assert_ne!(to_a.address(), to_b.address(), "unique in the transport");
    peer_write(&to_b, b"for b").unwrap();
    let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
    a.poll(&mut at_a, None).unwrap();
    b.poll(&mut at_b, None).unwrap();
    assert_eq!((at_a.len(), at_b.len()), (1, 2));
    drop(a);
    assert_eq!(peer_read(&to_a, 8), Ok(vec![]));
    assert_eq!(peer_read(&to_b, 8), Err(ErrorKind::WouldBlock));
}

#[test]
fn a_manager_that_goes_leaves_what_it_wrote() {
    let mut world = World::new();
    let (stream, id) = world.open();
    let (draining, draining_id) = world.open();
    let (aborted, aborted_id) = world.open();
    let (dropped, dropped_id) = world.open();
    let waiting = world.connect();
    peer_write(&waiting, b"never read").unwrap();
    for id in [id, draining_id, aborted_id, dropped_id] {
        world.write(id, b"bye").unwrap();
    }
    world.drain(draining_id);
    world.abort(aborted_id);
    drop(dropped);

    let World { transport, manager } = world;
    drop(manager);
    for stream in [&stream, &draining] {
        assert_eq!(peer_write(stream, b"x"), Err(ErrorKind::BrokenPipe));
        assert_eq!(peer_read(stream, 2), Ok(b"by".to_vec()));
        assert_eq!((peer_read(stream, 2), peer_read(stream, 2)), (Ok(b"e".to_vec()), Ok(vec![])));
    }
    assert_eq!(peer_read(&aborted, 8), Err(ErrorKind::ConnectionReset));
    assert_eq!((peer_read(&waiting, 8), peer_write(&waiting, b"x")), (Ok(vec![]), Err(ErrorKind::BrokenPipe)));

    let mut again = World { manager: InMemoryConnectionManager::new(&transport, BROKER).unwrap(), transport };
    assert_eq!(again.poll(), [], "a new manager knows nothing of the old connections");
    stream.reset();
    drop((draining, aborted, waiting));
    assert_eq!(again.poll(), []);
    let (fresh, id) = again.open();
    again.write(id, b"hello").unwrap();
    assert_eq!(peer_read(&fresh, 8), Ok(b"hello".to_vec()));
    assert_eq!(peer_read(&stream, 8), Err(ErrorKind::ConnectionReset));
}

#[test]
fn the_backlog_takes_n_and_refuses_n_plus_1() {
    let mut world = World::of(Transport::builder().backlog(3));
    let mut streams: Vec<_> = (0..3).map(|_| world.connect()).collect();
    let error = world.transport.connect(BROKER).unwrap_err();
    assert_eq!(error, ConnectError::BacklogFull { endpoint: BROKER.to_owned(), waiting: 3 });
    assert_eq!(io::Error::from(error).kind(), ErrorKind::ConnectionRefused);
    streams.pop();
    assert!(world.transport.connect(BROKER).is_err(), "one that has gone waits as well, to be opened and ended");

    let opened = |reports: Vec<Readiness>| reports.iter().filter(|r| matches!(r, Readiness::Opened(..))).count();
    assert_eq!(opened(world.poll()), 3);
    streams.extend((0..3).map(|_| world.connect()));
    assert!(world.transport.connect(BROKER).is_err());
    assert_eq!(opened(world.poll()), 3);
}

#[test]
fn the_default_backlog_is_1024_and_none_refuses_all() {
    let world = World::new();
    let _streams: Vec<_> = (0..1024).map(|_| world.connect()).collect();
    assert!(world.transport.connect(BROKER).is_err());
    assert!(World::of(Transport::builder().backlog(0)).transport.connect(BROKER).is_err());
}

#[test]
fn a_pipe_holds_64_kib_unless_set_and_never_nothing() {
    let stream = World::new().connect();
    assert_eq!(peer_write(&stream, &[]), Err(ErrorKind::BrokenPipe), "its manager is gone");
    let world = World::new();
    assert_eq!(peer_write(&world.connect(), &[0; 100_000]), Ok(65_536));
    let world = World::with_capacity(0);
    assert_eq!(peer_write(&world.connect(), &[0; 2]), Ok(1));
}
