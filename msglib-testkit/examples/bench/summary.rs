//! What all turns of one participant in one row come to: medians, and how far they spread.

use crate::sample::Sample;
use crate::scenario::Row;
use crate::target::Target;
use crate::turns::Outcome;
use hdrhistogram::Histogram;

pub(crate) struct Summary<'a> {
    pub(crate) row: &'a Row,
    pub(crate) target: &'a Target,
    pub(crate) samples: Vec<&'a Sample>,
    /// Why turns failed.
    pub(crate) failures: Vec<&'a str>,
    /// The CPU time for a message, divided by that of the floor; on a curve by that of its first point.
    pub(crate) ratio: Option<f64>,
}

/// The middle of some turns, and their extremes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Spread { least, median, most })
    }
}

impl Summary<'_> {
    pub(crate) fn spread(&self, of: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples.iter().map(|sample| of(sample)))
    }

    /// Of what not every row has.
    pub(crate) fn spread_of_some(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| of(sample)))
    }

    pub(crate) fn cpu(&self) -> Option<Spread> {
        self.spread(Sample::cpu_per_message)
    }

    /// Each of the row's own figures.
    pub(crate) fn figures(&self) -> Vec<(&'static str, &'static str, Spread)> {
        let Some(first) = self.samples.first() else { return Vec::new() };
        let figure = |index: usize| {
            let spread = self.spread_of_some(|sample| sample.figures.get(index).map(|figure| figure.value))?;
            Some((first.figures[index].name, first.figures[index].unit, spread))
        };
        (0..first.figures.len()).filter_map(figure).collect()
    }

    /// The latencies of all turns together, in nanoseconds; `None` if none were measured.
    pub(crate) fn latency(&self) -> Option<Histogram<u64>> {
        let mut all = self.samples.first()?.latency.clone();
        for sample in &self.samples[1..] {
            all.add(&sample.latency).ok()?;
        }
        (!all.is_empty()).then_some(all)
    }
}

/// A summary for each row and participant, in the order of the rows.
pub(crate) fn all<'a>(rows: &'a [Row], outcomes: &'a [Outcome]) -> Vec<Summary<'a>> {
    let mut summaries: Vec<Summary<'a>> = Vec::new();
    for outcome in outcomes {
        let row = &rows[outcome.row];
        let known = summaries.iter().position(|s| std::ptr::eq(s.row, row) && *s.target == outcome.target);
        let position = known.unwrap_or_else(|| {
            let (samples, failures) = (Vec::new(), Vec::new());
            summaries.push(Summary { row, target: &outcome.target, samples, failures, ratio: None });
            summaries.len() - 1
        });
        match &outcome.result {
            Ok(sample) => summaries[position].samples.push(sample),
            Err(error) => summaries[position].failures.push(error),
        }
    }
    let ratios: Vec<Option<f64>> = summaries.iter().map(|summary| ratio(summary, &summaries)).collect();
    for (summary, ratio) in summaries.iter_mut().zip(ratios) {
        summary.ratio = ratio;
    }
    summaries
}

fn ratio(summary: &Summary<'_>, all: &[Summary<'_>]) -> Option<f64> {
    let base = match summary.row.growth {
        Some(growth) => all
            .iter()
            .find(|other| other.row.growth.is_some_and(|g| g.of == growth.of) && other.target == summary.target)?,
        None => all.iter().find(|other| std::ptr::eq(other.row, summary.row) && other.target.is_floor())?,
    };
    (!std::ptr::eq(base, summary)).then_some(summary.cpu()?.median / base.cpu()?.median)
}
