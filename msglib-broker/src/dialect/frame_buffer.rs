//! Whole frames out of a stream in any pieces, for dialects that have nothing better.

/// Finds the frames of one connection: what most decoders need beside a function that measures a frame.
///
/// A frame that lies whole in the input is borrowed from there; one that arrives in pieces is put together here, in memory that
/// grows with what has really arrived. How the bytes were cut makes no difference to what comes out.
///
/// ```
/// use msglib_broker::FrameBuffer;
///
/// // Each frame is a length of one byte, and so many bytes.
/// let measure = |front: &[u8]| Ok::<_, String>(1 + usize::from(front[0]));
/// let mut buffer = FrameBuffer::new();
/// let mut input = &b"\x01a\x00\x03bc"[..];
/// assert_eq!(buffer.next(&mut input, measure)?, Some(&b"\x01a"[..]));
/// assert_eq!(buffer.next(&mut input, measure)?, Some(&b"\x00"[..]));
/// assert_eq!(buffer.next(&mut input, measure)?, None);
/// assert_eq!(buffer.offset(), 3);
/// let mut input = &b"d"[..];
/// assert_eq!(buffer.next(&mut input, measure)?, Some(&b"\x03bcd"[..]));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Default)]
pub struct FrameBuffer {
    /// The front of a frame, or a whole one that was handed out.
    kept: Vec<u8>,
    was_handed_out: bool,
    /// Bytes that the frame needs, as far as it is known.
    needed: usize,
    offset: u64,
}

impl FrameBuffer {
    /// Holds nothing, and allocates nothing.
    pub const fn new() -> FrameBuffer {
        FrameBuffer { kept: Vec::new(), was_handed_out: false, needed: 1, offset: 0 }
    }

    /// Where in the peer's stream the next frame begins: for [`Dialect::offset`](crate::Dialect::offset).
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of memory that it holds: for [`Dialect::buffered`](crate::Dialect::buffered).
    pub fn buffered(&self) -> usize {
        self.kept.capacity()
    }

    /// Takes the next frame from the front of `input`; `None` when it is not whole yet, and all of `input` was taken.
    ///
    /// `measure` is given the front of a frame, at least one byte, and says how many bytes the frame has, as far as that can be
    /// known from so much of it: the whole length, or at least one more than there is. It is asked again when there are so
    /// many; so what has an end mark and no length is looked at again for each byte that comes alone, and wants to be short. What
    /// it says must be bounded, for so much is kept.
    ///
    /// # Errors
    ///
    /// Those of `measure`: no frame begins so.
    pub fn next<'a, 'i: 'a, E>(
        &'a mut self,
        input: &mut &'i [u8],
        measure: impl Fn(&[u8]) -> Result<usize, E>,
    ) -> Result<Option<&'a [u8]>, E> {
        if core::mem::take(&mut self.was_handed_out) {
            // Most frames come whole, so the next one is not likely to need it.
            self.kept = Vec::new();
        }
        if self.kept.is_empty() {
            if input.is_empty() {
                return Ok(None);
            }
            // A frame has at least one byte, else there would be no end of them.
            self.needed = measure(input)?.max(1);
            if self.needed <= input.len() {
                let (frame, rest) = input.split_at(self.needed);
                *input = rest;
                self.offset += frame.len() as u64;
                return Ok(Some(frame));
            }
        }
        loop {
            let (more, rest) = input.split_at(input.len().min(self.needed - self.kept.len()));
            *input = rest;
            self.kept.extend_from_slice(more);
            if self.kept.len() < self.needed {
                return Ok(None);
            }
            self.needed = measure(&self.kept)?;
            if self.needed <= self.kept.len() {
                self.was_handed_out = true;
                self.offset += self.kept.len() as u64;
                return Ok(Some(&self.kept));
            }
        }
    }
}
