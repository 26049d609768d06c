//! One chart: lines over two axes, as SVG.

use crate::scenario::grouped;
use std::fmt::Write;

pub(super) const WIDTH: f64 = 560.0;
pub(super) const HEIGHT: f64 = 340.0;
/// Room around the lines: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (82.0, 40.0, 50.0, 50.0);
/// Told apart by people who see no red or no green too (Okabe and Ito).
const COLOURS: [&str; 5] = ["#666666", "#0072b2", "#d55e00", "#009e73", "#cc79a7"];

pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
}

pub(super) struct Axis {
    pub(super) label: &'static str,
    pub(super) scale: Scale,
    /// Where it has a line, and what is written there.
    pub(super) ticks: Vec<(f64, String)>,
}

#[derive(Clone, Copy)]
pub(super) enum Scale {
    Linear,
    Log,
}

pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// Whether each point is a measurement of its own, and so has a mark.
    pub(super) marks: bool,
}

impl Axis {
    /// From zero to above the greatest value, with round numbers.
    pub(super) fn from_zero(label: &'static str, greatest: f64) -> Axis {
        let rough = greatest.max(1e-9) / 5.0;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].map(|n| n * magnitude).into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let count = (greatest / step).ceil() as u32 + 1;
        let ticks = (0..=count).map(|n| step * f64::from(n)).map(|at| (at, number(at))).collect();
        Axis { label, scale: Scale::Linear, ticks }
    }

    /// The powers of ten around all values.
    pub(super) fn logarithmic(label: &'static str, least: f64, greatest: f64) -> Axis {
        let first = least.max(1e-9).log10().floor() as i32;
        let last = (greatest.max(1e-9).log10().ceil() as i32).max(first + 1);
        let ticks = (first..=last).map(|power| 10_f64.powi(power)).map(|at| (at, number(at))).collect();
        Axis { label, scale: Scale::Log, ticks }
    }

    /// Where a value lies between the first tick (0) and the last (1).
    fn position(&self, value: f64) -> f64 {
        let scaled = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(1e-12).log10(),
        };
        let (Some(first), Some(last)) = (self.ticks.first(), self.ticks.last()) else { return 0.0 };
        (scaled(value) - scaled(first.0)) / (scaled(last.0) - scaled(first.0))
    }
}

impl Chart {
    /// The chart with its upper left corner at `(left, top)`.
    pub(super) fn draw(&self, left: f64, top: f64) -> String {
        let mut svg = format!("<g transform=\"translate({left} {top})\">\n");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"20\" class=\"title\">{}</text>", MARGIN.0, escaped(&self.title));
        self.draw_grid(&mut svg);
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            self.draw_line(&mut svg, series, colour);
        }
        self.draw_legend(&mut svg);
        svg.push_str("</g>\n");
        svg
    }

    fn x(&self, value: f64) -> f64 {
        MARGIN.0 + self.x.position(value) * (WIDTH - MARGIN.0 - MARGIN.1)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - MARGIN.3 - self.y.position(value) * (HEIGHT - MARGIN.2 - MARGIN.3)
    }

    fn draw_grid(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - MARGIN.1, HEIGHT - MARGIN.3);
        for (at, text) in &self.x.ticks {
            let x = self.x(*at);
            let _ = writeln!(svg, "<path d=\"M{x:.1} {} V{bottom}\" class=\"grid\"/>", MARGIN.2);
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", bottom + 17.0);
        }
        for (at, text) in &self.y.ticks {
            let y = self.y(*at);
            let _ = writeln!(svg, "<path d=\"M{} {y:.1} H{right}\" class=\"grid\"/>", MARGIN.0);
            let _ =
                writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", MARGIN.0 - 7.0, y + 4.0);
        }
        let (middle_x, middle_y) = ((MARGIN.0 + right) / 2.0, (MARGIN.2 + bottom) / 2.0);
        let _ = writeln!(
            svg,
            "<text x=\"{middle_x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 10.0,
            self.x.label
        );
        let place = format!("transform=\"translate(14 {middle_y}) rotate(-90)\"");
        let _ = writeln!(svg, "<text {place} text-anchor=\"middle\">{}</text>", self.y.label);
    }

    fn draw_line(&self, svg: &mut String, series: &Series, colour: &str) {
        let points: Vec<(f64, f64)> = series.points.iter().map(|(x, y)| (self.x(*x), self.y(*y))).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" stroke=\"{colour}\" class=\"line\"/>", path.join(" "));
        for (x, y) in points.iter().filter(|_| series.marks) {
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
        }
    }

    /// In a row below the title, so that it covers no line.
    fn draw_legend(&self, svg: &mut String) {
        let mut x = MARGIN.0;
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let _ = writeln!(svg, "<path d=\"M{x} 36 h18\" stroke=\"{colour}\" class=\"line\"/>");
            let _ = writeln!(svg, "<text x=\"{}\" y=\"40\">{}</text>", x + 23.0, escaped(&series.name));
            x += 40.0 + 7.0 * series.name.chars().count() as f64;
        }
    }
}

fn number(value: f64) -> String {
    if value >= 10.0 || value == value.round() { grouped(value.round() as u64) } else { format!("{value}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
