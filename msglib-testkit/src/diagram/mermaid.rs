//! A diagram as text for Mermaid.

use super::text::{cut, mermaid as escape};
use super::{Arrow, Diagram, Event, What, timed};

/// The longest label, in characters; Mermaid neither cuts nor wraps by itself.
const LABEL: usize = 120;

pub(super) fn write(diagram: &Diagram) -> String {
    let mut lines = vec!["sequenceDiagram".to_owned()];
    if !diagram.title.is_empty() {
        lines.push(format!("    title {}", escape(&cut(&diagram.title, LABEL))));
    }
    for (number, name) in diagram.participants.iter().enumerate() {
        lines.push(format!("    participant p{number} as {}", escape(name)));
    }
    if diagram.left_out > 0 {
        lines.push(over_all(diagram, &format!("… {} before", diagram.left_out)));
    }
    for (time, event) in timed(diagram) {
        write_event(diagram, event, time, &mut lines);
    }
    lines.push(String::new());
    lines.join("\n")
}

fn write_event(diagram: &Diagram, event: &Event, time: Option<String>, lines: &mut Vec<String>) {
    let time = time.map_or(String::new(), |time| format!("[{time}] "));
    let label = escape(&format!("{time}{}", cut(&event.label, LABEL)));
    match event.what {
        What::Arrow { from, to, kind } => {
            let arrow = match kind {
                Arrow::Sent => "->>",
                Arrow::Delivered => "-->>",
                Arrow::Lost => "-x",
            };
            lines.push(format!("    p{}{arrow}p{}: {label}", from.0, to.0));
        }
        What::Note { over, is_fault } => {
            let note = match over {
                Some(over) => format!("    Note over p{}: {label}", over.0),
                None => over_all(diagram, &label),
            };
            match is_fault {
                true => lines.extend(["    rect rgb(255, 214, 214)".to_owned(), note, "    end".to_owned()]),
                false => lines.push(note),
            }
        }
    }
}

/// A note over all participants; `label` is escaped.
fn over_all(diagram: &Diagram, label: &str) -> String {
    match diagram.participants.len() {
        // Without anybody there is nothing to write it over.
        0 => format!("    %% {label}"),
        1 => format!("    Note over p0: {label}"),
        all => format!("    Note over p0,p{}: {label}", all - 1),
    }
}
