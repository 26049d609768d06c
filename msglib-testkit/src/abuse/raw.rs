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
pub(super) const USER: u16 = 0x8000;

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
    let mut body = magic.to_vec();
    body.extend(min_version.to_be_bytes());
    body.extend(max_version.to_be_bytes());
    body.extend(0_u64.to_be_bytes());
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
