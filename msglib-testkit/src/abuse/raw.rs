//! Bytes for attackers, put together by hand: the library's own encoder would not write most of them.

/// The lengths of PROTOCOL §3 that the cases count with.
pub(super) const HEADER: usize = 12;
/// What the broker takes as payload in every case.
pub(super) const MAX_PAYLOAD: u32 = 65_536;
/// The links that the broker allows at once in every case.
pub(super) const MAX_LINKS: u32 = 4;

pub(super) const HELLO: u16 = 0x0001;
pub(super) const WELCOME: u16 = 0x0002;
pub(super) const GOODBYE: u16 = 0x0003;
pub(super) const ERROR: u16 = 0x0004;
pub(super) const PING: u16 = 0x0005;
pub(super) const PONG: u16 = 0x0006;
pub(super) const OPEN: u16 = 0x0010;
pub(super) const OPENED: u16 = 0x0011;
pub(super) const CLOSE: u16 = 0x0012;
pub(super) const CLOSED: u16 = 0x0013;
pub(super) const CREDIT: u16 = 0x0014;
pub(super) const PUBLISH: u16 = 0x0020;
pub(super) const CONFIRMED: u16 = 0x0021;
pub(super) const REFUSED: u16 = 0x0022;
pub(super) const DELIVERY: u16 = 0x0030;
pub(super) const ACK: u16 = 0x0031;
pub(super) const REFUSE: u16 = 0x0032;
pub(super) const PUBLISH_WITH: u16 = 0x0023;
pub(super) const PRODUCER: u16 = 0x0024;
pub(super) const SETTLE: u16 = 0x0034;
pub(super) const REQUEST: u16 = 0x0040;
pub(super) const REPLY: u16 = 0x0041;
pub(super) const NO_REPLY: u16 = 0x0042;
pub(super) const USER: u16 = 0x8000;

/// Kinds of channels (PROTOCOL §5.1).
pub(super) const QUEUE: u16 = 1;
pub(super) const TOPIC: u16 = 2;
pub(super) const SERVICE: u16 = 3;

/// Every feature of PROTOCOL §14.1.
pub(super) const FEATURES: u64 = 0b1111;

/// How often something is done that an attacker would do without end: so often in a debug build, which is to be quick, and a million times in
/// any other.
pub(super) const MANY: usize = if cfg!(debug_assertions) { 10_000 } else { 1_000_000 };

/// A header that claims `length`, whatever follows.
pub(super) fn header(length: u32, frame_type: u16, flags: u16, link: u32) -> Vec<u8> {
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(frame_type.to_be_bytes());
    bytes.extend(flags.to_be_bytes());
    bytes.extend(link.to_be_bytes());
    bytes
}

/// A frame whose length is right.
pub(super) fn frame(frame_type: u16, flags: u16, link: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = header((HEADER + body.len()) as u32, frame_type, flags, link);
    bytes.extend(body);
    bytes
}

/// A good HELLO, of 44 bytes.
pub(super) fn hello() -> Vec<u8> {
    hello_of(*b"MSGL", 1, 1)
}

pub(super) fn hello_of(magic: [u8; 4], min_version: u16, max_version: u16) -> Vec<u8> {
    hello_from(magic, [min_version, max_version], 0)
}

/// One that offers every feature.
pub(super) fn hello_with_features() -> Vec<u8> {
    hello_from(*b"MSGL", [1, 1], FEATURES)
}

fn hello_from(magic: [u8; 4], versions: [u16; 2], features: u64) -> Vec<u8> {
    let mut body = magic.to_vec();
    versions.iter().for_each(|version| body.extend(version.to_be_bytes()));
    body.extend(features.to_be_bytes());
    body.extend((1_u32 << 24).to_be_bytes());
    body.extend(0_u32.to_be_bytes());
    body.extend([4, 0, 0, 0]);
    body.extend(b"evil");
    frame(HELLO, 0, 0, &body)
}

/// An OPEN of the attackers' queue; flags: 1 publishes, 2 consumes.
pub(super) fn open(link: u32, flags: u16) -> Vec<u8> {
    open_of(link, flags, 1)
}

pub(super) fn open_of(link: u32, flags: u16, kind: u16) -> Vec<u8> {
    let mut body = kind.to_be_bytes().to_vec();
    body.extend([1, 5]);
    body.extend(b"abuse");
    frame(OPEN, flags, link, &body)
}

/// An OPEN of the channel with this name, whatever its length.
pub(super) fn open_named(link: u32, flags: u16, kind: u16, name: &[u8], arguments: &[u8]) -> Vec<u8> {
    let name_length = name.len().min(255) as u8;
    let body = [&kind.to_be_bytes()[..], &[1, name_length], name, arguments].concat();
    frame(OPEN, flags, link, &body)
}

/// A PUBLISH_WITH that asks for a confirm, with the fields of the bits in `set` (PROTOCOL §14.3).
pub(super) fn publish_with(link: u32, number: u64, set: u16, fields: &[u8]) -> Vec<u8> {
    let body = [&number.to_be_bytes()[..], &set.to_be_bytes(), fields, b"with"].concat();
    frame(PUBLISH_WITH, 1, link, &body)
}

/// A SETTLE that asks what it has changed; `told` is what is to become of the deliveries, and its fields.
pub(super) fn settle(link: u32, first: u64, last: u64, told: &[u8]) -> Vec<u8> {
    frame(SETTLE, 1, link, &[&numbers(&[first, last])[..], told].concat())
}

pub(super) fn refuse(link: u32, first: u64, last: u64, verdict: u8) -> Vec<u8> {
    frame(REFUSE, 0, link, &[&numbers(&[first, last])[..], &[verdict]].concat())
}

pub(super) fn close(link: u32) -> Vec<u8> {
    frame(CLOSE, 0, link, b"")
}

/// A PUBLISH that asks for a confirm.
pub(super) fn publish(link: u32, number: u64, payload: &[u8]) -> Vec<u8> {
    let body = [&number.to_be_bytes(), payload].concat();
    frame(PUBLISH, 1, link, &body)
}

pub(super) fn ack(link: u32, first: u64, last: u64) -> Vec<u8> {
    frame(ACK, 0, link, &numbers(&[first, last]))
}

pub(super) fn credit(link: u32, upto: u64) -> Vec<u8> {
    frame(CREDIT, 0, link, &numbers(&[upto]))
}

pub(super) fn ping(token: u64) -> Vec<u8> {
    frame(PING, 0, 0, &numbers(&[token]))
}

pub(super) fn goodbye() -> Vec<u8> {
    frame(GOODBYE, 0, 0, &[0, 0])
}

/// Some u64 in a row.
pub(super) fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A good frame, and what a client says before it.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) before: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

/// One of each frame that a client may send.
pub(super) fn samples() -> Vec<Sample> {
    let queue = || [hello_with_features(), open(1, 3)].concat();
    let service = |flags| [hello_with_features(), open_named(1, flags, SERVICE, b"serves", b"")].concat();
    let one = numbers(&[1]);
    let lease = [&[3, 0, 8][..], &numbers(&[60_000])].concat();
    let with = [&numbers(&[0, 60_000])[..], &[7, 1, b'k', 1, b't']].concat();
    let producer = [&1_u128.to_be_bytes()[..], &[0; 8]].concat();
    let request = [&one[..], &1_000_u32.to_be_bytes(), b"?"].concat();
    let hello = {
        let mut bytes = hello_with_features();
        // Three lengths, for a name, a mechanism and credentials.
        bytes.truncate(bytes.len() - 8);
        bytes.extend(*b"\x04\x01\x00\x02evilmcc");
        bytes[3] = bytes.len() as u8;
        bytes
    };
    let sample = |name, before, bytes| Sample { name, before, bytes };
    vec![
        sample("HELLO", vec![], hello),
        sample("PING", hello_with_features(), ping(1)),
        sample("PONG", hello_with_features(), frame(PONG, 0, 0, &one)),
        sample("GOODBYE", hello_with_features(), frame(GOODBYE, 0, 0, b"\0\0bye")),
        sample("ERROR", hello_with_features(), frame(ERROR, 0, 0, &[&[1, 5], &one[..], b"no"].concat())),
        sample("USER", hello_with_features(), frame(USER, 1, 1, b"own")),
        sample("OPEN", hello_with_features(), open_named(1, 3, QUEUE, b"abuse", &lease)),
        sample("CLOSE", queue(), close(1)),
        sample("CREDIT", queue(), credit(1, 1)),
        sample("PUBLISH", queue(), publish(1, 1, b"cut")),
        sample("PUBLISH_WITH", queue(), publish_with(1, 1, 0b11111, &with)),
        sample("PRODUCER", queue(), frame(PRODUCER, 0, 1, &producer)),
        sample("ACK", queue(), ack(1, 1, 1)),
        sample("REFUSE", queue(), refuse(1, 1, 1, 0)),
        sample("SETTLE", queue(), settle(1, 1, 1, &[&[3], &one[..]].concat())),
        sample("REQUEST", service(1), frame(REQUEST, 0, 1, &request)),
        sample("REPLY", service(2), frame(REPLY, 0, 1, &[&one[..], b"!"].concat())),
        sample("NO_REPLY", service(2), frame(NO_REPLY, 0, 1, &[&one[..], &[4, 5], b"no"].concat())),
    ]
}
