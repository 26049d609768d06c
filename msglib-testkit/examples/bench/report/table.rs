//! The table, for people: at most 120 columns.

use crate::sample::Sample;
use crate::scenario::{Row, Settings, grouped};
use crate::summary::{Spread, Summary};

const HEAD: &str =
    "                     CPU ns/msg (least–most)   ratio      msgs/s    p50 µs    p99 µs  p99.9 µs  peak MiB  busy %";

pub(crate) fn list(rows: &[Row]) {
    for row in rows {
        let curve = row.growth.map_or(String::new(), |growth| format!("  (of the curve `{}`)", growth.of));
        println!("{:20} {}{curve}", row.name, row.what);
    }
}

pub(crate) fn print(summaries: &[Summary<'_>], settings: &Settings, turns: usize) {
    let (seconds, cores) = (settings.time.as_secs_f64(), settings.cores);
    println!("{turns} turns of {seconds} s; server on core {}, load on core {}", cores.server, cores.generator);
    println!("{HEAD}");
    let mut row: Option<&Row> = None;
    for summary in summaries {
        if !row.is_some_and(|row| std::ptr::eq(row, summary.row)) {
            println!("{}: {}", summary.row.name, summary.row.what);
            row = Some(summary.row);
        }
        println!("{}", line(summary));
        for (name, unit, spread) in summary.figures() {
            println!("      {name}: {} {unit}", with_range(spread));
        }
        if !summary.failures.is_empty() {
            let all = summary.failures.len() + summary.samples.len();
            println!("      {} of {all} turns failed: {}", summary.failures.len(), summary.failures[0]);
        }
    }
    println!(
        "Medians. ratio: CPU to that of the floor, on a curve to its first point. busy: the server, and the load; who is near\n\
         100 is the limit. Latencies: from before the write of a publish to after the read of its delivery; rtt: there and back."
    );
}

fn line(summary: &Summary<'_>) -> String {
    let median = |spread: Option<Spread>| spread.map_or("–".into(), |spread| short(spread.median));
    let latency = |quantile| median(summary.spread_of_some(|sample| sample.latency_us(quantile)));
    let percent =
        |spread: Option<Spread>| spread.map_or("–".into(), |spread| format!("{:.0}", 100.0 * spread.median));
    let busy = [summary.spread(Sample::server_busy), summary.spread_of_some(|sample| sample.generator_busy)];
    let peak = summary.spread(|sample| sample.peak as f64 / f64::from(1 << 20)).filter(|peak| peak.most > 0.0);
    format!(
        "  {:12} {:>30}  {:>6} {:>11} {:>9} {:>9} {:>9} {:>9}  {}",
        summary.target.name(),
        summary.cpu().map_or("–".into(), with_range),
        summary.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
        median(summary.spread(Sample::messages_per_second)),
        latency(0.5),
        latency(0.99),
        latency(0.999),
        median(peak),
        busy.map(percent).join("/"),
    )
}

fn with_range(spread: Spread) -> String {
    let Spread { least, median, most } = spread;
    if least == most { short(median) } else { format!("{} ({}–{})", short(median), short(least), short(most)) }
}

/// Three digits at least, and no more than are of use.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        v if v < 1.0 => format!("{value:.3}"),
        v if v < 100.0 => format!("{value:.1}"),
        _ => grouped(value.round() as u64),
    }
}
