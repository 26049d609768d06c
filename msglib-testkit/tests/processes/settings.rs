//! The settings of the example broker: where they come from, what goes before what, and what is said of mistakes.

#[path = "../../examples/broker/reading.rs"]
mod reading;
#[path = "../../examples/broker/settings.rs"]
#[allow(dead_code, clippy::module_inception, reason = "a part of it is the program's alone; its name is there")]
pub(crate) mod settings;
#[path = "../../examples/broker/values.rs"]
#[allow(dead_code, reason = "likewise")]
pub(crate) mod values;

use msglib_broker::queue::{OrderKind, Overflow};
use reading::Reader;
use settings::Settings;
use std::path::PathBuf;
use std::time::Duration;

const FILE: &str = include_str!("../../examples/broker/broker.toml");
const HELP: &str = include_str!("../../examples/broker/help.txt");

/// A file of these lines, and these options behind it.
fn read(name: &str, lines: &str, options: &[&str]) -> Result<Settings, String> {
    let path = path(name);
    std::fs::write(&path, lines).unwrap();
    let config = ["--config", path.to_str().unwrap()];
    let settings = with_options(&[&config, options].concat());
    std::fs::remove_file(&path).unwrap();
    settings
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("msglib-settings-{}-{name}.toml", std::process::id()))
}

fn with_options(options: &[&str]) -> Result<Settings, String> {
    let mut reader = Reader::default();
    let mut parser = lexopt::Parser::from_args(options);
    while let Some(option) = parser.next().unwrap() {
        let lexopt::Arg::Long(name) = option else { panic!("{option:?}") };
        let name = name.to_owned();
        let known = reader.take(&name, &mut parser).map_err(|error| error.to_string())?;
        assert!(known, "--{name}");
    }
    reader.settings().map_err(|error| error.to_string())
}

fn all(settings: &Settings) -> String {
    let program = (settings.listen(), settings.log.unwrap_or_default(), settings.drain(), settings.goodbye());
    let broker = (settings.stock(), settings.broker(), settings.dialect());
    format!("{program:?} {:?} {broker:#?}", settings.stats.unwrap_or(true))
}

/// The lines of the example file that are `key = value`, with or without a comment's sign right before them.
fn keys() -> Vec<String> {
    let keys = FILE.lines().filter_map(|line| {
        let (key, _) = line.trim_start_matches(['#', ' ']).split_once(" = ")?;
        key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-').then(|| key.to_owned())
    });
    keys.collect()
}

#[test]
fn the_example_file_says_all_of_the_defaults() {
    let uncommented: Vec<&str> = FILE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest,
            _ => line,
        })
        .collect();
    let as_written = read("example", FILE, &[]).unwrap();
    assert_eq!(as_written, Settings::default());
    let said = read("defaults", &uncommented.join("\n"), &[]).unwrap();
    assert_ne!(said, Settings::default());
    assert_eq!(all(&said), all(&Settings::default()));
}

#[test]
fn the_example_files_examples_can_be_used() {
    let lines: Vec<&str> = FILE.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let lines = lines.iter().filter(|line| line.contains(" = ") || line.starts_with('['));
    let settings = read("examples", &lines.copied().collect::<Vec<_>>().join("\n"), &[]).unwrap();
    let stock = settings.stock();
    assert_eq!(stock.queue.redelivery.lease, Some(Duration::from_secs(30)));
    assert_eq!(stock.queues.len(), 2, "{:?}", stock.queues);
}

#[test]
fn each_key_is_an_option_and_each_option_is_a_key_and_has_help() {
    let mut keys = keys();
    keys.sort_unstable();
    keys.dedup();
    // What `--stats` says otherwise.
    keys.retain(|key| key != "stats");
    let mut options: Vec<&str> = HELP.lines().filter_map(|line| line.strip_prefix("  --")?.split(' ').next()).collect();
    options.sort_unstable();
    options.retain(|option| !["config", "help"].contains(option));
    assert_eq!(options, keys);
    for option in options {
        // Some value is wanted, and this one suits nobody but those that take any text.
        if let Err(error) = with_options(&[&format!("--{option}"), "?"]) {
            assert!(error.starts_with(&format!("--{option} ?: ")), "{error}");
        }
    }
}

#[test]
fn options_go_before_the_file_and_the_file_before_the_defaults() {
    let file = "
        listen = ['[::1]:1', '[::1]:2']
        drain = '1m'
        [queue]
        max-messages = 100
        lease = '30s'
        overflow = 'drop-oldest'
        [queues.jobs]
        order = 'priority'
        max-messages = 3
        ";
    let options = ["--max-messages", "7", "--lease", "1h 30m", "--listen", "[::1]:3", "--backoff", "1s..5m"];
    let settings = read("precedence", file, &options).unwrap();
    assert_eq!((settings.listen(), settings.drain()), (vec!["[::1]:3".to_owned()], Duration::from_secs(60)));
    let stock = settings.stock();
    assert_eq!((stock.queue.max_messages, stock.queue.overflow), (7, Overflow::DropOldest));
    assert_eq!(stock.queue.redelivery.lease, Some(Duration::from_secs(5400)));
    let [(name, jobs)] = &stock.queues.iter().collect::<Vec<_>>()[..] else { panic!("{stock:?}") };
    assert_eq!(name.to_string(), "jobs");
    assert_eq!((jobs.order, jobs.max_messages, jobs.overflow), (OrderKind::Priority, 3, Overflow::DropOldest));
    assert_eq!(jobs.redelivery, stock.queue.redelivery, "what it does not say is as for all");
    let both = with_options(&["--listen", "[::1]:3", "--listen", "[::1]:4"]).unwrap();
    assert_eq!(both.listen(), ["[::1]:3", "[::1]:4"]);
    // A number can also be a name.
    let dead = with_options(&["--dead-letter", "42"]).unwrap().stock().queue.redelivery.dead_letter;
    assert_eq!(dead.unwrap().to_string(), "42");
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_file_its_line_and_what_is_possible() {
    let cases = [
        ("log = 'info'\n[queue]\nleese = '30s'\n", 3, ["unknown field `leese`", "`lease`"]),
        ("log = 'loud'\n", 1, ["unknown variant `loud`", "`warn`"]),
        ("\n[queue]\nlease = 'soon'\n", 3, ["\"soon\" is no time such as 500ms", "number"]),
        ("[queues.a]\n\nbackoff = '5m..1s'\n", 3, ["the first wait is longer", "5m..1s"]),
        ("[limits]\nmax-queues = 'many'\n", 2, ["invalid type", "many"]),
        ("[queues.'']\n", 1, ["no name of a queue", ""]),
        ("[queue]\norder = 'fifo'\norder = 'fifo'\n", 3, ["duplicate key", ""]),
    ];
    for (lines, line, says) in cases {
        let error = read("mistake", lines, &[]).unwrap_err();
        assert!(error.starts_with(&format!("{}:{line}: ", path("mistake").display())), "{lines}: {error}");
        assert!(says.iter().all(|words| error.contains(words)), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let missing = with_options(&["--config", "/nowhere/at/all.toml"]).unwrap_err();
    assert!(missing.starts_with("/nowhere/at/all.toml: "), "{missing}");
}

#[test]
fn a_mistake_in_an_option_is_told_with_the_option_and_what_is_possible() {
    let cases = [
        (["--order", "random"], "unknown variant `random`, expected one of `fifo`"),
        (["--lease", "30"], "no time such as 500ms, 30s or 1h 30m"),
        (["--backoff", "1s"], "no backoff such as 1s..5m"),
        (["--max-deliveries", "many"], "invalid type: string \"many\", expected u32"),
        (["--max-deliveries", "5000000000"], "expected u32"),
        (["--max-messages", "-1"], "expected usize"),
    ];
    for (options, says) in cases {
        let error = with_options(&options).unwrap_err();
        assert!(error.starts_with(&options.join(" ")) && error.contains(says), "{error}");
    }
}
