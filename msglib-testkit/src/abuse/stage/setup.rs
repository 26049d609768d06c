//! The broker of a case: its limits are low, so that they are met.

use super::lent::Lent;
use crate::abuse::raw::{MAX_LINKS, MAX_PAYLOAD};
use crate::conformance::Fixture;
use core::time::Duration;
use msglib_broker::{Broker, BrokerConfig, ConnectionHandler, CoreConfig, Native, StockConfig};
use msglib_proto::Limits;

/// How long the broker of each case gives a client for its handshake.
pub(in crate::abuse) const HANDSHAKE: Duration = Duration::from_millis(500);
/// As many connections as the broker of a case takes at once if nothing else is said, the witnesses' included.
pub(in crate::abuse) const MAX_CONNECTIONS: usize = 40;
/// What the broker of each case holds for one connection at most: its reserve for answers, and what one turn reads.
pub(in crate::abuse) const MOST_HELD: u64 = (RESERVE + TURN) as u64;
/// Bytes that all queues together may hold.
pub(super) const MOST_IN_QUEUES: usize = 16 << 20;
/// The memory that one connection may take for what it has sent, and is not done with: a whole frame, and what one turn reads. Buffers grow by
/// doubling.
pub(super) const MOST_INBOUND: usize = 2 * (MAX_PAYLOAD as usize + 4_096 + TURN);
/// What may wait for one connection: deliveries up to the mark and one more, the reserve, and the answers to one turn, the longest of which
/// are eight times what they answer.
pub(super) const MOST_OUTBOUND: usize = HIGH_WATER + MAX_PAYLOAD as usize + 4_096 + RESERVE + 8 * TURN;

const RESERVE: usize = 65_536;
const HIGH_WATER: usize = 256 * 1024;
const READ_BLOCK: usize = 16_384;
const READS_PER_TURN: usize = 4;
const TURN: usize = READ_BLOCK * READS_PER_TURN;

/// The broker of a case, before it starts.
#[non_exhaustive]
pub struct Setup {
    /// Connections and their deadlines.
    pub core: CoreConfig,
    /// Queues and topics.
    pub stock: StockConfig,
    /// Payloads and links.
    pub limits: Limits,
    /// How long the broker lets a client be silent; zero is for ever.
    pub idle: Duration,
}

impl Default for Setup {
    fn default() -> Setup {
        let core = CoreConfig::default()
            .with_handshake_timeout(HANDSHAKE)
            .with_reserve(RESERVE)
            .with_high_water(HIGH_WATER)
            .with_max_connections(MAX_CONNECTIONS);
        let stock = StockConfig::default().with_max_bytes(MOST_IN_QUEUES);
        let limits = Limits::default().with_max_payload(MAX_PAYLOAD).with_max_links(MAX_LINKS);
        Setup { core, stock, limits, idle: Duration::ZERO }
    }
}

impl Setup {
    pub(in crate::abuse) fn with_max_links(mut self, links: u32) -> Setup {
        self.limits.max_links = links;
        self
    }

    pub(super) fn broker<'f, F: Fixture>(self, manager: Lent<'f, F>) -> Broker<ConnectionHandler, Lent<'f, F>> {
        let config = BrokerConfig::default().with_core(self.core);
        let config = config.with_read_block(READ_BLOCK).with_reads_per_turn(READS_PER_TURN);
        let native = Native::new(self.limits).with_idle_timeout(self.idle);
        Broker::with_config(ConnectionHandler::with_config(self.stock), manager, native, config)
    }
}
