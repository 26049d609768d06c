//! An honest client with a queue of its own, who comes and goes, and knows of each message what must become of it.

use crate::random::Random;
use msglib_client::{Event, Session, SessionConfig};
use msglib_proto::{ChannelKind, ChannelName, LinkNumber, Payload};
use socket2::SockRef;
use std::collections::{BTreeSet, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Messages that one may have under way.
const WINDOW: usize = 8;
/// The first of the workers' queues: nobody else's are ids.
const QUEUES: u64 = 1_000_000;

/// What all workers together have seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) visits: u64,
    pub(crate) broken: u64,
    pub(crate) confirmed: u64,
    pub(crate) received: u64,
    pub(crate) again: u64,
    pub(crate) refused: u64,
    /// The longest that a confirm took.
    pub(crate) slowest: Duration,
}

pub(crate) struct Worker {
    id: u64,
    line: Option<Line>,
    /// The number that the next message has, over all connections.
    next: u64,
    /// The highest number that was delivered for the first time.
    highest: u64,
    /// Accepted, and not received.
    due: BTreeSet<u64>,
    /// Received, and neither accepted nor refused.
    early: BTreeSet<u64>,
    /// Neither accepted nor refused when the connection ended.
    unknown: BTreeSet<u64>,
}

struct Line {
    stream: TcpStream,
    session: Session,
    link: LinkNumber,
    /// Published and not answered: the number on the link, the message's, and when.
    asked: VecDeque<(u64, u64, Instant)>,
    left: u64,
}

impl Worker {
    pub(crate) fn new(id: u64) -> Worker {
        let (due, early, unknown) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Worker { id, line: None, next: 1, highest: 0, due, early, unknown }
    }

    /// Away, with all received that was accepted.
    pub(crate) fn is_done(&self) -> bool {
        self.line.is_none() && self.due.is_empty()
    }

    /// The queues are emptied: what nobody knows of will not come any more.
    pub(crate) fn forget_unknown(&mut self) {
        self.unknown.clear();
        self.early.clear();
    }

    /// Does what goes. At `rest` it publishes nothing more, and goes when it has what it must get.
    ///
    /// # Errors
    ///
    /// What the broker did wrong.
    pub(crate) fn turn(
        &mut self,
        address: SocketAddr,
        rest: bool,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<(), String> {
        if self.line.is_none() {
            if !rest || !self.is_done() {
                self.line = Line::new(address, self.id, if rest { 0 } else { 1 + random.below(300) });
                tally.visits += u64::from(self.line.is_some());
            }
            return Ok(());
        }
        if !self.work(rest, tally)? {
            tally.broken += 1;
            self.away();
            return Ok(());
        }
        if let Some(line) = &mut self.line
            && (line.left == 0 || rest)
            && line.asked.is_empty()
            && self.due.is_empty()
        {
            match random.below(3) {
                // With goodbye, in good order or not, or with a reset.
                0 => drop(line.session.goodbye().map(|()| line.write())),
                1 => drop(SockRef::from(&line.stream).set_linger(Some(Duration::ZERO))),
                _ => {}
            }
            self.away();
        }
        Ok(())
    }

    /// The connection is over: what was not answered may have been accepted.
    fn away(&mut self) {
        if let Some(line) = self.line.take() {
            let unanswered = line.asked.iter().map(|(_, message, _)| *message);
            let unknown: Vec<u64> = unanswered.filter(|message| !self.early.remove(message)).collect();
            self.unknown.extend(unknown);
        }
    }

    /// False when the connection is over.
    fn work(&mut self, rest: bool, tally: &mut Tally) -> Result<bool, String> {
        let Some(line) = &mut self.line else { return Ok(false) };
        let Some(events) = line.read().map_err(|error| format!("worker {} was sent nonsense: {error}", self.id))?
        else {
            return Ok(false);
        };
        for event in events {
            match event {
                Event::Confirmed { upto, .. } => self.answered(upto, true, tally),
                Event::Refused { numbers, .. } => self.answered(*numbers.end(), false, tally),
                Event::Delivery { tag, count, payload, .. } => self.delivered(tag, count, &payload, tally)?,
                _ => {}
            }
        }
        let Some(line) = &mut self.line else { return Ok(false) };
        while !rest && line.left > 0 && line.asked.len() < WINDOW {
            let payload = [&self.id.to_be_bytes()[..], &self.next.to_be_bytes(), &[7; 200]].concat();
            // Without credit, later.
            let Ok(number) = line.session.publish(line.link, Payload::from(&payload[..]), true) else { break };
            line.asked.push_back((number, self.next, Instant::now()));
            line.left -= 1;
            self.next += 1;
        }
        line.session.flush_acks(line.link);
        Ok(line.write())
    }

    fn answered(&mut self, upto: u64, accepted: bool, tally: &mut Tally) {
        let Some(line) = &mut self.line else { return };
        while let Some((number, message, since)) = line.asked.front().copied()
            && number <= upto
        {
            line.asked.pop_front();
            tally.slowest = tally.slowest.max(since.elapsed());
            match accepted {
                true => tally.confirmed += 1,
                false => tally.refused += 1,
            }
            if !self.early.remove(&message) && accepted {
                self.due.insert(message);
            }
        }
    }

    fn delivered(&mut self, tag: u64, count: u32, payload: &[u8], tally: &mut Tally) -> Result<(), String> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let (owner, message) = match payload.first_chunk::<16>() {
            Some(head) => (u128::from_be_bytes(*head) >> 64, u128::from_be_bytes(*head) as u64),
            None => (u128::MAX, 0),
        };
        let wrong = |what: &str| Err(format!("worker {}, message {message}, attempt {count}: {what}", self.id));
        if owner != u128::from(self.id) || message == 0 || message >= self.next {
            return wrong("nobody has published it");
        }
        if count == 1 {
            if message <= self.highest {
                return wrong("it comes out of order, or twice for the first time");
            }
            self.highest = message;
        }
        let is_asked = line.asked.iter().any(|(_, asked, _)| *asked == message);
        if self.due.remove(&message) || self.unknown.remove(&message) || (is_asked && self.early.insert(message)) {
            tally.received += 1;
        } else if count > 1 {
            // Its ack was lost.
            tally.again += 1;
        } else {
            return wrong("it was refused, or received before");
        }
        // If the broker has ended the connection in the same breath, the message comes again.
        drop(line.session.ack(line.link, tag..=tag));
        Ok(())
    }
}

impl Line {
    fn new(address: SocketAddr, id: u64, messages: u64) -> Option<Line> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
        stream.set_nonblocking(true).ok()?;
        stream.set_nodelay(true).ok()?;
        let mut session = Session::new(&SessionConfig::default()).ok()?;
        let link = session.open(ChannelKind::QUEUE, ChannelName::id(QUEUES + id), true, true).ok()?;
        session.grant(link, u64::MAX).ok()?;
        Some(Line { stream, session, link, asked: VecDeque::new(), left: messages })
    }

    /// `None` at the end, and when the connection is broken.
    fn read(&mut self) -> Result<Option<Vec<Event>>, msglib_proto::ProtocolError> {
        let (mut events, mut buf) = (Vec::new(), [0; 16 * 1024]);
        match self.stream.read(&mut buf) {
            Ok(count) if count > 0 => self.session.handle_input(&buf[..count], &mut events)?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => return Ok(None),
        }
        Ok(Some(events))
    }

    /// False when the connection is broken.
    fn write(&mut self) -> bool {
        while !self.session.pending().is_empty() {
            match self.stream.write(self.session.pending().first_segment()) {
                Ok(count) => self.session.sent(count),
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}
