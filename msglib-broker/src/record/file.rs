//! The layout of a file (`docs/recording.md`): a magic number, a version, and segments, each with its length and its checksum.

use super::sink::Dropped;
use super::{RecordingError, decode::Malformed, decode::Reader, encode::number_into};
use std::io::{self, Write};
use std::ops::Range;

/// How every recording begins.
pub(super) const MAGIC: &[u8; 8] = b"msglibrc";
/// The version of the format that is written here. Those before it have less in them, and are read as well.
pub(super) const VERSION: u32 = 3;
/// Magic and version.
const PREAMBLE: usize = 12;
/// Kind, length, checksum.
const SEGMENT_HEADER: usize = 25;

/// What a segment is, as its first byte says.
pub(super) const START: u8 = b'S';
pub(super) const RECORDS: u8 = b'R';
pub(super) const END: u8 = b'E';

/// The first segment: what is known of the recording as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Start {
    pub(super) seed: u128,
    pub(super) dropped: Dropped,
    pub(super) about: String,
}

impl Start {
    /// The preamble of a file, and this.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_be_bytes())?;
        let mut bytes = self.seed.to_be_bytes().to_vec();
        number_into(&mut bytes, self.dropped.records);
        number_into(&mut bytes, self.dropped.bytes);
        number_into(&mut bytes, self.about.len() as u64);
        bytes.extend_from_slice(self.about.as_bytes());
        write_segment(out, START, &bytes)
    }

    fn read(bytes: &[u8]) -> Result<Start, Malformed> {
        let mut reader = Reader::new(bytes, Default::default());
        let seed = u128::from_be_bytes(reader.array()?);
        let dropped = Dropped { records: reader.number()?, bytes: reader.number()? };
        Ok(Start { seed, dropped, about: reader.text()?.to_owned() })
    }
}

/// Writes one segment.
pub(super) fn write_segment(out: &mut dyn Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let mut header = [0; SEGMENT_HEADER];
    header[0] = kind;
    header[1..9].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
    header[9..].copy_from_slice(&checksum(kind, bytes));
    out.write_all(&header)?;
    out.write_all(bytes)
}

/// Two sums over the words of the segment, the second of which makes their order count. It finds what disks and transfers do to
/// a file, at the speed of memory; it is no protection against somebody who means it.
fn checksum(kind: u8, bytes: &[u8]) -> [u8; 16] {
    let (mut first, mut second) = (u64::from(kind), bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut add = |word: [u8; 8]| {
        first = first.wrapping_add(u64::from_be_bytes(word));
        second = second.wrapping_add(first);
    };
    words.iter().copied().for_each(&mut add);
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    add(last);
    let mut sum = [0; 16];
    sum[..8].copy_from_slice(&first.to_be_bytes());
    sum[8..].copy_from_slice(&second.to_be_bytes());
    sum
}

/// A file that was taken apart: what is in its whole segments, and why that is not all, if it is not.
pub(super) struct Parts {
    pub(super) start: Start,
    /// Where the bytes of each segment of records are.
    pub(super) segments: Vec<Range<usize>>,
    pub(super) fault: Option<RecordingError>,
}

/// Takes a file apart.
///
/// # Errors
///
/// When it is no recording, or one of another version, or has no whole first segment: then there is nothing to recover.
pub(super) fn split(file: &[u8]) -> Result<Parts, RecordingError> {
    let Some(magic) = file.get(..MAGIC.len()) else {
        return Err(match MAGIC.starts_with(file) {
            true => RecordingError::Truncated { offset: file.len() as u64, what: "the magic number" },
            false => RecordingError::NotARecording,
        });
    };
    if magic != MAGIC {
        return Err(RecordingError::NotARecording);
    }
    let truncated = |what| RecordingError::Truncated { offset: file.len() as u64, what };
    let version = file.get(MAGIC.len()..PREAMBLE).ok_or(truncated("the version"))?;
    let version = version.iter().fold(0, |version, byte| version << 8 | u32::from(*byte));
    if !(1..=VERSION).contains(&version) {
        return Err(RecordingError::Version { found: version, known: VERSION });
    }
    let (kind, range) = segment(file, PREAMBLE)?;
    let mut parts = Parts { start: Start::default(), segments: Vec::new(), fault: None };
    let at = range.start;
    parts.start = match kind {
        START => Start::read(&file[range.clone()]).map_err(|wrong| malformed(at, &wrong))?,
        _ => return Err(RecordingError::Malformed { offset: PREAMBLE as u64, what: "the first segment is no start" }),
    };
    parts.fault = segments(file, range.end, &mut parts.segments).err();
    Ok(parts)
}

/// All segments behind the first, to the end mark.
fn segments(file: &[u8], mut at: usize, found: &mut Vec<Range<usize>>) -> Result<(), RecordingError> {
    loop {
        let (kind, range) = segment(file, at)?;
        at = range.end;
        match kind {
            RECORDS => found.push(range),
            END if at == file.len() => return Ok(()),
            END => return Err(RecordingError::Malformed { offset: at as u64, what: "something behind the end" }),
            _ => {
                let offset = (range.start - SEGMENT_HEADER) as u64;
                return Err(RecordingError::Malformed { offset, what: "a segment of a kind that there is not" });
            }
        }
    }
}

/// The segment at `at`: its kind, and where its bytes are.
fn segment(file: &[u8], at: usize) -> Result<(u8, Range<usize>), RecordingError> {
    let truncated = |what| RecordingError::Truncated { offset: file.len() as u64, what };
    let rest = &file[at..];
    if rest.is_empty() {
        return Err(truncated("the next segment, or the end mark"));
    }
    let header = rest.get(..SEGMENT_HEADER).ok_or(truncated("the header of a segment"))?;
    let length = header[1..9].iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
    let start = at + SEGMENT_HEADER;
    let bytes = usize::try_from(length).ok().and_then(|length| rest[SEGMENT_HEADER..].get(..length));
    let bytes = bytes.ok_or(truncated("a segment"))?;
    if checksum(header[0], bytes) != header[9..] {
        return Err(RecordingError::Damaged { offset: at as u64, length });
    }
    Ok((header[0], start..start + bytes.len()))
}

pub(super) fn malformed(segment: usize, wrong: &Malformed) -> RecordingError {
    RecordingError::Malformed { offset: (segment + wrong.at) as u64, what: wrong.what }
}
