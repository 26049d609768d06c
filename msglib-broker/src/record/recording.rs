//! A recording that is read back.

use super::decode::{Mark, Reader};
use super::file::{self, Parts, Start};
use super::sink::Dropped;
use super::{Record, RecordingError};
use bytes::Bytes;
use core::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

/// All of a recording, in memory. Cheap to clone.
#[derive(Clone)]
pub struct Recording {
    file: Bytes,
    start: Arc<Start>,
    segments: Arc<[Range<usize>]>,
    len: u64,
}

/// A place in a [`Recording`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    segment: usize,
    mark: Mark,
    record: u64,
}

/// The records of a [`Recording`], in their order.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    recording: &'a Recording,
    position: Position,
}

impl Recording {
    /// Reads a recording, all of it.
    ///
    /// # Errors
    ///
    /// [`RecordingError`]: where the file is cut off or damaged, or why it is none.
    pub fn read(file: impl Read) -> Result<Recording, RecordingError> {
        match Recording::recover(file)? {
            (recording, None) => Ok(recording),
            (_, Some(fault)) => Err(fault),
        }
    }

    /// Reads what is whole of a recording, up to where it is cut off or damaged, and says where that is. What is before that is
    /// as good as ever: a replay goes as far.
    ///
    /// # Errors
    ///
    /// When there is nothing to recover: the file is no recording, or its first segment is not whole.
    pub fn recover(mut file: impl Read) -> Result<(Recording, Option<RecordingError>), RecordingError> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Parts { start, mut segments, mut fault } = file::split(&bytes)?;
        let mut len = 0;
        for index in 0..segments.len() {
            match count(&bytes, &segments[index]) {
                Ok(records) => len += records,
                Err(wrong) => {
                    fault = Some(wrong);
                    segments.truncate(index);
                    break;
                }
            }
        }
        Ok((Recording { file: bytes.into(), start: start.into(), segments: segments.into(), len }, fault))
    }

    /// The broker's seed.
    pub fn seed(&self) -> u128 {
        self.start.seed
    }

    /// What [`Recorder::about`](super::Recorder::about) was given.
    pub fn about(&self) -> &str {
        &self.start.about
    }

    /// What a ring had let go of before the first record that is here. If that is anything, the recording can be read, and its
    /// new connections fed to a handler, but not be replayed exactly.
    pub fn dropped(&self) -> Dropped {
        self.start.dropped
    }

    /// The number of records.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The records, in their order.
    pub fn records(&self) -> Records<'_> {
        Records { recording: self, position: Position::default() }
    }

    /// The record at `position`, which then is that of the next one; for whoever cannot hold [`Records`].
    ///
    /// # Panics
    ///
    /// May, when the position is one of another recording.
    pub fn next(&self, position: &mut Position) -> Option<Record<'_>> {
        loop {
            let segment = self.segments.get(position.segment)?;
            let mut reader = Reader::new(&self.file[segment.clone()], position.mark);
            if reader.is_at_end() {
                *position = Position { segment: position.segment + 1, mark: Mark::default(), record: position.record };
                continue;
            }
            let record = reader.record().expect("every record was looked at when the recording was read");
            *position = Position { mark: reader.mark(), record: position.record + 1, ..*position };
            return Some(record);
        }
    }
}

impl Position {
    /// How many records come before.
    pub fn record(&self) -> u64 {
        self.record
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        self.recording.next(&mut self.position)
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recording { start, len, .. } = self;
        f.debug_struct("Recording").field("start", start).field("records", len).finish_non_exhaustive()
    }
}

/// The number of records in a segment, each of which is looked at.
fn count(file: &[u8], segment: &Range<usize>) -> Result<u64, RecordingError> {
    let mut reader = Reader::new(&file[segment.clone()], Mark::default());
    let mut records = 0;
    while !reader.is_at_end() {
        reader.record().map_err(|wrong| file::malformed(segment.start, &wrong))?;
        records += 1;
    }
    Ok(records)
}
