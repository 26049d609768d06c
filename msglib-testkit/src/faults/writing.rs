//! `write` with its faults.

use super::Fault;
use super::book::Book;
use super::link::{Link, Phase};
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager};
use std::io::{self, ErrorKind, IoSlice};

/// The most that goes through the decorator's own hands at once.
const PIECE: usize = 64 * 1024;

/// # Errors
///
/// As [`ConnectionManager::write`].
pub(super) fn write<M: ConnectionManager>(
    link: &mut Link,
    inner: &mut M,
    id: ConnectionId,
    bufs: &[IoSlice<'_>],
    scratch: &mut Vec<u8>,
    book: &mut Book,
) -> io::Result<usize> {
    let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
    match link.phase {
        Phase::Open if offered == 0 => return inner.write(id, bufs),
        Phase::Open => {}
        Phase::Dead { .. } => return Err(link.last_words(book)),
        Phase::Lost => return Ok(offered),
        Phase::BlackHole => {
            book.observe(Fault::BlackHole);
            return Ok(offered);
        }
    }
    turn_away(link, book, id)?;
    if book.dice.draw(Fault::AcceptedThenLost, link.nth) {
        book.fire(Fault::AcceptedThenLost, Some(id));
        link.phase = Phase::Lost;
        return Ok(offered);
    }
    let limit = limit(link, book, offered);
    match (link.output.cut, limit.bytes) {
        (Some(0), _) => {
            book.fire(Fault::CutWrite, Some(id));
            book.observe(Fault::CutWrite);
            inner.close(id, Close::Abort);
            return Err(io::Error::new(ErrorKind::ConnectionReset, format!("the fault plan has reset {id}")));
        }
        (_, 0) => {
            link.output.owed = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        _ => {}
    }
    let count = pass_on(link, inner, id, bufs, limit.bytes, offered, scratch, book)?;
    let output = &mut link.output;
    if count > 0 {
        output.seen_with_bytes.take().for_each(|fault| book.observe(fault));
    }
    if let Some(after) = &mut output.cut {
        *after -= count as u64;
    }
    if let Some(fault) = limit.by.filter(|_| count == limit.bytes) {
        if fault == Fault::ShortWrite {
            book.fire(fault, Some(id));
        }
        book.observe(fault);
    }
    output.pace.went(count, book.polls);
    Ok(count)
}

/// The faults that take nothing.
///
/// # Errors
///
/// Their answers: `WouldBlock` and `Interrupted`.
fn turn_away(link: &mut Link, book: &mut Book, id: ConnectionId) -> io::Result<()> {
    let output = &mut link.output;
    if output.gate.is_shut() {
        output.gate.turned_away = true;
        book.observe_gate(&output.gate);
        return Err(ErrorKind::WouldBlock.into());
    }
    let interrupted = book.dice.draw(Fault::WriteInterrupted, link.nth) && !output.interrupted;
    output.interrupted = interrupted;
    if interrupted {
        book.fire(Fault::WriteInterrupted, Some(id));
        book.observe(Fault::WriteInterrupted);
        return Err(ErrorKind::Interrupted.into());
    }
    if book.dice.draw(Fault::WriteWouldBlock, link.nth) {
        book.fire(Fault::WriteWouldBlock, Some(id));
        output.seen_with_bytes.insert(Fault::WriteWouldBlock);
        output.gate.shut(Fault::WriteWouldBlock, 1);
        output.gate.turned_away = true;
        return Err(ErrorKind::WouldBlock.into());
    }
    if book.dice.draw(Fault::ZeroWindow, link.nth) {
        book.fire(Fault::ZeroWindow, Some(id));
        output.gate.shut_until_healed(Fault::ZeroWindow);
        output.gate.turned_away = true;
        book.observe_gate(&output.gate);
        return Err(ErrorKind::WouldBlock.into());
    }
    Ok(())
}

/// How much this write may take, and because of which fault no more.
struct Limit {
    bytes: usize,
    by: Option<Fault>,
}

fn limit(link: &mut Link, book: &mut Book, offered: usize) -> Limit {
    let (nth, output) = (link.nth, &mut link.output);
    if book.dice.draw(Fault::CutWrite, nth) && output.cut.is_none() {
        let later = book.dice.below(Fault::CutWrite, 2) == 1;
        output.cut = Some(if later { book.dice.piece(Fault::CutWrite, offered.max(2)) as u64 } else { 0 });
    }
    let mut limit = Limit { bytes: offered, by: None };
    if offered > 1 && book.dice.draw(Fault::ShortWrite, nth) {
        limit = Limit { bytes: book.dice.piece(Fault::ShortWrite, offered), by: Some(Fault::ShortWrite) };
    }
    let pace = output.pace.limit(book.polls);
    if pace < limit.bytes {
        limit = Limit { bytes: pace, by: Some(Fault::Trickle) };
    }
    if let Some(after) = output.cut
        && after < limit.bytes as u64
    {
        limit = Limit { bytes: after as usize, by: None };
    }
    limit
}

#[expect(clippy::too_many_arguments, reason = "the parts of one write")]
fn pass_on<M: ConnectionManager>(
    link: &mut Link,
    inner: &mut M,
    id: ConnectionId,
    bufs: &[IoSlice<'_>],
    limit: usize,
    offered: usize,
    scratch: &mut Vec<u8>,
    book: &mut Book,
) -> io::Result<usize> {
    let flips = book.dice.draw(Fault::CorruptWrite, link.nth);
    if limit == offered && !flips {
        return inner.write(id, bufs);
    }
    gather(bufs, limit.min(PIECE), scratch);
    let bit = if flips { book.dice.below(Fault::CorruptWrite, 8 * scratch.len() as u64) as usize } else { 0 };
    if flips {
        scratch[bit / 8] ^= 1 << (bit % 8);
    }
    let count = inner.write(id, &[IoSlice::new(scratch)])?;
    if flips && bit / 8 < count {
        book.fire(Fault::CorruptWrite, Some(id));
        book.observe(Fault::CorruptWrite);
    }
    // Below there may be room, and the caller, of whom we took only a part, waits to be told of it (T13).
    link.output.owed |= count == scratch.len() && count < offered;
    Ok(count)
}

/// The first `limit` bytes of `bufs`.
fn gather(bufs: &[IoSlice<'_>], limit: usize, into: &mut Vec<u8>) {
    into.clear();
    for buf in bufs {
        let room = limit - into.len();
        into.extend_from_slice(&buf[..buf.len().min(room)]);
    }
}
