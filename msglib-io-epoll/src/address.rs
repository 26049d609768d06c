//! Addresses of the system, as the transport contract has them.

use msglib_proto::transport::Address;
use socket2::SockAddr;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

/// Behind `[::]` an IPv4 peer is `::ffff:1.2.3.4`, which no allow-list would recognise.
pub(crate) fn internet(address: SocketAddr) -> Address {
    Address::Socket(match address {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(address.ip().to_canonical(), address.port())
        }
        other => other,
    })
}

pub(crate) fn unix(address: &UnixAddr) -> Address {
    named(address.as_pathname(), address.as_abstract_name())
}

/// Whatever a socket says of itself or its peer.
pub(crate) fn of_socket(address: &SockAddr) -> Address {
    match address.as_socket() {
        Some(socket) => internet(socket),
        None if address.is_unix() => named(address.as_pathname(), address.as_abstract_namespace()),
        None => Address::Other(format!("a socket of family {}", address.family()).into()),
    }
}

/// A name in Linux's abstract namespace, which is no path, is written with `@` before it, as `ss` and others do.
fn named(path: Option<&Path>, name: Option<&[u8]>) -> Address {
    let path = path.map(|path| path.to_string_lossy().into_owned());
    let name = || name.map(|name| format!("@{}", String::from_utf8_lossy(name)));
    Address::Unix(path.or_else(name).map(|words| words.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_name_is_written_as_people_know_it() {
        let path = UnixAddr::from_pathname("/run/a.sock").expect("a path");
        let name = UnixAddr::from_abstract_name(b"a\xFF").expect("a name");
        assert_eq!(unix(&path).to_string(), "unix:/run/a.sock");
        assert_eq!(unix(&name).to_string(), "unix:@a\u{FFFD}");
        assert_eq!(of_socket(&SockAddr::unix("").expect("no path")).to_string(), "unix:(unnamed)");
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:7".parse().expect("an address");
        assert_eq!(internet(mapped).to_string(), "10.0.0.1:7");
        assert_eq!(of_socket(&SockAddr::from(mapped)), internet(mapped));
    }
}
