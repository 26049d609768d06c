//! Rules T6, T7, T9 and T13.

use crate::server::{PATIENCE, Server, pattern};
use msglib_proto::transport::{Close, ConnectionManager};
use socket2::SockRef;
use std::io::{ErrorKind, IoSlice, Read};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const MEGABYTES: usize = 12 << 20;

#[test]
fn t06_t07_t13_megabytes_reach_a_slow_reader_intact() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    let sent = pattern(MEGABYTES);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            // Small pieces, so that the system's buffers are full most of the time.
            let (mut received, mut piece) = (Vec::new(), [0; 1500]);
            while received.len() < MEGABYTES {
                let n = client.read(&mut piece).expect("read");
                assert_ne!(n, 0, "ended after {} bytes", received.len());
                received.extend_from_slice(&piece[..n]);
            }
            received
        });
        let waits = server.write_all(id, &sent);
        assert!(waits > 0, "the test must meet a full buffer");
        assert!(reader.join().expect("the reader") == sent, "the bytes differ");
    });
}

#[test]
fn t06_t13_more_slices_than_one_call_takes() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    let sent = pattern(3000);
    let slices: Vec<IoSlice<'_>> = sent.chunks(1).map(IoSlice::new).collect();
    let mut written = 0;
    while written < slices.len() {
        let n = server.manager.write(id, &slices[written..]).expect("write");
        assert!(n > 0 && n <= 1024, "{n} slices of one byte");
        written += n;
        if written < slices.len() {
            // It took only a part, so that this must come, though the system has room all the time.
            server.writable(id);
        }
    }
    let mut received = vec![0; 3000];
    client.read_exact(&mut received).expect("read");
    assert_eq!(received, sent);
}

#[test]
fn t06_t13_a_vectored_write_is_cut_anywhere_and_goes_on_there() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    let sent = pattern(MEGABYTES);
    // Of a length that does not fit into anything evenly.
    let slices: Vec<&[u8]> = sent.chunks(7919).collect();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut received = vec![0; MEGABYTES];
            client.read_exact(&mut received).map(|()| received).expect("read")
        });
        let (mut first, mut offset, mut cuts) = (0, 0, 0);
        while first < slices.len() {
            let mut offered: Vec<IoSlice<'_>> =
                slices[first..].iter().take(64).map(|slice| IoSlice::new(slice)).collect();
            offered[0] = IoSlice::new(&slices[first][offset..]);
            let all: usize = offered.iter().map(|slice| slice.len()).sum();
            let written = match server.manager.write(id, &offered) {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => panic!("write failed: {error}"),
            };
            offset += written;
            while first < slices.len() && offset >= slices[first].len() {
                offset -= slices[first].len();
                first += 1;
            }
            if written < all {
                cuts += usize::from(offset > 0);
                server.writable(id);
            }
        }
        assert!(cuts > 0, "the test must meet a write that ends inside of a slice");
        assert!(reader.join().expect("the reader") == sent, "the bytes differ");
    });
}

#[test]
fn t06_empty_slices_are_nothing_to_write() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    assert_eq!(server.manager.write(id, &[]).expect("write"), 0);
    let mut slices = vec![IoSlice::new(b""); 5000];
    assert_eq!(server.manager.write(id, &slices).expect("write"), 0);
    slices.push(IoSlice::new(b"behind them"));
    assert_eq!(server.manager.write(id, &slices).expect("write"), 11);
    let mut received = [0; 11];
    client.read_exact(&mut received).expect("read");
    assert_eq!(&received, b"behind them");
}

#[test]
fn t09_the_broker_can_write_after_the_peer_has_closed_its_side() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    client.shutdown_write().expect("shutdown");
    server.readable(id);
    assert_eq!(server.manager.read(id, &mut [0; 8]).expect("the end"), 0);

    let sent = pattern(MEGABYTES);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut received = Vec::new();
            client.read_to_end(&mut received).map(|_| received).expect("read")
        });
        server.write_all(id, &sent);
        let deadline = server.manager.now() + PATIENCE;
        server.manager.close(id, Close::Drain { deadline });
        assert_eq!(server.manager.stats().draining, 0, "both sides have ended: nothing to wait for");
        assert!(reader.join().expect("the reader") == sent, "the bytes differ");
    });
}

#[test]
fn t13_room_is_reported_to_who_was_refused() {
    let mut server = Server::new();
    let (mut client, id) = server.pair();
    let mut filled = server.fill(id);
    // The system moves bytes to the other side on its own, until that is full too.
    while !server.poll(Some(Duration::from_millis(5))).is_empty() {
        filled += server.fill(id);
    }
    let mut received = vec![0; filled];
    client.read_exact(&mut received).expect("read");
    server.writable(id);
    assert!(server.fill(id) > 0);
}

/// Every write is taken whole until one is refused: no partial one asks for a report before.
#[test]
fn t13_room_is_reported_to_who_was_only_ever_refused() {
    let mut server = Server::new();
    let listener = TcpListener::bind("[::1]:0").expect("[::1]");
    let mut client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let (accepted, _) = listener.accept().expect("the client");
    // Small ones, for it goes byte by byte.
    SockRef::from(&client).set_recv_buffer_size(1).expect("an option of every socket");
    SockRef::from(&accepted).set_send_buffer_size(1).expect("an option of every socket");
    let id = server.manager.adopt_stream(accepted).expect("adopt");
    let mut taken = 0;
    let refusal = loop {
        match server.manager.write(id, &[IoSlice::new(&[7])]) {
            Ok(count) => taken += count,
            Err(error) => break error,
        }
    };
    assert_eq!(refusal.kind(), ErrorKind::WouldBlock);
    client.read_exact(&mut vec![0; taken]).expect("all that was taken");
    server.writable(id);
}

#[test]
fn t14_a_write_to_a_peer_that_is_gone_fails_and_ends_the_connection() {
    let mut server = Server::new();
    let (client, id) = server.pair();
    drop(client);
    // The first write is answered with a reset, which the next one finds.
    let start = Instant::now();
    let error = loop {
        assert!(start.elapsed() < PATIENCE, "the writes do not fail");
        match server.manager.write(id, &[IoSlice::new(b"anyone?")]) {
            Ok(_) => drop(server.poll(Some(Duration::from_millis(1)))),
            Err(error) => break error,
        }
    };
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    assert_eq!(server.read_error(id), ErrorKind::NotFound);
    assert_eq!(server.manager.stats().open, 0);
}
