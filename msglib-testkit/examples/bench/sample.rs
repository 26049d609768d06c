//! What one turn of one target in one scenario has brought.

use hdrhistogram::Histogram;
use std::time::Duration;

/// The longest time that a histogram holds apart: a minute, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

pub(crate) struct Sample {
    pub(crate) messages: u64,
    pub(crate) wall: Duration,
    /// Of the server's process, in that time.
    pub(crate) cpu: Duration,
    /// The share of the time in which the generator had something to do; `None` where it has no time of its own.
    pub(crate) generator_busy: Option<f64>,
    /// From before the write of a publish to after the read of its delivery, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// The most memory of the server that was ever resident, in bytes.
    pub(crate) peak: u64,
    /// What else this scenario is about.
    pub(crate) figures: Vec<Figure>,
}

/// A figure of one scenario's own.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Sample {
    pub(crate) fn new(messages: u64, wall: Duration, cpu: Duration) -> Sample {
        let (generator_busy, latency, figures) = (None, empty(), Vec::new());
        Sample { messages, wall, cpu, generator_busy, latency, peak: 0, figures }
    }

    pub(crate) fn with_figure(mut self, name: &'static str, value: f64, unit: &'static str) -> Sample {
        self.figures.push(Figure { name, value, unit });
        self
    }

    /// Nanoseconds.
    pub(crate) fn cpu_per_message(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.messages.max(1) as f64
    }

    pub(crate) fn messages_per_second(&self) -> f64 {
        self.messages as f64 / self.wall.as_secs_f64()
    }

    pub(crate) fn server_busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }

    /// Microseconds; `None` where no latency was measured.
    pub(crate) fn latency_us(&self, quantile: f64) -> Option<f64> {
        (!self.latency.is_empty()).then(|| self.latency.value_at_quantile(quantile) as f64 / 1e3)
    }
}

/// Three significant digits.
fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order")
}

/// Collects latencies. Messages that were sent with one write and came with one read have one latency, so they are
/// recorded at once.
pub(crate) struct Latency {
    histogram: Histogram<u64>,
    is_on: bool,
    run: (u64, u64),
}

impl Latency {
    pub(crate) fn new() -> Latency {
        Latency { histogram: empty(), is_on: false, run: (0, 0) }
    }

    pub(crate) fn start(&mut self) {
        self.is_on = true;
    }

    pub(crate) fn add(&mut self, nanoseconds: u64) {
        if self.run.0 == nanoseconds {
            self.run.1 += 1;
        } else {
            self.end_of_batch();
            self.run = (nanoseconds, 1);
        }
    }

    pub(crate) fn end_of_batch(&mut self) {
        let (nanoseconds, count) = std::mem::take(&mut self.run);
        if self.is_on && count > 0 {
            self.histogram.saturating_record_n(nanoseconds, count);
        }
    }

    /// What was collected since the start, and no more from here on.
    pub(crate) fn take(&mut self) -> Histogram<u64> {
        self.is_on = false;
        std::mem::replace(&mut self.histogram, empty())
    }
}
