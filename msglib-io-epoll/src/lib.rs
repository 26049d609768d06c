//! The socket transport of msglib: TCP and Unix sockets on epoll, through mio and socket2.
//!
//! - For a broker: [`EpollSocketManager`], an implementation of
//!   [`ConnectionManager`](msglib_proto::transport::ConnectionManager) that keeps the rules T1 to T17 of
//!   [`msglib_proto::transport`].
//! - For a client: [`connect`] and [`connect_unix`], which give a [`SocketStream`]: `std::io::Read` and `Write`, with a time-out; and
//!   for one that reconnects a [`Pause`] and a [`seed`].
//!
//! The crate starts no thread, logs nothing and leaves signal dispositions alone: a write to a peer that is gone is an
//! error and never a `SIGPIPE`. It runs on 64-bit Linux.
//!
//! ```
//! use msglib_io_epoll::{EpollSocketManager, connect};
//! use msglib_proto::transport::{Close, ConnectionManager, Readiness};
//! use std::io::{self, IoSlice, Read, Write};
//! use std::time::Duration;
//!
//! let mut manager = EpollSocketManager::bind("[::1]:0")?;
//! let address = manager.local_addr().expect("it has a listener");
//!
//! let mut client = connect(address, Duration::from_secs(10))?;
//! client.write_all(b"ping")?;
//! client.shutdown_write()?;
//!
//! // An echo server, until its first client has gone.
//! let mut ready = Vec::new();
//! let mut buf = [0; 4096];
//! 'serve: loop {
//!     manager.poll(&mut ready, None)?;
//!     for readiness in ready.drain(..) {
//!         let Readiness::Readable(id) = readiness else { continue };
//!         match manager.read(id, &mut buf) {
//!             Ok(0) => {
//!                 let deadline = manager.now() + Duration::from_secs(1);
//!                 manager.close(id, Close::Drain { deadline });
//!                 break 'serve;
//!             }
//!             Ok(n) => assert_eq!(manager.write(id, &[IoSlice::new(&buf[..n])])?, n),
//!             Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
//!             Err(e) => return Err(e),
//!         }
//!     }
//! }
//! let mut echo = String::new();
//! client.read_to_string(&mut echo)?;
//! assert_eq!(echo, "ping");
//! # Ok::<(), io::Error>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(not(all(any(target_os = "linux", target_os = "android"), target_pointer_width = "64")))]
compile_error!("msglib-io-epoll needs 64-bit Linux: epoll, MSG_NOSIGNAL, and tokens that carry a generation");

mod acceptor;
mod address;
mod builder;
mod connect;
mod connection;
mod drains;
mod error;
mod listener;
mod manager;
mod selector;
mod send;
mod stats;
mod stream;
mod system;
mod token;
mod unix;

pub use builder::EpollSocketManagerBuilder;
pub use connect::{connect, connect_unix};
pub use manager::EpollSocketManager;
pub use stats::SocketStats;
pub use stream::SocketStream;
pub use system::{Pause, clock, seed, wait_at_most};
