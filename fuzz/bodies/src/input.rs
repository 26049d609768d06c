//! Decisions out of bytes; when they are used up, every decision is 0.

pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    /// Small numbers mostly, now and then one of the extremes.
    pub(crate) fn number(&mut self) -> u64 {
        match self.u8() {
            255 => u64::MAX,
            254 => u64::MAX - 1,
            253 => 1 << 32,
            252 => 0,
            small => u64::from(small),
        }
    }

    pub(crate) fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
