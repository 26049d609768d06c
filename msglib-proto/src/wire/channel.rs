//! What a link leads to: kinds and names of channels (PROTOCOL §5.1).

use super::limits;
use bytes::Bytes;
use core::fmt;
use thiserror::Error;

/// The kind of a channel: what its links mean (PROTOCOL §5.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelKind(pub u16);

impl ChannelKind {
    /// A work queue: each message goes to one consumer.
    pub const QUEUE: ChannelKind = ChannelKind(1);
    /// A topic: each message goes to everybody whose filter matches (PROTOCOL §16).
    pub const TOPIC: ChannelKind = ChannelKind(2);
    /// A service: each request goes to one responder, whose reply goes back (PROTOCOL §17).
    pub const SERVICE: ChannelKind = ChannelKind(3);
    /// The first kind of the user's range, which ends at `0xFFFF`.
    pub const USER: ChannelKind = ChannelKind(0x8000);
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ChannelKind::QUEUE => f.write_str("queue"),
            ChannelKind::TOPIC => f.write_str("topic"),
            ChannelKind::SERVICE => f.write_str("service"),
            ChannelKind(kind) => write!(f, "kind 0x{kind:04X}"),
        }
    }
}

impl fmt::Debug for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a channel within its kind: a number, as an enum has it, or 1 to 255 bytes (PROTOCOL §5.1).
///
/// A program's own enum names queues once it converts:
///
/// ```
/// use msglib_proto::ChannelName;
///
/// #[derive(Clone, Copy)]
/// enum QueueId {
///     Greetings = 1,
/// }
///
/// impl From<QueueId> for ChannelName<'static> {
///     fn from(id: QueueId) -> Self {
///         ChannelName::id(id as u64)
///     }
/// }
///
/// assert_eq!(ChannelName::from(QueueId::Greetings).to_string(), "#1");
/// assert_eq!(ChannelName::from("greetings").to_string(), "greetings");
/// assert!(ChannelName::bytes(b"").is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName<'a>(Form<'a>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Form<'a> {
    Id(u64),
    Bytes(&'a [u8]),
}

/// A channel's name must have 1 to 255 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a channel's name has 1 to 255 bytes, not {length}")]
pub struct NameError {
    /// How many bytes it had.
    pub length: usize,
}

impl<'a> ChannelName<'a> {
    /// A name that is a number.
    pub const fn id(id: u64) -> ChannelName<'a> {
        ChannelName(Form::Id(id))
    }

    /// A name of 1 to 255 bytes; any bytes will do.
    ///
    /// # Errors
    ///
    /// [`NameError`] for an empty name, and for one above 255 bytes.
    pub const fn bytes(name: &'a [u8]) -> Result<ChannelName<'a>, NameError> {
        if name.is_empty() || name.len() > limits::MAX_NAME {
            return Err(NameError { length: name.len() });
        }
        Ok(ChannelName(Form::Bytes(name)))
    }

    /// The number, if the name is one.
    pub const fn as_id(&self) -> Option<u64> {
        match self.0 {
            Form::Id(id) => Some(id),
            Form::Bytes(_) => None,
        }
    }

    /// The bytes, if the name has them.
    pub const fn as_bytes(&self) -> Option<&'a [u8]> {
        match self.0 {
            Form::Id(_) => None,
            Form::Bytes(bytes) => Some(bytes),
        }
    }

    /// A copy that borrows nothing.
    pub fn to_owned(&self) -> OwnedName {
        OwnedName(match self.0 {
            Form::Id(id) => OwnedForm::Id(id),
            Form::Bytes(bytes) => OwnedForm::Bytes(Bytes::copy_from_slice(bytes)),
        })
    }

    pub(crate) const fn form(&self) -> Form<'a> {
        self.0
    }
}

impl From<u64> for ChannelName<'_> {
    fn from(id: u64) -> Self {
        ChannelName::id(id)
    }
}

/// # Panics
///
/// When the text is empty or above 255 bytes: a name that is written in the program is the program's to get right. For
/// names from elsewhere there is [`ChannelName::bytes`].
impl<'a> From<&'a str> for ChannelName<'a> {
    #[track_caller]
    fn from(name: &'a str) -> Self {
        match ChannelName::bytes(name.as_bytes()) {
            Ok(name) => name,
            Err(error) => panic!("{error}"),
        }
    }
}

/// # Panics
///
/// As `From<&str>`.
impl<'a> From<&'a String> for ChannelName<'a> {
    fn from(name: &'a String) -> Self {
        ChannelName::from(name.as_str())
    }
}

impl<'a> From<&'a OwnedName> for ChannelName<'a> {
    fn from(name: &'a OwnedName) -> Self {
        name.borrow()
    }
}

impl fmt::Display for ChannelName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Form::Id(id) => write!(f, "#{id}"),
            Form::Bytes(bytes) => match core::str::from_utf8(bytes) {
                Ok(text) => write!(f, "{}", text.escape_debug()),
                Err(_) => write!(f, "{}", bytes.escape_ascii()),
            },
        }
    }
}

impl fmt::Debug for ChannelName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A [`ChannelName`] that owns its bytes; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnedName(OwnedForm);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum OwnedForm {
    Id(u64),
    Bytes(Bytes),
}

impl OwnedName {
    /// The name, borrowed.
    pub fn borrow(&self) -> ChannelName<'_> {
        ChannelName(match &self.0 {
            OwnedForm::Id(id) => Form::Id(*id),
            OwnedForm::Bytes(bytes) => Form::Bytes(bytes),
        })
    }
}

impl fmt::Display for OwnedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.borrow().fmt(f)
    }
}

impl fmt::Debug for OwnedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.borrow().fmt(f)
    }
}
