//! Where the records go: into a ring in memory, or out to a stream.

use super::encode::Segment;
use super::file::{self, END, RECORDS, Start};
use std::collections::VecDeque;
use std::io::{self, Write};

/// A stream gets this much at once: large enough that a write costs little for each byte.
const STREAM_SEGMENT: usize = 64 * 1024;

/// What a ring has let go of, the oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dropped {
    /// Records.
    pub records: u64,
    /// Their bytes in the recording.
    pub bytes: u64,
}

/// How much was recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RecordCounters {
    /// Records, with those that were dropped.
    pub records: u64,
    /// Bytes of them, with those that were dropped.
    pub bytes: u64,
    /// What a ring has let go of.
    pub dropped: Dropped,
}

/// The recording as it grows.
pub(super) struct Tape {
    pub(super) start: Start,
    pub(super) current: Segment,
    segment_size: usize,
    sink: Sink,
    /// What came before `current`.
    before: RecordCounters,
    /// Why the stream gets nothing any more.
    pub(super) error: Option<io::Error>,
}

enum Sink {
    Ring(Ring),
    Stream {
        out: Box<dyn Write + Send>,
        has_started: bool,
    },
    /// The stream has failed, or is over.
    Nothing,
}

/// Full segments, the oldest first, in no more than so much memory.
struct Ring {
    segments: VecDeque<Segment>,
    /// Memory that was not used yet.
    spare: Vec<Segment>,
    /// Bytes of memory that the segments may have, with the one that is being filled.
    bound: usize,
    held: usize,
}

impl Tape {
    pub(super) fn ring(seed: u128, bound: usize) -> Tape {
        // The oldest goes a sixteenth at a time.
        let segment_size = (bound / 16).clamp(256, 4 << 20);
        let spare = (1..bound / segment_size).map(|_| Segment::touched(segment_size)).collect();
        Tape::new(seed, segment_size, Sink::Ring(Ring { segments: VecDeque::new(), spare, bound, held: 0 }))
    }

    pub(super) fn stream(seed: u128, out: Box<dyn Write + Send>) -> Tape {
        Tape::new(seed, STREAM_SEGMENT, Sink::Stream { out, has_started: false })
    }

    fn new(seed: u128, segment_size: usize, sink: Sink) -> Tape {
        let start = Start { seed, ..Start::default() };
        let current = Segment::with_capacity(segment_size);
        Tape { start, current, segment_size, sink, before: RecordCounters::default(), error: None }
    }

    /// The segment for the next record, which has so many bytes beside a few numbers. A record is never in two segments.
    pub(super) fn segment(&mut self, bytes: usize) -> &mut Segment {
        const NUMBERS: usize = 64;
        let filled = self.current.bytes.len();
        if filled > 0 && filled + bytes + NUMBERS > self.segment_size {
            self.seal();
        }
        &mut self.current
    }

    /// Ends the current segment and begins another.
    fn seal(&mut self) {
        self.before.records += self.current.records;
        self.before.bytes += self.current.bytes.len() as u64;
        let full = std::mem::take(&mut self.current);
        self.current = match &mut self.sink {
            Sink::Ring(ring) => ring.push(full, self.segment_size, &mut self.start.dropped),
            Sink::Stream { .. } => {
                self.send(&full);
                full.cleared()
            }
            Sink::Nothing => full.cleared(),
        };
    }

    fn send(&mut self, full: &Segment) {
        let Sink::Stream { out, has_started } = &mut self.sink else { return };
        let mut result = Ok(());
        if !*has_started {
            *has_started = true;
            result = self.start.write(out);
        }
        if let Err(error) = result.and_then(|()| file::write_segment(out, RECORDS, &full.bytes)) {
            self.fail(error);
        }
    }

    /// Nothing more is written; the broker goes on.
    fn fail(&mut self, error: io::Error) {
        self.error = Some(error);
        self.sink = Sink::Nothing;
    }

    /// Gives a stream what is recorded so far, so that it is there if the process is killed.
    pub(super) fn flush(&mut self) {
        if matches!(self.sink, Sink::Stream { .. }) && !self.current.bytes.is_empty() {
            self.seal();
        }
        if let Sink::Stream { out, .. } = &mut self.sink
            && let Err(error) = out.flush()
        {
            self.fail(error);
        }
    }

    /// Ends a stream; a ring goes on.
    pub(super) fn finish(&mut self) {
        if !matches!(self.sink, Sink::Stream { .. }) {
            return;
        }
        self.seal();
        if let Sink::Stream { mut out, .. } = std::mem::replace(&mut self.sink, Sink::Nothing)
            && let Err(error) = file::write_segment(&mut out, END, &[]).and_then(|()| out.flush())
        {
            self.error = Some(error);
        }
    }

    /// Writes all that a ring holds.
    pub(super) fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let Sink::Ring(ring) = &self.sink else {
            let why = "this recorder streams: its recording is where the stream goes; only a ring can be written out";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        };
        self.start.write(out)?;
        for segment in ring.segments.iter().chain([&self.current]) {
            file::write_segment(out, RECORDS, &segment.bytes)?;
        }
        file::write_segment(out, END, &[])?;
        out.flush()
    }

    pub(super) fn counters(&self) -> RecordCounters {
        RecordCounters {
            records: self.before.records + self.current.records,
            bytes: self.before.bytes + self.current.bytes.len() as u64,
            dropped: self.start.dropped,
        }
    }
}

impl Ring {
    /// Keeps `full`, lets go of what is too much with it and the next one, and returns an empty segment, whose memory is
    /// spare, or that of the last one that went.
    fn push(&mut self, full: Segment, next: usize, dropped: &mut Dropped) -> Segment {
        self.held += full.bytes.capacity();
        self.segments.push_back(full);
        let mut empty = None;
        while self.held + next > self.bound {
            let Some(oldest) = self.segments.pop_front() else { break };
            self.held -= oldest.bytes.capacity();
            dropped.records += oldest.records;
            dropped.bytes += oldest.bytes.len() as u64;
            empty = Some(oldest);
        }
        if empty.is_some() {
            // Larger segments than were thought of have taken the place of what is spare.
            self.spare.clear();
        }
        let empty = empty.or_else(|| self.spare.pop());
        empty.map_or_else(|| Segment::with_capacity(next), Segment::cleared)
    }
}
