//! The clients of a world: their connections, what they say and what they take in.

use super::words::words;
use super::{ENDPOINT, World};
use crate::simulate::checker::{Ended, Seen, Violation};
use crate::simulate::client::{Client, Read1};
use crate::simulate::facts::ConnectionNumber;
use crate::simulate::featured::Credentials;
use crate::simulate::trace::What;
use msglib_broker::Handler;
use msglib_proto::{Feature, Frame, Hello};

/// What the clients of the features offer.
const FEATURES: u64 = Feature::Queues.bit() | Feature::Topics.bit() | Feature::Requests.bit();

impl<H: Handler + 'static> World<'_, H> {
    /// A new connection for a client; what it had before is dropped.
    pub(in crate::simulate) fn connect(&mut self, client: usize, takes: u32) -> Result<(), Violation> {
        self.leave(client, |_| {})?;
        let stream = match self.transport.connect(ENDPOINT) {
            Ok(stream) => stream,
            // A thousand wait for the next step.
            Err(_) => return Ok(()),
        };
        let credentials = self.credentials(client);
        let connection = self.facts.connected(client, takes, credentials);
        let name = connection.0.to_string();
        let is_plain = credentials == Credentials::None;
        self.note(|| What::Client { client, words: format!("connects ({connection})") });
        self.clients[client] = Some(Client::new(connection, stream, takes));
        let features = if self.is_featured(client) { FEATURES } else { 0 };
        let hello = Hello {
            min_version: 1,
            max_version: 1,
            features,
            max_payload: takes,
            idle_ms: 0,
            name: if is_plain { "simulated" } else { &name },
            mechanism: "",
            credentials: credentials.as_bytes(),
        };
        self.send(client, &Frame::Hello(hello))
    }

    /// What a client shows at the door, if that has a keeper: now and then something for which it is not let in at once.
    fn credentials(&self, client: usize) -> Credentials {
        if !self.is_featured(client) || !self.setup.door.has_keeper() {
            return Credentials::None;
        }
        match self.facts.connections.len() % 7 {
            _ if self.facts.is_healed => Credentials::Friend,
            2 => Credentials::Stranger,
            3 | 5 => Credentials::Unknown,
            _ => Credentials::Friend,
        }
    }

    fn is_featured(&self, client: usize) -> bool {
        (self.first_featured()..self.first_own()).contains(&client)
    }

    /// The host program decides about somebody at the door.
    pub(in crate::simulate) fn decide(&mut self, pick: usize, yes: bool) -> bool {
        let Some(name) = self.setup.door.decide(pick, yes) else { return false };
        self.facts.decided(&name, yes);
        true
    }

    /// The client says a frame.
    pub(in crate::simulate) fn send(&mut self, client: usize, frame: &Frame<'_>) -> Result<(), Violation> {
        let Some(open) = &mut self.clients[client] else { return Ok(()) };
        open.say(frame);
        let connection = open.connection;
        self.seen(&Seen::Sent(connection, frame))?;
        self.facts.sent(connection, frame);
        self.note(|| What::Sent { client, connection, words: words(frame) });
        Ok(())
    }

    /// The client drops its connection, after `last` has been done to it.
    pub(in crate::simulate) fn leave(
        &mut self,
        client: usize,
        last: impl FnOnce(&mut Client),
    ) -> Result<(), Violation> {
        let Some(mut gone) = self.clients[client].take() else { return Ok(()) };
        last(&mut gone);
        self.note(|| What::Client { client, words: "leaves its connection".to_owned() });
        self.ended(gone.connection, Ended::ByClient)
    }

    /// The client forgets its connection, and does not close it.
    pub(in crate::simulate) fn vanish(&mut self, client: usize) {
        let Some(gone) = self.clients[client].take() else { return };
        self.note(|| What::Client { client, words: "vanishes".to_owned() });
        self.facts.connections[gone.connection.0].is_listening = false;
        self.ghosts.push(gone);
    }

    /// The system of those who vanished gives their connections up.
    pub(in crate::simulate) fn lay_ghosts(&mut self) -> Result<(), Violation> {
        for ghost in core::mem::take(&mut self.ghosts) {
            self.ended(ghost.connection, Ended::ByClient)?;
        }
        Ok(())
    }

    pub(in crate::simulate) fn stall(&mut self, client: usize, is_stalled: bool) {
        let Some(open) = &mut self.clients[client] else { return };
        open.is_stalled = is_stalled;
        if !is_stalled {
            open.trickle = None;
        }
        self.facts.connections[open.connection.0].is_listening = !is_stalled;
    }

    pub(super) fn ended(&mut self, connection: ConnectionNumber, how: Ended) -> Result<(), Violation> {
        let how = if self.is_replacing && how != Ended::ByClient { Ended::WithBroker } else { how };
        self.hash.word(connection.0 as u64);
        self.seen(&Seen::Ended(connection, how))?;
        self.facts.ended(connection);
        let client = self.facts.connection(connection).client;
        self.note(|| What::Client { client, words: format!("has no {connection} any more: {how:?}") });
        Ok(())
    }

    /// What clients have said goes on its way; true if anything did.
    pub(super) fn write_all(&mut self) -> bool {
        let mut moved = false;
        // Whoever trickles hurries on the way to rest, or a large payload would take for ever.
        let least = if self.is_resting { 1_000 } else { 0 };
        for client in self.clients.iter_mut().flatten() {
            moved |= client.write(client.trickle.map_or(usize::MAX, |bytes| bytes.max(least))) > 0;
        }
        moved
    }

    /// Who reads takes in what has come; true if anything had.
    pub(super) fn read_all(&mut self) -> Result<bool, Violation> {
        let mut moved = false;
        for client in 0..self.clients.len() {
            moved |= self.read(client)?;
        }
        Ok(moved)
    }

    fn read(&mut self, client: usize) -> Result<bool, Violation> {
        let mut moved = false;
        let mut buf = core::mem::take(&mut self.buf);
        while let Some(open) = &mut self.clients[client] {
            if open.is_stalled {
                break;
            }
            let connection = open.connection;
            let how = match open.read(&mut buf) {
                Read1::Nothing => break,
                Read1::Bytes(n) => {
                    moved = true;
                    let decoder = open.decoder.take();
                    self.take_in(client, connection, decoder, &buf[..n])?;
                    continue;
                }
                Read1::End => Ended::EndOfStream,
                Read1::Reset => Ended::Reset,
            };
            moved = true;
            self.clients[client] = None;
            self.ended(connection, how)?;
        }
        self.buf = buf;
        Ok(moved)
    }

    /// Decodes what came, and answers what has one answer.
    fn take_in(
        &mut self,
        client: usize,
        connection: ConnectionNumber,
        decoder: Option<msglib_proto::Decoder>,
        mut bytes: &[u8],
    ) -> Result<(), Violation> {
        let Some(mut decoder) = decoder else { return Ok(()) };
        self.hash.word(connection.0 as u64);
        self.hash.bytes(bytes);
        loop {
            match decoder.decode(&mut bytes) {
                Ok(Some(frame)) => {
                    let features = if let Frame::Welcome(welcome) = frame { welcome.features } else { 0 };
                    self.received(client, connection, &frame)?;
                    if features > 0 {
                        decoder.agree_on(features);
                    }
                }
                Ok(None) => break,
                Err(error) => self.seen(&Seen::NoFrame(connection, &error.to_string()))?,
            }
        }
        if let Some(open) = &mut self.clients[client] {
            open.decoder = Some(decoder);
        }
        Ok(())
    }

    fn received(&mut self, client: usize, connection: ConnectionNumber, frame: &Frame<'_>) -> Result<(), Violation> {
        self.note(|| What::Received { client, connection, words: words(frame) });
        self.seen(&Seen::Received(connection, frame))?;
        // The client's half of the end of a link, unless that was its first (PROTOCOL §5.3).
        let must_close = matches!(frame, Frame::Closed { .. }) && self.facts.holds_link(connection, frame.link());
        self.facts.received(connection, frame);
        let facts = self.facts.connection(connection);
        if facts.is_leaving || facts.last_word.is_some() {
            return Ok(());
        }
        match *frame {
            Frame::Ping { token } => self.send(client, &Frame::Pong { token }),
            Frame::Closed { link, .. } if must_close => self.send(client, &Frame::Close { link }),
            _ => Ok(()),
        }
    }
}
