//! The arguments of an `OPEN`, as most channels have them: settings, each with an id (PROTOCOL §14).

use crate::reason::Reject;
use msglib_proto::ErrorCode;

/// Settings, one after the other: an id, a length of one byte, and so many bytes. Ids ascend, so each is there once at most.
pub(super) struct Settings<'a> {
    rest: &'a [u8],
    last: u8,
}

impl<'a> Settings<'a> {
    pub(super) fn new(arguments: &'a [u8]) -> Settings<'a> {
        Settings { rest: arguments, last: 0 }
    }

    /// The next one.
    ///
    /// # Errors
    ///
    /// These are no settings.
    pub(super) fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Reject> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let [id, length, rest @ ..] = self.rest else { return Err(bad("a setting is cut off")) };
        let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else {
            return Err(bad("a setting is longer than what is left"));
        };
        if *id <= self.last {
            return Err(bad("settings are in ascending order, each at most once, from 1 on"));
        }
        (self.rest, self.last) = (rest, *id);
        Ok(Some((*id, value)))
    }
}

/// A value of one byte.
pub(super) fn byte(value: &[u8]) -> Result<u8, Reject> {
    number::<1>(value).map(|[byte]| byte)
}

/// A value of so many bytes.
pub(super) fn number<const N: usize>(value: &[u8]) -> Result<[u8; N], Reject> {
    value.try_into().map_err(|_| bad("a setting has another length than its id has"))
}

pub(super) fn bad(why: &'static str) -> Reject {
    Reject::new(ErrorCode::BAD_ARGUMENTS, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(arguments: &[u8]) -> Result<Vec<(u8, &[u8])>, Reject> {
        let mut settings = Settings::new(arguments);
        let mut all = Vec::new();
        while let Some(setting) = settings.next()? {
            all.push(setting);
        }
        Ok(all)
    }

    #[test]
    fn settings_come_in_order_and_whole() {
        assert_eq!(all(b""), Ok(vec![]));
        assert_eq!(all(b"\x01\x02ab\x04\0\x09\x01z"), Ok(vec![(1, &b"ab"[..]), (4, b""), (9, b"z")]));
        for wrong in [&b"\x01"[..], b"\x01\x02a", b"\0\0", b"\x02\0\x01\0", b"\x02\0\x02\0", b"\x01\xFF"] {
            assert_eq!(all(wrong).map_err(|reject| reject.code()), Err(ErrorCode::BAD_ARGUMENTS), "{wrong:?}");
        }
        assert!(number::<4>(b"abc").is_err() && byte(b"").is_err());
        assert_eq!(number::<2>(b"\x01\0").map(u16::from_be_bytes), Ok(256));
    }
}
