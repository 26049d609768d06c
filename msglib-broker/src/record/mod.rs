//! The flight recorder: all that a broker was told, kept so that it can be told again.
//!
//! A broker does the same, byte for byte, when it is told the same. What it is told comes through its connection manager: the seed,
//! the time, the reports of each poll, the bytes and errors of each read, how much of each write was taken. A [`Recorder`]
//! is a decorator that keeps all of this while a broker runs in production; `msglib-testkit` plays a [`Recording`] back to
//! a handler, exactly, or to another build of it. `docs/recording.md` has the format of the files.
//!
//! ```
//! # use msglib_proto::{Instant, transport::*};
//! use msglib_broker::record::{Recorder, Recording};
//! use msglib_broker::{Broker, ConnectionHandler};
//!
//! # struct Idle;
//! # impl ConnectionManager for Idle {
//! #     fn now(&self) -> Instant { Instant::ZERO }
//! #     fn poll(&mut self, _: &mut Vec<Readiness>, _: Option<std::time::Duration>) -> std::io::Result<()> { Ok(()) }
//! #     fn read(&mut self, _: ConnectionId, _: &mut [u8]) -> std::io::Result<usize> { Ok(0) }
//! #     fn write(&mut self, _: ConnectionId, _: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> { Ok(0) }
//! #     fn close(&mut self, _: ConnectionId, _: Close) {}
//! #     fn waker(&self) -> Option<Waker> { None }
//! #     fn seed(&mut self) -> u128 { 1 }
//! # }
//! # let manager = || Idle;
//! let recorder = Recorder::in_ring(manager(), 64 << 20).about("broker 1.2 --max-messages 1000");
//! let log = recorder.log(); // Clone + Send + Sync: for a signal handler's thread, or a panic hook
//! let mut broker = Broker::new(ConnectionHandler::new(), recorder);
//! broker.process_connections()?;
//!
//! let mut file = Vec::new(); // or a file
//! log.write_to(&mut file)?;
//! let recording = Recording::read(&file[..])?;
//! assert_eq!(recording.about(), "broker 1.2 --max-messages 1000");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What is in it is secret.** A recording holds every byte that clients sent: credentials and payloads. Keep it as you would keep those.
//!
//! # A ring, or a file
//!
//! [`Recorder::in_ring`] keeps the last so many bytes in memory, and writes them when it is asked, or when the broker panics.
//! [`Recorder::to_stream`] writes all of it to a file, or whatever else is `Write`, as it goes.
//!
//! An exact replay begins where the broker began, with nothing in it. So a ring that was never full can be replayed exactly, and
//! so can a stream. A ring that was full has forgotten the beginning ([`Recording::dropped`]): what is left can be read, line
//! by line, and the connections that were opened since can be fed to a handler, but that is not what the broker did: it also
//! had in it what came before. Who wants an exact replay of a broker that runs for long streams to a file, or makes the ring
//! as large as what comes in between two restarts.
//!
//! # What a recorder cannot see
//!
//! It sees what goes over the connection manager. What a program does to its broker beside that is an input too, and the program puts
//! it into the recording: [`RecordLog::shutting_down`] before [`Broker::shutdown`](crate::Broker::shutdown), and
//! [`RecordLog::note`] before anything that changes the handler from outside. A [drain](crate::Broker::drain) needs neither. A program does not ask the recorder for the
//! time between two steps. The handler's own configuration is not recorded; [`Recorder::about`] is for the words that say what
//! it was.

mod decode;
mod encode;
mod error;
mod file;
mod recorder;
mod recording;
mod sink;
mod types;

pub use error::{RecordedError, RecordingError};
pub use recorder::{RecordLog, Recorder};
pub use recording::{Position, Recording, Records};
pub use sink::{Dropped, RecordCounters};
pub use types::Record;
