//! The floor: moves bytes between sockets through one epoll loop, and knows nothing of messages. What a broker costs
//! beyond this is the price of being one.
//!
//! Publisher *i* is joined to consumer *i mod n*. What consumers write goes back to the publishers: to the only one
//! at once; to several by the number of frames of a known size that each of them has sent. Or publishers are joined to every consumer, and
//! what consumers write goes nowhere.

use crate::Result;
use crate::frames::RELAY_ACK;
use crate::server::Shape;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// As much as the broker reads at once: with less, the floor would be higher.
const READ_BLOCK: usize = 256 * 1024;

pub(crate) struct Relay {
    poll: Poll,
    ends: Vec<End>,
    frame: usize,
    block: Vec<u8>,
}

/// One connection.
struct End {
    stream: TcpStream,
    peers: Peers,
    /// There may be something to read: edges tell once.
    readable: bool,
    /// What the peer's socket has not taken yet.
    unsent: Vec<u8>,
    sent: usize,
}

/// Where the bytes of a connection go.
enum Peers {
    One(usize),
    /// From a publisher to all of the first so many.
    All(usize),
    /// A consumer of several publishers: whom the next acks are for, and how many bytes of them.
    Several {
        publishers: Vec<usize>,
        due: VecDeque<(usize, usize)>,
    },
}

impl Relay {
    /// Waits until all have connected: the consumers first, then the publishers.
    pub(crate) fn accept(listener: &TcpListener, shape: Shape) -> Result<Relay> {
        let Shape { publishers, consumers, frame, fans_out } = shape;
        let poll = Poll::new()?;
        let mut ends = Vec::new();
        for index in 0..consumers + publishers {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            let peers = match index.checked_sub(consumers) {
                Some(_) if fans_out => Peers::All(consumers),
                Some(publisher) => Peers::One(publisher % consumers),
                None if publishers == consumers && !fans_out => Peers::One(consumers + index),
                None => Peers::Several {
                    publishers: (0..publishers)
                        .filter(|p| fans_out || p % consumers == index)
                        .map(|p| consumers + p)
                        .collect(),
                    due: VecDeque::new(),
                },
            };
            ends.push(End { stream, peers, readable: true, unsent: Vec::new(), sent: 0 });
        }
        Ok(Relay { poll, ends, frame, block: vec![0; READ_BLOCK] })
    }

    /// Until the clients have gone. Looks for as long as `spin` before it sleeps.
    pub(crate) fn run(mut self, spin: Duration) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            wait(&mut self.poll, &mut events, spin)?;
            for event in &events {
                let Token(index) = event.token();
                match self.on_event(index, event.is_readable(), event.is_writable()) {
                    Err(error) if is_end(&*error) => return Ok(()),
                    result => result?,
                }
            }
        }
    }

    fn on_event(&mut self, index: usize, readable: bool, writable: bool) -> Result<()> {
        if writable {
            self.writable(index)?;
        }
        if readable {
            self.ends[index].readable = true;
            self.forward(index)?;
        }
        Ok(())
    }

    /// Moves what `from` has sent until there is no more, or until a receiver is full.
    fn forward(&mut self, from: usize) -> Result<()> {
        while self.ends[from].readable && self.has_room(from) {
            let read = match self.ends[from].stream.read(&mut self.block) {
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error.into()),
            };
            // A short read has emptied the socket; what comes later is a new edge.
            self.ends[from].readable = read == self.block.len();
            match &mut self.ends[from].peers {
                Peers::One(to) => {
                    let to = *to;
                    self.note_acks_due(to, from, read)?;
                    send(&mut self.ends[to], &self.block[..read])?;
                }
                Peers::All(consumers) => {
                    let consumers = *consumers;
                    self.ends[..consumers].iter_mut().try_for_each(|to| send(to, &self.block[..read]))?;
                }
                Peers::Several { .. } => self.share_acks(from, read)?,
            }
        }
        Ok(())
    }

    fn has_room(&self, from: usize) -> bool {
        match &self.ends[from].peers {
            Peers::One(to) => self.ends[*to].unsent.is_empty(),
            Peers::All(consumers) => self.ends[..*consumers].iter().all(|to| to.unsent.is_empty()),
            // Acks are small, and bounded by what is in flight.
            Peers::Several { .. } => true,
        }
    }

    fn note_acks_due(&mut self, consumer: usize, publisher: usize, read: usize) -> Result<()> {
        let Peers::Several { due, .. } = &mut self.ends[consumer].peers else { return Ok(()) };
        if !read.is_multiple_of(self.frame) {
            return Err("a read has cut a frame; several publishers must send little at once, and whole frames".into());
        }
        due.push_back((publisher, read / self.frame * RELAY_ACK));
        Ok(())
    }

    /// Gives `read` bytes of acks to the publishers, in the order in which their messages came.
    fn share_acks(&mut self, consumer: usize, read: usize) -> Result<()> {
        let mut acks = &self.block[..read];
        while !acks.is_empty() {
            let Peers::Several { due, .. } = &mut self.ends[consumer].peers else { break };
            let (publisher, bytes) = due.pop_front().ok_or("there are more acks than messages")?;
            let now = bytes.min(acks.len());
            if now < bytes {
                due.push_front((publisher, bytes - now));
            }
            send(&mut self.ends[publisher], &acks[..now])?;
            acks = &acks[now..];
        }
        Ok(())
    }

    /// Sends what waits; when all is sent, those who send to this one go on.
    fn writable(&mut self, index: usize) -> Result<()> {
        let end = &mut self.ends[index];
        if end.unsent.is_empty() {
            return Ok(());
        }
        end.sent += write(&mut end.stream, &end.unsent[end.sent..])?;
        if end.sent < end.unsent.len() {
            return Ok(());
        }
        end.unsent.clear();
        end.sent = 0;
        match &self.ends[index].peers {
            Peers::One(peer) => self.forward(*peer),
            // Nothing comes back to a publisher.
            Peers::All(_) => Ok(()),
            Peers::Several { publishers, .. } => {
                let publishers = publishers.clone();
                publishers.into_iter().try_for_each(|publisher| self.forward(publisher))
            }
        }
    }
}

fn wait(poll: &mut Poll, events: &mut Events, spin: Duration) -> Result<()> {
    let until = (!spin.is_zero()).then(|| Instant::now() + spin);
    loop {
        let is_looking = until.is_some_and(|until| Instant::now() < until);
        match poll.poll(events, is_looking.then_some(Duration::ZERO)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ if is_looking && events.is_empty() => {}
            _ => return Ok(()),
        }
    }
}

/// The generator resets its connections when it is done.
fn is_end(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))
}

fn send(to: &mut End, bytes: &[u8]) -> Result<()> {
    let sent = if to.unsent.is_empty() { write(&mut to.stream, bytes)? } else { 0 };
    to.unsent.extend_from_slice(&bytes[sent..]);
    Ok(())
}

fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize> {
    match stream.write(bytes) {
        Ok(n) => Ok(n),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.into()),
    }
}
