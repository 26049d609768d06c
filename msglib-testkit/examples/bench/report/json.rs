//! JSON lines: one for each turn, one for each summary. Units are in the names.

use crate::sample::Sample;
use crate::scenario::Row;
use crate::summary::{Spread, Summary};
use crate::turns::Outcome;
use serde_json::{Map, Value, json};

pub(super) fn turn(row: &Row, outcome: &Outcome) -> Value {
    let mut line = head("turn", row, outcome.target.name());
    line.insert("turn".into(), json!(outcome.turn));
    match &outcome.result {
        Ok(sample) => line.extend(measured(sample)),
        Err(error) => drop(line.insert("error".into(), json!(error))),
    }
    Value::Object(line)
}

pub(super) fn summary(summary: &Summary<'_>) -> Value {
    let mut line = head("summary", summary.row, summary.target.name());
    let mut put = |name: &str, value: Value| drop(line.insert(name.into(), value));
    put("turns", json!(summary.samples.len()));
    put("failures", json!(summary.failures));
    put("ratio", json!(summary.ratio));
    put("cpu_ns_per_msg", spread(summary.cpu()));
    put("msgs_per_s", spread(summary.spread(Sample::messages_per_second)));
    for (name, quantile) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
        put(name, spread(summary.spread_of_some(|sample| sample.latency_us(quantile))));
    }
    put("peak_bytes", spread(summary.spread_of_some(peak)));
    put("server_busy", spread(summary.spread(Sample::server_busy)));
    put("generator_busy", spread(summary.spread_of_some(|sample| sample.generator_busy)));
    let figures = summary.figures().into_iter();
    let figures = figures.map(|(name, unit, value)| (format!("{name}, {unit}"), spread(Some(value))));
    put("figures", Value::Object(figures.collect()));
    Value::Object(line)
}

fn head(kind: &str, row: &Row, target: &str) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("kind".into(), json!(kind));
    line.insert("row".into(), json!(row.name));
    line.insert("target".into(), json!(target));
    if let Some(growth) = row.growth {
        line.insert("curve".into(), json!(growth.of));
        line.insert("at".into(), json!(growth.at));
    }
    line
}

fn measured(sample: &Sample) -> Map<String, Value> {
    let figures =
        sample.figures.iter().map(|figure| (format!("{}, {}", figure.name, figure.unit), json!(figure.value)));
    let all = [
        ("msgs", json!(sample.messages)),
        ("wall_s", json!(sample.wall.as_secs_f64())),
        ("cpu_ns_per_msg", json!(sample.cpu_per_message())),
        ("msgs_per_s", json!(sample.messages_per_second())),
        ("p50_us", json!(sample.latency_us(0.5))),
        ("p99_us", json!(sample.latency_us(0.99))),
        ("p999_us", json!(sample.latency_us(0.999))),
        ("peak_bytes", json!(peak(sample))),
        ("server_busy", json!(sample.server_busy())),
        ("generator_busy", json!(sample.generator_busy)),
        ("figures", Value::Object(figures.collect())),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// None where the measured process is this one.
fn peak(sample: &Sample) -> Option<f64> {
    (sample.peak > 0).then_some(sample.peak as f64)
}

fn spread(spread: Option<Spread>) -> Value {
    match spread {
        Some(Spread { least, median, most }) => json!({ "least": least, "median": median, "most": most }),
        None => Value::Null,
    }
}
