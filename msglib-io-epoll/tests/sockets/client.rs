//! `connect` and its stream.

use crate::server::{PATIENCE, Server};
use msglib_io_epoll::connect;
use msglib_proto::transport::{Address, Close, ConnectionManager};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// An address that is taken by a socket which does not listen.
fn nobody() -> (SocketAddr, Socket) {
    let socket = bound();
    (address(&socket), socket)
}

fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).expect("socket");
    socket.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into()).expect("[::1]");
    socket
}

fn address(socket: &Socket) -> SocketAddr {
    socket.local_addr().expect("address").as_socket().expect("an internet address")
}

/// A listener that answers to no one, because its queue is full, with those who fill it.
fn deaf() -> (SocketAddr, Vec<Socket>) {
    let listener = bound();
    listener.listen(0).expect("listen");
    let address = address(&listener);
    let mut sockets = vec![listener];
    for _ in 0..10 {
        let filler = Socket::new(Domain::IPV6, Type::STREAM, None).expect("socket");
        let full = filler.connect_timeout(&address.into(), Duration::from_millis(100)).is_err();
        sockets.push(filler);
        if full {
            return (address, sockets);
        }
    }
    panic!("a backlog of 0 took 10 connections");
}

#[test]
fn a_refused_connection_is_named() {
    let (address, _socket) = nobody();
    let error = connect(address, PATIENCE).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let expected = format!("cannot connect to {address}: connection refused; is the broker running");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn a_connection_that_nobody_answers_times_out() {
    let (address, _sockets) = deaf();
    let start = Instant::now();
    let error = connect(address, Duration::from_millis(30)).expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().starts_with(&format!("cannot connect to {address}: timed out")), "{error}");
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn several_addresses_are_tried_within_one_time_out() {
    let mut server = Server::new();
    let (deaf, _sockets) = deaf();
    let (refusing, _socket) = nobody();
    let addresses = [refusing, deaf, server.address()];
    let stream = connect(&addresses[..], Duration::from_millis(600)).expect("the last one answers");
    assert_eq!(stream.peer_addr().expect("connected"), Address::Socket(server.address()));
    server.opened();

    let error = connect(&addresses[..2], Duration::from_millis(50)).expect_err("neither answers");
    for address in &addresses[..2] {
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
    assert_eq!(error.kind(), ErrorKind::TimedOut, "the last one's: {error}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let error = connect("[::1]:1", Duration::ZERO).expect_err("no time");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = connect(&[][..], PATIENCE).expect_err("no address");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = connect("no port", PATIENCE).expect_err("not an address");
    assert!(error.to_string().starts_with("resolving the address to connect to: "), "{error}");
}

#[test]
fn a_read_and_a_write_that_take_too_long_are_timed_out() {
    let mut server = Server::new();
    let client = connect(server.address(), Duration::from_millis(20)).expect("connect");
    let (id, _) = server.opened();
    let start = Instant::now();
    let error = (&client).read(&mut [0; 8]).expect_err("nobody writes");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "the time-out of connect holds");
    assert!(start.elapsed() >= Duration::from_millis(20));
    let expected = format!("nothing came from {} within ", server.address());
    assert!(error.to_string().starts_with(&expected), "{error}");

    let error = (&client).write_all(&vec![0; 64 << 20]).expect_err("nobody reads");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().starts_with(&format!("no room to send to {}", server.address())), "{error}");

    client.set_timeout(Some(PATIENCE)).expect("a longer one");
    server.write_all(id, b"the stream is as good as ever");
    (&client).read_exact(&mut [0; 29]).expect("read");
    assert_eq!(client.set_timeout(Some(Duration::ZERO)).expect_err("zero").kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_stream_made_non_blocking_says_would_block() {
    let server = Server::new();
    let client = server.connect();
    SockRef::from(&client.as_fd()).set_nonblocking(true).expect("non-blocking");
    let error = (&client).read(&mut [0; 8]).expect_err("nobody writes");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(client.as_raw_fd() > 2);
}

#[test]
fn two_handles_read_and_write_at_once_and_either_ends_both() {
    let mut server = Server::new();
    let (client, id) = server.pair();
    let reader = client.try_clone().expect("clone");
    let reading = std::thread::spawn(move || {
        let mut received = Vec::new();
        (&reader).read_to_end(&mut received).map(|_| received)
    });
    (&client).write_all(b"request").expect("write");
    assert_eq!(server.read_exactly(id, 7), b"request");
    server.write_all(id, b"response");
    let mut writer = &client;
    assert_eq!(writer.write_vectored(&[IoSlice::new(b""), IoSlice::new(b"a"), IoSlice::new(b"b")]).expect("write"), 2);
    assert_eq!(server.read_exactly(id, 2), b"ab");

    // The reader must have the response before the stream is shut down under it.
    client.shutdown_write().expect("shutdown");
    server.readable(id);
    let deadline = server.manager.now() + PATIENCE;
    server.manager.close(id, Close::Drain { deadline });
    server.run_until("the drain is over", |manager| manager.stats().draining == 0);
    assert_eq!(reading.join().expect("the reader").expect("read"), b"response");
}

#[test]
fn a_shutdown_ends_a_read_that_waits_in_another_thread() {
    let mut server = Server::new();
    let (client, _) = server.pair();
    client.set_timeout(None).expect("for ever");
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| (&client).read(&mut [0; 8]));
        client.shutdown().expect("shutdown");
        assert_eq!(reading.join().expect("the reader").expect("the end"), 0);
    });
}

/// Small frames are written when they are due: at both ends, however the connection was made.
#[test]
fn connections_do_not_hold_small_writes_back() {
    let mut server = Server::new();
    let client = server.connect();
    assert!(SockRef::from(&client).tcp_nodelay().expect("an option of every TCP socket"));

    let elsewhere = TcpListener::bind("[::1]:0").expect("[::1]");
    let made = TcpStream::connect(elsewhere.local_addr().expect("address")).expect("connect");
    let clone = made.try_clone().expect("a clone");
    assert!(!clone.nodelay().expect("an option of every TCP socket"));
    server.manager.adopt_stream(made).expect("adopt");
    assert!(clone.nodelay().expect("an option of every TCP socket"));
}
