//! The arguments of an `OPEN` as settings: of a queue (PROTOCOL §15.1), and of a topic's subscription (PROTOCOL §16.3).

use super::channel::{ChannelName, OwnedName};
use super::encode::name_bytes;
use bytes::Bytes;
use thiserror::Error;

/// Arguments that are no settings of this kind of channel: the broker refuses the `OPEN` with `BAD_ARGUMENTS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("at byte {at} of the arguments: {rule}")]
pub struct SettingsError {
    /// Where in the arguments.
    pub at: usize,
    /// What must hold.
    pub rule: &'static str,
}

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$choice_doc:meta])* $choice:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$choice_doc])* $choice,)*
        }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [$name] = &[$($name::$choice),*];

            /// The number on the wire.
            pub const fn value(self) -> u8 {
                match self {
                    $($name::$choice => $value,)*
                }
            }

            /// The one with this number.
            pub const fn from_value(value: u8) -> Option<$name> {
                match value {
                    $($value => Some($name::$choice),)*
                    _ => None,
                }
            }
        }
    };
}

choices! {
    /// In which order a queue's messages are delivered (PROTOCOL §15.1).
    QueueOrder {
        /// As they were published.
        Fifo = 0,
        /// The highest priority first.
        Priority = 1,
        /// The keys take turns.
        FairByKey = 2,
        /// The messages of one key go to one consumer at a time, one after the other.
        StickyByKey = 3,
        /// A message takes the place of the one with the same key.
        LastValue = 4,
    }
}

choices! {
    /// To whom a queue's messages go (PROTOCOL §15.1).
    QueueDispatch {
        /// To one consumer after the other.
        RoundRobin = 0,
        /// To the consumer that holds the fewest.
        LeastLoaded = 1,
        /// To one consumer, until it is gone.
        Exclusive = 2,
    }
}

choices! {
    /// What happens when a queue is at its limit (PROTOCOL §15.1).
    QueueOverflow {
        /// The new message is refused.
        RefuseNew = 0,
        /// The oldest message is dropped.
        DropOldest = 1,
        /// The new message is dropped.
        DropNewest = 2,
        /// The oldest message becomes a dead letter.
        DeadLetterOldest = 3,
    }
}

choices! {
    /// What happens when a subscription's buffer is full (PROTOCOL §16.3).
    TopicOverflow {
        /// The oldest message is dropped.
        DropOldest = 0,
        /// The new message is dropped.
        DropNewest = 1,
        /// Of each topic only the latest message waits.
        KeepLatest = 2,
        /// The subscription ends.
        Disconnect = 3,
    }
}

/// The settings of a queue that an `OPEN` names (PROTOCOL §15.1); what is `None` is not said.
///
/// ```
/// use msglib_proto::{QueueOrder, QueueSettings};
///
/// let settings = QueueSettings { order: Some(QueueOrder::Priority), lease_ms: Some(30_000), ..QueueSettings::default() };
/// assert_eq!(QueueSettings::parse(&settings.encode()), Ok(settings));
/// assert!(QueueSettings::default().encode().is_empty());
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueueSettings {
    /// In which order its messages are delivered.
    pub order: Option<QueueOrder>,
    /// To whom.
    pub dispatch: Option<QueueDispatch>,
    /// After how many milliseconds a delivery that is not settled goes back; 0 for never.
    pub lease_ms: Option<u64>,
    /// After how many deliveries a message is a dead letter; 0 for no limit.
    pub max_deliveries: Option<u32>,
    /// The delay before the second attempt in milliseconds, and the longest, up to which it doubles.
    pub backoff_ms: Option<(u64, u64)>,
    /// Where dead letters go.
    pub dead_letter: Option<OwnedName>,
    /// The time to live of messages that do not say one, in milliseconds; 0 for none.
    pub ttl_ms: Option<u64>,
    /// The delay of messages that do not say one, in milliseconds.
    pub delay_ms: Option<u64>,
    /// Messages that may be in it at once.
    pub max_messages: Option<u64>,
    /// Bytes that they may take.
    pub max_bytes: Option<u64>,
    /// What happens at one of these limits.
    pub overflow: Option<QueueOverflow>,
}

impl QueueSettings {
    /// Reads the arguments of an `OPEN`.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] for everything that `encode` does not write.
    pub fn parse(arguments: &[u8]) -> Result<QueueSettings, SettingsError> {
        let mut settings = QueueSettings::default();
        for setting in Fields::new(arguments) {
            let setting = setting?;
            match setting.id {
                1 => settings.order = Some(setting.choice(QueueOrder::from_value)?),
                2 => settings.dispatch = Some(setting.choice(QueueDispatch::from_value)?),
                3 => settings.lease_ms = Some(setting.u64()?),
                4 => settings.max_deliveries = Some(u32::from_be_bytes(setting.array()?)),
                5 => {
                    let [first, most] = setting.pair()?;
                    settings.backoff_ms = Some((first, most));
                }
                6 => settings.dead_letter = Some(setting.name()?),
                7 => settings.ttl_ms = Some(setting.u64()?),
                8 => settings.delay_ms = Some(setting.u64()?),
                9 => settings.max_messages = Some(setting.u64()?),
                10 => settings.max_bytes = Some(setting.u64()?),
                11 => settings.overflow = Some(setting.choice(QueueOverflow::from_value)?),
                _ => return Err(setting.unknown()),
            }
        }
        Ok(settings)
    }

    /// The arguments of an `OPEN`; empty if nothing is said.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, 1, self.order.map(|order| [order.value()]));
        put(&mut out, 2, self.dispatch.map(|dispatch| [dispatch.value()]));
        put(&mut out, 3, self.lease_ms.map(u64::to_be_bytes));
        put(&mut out, 4, self.max_deliveries.map(u32::to_be_bytes));
        put(&mut out, 5, self.backoff_ms.map(|(first, most)| [first.to_be_bytes(), most.to_be_bytes()].concat()));
        put(&mut out, 6, self.dead_letter.as_ref().map(|name| without_length(&name.borrow())));
        put(&mut out, 7, self.ttl_ms.map(u64::to_be_bytes));
        put(&mut out, 8, self.delay_ms.map(u64::to_be_bytes));
        put(&mut out, 9, self.max_messages.map(u64::to_be_bytes));
        put(&mut out, 10, self.max_bytes.map(u64::to_be_bytes));
        put(&mut out, 11, self.overflow.map(|overflow| [overflow.value()]));
        out
    }
}

/// The settings of a topic's subscription that an `OPEN` names (PROTOCOL §16.3); what is `None` is not said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicSettings {
    /// Each message goes to one subscription of those with the same filter and group: 1 to 255 bytes.
    pub group: Option<Bytes>,
    /// What happens when the buffer is full.
    pub overflow: Option<TopicOverflow>,
    /// Messages that wait for credit at most.
    pub buffer: Option<u32>,
    /// Whether the last values of the topics that match come first.
    pub retained: Option<bool>,
}

impl TopicSettings {
    /// Reads the arguments of an `OPEN`.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] for everything that `encode` does not write.
    pub fn parse(arguments: &[u8]) -> Result<TopicSettings, SettingsError> {
        let mut settings = TopicSettings::default();
        for setting in Fields::new(arguments) {
            let setting = setting?;
            match setting.id {
                1 if (1..=255).contains(&setting.value.len()) => {
                    settings.group = Some(Bytes::copy_from_slice(setting.value));
                }
                1 => return Err(setting.error("a group has 1 to 255 bytes")),
                2 => settings.overflow = Some(setting.choice(TopicOverflow::from_value)?),
                3 => settings.buffer = Some(u32::from_be_bytes(setting.array()?)),
                4 => settings.retained = Some(setting.choice(|value| [false, true].get(usize::from(value)).copied())?),
                _ => return Err(setting.unknown()),
            }
        }
        Ok(settings)
    }

    /// The arguments of an `OPEN`; empty if nothing is said. A group is cut after 255 bytes, and left out if it is empty.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let group = self.group.as_deref().filter(|group| !group.is_empty());
        put(&mut out, 1, group.map(|group| &group[..group.len().min(255)]));
        put(&mut out, 2, self.overflow.map(|overflow| [overflow.value()]));
        put(&mut out, 3, self.buffer.map(u32::to_be_bytes));
        put(&mut out, 4, self.retained.map(|retained| [u8::from(retained)]));
        out
    }
}

fn put(out: &mut Vec<u8>, id: u8, value: Option<impl AsRef<[u8]>>) {
    if let Some(value) = value {
        let value = value.as_ref();
        out.push(id);
        // The longest value is a name with its form.
        out.extend((value.len() as u16).to_be_bytes());
        out.extend_from_slice(value);
    }
}

/// A name behind its form; its length is what is left.
fn without_length(name: &ChannelName<'_>) -> Vec<u8> {
    let mut bytes = name_bytes(name);
    bytes.remove(1);
    bytes
}

/// The settings one after the other: an id, a length, and a value each, in ascending order of the ids.
struct Fields<'a> {
    arguments: &'a [u8],
    at: usize,
    last: u8,
}

struct Setting<'a> {
    id: u8,
    /// Where it begins.
    at: usize,
    value: &'a [u8],
}

impl<'a> Fields<'a> {
    fn new(arguments: &'a [u8]) -> Fields<'a> {
        Fields { arguments, at: 0, last: 0 }
    }

    fn take(&mut self) -> Result<Setting<'a>, SettingsError> {
        let at = self.at;
        let cut_off = SettingsError { at, rule: "a setting is an id, a length of two bytes, and so many bytes" };
        let ([id, high, low], rest) = self.arguments[at..].split_first_chunk().ok_or(cut_off)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length).ok_or(cut_off)?;
        if *id <= self.last {
            return Err(SettingsError { at, rule: "the ids ascend, and each is there once" });
        }
        self.last = *id;
        self.at += 3 + length;
        Ok(Setting { id: *id, at, value })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Setting<'a>, SettingsError>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.at < self.arguments.len()).then(|| self.take())
    }
}

impl Setting<'_> {
    fn error(&self, rule: &'static str) -> SettingsError {
        SettingsError { at: self.at, rule }
    }

    fn unknown(&self) -> SettingsError {
        self.error("there is no setting with this id")
    }

    fn array<const N: usize>(&self) -> Result<[u8; N], SettingsError> {
        self.value.try_into().map_err(|_| self.error("the value has another length"))
    }

    fn u64(&self) -> Result<u64, SettingsError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn pair(&self) -> Result<[u64; 2], SettingsError> {
        let both = u128::from_be_bytes(self.array()?);
        Ok([(both >> 64) as u64, both as u64])
    }

    fn choice<T>(&self, of: impl Fn(u8) -> Option<T>) -> Result<T, SettingsError> {
        let [value] = self.array()?;
        of(value).ok_or_else(|| self.error("there is no choice with this number"))
    }

    fn name(&self) -> Result<OwnedName, SettingsError> {
        let wrong = self.error("a name is 0 and 8 bytes of an id, or 1 and 1 to 255 bytes");
        match self.value.split_first() {
            Some((0, id)) => {
                id.try_into().map(|id| ChannelName::id(u64::from_be_bytes(id)).to_owned()).map_err(|_| wrong)
            }
            Some((1, bytes)) => ChannelName::bytes(bytes).map(|name| name.to_owned()).map_err(|_| wrong),
            _ => Err(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> QueueSettings {
        QueueSettings {
            order: Some(QueueOrder::LastValue),
            dispatch: Some(QueueDispatch::Exclusive),
            lease_ms: Some(1),
            max_deliveries: Some(2),
            backoff_ms: Some((3, 4)),
            dead_letter: Some(ChannelName::from(&*"d".repeat(255)).to_owned()),
            ttl_ms: Some(5),
            delay_ms: Some(6),
            max_messages: Some(7),
            max_bytes: Some(u64::MAX),
            overflow: Some(QueueOverflow::DeadLetterOldest),
        }
    }

    #[test]
    fn settings_come_back_from_their_one_encoding() {
        let queue = everything();
        assert_eq!(QueueSettings::parse(&queue.encode()), Ok(queue));
        let other = QueueSettings { dead_letter: Some(ChannelName::id(9).to_owned()), ..QueueSettings::default() };
        assert_eq!(other.encode(), [6, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(QueueSettings::parse(&other.encode()), Ok(other));
        let topic = TopicSettings {
            group: Some(Bytes::from_static(b"g")),
            overflow: Some(TopicOverflow::KeepLatest),
            buffer: Some(10),
            retained: Some(false),
        };
        assert_eq!(topic.encode(), [1, 0, 1, b'g', 2, 0, 1, 2, 3, 0, 4, 0, 0, 0, 10, 4, 0, 1, 0]);
        assert_eq!(TopicSettings::parse(&topic.encode()), Ok(topic));
    }

    #[test]
    fn what_is_not_written_is_not_read() {
        let encoded = everything().encode();
        for end in 1..encoded.len() {
            // Between two settings the rest is not missed.
            let cut = QueueSettings::parse(&encoded[..end]);
            assert!(cut.is_err() || cut.is_ok_and(|settings| settings.encode() == encoded[..end]), "{end}");
        }
        for (arguments, at) in [
            (&[1, 0, 1, 5][..], 0),
            (&[1, 0, 2, 0, 0], 0),
            (&[12, 0, 0], 0),
            (&[0, 0, 0], 0),
            (&[2, 0, 1, 0, 1, 0, 1, 0], 4),
            (&[1, 0, 1, 0, 1, 0, 1, 0], 4),
            (&[6, 0, 1, 1], 0),
            (&[6, 0, 2, 2, 7], 0),
            (&[6, 0, 3, 0, 7, 7], 0),
            (&[1, 0], 0),
        ] {
            assert_eq!(QueueSettings::parse(arguments).map_err(|error| error.at), Err(at), "{arguments:?}");
        }
        for arguments in [&[1, 0, 0][..], &[4, 0, 1, 2], &[3, 0, 1, 1], &[5, 0, 0]] {
            assert!(TopicSettings::parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
