//! What an event is about, packed into the number that the kernel keeps for us.

use mio::Token;
use msglib_proto::transport::ConnectionId;

/// Who an event is for.
///
/// A connection's token carries the generation of its slot, so that an event that was meant for an earlier user of the
/// slot finds nobody (the table of connections compares).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Connection(ConnectionId),
    /// By its position among the listeners.
    Listener(u32),
    Waker,
}

/// The lower half of a token, from here on: listeners. Descriptors are an `i32`, so no table gets that many slots.
const FIRST_LISTENER: u32 = 1 << 31;
/// The lower half of the waker's token.
const WAKER: u32 = u32::MAX;

impl Source {
    pub(crate) fn token(self) -> Token {
        match self {
            Source::Connection(id) => Token((id.generation() as usize) << 32 | id.index()),
            Source::Listener(n) => Token((FIRST_LISTENER + n) as usize),
            Source::Waker => Token(WAKER as usize),
        }
    }

    pub(crate) fn of(token: Token) -> Source {
        let (upper, lower) = ((token.0 >> 32) as u32, token.0 as u32);
        match lower {
            WAKER => Source::Waker,
            FIRST_LISTENER.. => Source::Listener(lower - FIRST_LISTENER),
            _ => Source::Connection(ConnectionId::new(lower, upper)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_who_it_is_for() {
        let sources = [
            Source::Connection(ConnectionId::new(0, 0)),
            Source::Connection(ConnectionId::new(FIRST_LISTENER - 1, u32::MAX)),
            Source::Connection(ConnectionId::new(7, 1)),
            Source::Listener(0),
            Source::Listener(1000),
            Source::Waker,
        ];
        for source in sources {
            assert_eq!(Source::of(source.token()), source);
        }
    }

    #[test]
    fn two_users_of_one_slot_have_different_tokens() {
        let [a, b] = [0, 1].map(|generation| Source::Connection(ConnectionId::new(3, generation)).token());
        assert_ne!(a, b);
    }
}
