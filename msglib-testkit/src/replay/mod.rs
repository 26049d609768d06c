//! Tells a broker again what a recorded one was told.
//!
//! The flight recorder ([`msglib_broker::record`]) keeps all that a production broker was told. There are three things to do with that:
//!
//! - [`Replayer`]: the same handler, once more, exactly; under a debugger, step by step, up to the panic if there was one. Every
//!   call that the broker makes is checked against the recording; the first that differs ends the replay with a
//!   [`Divergence`].
//! - [`diff`]: two handlers, or two builds of one, over the same inputs, and what each connection would have heard otherwise.
//! - [`lines`]: what was recorded, in readable lines; also of a ring that has forgotten its beginning.
//!
//! ```
//! use msglib_broker::record::{Recorder, Recording};
//! use msglib_broker::{Broker, ConnectionHandler};
//! use msglib_client::{Connection, publish_to_q};
//! use msglib_io_memory::{InMemoryConnectionManager, Transport};
//! use msglib_testkit::replay::{Build, Replayer};
//!
//! let transport = Transport::new();                              // in production: sockets
//! let recorder = Recorder::new(InMemoryConnectionManager::new(&transport, "broker")?);
//! let log = recorder.log();
//! let mut broker = Broker::new(ConnectionHandler::new(), recorder);
//! let client = Connection::new(transport.connect("broker")?);
//! publish_to_q(&client, "jobs", "a job")?;
//! broker.process_connections()?;
//! let mut file = Vec::new();
//! log.write_to(&mut file)?;
//!
//! let recording = Recording::read(&file[..])?;
//! let mut replayer = Replayer::new(&recording, Build::new(ConnectionHandler::new()))?;
//! while replayer.step()?.is_some() {}
//! assert_eq!(replayer.broker().handler().queue("jobs").unwrap().ledger.accepted, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod diff;
mod divergence;
mod feed;
mod listing;
mod manager;
mod outputs;
mod replayer;

pub use diff::{Change, ConnectionDiff, Diff, diff, diff_builds};
pub use divergence::{Divergence, Incomplete};
pub use listing::lines;
pub use manager::Replay;
pub use outputs::{Line, Outputs, outputs};
pub use replayer::{Progress, Replayer};

use msglib_broker::{BrokerConfig, Dialect, Handler, Native};

/// What a broker is made of. For an exact replay, the same as the recorded one: the same handler in the state in which it
/// was given to the broker, the same dialect, the same configuration.
#[derive(Clone, Debug)]
pub struct Build<H, D = Native> {
    handler: H,
    dialect: D,
    config: BrokerConfig,
}

impl<H: Handler> Build<H> {
    /// A handler, with every default; as [`Broker::new`](msglib_broker::Broker::new) makes it.
    pub fn new(handler: H) -> Build<H> {
        Build { handler, dialect: Native::default(), config: BrokerConfig::default() }
    }
}

impl<H, D: Dialect> Build<H, D> {
    /// With another dialect: other limits, another name, another protocol.
    pub fn with_dialect<E: Dialect>(self, dialect: E) -> Build<H, E> {
        Build { handler: self.handler, dialect, config: self.config }
    }

    /// With another configuration of the broker.
    pub fn with_config(mut self, config: BrokerConfig) -> Build<H, D> {
        self.config = config;
        self
    }
}
