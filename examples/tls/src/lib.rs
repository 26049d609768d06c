//! TLS 1.3 for any transport of msglib, with [rustls].
//!
//! - For a broker: [`TlsManager`], around any connection manager. Handlers, and the broker itself, notice nothing but the
//!   [certificate](msglib_proto::transport::Peer::certificate) of a client that showed one.
//! - For a client: [`TlsStream`], over any stream, and in [two halves](TlsStream::into_halves) for two threads.
//!
//! ```
//! use msglib_broker::{Broker, ConnectionHandler};
//! use msglib_client::{Connection, publish_to_q_confirmed};
//! use msglib_io_epoll::{EpollSocketManager, connect};
//! use msglib_tls::{TlsManager, TlsStream, client_config, server_config};
//! use rustls::RootCertStore;
//! use rustls::pki_types::PrivateKeyDer;
//! use std::time::Duration;
//!
//! // In production from files; here one that is its own authority.
//! let made = rcgen::generate_simple_self_signed(["broker.example".to_owned()])?;
//! let (certificate, key) = (made.cert.der().clone(), PrivateKeyDer::try_from(made.signing_key.serialize_der())?);
//! let mut roots = RootCertStore::empty();
//! roots.add(certificate.clone())?;
//!
//! let sockets = EpollSocketManager::bind("[::1]:0")?;
//! let address = sockets.local_addr().ok_or("it listens")?;
//! let manager = TlsManager::new(sockets, server_config(vec![certificate], key, None)?);
//! let mut broker = Broker::new(ConnectionHandler::new(), manager);
//! let stop = broker.stopper();
//! let serving = std::thread::spawn(move || broker.run());
//!
//! let socket = connect(address, Duration::from_secs(10))?;
//! let writer = socket.try_clone()?;
//! let stream = TlsStream::new(socket, client_config(roots, None)?, "broker.example".try_into()?)?;
//! let (reader, writer) = stream.into_halves(writer)?;
//! let connection = Connection::from_halves(reader, writer);
//! publish_to_q_confirmed(&connection, "greetings", b"Hello, world!")?.wait()?;
//! connection.close()?;
//!
//! stop.stop();
//! serving.join().expect("the broker's thread")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod below;
mod config;
mod connection;
mod halves;
mod limits;
mod manager;
mod session;
mod stream;
mod waiting;

pub use config::{client_config, server_config};
pub use halves::{TlsReader, TlsWriter};
pub use limits::{TlsLimits, TlsStats};
pub use manager::TlsManager;
pub use stream::TlsStream;
