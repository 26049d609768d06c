//! Who is there: how many connections in all, and how many from each address.

use super::config::CoreConfig;
use crate::reason::Reject;
use msglib_proto::ErrorCode;
use msglib_proto::transport::{Address, Peer};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Counts the connections that are not over.
#[derive(Debug, Default)]
pub(crate) struct Census {
    open: usize,
    /// Empty unless there is a limit for each.
    neighbours: BTreeMap<Neighbour, usize>,
}

/// Those who are one for [`CoreConfig::max_connections_per_address`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Neighbour {
    /// An IPv6 address without its lower half: everybody has a whole /64 to choose from.
    Ip(IpAddr),
    Other(Arc<str>),
}

impl Neighbour {
    /// `None` for peers on this machine, who have no address that tells them apart.
    fn of(peer: &Peer) -> Option<Neighbour> {
        match &peer.address {
            Address::Socket(address) => Some(Neighbour::Ip(match address.ip() {
                IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
                v4 => v4,
            })),
            Address::Other(words) => Some(Neighbour::Other(words.clone())),
            _ => None,
        }
    }
}

impl Census {
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Counts a new connection, unless there are too many.
    pub(crate) fn enter(&mut self, peer: &Peer, config: &CoreConfig) -> Result<(), Reject> {
        if self.open >= config.max_connections {
            return Err(Reject::new(ErrorCode::TOO_MANY_CONNECTIONS, "the broker has as many connections as it takes"));
        }
        if config.max_connections_per_address < usize::MAX
            && let Some(neighbour) = Neighbour::of(peer)
        {
            let count = self.neighbours.get(&neighbour).copied().unwrap_or(0);
            if count >= config.max_connections_per_address {
                let text = "your address has as many connections as the broker takes from one";
                return Err(Reject::new(ErrorCode::TOO_MANY_CONNECTIONS, text));
            }
            self.neighbours.insert(neighbour, count + 1);
        }
        self.open += 1;
        Ok(())
    }

    /// A connection that has entered is over.
    pub(crate) fn leave(&mut self, peer: &Peer) {
        self.open -= 1;
        if self.neighbours.is_empty() {
            return;
        }
        if let Some(neighbour) = Neighbour::of(peer)
            && let Some(count) = self.neighbours.get_mut(&neighbour)
        {
            *count -= 1;
            if *count == 0 {
                self.neighbours.remove(&neighbour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::new(Address::Socket(address.parse().expect("an address")))
    }

    #[test]
    fn an_address_has_so_many_whatever_its_port_or_the_lower_half_of_ipv6() {
        let config = CoreConfig::default().with_max_connections_per_address(2);
        let mut census = Census::default();
        for [a, b, c, other] in [
            ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3", "10.0.0.2:1"],
            ["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::ffff:0:0:3]:1", "[2001:db8:0:1::1]:1"],
        ] {
            assert!(census.enter(&peer(a), &config).is_ok());
            assert!(census.enter(&peer(b), &config).is_ok());
            let refusal = census.enter(&peer(c), &config).expect_err("one too many");
            assert_eq!(refusal.code(), ErrorCode::TOO_MANY_CONNECTIONS);
            assert!(census.enter(&peer(other), &config).is_ok());
            census.leave(&peer(a));
            assert!(census.enter(&peer(c), &config).is_ok());
        }
        for local in [Address::Memory(1), Address::Unix(None)] {
            assert!((0..10).all(|_| census.enter(&Peer::new(local.clone()), &config).is_ok()), "of this machine");
        }
        assert_eq!(census.open(), 26);
    }

    #[test]
    fn nothing_is_kept_of_those_who_have_left_nor_without_a_limit() {
        let (mut census, a) = (Census::default(), peer("10.0.0.1:1"));
        census.enter(&a, &CoreConfig::default()).expect("no limit");
        assert!(census.neighbours.is_empty());
        census.leave(&a);
        census.enter(&a, &CoreConfig::default().with_max_connections_per_address(1)).expect("the first");
        census.leave(&a);
        assert!(census.neighbours.is_empty());
        assert_eq!(census.open(), 0);
    }
}
