//! What a client that keeps to the protocol may say, whatever the broker answers.

use super::OwnedFrame;
use super::frame::noise;
use msglib_proto::{
    ChannelKind, ChannelName, ErrorCode, Frame, Hello, INITIAL_PUBLISH_CREDIT, MAX_HELLO, Open, Payload, Verdict,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// How many links a client may have before it is told otherwise (PROTOCOL §5.2).
const LINKS: usize = 16;

/// All that one client says, from its `HELLO` on.
///
/// It is valid whatever the broker answers, and whenever: it keeps within what PROTOCOL §4.4, §5.2 and §6.2 allow a client that
/// has heard nothing. Make them with [`conversations`], and let a broker hear them with [`play`](super::play).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    frames: Vec<OwnedFrame>,
    burst: usize,
}

impl Conversation {
    /// The frames, in order; the first is a `HELLO`, and behind a `GOODBYE` there is none.
    pub fn frames(&self) -> &[OwnedFrame] {
        &self.frames
    }

    /// How many of them the client sends at once, before it lets the broker do something.
    pub fn burst(&self) -> usize {
        self.burst
    }

    /// All of it as it goes over the wire, at most 16,384 bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.frames.iter().flat_map(OwnedFrame::to_bytes).collect()
    }

    /// How many messages it publishes.
    pub fn published(&self) -> usize {
        self.frames.iter().filter(|frame| matches!(frame.as_frame(), Frame::Publish { .. })).count()
    }
}

/// Conversations of clients with queues: links to a few queues, publishes, credit, acks, refusals, pings, and often a goodbye at the
/// end. Several of them share the queues, so they have something to do with each other.
///
/// ```
/// use msglib_proto::FrameType;
/// use msglib_testkit::strategies::conversations;
/// use proptest::prelude::*;
///
/// proptest!(|(conversation in conversations())| {
///     prop_assert_eq!(conversation.frames()[0].frame_type(), FrameType::Hello);
///     prop_assert!(conversation.to_bytes().len() <= 16_384);
/// });
/// ```
pub fn conversations() -> impl Strategy<Value = Conversation> + Clone {
    let max_payload = prop_oneof![6 => Just(1 << 20), 1 => Just(16), 1 => Just(0)];
    let bursts = prop_oneof![2 => 1..6_usize, 1 => Just(usize::MAX)];
    (max_payload, vec(wishes(), 0..40), bursts, any::<bool>()).prop_map(|(max_payload, wishes, burst, says_goodbye)| {
        let mut script = Script::new(max_payload);
        wishes.iter().for_each(|wish| script.add(wish));
        if says_goodbye {
            script.push(Frame::Goodbye { code: ErrorCode::NONE, text: "" });
        }
        Conversation { frames: script.frames, burst }
    })
}

/// What a client wants to do next. It picks a link out of those that it has.
#[derive(Clone, Debug)]
enum Wish {
    Open { queue: u8, publishes: bool, consumes: bool },
    Publish { link: prop::sample::Index, confirm: bool, length: usize, salt: u8 },
    Grant { link: prop::sample::Index, more: u64 },
    Ack { link: prop::sample::Index, first: u64, more: u64 },
    Refuse { link: prop::sample::Index, first: u64, more: u64, verdict: Verdict },
    Close { link: prop::sample::Index },
    Ping { token: u64 },
    Pong { token: u64 },
}

fn wishes() -> impl Strategy<Value = Wish> + Clone {
    let link = any::<prop::sample::Index>;
    let ways = prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))];
    let lengths = prop_oneof![8 => 0..40_usize, 1 => 900..1100_usize];
    let more = || prop_oneof![6 => 0..5_u64, 1 => Just(u64::MAX)];
    let verdicts = prop_oneof![Just(Verdict::Again), Just(Verdict::ForGood)];
    prop_oneof![
        3 => (0..3_u8, ways).prop_map(|(queue, (publishes, consumes))| Wish::Open { queue, publishes, consumes }),
        6 => (link(), any::<bool>(), lengths, any::<u8>())
            .prop_map(|(link, confirm, length, salt)| Wish::Publish { link, confirm, length, salt }),
        4 => (link(), more()).prop_map(|(link, more)| Wish::Grant { link, more }),
        3 => (link(), 1..6_u64, more()).prop_map(|(link, first, more)| Wish::Ack { link, first, more }),
        2 => (link(), 1..6_u64, more(), verdicts)
            .prop_map(|(link, first, more, verdict)| Wish::Refuse { link, first, more, verdict }),
        1 => link().prop_map(|link| Wish::Close { link }),
        1 => any::<u64>().prop_map(|token| Wish::Ping { token }),
        1 => any::<u64>().prop_map(|token| Wish::Pong { token }),
    ]
}

/// A conversation as it grows. A wish that the protocol does not grant is left out.
struct Script {
    frames: Vec<OwnedFrame>,
    /// By number, from 1 on; numbers are not used again, for when one is free is the broker's to say.
    links: Vec<ScriptLink>,
    /// Bytes so far, with room for a goodbye.
    length: usize,
}

struct ScriptLink {
    publishes: bool,
    consumes: bool,
    is_closed: bool,
    published: u64,
    granted: u64,
}

impl Script {
    fn new(max_payload: u32) -> Script {
        let hello = Hello {
            min_version: 1,
            max_version: 1,
            features: 0,
            max_payload,
            idle_ms: 0,
            name: "a conversation",
            mechanism: "",
            credentials: &[],
        };
        let goodbye = 14;
        let mut script = Script { frames: Vec::new(), links: Vec::new(), length: goodbye };
        script.push(Frame::Hello(hello));
        script
    }

    fn add(&mut self, wish: &Wish) {
        match *wish {
            Wish::Open { queue, publishes, consumes } => self.open(queue, publishes, consumes),
            Wish::Publish { link, confirm, length, salt } => self.publish(link, confirm, &noise(length, salt)),
            Wish::Grant { link, more } => {
                if let Some((link, state)) = self.pick(link, |link| link.consumes) {
                    state.granted = state.granted.saturating_add(more);
                    let upto = state.granted;
                    self.push(Frame::Credit { link, upto });
                }
            }
            Wish::Ack { link, first, more } => {
                if let Some((link, _)) = self.pick(link, |link| link.consumes) {
                    self.push(Frame::Ack { link, first, last: first.saturating_add(more) });
                }
            }
            Wish::Refuse { link, first, more, verdict } => {
                if let Some((link, _)) = self.pick(link, |link| link.consumes) {
                    self.push(Frame::Refuse { link, first, last: first.saturating_add(more), verdict });
                }
            }
            Wish::Close { link } => {
                if let Some((link, state)) = self.pick(link, |_| true) {
                    state.is_closed = true;
                    self.push(Frame::Close { link });
                }
            }
            Wish::Ping { token } => self.push(Frame::Ping { token }),
            Wish::Pong { token } => self.push(Frame::Pong { token }),
        }
    }

    fn open(&mut self, queue: u8, publishes: bool, consumes: bool) {
        let link = self.links.len() as u32 + 1;
        if self.links.len() == LINKS || !self.has_room(64) {
            return;
        }
        self.links.push(ScriptLink { publishes, consumes, is_closed: false, published: 0, granted: 0 });
        let name = if queue == 0 { ChannelName::from("zero") } else { ChannelName::id(u64::from(queue)) };
        self.push(Frame::Open(Open { link, publishes, consumes, kind: ChannelKind::QUEUE, name, arguments: &[] }));
    }

    fn publish(&mut self, link: prop::sample::Index, confirm: bool, payload: &[u8]) {
        if !self.has_room(payload.len() + 20) {
            return;
        }
        let may = |link: &ScriptLink| link.publishes && link.published < INITIAL_PUBLISH_CREDIT;
        if let Some((link, state)) = self.pick(link, may) {
            state.published += 1;
            let number = state.published;
            self.push(Frame::Publish { link, number, confirm, payload: Payload::from(payload) });
        }
    }

    /// One of the links that are open and fit, with its number.
    fn pick(
        &mut self,
        which: prop::sample::Index,
        fits: impl Fn(&ScriptLink) -> bool,
    ) -> Option<(u32, &mut ScriptLink)> {
        if !self.has_room(64) {
            return None;
        }
        let fitting = self.links.iter().enumerate().filter(|(_, link)| !link.is_closed && fits(link));
        let numbers: Vec<usize> = fitting.map(|(index, _)| index).collect();
        let index = *numbers.get(which.index(numbers.len().max(1)))?;
        Some((index as u32 + 1, &mut self.links[index]))
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.length + bytes <= MAX_HELLO as usize
    }

    fn push(&mut self, frame: Frame<'_>) {
        let frame = OwnedFrame::from(frame);
        let length = frame.to_bytes().len();
        let is_last = matches!(frame.as_frame(), Frame::Goodbye { .. });
        if is_last || self.has_room(length) {
            self.length += length;
            self.frames.push(frame);
        }
    }
}
