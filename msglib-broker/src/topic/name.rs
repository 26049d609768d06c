//! Names of topics, and filters over them: levels that are separated by `/`.

use core::fmt;
use thiserror::Error;

/// Levels that a name or a filter may have. Matching takes a step for each level, so this bounds what one match costs.
pub const MAX_TOPIC_LEVELS: usize = 32;

/// Bytes that a name or a filter may have.
const MAX_LENGTH: usize = msglib_proto::MAX_NAME;

/// One level, whatever it is.
const ONE: &str = "+";

/// All the levels that are left, also none.
const REST: &str = "#";

/// The name of a topic: 1 to 255 bytes of UTF-8, at most [`MAX_TOPIC_LEVELS`] levels with `/` between them, none of which is empty, or
/// has a `+` or a `#` in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a str);

/// Which topics somebody means: a name in which whole levels can be `+`, any one level, and the last one can be `#`, all that is left, also
/// nothing.
///
/// ```
/// use msglib_broker::{TopicFilter, TopicName};
///
/// let name = TopicName::new("house/kitchen/heat")?;
/// assert!(TopicFilter::new("house/+/heat")?.matches(name));
/// assert!(TopicFilter::new("house/#")?.matches(name));
/// assert!(TopicFilter::new("house/kitchen/heat/#")?.matches(name));
/// assert!(!TopicFilter::new("house/+")?.matches(name));
/// assert!(TopicFilter::new("house/kit+").is_err());
/// # Ok::<(), msglib_broker::BadTopic>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter<'a>(&'a str);

/// Why something is no name of a topic, or no filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BadTopic {
    /// It is empty, or too long.
    #[error("a topic has 1 to {MAX_LENGTH} bytes, not {0}")]
    Length(usize),
    /// It is no text.
    #[error("a topic is UTF-8, and byte {0} is not")]
    NotUtf8(usize),
    /// A level of it is empty.
    #[error("a topic has no empty level, as before, behind or between two /")]
    EmptyLevel,
    /// It has too many levels.
    #[error("a topic has at most {MAX_TOPIC_LEVELS} levels, not {0}")]
    Levels(usize),
    /// A name has a wildcard in it.
    #[error("a topic's name has no + and no #; those are for filters")]
    WildcardInName,
    /// A filter has a wildcard that is not a whole level, or a `#` before its end.
    #[error("in a filter + stands for a whole level, and # for all levels at its end")]
    MisplacedWildcard,
}

impl<'a> TopicName<'a> {
    /// A name, if it is one.
    ///
    /// # Errors
    ///
    /// [`BadTopic`] says what is wrong with it.
    pub fn new(name: &'a (impl AsRef<[u8]> + ?Sized)) -> Result<TopicName<'a>, BadTopic> {
        let text = checked(name.as_ref())?;
        if text.contains(['+', '#']) {
            return Err(BadTopic::WildcardInName);
        }
        Ok(TopicName(text))
    }

    /// The name.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Its levels; at least one.
    pub fn levels(self) -> impl DoubleEndedIterator<Item = &'a str> {
        self.0.split('/')
    }

    /// What was a name before.
    pub(super) const fn trusted(name: &'a str) -> TopicName<'a> {
        TopicName(name)
    }
}

impl<'a> TopicFilter<'a> {
    /// A filter, if it is one.
    ///
    /// # Errors
    ///
    /// [`BadTopic`] says what is wrong with it.
    pub fn new(filter: &'a (impl AsRef<[u8]> + ?Sized)) -> Result<TopicFilter<'a>, BadTopic> {
        let filter = TopicFilter(checked(filter.as_ref())?);
        let mut levels = filter.levels();
        while let Some(level) = levels.next() {
            let is_wrong = match level {
                ONE => false,
                REST => levels.next().is_some(),
                _ => level.contains(['+', '#']),
            };
            if is_wrong {
                return Err(BadTopic::MisplacedWildcard);
            }
        }
        Ok(filter)
    }

    /// The filter.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Its levels, the wildcards as they are; at least one.
    pub fn levels(self) -> impl DoubleEndedIterator<Item = &'a str> {
        self.0.split('/')
    }

    /// The name, if the filter has no wildcard and so means one topic.
    pub fn as_name(self) -> Option<TopicName<'a>> {
        (!self.0.contains(['+', '#'])).then_some(TopicName(self.0))
    }

    /// Whether the topic is meant. Takes a step for each level.
    pub fn matches(self, name: TopicName<'_>) -> bool {
        let mut levels = name.levels();
        for wanted in self.levels() {
            if wanted == REST {
                return true;
            }
            match levels.next() {
                Some(level) if wanted == ONE || wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// What every name that is meant begins with.
    pub(super) fn literal_start(self) -> &'a str {
        let end = self.0.find(['+', '#']).unwrap_or(self.0.len());
        let start = &self.0[..end];
        // `a/#` means `a` as well.
        if self.0[end..].starts_with(REST) { start.strip_suffix('/').unwrap_or(start) } else { start }
    }

    /// What was a filter before.
    pub(crate) const fn trusted(filter: &'a str) -> TopicFilter<'a> {
        TopicFilter(filter)
    }
}

/// What holds for names and filters alike.
fn checked(bytes: &[u8]) -> Result<&str, BadTopic> {
    if bytes.is_empty() || bytes.len() > MAX_LENGTH {
        return Err(BadTopic::Length(bytes.len()));
    }
    let text = core::str::from_utf8(bytes).map_err(|error| BadTopic::NotUtf8(error.valid_up_to()))?;
    match text.split('/').count() {
        levels if levels > MAX_TOPIC_LEVELS => Err(BadTopic::Levels(levels)),
        _ if text.split('/').any(str::is_empty) => Err(BadTopic::EmptyLevel),
        _ => Ok(text),
    }
}

/// One level of a filter, for the trie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level<'a> {
    Literal(&'a str),
    One,
    Rest,
}

impl<'a> Level<'a> {
    pub(super) fn of(level: &'a str) -> Level<'a> {
        match level {
            ONE => Level::One,
            REST => Level::Rest,
            literal => Level::Literal(literal),
        }
    }
}

macro_rules! shown {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0.escape_debug())
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
shown!(TopicName TopicFilter);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_name() {
        for good in ["a", " ", "a/b/c", "häuser/küche", "$a", "a\0b"] {
            assert_eq!(TopicName::new(good).map(TopicName::as_str), Ok(good));
        }
        for wild in ["+", "#", "a/+", "a+", "a#b"] {
            assert_eq!(TopicName::new(wild), Err(BadTopic::WildcardInName), "{wild}");
        }
        assert_eq!(TopicName::new(b"a\xFF"), Err(BadTopic::NotUtf8(1)));
        assert_eq!(TopicName::new(""), Err(BadTopic::Length(0)));
        for empty in ["/", "/a", "a/", "a//b"] {
            assert_eq!(TopicName::new(empty), Err(BadTopic::EmptyLevel), "{empty}");
            assert_eq!(TopicFilter::new(empty), Err(BadTopic::EmptyLevel), "{empty}");
        }
    }

    #[test]
    fn what_is_a_filter() {
        for good in ["a", "+", "#", "a/#", "+/+/#", "a/+/b"] {
            assert_eq!(TopicFilter::new(good).map(TopicFilter::as_str), Ok(good));
        }
        for bad in ["a+", "+a/b", "a/b#", "#/a", "#/#", "++"] {
            assert_eq!(TopicFilter::new(bad), Err(BadTopic::MisplacedWildcard), "{bad}");
        }
    }

    #[test]
    fn lengths_and_levels_are_limited() {
        let levels = |n| vec!["a"; n].join("/");
        assert!(TopicName::new(&levels(MAX_TOPIC_LEVELS)).is_ok());
        assert_eq!(TopicName::new(&levels(MAX_TOPIC_LEVELS + 1)), Err(BadTopic::Levels(33)));
        assert_eq!(TopicFilter::new(&levels(MAX_TOPIC_LEVELS + 1)), Err(BadTopic::Levels(33)));
        assert!(TopicName::new(&"x".repeat(255)).is_ok());
        assert_eq!(TopicName::new(&"x".repeat(256)), Err(BadTopic::Length(256)));
    }

    #[test]
    fn the_literal_start_is_what_every_match_begins_with() {
        for (filter, start) in [("a/b", "a/b"), ("a/+", "a/"), ("a/#", "a"), ("#", ""), ("+", ""), ("a/b/+/#", "a/b/")]
        {
            assert_eq!(TopicFilter::new(filter).map(TopicFilter::literal_start), Ok(start), "{filter}");
        }
    }
}
