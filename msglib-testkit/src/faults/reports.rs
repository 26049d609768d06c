//! The reports of a poll: some late, some twice, in another order, or with the next poll.

use super::book::Book;
use super::link::Link;
use super::{Fault, dice::Random};
use msglib_proto::transport::{ConnectionId, Readiness};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Reports {
    /// What is told in this poll.
    now: Vec<Readiness>,
    /// What was cut off the last one.
    carried: Vec<Readiness>,
    /// What is told in so many polls.
    held: Vec<(Readiness, u32)>,
    /// Room for what comes from below.
    buffer: Vec<Readiness>,
}

impl Reports {
    pub(super) fn is_due(&self) -> bool {
        !self.carried.is_empty()
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) fn take_buffer(&mut self) -> Vec<Readiness> {
        core::mem::take(&mut self.buffer)
    }

    pub(super) fn give_buffer(&mut self, buffer: Vec<Readiness>) {
        self.buffer = buffer;
    }

    pub(super) fn push(&mut self, report: Readiness) {
        self.now.push(report);
    }

    pub(super) fn hold(&mut self, report: Readiness, polls: u32) {
        self.held.push((report, polls));
    }

    pub(super) fn heal(&mut self) {
        self.held.iter_mut().for_each(|(_, polls)| *polls = 1);
    }

    /// A poll begins with what is left of earlier ones.
    pub(super) fn begin(&mut self, links: &mut BTreeMap<ConnectionId, Link>, book: &mut Book) {
        if !self.carried.is_empty() {
            book.observe(Fault::TruncatedReports);
        }
        self.now.append(&mut self.carried);
        let now = &mut self.now;
        self.held.retain_mut(|(report, polls)| {
            *polls -= 1;
            if *polls > 0 {
                return true;
            }
            match (&report, links.get_mut(&report.id())) {
                (_, None) => return false,
                (Readiness::Readable(_), Some(link)) => {
                    link.input.undrained = true;
                    link.input.seen_with_bytes.insert(Fault::LateReport);
                }
                _ => book.observe(Fault::LateReport),
            }
            now.push(report.clone());
            false
        });
    }

    /// Tells what there is to tell.
    pub(super) fn finish(&mut self, links: &BTreeMap<ConnectionId, Link>, book: &mut Book, ready: &mut Vec<Readiness>) {
        // What was closed meanwhile is silent (T8).
        self.now.retain(|report| links.contains_key(&report.id()));
        self.duplicate(book);
        self.shuffle(book);
        self.truncate(book);
        ready.append(&mut self.now);
    }

    fn duplicate(&mut self, book: &mut Book) {
        if book.dice.draw_for_poll(Fault::DuplicatedReport).is_none() || self.now.is_empty() {
            return;
        }
        let chosen = book.dice.below(Fault::DuplicatedReport, self.now.len() as u64) as usize;
        let report = self.now[chosen].clone();
        // That comes exactly once (T1).
        if !matches!(report, Readiness::Opened(..)) {
            book.fire(Fault::DuplicatedReport, Some(report.id()));
            book.observe(Fault::DuplicatedReport);
            self.now.push(report);
        }
    }

    fn shuffle(&mut self, book: &mut Book) {
        if book.dice.draw_for_poll(Fault::ShuffledReports).is_none() || self.now.len() < 2 {
            return;
        }
        let before = self.now.clone();
        let mut random = Random::new(book.dice.below(Fault::ShuffledReports, u64::MAX));
        for last in (1..self.now.len()).rev() {
            self.now.swap(last, random.below(last as u64 + 1) as usize);
        }
        // That comes first (T1).
        self.now.sort_by_key(|report| !matches!(report, Readiness::Opened(..)));
        if self.now != before {
            book.fire(Fault::ShuffledReports, None);
            book.observe(Fault::ShuffledReports);
        }
    }

    fn truncate(&mut self, book: &mut Book) {
        if book.dice.draw_for_poll(Fault::TruncatedReports).is_none() || self.now.is_empty() {
            return;
        }
        let keep = book.dice.below(Fault::TruncatedReports, self.now.len() as u64) as usize;
        self.carried = self.now.split_off(keep);
        book.fire(Fault::TruncatedReports, None);
    }
}
