//! A frame that owns its parts, so that a strategy can make it and a test can keep it.

use bytes::Bytes;
use core::fmt;
use msglib_proto::{
    Cause, ChannelName, DeliveryOptions, Frame, FrameType, Hello, Open, OwnedName, Payload, PublishOptions, SendQueue,
    Welcome, encode,
};

/// A [`Frame`] that borrows nothing.
///
/// ```
/// use msglib_proto::Frame;
/// use msglib_testkit::strategies::OwnedFrame;
///
/// let ping = OwnedFrame::from(Frame::Ping { token: 7 });
/// assert_eq!(ping.as_frame(), Frame::Ping { token: 7 });
/// assert_eq!(ping.to_bytes().len(), 20);
/// ```
#[derive(Clone)]
pub struct OwnedFrame {
    /// The frame, but for its parts of variable length.
    fixed: Frame<'static>,
    /// The text, or the name of a `HELLO` or `WELCOME`.
    text: String,
    mechanism: String,
    /// The payload, the credentials or the arguments.
    bytes: Bytes,
    /// The name of the channel, or the source of a cause.
    channel: OwnedName,
    key: Option<Bytes>,
    topic: Option<Bytes>,
}

impl OwnedFrame {
    /// The frame, borrowed from here.
    pub fn as_frame(&self) -> Frame<'_> {
        let text = &*self.text;
        let payload = Payload::from(&self.bytes);
        match self.fixed {
            Frame::Hello(hello) => {
                Frame::Hello(Hello { name: text, mechanism: &self.mechanism, credentials: &self.bytes, ..hello })
            }
            Frame::Welcome(welcome) => Frame::Welcome(Welcome { name: text, ..welcome }),
            Frame::Goodbye { code, .. } => Frame::Goodbye { code, text },
            Frame::Error { code, offset, .. } => Frame::Error { code, offset, text },
            Frame::Open(open) => Frame::Open(Open { name: self.channel.borrow(), arguments: &self.bytes, ..open }),
            Frame::Closed { link, code, .. } => Frame::Closed { link, code, text },
            Frame::Publish { link, number, confirm, .. } => Frame::Publish { link, number, confirm, payload },
            Frame::Refused { link, first, last, code, .. } => Frame::Refused { link, first, last, code, text },
            Frame::Delivery { link, tag, count, .. } => Frame::Delivery { link, tag, count, payload },
            Frame::User { kind, flags, link, .. } => Frame::User { kind, flags, link, body: payload },
            Frame::PublishWith { link, number, confirm, retain, options, .. } => {
                let options = PublishOptions { key: self.key.as_deref(), topic: self.topic.as_deref(), ..options };
                Frame::PublishWith { link, number, confirm, retain, options, payload }
            }
            Frame::DeliveryWith { link, tag, count, retained, options, .. } => {
                let cause = options.cause.map(|cause| Cause { source: self.channel.borrow(), ..cause });
                let (key, topic) = (self.key.as_deref(), self.topic.as_deref());
                let options = DeliveryOptions { key, topic, cause, ..options };
                Frame::DeliveryWith { link, tag, count, retained, options, payload }
            }
            Frame::Request { link, number, deadline_ms, .. } => Frame::Request { link, number, deadline_ms, payload },
            Frame::Reply { link, number, .. } => Frame::Reply { link, number, payload },
            Frame::NoReply { link, number, code, .. } => Frame::NoReply { link, number, code, text },
            fixed => fixed,
        }
    }

    /// The type of the frame.
    pub fn frame_type(&self) -> FrameType {
        self.fixed.frame_type()
    }

    /// Its encoding (PROTOCOL §3).
    ///
    /// # Panics
    ///
    /// When it has none: strategies make no such frames, but a frame written by hand may be one.
    #[track_caller]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut queue = SendQueue::new();
        if let Err(error) = encode(&self.as_frame(), &mut queue) {
            panic!("{self:?} has no encoding: {error}");
        }
        queue.to_vec()
    }
}

/// A copy of all parts.
impl From<Frame<'_>> for OwnedFrame {
    fn from(frame: Frame<'_>) -> OwnedFrame {
        let nothing: (&str, &str, &[u8], ChannelName<'_>) = ("", "", &[], ChannelName::id(0));
        let no_payload = Payload::from("");
        let (mut key, mut topic) = (None, None);
        let with_text = |text| (text, "", &[][..], ChannelName::id(0));
        let (fixed, (text, mechanism, bytes, channel)) = match frame {
            Frame::Hello(hello) => {
                let parts = (hello.name, hello.mechanism, hello.credentials, ChannelName::id(0));
                let Hello { min_version, max_version, features, max_payload, idle_ms, .. } = hello;
                let (name, mechanism, credentials) = ("", "", &[][..]);
                let fixed =
                    Hello { min_version, max_version, features, max_payload, idle_ms, name, mechanism, credentials };
                (Frame::Hello(fixed), parts)
            }
            Frame::Welcome(welcome) => {
                let Welcome { version, features, max_payload, max_links, idle_ms, name } = welcome;
                let fixed = Welcome { version, features, max_payload, max_links, idle_ms, name: "" };
                (Frame::Welcome(fixed), with_text(name))
            }
            Frame::Goodbye { code, text } => (Frame::Goodbye { code, text: "" }, with_text(text)),
            Frame::Error { code, offset, text } => (Frame::Error { code, offset, text: "" }, with_text(text)),
            Frame::Ping { token } => (Frame::Ping { token }, nothing),
            Frame::Pong { token } => (Frame::Pong { token }, nothing),
            Frame::Open(open) => {
                let Open { link, publishes, consumes, kind, name, arguments } = open;
                let fixed = Open { link, publishes, consumes, kind, name: ChannelName::id(0), arguments: &[] };
                (Frame::Open(fixed), ("", "", arguments, name))
            }
            Frame::Opened { link } => (Frame::Opened { link }, nothing),
            Frame::Close { link } => (Frame::Close { link }, nothing),
            Frame::Closed { link, code, text } => (Frame::Closed { link, code, text: "" }, with_text(text)),
            Frame::Credit { link, upto } => (Frame::Credit { link, upto }, nothing),
            Frame::Publish { link, number, confirm, payload } => {
                let fixed = Frame::Publish { link, number, confirm, payload: Payload::from("") };
                (fixed, ("", "", payload.as_slice(), ChannelName::id(0)))
            }
            Frame::Confirmed { link, upto } => (Frame::Confirmed { link, upto }, nothing),
            Frame::Refused { link, first, last, code, text } => {
                (Frame::Refused { link, first, last, code, text: "" }, with_text(text))
            }
            Frame::Delivery { link, tag, count, payload } => {
                let fixed = Frame::Delivery { link, tag, count, payload: Payload::from("") };
                (fixed, ("", "", payload.as_slice(), ChannelName::id(0)))
            }
            Frame::Ack { link, first, last } => (Frame::Ack { link, first, last }, nothing),
            Frame::Refuse { link, first, last, verdict } => (Frame::Refuse { link, first, last, verdict }, nothing),
            Frame::GoingAway { deadline_ms } => (Frame::GoingAway { deadline_ms }, nothing),
            Frame::PublishWith { link, number, confirm, retain, options, payload } => {
                (key, topic) = (options.key, options.topic);
                let options = rest_of_publish(options);
                let fixed = Frame::PublishWith { link, number, confirm, retain, options, payload: no_payload };
                (fixed, ("", "", payload.as_slice(), ChannelName::id(0)))
            }
            Frame::Producer { link, id, base } => (Frame::Producer { link, id, base }, nothing),
            Frame::DeliveryWith { link, tag, count, retained, options, payload } => {
                (key, topic) = (options.key, options.topic);
                let source = options.cause.map_or(ChannelName::id(0), |cause| cause.source);
                let options = rest_of_delivery(options);
                let fixed = Frame::DeliveryWith { link, tag, count, retained, options, payload: no_payload };
                (fixed, ("", "", payload.as_slice(), source))
            }
            Frame::Settle { link, first, last, confirm, settling } => {
                (Frame::Settle { link, first, last, confirm, settling }, nothing)
            }
            Frame::Settled { link, first, last, count } => (Frame::Settled { link, first, last, count }, nothing),
            Frame::Gap { link, lost } => (Frame::Gap { link, lost }, nothing),
            Frame::Request { link, number, deadline_ms, payload } => {
                let fixed = Frame::Request { link, number, deadline_ms, payload: no_payload };
                (fixed, ("", "", payload.as_slice(), ChannelName::id(0)))
            }
            Frame::Reply { link, number, payload } => {
                let fixed = Frame::Reply { link, number, payload: no_payload };
                (fixed, ("", "", payload.as_slice(), ChannelName::id(0)))
            }
            Frame::NoReply { link, number, code, text } => {
                (Frame::NoReply { link, number, code, text: "" }, with_text(text))
            }
            Frame::User { kind, flags, link, body } => {
                let fixed = Frame::User { kind, flags, link, body: Payload::from("") };
                (fixed, ("", "", body.as_slice(), ChannelName::id(0)))
            }
        };
        OwnedFrame {
            fixed,
            text: text.to_owned(),
            mechanism: mechanism.to_owned(),
            bytes: Bytes::copy_from_slice(bytes),
            channel: channel.to_owned(),
            key: key.map(Bytes::copy_from_slice),
            topic: topic.map(Bytes::copy_from_slice),
        }
    }
}

/// What borrows nothing of it.
fn rest_of_publish(options: PublishOptions<'_>) -> PublishOptions<'static> {
    let PublishOptions { delay_ms, ttl_ms, priority, .. } = options;
    PublishOptions { delay_ms, ttl_ms, priority, key: None, topic: None }
}

/// What borrows nothing of it.
fn rest_of_delivery(options: DeliveryOptions<'_>) -> DeliveryOptions<'static> {
    let DeliveryOptions { id, priority, cause, .. } = options;
    let cause = cause.map(|Cause { reason, count, hops, first_ms, .. }| {
        let source = ChannelName::id(0);
        Cause { reason, count, hops, first_ms, source }
    });
    DeliveryOptions { id, priority, key: None, topic: None, cause }
}

impl PartialEq for OwnedFrame {
    fn eq(&self, other: &OwnedFrame) -> bool {
        self.as_frame() == other.as_frame()
    }
}

impl Eq for OwnedFrame {}

impl fmt::Debug for OwnedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_frame().fmt(f)
    }
}
