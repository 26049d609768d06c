//! Every limit of the wire, with its default (PROTOCOL §11).

/// Bytes of a frame's header.
pub const HEADER: u32 = 12;
/// The magic number at the start of `HELLO` (PROTOCOL §4.1).
pub const MAGIC: [u8; 4] = *b"MSGL";
/// The protocol version that this crate speaks.
pub const VERSION: u16 = 1;
/// The longest `HELLO`, and all that a client may send before it has its `WELCOME`, in bytes (PROTOCOL §4.4).
pub const MAX_HELLO: u32 = 16_384;
/// The longest text in a frame, in bytes of UTF-8.
pub const MAX_TEXT: u32 = 1_024;
/// The longest arguments of an `OPEN`, in bytes.
pub const MAX_ARGUMENTS: u32 = 4_096;
/// The longest name of a channel, in bytes.
pub const MAX_NAME: usize = 255;
/// The longest name and mechanism in `HELLO`, and name in `WELCOME`, in bytes of UTF-8.
pub const MAX_SHORT_TEXT: usize = 255;
/// Links that a client may open before it has its `WELCOME` (PROTOCOL §5.2).
pub const LINKS_BEFORE_WELCOME: u32 = 16;
/// Publishes that a new link allows before the first `CREDIT` (PROTOCOL §6.2).
pub const INITIAL_PUBLISH_CREDIT: u64 = 16;

/// What one side of a connection is willing to take; each side has its own.
///
/// ```
/// use msglib_proto::Limits;
///
/// let small = Limits::default().with_max_payload(64 * 1024);
/// assert_eq!(small.max_links, Limits::default().max_links);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The largest payload of a publish, a delivery or a frame of the user's own, in bytes. Default 16 MiB: a larger
    /// thing is better put elsewhere and referred to.
    pub max_payload: u32,
    /// How many links a connection may have at once. Default 65,536: more than a program opens by hand, and at about
    /// a hundred bytes each still only megabytes.
    pub max_links: u32,
}

impl Limits {
    /// The defaults with another [`max_payload`](Limits::max_payload).
    pub fn with_max_payload(mut self, bytes: u32) -> Limits {
        self.max_payload = bytes;
        self
    }

    /// The defaults with another [`max_links`](Limits::max_links).
    pub fn with_max_links(mut self, links: u32) -> Limits {
        self.max_links = links;
        self
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_payload: 16 * 1024 * 1024, max_links: 65_536 }
    }
}
