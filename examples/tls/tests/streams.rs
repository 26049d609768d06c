//! Bytes of connections that are there: how many at once, in which directions, and how they end.

mod support;

use msglib_broker::{Broker, ConnectionHandler};
use msglib_client::{Connection, blocking_pull_subscribe_to_queue, publish_to_q_confirmed};
use msglib_io_epoll::{EpollSocketManager, connect};
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness};
use msglib_tls::{TlsManager, TlsStream};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::time::Duration;
use support::{configs, name};

/// A connection in memory whose handshake is done.
fn pair(pipe: usize) -> (TlsManager<InMemoryConnectionManager>, ConnectionId, TlsStream<MemoryStream>) {
    let transport = Transport::builder().pipe_capacity(pipe).build();
    let inner = InMemoryConnectionManager::new(&transport, "broker").expect("nobody else is bound");
    let mut manager = TlsManager::new(inner, configs().0.clone());
    let stream = transport.connect("broker").expect("the manager listens");
    let mut client = TlsStream::new(stream, configs().1.clone(), name()).expect("TLS 1.3");
    let mut reports = Vec::new();
    for _ in 0..1000 {
        drop(client.flush());
        manager.poll(&mut reports, Some(Duration::ZERO)).expect("poll");
        if let Some(Readiness::Opened(id, _)) = reports.first() {
            return (manager, *id, client);
        }
    }
    panic!("a handshake without an end");
}

fn reported(manager: &mut impl ConnectionManager, report: &Readiness) -> bool {
    let mut reports = Vec::new();
    manager.poll(&mut reports, Some(Duration::ZERO)).expect("poll");
    reports.contains(report)
}

/// One read does a bounded amount of work; what is left over is reported again, though below nothing new has come (T5).
#[test]
fn a_read_that_stops_early_is_followed_by_a_report() {
    let (mut manager, id, mut client) = pair(4 << 20);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    client.write_all(&sent).expect("room for all");
    let mut buf = vec![0; 4 << 20];
    let mut received = Vec::new();
    let mut reads = 0;
    while received.len() < sent.len() {
        assert!(reported(&mut manager, &Readiness::Readable(id)), "after {} bytes", received.len());
        match manager.read(id, &mut buf) {
            Ok(count) => received.extend_from_slice(&buf[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        reads += 1;
    }
    assert!(received == sent, "the bytes differ");
    assert!(reads >= 3, "{reads} reads: the work of one has no bound");
}

#[test]
fn a_small_buffer_gets_a_record_in_small_pieces() {
    let (mut manager, id, mut client) = pair(1 << 20);
    let sent: Vec<u8> = (0..50_000_u32).map(|n| (n % 253) as u8).collect();
    client.write_all(&sent).expect("room for all");
    let mut received = Vec::new();
    let mut buf = [0; 7];
    while received.len() < sent.len() {
        assert!(reported(&mut manager, &Readiness::Readable(id)), "after {} bytes", received.len());
        let count = manager.read(id, &mut buf).expect("what was reported");
        received.extend_from_slice(&buf[..count]);
    }
    assert!(received == sent, "the bytes differ");
    assert_eq!(manager.read(id, &mut buf).expect_err("nothing more").kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_stream_that_is_no_tls_any_more_ends_with_a_reason() {
    let (mut manager, id, mut client) = pair(1 << 20);
    client.get_mut().write_all(&[23, 3, 3, 0, 32]).expect("room");
    client.get_mut().write_all(&[0; 32]).expect("room");
    assert!(reported(&mut manager, &Readiness::Readable(id)));
    let error = manager.read(id, &mut [0; 64]).expect_err("nobody has sealed that");
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("decrypt"), "{error}");
    assert_eq!(manager.read(id, &mut [0; 64]).expect_err("over for good").kind(), ErrorKind::NotFound);
    let told = client.read(&mut [0; 64]).expect_err("an alert");
    assert!(told.to_string().contains("BadRecordMac"), "{told}");
}

#[test]
fn a_stream_that_is_cut_off_is_no_end() {
    let (mut manager, id, client) = pair(1 << 20);
    drop(client);
    assert!(reported(&mut manager, &Readiness::Readable(id)));
    assert_eq!(manager.read(id, &mut [0; 64]).expect_err("cut off").kind(), ErrorKind::UnexpectedEof);

    let (mut manager, id, mut client) = pair(1 << 20);
    manager.write(id, &[IoSlice::new(b"half a wo")]).expect("room");
    manager.inner_mut().close(id, Close::Abort);
    let mut received = Vec::new();
    let error = client.read_to_end(&mut received).expect_err("cut off");
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
    assert_eq!(client.read(&mut [0]).expect_err("for good").kind(), error.kind());
}

/// Accepted bytes, and the word that they are all, reach the peer after the connection was closed.
#[test]
fn a_drain_sends_what_waits_here_and_the_end_behind_it() {
    let (mut manager, id, mut client) = pair(1000);
    let block = [9; 10_000];
    let mut accepted = 0;
    loop {
        match manager.write(id, &[IoSlice::new(&block)]) {
            Ok(count) => accepted += count,
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(accepted > 50_000, "{accepted} bytes: there is room here as well as below");
    let deadline = manager.now() + Duration::from_secs(1);
    manager.close(id, Close::Drain { deadline });
    assert_eq!(manager.draining(), 1);
    let mut received = Vec::new();
    let mut buf = [0; 4096];
    loop {
        match client.read(&mut buf) {
            Ok(0) => break,
            Ok(count) => received.extend_from_slice(&buf[..count]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "after {} bytes", received.len());
                manager.poll(&mut Vec::new(), Some(Duration::ZERO)).expect("poll");
            }
        }
    }
    assert_eq!(received.len(), accepted);
}

/// More comes in than one poll throws away, and nothing below will tell of the rest.
#[test]
fn a_drain_throws_away_all_that_the_peer_sends() {
    const PIPE: usize = 2 << 20;
    let (mut manager, id, mut client) = pair(PIPE);
    let noise = vec![5; 4 * PIPE];
    let fill = |client: &mut TlsStream<MemoryStream>| {
        let mut filled = 0;
        while let Ok(count @ 1..) = client.write(&noise) {
            filled += count;
        }
        filled
    };
    assert!(fill(&mut client) >= PIPE);
    while manager.write(id, &[IoSlice::new(&noise)]).is_ok() {}
    let deadline = manager.now() + Duration::from_secs(1);
    manager.close(id, Close::Drain { deadline });
    let mut more = 0;
    for _ in 0..10 {
        manager.poll(&mut Vec::new(), Some(Duration::ZERO)).expect("poll");
        more += fill(&mut client);
    }
    assert!(more > 2 * PIPE, "{more} bytes");
}

struct Served {
    address: std::net::SocketAddr,
    stop: msglib_broker::Stop,
    thread: std::thread::JoinHandle<io::Result<()>>,
}

/// A stock broker over TLS on sockets, on a thread of its own.
fn serve() -> Served {
    let sockets = EpollSocketManager::bind("[::1]:0").expect("[::1]");
    let address = sockets.local_addr().expect("it listens");
    let mut broker = Broker::new(ConnectionHandler::new(), TlsManager::new(sockets, configs().0.clone()));
    let stop = broker.stopper();
    Served { address, stop, thread: std::thread::spawn(move || broker.run()) }
}

impl Served {
    fn connect(&self) -> Connection {
        let socket = connect(self.address, Duration::from_secs(10)).expect("it listens");
        let writer = socket.try_clone().expect("a descriptor");
        let stream = TlsStream::new(socket, configs().1.clone(), name()).expect("TLS 1.3");
        let (reader, writer) = stream.into_halves(writer).expect("a handshake");
        Connection::from_halves(reader, writer)
    }

    fn stop(self) {
        self.stop.stop();
        self.thread.join().expect("the broker's thread").expect("a broker that goes on");
    }
}

/// Neither half waits for the other, though both have more under way than any buffer takes.
#[test]
fn one_thread_reads_while_others_write() {
    const EACH: u32 = 200;
    let served = serve();
    let connection = served.connect();
    let mut sub = blocking_pull_subscribe_to_queue(&connection, "echo").expect("a link");
    std::thread::scope(|scope| {
        for thread in 0..2_u8 {
            let connection = &connection;
            scope.spawn(move || {
                for _ in 0..EACH {
                    connection.publish_to_q("echo", vec![thread; 30_000].as_slice()).expect("publish");
                }
            });
        }
        let mut counts = [0; 2];
        while counts.iter().sum::<u32>() < 2 * EACH {
            let msg = sub.next().expect("a message");
            assert!(msg.payload().len() == 30_000 && msg.payload().iter().all(|byte| *byte == msg.payload()[0]));
            counts[usize::from(msg.payload()[0])] += 1;
            msg.ack().expect("ack");
        }
        assert_eq!(counts, [EACH; 2]);
    });
    connection.close().expect("a goodbye");
    served.stop();
}

#[test]
fn a_half_gives_out_a_record_in_small_pieces() {
    let (mut manager, id, client) = pair(1 << 20);
    let sent: Vec<u8> = (0..1000_u32).map(|n| (n % 251) as u8).collect();
    manager.write(id, &[IoSlice::new(&sent)]).expect("room");
    let (mut reader, mut writer) = client.into_halves(io::sink()).expect("the handshake is done");
    let mut received = Vec::new();
    let mut buf = [0; 7];
    while received.len() < sent.len() {
        let count = reader.read(&mut buf).expect("it is all there");
        received.extend_from_slice(&buf[..count]);
    }
    assert_eq!(received, sent);
    assert_eq!(reader.read(&mut buf).expect_err("nothing more").kind(), ErrorKind::WouldBlock);
    writer.shutdown_write().expect("a sink has room");
}

/// Who publishes, reads nothing and leaves has published: nothing unread may turn its end into a reset.
#[test]
fn what_was_published_before_a_hasty_end_arrives() {
    let served = serve();
    for number in 0..20_u8 {
        let connection = served.connect();
        connection.publish_to_q("hasty", &[number]).expect("publish");
        drop(connection);
    }
    let connection = served.connect();
    let mut sub = blocking_pull_subscribe_to_queue(&connection, "hasty").expect("a link");
    let mut numbers: Vec<u8> = (0..20).map(|_| sub.next().expect("a message").payload()[0]).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<u8>>());
    publish_to_q_confirmed(&connection, "hasty", b"bye").expect("publish").wait().expect("confirmed");
    connection.close().expect("a goodbye");
    served.stop();
}
