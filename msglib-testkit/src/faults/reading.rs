//! `read` with its faults, and what is read on the decorator's own account.

use super::Fault;
use super::book::Book;
use super::link::{End, Link, Phase, STASH};
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};

/// One read of the decorator's own.
const PIECE: usize = 4096;
/// How many of them a poll spends on throwing away what a connection sends.
const READS_PER_DISCARD: usize = 16;

/// # Errors
///
/// As [`ConnectionManager::read`].
pub(super) fn read<M: ConnectionManager>(
    link: &mut Link,
    inner: &mut M,
    id: ConnectionId,
    buf: &mut [u8],
    scratch: &mut Vec<u8>,
    book: &mut Book,
) -> io::Result<usize> {
    if buf.is_empty() || link.input.end == End::Returned {
        return Ok(0);
    }
    match link.phase {
        Phase::BlackHole => {
            book.observe(Fault::BlackHole);
            return Err(ErrorKind::WouldBlock.into());
        }
        Phase::Lost => return Err(ErrorKind::WouldBlock.into()),
        Phase::Dead { .. } if link.input.stash.is_empty() => return Err(link.last_words(book)),
        Phase::Dead { .. } | Phase::Open => {}
    }
    let mut waiting = core::mem::take(&mut link.input.seen_with_bytes);
    let outcome = attempt(link, inner, id, buf, scratch, book);
    let input = &mut link.input;
    match &outcome {
        Ok(count) => {
            waiting.take().for_each(|fault| book.observe(fault));
            input.seen_with_nothing.clear();
            input.undrained = *count == buf.len();
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => input.seen_with_bytes.extend(waiting),
        Err(_) => {
            // There may be something behind a shut gate; otherwise nothing came of what had fired.
            if input.gate.is_shut() || input.owed {
                input.seen_with_bytes.extend(waiting);
            } else {
                input.seen_with_nothing.take().for_each(|fault| book.observe(fault));
            }
            input.undrained = false;
        }
    }
    outcome
}

fn attempt<M: ConnectionManager>(
    link: &mut Link,
    inner: &mut M,
    id: ConnectionId,
    buf: &mut [u8],
    scratch: &mut Vec<u8>,
    book: &mut Book,
) -> io::Result<usize> {
    turn_away(link, book, id)?;
    if book.dice.draw(Fault::Coalesce, link.nth) && pull(link, inner, id, scratch) > 0 {
        book.fire(Fault::Coalesce, Some(id));
        link.input.gate.shut(Fault::Coalesce, book.dice.hold(Fault::Coalesce));
        link.input.gate.turned_away = true;
        return Err(ErrorKind::WouldBlock.into());
    }
    let limit = limit(link, book, buf.len());
    let input = &mut link.input;
    match (input.cut, limit.bytes) {
        (Some((fault, 0)), _) => return cut(link, inner, id, fault, book),
        (_, 0) => {
            input.owed = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        _ => {}
    }
    let count = fill(link, inner, id, &mut buf[..limit.bytes], book)?;
    let input = &mut link.input;
    if let Some((_, after)) = &mut input.cut {
        *after -= count as u64;
    }
    if count == limit.bytes && count < buf.len() {
        // Below there may be more, and the caller, who sees a short count, waits to be told of it (T5).
        input.owed = true;
        if let Some(fault) = limit.by {
            if fault == Fault::ShortRead {
                book.fire(fault, Some(id));
            }
            input.seen_with_bytes.insert(fault);
        }
    }
    input.pace.went(count, book.polls);
    if count > 0 && book.dice.draw(Fault::CorruptRead, link.nth) {
        let bit = book.dice.below(Fault::CorruptRead, 8 * count as u64) as usize;
        buf[bit / 8] ^= 1 << (bit % 8);
        book.fire(Fault::CorruptRead, Some(id));
        book.observe(Fault::CorruptRead);
    }
    Ok(count)
}

/// The faults that answer without a look at what is there.
///
/// # Errors
///
/// Their answers: `WouldBlock` and `Interrupted`.
fn turn_away(link: &mut Link, book: &mut Book, id: ConnectionId) -> io::Result<()> {
    let input = &mut link.input;
    if input.gate.is_shut() {
        input.gate.turned_away = true;
        book.observe_gate(&input.gate);
        return Err(ErrorKind::WouldBlock.into());
    }
    let interrupted = book.dice.draw(Fault::ReadInterrupted, link.nth) && !input.interrupted;
    input.interrupted = interrupted;
    if interrupted {
        book.fire(Fault::ReadInterrupted, Some(id));
        book.observe(Fault::ReadInterrupted);
        return Err(ErrorKind::Interrupted.into());
    }
    if book.dice.draw(Fault::ReadWouldBlock, link.nth) {
        book.fire(Fault::ReadWouldBlock, Some(id));
        input.seen_with_bytes.insert(Fault::ReadWouldBlock);
        input.gate.shut(Fault::ReadWouldBlock, 1);
        input.gate.turned_away = true;
        return Err(ErrorKind::WouldBlock.into());
    }
    Ok(())
}

/// How much this read may bring, and because of which fault no more.
struct Limit {
    bytes: usize,
    by: Option<Fault>,
}

fn limit(link: &mut Link, book: &mut Book, room: usize) -> Limit {
    let (nth, input) = (link.nth, &mut link.input);
    for fault in [Fault::HalfClose, Fault::CutRead] {
        if book.dice.draw(fault, nth) && input.cut.is_none() {
            // At once, or some bytes later: before, inside or behind a frame.
            let later = book.dice.below(fault, 2) == 1;
            let after = if later { book.dice.piece(fault, room.max(2)) as u64 } else { 0 };
            input.cut = Some((fault, after));
        }
    }
    let mut limit = Limit { bytes: room, by: None };
    if book.dice.draw(Fault::ShortRead, nth) && room > 1 {
        limit = Limit { bytes: book.dice.piece(Fault::ShortRead, room), by: Some(Fault::ShortRead) };
    }
    let pace = input.pace.limit(book.polls);
    if pace < limit.bytes {
        limit = Limit { bytes: pace, by: Some(Fault::Trickle) };
    }
    if let Some((_, after)) = input.cut
        && after < limit.bytes as u64
    {
        limit = Limit { bytes: after as usize, by: None };
    }
    limit
}

/// The end that a fault makes.
///
/// # Errors
///
/// `ConnectionReset`, if it is one.
fn cut<M: ConnectionManager>(
    link: &mut Link,
    inner: &mut M,
    id: ConnectionId,
    fault: Fault,
    book: &mut Book,
) -> io::Result<usize> {
    book.fire(fault, Some(id));
    book.observe(fault);
    if fault == Fault::CutRead {
        inner.close(id, Close::Abort);
        return Err(io::Error::new(ErrorKind::ConnectionReset, format!("the fault plan has reset {id}")));
    }
    let input = &mut link.input;
    (input.end, input.deaf, input.noisy) = (End::Returned, true, true);
    input.stash.clear();
    Ok(0)
}

/// From the stash, then from below.
fn fill<M: ConnectionManager>(
    link: &mut Link,
    inner: &mut M,
    id: ConnectionId,
    buf: &mut [u8],
    book: &mut Book,
) -> io::Result<usize> {
    let kept = take(&mut link.input.stash, buf);
    if kept == buf.len() {
        return Ok(kept);
    }
    if link.input.end == End::Known && kept == 0 {
        link.input.end = End::Returned;
    }
    if link.input.end != End::Unknown {
        return Ok(kept);
    }
    if link.phase != Phase::Open {
        return if kept > 0 { Ok(kept) } else { Err(link.last_words(book)) };
    }
    match inner.read(id, &mut buf[kept..]) {
        Ok(0) => {
            link.input.end = if kept == 0 { End::Returned } else { End::Known };
            Ok(kept)
        }
        Ok(more) => {
            if kept > 0 && link.input.gate.by == Some(Fault::Coalesce) {
                book.observe(Fault::Coalesce);
            }
            Ok(kept + more)
        }
        Err(error) if kept > 0 => {
            match error.kind() {
                ErrorKind::WouldBlock => {}
                ErrorKind::Interrupted => link.input.owed = true,
                how => link.phase = Phase::Dead { how, by: None },
            }
            Ok(kept)
        }
        Err(error) => Err(error),
    }
}

fn take(stash: &mut VecDeque<u8>, buf: &mut [u8]) -> usize {
    let count = stash.len().min(buf.len());
    for (to, from) in buf.iter_mut().zip(stash.drain(..count)) {
        *to = from;
    }
    count
}

/// Takes what is there below into the stash, to know what it is; says how much it was.
fn pull<M: ConnectionManager>(link: &mut Link, inner: &mut M, id: ConnectionId, scratch: &mut Vec<u8>) -> usize {
    if scratch.len() < PIECE {
        scratch.resize(PIECE, 0);
    }
    let before = link.input.stash.len();
    while link.phase == Phase::Open && link.input.end == End::Unknown && link.input.stash.len() + PIECE <= STASH {
        match inner.read(id, &mut scratch[..PIECE]) {
            Ok(0) => link.input.end = End::Known,
            Ok(count) => {
                link.input.stash.extend(&scratch[..count]);
                if count < PIECE {
                    break;
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => break,
                ErrorKind::Interrupted => {
                    link.input.owed = true;
                    break;
                }
                how => link.phase = Phase::Dead { how, by: None },
            },
        }
    }
    link.input.stash.len() - before
}

/// Whether a report is kept from a caller who has not read to the end of the last one. To tell of an end that is known (T5)
/// it must be looked for.
pub(super) fn withholds<M: ConnectionManager>(
    link: &mut Link,
    inner: &mut M,
    id: ConnectionId,
    scratch: &mut Vec<u8>,
    book: &mut Book,
) -> bool {
    if !link.input.strict || !link.input.undrained {
        return false;
    }
    pull(link, inner, id, scratch);
    if link.input.end != End::Unknown || link.phase != Phase::Open {
        return false;
    }
    book.fire(Fault::StrictEdges, Some(id));
    link.input.seen_with_bytes.insert(Fault::StrictEdges);
    true
}

/// Throws away what comes behind an end of our own, lest the peer waits for us to read.
pub(super) fn discard<M: ConnectionManager>(link: &mut Link, inner: &mut M, id: ConnectionId, scratch: &mut Vec<u8>) {
    if scratch.len() < PIECE {
        scratch.resize(PIECE, 0);
    }
    for _ in 0..READS_PER_DISCARD {
        match inner.read(id, &mut scratch[..PIECE]) {
            Ok(PIECE) => continue,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                link.phase = Phase::Dead { how: error.kind(), by: None };
            }
            _ => {}
        }
        link.input.noisy = false;
        return;
    }
}
