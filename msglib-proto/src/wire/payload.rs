//! A payload that is borrowed until somebody wants to keep it.

use bytes::Bytes;
use core::fmt;
use core::ops::Deref;

/// From this size on a payload is shared instead of copied, where its owner is known. Below it a copy is cheaper than
/// the bookkeeping (measured: the break-even is between 8 and 32 KiB), and a small payload must not pin a large block.
pub(crate) const SHARE_FROM: usize = 16 * 1024;

/// The bytes of a message, borrowed from where they were read.
///
/// Dereferences to `[u8]`. To keep the bytes beyond the event that brought them, [`share`](Payload::share) them.
///
/// ```
/// use msglib_proto::Payload;
///
/// let payload = Payload::from(b"Hello, world!");
/// assert_eq!(payload.len(), 13);
/// let kept = payload.share();
/// assert_eq!(&kept[..], b"Hello, world!");
/// ```
#[derive(Clone, Copy)]
pub struct Payload<'a> {
    bytes: &'a [u8],
    owner: Option<&'a Bytes>,
}

impl<'a> Payload<'a> {
    #[inline]
    pub(crate) fn part_of(bytes: &'a [u8], owner: Option<&'a Bytes>) -> Payload<'a> {
        Payload { bytes, owner }
    }

    /// The bytes, for as long as the event lives.
    #[inline]
    pub fn as_slice(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes, for as long as they are wanted: a reference-counted share of the block that holds just this frame
    /// where there is one and the payload is at least 16 KiB, else a copy in an allocation of its own.
    pub fn share(&self) -> Bytes {
        match self.shared() {
            Some(shared) => shared,
            None => Bytes::copy_from_slice(self.bytes),
        }
    }

    /// A share without a copy, if that is possible and worth it.
    #[inline]
    pub(crate) fn shared(&self) -> Option<Bytes> {
        let owner = self.owner?;
        (self.bytes.len() >= SHARE_FROM).then(|| owner.slice_ref(self.bytes))
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl AsRef<[u8]> for Payload<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Payload { bytes, owner: None }
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Payload<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Payload { bytes, owner: None }
    }
}

impl<'a> From<&'a str> for Payload<'a> {
    fn from(text: &'a str) -> Self {
        Payload { bytes: text.as_bytes(), owner: None }
    }
}

impl<'a> From<&'a String> for Payload<'a> {
    fn from(text: &'a String) -> Self {
        Payload { bytes: text.as_bytes(), owner: None }
    }
}

impl<'a> From<&'a Vec<u8>> for Payload<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Payload { bytes, owner: None }
    }
}

impl<'a> From<&'a Bytes> for Payload<'a> {
    fn from(bytes: &'a Bytes) -> Self {
        Payload { bytes, owner: Some(bytes) }
    }
}

impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Payload<'_>) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Payload<'_> {}

/// The first bytes as text where they are, and the length: for logs.
impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        let (head, rest) = self.bytes.split_at(self.bytes.len().min(SHOWN));
        write!(f, "\"{}\"", head.escape_ascii())?;
        if rest.is_empty() { Ok(()) } else { write!(f, "… ({} bytes)", self.bytes.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_payloads_are_copied_and_large_ones_shared() {
        let small = Bytes::from(vec![1; SHARE_FROM - 1]);
        let large = Bytes::from(vec![1; SHARE_FROM]);
        assert_ne!(Payload::from(&small).share().as_ptr(), small.as_ptr());
        assert_eq!(Payload::from(&large).share().as_ptr(), large.as_ptr());
        assert_eq!(Payload::from(&large[..]).share(), large, "without an owner: a copy");
    }

    #[test]
    fn debug_shows_the_beginning() {
        assert_eq!(format!("{:?}", Payload::from("a\n")), "\"a\\n\"");
        let long = vec![b'x'; 100];
        assert!(format!("{:?}", Payload::from(&long)).ends_with("x\"… (100 bytes)"));
    }
}
