//! Buffers that connections have given back, for the next one that has something to say.

/// Bytes that are kept, at most: as much as sixteen connections have under way at their high-water mark.
const KEPT: usize = 4 * 1024 * 1024;

/// The last buffer that came back is the first that goes out, for it is most likely still in the processor's cache.
///
/// Without them each busy connection would ask the allocator for a large buffer in each step; with glibc's that costs as much as all
/// else that a step does, for the freed end of the heap goes back to the system, and its pages are cleared when they come again.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Spares {
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop()?;
        self.bytes -= weight(&buffer);
        Some(buffer)
    }

    pub(crate) fn give(&mut self, buffer: Vec<u8>) {
        let weight = weight(&buffer);
        if self.bytes + weight <= KEPT {
            self.bytes += weight;
            self.buffers.push(buffer);
        }
    }
}

/// What a spare buffer takes, its own header included, so that a crowd of tiny ones is bounded too.
fn weight(buffer: &Vec<u8>) -> usize {
    buffer.capacity() + size_of::<Vec<u8>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let mut spares = Spares::default();
        for _ in 0..1000 {
            spares.give(Vec::with_capacity(100_000));
        }
        assert!(spares.bytes <= KEPT);
        assert_eq!(spares.buffers.len(), KEPT / (100_000 + 24));
        let mut count = 0;
        while spares.take().is_some() {
            count += 1;
        }
        assert_eq!((count, spares.bytes), (KEPT / (100_000 + 24), 0));
    }
}
