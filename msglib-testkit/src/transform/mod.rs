//! A transport whose bytes are not those on the wire: **the shape of TLS, and no security at all**.
//!
//! [`Transform`] wraps any connection manager, [`TransformStream`] the streams of its clients. Both cut what is written
//! into records, change every byte with a keystream, and give out nothing of a record before all of it has arrived.
//! That is what makes an encrypting transport hard to get right: a read from below may bring half of a record or three of
//! them, there is plaintext that no readiness from below will ever tell of, what was accepted may still wait to be
//! sent when the connection is closed, and a stream that ends inside a record was cut off. A broker, a client or
//! a decorator that works over `Transform` will work over TLS.
//!
//! # On the wire
//!
//! A record is the length of its body (u16, big-endian, 1 to [`MAX_RECORD`]) and the body, XORed with a keystream that
//! both ends derive from a key, one for each direction. A stream ends after a whole record.
//!
//! ```
//! use msglib_io_memory::{InMemoryConnectionManager, Transport};
//! use msglib_proto::transport::{ConnectionManager, Readiness};
//! use msglib_testkit::{Transform, TransformStream};
//! use std::io::{Read, Write};
//!
//! let transport = Transport::new();
//! let mut manager = Transform::new(InMemoryConnectionManager::new(&transport, "broker")?, 42);
//! let mut client = TransformStream::new(transport.connect("broker")?, 42);
//! client.write_all(b"Hello, world!")?;
//!
//! let mut ready = Vec::new();
//! manager.poll(&mut ready, None)?;
//! let mut buf = [0; 100];
//! let n = manager.read(ready[0].id(), &mut buf)?;
//! assert_eq!(&buf[..n], b"Hello, world!");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connection;
mod manager;
mod record;
mod stream;
#[cfg(test)]
mod tests;

pub use manager::Transform;
pub use record::MAX_RECORD;
pub use stream::TransformStream;
