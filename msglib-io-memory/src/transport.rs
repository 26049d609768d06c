//! The world that brokers and clients of one test, or one process, share.

use crate::hub::Hub;
use crate::seeds::Seeds;
use crate::{BindError, Clock, ConnectError, MemoryStream};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A world of its own: endpoints by name, the connections to them, a clock, and a seed. Clones are the same world.
///
/// ```
/// use msglib_io_memory::{InMemoryConnectionManager, Transport};
///
/// let transport = Transport::new();
/// assert!(transport.connect("broker").is_err());
///
/// let _manager = InMemoryConnectionManager::new(&transport, "broker")?;
/// let _connection = transport.connect("broker")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transport {
    world: Arc<World>,
}

#[derive(Debug)]
struct World {
    pipe_capacity: usize,
    backlog: usize,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    endpoints: BTreeMap<String, Arc<Hub>>,
    next_address: u64,
    seeds: Seeds,
}

impl Transport {
    /// A new world with the defaults of [`TransportBuilder`].
    pub fn new() -> Transport {
        Transport::builder().build()
    }

    /// A new world with something else than the defaults.
    pub fn builder() -> TransportBuilder {
        TransportBuilder::default()
    }

    /// Connects to the manager that is bound to `endpoint`. Its broker learns of it at its next poll; the stream can be
    /// written to at once.
    ///
    /// # Errors
    ///
    /// When no manager is bound to `endpoint`, and when its [backlog](TransportBuilder::backlog) is full.
    pub fn connect(&self, endpoint: impl AsRef<str>) -> Result<MemoryStream, ConnectError> {
        let endpoint = endpoint.as_ref();
        // Held until the hub has the connection, so that it cannot be unbound in between. The order is always this one.
        let mut state = self.lock();
        let Some(hub) = state.endpoints.get(endpoint).cloned() else {
            let bound = state.endpoints.keys().cloned().collect();
            return Err(ConnectError::Refused { endpoint: endpoint.to_owned(), bound });
        };
        let address = state.next_address;
        let id = hub
            .connect(address)
            .map_err(|waiting| ConnectError::BacklogFull { endpoint: endpoint.to_owned(), waiting })?;
        state.next_address += 1;
        Ok(MemoryStream::new(hub, id, address))
    }

    /// The clock of this world, the one that its managers go by.
    pub fn clock(&self) -> Clock {
        self.world.clock.clone()
    }

    pub(crate) fn bind(&self, endpoint: &str) -> Result<Arc<Hub>, BindError> {
        match self.lock().endpoints.entry(endpoint.to_owned()) {
            Entry::Occupied(_) => Err(BindError::AlreadyBound { endpoint: endpoint.to_owned() }),
            Entry::Vacant(vacant) => {
                let hub = Hub::new(self.world.pipe_capacity, self.world.backlog);
                Ok(Arc::clone(vacant.insert(Arc::new(hub))))
            }
        }
    }

    /// Nobody connects to `hub` any more. The endpoint may be another manager's by now.
    pub(crate) fn unbind(&self, endpoint: &str, hub: &Arc<Hub>) {
        let mut state = self.lock();
        if state.endpoints.get(endpoint).is_some_and(|bound| Arc::ptr_eq(bound, hub)) {
            state.endpoints.remove(endpoint);
        }
    }

    pub(crate) fn next_seed(&self) -> u128 {
        self.lock().seeds.next_seed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is a single step, so a panic in the holder's thread leaves it whole.
        self.world.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Transport {
    fn default() -> Transport {
        Transport::new()
    }
}

/// The settings of a [`Transport`].
///
/// ```
/// use msglib_io_memory::Transport;
///
/// let transport = Transport::builder().pipe_capacity(1024).backlog(8).seed(42).build();
/// # let _ = transport;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing before build()"]
pub struct TransportBuilder {
    pipe_capacity: usize,
    backlog: usize,
    seed: u128,
}

impl TransportBuilder {
    /// How many bytes each direction of a connection holds before a write says `WouldBlock`. 65,536 unless set; zero
    /// counts as one, since nothing would ever move.
    pub fn pipe_capacity(mut self, bytes: usize) -> TransportBuilder {
        self.pipe_capacity = bytes.max(1);
        self
    }

    /// How many connections to one endpoint may wait for its manager's next poll. 1,024 unless set; with zero every
    /// connection is refused.
    pub fn backlog(mut self, connections: usize) -> TransportBuilder {
        self.backlog = connections;
        self
    }

    /// What the first call of a manager's `seed` in this world returns; later ones follow from it. A fixed number
    /// unless set.
    pub fn seed(mut self, seed: u128) -> TransportBuilder {
        self.seed = seed;
        self
    }

    /// Makes the world.
    pub fn build(self) -> Transport {
        let state = State { endpoints: BTreeMap::new(), next_address: 0, seeds: Seeds::new(self.seed) };
        let TransportBuilder { pipe_capacity, backlog, .. } = self;
        Transport {
            world: Arc::new(World { pipe_capacity, backlog, clock: Clock::default(), state: Mutex::new(state) }),
        }
    }
}

impl Default for TransportBuilder {
    fn default() -> TransportBuilder {
        TransportBuilder { pipe_capacity: 64 * 1024, backlog: 1024, seed: 0x6d73_676c_6962_2d69_6f2d_6d65_6d6f_7279 }
    }
}
