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

/// What a case may want otherwise.
pub(in crate::abuse) struct Setup {
    pub(in crate::abuse) max_connections: usize,
    pub(in crate::abuse) max_links: u32,
    pub(in crate::abuse) stock: StockConfig,
    /// How long the broker lets a client be silent; zero is for ever.
    pub(in crate::abuse) idle: Duration,
}

impl Default for Setup {
    fn default() -> Setup {
        let stock = StockConfig::default().with_max_bytes(MOST_IN_QUEUES);
        Setup { max_connections: MAX_CONNECTIONS, max_links: MAX_LINKS, stock, idle: Duration::ZERO }
    }
}

impl Setup {
    pub(super) fn broker<'f, F: Fixture>(&self, manager: Lent<'f, F>) -> Broker<ConnectionHandler, Lent<'f, F>> {
        let core = CoreConfig::default()
            .with_handshake_timeout(HANDSHAKE)
            .with_reserve(RESERVE)
            .with_high_water(HIGH_WATER)
            .with_max_connections(self.max_connections);
        let config = BrokerConfig::default().with_core(core);
        let config = config.with_read_block(READ_BLOCK).with_reads_per_turn(READS_PER_TURN);
        let limits = Limits::default().with_max_payload(MAX_PAYLOAD).with_max_links(self.max_links);
        let native = Native::new(limits).with_idle_timeout(self.idle);
        let handler = ConnectionHandler::with_config(self.stock.clone());
        Broker::with_config(handler, manager, native, config)
    }
}
