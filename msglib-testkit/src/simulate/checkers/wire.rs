//! What passes on each connection: the encoding, the table of frames and states, the ends.

use crate::simulate::checker::{Checker, Ended, Seen, View};
use crate::simulate::facts::{ConnectionNumber, Facts};
use crate::simulate::featured::Credentials;
use crate::simulate::setup::Setup;
use msglib_broker::CoreConfig;
use msglib_proto::{ConnectionState, ErrorCode, Frame, Instant, LinkState, Role, Ruling, Scope, ruling};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// I33: what the broker sends decodes under the strict decoder, and each frame may be sent where it is (PROTOCOL §10).
#[derive(Debug, Default)]
pub(super) struct Wire;

impl<H> Checker<H> for Wire {
    fn name(&self) -> &'static str {
        "I33 what the broker sends decodes, and may be sent where it is"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Result<(), Cow<'static, str>> {
        match *seen {
            Seen::NoFrame(connection, words) => Err(format!("{connection} received {words}").into()),
            Seen::Received(connection, frame) => {
                let broker = broker_state(facts, connection);
                let link = match frame.frame_type().scope() {
                    Scope::Link => facts.link_state(connection, frame.link()),
                    Scope::Connection | Scope::Any => LinkState::Free,
                };
                match ruling(Role::Broker, frame.frame_type(), broker, link) {
                    Ruling::Accept | Ruling::Ignore => Ok(()),
                    other => {
                        let words =
                            format!("{connection} received {frame:?}, which is {other:?}: {broker:?}, link {link:?}");
                        Err(words.into())
                    }
                }
            }
            _ => Ok(()),
        }
    }
}

fn broker_state(facts: &Facts, connection: ConnectionNumber) -> ConnectionState {
    let facts = facts.connection(connection);
    match (facts.last_word, facts.is_greeted) {
        (Some(_), _) => ConnectionState::Over,
        (None, true) => ConnectionState::Greeted,
        (None, false) => ConnectionState::Fresh,
    }
}

/// I32: who keeps the protocol is not told otherwise, and not cut off; who breaks it is told so, and nothing else.
#[derive(Debug)]
pub(super) struct Ends {
    /// The network may end a connection.
    may_be_cut: bool,
    /// How long the last words to a connection have to get there.
    close_timeout: Duration,
    /// How long a client may take nothing.
    write_timeout: Duration,
    /// When each client received something last, and for how long it has not, at the longest.
    received: BTreeMap<ConnectionNumber, (Instant, Duration)>,
}

impl Ends {
    pub(super) fn new(setup: &Setup) -> Ends {
        let CoreConfig { close_timeout, write_timeout, .. } = setup.broker.core;
        Ends { may_be_cut: setup.may_be_cut(), close_timeout, write_timeout, received: BTreeMap::new() }
    }

    fn receives(&mut self, facts: &Facts, connection: ConnectionNumber) {
        let longest = self.longest_silence(facts, connection);
        self.received.insert(connection, (facts.now(), longest));
    }

    /// A client that has read nothing for so long may have taken nothing for as long: what it reads then was on the way.
    fn longest_silence(&self, facts: &Facts, connection: ConnectionNumber) -> Duration {
        let since = facts.connection(connection).since;
        let (last, longest) = self.received.get(&connection).copied().unwrap_or((since, Duration::ZERO));
        longest.max(facts.now().since(last))
    }
}

/// The codes that say that a peer broke the protocol (PROTOCOL §9).
const PROTOCOL_CODES: core::ops::RangeInclusive<u16> = 0x0101..=0x010B;

impl<H> Checker<H> for Ends {
    fn name(&self) -> &'static str {
        "I32 who keeps the protocol is served, and who breaks it is told"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Result<(), Cow<'static, str>> {
        if let Seen::Received(connection, _) = *seen {
            self.receives(facts, connection);
        }
        match *seen {
            Seen::Received(connection, Frame::Error { code, text, .. }) => {
                let client = facts.connection(connection);
                let is_fair = match *code {
                    ErrorCode::HANDSHAKE_TIMEOUT => {
                        !client.is_greeted && facts.now().since(client.since) >= Duration::from_secs(10)
                    }
                    ErrorCode::TOO_SLOW => self.longest_silence(facts, connection) >= self.write_timeout,
                    ErrorCode::SHUTTING_DOWN => !client.is_greeted,
                    ErrorCode::BAD_CREDENTIALS => !client.is_greeted && client.credentials != Credentials::None,
                    // Too many wait for a decision already; whether that is so another checker asks.
                    ErrorCode::BUSY => !client.is_greeted && client.credentials == Credentials::Unknown,
                    // Nobody has decided in time.
                    ErrorCode::INTERNAL => {
                        matches!(client.credentials, Credentials::Unknown | Credentials::Decided(_))
                            && facts.now().since(client.since) >= Duration::from_secs(10)
                    }
                    code => client.is_hostile && PROTOCOL_CODES.contains(&code.value()),
                };
                match is_fair {
                    true => Ok(()),
                    false => Err(format!("{connection} kept the protocol and was told {code}: {text}").into()),
                }
            }
            Seen::Ended(connection, Ended::EndOfStream) => {
                match facts.connection(connection).last_word.is_none() && !self.may_be_cut {
                    true => Err(format!("{connection} was closed without a last word").into()),
                    false => Ok(()),
                }
            }
            Seen::Ended(connection, Ended::Reset) => {
                let client = facts.connection(connection);
                // Who leaves may be cut off when it has not taken its last words in time.
                let had_time = client.left_at.is_some_and(|at| facts.now().since(at) >= self.close_timeout);
                let was_slow = self.longest_silence(facts, connection) >= self.write_timeout;
                match self.may_be_cut || had_time || was_slow || !client.is_greeted {
                    true => Ok(()),
                    false => Err(format!("{connection} was cut off").into()),
                }
            }
            _ => Ok(()),
        }
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Result<(), Cow<'static, str>> {
        let facts = view.facts;
        for (index, connection) in facts.connections.iter().enumerate() {
            if connection.is_leaving && connection.is_listening && !connection.is_over {
                let how = if connection.is_hostile { "broke the protocol" } else { "said its last word" };
                return Err(format!("{} {how}, and the broker goes on", ConnectionNumber(index)).into());
            }
        }
        Ok(())
    }
}

/// I26: whoever takes part is answered: the handshake, links and pings.
#[derive(Debug, Default)]
pub(super) struct Answers;

impl<H> Checker<H> for Answers {
    fn name(&self) -> &'static str {
        "I26 whoever takes part is answered"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Result<(), Cow<'static, str>> {
        if let Seen::Received(connection, Frame::Pong { token }) = *seen
            && !facts.connection(connection).pings.contains(token)
        {
            return Err(format!("{connection} received a PONG {token} that answers nothing").into());
        }
        Ok(())
    }

    fn at_rest(&mut self, view: &View<'_, H>) -> Result<(), Cow<'static, str>> {
        let facts = view.facts;
        for (index, connection) in facts.connections.iter().enumerate() {
            if connection.is_over || connection.is_leaving || !connection.is_listening {
                continue;
            }
            let number = ConnectionNumber(index);
            if !connection.is_greeted && connection.credentials == Credentials::Unknown {
                continue;
            }
            if !connection.is_greeted && facts.may_wait_for_a_place(number, view.setup.broker.core.answer_timeout) {
                continue;
            }
            if !connection.is_greeted {
                return Err(format!("{number} said HELLO and waits for a WELCOME").into());
            }
            if let Some(ping) = connection.pings.back() {
                return Err(format!("{number} sent PING {ping} and waits for a PONG").into());
            }
            let featured = facts.featured.of(number).map(|(link, there)| (format!("link {link}"), there.state));
            let plain = connection.numbers.iter().flatten().map(|link| (link.to_string(), facts.link(*link).state));
            for (link, state) in plain.chain(featured) {
                match state {
                    LinkState::Opening => return Err(format!("{number} waits for its {link} to be opened").into()),
                    LinkState::Closing => return Err(format!("{number} waits for its {link} to be closed").into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
