//! Reads the settings: options before the file, and the file before what the library has.

use super::settings::Settings;
use lexopt::{Parser, ValueExt};
use std::error::Error;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The options, by the table of the file in which they are keys.
const OPTIONS: [(&str, &[&str]); 3] = [
    ("", &["listen", "log", "drain", "goodbye", "record", "record-ring"]),
    (
        "queue",
        &[
            "order",
            "dispatch",
            "lease",
            "max-deliveries",
            "backoff",
            "dead-letter",
            "max-hops",
            "ttl",
            "delay",
            "max-messages",
            "max-bytes",
            "max-in-flight",
            "overflow",
            "history",
        ],
    ),
    (
        "limits",
        &[
            "max-queues",
            "max-queues-per-identity",
            "unused-queue-expiry",
            "max-producers",
            "max-total-messages",
            "max-total-bytes",
            "publish-window",
            "max-subscribers",
            "max-topic-bytes",
            "topic-buffer",
            "max-topics",
            "max-topics-per-identity",
            "max-topic-matches",
            "max-retained",
            "max-retained-bytes",
            "max-services",
            "max-requests",
            "max-request-bytes",
            "max-reply-bytes",
            "request-deadline",
            "max-payload",
            "max-links",
            "high-water",
            "handshake-timeout",
            "close-timeout",
        ],
    ),
];

/// What is said about the settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    file: Option<PathBuf>,
    options: Table,
}

impl Reader {
    /// Takes an option, and its value, if it is one that is about settings.
    pub(crate) fn take(&mut self, name: &str, parser: &mut Parser) -> Result<bool, Box<dyn Error>> {
        if name == "config" {
            self.file = Some(parser.value()?.into());
            return Ok(true);
        }
        let Some((table, _)) = OPTIONS.iter().find(|(_, names)| names.contains(&name)) else { return Ok(false) };
        let text = parser.value()?.string()?;
        let said = said(table, name, &text).map_err(|error| format!("--{name} {text}: {error}"))?;
        merge(&mut self.options, said);
        Ok(true)
    }

    pub(crate) fn settings(self) -> Result<Settings, Box<dyn Error>> {
        let mut all = match &self.file {
            Some(path) => read(path)?,
            None => Table::new(),
        };
        if self.options.contains_key("listen") {
            all.remove("listen");
        }
        merge(&mut all, self.options);
        Ok(all.try_into()?)
    }
}

/// What a file says, if all of it can be understood.
fn read(path: &Path) -> Result<Table, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let understood = toml::from_str::<Settings>(&text).and_then(|_| text.parse::<Table>());
    understood.map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("{}:{line}: {}", path.display(), error.message().trim_end().replace('\n', "; ")).into()
    })
}

/// What an option says, as the file would: as a number if that is what is wanted, else as a text.
fn said(table: &str, name: &str, text: &str) -> Result<Table, String> {
    let as_text = Value::from(text);
    let as_number = text.parse().map(Value::Integer).ok();
    let mut errors = Vec::new();
    for value in as_number.into_iter().chain([as_text]) {
        let value = if name == "listen" { Value::Array(vec![value]) } else { value };
        let entry = Table::from_iter([(name.to_owned(), value)]);
        let said = if table.is_empty() { entry } else { Table::from_iter([(table.to_owned(), Value::Table(entry))]) };
        match said.clone().try_into::<Settings>() {
            Ok(_) => return Ok(said),
            Err(error) => errors.push(error.message().to_owned()),
        }
    }
    // Which is the one that says more than that it should have been the other.
    let telling = errors.iter().position(|error| !error.starts_with("invalid type")).unwrap_or(0);
    Err(errors.swap_remove(telling))
}

/// What is said later holds, but for addresses, which are all meant.
fn merge(into: &mut Table, said: Table) {
    for (key, value) in said {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(there)), Value::Table(said)) => merge(there, said),
            (Some(Value::Array(there)), Value::Array(said)) => there.extend(said),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}
