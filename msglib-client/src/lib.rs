//! The client of msglib: publish to a broker, and receive from it.
//!
//! - [`Connection`] is the blocking client, over any `Read` and `Write`: a socket, a pipe, memory. On it:
//!   [`publish_to_q`], [`publish_to_q_confirmed`], [`blocking_pull_subscribe_to_queue`], [`subscribe_with_prefetch`],
//!   and for many messages a [`Publisher`].
//! - [`Reconnecting`] is a client on it that outlives its connection.
//! - [`Session`] is the machine below it, without IO, for event loops of the user's own.
//!
//! Nothing here opens a socket, reads a clock or starts a thread; what waits, and how long, is up to the stream. What a
//! message goes through between two clients is in `PROTOCOL.md`, which the code cites by section.
//!
//! ```no_run
//! use msglib_client::{ChannelName, Connection, blocking_pull_subscribe_to_queue, publish_to_q};
//! use std::net::TcpStream;
//!
//! enum QueueId {
//!     Greetings = 1,
//! }
//!
//! impl From<QueueId> for ChannelName<'static> {
//!     fn from(id: QueueId) -> Self {
//!         ChannelName::id(id as u64)
//!     }
//! }
//!
//! let stream = TcpStream::connect(("::1", 12345))?;
//! stream.set_nodelay(true)?; // else small writes can wait 40 ms for each other
//! let connection = Connection::from_halves(stream.try_clone()?, stream);
//! publish_to_q(&connection, QueueId::Greetings, b"Hello, world!")?;
//!
//! let mut sub = blocking_pull_subscribe_to_queue(&connection, QueueId::Greetings)?;
//! let msg = sub.next()?;
//! assert_eq!(msg.payload(), b"Hello, world!");
//! msg.ack()?;
//! connection.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod connection;
mod error;
mod number_ranges;
mod reconnect;
mod session;

pub use connection::{
    Batch, Builder, Confirmation, Connection, Deliveries, Delivery, Half, Heart, Iter, PendingReply, Publisher,
    Refusal, Refusals, Request, Service, Settlement, Settler, Stopper, Subscription, blocking_pull_subscribe_to_queue,
    publish_retained_to_topic, publish_to_q, publish_to_q_confirmed, publish_to_topic, request, serve,
    subscribe_to_topic, subscribe_with_prefetch,
};
pub use error::Error;
pub use reconnect::{Reconnecting, ReconnectingBuilder, ResendingPublisher, ResumingSubscription};
pub use session::{BrokerInfo, DeathCause, Details, End, Event, Session, SessionConfig, SessionError, UserFrame};

// What the signatures above speak of, so that a client needs no other crate.
pub use bytes::Bytes;
pub use msglib_proto::{
    ChannelKind, ChannelName, EncodeError, ErrorCode, Feature, Instant, NameError, OwnedName, Payload, ProtocolError,
    PublishOptions, QueueDispatch, QueueOrder, QueueOverflow, QueueSettings, Settling, TopicOverflow, TopicSettings,
    Verdict,
};
