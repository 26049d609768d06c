//! The in-memory transport of msglib: bounded pipes that block only if they are told to, and a clock that a test moves.
//!
//! A [`Transport`] is a little world of its own. In it a broker binds an [`InMemoryConnectionManager`] to the name of
//! an endpoint, and clients [`connect`](Transport::connect) to that name. Each of them gets a [`MemoryStream`], which is
//! `std::io::Read` and `Write`. Nothing here waits: what would have to wait says [`WouldBlock`](std::io::ErrorKind),
//! and time passes only when somebody moves the [`Clock`]. A client on a thread of its own can
//! [ask to wait](MemoryStream::set_blocking).
//!
//! So that a test sees its broker's faults, this transport reports no more than the contract
//! ([`msglib_proto::transport`]) makes it: a broker that stops reading before it was told `WouldBlock` waits in vain.
//! What happens in a world depends on nothing but the calls, in their order, and the configured seed.
//!
//! ```
//! use msglib_io_memory::{InMemoryConnectionManager, Transport};
//! use msglib_proto::transport::{Close, ConnectionManager, Readiness};
//! use std::io::{IoSlice, Read, Write};
//!
//! let transport = Transport::new();
//! let mut manager = InMemoryConnectionManager::new(&transport, "broker")?;
//! let mut client = transport.connect("broker")?;
//! client.write_all(b"ping")?;
//!
//! let mut ready = Vec::new();
//! manager.poll(&mut ready, None)?;
//! let [Readiness::Opened(id, _), Readiness::Readable(_)] = ready[..] else { panic!("{ready:?}") };
//!
//! let mut buf = [0; 16];
//! let n = manager.read(id, &mut buf)?;
//! assert_eq!(&buf[..n], b"ping");
//! manager.write(id, &[IoSlice::new(b"po"), IoSlice::new(b"ng")])?;
//! manager.close(id, Close::Drain { deadline: manager.now() + std::time::Duration::from_secs(1) });
//!
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert_eq!(answer, "pong");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod clock;
mod connection;
mod error;
mod hub;
mod manager;
mod pipe;
mod seeds;
mod stream;
mod transport;

pub use clock::Clock;
pub use error::{BindError, ConnectError};
pub use manager::InMemoryConnectionManager;
pub use stream::MemoryStream;
pub use transport::{Transport, TransportBuilder};
