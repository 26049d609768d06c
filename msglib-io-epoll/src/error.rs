//! Errors that say what failed, where, and what to do about it.

use core::fmt;
use msglib_proto::transport::{Address, ConnectionId};
use std::io;

/// What was tried at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Listen,
    Connect,
}

/// Nothing worked at any of these addresses.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", listed(.attempts))]
struct Failed {
    action: Action,
    attempts: Vec<Attempt>,
    #[source]
    last: io::Error,
}

/// One address, and why it did not work.
#[derive(Debug)]
struct Attempt {
    address: Address,
    reason: String,
}

/// An error about all `attempts`; it has the kind of the last one.
pub(crate) fn failed(action: Action, attempts: Vec<(Address, io::Error)>) -> io::Error {
    let reason = |(address, error): &(Address, io::Error)| Attempt {
        address: address.clone(),
        reason: reason(action, address, error),
    };
    let reasons = attempts.iter().map(reason).collect();
    match attempts.into_iter().next_back() {
        Some((_, last)) => io::Error::new(last.kind(), Failed { action, attempts: reasons, last }),
        None => io::Error::new(io::ErrorKind::InvalidInput, format!("cannot {action} a name without any address")),
    }
}

/// `error`, said to have come about while doing `what`.
pub(crate) fn during(what: &'static str) -> impl Fn(io::Error) -> io::Error {
    #[derive(Debug, thiserror::Error)]
    #[error("{what}: {source}")]
    struct During {
        what: &'static str,
        source: io::Error,
    }
    move |source| io::Error::new(source.kind(), During { what, source })
}

/// The answer to an id that is unknown, closed, or over because of an earlier error (T14).
pub(crate) fn no_such(id: ConnectionId) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("connection {id} is closed, or is not one of this manager"))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Listen => "listen on",
            Action::Connect => "connect to",
        })
    }
}

fn listed(attempts: &[Attempt]) -> String {
    let each: Vec<String> = attempts.iter().map(|Attempt { address, reason }| format!("{address}: {reason}")).collect();
    each.join(", nor ")
}

fn reason(action: Action, address: &Address, error: &io::Error) -> String {
    use io::ErrorKind::*;
    let is_path = matches!(address, Address::Unix(_));
    let known = match (action, error.kind()) {
        (Action::Listen, AddrInUse) if is_path => "somebody listens there; stop that program, or take another path",
        (Action::Listen, AlreadyExists) => "there is a file that is no socket; take another path, or take it away",
        (Action::Listen, NotFound) => "there is no such directory; make it first",
        (Action::Listen, PermissionDenied) if is_path => "permission denied; the directory must be writable",
        (Action::Connect, NotFound) => "there is no such socket; is the broker running, and does it listen there?",
        (Action::Connect, PermissionDenied) => "permission denied; its mode does not let this user connect",
        (Action::Listen, AddrInUse) => {
            "address in use; stop the program that has it, or take another port (0 lets the system choose)"
        }
        (Action::Listen, AddrNotAvailable) => {
            "no interface of this machine has this address; [::] listens on all of them"
        }
        (Action::Listen, PermissionDenied) => "permission denied; a port below 1024 needs CAP_NET_BIND_SERVICE",
        (Action::Connect, ConnectionRefused) => "connection refused; is the broker running, and does it listen there?",
        (Action::Connect, TimedOut) => "timed out; is the address right, and does a firewall let it through?",
        _ => return error.to_string(),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    fn at(port: u16) -> Address {
        Address::Socket(([127, 0, 0, 1], port).into())
    }

    #[test]
    fn every_address_is_named_and_the_last_error_is_kept() {
        let unreachable = io::Error::from_raw_os_error(101);
        let attempts = vec![(at(1), io::ErrorKind::ConnectionRefused.into()), (at(2), unreachable)];
        let error = failed(Action::Connect, attempts);
        assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable);
        let text = error.to_string();
        assert!(text.starts_with("cannot connect to 127.0.0.1:1: connection refused; is"), "{text}");
        assert!(text.contains(", nor 127.0.0.1:2: Network is unreachable"), "{text}");
        let source = error.source().and_then(|e| e.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error);
        assert_eq!(source, Some(101));
    }

    #[test]
    fn a_name_without_addresses_is_invalid() {
        let error = failed(Action::Listen, Vec::new());
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "cannot listen on a name without any address");
    }

    #[test]
    fn during_keeps_the_kind() {
        let error = during("creating the epoll instance")(io::ErrorKind::OutOfMemory.into());
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        assert_eq!(error.to_string(), "creating the epoll instance: out of memory");
    }
}
