//! A broker that breaks the protocol: each way is answered with an ERROR that names the rule and the place.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use common::{WELCOME, bytes, frames};
use msglib_client::{End, Event, Session, SessionConfig};
use msglib_proto::{
    ChannelKind, ChannelName, ConnectionState, DeliveryOptions, ErrorCode, Feature, Frame, FrameType, Hello, LinkState,
    Open, Payload, PublishOptions, Role, Ruling, Scope, Settling, Verdict, Welcome, ruling,
};

/// A frame of the type that is right by itself.
fn sample(frame_type: FrameType) -> Frame<'static> {
    let (link, payload) = (1, Payload::from("x"));
    let (code, text) = (ErrorCode::NONE, "");
    match frame_type {
        FrameType::Hello => Frame::Hello(Hello {
            min_version: 1,
            max_version: 1,
            features: 0,
            max_payload: 1,
            idle_ms: 0,
            name: "",
            mechanism: "",
            credentials: b"",
        }),
        FrameType::Welcome => Frame::Welcome(WELCOME),
        FrameType::Goodbye => Frame::Goodbye { code, text },
        FrameType::Error => Frame::Error { code: ErrorCode::INTERNAL, offset: 0, text },
        FrameType::Ping => Frame::Ping { token: 1 },
        FrameType::Pong => Frame::Pong { token: 1 },
        FrameType::Open => Frame::Open(Open {
            link,
            publishes: true,
            consumes: false,
            kind: ChannelKind::QUEUE,
            name: ChannelName::id(1),
            arguments: b"",
        }),
        FrameType::Opened => Frame::Opened { link },
        FrameType::Close => Frame::Close { link },
        FrameType::Closed => Frame::Closed { link, code, text },
        FrameType::Credit => Frame::Credit { link, upto: 99 },
        FrameType::Publish => Frame::Publish { link, number: 1, confirm: false, payload },
        FrameType::Confirmed => Frame::Confirmed { link, upto: 1 },
        FrameType::Refused => Frame::Refused { link, first: 1, last: 1, code: ErrorCode::BUSY, text },
        FrameType::Delivery => Frame::Delivery { link, tag: 1, count: 1, payload },
        FrameType::Ack => Frame::Ack { link, first: 1, last: 1 },
        FrameType::Refuse => Frame::Refuse { link, first: 1, last: 1, verdict: Verdict::Again },
        FrameType::GoingAway => Frame::GoingAway { deadline_ms: 1 },
        FrameType::PublishWith => {
            let options = PublishOptions { delay_ms: Some(1), ..PublishOptions::default() };
            Frame::PublishWith { link, number: 1, confirm: false, retain: false, options, payload }
        }
        FrameType::Producer => Frame::Producer { link, id: 1, base: 0 },
        FrameType::DeliveryWith => {
            let options = DeliveryOptions { id: Some(1), ..DeliveryOptions::default() };
            Frame::DeliveryWith { link, tag: 1, count: 1, retained: false, options, payload }
        }
        FrameType::Settle => Frame::Settle { link, first: 1, last: 1, confirm: true, settling: Settling::Ack },
        FrameType::Settled => Frame::Settled { link, first: 1, last: 1, count: 1 },
        FrameType::Gap => Frame::Gap { link, lost: 1 },
        FrameType::Request => Frame::Request { link, number: 1, deadline_ms: 1, payload },
        FrameType::Reply => Frame::Reply { link, number: 1, payload },
        FrameType::NoReply => Frame::NoReply { link, number: 1, code: ErrorCode::TIMED_OUT, text },
        FrameType::User => Frame::User { kind: 0x8001, flags: 1, link, body: payload },
    }
}

struct Client {
    session: Session,
    received: u64,
}

impl Client {
    fn new() -> Client {
        Client::offering(0)
    }

    fn offering(features: u64) -> Client {
        let config = SessionConfig { features, ..SessionConfig::default() };
        Client { session: Session::new(&config).unwrap(), received: 0 }
    }

    /// After the handshake, with link 1 in the state.
    fn with_link(state: LinkState) -> Client {
        Client::with_features(0, state)
    }

    /// As [`with_link`](Self::with_link), and both sides have the features.
    fn with_features(features: u64, state: LinkState) -> Client {
        let mut client = Client::offering(features);
        client.accept(Frame::Welcome(Welcome { features, ..WELCOME }));
        if state != LinkState::Free {
            client.session.open(ChannelKind::QUEUE, ChannelName::id(1), true, true).unwrap();
            client.session.publish(1, Payload::from("x"), true).unwrap();
            client.session.grant(1, 1).unwrap();
        }
        match state {
            LinkState::Free | LinkState::Opening => {}
            LinkState::Open => client.accept(Frame::Opened { link: 1 }),
            LinkState::Closing => client.session.close_link(1).unwrap(),
            LinkState::Closed => client.accept(Frame::Closed { link: 1, code: ErrorCode::NONE, text: "" }),
        }
        client.session.sent(client.session.pending().len());
        client
    }

    fn accept(&mut self, frame: Frame<'_>) {
        let bytes = bytes(frame);
        self.session.handle_input(&bytes, &mut Vec::new()).unwrap();
        self.received += bytes.len() as u64;
    }

    /// Feeds bytes that break a rule `at` bytes behind their beginning.
    fn reject(mut self, input: &[u8], code: ErrorCode, at: u64) {
        self.session.sent(self.session.pending().len());
        let mut events = Vec::new();
        let error = self.session.handle_input(input, &mut events).unwrap_err();
        assert_eq!((error.code(), error.offset), (code, self.received + at), "{error}");
        assert_eq!(events.last(), Some(&Event::Over));
        assert_eq!(self.session.end(), Some(&End::Violation(error)));
        let expected = format!("ERROR {} at {}", code.name().unwrap(), self.received + at);
        assert_eq!(frames(&self.session.pending().to_vec()), [expected]);
        assert_eq!(self.session.handle_input(input, &mut events), Ok(()), "nothing behind it is looked at");
        assert!(self.session.ping(1).is_err());
    }
}

/// PROTOCOL §10.2, the broker's half, cell by cell.
#[test]
fn the_table_holds_for_every_frame_in_every_state() {
    for frame_type in FrameType::ALL {
        if frame_type.is_known(0) {
            let fresh = ruling(Role::Broker, frame_type, ConnectionState::Fresh, LinkState::Free);
            check(Client::new(), frame_type, fresh);
        }
        for state in LinkState::ALL {
            let ruling = ruling(Role::Broker, frame_type, ConnectionState::Greeted, state);
            if frame_type.scope() == Scope::Link || state == LinkState::Free {
                check(Client::with_features(Feature::all_bits(), state), frame_type, ruling);
            }
        }
    }
}

/// PROTOCOL §12.1: what was not agreed on does not exist.
#[test]
fn the_frames_of_a_feature_that_was_not_agreed_on_are_unknown() {
    for frame_type in FrameType::ALL.into_iter().filter(|frame_type| !frame_type.is_known(0)) {
        let bytes = bytes(sample(frame_type));
        Client::offering(Feature::all_bits()).reject(&bytes, ErrorCode::UNKNOWN_TYPE, 4);
        let others = Feature::all_bits() & !frame_type.features();
        Client::with_features(others, LinkState::Open).reject(&bytes, ErrorCode::UNKNOWN_TYPE, 4);
    }
}

fn check(mut client: Client, frame_type: FrameType, ruling: Ruling) {
    let bytes = bytes(sample(frame_type));
    let mut events = Vec::new();
    match ruling {
        Ruling::Accept => assert_eq!(client.session.handle_input(&bytes, &mut events), Ok(()), "{frame_type}"),
        Ruling::Ignore => {
            assert_eq!(client.session.handle_input(&bytes, &mut events), Ok(()), "{frame_type}");
            assert_eq!(events, [], "{frame_type}");
            assert!(client.session.pending().is_empty());
        }
        Ruling::Unexpected => client.reject(&bytes, ErrorCode::UNEXPECTED_FRAME, 0),
        Ruling::BadLink => client.reject(&bytes, ErrorCode::BAD_LINK, 0),
    }
}

#[test]
fn deliveries_are_numbered_and_within_the_credit() {
    let payload = Payload::from("x");
    let delivery = |tag| bytes(Frame::Delivery { link: 1, tag, count: 1, payload });
    Client::with_link(LinkState::Open).reject(&delivery(2), ErrorCode::BAD_NUMBER, 0);
    let mut client = Client::with_link(LinkState::Open);
    client.accept(Frame::Delivery { link: 1, tag: 1, count: 1, payload });
    client.reject(&delivery(2), ErrorCode::CREDIT, 0);
}

#[test]
fn credit_never_goes_back() {
    Client::with_link(LinkState::Open).reject(&bytes(Frame::Credit { link: 1, upto: 15 }), ErrorCode::CREDIT, 0);
    let mut client = Client::with_link(LinkState::Open);
    client.accept(Frame::Credit { link: 1, upto: u64::MAX });
    client.accept(Frame::Credit { link: 1, upto: u64::MAX });
    client.reject(&bytes(Frame::Credit { link: 1, upto: 99 }), ErrorCode::CREDIT, 0);
}

#[test]
fn a_link_takes_only_what_it_was_opened_for() {
    let payload = Payload::from("x");
    for (publishes, frame) in
        [(false, Frame::Credit { link: 1, upto: 99 }), (true, Frame::Delivery { link: 1, tag: 1, count: 1, payload })]
    {
        let mut client = Client::with_link(LinkState::Free);
        client.session.open(ChannelKind::QUEUE, ChannelName::id(1), publishes, !publishes).unwrap();
        client.accept(Frame::Opened { link: 1 });
        client.reject(&bytes(frame), ErrorCode::BAD_LINK, 0);
    }
}

#[test]
fn a_welcome_chooses_from_what_the_hello_offered() {
    let version = Welcome { version: 2, ..WELCOME };
    Client::new().reject(&bytes(Frame::Welcome(version)), ErrorCode::BAD_FIELD, 12);
    let features = Welcome { features: 1 << 40, ..WELCOME };
    Client::new().reject(&bytes(Frame::Welcome(features)), ErrorCode::BAD_FIELD, 14);
}

#[test]
fn what_does_not_decode_is_rejected_in_pieces_of_any_size() {
    let mut wrong = bytes(Frame::Pong { token: 1 });
    wrong[6] = 1;
    Client::with_link(LinkState::Free).reject(&wrong, ErrorCode::RESERVED_FLAG, 6);
    let mut client = Client::with_link(LinkState::Free);
    for byte in &wrong[..11] {
        client.session.handle_input(&[*byte], &mut Vec::new()).unwrap();
    }
    let error = client.session.handle_input(&wrong[11..], &mut Vec::new()).unwrap_err();
    assert_eq!((error.code(), error.offset), (ErrorCode::RESERVED_FLAG, client.received + 6));
}

/// After its own goodbye a client has sent its last frame: the violation is an error here, and nothing on the wire.
#[test]
fn no_error_follows_a_goodbye() {
    let mut client = Client::with_link(LinkState::Free);
    client.session.goodbye().unwrap();
    client.session.sent(client.session.pending().len());
    assert!(client.session.handle_input(&bytes(sample(FrameType::Opened)), &mut Vec::new()).is_err());
    assert!(client.session.pending().is_empty());
}
