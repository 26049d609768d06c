//! The wire format as a seam (rung 5 of the ladder of control in `docs/ladder.md`): what a core needs to know of a protocol.

mod frame_buffer;

pub use frame_buffer::FrameBuffer;

use crate::reason::{Reason, Reject};
use core::fmt;
use core::time::Duration;
use msglib_proto::transport::Peer;
use msglib_proto::{FrameType, SendQueue};
use thiserror::Error;

/// A wire format: how bytes become a handler's frames and back, and what a connection remembers in between.
///
/// A dialect is split in two for each connection: the [`Decoder`](Dialect::Decoder) turns bytes into frames and knows
/// nothing else, and the [`Session`](Dialect::Session) is what was agreed on. Frames can thus be borrowed from the
/// input while a handler writes to any connection.
///
/// To be written are the types, [`open`](Dialect::open), [`decode`](Dialect::decode) and [`send`](Dialect::send); the rest has a
/// default that fits a protocol without a handshake, without checks beyond its format, and without words of refusal. Most decoders
/// are a [`FrameBuffer`] and a function that measures a frame. A protocol whose answers come in the order of its requests has
/// [`Context::hold`](crate::Context::hold).
///
/// The native one is [`Native`](crate::Native). A broker that speaks several at once has a dialect that is an enum of
/// them, chosen in [`open`](Dialect::open) by the peer's listener.
pub trait Dialect: Sized {
    /// What turns one connection's bytes into frames.
    type Decoder;
    /// What one connection has agreed on: handshake, links, credit.
    type Session;
    /// What a handler receives.
    type Frame<'a>: fmt::Debug;
    /// What a handler sends.
    type Answer<'a>: fmt::Debug;
    /// How a peer can break the protocol.
    type Error: fmt::Display;

    /// The state of a new connection.
    fn open(&self, peer: &Peer) -> (Self::Decoder, Self::Session);

    /// Where in the peer's stream the next frame begins, for [`receive`](Dialect::receive). By default 0: errors do not say where.
    fn offset(decoder: &Self::Decoder) -> u64 {
        let _ = decoder;
        0
    }

    /// Takes the next frame from the front of `input`.
    ///
    /// `None` means that more is needed, and that all of `input` was taken.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol; terminal.
    fn decode<'a, 'i: 'a>(
        decoder: &'a mut Self::Decoder,
        input: &mut &'i [u8],
    ) -> Result<Option<Self::Frame<'a>>, Self::Error>;

    /// Checks a frame against the session, and answers by itself what is not the handler's business. By default all of it is.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol; terminal.
    fn receive(
        &self,
        session: &mut Self::Session,
        frame: &Self::Frame<'_>,
        offset: u64,
        out: &mut SendQueue,
    ) -> Result<Received, Self::Error> {
        let _ = (session, frame, offset, out);
        Ok(Received::Pass)
    }

    /// The handler serves these features, a bit each: said once, before the first connection. By default that means nothing.
    fn serve(&mut self, features: u64) {
        let _ = features;
    }

    /// The frame that was [`Received::PassAndAnswer`]ed may have changed what can be decoded from the next one on. By default nothing does.
    fn agreed(decoder: &mut Self::Decoder, session: &Self::Session) {
        let _ = (decoder, session);
    }

    /// The handler took the frame that was [`Received::PassAndAnswer`]ed: writes the answer that is due. By default nothing.
    fn accepted(&self, session: &mut Self::Session, out: &mut SendQueue) {
        let _ = (session, out);
    }

    /// The handler wants to answer the frame that was [`Received::PassAndAnswer`]ed later: whether that can be. If so, nothing
    /// may be written that would answer it, until [`accepted`](Dialect::accepted) or [`rejected`](Dialect::rejected) is called. By default it
    /// cannot.
    fn put_off(&self, session: &mut Self::Session) -> bool {
        let _ = session;
        false
    }

    /// The handler refused the last frame: writes the mildest answer that there is, and says whether the connection
    /// can go on. By default the protocol has no such words, and it cannot.
    fn rejected(&self, session: &mut Self::Session, reject: &Reject, out: &mut SendQueue) -> bool {
        let _ = (session, reject, out);
        false
    }

    /// Writes a handler's frame.
    ///
    /// # Errors
    ///
    /// The protocol, or the peer's credit, does not allow it now. Nothing was written.
    fn send(
        &self,
        session: &mut Self::Session,
        answer: &Self::Answer<'_>,
        out: &mut SendQueue,
    ) -> Result<(), SendError>;

    /// Whether the frame must wait for room on the connection ([`SendError::Full`]); others, such as the answers to
    /// what the peer sent, have a reserve. By default none has to wait, which is right where a peer gets only what it asked for.
    fn is_paced(answer: &Self::Answer<'_>) -> bool {
        let _ = answer;
        false
    }

    /// Whether the frame begins something that the peer would have to settle, so that it is not sent any more when the broker
    /// [drains](crate::Broker::drain). By default every frame that [is paced](Dialect::is_paced).
    fn begins_something(answer: &Self::Answer<'_>) -> bool {
        Self::is_paced(answer)
    }

    /// Writes that the broker will end the connection when `within` is over. By default nothing: the protocol has no such words.
    fn going_away(&self, session: &mut Self::Session, within: Duration, out: &mut SendQueue) {
        let _ = (session, within, out);
    }

    /// Writes the last words of a connection that ends for `reason`, if there are any. By default none.
    fn farewell(&self, session: &mut Self::Session, reason: &Reason, out: &mut SendQueue) {
        let _ = (session, reason, out);
    }

    /// Writes the last words to a peer that broke the protocol. By default none.
    fn failed(&self, session: &mut Self::Session, error: &Self::Error, out: &mut SendQueue) {
        let _ = (session, error, out);
    }

    /// How long a peer may go without a byte from here; `None` for as long as it likes.
    fn idle_limit(session: &Self::Session) -> Option<Duration> {
        let _ = session;
        None
    }

    /// How long this side waits for a byte of the peer's, from the end of the handshake on; `None`, the default, for as long as it
    /// takes. At half of it a [sign of life](Dialect::sign_of_life) is written, for the peer to answer.
    fn patience(&self, session: &Self::Session) -> Option<Duration> {
        let _ = session;
        None
    }

    /// Bytes of memory that the decoder holds of frames that are not whole, so that the sum of all connections can be bounded. By
    /// default 0, which is right where frames are small.
    fn buffered(decoder: &Self::Decoder) -> usize {
        let _ = decoder;
        0
    }

    /// Writes something that only shows that this side is alive.
    fn sign_of_life(&self, session: &mut Self::Session, out: &mut SendQueue) {
        let _ = (session, out);
    }

    /// Whether the handshake is done. By default there is none.
    fn is_greeted(session: &Self::Session) -> bool {
        let _ = session;
        true
    }
}

/// What a dialect makes of a frame.
#[derive(Debug)]
pub enum Received {
    /// The handler shall see it.
    Pass,
    /// The handler shall see it, and unless it refuses, [`Dialect::accepted`] writes the answer.
    PassAndAnswer,
    /// It is dealt with.
    Done,
    /// It was the peer's last.
    End(Reason),
}

/// Why a frame was not sent. Nothing was written, and nothing else is affected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is over.
    #[error("the connection is gone")]
    Gone,
    /// As much as may wait for this connection waits already; `Event::Drained` will tell when there is room.
    #[error("the connection is full; wait for Event::Drained")]
    Full,
    /// The link is not open, or not open for this.
    #[error("link {0} is not open for this frame")]
    LinkGone(u32),
    /// The peer has not allowed another delivery.
    #[error("no credit on link {0}; wait for its CREDIT")]
    NoCredit(u32),
    /// The frame needs a feature that the peer has not (PROTOCOL §14.2).
    #[error("{0} needs a feature that the peer has not")]
    NotAgreed(FrameType),
    /// The payload is larger than the peer takes.
    #[error("the payload has {size} bytes and the peer takes {max}")]
    TooLarge {
        /// Bytes of the payload.
        size: usize,
        /// What the peer takes.
        max: u32,
    },
    /// The protocol has no place for this frame here: a mistake of the caller's.
    #[error("misuse: {0}")]
    Misuse(&'static str),
}
