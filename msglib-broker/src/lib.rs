//! The broker of msglib, as a library.
//!
//! A broker is a program that you write: a [`Handler`] decides what happens with each frame of each connection, and
//! [`Broker`] runs it over whatever moves the bytes, in memory under a test or on sockets in production. What most brokers
//! need is here to be used or taken apart:
//!
//! - [`ConnectionHandler`]: the stock handler, with work queues.
//! - [`Queue`]: its queue as a value of its own, for a handler of yours, with a [`Store`] for its payloads; it knows neither frames nor connections.
//! - [`Topics`] and [`Requests`]: publish and subscribe, and request and reply, as such values.
//! - [`Admission`] and [`Channel`]: a decision, and a kind of channel, of your own for the stock handler.
//! - [`Core`]: the broker without its IO, to be driven from any loop.
//! - [`mod@record`]: the flight recorder, over any connection manager.
//! - [`Dialect`]: the wire format as a seam; [`Native`] is the protocol of `PROTOCOL.md`.
//!
//! Nothing here reads a clock, opens a socket, starts a thread or draws a random number of its own: given the same input,
//! time and seed, a broker does the same, byte for byte.
//!
//! ```no_run
//! # fn manager() -> Box<dyn msglib_broker::ConnectionManager> { unimplemented!() }
//! use msglib_broker::{Broker, ConnectionHandler};
//!
//! let mut broker = Broker::new(ConnectionHandler::new(), manager());
//! loop {
//!     broker.process_connections()?;
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), std::io::Error>(())
//! ```
#![forbid(unsafe_code)]
mod broker;
mod channel;
mod core;
mod dialect;
mod event;
mod handler;
mod identity;
mod native;
mod owners;
pub mod policy;
pub mod queue;
mod random;
mod reason;
pub mod record;
mod request;
mod stock;
mod table;
mod topic;
mod trace;

pub use broker::{Broker, BrokerConfig, Drained, Shutdown, Step, Stop};
pub use channel::{Channel, ChannelContext, ChannelLink, Publication, Question};
pub use core::{
    AnswerId, ConnectionInfo, Context, Core, CoreConfig, Counters, Deliveries, DeliveryRun, End, Frames, Load,
    PendingAnswer, Publish, TimerId,
};
pub use dialect::{Dialect, FrameBuffer, Received, SendError};
pub use event::Event;
pub use handler::{Handler, HandlerFn, handler_fn};
pub use identity::Identity;
pub use native::{Native, NativeSession};
pub use queue::{ConsumerId, Ledger, NewMessage, Offer, Queue, QueueConfig, Store, Turn, Undeliverable};
pub use reason::{Reason, Reject};
pub use request::{
    CallerId, Late, NotHandedOver, Outcome, OutcomeOffer, RequestLedger, RequestOffer, Requests, RequestsConfig,
    RequestsFull, ResponderId,
};
pub use stock::{
    Admission, ConnectionHandler, ConsumerKey, DeclareError, QueueInfo, QueueState, ServiceInfo, StockConfig,
    StockCounters, StockLoad,
};
pub use topic::{
    BadTopic, MAX_TOPIC_LEVELS, RunId, RunOffer, SubscribeError, SubscribeOptions, SubscriberId, SubscriptionInfo,
    TopicFilter, TopicId, TopicLedger, TopicName, TopicOffer, TopicOverflow, TopicRun, TopicTurn, Topics, TopicsConfig,
    TopicsFull,
};

pub use bytes::Bytes;
pub use msglib_proto::transport::{self, ConnectionId, ConnectionManager, Peer};
pub use msglib_proto::{
    Cause, ChannelKind, ChannelName, DeliveryOptions, ErrorCode, Feature, Frame, Hello, Instant, LinkNumber, NameError,
    Open, OwnedName, Payload, PublishOptions, QueueDispatch, QueueOrder, QueueOverflow, QueueSettings, Settling,
    TopicSettings, Verdict,
};
