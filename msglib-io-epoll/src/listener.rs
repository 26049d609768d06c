//! Listening sockets, and what a failed accept means.

use crate::error::{Action, failed};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Listens on the first of `addresses` that works; if none does, the error names them all.
pub(crate) fn listen_on_first(addresses: impl Iterator<Item = SocketAddr>, backlog: i32) -> io::Result<TcpListener> {
    let mut attempts = Vec::new();
    for address in addresses {
        match open(address, backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => attempts.push((address, error)),
        }
    }
    Err(failed(Action::Listen, attempts))
}

fn open(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let SocketAddr::V6(v6) = address {
        // The system's default may be either; the wildcard is meant to be everything.
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    // A restarted broker must not wait for the old one's connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// What to do about an error of `accept`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Nobody waits: an edge will tell of the next one.
    Empty,
    /// The error was about one peer, which is gone: go on with the next.
    Next,
    /// The system is out of descriptors or memory, or something worse: not now.
    Pause,
}

/// Errors of a connection's network that `accept` passes on (`accept(2)`), and that std has no kind for.
const PASSED_ON: [i32; 5] = [EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EOPNOTSUPP];
const ENONET: i32 = 64;
const EPROTO: i32 = 71;
const ENOPROTOOPT: i32 = 92;
const EOPNOTSUPP: i32 = 95;
const EHOSTDOWN: i32 = 112;

/// Judges an error of `accept`. What is unknown is a reason to pause: that costs a second at most, and never spins.
pub(crate) fn judge(error: &io::Error) -> Verdict {
    use io::ErrorKind::*;
    match error.kind() {
        WouldBlock => Verdict::Empty,
        Interrupted | ConnectionAborted | ConnectionReset | TimedOut => Verdict::Next,
        NetworkDown | NetworkUnreachable | HostUnreachable => Verdict::Next,
        // A firewall's rule forbids this peer.
        PermissionDenied => Verdict::Next,
        _ if error.raw_os_error().is_some_and(|number| PASSED_ON.contains(&number)) => Verdict::Next,
        _ => Verdict::Pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_one_peer_are_passed_over_and_shortages_pause() {
        let verdict = |number| judge(&io::Error::from_raw_os_error(number));
        assert_eq!(verdict(11), Verdict::Empty, "EAGAIN");
        for (number, name) in [
            (103, "ECONNABORTED"),
            (71, "EPROTO"),
            (92, "ENOPROTOOPT"),
            (95, "EOPNOTSUPP"),
            (100, "ENETDOWN"),
            (101, "ENETUNREACH"),
            (112, "EHOSTDOWN"),
            (113, "EHOSTUNREACH"),
            (64, "ENONET"),
            (1, "EPERM"),
            (4, "EINTR"),
        ] {
            assert_eq!(verdict(number), Verdict::Next, "{name}");
        }
        for (number, name) in [(24, "EMFILE"), (23, "ENFILE"), (105, "ENOBUFS"), (12, "ENOMEM"), (22, "EINVAL")] {
            assert_eq!(verdict(number), Verdict::Pause, "{name}");
        }
    }
}
