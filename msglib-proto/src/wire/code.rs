//! Error codes: one space for errors, closed links, refused publishes and goodbyes (PROTOCOL §9).

use core::fmt;

/// Why something was refused, closed or ended (PROTOCOL §9).
///
/// Codes from `0x8000` on belong to the user. A code that this version does not know is passed on as it is.
///
/// ```
/// use msglib_proto::ErrorCode;
///
/// assert_eq!(ErrorCode::QUEUE_FULL.to_string(), "QUEUE_FULL (0x0401)");
/// assert!(ErrorCode::QUEUE_FULL.is_worth_retrying());
/// assert_eq!(ErrorCode::user(3).value(), 0x8003);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(u16);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $again:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: ErrorCode = ErrorCode($value);)*

            /// Every code of protocol version 1, in ascending order.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name),*];

            /// The name that PROTOCOL §9 gives to the code; `None` for the user's codes and those of later versions.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// Whether the same thing, tried again later and unchanged, can succeed (PROTOCOL §9).
            ///
            /// Codes that are not known here, and the user's, count as not worth it.
            pub const fn is_worth_retrying(self) -> bool {
                match self.0 {
                    $($value => $again,)*
                    _ => false,
                }
            }
        }
    };
}

codes! {
    /// Nothing went wrong: an end that was asked for.
    NONE = 0x0000, true;

    /// The length of a frame is below the header's, or does not fit its type.
    FRAME_LENGTH = 0x0101, false;
    /// The payload of a frame is larger than the receiver takes.
    FRAME_TOO_LARGE = 0x0102, false;
    /// A frame type that was not agreed on.
    UNKNOWN_TYPE = 0x0103, false;
    /// A flag that the frame type does not have.
    RESERVED_FLAG = 0x0104, false;
    /// A field has a value that it must not have.
    BAD_FIELD = 0x0105, false;
    /// The connection did not begin with the magic number.
    BAD_MAGIC = 0x0106, false;
    /// The two sides have no protocol version in common.
    NO_COMMON_VERSION = 0x0107, false;
    /// A frame that its sender may not send, or not now.
    UNEXPECTED_FRAME = 0x0108, false;
    /// A frame on a link that is not in the state for it.
    BAD_LINK = 0x0109, false;
    /// More was sent than the credit allowed, or credit was taken back.
    CREDIT = 0x010A, false;
    /// Publishes or deliveries were not numbered one by one.
    BAD_NUMBER = 0x010B, false;
    /// The handshake was not finished in time.
    HANDSHAKE_TIMEOUT = 0x010C, true;
    /// Nothing arrived for longer than was agreed.
    IDLE_TIMEOUT = 0x010D, true;

    /// The credentials were not accepted.
    BAD_CREDENTIALS = 0x0201, false;
    /// There are too many connections.
    TOO_MANY_CONNECTIONS = 0x0202, true;
    /// The broker is going away.
    SHUTTING_DOWN = 0x0203, true;
    /// The other side did not read what was sent to it.
    TOO_SLOW = 0x0204, true;

    /// No channel of that kind.
    UNKNOWN_KIND = 0x0301, false;
    /// Not with these credentials, or not with this channel.
    NOT_ALLOWED = 0x0302, false;
    /// The connection has too many links.
    TOO_MANY_LINKS = 0x0303, true;
    /// The arguments of an `OPEN` mean nothing to the channel.
    BAD_ARGUMENTS = 0x0304, false;
    /// The channel was deleted.
    CHANNEL_DELETED = 0x0305, false;
    /// There are too many channels.
    TOO_MANY_CHANNELS = 0x0306, true;
    /// The next delivery is larger than the consumer said it takes.
    CONSUMER_TOO_SMALL = 0x0307, false;
    /// The channel is there with other settings.
    DECLARED_OTHERWISE = 0x0308, false;
    /// The name is not one that the kind of channel has.
    BAD_NAME = 0x0309, false;

    /// The channel is at its limit.
    QUEUE_FULL = 0x0401, true;
    /// The broker is at its limit.
    BUSY = 0x0402, true;
    /// The message is larger than the channel takes.
    MESSAGE_TOO_LARGE = 0x0403, false;
    /// A publish that its producer has repeated too late to be known.
    TOO_OLD = 0x0404, false;
    /// Nobody answers requests there.
    NO_RESPONDER = 0x0405, true;
    /// No answer came in time.
    TIMED_OUT = 0x0406, true;
    /// Who had the request went away without an answer.
    RESPONDER_GONE = 0x0407, true;
    /// The message's time to live was over.
    EXPIRED = 0x0408, false;
    /// The message was delivered as often as it may be.
    TOO_MANY_DELIVERIES = 0x0409, false;
    /// A consumer refused the message for good.
    REFUSED_FOR_GOOD = 0x040A, false;
    /// The queue was at its limit, and the message made room for others.
    DROPPED = 0x040B, false;

    /// Something that should not have happened, in the broker.
    INTERNAL = 0x0F01, true;
}

impl ErrorCode {
    /// The first of the user's codes.
    pub const USER: u16 = 0x8000;

    /// The code with this number.
    pub const fn new(value: u16) -> ErrorCode {
        ErrorCode(value)
    }

    /// The `n`th code of the user's own range.
    ///
    /// # Panics
    ///
    /// When `n` is above `0x7FFF`.
    pub const fn user(n: u16) -> ErrorCode {
        assert!(n < ErrorCode::USER, "the user's codes end at 0x7FFF");
        ErrorCode(ErrorCode::USER + n)
    }

    /// The number on the wire.
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:04X})", self.0),
            None if self.0 >= ErrorCode::USER => write!(f, "the user's code 0x{:04X}", self.0),
            None => write!(f, "code 0x{:04X}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
