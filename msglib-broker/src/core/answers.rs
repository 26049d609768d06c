//! Answers that a handler has put off: decided later, on any thread, and told to the core as an input like any other.

use super::timers::TimerId;
use super::told::Told;
use crate::identity::Identity;
use crate::reason::Reject;
use msglib_proto::ErrorCode;
use msglib_proto::transport::{ConnectionId, Waker};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names one answer that was put off; never used again by the same broker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AnswerId(u64);

/// The answer to a `HELLO` or an `OPEN` that a handler has put off ([`Context::answer_later`](crate::Context::answer_later)).
///
/// Whoever holds it owes the answer, exactly once: on any thread, at any time. The broker is woken, and acts on it in its next step. Dropped
/// without an answer, also because a thread has panicked, it refuses. When the broker has given up meanwhile, because its deadline was over or
/// the peer went away, nothing happens.
///
/// ```
/// use msglib_broker::{ErrorCode, Identity, PendingAnswer, Reject};
///
/// fn check(credentials: &[u8], answer: PendingAnswer) {
///     match credentials {
///         b"open sesame" => answer.accept(Identity::new("ali")),
///         _ => answer.refuse(Reject::new(ErrorCode::BAD_CREDENTIALS, "not the word")),
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use = "without an answer it refuses"]
pub struct PendingAnswer {
    id: AnswerId,
    is_given: bool,
    told: Arc<Told>,
}

/// What was decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    Accept(Option<Identity>),
    Refuse(Reject),
}

/// The answers that are owed.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    owed: BTreeMap<AnswerId, (ConnectionId, TimerId)>,
    given_out: u64,
    told: Arc<Told>,
}

impl PendingAnswer {
    /// Which it is: [`Event::Answered`](crate::Event::Answered) comes with the same.
    pub fn id(&self) -> AnswerId {
        self.id
    }

    /// Takes what was asked for, and says who the peer is.
    pub fn accept(self, identity: Identity) {
        self.give(&Decision::Accept(Some(identity)));
    }

    /// Takes what was asked for, and leaves the peer's identity as it is.
    pub fn allow(self) {
        self.give(&Decision::Accept(None));
    }

    /// Refuses what was asked for, in the mildest way that the frame has, as if the handler had refused it.
    pub fn refuse(self, reject: Reject) {
        self.give(&Decision::Refuse(reject));
    }

    fn give(mut self, decision: &Decision) {
        self.is_given = true;
        self.told.tell(decision.encode(self.id));
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        if !self.is_given {
            let reject = Reject::new(ErrorCode::INTERNAL, "nobody has decided");
            self.told.tell(Decision::Refuse(reject).encode(self.id));
        }
    }
}

impl Answers {
    pub(crate) fn len(&self) -> usize {
        self.owed.len()
    }

    pub(crate) fn next_id(&mut self) -> AnswerId {
        self.given_out += 1;
        AnswerId(self.given_out)
    }

    pub(crate) fn owe(&mut self, id: AnswerId, to: ConnectionId, deadline: TimerId) -> PendingAnswer {
        self.owed.insert(id, (to, deadline));
        PendingAnswer { id, is_given: false, told: self.told.clone() }
    }

    /// It is not owed any more.
    pub(crate) fn take(&mut self, id: AnswerId) -> Option<(ConnectionId, TimerId)> {
        self.owed.remove(&id)
    }

    pub(crate) fn wake_with(&mut self, waker: Waker) {
        self.told.wake_with(waker);
    }

    /// Where decisions arrive.
    pub(crate) fn told(&self) -> &Told {
        &self.told
    }
}

/// A decision as bytes: id u64, kind u8, and what the kind has. No id is zero.
impl Decision {
    const ALLOW: u8 = 0;
    const ACCEPT: u8 = 1;
    const REFUSE: u8 = 2;
    const REFUSE_FATALLY: u8 = 3;

    fn encode(&self, AnswerId(id): AnswerId) -> Vec<u8> {
        let mut bytes = id.to_be_bytes().to_vec();
        match self {
            Decision::Accept(None) => bytes.push(Decision::ALLOW),
            Decision::Accept(Some(identity)) => {
                bytes.push(Decision::ACCEPT);
                bytes.extend_from_slice(&(identity.name().len() as u32).to_be_bytes());
                bytes.extend_from_slice(identity.name().as_bytes());
                bytes.extend_from_slice(identity.data());
            }
            Decision::Refuse(reject) => {
                bytes.push(if reject.is_fatal() { Decision::REFUSE_FATALLY } else { Decision::REFUSE });
                bytes.extend_from_slice(&reject.code().value().to_be_bytes());
                bytes.extend_from_slice(reject.text().as_bytes());
            }
        }
        bytes
    }

    /// `None` for what no broker has written.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(AnswerId, Decision)> {
        let (id, rest) = bytes.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let decision = match *kind {
            Decision::ALLOW if rest.is_empty() => Decision::Accept(None),
            Decision::ACCEPT => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let (name, data) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
                Decision::Accept(Some(Identity::new(core::str::from_utf8(name).ok()?).with_data(data)))
            }
            Decision::REFUSE | Decision::REFUSE_FATALLY => {
                let (code, text) = rest.split_first_chunk::<2>()?;
                let text = core::str::from_utf8(text).ok()?.to_owned();
                let reject = Reject::new(ErrorCode::new(u16::from_be_bytes(*code)), text);
                Decision::Refuse(if *kind == Decision::REFUSE { reject } else { reject.fatal() })
            }
            _ => return None,
        };
        Some((AnswerId(u64::from_be_bytes(*id)), decision))
    }
}

#[cfg(test)]
mod tests {
    use super::super::timers::{Due, Timers};
    use super::*;
    use msglib_proto::Instant;

    #[test]
    fn a_decision_is_read_back_and_no_bytes_make_the_reader_panic() {
        let refusal = Reject::new(ErrorCode::BAD_CREDENTIALS, "who are you?");
        for decision in [
            Decision::Accept(None),
            Decision::Accept(Some(Identity::new(""))),
            Decision::Accept(Some(Identity::new("alice").with_data(*b"\xFF\0"))),
            Decision::Refuse(refusal.clone()),
            Decision::Refuse(refusal.fatal()),
        ] {
            let bytes = decision.encode(AnswerId(7));
            assert_eq!(Decision::decode(&bytes), Some((AnswerId(7), decision)));
            for length in 0..bytes.len() {
                for byte in 0..=u8::MAX {
                    let mut other = bytes[..length].to_vec();
                    let _ = Decision::decode(&other);
                    other.push(byte);
                    let _ = Decision::decode(&other);
                }
            }
        }
    }

    #[test]
    fn an_answer_is_given_once_and_one_that_is_dropped_refuses() {
        let mut answers = Answers::default();
        let deadline = Timers::default().set(Instant::ZERO, Instant::ZERO, Due::Handler { token: 0 });
        let owe = |answers: &mut Answers| {
            let id = answers.next_id();
            answers.owe(id, ConnectionId::new(0, 0), deadline)
        };
        let (given, dropped) = (owe(&mut answers), owe(&mut answers));
        assert!(!answers.told().has_news());
        given.allow();
        drop(dropped);
        let mut news = Vec::new();
        answers.told().take_news(&mut news);
        let decisions: Vec<_> = news.iter().filter_map(|bytes| Decision::decode(bytes)).collect();
        assert_eq!(decisions[0], (AnswerId(1), Decision::Accept(None)));
        assert!(
            matches!(&decisions[1], (AnswerId(2), Decision::Refuse(reject)) if reject.code() == ErrorCode::INTERNAL)
        );
        assert!(decisions.len() == 2 && !answers.told().has_news());
    }
}
