//! A diagram as an SVG.

use super::text::{cut, wrap, xml};
use super::{Arrow, Diagram, Event, What, timed};
use core::fmt::Write;

/// The width of a character of the font, rounded up: not everybody has the same one.
const CHARACTER: usize = 8;
const LINE: usize = 15;
/// For the time.
const GUTTER: usize = 96;
const MARGIN: usize = 12;
const BOX: usize = 26;
/// Between two lifelines, at the least and at the most.
const NARROWEST: usize = 170;
const WIDEST: usize = 520;
/// Lines of a label.
const LINES: usize = 4;
/// Rows after which the names come again.
const ROWS: usize = 40;
/// Characters that are shown under the pointer.
const TOOLTIP: usize = 2000;

const STYLE: &str = "text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#111}\
.t{fill:#555;text-anchor:end}.m{text-anchor:middle}.l{text-anchor:middle;paint-order:stroke;stroke:#fff;stroke-width:4px}\
.h{font-weight:bold;text-anchor:middle}.f{fill:#a00000}.b{fill:#eef2f7;stroke:#445}.n{fill:#fffbe6;stroke:#b8a040}\
.r{fill:#ffe3e3;stroke:#c00000}.a{stroke:#223;fill:none}.x{stroke:#c00000;fill:none}.d{stroke-dasharray:5 3}\
.v{stroke:#b8bec8}";

pub(super) fn write(diagram: &Diagram) -> String {
    let gap = gap(diagram);
    let mut canvas = Canvas { body: String::new(), y: MARGIN, gap, columns: diagram.participants.len() };
    if !diagram.title.is_empty() {
        canvas.y += LINE;
        canvas.text(MARGIN, canvas.y, "", &diagram.title);
        canvas.y += LINE / 2;
    }
    let top = canvas.y;
    canvas.names(diagram);
    if diagram.left_out > 0 {
        let words = format!("… {} before", diagram.left_out);
        canvas.note(None, false, &words);
    }
    for (row, (time, event)) in timed(diagram).enumerate() {
        if row > 0 && row % ROWS == 0 {
            canvas.names(diagram);
        }
        canvas.event(time, event);
    }
    canvas.y += LINE;
    let bottom = canvas.y;
    canvas.names(diagram);
    let mut lifelines = String::new();
    for column in 0..canvas.columns {
        let x = canvas.x(column);
        let _ = writeln!(lifelines, r#"<line class="v" x1="{x}" y1="{top}" x2="{x}" y2="{bottom}"/>"#);
    }
    let (width, height) = (canvas.width().max(2 * MARGIN + CHARACTER * diagram.title.len()), canvas.y + MARGIN);
    let title = xml(if diagram.title.is_empty() { "Sequence diagram" } else { &diagram.title });
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n{lifelines}{}</svg>\n",
        canvas.body
    )
}

/// Wide enough for most labels between neighbours to need no more than two lines.
fn gap(diagram: &Diagram) -> usize {
    let names = diagram.participants.iter().map(|name| name.chars().count() + 4).max().unwrap_or(0);
    let per_column = diagram.events.iter().map(|event| {
        let characters = event.label.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        match event.what {
            What::Arrow { from, to, .. } => characters.div_ceil(2 * from.0.abs_diff(to.0).max(1)),
            What::Note { .. } => characters.div_ceil(2),
        }
    });
    // With many columns a wide gap would not fit on any screen.
    let widest = (1600 / diagram.participants.len().max(1)).clamp(NARROWEST, WIDEST);
    ((per_column.max().unwrap_or(0).max(names) + 3) * CHARACTER).clamp(NARROWEST, widest)
}

struct Canvas {
    body: String,
    /// Where the next row begins.
    y: usize,
    gap: usize,
    columns: usize,
}

impl Canvas {
    /// The lifeline of a participant.
    fn x(&self, column: usize) -> usize {
        GUTTER + self.gap / 2 + column * self.gap
    }

    fn width(&self) -> usize {
        GUTTER + self.columns.max(1) * self.gap + MARGIN
    }

    fn names(&mut self, diagram: &Diagram) {
        self.y += 4;
        for (column, name) in diagram.participants.iter().enumerate() {
            let (x, room) = (self.x(column), self.gap - 16);
            self.rect("b", x - room / 2, room, BOX);
            self.text(x, self.y + 17, "h", &cut(name, room / CHARACTER - 2));
        }
        self.y += BOX + 8;
    }

    fn event(&mut self, time: Option<String>, event: &Event) {
        let _ = writeln!(self.body, "<g><title>{}</title>", xml(&cut(&event.label, TOOLTIP)));
        if let Some(time) = time {
            self.text(GUTTER - MARGIN, self.y + LINE, "t", &time);
        }
        match event.what {
            What::Arrow { from, to, kind } if from == to => self.turn(from.0, kind, &event.label),
            What::Arrow { from, to, kind } => self.arrow(from.0, to.0, kind, &event.label),
            What::Note { over, is_fault } => self.note(over.map(|over| over.0), is_fault, &event.label),
        }
        self.body.push_str("</g>\n");
    }

    fn arrow(&mut self, from: usize, to: usize, kind: Arrow, label: &str) {
        let (x1, x2) = (self.x(from), self.x(to));
        let lines = wrap(label, x1.abs_diff(x2) / CHARACTER - 2, LINES);
        for line in &lines {
            self.y += LINE;
            self.text(usize::midpoint(x1, x2), self.y, if kind == Arrow::Lost { "l f" } else { "l" }, line);
        }
        self.y += 7;
        let y = self.y;
        // A lost one does not get there.
        let tip = if kind == Arrow::Lost { (x1 + 3 * x2) / 4 } else { x2 };
        let _ = writeln!(self.body, r#"<path class="{}" d="M{x1} {y}H{tip}"/>"#, class(kind));
        self.head(kind, tip, y, x2 > x1);
        self.y += 8;
    }

    /// An arrow from a participant to itself.
    fn turn(&mut self, column: usize, kind: Arrow, label: &str) {
        let (x, y) = (self.x(column), self.y + 8);
        let lines = wrap(label, (self.gap - 50) / CHARACTER, LINES);
        let bottom = y + LINE * lines.len().max(1);
        let _ = writeln!(self.body, r#"<path class="{}" d="M{x} {y}h30V{bottom}H{x}"/>"#, class(kind));
        self.head(kind, x, bottom, false);
        for (number, line) in lines.iter().enumerate() {
            self.text(x + 36, y + 11 + LINE * number, "", line);
        }
        self.y = bottom + 10;
    }

    fn head(&mut self, kind: Arrow, x: usize, y: usize, to_the_right: bool) {
        let (class, path) = match (kind, to_the_right) {
            (Arrow::Lost, _) => ("x", "m-5 -5l10 10m0 -10l-10 10"),
            (_, true) => ("a", "m-8 -4l8 4l-8 4"),
            (_, false) => ("a", "m8 -4l-8 4l8 4"),
        };
        let _ = writeln!(self.body, r#"<path class="{class}" d="M{x} {y}{path}"/>"#);
    }

    fn note(&mut self, over: Option<usize>, is_fault: bool, label: &str) {
        let all = self.columns.max(1) * self.gap - 16;
        let (middle, room) = match over {
            Some(column) => (self.x(column), self.gap - 16),
            None => (GUTTER + 8 + all / 2, all),
        };
        let lines = wrap(label, room / CHARACTER - 2, LINES);
        let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        // Over one participant the box is as wide as its words, over all it goes from end to end.
        let width = if over.is_some() { (longest + 3) * CHARACTER } else { room };
        self.y += 3;
        self.rect(if is_fault { "r" } else { "n" }, middle - width / 2, width, lines.len() * LINE + 7);
        for line in &lines {
            self.y += LINE;
            self.text(middle, self.y, if is_fault { "m f" } else { "m" }, line);
        }
        self.y += 10;
    }

    fn rect(&mut self, class: &str, x: usize, width: usize, height: usize) {
        let y = self.y;
        let _ =
            writeln!(self.body, r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>"#);
    }

    fn text(&mut self, x: usize, y: usize, class: &str, text: &str) {
        let _ = writeln!(self.body, r#"<text class="{class}" x="{x}" y="{y}">{}</text>"#, xml(text));
    }
}

fn class(kind: Arrow) -> &'static str {
    match kind {
        Arrow::Sent => "a",
        Arrow::Delivered => "a d",
        Arrow::Lost => "x d",
    }
}
