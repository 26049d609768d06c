//! Records and their keystream, one direction at a time, without any IO.

use std::io::{self, ErrorKind};

/// The longest body of a record, in bytes.
pub const MAX_RECORD: usize = 16 * 1024;
/// The bytes in front of a record's body.
pub(crate) const RECORD_HEADER: usize = 2;

/// Which way the bytes go. The two keystreams differ, so that what is sent back unchanged is noise.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    ToBroker,
    ToClient,
}

/// Turns plaintext into records. What is sealed and not yet sent waits here.
pub(crate) struct Sealer {
    keystream: Keystream,
    pending: Queue,
}

impl Sealer {
    pub(crate) fn new(key: u64, direction: Direction) -> Sealer {
        Sealer { keystream: Keystream::new(key, direction), pending: Queue::default() }
    }

    /// Seals as much of `plain` as one record and `limit` pending bytes allow, and says how much that was.
    pub(crate) fn seal(&mut self, plain: &[u8], limit: usize) -> usize {
        let room = limit.saturating_sub(self.pending.len() + RECORD_HEADER);
        let count = plain.len().min(room).min(MAX_RECORD);
        if count > 0 {
            self.pending.extend(&(count as u16).to_be_bytes());
            let body = self.pending.extend(&plain[..count]);
            self.keystream.apply(body);
        }
        count
    }

    /// How many bytes wait to be sent.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Throws away what waits.
    pub(crate) fn clear(&mut self) {
        self.pending.consume(self.pending.len());
    }

    /// Hands what waits to `write` until nothing is left or `write` has an error. An interruption is tried again.
    ///
    /// # Errors
    ///
    /// Those of `write`, and `WriteZero` when it takes nothing.
    pub(crate) fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        while self.pending.len() > 0 {
            match write(self.pending.bytes()) {
                Ok(0) => return Err(io::Error::new(ErrorKind::WriteZero, "the transport below takes no more bytes")),
                Ok(count) => self.pending.consume(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Turns records back into plaintext, which waits here until it is taken.
pub(crate) struct Opener {
    keystream: Keystream,
    /// The beginning of a record; less than a whole one.
    partial: Vec<u8>,
    plain: Queue,
}

impl Opener {
    pub(crate) fn new(key: u64, direction: Direction) -> Opener {
        Opener { keystream: Keystream::new(key, direction), partial: Vec::new(), plain: Queue::default() }
    }

    /// Takes in what has arrived, cut anywhere.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a length that no record has. The records before it can still be taken.
    pub(crate) fn push(&mut self, mut sealed: &[u8]) -> io::Result<()> {
        while !sealed.is_empty() {
            if let Some(header) = self.partial.first_chunk::<RECORD_HEADER>() {
                let missing = body_length(*header)? - (self.partial.len() - RECORD_HEADER);
                let (more, rest) = sealed.split_at(missing.min(sealed.len()));
                self.partial.extend_from_slice(more);
                sealed = rest;
                if more.len() == missing {
                    self.open();
                }
            } else {
                let (byte, rest) = sealed.split_at(1);
                self.partial.extend_from_slice(byte);
                sealed = rest;
            }
        }
        // A wrong length is an error now, not when the next byte comes.
        self.partial.first_chunk().map_or(Ok(()), |header| body_length(*header).map(drop))
    }

    fn open(&mut self) {
        let body = self.plain.extend(&self.partial[RECORD_HEADER..]);
        self.keystream.apply(body);
        self.partial.clear();
    }

    /// Moves plaintext to `buf` and says how much.
    pub(crate) fn take(&mut self, buf: &mut [u8]) -> usize {
        let count = buf.len().min(self.plain.len());
        buf[..count].copy_from_slice(&self.plain.bytes()[..count]);
        self.plain.consume(count);
        count
    }

    /// Whether there is plaintext to take.
    pub(crate) fn has_plain(&self) -> bool {
        self.plain.len() > 0
    }

    /// The stream has ended below.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when it has ended inside a record: it was cut off, by an accident or by somebody.
    pub(crate) fn finish(&self) -> io::Result<()> {
        match self.partial.len() {
            0 => Ok(()),
            part => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                format!("the stream was cut off, {part} bytes into a record"),
            )),
        }
    }
}

fn body_length(header: [u8; RECORD_HEADER]) -> io::Result<usize> {
    match usize::from(u16::from_be_bytes(header)) {
        length @ 1..=MAX_RECORD => Ok(length),
        length => Err(io::Error::new(
            ErrorKind::InvalidData,
            format!(
                "a record of {length} bytes, where 1 to {MAX_RECORD} are allowed: does the peer speak this at all?"
            ),
        )),
    }
}

/// An endless sequence of bytes that one key and direction always give (splitmix64).
struct Keystream {
    state: u64,
    word: [u8; 8],
    used: usize,
}

impl Keystream {
    fn new(key: u64, direction: Direction) -> Keystream {
        let state = match direction {
            Direction::ToBroker => key,
            Direction::ToClient => key ^ 0x5bf0_3635_dcf8_77d5,
        };
        Keystream { state, word: [0; 8], used: 8 }
    }

    fn apply(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used == self.word.len() {
                self.word = self.next_word().to_le_bytes();
                self.used = 0;
            }
            *byte ^= self.word[self.used];
            self.used += 1;
        }
    }

    fn next_word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// Bytes that go in at the back and out at the front.
#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    start: usize,
}

impl Queue {
    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Appends `more` and returns it in its new place.
    fn extend(&mut self, more: &[u8]) -> &mut [u8] {
        // Moving what is left costs less than what was consumed since the last time.
        if self.start > self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let end = self.bytes.len();
        self.bytes.extend_from_slice(more);
        &mut self.bytes[end..]
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.len() == 0 {
            // An idle connection holds no buffer.
            self.bytes = Vec::new();
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(plain: &[&[u8]]) -> Vec<u8> {
        let mut sealer = Sealer::new(7, Direction::ToBroker);
        let mut out = Vec::new();
        for plain in plain {
            let mut plain = *plain;
            while !plain.is_empty() {
                let count = sealer.seal(plain, usize::MAX);
                plain = &plain[count..];
            }
        }
        let sent = sealer.flush(|bytes| {
            out.extend_from_slice(bytes);
            Ok(bytes.len())
        });
        sent.unwrap();
        out
    }

    fn opened(opener: &mut Opener) -> Vec<u8> {
        let mut plain = vec![0; 100_000];
        let count = opener.take(&mut plain);
        plain.truncate(count);
        plain
    }

    #[test]
    fn any_cut_gives_the_same_plaintext() {
        let wire = sealed(&[b"one", b"a second record", &[9; 300], b"x"]);
        let plain = [&b"one"[..], b"a second record", &[9; 300], b"x"].concat();
        for size in [1, 2, 3, 5, 7, 100, wire.len()] {
            let mut opener = Opener::new(7, Direction::ToBroker);
            for piece in wire.chunks(size) {
                opener.push(piece).unwrap();
            }
            opener.finish().unwrap();
            assert_eq!(opened(&mut opener), plain, "pieces of {size}");
        }
    }

    #[test]
    fn nothing_of_a_record_comes_before_its_end() {
        let wire = sealed(&[b"whole", b"cut"]);
        let mut opener = Opener::new(7, Direction::ToBroker);
        for cut in &wire[..wire.len() - 1] {
            opener.push(&[*cut]).unwrap();
        }
        assert_eq!(opened(&mut opener), b"whole");
        assert!(!opener.has_plain());
        assert_eq!(opener.finish().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_longest_record_and_one_byte_more() {
        let wire = sealed(&[&[1; MAX_RECORD + 1]]);
        assert_eq!(wire.len(), RECORD_HEADER + MAX_RECORD + RECORD_HEADER + 1, "two records");
        let mut opener = Opener::new(7, Direction::ToBroker);
        opener.push(&wire).unwrap();
        assert_eq!(opened(&mut opener), [1; MAX_RECORD + 1]);
        for wrong in [0, MAX_RECORD as u16 + 1, u16::MAX] {
            let mut opener = Opener::new(7, Direction::ToBroker);
            assert_eq!(opener.push(&wrong.to_be_bytes()).unwrap_err().kind(), ErrorKind::InvalidData, "{wrong}");
        }
    }

    #[test]
    fn the_wire_shows_no_plaintext_and_the_directions_differ() {
        let there = sealed(&[&[0; 64]]);
        assert!(there[RECORD_HEADER..].iter().any(|byte| *byte != 0));
        let mut back = Opener::new(7, Direction::ToClient);
        back.push(&there).unwrap();
        assert_ne!(opened(&mut back), [0; 64]);
    }

    #[test]
    fn the_limit_counts_headers() {
        let mut sealer = Sealer::new(7, Direction::ToBroker);
        assert_eq!(sealer.seal(b"0123456789", 7), 5);
        assert_eq!(sealer.pending(), 7);
        assert_eq!(sealer.seal(b"56789", 7), 0);
        assert_eq!(sealer.seal(b"56789", 9), 0, "a header alone is no use");
        assert_eq!(sealer.seal(b"56789", 10), 1);
    }

    #[test]
    fn a_flush_goes_on_where_it_stopped() {
        let mut sealer = Sealer::new(7, Direction::ToBroker);
        sealer.seal(b"some bytes", 100);
        let (mut out, mut calls) = (Vec::new(), 0);
        while sealer.pending() > 0 {
            let _ = sealer.flush(|bytes| {
                calls += 1;
                match calls % 3 {
                    0 => Err(ErrorKind::WouldBlock.into()),
                    1 => Err(ErrorKind::Interrupted.into()),
                    _ => {
                        out.push(bytes[0]);
                        Ok(1)
                    }
                }
            });
        }
        assert_eq!(out, sealed(&[b"some bytes"]));
    }
}
