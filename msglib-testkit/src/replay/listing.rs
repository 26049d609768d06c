//! A recording in readable lines.

use crate::transcript::TranscriptLog;
use msglib_broker::record::{Record, Recording};
use msglib_proto::Instant;
use msglib_proto::transport::Readiness;
use std::collections::BTreeSet;

/// What was recorded, in readable lines: who connected, every frame that came, how many bytes went, how it ended, what the program
/// noted. What the broker said is not in a recording; a [`Replayer`](super::Replayer) says it again.
///
/// Of a connection that was there before the first record only the bytes are counted, for where a frame begins is not known.
pub fn lines(recording: &Recording) -> impl Iterator<Item = String> {
    let mut lister = Lister { log: TranscriptLog::keeping(usize::MAX), now: Instant::ZERO, known: BTreeSet::new() };
    let dropped = recording.dropped();
    let gap = format!("… {} records ({} bytes) before, which the ring has let go of", dropped.records, dropped.bytes);
    let gap = (dropped.records > 0).then_some(gap);
    gap.into_iter().chain(recording.records().flat_map(move |record| lister.list(&record)))
}

struct Lister {
    log: TranscriptLog,
    now: Instant,
    known: BTreeSet<msglib_proto::transport::ConnectionId>,
}

impl Lister {
    fn list(&mut self, record: &Record<'_>) -> Vec<String> {
        let Lister { log, now, known } = self;
        match record {
            Record::Now(at) => *now = *at,
            Record::Poll { result: Ok(reports), .. } => {
                for report in reports {
                    if let Readiness::Opened(id, peer) = report {
                        known.insert(*id);
                        log.opened(*now, *id, peer);
                    }
                }
            }
            Record::Read { id, result: Ok(bytes), .. } => {
                if known.insert(*id) {
                    log.joined(*id);
                }
                log.received(*now, *id, bytes);
            }
            Record::Read { id, result: Err(error), .. } => log.failed(*now, *id, false, &error.to_io()),
            Record::Write { id, offered, result: Ok(taken) } => {
                let rest = if taken == offered { String::new() } else { format!(" of {offered}") };
                log.note(format_args!("{now:>9.3?}  broker → {id}  {taken} bytes{rest}"));
            }
            Record::Write { id, result: Err(error), .. } => log.failed(*now, *id, true, &error.to_io()),
            Record::Close { id, how } => {
                log.closed(*now, *id, *how);
                known.remove(id);
            }
            Record::Poll { result: Err(_), .. }
            | Record::StopAccepting(_)
            | Record::Shutdown { .. }
            | Record::Note(_) => {
                log.note(format_args!("{now:>9.3?}  {record}"));
            }
            _ => {}
        }
        log.take()
    }
}
