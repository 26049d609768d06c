//! The client's side of a connection as a state machine: bytes in, events out, frames queued. No IO, no clock.
//!
//! The blocking [`Connection`](crate::Connection) drives one; an event loop of the user's own can drive one as well.

mod blocks;
mod config;
mod details;
mod end;
mod event;
mod incoming;
mod links;
mod outgoing;

use blocks::Blocks;
pub use config::SessionConfig;
pub use details::{DeathCause, Details};
pub(crate) use end::why;
pub use end::{End, SessionError};
pub use event::{BrokerInfo, Event, UserFrame};

use core::ops::RangeInclusive;
use links::Links;
use msglib_proto::{
    ChannelKind, ChannelName, ConnectionState, Decoder, EncodeError, ErrorCode, Feature, Frame, Limits, LinkNumber,
    LinkState, Payload, ProtocolError, PublishOptions, SendQueue, Settling, Verdict, encode,
};

/// One connection, from the client's end, without IO.
///
/// - What the broker sends goes into [`handle_input`](Session::handle_input), which says what happened.
/// - What is to be sent is in [`pending`](Session::pending); ask after each call of anything else, and say with
///   [`sent`](Session::sent) how much of it is on its way.
/// - Everything else queues frames, or says why it cannot; then nothing was queued and nothing used up, so the same call
///   can be made again later.
///
/// Memory: what is queued and not [`sent`](Session::sent), which is up to whoever queues it (answers to pings are
/// bounded), a fixed amount for each link, at most one frame that has arrived in part, and a block of 4 KiB for small
/// payloads.
///
/// ```
/// use msglib_client::{Event, Session, SessionConfig};
/// use msglib_proto::{ChannelKind, ChannelName, ErrorCode, Frame, Payload, SendQueue, Welcome, encode};
///
/// let mut session = Session::new(&SessionConfig::default())?;
/// let link = session.open(ChannelKind::QUEUE, ChannelName::id(1), true, false)?;
/// let number = session.publish(link, Payload::from("Hello, world!"), true)?;
/// let n = session.pending().len();
/// session.sent(n);
///
/// // What a broker might answer.
/// let mut wire = SendQueue::new();
/// let welcome = Welcome { version: 1, features: 0, max_payload: 1024, max_links: 16, idle_ms: 0, name: "b" };
/// for frame in [Frame::Welcome(welcome), Frame::Opened { link }, Frame::Confirmed { link, upto: number }] {
///     encode(&frame, &mut wire)?;
/// }
/// let mut events = Vec::new();
/// session.handle_input(&wire.to_vec(), &mut events)?;
/// assert_eq!(events, [Event::Welcome, Event::Opened { link }, Event::Confirmed { link, upto: 1 }]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    core: Core,
}

/// All but the decoder, so that a decoded frame can be borrowed while it is acted on.
#[derive(Debug)]
struct Core {
    out: SendQueue,
    /// All bytes that were ever queued: before the `WELCOME` their number is limited.
    queued: u64,
    /// How far the broker's half has come.
    peer: ConnectionState,
    /// The feature bits that the `HELLO` offered.
    offered: u64,
    welcome: Option<BrokerInfo>,
    links: Links,
    blocks: Blocks,
    /// The latest ping that was not answered, because too much waits.
    pong_due: Option<u64>,
    said_goodbye: bool,
    end: Option<End>,
}

impl Session {
    /// A session at its beginning, with the `HELLO` queued.
    ///
    /// # Errors
    ///
    /// A name, mechanism or credentials that are too long.
    pub fn new(config: &SessionConfig) -> Result<Session, EncodeError> {
        let mut out = SendQueue::new();
        encode(&Frame::Hello(config.hello()), &mut out)?;
        let core = Core {
            queued: out.len() as u64,
            out,
            peer: ConnectionState::Fresh,
            offered: config.features,
            welcome: None,
            links: Links::new(),
            blocks: Blocks::default(),
            pong_due: None,
            said_goodbye: false,
            end: None,
        };
        let decoder = Decoder::new(&Limits::default().with_max_payload(config.max_payload));
        Ok(Session { decoder, core })
    }

    /// Takes bytes that the broker sent, in pieces of any size, and appends to `events` what they mean.
    ///
    /// When the broker broke the protocol, an `ERROR` that tells it so is queued behind what waits, unless this side
    /// has said its last frame already. Once the session is over, [`Event::Over`] has been appended and further input
    /// is thrown away.
    ///
    /// # Errors
    ///
    /// The rule that the broker broke, and where in its stream. Events of the frames before are in `events`.
    pub fn handle_input(&mut self, mut input: &[u8], events: &mut Vec<Event>) -> Result<(), ProtocolError> {
        let mut run = None;
        while self.core.end.is_none() {
            if let Some(link) = run.take() {
                self.deliveries(link, &mut input, events);
            }
            let (mut rest, was_welcome) = (input, self.core.welcome.is_some());
            let result = match self.decoder.decode(&mut rest) {
                Ok(None) => return Ok(()),
                // Borrowed, for to move a frame costs as much as to act on it.
                Ok(Some(ref frame)) => {
                    run = matches!(frame, Frame::Delivery { .. }).then(|| frame.link());
                    self.core.on_frame(frame, events)
                }
                Err(error) => return Err(self.core.on_violation(error, events)),
            };
            let rest = rest.len();
            if let Err(fault) = result {
                let offset = self.decoder.last_offset() + u64::from(fault.at);
                let error = ProtocolError { offset, violation: fault.violation };
                return Err(self.core.on_violation(error, events));
            }
            if !was_welcome && self.core.welcome.is_some() {
                // Its frames are known from the next one on (PROTOCOL §12.1).
                self.decoder.agree_on(self.core.features());
            }
            input = &input[input.len() - rest..];
        }
        Ok(())
    }

    /// What follows a delivery is most often another one on the same link, which needs less: the shortest way is for those that are in order
    /// in every way, and everything else is left to the general one.
    fn deliveries(&mut self, link: LinkNumber, input: &mut &[u8], events: &mut Vec<Event>) {
        let Core { links, blocks, .. } = &mut self.core;
        let Some(open) = links.get_mut(link).filter(|open| open.takes_deliveries()) else { return };
        while let Some((tag, count, payload)) = self.decoder.decode_delivery(link, input, |tag| open.deliver(tag)) {
            let payload = blocks.keep(Payload::from(payload));
            events.push(Event::Delivery { link, tag, count, payload, details: None });
        }
    }

    /// Opens a link to a channel; `publishes` and `consumes` say what for, and at least one must be.
    ///
    /// It can be used at once; whether the broker opens it is told by [`Event::Opened`] or [`Event::LinkClosed`].
    ///
    /// # Errors
    ///
    /// [`SessionError::NoFreeLink`], [`SessionError::BeforeWelcome`], and those of every call ([`SessionError::Over`]).
    pub fn open(
        &mut self,
        kind: ChannelKind,
        name: ChannelName<'_>,
        publishes: bool,
        consumes: bool,
    ) -> Result<LinkNumber, SessionError> {
        self.open_with_arguments(kind, name, publishes, consumes, &[])
    }

    /// As [`open`](Session::open), with arguments for the channel (at most 4,096 bytes; a queue takes none).
    ///
    /// # Errors
    ///
    /// As [`open`](Session::open).
    pub fn open_with_arguments(
        &mut self,
        kind: ChannelKind,
        name: ChannelName<'_>,
        publishes: bool,
        consumes: bool,
        arguments: &[u8],
    ) -> Result<LinkNumber, SessionError> {
        self.core.open(kind, name, publishes, consumes, arguments)
    }

    /// Queues a publish and returns its number: 1, 2, 3 … on each link. `confirm` asks for an [`Event::Confirmed`]; a
    /// refusal is told in any case.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoCredit`], [`SessionError::TooLarge`], [`SessionError::NoSuchLink`],
    /// [`SessionError::BeforeWelcome`], [`SessionError::Over`]. No number is used up.
    pub fn publish(&mut self, link: LinkNumber, payload: Payload<'_>, confirm: bool) -> Result<u64, SessionError> {
        self.core.publish(link, payload, confirm)
    }

    /// Queues a publish with more than its payload (PROTOCOL §14.3), as [`publish`](Session::publish); `retain` asks a topic to keep it
    /// as its last value. With nothing to be said it is a plain publish.
    ///
    /// # Errors
    ///
    /// As [`publish`](Session::publish), and [`SessionError::NotAgreed`].
    pub fn publish_with(
        &mut self,
        link: LinkNumber,
        payload: Payload<'_>,
        confirm: bool,
        retain: bool,
        options: &PublishOptions<'_>,
    ) -> Result<u64, SessionError> {
        self.core.publish_with(link, payload, confirm, retain, options)
    }

    /// Says who publishes on a link, across connections, before its first publish: from then on the publish with number n has the
    /// sequence `base` + n, and one that the broker has had before has no second effect (PROTOCOL §15.6). `id` is not 0.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoSuchLink`] (also after the first publish), [`SessionError::NotAgreed`], [`SessionError::BeforeWelcome`],
    /// [`SessionError::Invalid`], [`SessionError::Over`].
    pub fn producer(&mut self, link: LinkNumber, id: u128, base: u64) -> Result<(), SessionError> {
        self.core.producer(link, id, base)
    }

    /// Settles deliveries in any way that there is, at once (PROTOCOL §15.4), behind the acks that wait. With `confirm` an
    /// [`Event::Settled`] says how many of them it has changed.
    ///
    /// # Errors
    ///
    /// As [`refuse`](Session::refuse), and [`SessionError::NotAgreed`].
    pub fn settle(
        &mut self,
        link: LinkNumber,
        tags: RangeInclusive<u64>,
        settling: Settling,
        confirm: bool,
    ) -> Result<(), SessionError> {
        self.core.settle(link, tags, settling, confirm)
    }

    /// Queues a request and returns its number, one of the link's publishes; the outcome is an [`Event::Reply`] or an
    /// [`Event::NoReply`] (PROTOCOL §17). The broker waits for an answer for `deadline_ms` milliseconds.
    ///
    /// # Errors
    ///
    /// As [`publish`](Session::publish), and [`SessionError::NotAgreed`].
    pub fn request(&mut self, link: LinkNumber, payload: Payload<'_>, deadline_ms: u32) -> Result<u64, SessionError> {
        self.core.request(link, payload, deadline_ms)
    }

    /// Answers the request with this tag.
    ///
    /// # Errors
    ///
    /// [`SessionError::TooLarge`], [`SessionError::NoSuchLink`], [`SessionError::NotAgreed`], [`SessionError::Over`].
    pub fn reply(&mut self, link: LinkNumber, tag: u64, payload: Payload<'_>) -> Result<(), SessionError> {
        self.core.reply(link, tag, payload)
    }

    /// Says why the request with this tag gets no answer.
    ///
    /// # Errors
    ///
    /// As [`reply`](Session::reply).
    pub fn no_reply(&mut self, link: LinkNumber, tag: u64, code: ErrorCode, text: &str) -> Result<(), SessionError> {
        self.core.no_reply(link, tag, code, text)
    }

    /// Allows deliveries up to the tag `upto`. What was allowed stays so: a lower value, or the same, queues nothing.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoSuchLink`], [`SessionError::BeforeWelcome`], [`SessionError::Over`].
    pub fn grant(&mut self, link: LinkNumber, upto: u64) -> Result<(), SessionError> {
        self.core.grant(link, upto)
    }

    /// Settles deliveries for good. The tags wait for [`flush_acks`](Session::flush_acks), so that consecutive ones
    /// become one frame; [`close_link`](Session::close_link) and [`goodbye`](Session::goodbye) send them as well.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoSuchLink`], [`SessionError::Over`].
    ///
    /// # Panics
    ///
    /// For an empty range, and one that begins with 0.
    pub fn ack(&mut self, link: LinkNumber, tags: RangeInclusive<u64>) -> Result<(), SessionError> {
        assert!(*tags.start() >= 1 && !tags.is_empty(), "a range of tags begins with 1 and is not empty: {tags:?}");
        self.core.ack(link, tags)
    }

    /// How many tags wait for [`flush_acks`](Session::flush_acks) on the link.
    pub fn waiting_acks(&self, link: LinkNumber) -> u64 {
        self.core.links.get(link).map_or(0, |link| link.acks.count())
    }

    /// Queues the acks that wait on the link: a frame for each range.
    pub fn flush_acks(&mut self, link: LinkNumber) {
        self.core.flush_acks(link);
    }

    /// Queues the acks that wait on all links.
    pub fn flush_all_acks(&mut self) {
        self.core.flush_all_acks();
    }

    /// Gives deliveries back, undone (PROTOCOL §7.6).
    ///
    /// # Errors
    ///
    /// [`SessionError::NoSuchLink`], [`SessionError::Invalid`] for an empty range, [`SessionError::Over`].
    pub fn refuse(
        &mut self,
        link: LinkNumber,
        tags: RangeInclusive<u64>,
        verdict: Verdict,
    ) -> Result<(), SessionError> {
        self.core.refuse(link, tags, verdict)
    }

    /// Ends a link, behind the acks that wait. Its number is free after [`Event::LinkClosed`]; until then outcomes of
    /// publishes still come, deliveries go back to the channel.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoSuchLink`], [`SessionError::BeforeWelcome`], [`SessionError::Over`].
    pub fn close_link(&mut self, link: LinkNumber) -> Result<(), SessionError> {
        self.core.close_link(link)
    }

    /// Asks for a sign of life; the answer is an [`Event::Pong`].
    ///
    /// # Errors
    ///
    /// [`SessionError::BeforeWelcome`], [`SessionError::Over`].
    pub fn ping(&mut self, token: u64) -> Result<(), SessionError> {
        self.core.send(&Frame::Ping { token })
    }

    /// Queues a frame of the user's own (PROTOCOL §12.3); `kind` is `0x8000` or above.
    ///
    /// # Errors
    ///
    /// [`SessionError::TooLarge`], [`SessionError::Invalid`], [`SessionError::BeforeWelcome`], [`SessionError::Over`].
    pub fn send_user(&mut self, kind: u16, flags: u16, link: u32, body: Payload<'_>) -> Result<(), SessionError> {
        self.core.check_size(body.len())?;
        self.core.send(&Frame::User { kind, flags, link, body })
    }

    /// Queues this side's last frame, behind the acks that wait. Outcomes and the broker's own goodbye still come.
    ///
    /// # Errors
    ///
    /// [`SessionError::BeforeWelcome`], [`SessionError::Over`] (also when it was said before).
    pub fn goodbye(&mut self) -> Result<(), SessionError> {
        self.core.goodbye()
    }

    /// What is to be sent, in order. Ask after each call that can queue something.
    pub fn pending(&self) -> &SendQueue {
        &self.core.out
    }

    /// The first `n` bytes of [`pending`](Session::pending) are on their way.
    ///
    /// # Panics
    ///
    /// When `n` is more than what waits.
    pub fn sent(&mut self, n: usize) {
        self.core.out.advance(n);
        self.core.answer_ping();
    }

    /// Moves what is to be sent behind what waits in `queue`: for who writes without holding the session.
    pub fn drain_into(&mut self, queue: &mut SendQueue) {
        queue.append(&mut self.core.out);
        self.core.answer_ping();
        queue.append(&mut self.core.out);
    }

    /// Whether the broker has opened the link.
    pub fn is_open(&self, link: LinkNumber) -> bool {
        self.core.links.state(link) == LinkState::Open
    }

    /// What is needed of a feature: whether both sides have it.
    ///
    /// # Errors
    ///
    /// [`SessionError::NotAgreed`], [`SessionError::BeforeWelcome`], [`SessionError::Over`].
    pub fn check_agreed(&self, feature: Feature) -> Result<(), SessionError> {
        self.core.check_agreed(feature)
    }

    /// What the broker said when it took the client; `None` before.
    pub fn welcome(&self) -> Option<&BrokerInfo> {
        self.core.welcome.as_ref()
    }

    /// How the session ended; `None` while it has not. What is pending then is still to be sent.
    pub fn end(&self) -> Option<&End> {
        self.core.end.as_ref()
    }

    /// Whether [`goodbye`](Session::goodbye) was said, so that nothing more can be sent.
    pub fn said_goodbye(&self) -> bool {
        self.core.said_goodbye
    }

    /// Whether the broker's stream could end here: no frame is under way.
    pub fn is_between_frames(&self) -> bool {
        self.decoder.is_between_frames()
    }
}
