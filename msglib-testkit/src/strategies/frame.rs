//! Any valid frame, the values at the edges more often than chance has them.

use super::OwnedFrame;
use super::frame_with as with;
use msglib_proto::{
    ChannelKind, ChannelName, ConnectionState, ErrorCode, Frame, FrameType, HEADER, Hello, LinkState, MAX_ARGUMENTS,
    MAX_HELLO, MAX_NAME, MAX_TEXT, Open, OwnedName, Payload, Role, Ruling, Verdict, Welcome, ruling,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;

/// From this size on a payload is shared instead of copied, which is another way through the code.
const SHARED_FROM: usize = 16 * 1024;

/// Any valid frame of version 1 itself, without features.
pub fn frames() -> impl Strategy<Value = OwnedFrame> + Clone {
    frames_with(0)
}

/// Any valid frame that is known when these features were agreed on, a bit each (PROTOCOL §14.2).
pub fn frames_with(features: u64) -> impl Strategy<Value = OwnedFrame> + Clone {
    Union::new(FrameType::ALL.into_iter().filter(|frame| frame.is_known(features)).map(frames_of))
}

/// Any valid frame of version 1 itself, of a type that this side may send in some state (PROTOCOL §10).
pub fn frames_from(sender: Role) -> impl Strategy<Value = OwnedFrame> + Clone {
    let all = FrameType::ALL.into_iter().filter(|frame| frame.is_known(0));
    Union::new(all.filter(|frame| is_sent_by(sender, *frame)).map(frames_of))
}

/// Any valid frame of one type.
pub fn frames_of(frame: FrameType) -> BoxedStrategy<OwnedFrame> {
    match frame {
        FrameType::Hello => hellos(),
        FrameType::Welcome => welcomes(),
        FrameType::Goodbye => owned((codes(), texts()), |(code, text)| Frame::Goodbye { code: *code, text }),
        FrameType::Error => owned((codes(), any_u64(), texts()), |(code, offset, text)| Frame::Error {
            code: *code,
            offset: *offset,
            text,
        }),
        FrameType::Ping => owned(any_u64(), |token| Frame::Ping { token: *token }),
        FrameType::Pong => owned(any_u64(), |token| Frame::Pong { token: *token }),
        FrameType::Open => opens(),
        FrameType::Opened => owned(links(), |link| Frame::Opened { link: *link }),
        FrameType::Close => owned(links(), |link| Frame::Close { link: *link }),
        FrameType::Closed => {
            owned((links(), codes(), texts()), |(link, code, text)| Frame::Closed { link: *link, code: *code, text })
        }
        FrameType::Credit => owned((links(), any_u64()), |(link, upto)| Frame::Credit { link: *link, upto: *upto }),
        FrameType::Publish => {
            owned((links(), numbers(), any::<bool>(), payloads()), |(link, number, confirm, payload)| Frame::Publish {
                link: *link,
                number: *number,
                confirm: *confirm,
                payload: Payload::from(payload),
            })
        }
        FrameType::Confirmed => {
            owned((links(), numbers()), |(link, upto)| Frame::Confirmed { link: *link, upto: *upto })
        }
        FrameType::Refused => owned((links(), ranges(), codes(), texts()), |(link, (first, last), code, text)| {
            Frame::Refused { link: *link, first: *first, last: *last, code: *code, text }
        }),
        FrameType::Delivery => {
            owned((links(), numbers(), at_least_one(), payloads()), |(link, tag, count, payload)| Frame::Delivery {
                link: *link,
                tag: *tag,
                count: *count,
                payload: Payload::from(payload),
            })
        }
        FrameType::Ack => {
            owned((links(), ranges()), |(link, (first, last))| Frame::Ack { link: *link, first: *first, last: *last })
        }
        FrameType::Refuse => owned((links(), ranges(), any::<bool>()), |(link, (first, last), again)| Frame::Refuse {
            link: *link,
            first: *first,
            last: *last,
            verdict: if *again { Verdict::Again } else { Verdict::ForGood },
        }),
        FrameType::GoingAway => owned(any_u32(), |deadline_ms| Frame::GoingAway { deadline_ms: *deadline_ms }),
        FrameType::PublishWith => with::publishes(),
        FrameType::Producer => owned((links(), 1..=u128::MAX, any_u64()), |(link, id, base)| Frame::Producer {
            link: *link,
            id: *id,
            base: *base,
        }),
        FrameType::DeliveryWith => with::deliveries(),
        FrameType::Settle => with::settles(),
        FrameType::Settled => owned((links(), ranges(), any_u64()), |(link, (first, last), count)| Frame::Settled {
            link: *link,
            first: *first,
            last: *last,
            count: *count,
        }),
        FrameType::Gap => owned((links(), numbers()), |(link, lost)| Frame::Gap { link: *link, lost: *lost }),
        FrameType::Request => {
            owned((links(), numbers(), any_u32(), payloads()), |(link, number, deadline_ms, payload)| Frame::Request {
                link: *link,
                number: *number,
                deadline_ms: *deadline_ms,
                payload: Payload::from(payload),
            })
        }
        FrameType::Reply => owned((links(), numbers(), payloads()), |(link, number, payload)| Frame::Reply {
            link: *link,
            number: *number,
            payload: Payload::from(payload),
        }),
        FrameType::NoReply => owned((links(), numbers(), codes(), texts()), |(link, number, code, text)| {
            Frame::NoReply { link: *link, number: *number, code: *code, text }
        }),
        FrameType::User => {
            owned((FrameType::USER.., any::<u16>(), any_u32(), payloads()), |(kind, flags, link, body)| Frame::User {
                kind: *kind,
                flags: *flags,
                link: *link,
                body: Payload::from(body),
            })
        }
    }
}

fn hellos() -> BoxedStrategy<OwnedFrame> {
    let versions = (1..=u16::MAX, any::<u16>()).prop_map(|(min, more)| (min, min.saturating_add(more)));
    let versions = prop_oneof![Just((1, 1)), Just((1, u16::MAX)), versions];
    // Now and then the longest that fits.
    let credentials = prop_oneof![4 => vec(any::<u8>(), 0..40).prop_map(Some), 1 => Just(None)];
    let parts = (versions, any_u64(), any_u32(), any_u32(), short_texts(), short_texts(), credentials);
    let frame = parts.prop_map(|(versions, features, max_payload, idle_ms, name, mechanism, credentials)| {
        let room = (MAX_HELLO - HEADER - FrameType::Hello.min_body()) as usize - name.len() - mechanism.len();
        let credentials = credentials.unwrap_or_else(|| vec![b'c'; room]);
        OwnedFrame::from(Frame::Hello(Hello {
            min_version: versions.0,
            max_version: versions.1,
            features,
            max_payload,
            idle_ms,
            name: &name,
            mechanism: &mechanism,
            credentials: &credentials,
        }))
    });
    frame.boxed()
}

fn welcomes() -> BoxedStrategy<OwnedFrame> {
    let parts = (1..=u16::MAX, any_u64(), any_u32(), any_u32(), any_u32(), short_texts());
    owned(parts, |(version, features, max_payload, max_links, idle_ms, name)| {
        let (version, features, max_payload) = (*version, *features, *max_payload);
        Frame::Welcome(Welcome { version, features, max_payload, max_links: *max_links, idle_ms: *idle_ms, name })
    })
}

fn opens() -> BoxedStrategy<OwnedFrame> {
    let ways = prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))];
    let kinds = prop_oneof![3 => Just(1), 1 => 1..=u16::MAX];
    let most = MAX_ARGUMENTS as usize;
    let arguments = prop_oneof![3 => Just(Vec::new()), 2 => vec(any::<u8>(), 1..40), 1 => Just(vec![b'a'; most])];
    owned((links(), ways, kinds, channels(), arguments), |(link, (publishes, consumes), kind, name, arguments)| {
        let (link, publishes, consumes, kind) = (*link, *publishes, *consumes, ChannelKind(*kind));
        Frame::Open(Open { link, publishes, consumes, kind, name: name.borrow(), arguments })
    })
}

pub(super) fn channels() -> impl Strategy<Value = OwnedName> + Clone {
    let name = |bytes: Vec<u8>| ChannelName::bytes(&bytes).unwrap_or(ChannelName::id(0)).to_owned();
    let bytes = prop_oneof![vec(any::<u8>(), 1..20), Just(vec![b'n']), Just(vec![0xFF; MAX_NAME])];
    prop_oneof![any_u64().prop_map(|id| ChannelName::id(id).to_owned()), bytes.prop_map(name)]
}

/// The error codes that have a name, the user's, and unknown ones.
pub(super) fn codes() -> impl Strategy<Value = ErrorCode> + Clone {
    prop_oneof![3 => proptest::sample::select(ErrorCode::ALL), 1 => any::<u16>().prop_map(ErrorCode::new)]
}

/// Texts of up to 1,024 bytes of UTF-8, with characters of all lengths.
fn texts() -> impl Strategy<Value = String> + Clone {
    let most = MAX_TEXT as usize;
    prop_oneof![
        4 => vec(any::<char>(), 0..20).prop_map(String::from_iter),
        1 => Just(String::new()),
        1 => Just("t".repeat(most)),
        1 => Just("€".repeat(most / 3)),
    ]
}

/// Names of up to 255 bytes.
fn short_texts() -> impl Strategy<Value = String> + Clone {
    let any = vec(any::<char>(), 0..20).prop_map(String::from_iter);
    prop_oneof![4 => any, 1 => Just(String::new()), 1 => Just("s".repeat(255)), 1 => Just("ß".repeat(127))]
}

/// Small payloads, and now and then some around the size from which they are shared.
pub(super) fn payloads() -> impl Strategy<Value = Vec<u8>> + Clone {
    let large = (SHARED_FROM - 1..=SHARED_FROM + 1, any::<u8>()).prop_map(|(length, salt)| noise(length, salt));
    prop_oneof![12 => vec(any::<u8>(), 0..60), 1 => Just(Vec::new()), 1 => large]
}

/// Bytes in which no two places look the same for long: a strategy for each byte would be slow.
pub(super) fn noise(length: usize, salt: u8) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 ^ salt).collect()
}

pub(super) fn links() -> impl Strategy<Value = u32> + Clone {
    at_least_one()
}

pub(super) fn at_least_one() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![4 => 1..20_u32, 1 => Just(1), 1 => Just(u32::MAX), 1 => 1..=u32::MAX]
}

fn any_u32() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![1 => Just(0), 1 => Just(u32::MAX), 2 => any::<u32>()]
}

pub(super) fn any_u64() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![1 => Just(0), 3 => numbers()]
}

/// Numbers and tags: from 1 on.
pub(super) fn numbers() -> impl Strategy<Value = u64> + Clone {
    static EDGES: [u64; 8] = [1, 2, 16, 17, (1 << 32) - 1, 1 << 32, u64::MAX - 1, u64::MAX];
    prop_oneof![3 => 1..100_u64, 2 => proptest::sample::select(&EDGES[..]), 1 => 1..=u64::MAX]
}

/// The first and the last of some numbers or tags.
pub(super) fn ranges() -> impl Strategy<Value = (u64, u64)> + Clone {
    (numbers(), any_u64()).prop_map(|(first, more)| (first, first.saturating_add(more)))
}

pub(super) fn owned<S, F>(parts: S, frame: F) -> BoxedStrategy<OwnedFrame>
where
    S: Strategy + 'static,
    F: for<'a> Fn(&'a S::Value) -> Frame<'a> + 'static,
{
    parts.prop_map(move |parts| OwnedFrame::from(frame(&parts))).boxed()
}

fn is_sent_by(sender: Role, frame: FrameType) -> bool {
    let all = ConnectionState::ALL.into_iter().flat_map(|state| LinkState::ALL.map(|link| (state, link)));
    all.into_iter().any(|(state, link)| ruling(sender, frame, state, link) == Ruling::Accept)
}
