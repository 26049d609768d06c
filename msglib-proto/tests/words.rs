//! What people read in logs and errors: the words are part of the interface.

use msglib_proto::transport::{Address, ConnectionId, ConnectionTable, ListenerId, Peer, Waker};
use msglib_proto::{
    ChannelKind, ChannelName, Decoder, ErrorCode, FrameType, Instant, Limits, Payload, ProtocolError, Violation,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[test]
fn times_and_connections() {
    let at = Instant::ZERO + Duration::from_millis(1500);
    assert_eq!(format!("{at:?}"), "1.5s");
    assert_eq!(at - Instant::from_nanos(500_000_000), Duration::from_secs(1));
    let (first, second) = (ConnectionId::new(3, 0), ConnectionId::new(3, 1));
    assert_eq!(format!("{first} {second} {first:?} {second:?}"), "c3 c3.1 c3 c3.1");
}

#[test]
fn addresses_and_peers() {
    let socket: std::net::SocketAddr = "[::1]:7".parse().unwrap();
    let words = [
        (Address::Memory(4), "memory:4"),
        (Address::Socket(socket), "[::1]:7"),
        (Address::Unix(Some("/run/b".into())), "unix:/run/b"),
        (Address::Unix(None), "unix:(unnamed)"),
        (Address::Other("a pipe".into()), "a pipe"),
    ];
    for (address, expected) in words {
        let peer = Peer::new(address).with_listener(ListenerId(2)).with_certificate(Arc::from([1, 2]));
        assert_eq!(peer.to_string(), expected);
        assert_eq!((peer.listener, peer.certificate.as_deref()), (ListenerId(2), Some(&[1, 2][..])));
    }
}

#[test]
fn a_waker_wakes_and_says_only_what_it_is() {
    let woken = Arc::new(AtomicU32::new(0));
    let waker = Waker::new({
        let woken = Arc::clone(&woken);
        move || {
            woken.fetch_add(1, Ordering::Relaxed);
        }
    });
    let second = waker.clone();
    waker.wake();
    drop(waker);
    second.wake();
    assert_eq!(woken.load(Ordering::Relaxed), 2);
    assert_eq!(format!("{second:?}"), "Waker");
}

#[test]
fn a_table_finds_what_is_there_and_nothing_else() {
    let mut table = ConnectionTable::new();
    assert!(table.is_empty());
    let id = table.insert('a');
    assert!(!table.is_empty());
    assert_eq!(table.get(id), Some(&'a'));
    assert_eq!(table.get_mut(id), Some(&mut 'a'));
    let stale = ConnectionId::new(0, 7);
    assert_eq!(table.get(stale), None);
    assert_eq!(table.get_mut(stale), None);
    assert_eq!(table.remove(stale), None);
}

#[test]
fn channels() {
    assert_eq!(format!("{} {:?}", ChannelKind::QUEUE, ChannelKind(0x8001)), "queue kind 0x8001");
    assert_eq!(format!("{} {:?}", ChannelName::id(7), ChannelName::id(7)), "#7 #7");
    let odd = ChannelName::bytes(b"a\xFF").unwrap();
    assert_eq!(format!("{} {:?}", ChannelName::from("für\n"), odd), "für\\n a\\xff");
    assert_eq!(format!("{} {:?}", odd.to_owned(), ChannelName::id(7).to_owned()), "a\\xff #7");
    assert_eq!(ChannelName::from(&String::from("q")), ChannelName::from("q"));
    let longest = [b'x'; 255];
    assert!(ChannelName::bytes(&longest).is_ok());
    assert_eq!(
        ChannelName::bytes(&[b'x'; 256]).unwrap_err().to_string(),
        "a channel's name has 1 to 255 bytes, not 256"
    );
    assert_eq!(ChannelName::bytes(b"").unwrap_err().length, 0);
}

#[test]
#[should_panic(expected = "a channel's name has 1 to 255 bytes, not 0")]
fn an_empty_name_in_a_program_is_the_programs_mistake() {
    let _ = ChannelName::from("");
}

#[test]
fn codes() {
    assert_eq!(format!("{} {:?}", ErrorCode::QUEUE_FULL, ErrorCode::NONE), "QUEUE_FULL (0x0401) NONE (0x0000)");
    let own = ErrorCode::user(3);
    assert_eq!((own.value(), own.to_string().as_str()), (0x8003, "the user's code 0x8003"));
    assert_eq!(ErrorCode::new(0x0777).to_string(), "code 0x0777");
}

#[test]
fn frame_types_and_errors() {
    assert_eq!(FrameType::Delivery.to_string(), "DELIVERY");
    let violation = Violation::Number { frame: FrameType::Publish, link: 1, number: 5, expected: 4 };
    let error = ProtocolError { offset: 77, violation };
    let words = error.to_string();
    for part in ["77", "PUBLISH", "link 1", "5", "4", "6.1"] {
        assert!(words.contains(part), "{part} is missing: {words}");
    }
}

#[test]
fn limits_are_set_one_by_one() {
    let limits = Limits::default().with_max_links(3).with_max_payload(5);
    assert_eq!((limits.max_links, limits.max_payload), (3, 5));
}

#[test]
fn payloads() {
    let exactly = [b'x'; 32];
    assert_eq!(format!("{:?}", Payload::from(&exactly)), format!("\"{}\"", "x".repeat(32)));
    let text = String::from("abc");
    assert_eq!(Payload::from(&text).as_ref(), b"abc");
    assert_eq!(Payload::from(&text).as_slice(), b"abc");
    assert_eq!(Payload::from(&text), Payload::from("abc"));
    assert_ne!(Payload::from("abc"), Payload::from("abd"));
    assert_eq!(&Payload::from(&vec![1, 2])[..], [1, 2]);
}

#[test]
fn a_decoder_knows_where_it_is() {
    let mut out = msglib_proto::SendQueue::new();
    for token in 0..3 {
        msglib_proto::encode(&msglib_proto::Frame::Ping { token }, &mut out).unwrap();
    }
    let bytes = out.to_vec();
    let length = bytes.len() as u64 / 3;
    let mut decoder = Decoder::new(&Limits::default());
    assert!(decoder.is_between_frames());
    let mut first = &bytes[..];
    decoder.decode(&mut first).unwrap();
    decoder.decode(&mut first).unwrap();
    assert_eq!((decoder.offset(), decoder.last_offset()), (2 * length, length));
    let mut part = &first[..13];
    assert_eq!(decoder.decode(&mut part), Ok(None));
    assert!(!decoder.is_between_frames() && decoder.buffered() >= 13);
    let mut rest = &first[13..];
    assert!(decoder.decode(&mut rest).unwrap().is_some());
    assert_eq!((decoder.offset(), decoder.last_offset()), (3 * length, 2 * length));
    let error = decoder.reject(Violation::Unexpected { frame: FrameType::Ping });
    assert_eq!(error.offset, 2 * length);
    assert_eq!(decoder.decode(&mut &bytes[..]), Err(error));
    assert_eq!(decoder.buffered(), 0);
}

/// The buffer of a frame that comes in pieces begins small and doubles, whatever its header says.
#[test]
fn a_decoder_believes_what_it_has_received_and_not_what_it_was_promised() {
    let claim = [&(8_000_020u32).to_be_bytes()[..], &[0, 0x20, 0, 0, 0, 0, 0, 1]].concat();
    let mut decoder = Decoder::new(&Limits::default());
    let mut input = &claim[..];
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert_eq!(decoder.buffered(), 4096, "the first buffer");
    let mut grown = Vec::new();
    for _ in 0..4096 {
        let mut more = &[0u8; 10][..];
        // The number, which is 0 here, is looked at when the frame is whole.
        assert_eq!(decoder.decode(&mut more), Ok(None));
        if grown.last() != Some(&decoder.buffered()) {
            grown.push(decoder.buffered());
        }
    }
    assert_eq!(grown.len(), 5, "{grown:?}");
    assert!(grown.windows(2).all(|pair| pair[1] >= pair[0] * 19 / 10 && pair[1] <= pair[0] * 21 / 10), "{grown:?}");

    let mut small = Decoder::new(&Limits::default());
    let ping = [0, 0, 0, 20, 0, 5, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(small.decode(&mut &ping[..]), Ok(None));
    assert_eq!(small.buffered(), 20, "no more than the frame takes");
    assert!(small.decode(&mut &[0; 7][..]).unwrap().is_some());
    assert_eq!(small.buffered(), 20, "the frame may be borrowed from it");
    assert_eq!(small.decode(&mut &[][..]), Ok(None));
    assert_eq!(small.buffered(), 0, "and then it is given back");
}

#[test]
fn what_does_not_fit_into_a_frame_is_refused_before_anything_is_written() {
    use msglib_proto::{Frame, Hello, MAX_HELLO, SendQueue, encode};
    let mut out = SendQueue::new();
    let hello = |min_version, max_version, credentials| {
        let (name, mechanism) = ("name", "mechanism");
        Frame::Hello(Hello {
            min_version,
            max_version,
            features: 0,
            max_payload: 0,
            idle_ms: 0,
            name,
            mechanism,
            credentials,
        })
    };
    // 12 of header, 28 of fields, 4 and 9 of texts.
    let most = vec![0; MAX_HELLO as usize - 12 - 28 - 4 - 9];
    encode(&hello(1, 1, &most), &mut out).unwrap();
    assert_eq!(out.len(), MAX_HELLO as usize);
    let more = [&most[..], &[0]].concat();
    for wrong in [hello(1, 1, &more), hello(0, 1, b""), hello(2, 1, b""), hello(0, 0, b"")] {
        assert!(encode(&wrong, &mut out).is_err(), "{wrong:?}");
    }
    assert_eq!(out.len(), MAX_HELLO as usize, "nothing was added");
}

/// A manager with only what it must have.
struct Least;

impl msglib_proto::transport::ConnectionManager for Least {
    fn now(&self) -> Instant {
        Instant::ZERO
    }
    fn poll(&mut self, _: &mut Vec<msglib_proto::transport::Readiness>, _: Option<Duration>) -> std::io::Result<()> {
        Ok(())
    }
    fn read(&mut self, _: ConnectionId, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::NotFound.into())
    }
    fn write(&mut self, _: ConnectionId, _: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::NotFound.into())
    }
    fn close(&mut self, _: ConnectionId, _: msglib_proto::transport::Close) {}
    fn waker(&self) -> Option<Waker> {
        None
    }
    fn seed(&mut self) -> u128 {
        7
    }
}

#[test]
fn a_manager_says_by_itself_that_nothing_drains_and_can_be_lent_and_boxed() {
    use msglib_proto::transport::ConnectionManager;
    fn draining(manager: impl ConnectionManager) -> usize {
        manager.draining()
    }
    let mut least = Least;
    assert_eq!(draining(&mut least), 0);
    assert!(!least.stop_accepting(), "one that cannot says so");
    let mut boxed: Box<dyn ConnectionManager> = Box::new(least);
    assert_eq!((boxed.draining(), boxed.seed(), boxed.now()), (0, 7, Instant::ZERO));
}
