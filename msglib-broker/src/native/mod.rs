//! The native dialect: protocol version 1 on the broker's side.

mod links;
mod session;

pub(crate) use links::Link as NativeLink;
pub use session::NativeSession;

use crate::dialect::{Dialect, Received, SendError};
use crate::reason::{Reason, Reject};
use core::time::Duration;
use msglib_proto::transport::Peer;
use msglib_proto::{Decoder, Feature, Frame, FrameType, Limits, MAX_SHORT_TEXT, ProtocolError, SendQueue};

/// Protocol version 1, as `PROTOCOL.md` has it.
///
/// Handshake, signs of life and the states of links are looked after here, numbers and credit are checked (to grant publish
/// credit is the handler's); a handler sees the frames that mean something, knows that they are in order, and cannot send
/// what the protocol forbids. It also sees `HELLO`
/// (to refuse credentials) and `OPEN` and `CLOSE` of links; the answers `WELCOME`, `OPENED` and `CLOSED` go out by
/// themselves when it returns `Ok`, or before anything else that it sends there.
#[derive(Clone, Debug)]
pub struct Native {
    limits: Limits,
    name: String,
    /// What is offered; `None` for what the handler serves.
    features: Option<u64>,
    served: u64,
    idle_ms: u32,
}

impl Native {
    /// The native dialect with these limits.
    pub fn new(limits: Limits) -> Native {
        Native { limits, name: String::from("msglib"), features: None, served: 0, idle_ms: 0 }
    }

    /// Gives up clients from which nothing comes for so long ([`Reason::Silent`](crate::Reason::Silent)), in whole milliseconds, at least
    /// one; zero, the default, is never. Clients are told, and have to say something in time (PROTOCOL §4.2). At half of it the broker asks
    /// with a PING, so one that reads all the time needs no clock.
    ///
    /// For peers that vanish without a word where the transport does not notice by itself, and for those who hold a connection and do
    /// nothing with it: 60 s finds them in good time.
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Native {
        let millis = timeout.as_nanos().div_ceil(1_000_000);
        self.idle_ms = u32::try_from(millis).unwrap_or(u32::MAX);
        self
    }

    /// With other features than those that the handler [serves](crate::Handler::features), a bit each (PROTOCOL §14.1): to offer less of a
    /// handler, or those of the user's own.
    pub fn with_features(mut self, bits: u64) -> Native {
        self.features = Some(bits);
        self
    }

    /// With another name for the broker, which clients see in their logs; cut after 255 bytes.
    pub fn with_name(mut self, name: &str) -> Native {
        let mut end = name.len().min(MAX_SHORT_TEXT);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        self.name = String::from(&name[..end]);
        self
    }
}

impl Default for Native {
    fn default() -> Native {
        Native::new(Limits::default())
    }
}

impl Dialect for Native {
    type Decoder = Decoder;
    type Session = NativeSession;
    type Frame<'a> = Frame<'a>;
    type Answer<'a> = Frame<'a>;
    type Error = ProtocolError;

    fn open(&self, _peer: &Peer) -> (Decoder, NativeSession) {
        (Decoder::new(&self.limits), NativeSession::new(self.idle_ms))
    }

    #[inline]
    fn offset(decoder: &Decoder) -> u64 {
        decoder.offset()
    }

    #[inline]
    fn decode<'a, 'i: 'a>(decoder: &'a mut Decoder, input: &mut &'i [u8]) -> Result<Option<Frame<'a>>, ProtocolError> {
        decoder.decode(input)
    }

    #[inline]
    fn receive(
        &self,
        session: &mut NativeSession,
        frame: &Frame<'_>,
        offset: u64,
        out: &mut SendQueue,
    ) -> Result<Received, ProtocolError> {
        let offered = self.features.unwrap_or(self.served);
        session.receive(frame, &self.limits, offered, out).map_err(|violation| ProtocolError { offset, violation })
    }

    fn serve(&mut self, features: u64) {
        // To go away is the core's affair, whatever the handler.
        self.served = features | Feature::Drain.bit();
    }

    fn agreed(decoder: &mut Decoder, session: &NativeSession) {
        decoder.agree_on(session.features());
    }

    fn accepted(&self, session: &mut NativeSession, out: &mut SendQueue) {
        session.accepted(&self.limits, &self.name, out);
    }

    fn put_off(&self, session: &mut NativeSession) -> bool {
        session.put_off()
    }

    fn rejected(&self, session: &mut NativeSession, reject: &Reject, out: &mut SendQueue) -> bool {
        session.rejected(reject, out)
    }

    fn send(&self, session: &mut NativeSession, frame: &Frame<'_>, out: &mut SendQueue) -> Result<(), SendError> {
        session.send(frame, &self.limits, &self.name, out)
    }

    fn is_paced(frame: &Frame<'_>) -> bool {
        // A reply is an answer, but not to the one who sent last: a caller that does not read must not fill the reserve with them.
        use FrameType::{Delivery, DeliveryWith, Gap, Reply, Request, User};
        matches!(frame.frame_type(), Delivery | DeliveryWith | Gap | Reply | Request | User)
    }

    fn begins_something(frame: &Frame<'_>) -> bool {
        // A request has begun with its caller.
        matches!(frame.frame_type(), FrameType::Delivery | FrameType::DeliveryWith)
    }

    fn going_away(&self, session: &mut NativeSession, within: Duration, out: &mut SendQueue) {
        session.going_away(within, out);
    }

    fn farewell(&self, session: &mut NativeSession, reason: &Reason, out: &mut SendQueue) {
        session.farewell(reason, out);
    }

    fn failed(&self, session: &mut NativeSession, error: &ProtocolError, out: &mut SendQueue) {
        session.failed(error, out);
    }

    fn idle_limit(session: &NativeSession) -> Option<Duration> {
        session.idle_limit()
    }

    fn patience(&self, _session: &NativeSession) -> Option<Duration> {
        (self.idle_ms > 0).then(|| Duration::from_millis(u64::from(self.idle_ms)))
    }

    #[inline]
    fn buffered(decoder: &Decoder) -> usize {
        decoder.buffered()
    }

    fn sign_of_life(&self, session: &mut NativeSession, out: &mut SendQueue) {
        session.sign_of_life(out);
    }

    fn is_greeted(session: &NativeSession) -> bool {
        session.is_greeted()
    }
}
