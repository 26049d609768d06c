//! A client's session between a user who does anything and a broker that sends anything.

use crate::input::Input;
use msglib_client::{End, Session, SessionConfig};
use msglib_proto::{
    ChannelKind, ChannelName, Decoder, ErrorCode, Frame, FrameType, Limits, Payload, SendQueue, Verdict, Welcome,
    encode,
};

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut session = Session::new(&SessionConfig::default()).expect("the defaults have an encoding");
    let mut sent = Sent { decoder: Decoder::new(&Limits::default()), frames: 0, is_over: false };
    let mut events = Vec::new();
    if input.u8() % 4 != 0 {
        let welcome = Welcome { version: 1, features: 0, max_payload: 1024, max_links: 4, idle_ms: 0, name: "fuzz" };
        let _ = session.handle_input(&bytes_of(&Frame::Welcome(welcome)), &mut events);
    }
    for _ in 0..300 {
        if input.is_empty() {
            break;
        }
        match input.u8() {
            0..=99 => user(&mut session, &mut input),
            100..=219 => {
                let bytes = broker_frame(&mut input);
                let result = session.handle_input(&bytes, &mut events);
                assert_eq!(result.is_err() || session.end().is_some(), session.end().is_some());
            }
            220..=229 => {
                let n = input.u8() as usize;
                let _ = session.handle_input(input.bytes(n), &mut events);
            }
            _ => {
                let n = session.pending().len().min(input.u16() as usize);
                sent.take(&mut session, n);
            }
        }
        assert!(events.len() < 10_000);
        events.clear();
    }
    let rest = session.pending().len();
    sent.take(&mut session, rest);
    // After the broker's ERROR nothing more is sent, not even the rest of a frame (PROTOCOL §8.1).
    let is_cut = matches!(session.end(), Some(End::Failed { .. }));
    assert!(is_cut || sent.decoder.is_between_frames(), "half a frame, {:?}", session.end());
}

/// What the session has sent decodes, begins with HELLO, and ends with its last words.
struct Sent {
    decoder: Decoder,
    frames: usize,
    is_over: bool,
}

impl Sent {
    fn take(&mut self, session: &mut Session, n: usize) {
        let bytes = session.pending().to_vec();
        session.sent(n);
        let mut bytes = &bytes[..n];
        while let Some(frame) = self.decoder.decode(&mut bytes).expect("what a session sends decodes (I33)") {
            assert_eq!(self.frames == 0, frame.frame_type() == FrameType::Hello, "{frame:?}");
            assert!(!self.is_over, "{frame:?} after the last words");
            self.is_over = matches!(frame.frame_type(), FrameType::Goodbye | FrameType::Error);
            self.frames += 1;
        }
    }
}

fn user(session: &mut Session, input: &mut Input<'_>) {
    let link = u32::from(input.u8() % 6) + 1;
    let first = input.number().max(1);
    let last = first.saturating_add(input.number());
    // Whatever is refused had no effect; that nothing panics, and that what goes out is in order, is the point.
    match input.u8() % 10 {
        0 | 1 => {
            let way = input.u8();
            let _ = session.open(ChannelKind::QUEUE, ChannelName::id(first), way & 1 != 0, way & 2 != 0);
        }
        2 | 3 => {
            let n = input.u8() as usize;
            let _ = session.publish(link, Payload::from(input.bytes(n)), n % 2 == 0);
        }
        4 => {
            let _ = session.grant(link, first);
        }
        5 => {
            let _ = session.ack(link, first..=last);
        }
        6 => {
            let _ = session.refuse(link, first..=last, Verdict::Again);
        }
        7 => {
            let _ = session.close_link(link);
        }
        8 => {
            session.flush_all_acks();
            let _ = session.ping(first);
        }
        _ => {
            if first > 200 {
                let _ = session.goodbye();
            } else {
                let _ = session.send_user(0x8000, 0, link, Payload::from("own"));
            }
        }
    }
}

fn broker_frame(input: &mut Input<'_>) -> Vec<u8> {
    let link = u32::from(input.u8() % 6) + 1;
    let number = input.number().max(1);
    let code = ErrorCode::new(input.u16());
    bytes_of(&match input.u8() % 12 {
        0 | 1 => Frame::Opened { link },
        2 => Frame::Closed { link, code, text: "over" },
        3 => Frame::Credit { link, upto: number },
        4 => Frame::Confirmed { link, upto: number },
        5 => Frame::Refused { link, first: number, last: number, code, text: "no" },
        6 | 7 => Frame::Delivery { link, tag: number, count: 1, payload: Payload::from("hello") },
        8 => Frame::Ping { token: number },
        9 => Frame::Pong { token: number },
        10 => Frame::User { kind: 0x8000, flags: 0, link, body: Payload::from("own") },
        _ if number > 200 => Frame::Goodbye { code, text: "" },
        _ => Frame::Ack { link, first: number, last: number },
    })
}

fn bytes_of(frame: &Frame<'_>) -> Vec<u8> {
    let mut out = SendQueue::new();
    encode(frame, &mut out).expect("a well-formed frame");
    out.to_vec()
}
