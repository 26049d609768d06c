//! What can be set on the driver.

use crate::core::CoreConfig;

/// The configuration of a [`Broker`](crate::Broker).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BrokerConfig {
    /// The core's limits.
    pub core: CoreConfig,
    /// Bytes that one read may bring. There is one block of this size for the whole broker. Default 256 KiB: with 16 KiB
    /// the same messages cost twice as much over sockets.
    pub read_block: usize,
    /// Reads on one connection before the others have their turn. Default 4, so 1 MiB.
    pub reads_per_turn: usize,
}

impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        BrokerConfig { core: CoreConfig::default(), read_block: 256 * 1024, reads_per_turn: 4 }
    }
}

impl BrokerConfig {
    /// With other limits for the core.
    pub fn with_core(mut self, core: CoreConfig) -> BrokerConfig {
        self.core = core;
        self
    }

    /// With another [`read_block`](BrokerConfig::read_block), in bytes; 0 counts as 1.
    pub fn with_read_block(mut self, bytes: usize) -> BrokerConfig {
        self.read_block = bytes;
        self
    }

    /// With another [`reads_per_turn`](BrokerConfig::reads_per_turn); 0 counts as 1.
    pub fn with_reads_per_turn(mut self, reads: usize) -> BrokerConfig {
        self.reads_per_turn = reads;
        self
    }
}
