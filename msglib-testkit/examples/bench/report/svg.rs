//! The pictures: growth curves, and latencies by percentile. One file that needs nothing else.

use super::chart::{Axis, Chart, HEIGHT, Scale, Series, WIDTH};
use crate::summary::Summary;

const STYLE: &str = "text { font: 12px sans-serif; fill: #222 } .title { font-size: 14px; font-weight: bold } \
                     .grid { stroke: #ddd; fill: none } .line { fill: none; stroke-width: 2 }";
const COLUMNS: usize = 2;

pub(super) fn draw(summaries: &[Summary<'_>]) -> String {
    let mut charts: Vec<Chart> = Vec::new();
    charts.extend(growth(summaries));
    charts.extend(latencies(summaries));
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * charts.len().div_ceil(COLUMNS) as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (index, chart) in charts.iter().enumerate() {
        svg += &chart.draw((index % COLUMNS) as f64 * WIDTH, (index / COLUMNS) as f64 * HEIGHT);
    }
    svg + "</svg>\n"
}

/// All curves in one chart for each participant: flat is good.
fn growth(summaries: &[Summary<'_>]) -> Vec<Chart> {
    let on_curves: Vec<&Summary<'_>> = summaries.iter().filter(|summary| summary.row.growth.is_some()).collect();
    distinct(on_curves.iter().map(|summary| summary.target.name()))
        .into_iter()
        .map(|target| {
            let mine: Vec<&&Summary<'_>> = on_curves.iter().filter(|summary| summary.target.name() == target).collect();
            let curves = distinct(mine.iter().filter_map(|summary| summary.row.growth).map(|growth| growth.of));
            let points = |of: &str| {
                let of_curve = mine.iter().filter(|summary| summary.row.growth.is_some_and(|growth| growth.of == of));
                of_curve.filter_map(|summary| Some((summary.row.growth?.at as f64, summary.cpu()?.median))).collect()
            };
            let series: Vec<Series> =
                curves.into_iter().map(|of| Series { name: of.into(), points: points(of), marks: true }).collect();
            let (x, y) = (greatest(&series, |point| point.0), greatest(&series, |point| point.1));
            Chart {
                title: format!("{target}: CPU for a message as there is more of …"),
                x: Axis::logarithmic("how many there are", 1.0, x),
                y: Axis::from_zero("CPU, ns per message", y),
                series,
            }
        })
        .collect()
}

/// One chart for each row that has latencies.
fn latencies(summaries: &[Summary<'_>]) -> Vec<Chart> {
    distinct(summaries.iter().filter(|summary| summary.latency().is_some()).map(|summary| summary.row.name.as_str()))
        .into_iter()
        .filter(|name| summaries.iter().all(|summary| summary.row.name != *name || summary.row.growth.is_none()))
        .map(|name| {
            let series: Vec<Series> = summaries
                .iter()
                .filter(|summary| summary.row.name == name)
                .filter_map(|summary| {
                    Some(Series { name: summary.target.name().into(), points: percentiles(summary)?, marks: false })
                })
                .collect();
            let least = series.iter().flat_map(|series| &series.points).map(|point| point.1).fold(f64::MAX, f64::min);
            let y = Axis::logarithmic("µs", least, greatest(&series, |point| point.1));
            Chart { title: format!("{name}: latency"), x: percentile_axis(), y, series }
        })
        .collect()
}

/// One of how many messages takes longer, and how long it takes, in µs.
fn percentiles(summary: &Summary<'_>) -> Option<Vec<(f64, f64)>> {
    let latency = summary.latency()?;
    let points = (0..=80).map(|step| 10_f64.powf(f64::from(step) / 20.0));
    let supported = points.take_while(|one_of| *one_of <= latency.len() as f64);
    Some(supported.map(|one_of| (one_of, latency.value_at_quantile(1.0 - 1.0 / one_of) as f64 / 1e3)).collect())
}

/// Stretched toward the end, where the slow ones are.
fn percentile_axis() -> Axis {
    let ticks = [(1.0, "0"), (2.0, "50"), (10.0, "90"), (100.0, "99"), (1e3, "99.9"), (1e4, "99.99")];
    let ticks = ticks.map(|(at, text)| (at, text.into())).into();
    Axis { label: "percentile of the messages", scale: Scale::Log, ticks }
}

fn greatest(series: &[Series], of: impl Fn(&(f64, f64)) -> f64) -> f64 {
    series.iter().flat_map(|series| &series.points).map(of).fold(0.0, f64::max)
}

/// Each once, in the order of their first.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}
