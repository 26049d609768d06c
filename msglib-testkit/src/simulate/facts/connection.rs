//! What is known of one connection.

use super::LinkIndex;
use crate::simulate::featured::Credentials;
use msglib_proto::{ErrorCode, Instant};
use std::collections::VecDeque;

/// One connection, from its client's end.
#[derive(Debug)]
pub struct ConnectionFacts {
    /// Whose it is.
    pub client: usize,
    /// When it was made.
    pub since: Instant,
    /// The largest payload that it takes.
    pub takes: u32,
    /// What it shows at the door.
    pub credentials: Credentials,
    /// `WELCOME` was received.
    pub is_greeted: bool,
    /// Reads and writes as it should; not so while it is stalled.
    pub is_listening: bool,
    /// The client has said its last frame, or closed its sending side, or broken the protocol: it holds nothing any more.
    pub is_leaving: bool,
    /// Since when that is so.
    pub left_at: Option<Instant>,
    /// The client said `GOODBYE`, and the broker did not before.
    pub said_goodbye: bool,
    /// The client broke the protocol.
    pub is_hostile: bool,
    /// `GOODBYE` or `ERROR` was received.
    pub last_word: Option<ErrorCode>,
    /// Nothing passes any more.
    pub is_over: bool,
    /// The pings that were not answered, the first one first.
    pub pings: VecDeque<u64>,
    /// By number on the wire, from 1.
    pub(in crate::simulate) numbers: Vec<Option<LinkIndex>>,
}
