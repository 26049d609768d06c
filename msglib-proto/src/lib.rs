//! The wire protocol of msglib, without any IO.
//!
//! - Frames and their bytes: [`Frame`], [`Decoder`], [`encode`], [`SendQueue`], [`Limits`]. Normative in `PROTOCOL.md`,
//!   which the code cites by section.
//! - The rules of who may send what, and when, as data: [`ruling`].
//! - Time as an integer: [`Instant`].
//! - The contract between a broker and whatever moves its bytes: [`transport`].
//!
//! Nothing here reads a clock, opens a socket, starts a thread or draws a random number.
//!
//! ```
//! use msglib_proto::{Decoder, Frame, Limits, Payload, SendQueue, encode};
//!
//! let publish = Frame::Publish { link: 1, number: 1, confirm: true, payload: Payload::from("Hello, world!") };
//! let mut out = SendQueue::new();
//! encode(&publish, &mut out)?;
//!
//! let bytes = out.to_vec();
//! let mut input = &bytes[..];
//! let mut decoder = Decoder::new(&Limits::default());
//! assert_eq!(decoder.decode(&mut input)?, Some(publish));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod time;
pub mod transport;
mod wire;

pub use time::Instant;
pub use wire::channel::{ChannelKind, ChannelName, NameError, OwnedName};
pub use wire::code::ErrorCode;
pub use wire::decoder::Decoder;
pub use wire::encode::{EncodeError, encode, encode_delivery, encode_delivery_with};
pub use wire::feature::Feature;
pub use wire::frame::{Frame, Hello, LinkNumber, Open, Verdict, Welcome};
pub use wire::frame_type::{FrameType, Scope};
pub use wire::limits::{
    HEADER, INITIAL_PUBLISH_CREDIT, LINKS_BEFORE_WELCOME, Limits, MAGIC, MAX_ARGUMENTS, MAX_HELLO, MAX_NAME,
    MAX_SHORT_TEXT, MAX_TEXT, VERSION,
};
pub use wire::payload::Payload;
pub use wire::rules::{ConnectionState, LinkState, Role, Ruling, ruling};
pub use wire::send_queue::SendQueue;
pub use wire::settings::{
    QueueDispatch, QueueOrder, QueueOverflow, QueueSettings, SettingsError, TopicOverflow, TopicSettings,
};
pub use wire::violation::{ProtocolError, Violation};
pub use wire::with::{Cause, DeliveryOptions, PublishOptions, Settling};
