//! `docs/ladder.md` is true: its excerpts are of examples that compile, none is longer than it says, and their commands print what is there.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What is between fences, without the language in front of it.
fn blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("docs/ladder.md")).unwrap();
    let fences = text.split("```").skip(1).step_by(2);
    fences.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n').map(str::to_owned)).collect()
}

/// The example whose command comes next after an excerpt; they go together.
fn commands() -> Vec<(String, String)> {
    let blocks = blocks("console");
    let parts = blocks.iter().map(|block| block.split_once('\n').unwrap());
    let names = parts.map(|(command, output)| {
        (command.strip_prefix("$ cargo run --example ").unwrap().to_owned(), output.to_owned())
    });
    names.collect()
}

#[test]
fn each_rungs_excerpt_is_of_its_example_and_fits_on_a_screen() {
    let excerpts = blocks("rust,ignore");
    assert_eq!((excerpts.len(), commands().len()), (6, 6), "one for each rung");
    for (excerpt, (name, _)) in excerpts.iter().zip(commands()) {
        let example = root().join("msglib-testkit/examples").join(&name).with_extension("rs");
        assert!(std::fs::read_to_string(example).unwrap().contains(excerpt), "not in {name}.rs:\n{excerpt}");
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines = excerpt.lines().filter(is_code).count();
        let most = if name == "own_channel" { 80 } else { 40 };
        assert!(lines <= most, "{name}: {lines} lines of code");
    }
}

#[test]
fn the_examples_print_what_the_document_says() {
    // Built by `cargo test`, beside this.
    let test = std::env::current_exe().unwrap();
    let examples = test.parent().and_then(Path::parent).unwrap().join("examples");
    for (name, says) in commands() {
        let output = Command::new(examples.join(&name)).output().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), says, "{name}");
    }
}

/// The examples of single decisions, which the document only names: all of each file fits on a screen.
#[test]
fn each_policy_has_a_short_example_that_does_what_it_says() {
    let quota =
        "1 is accepted|2 is accepted|publish 3 was refused: NOT_ALLOWED (0x0302), two messages are enough for anybody";
    let quotas = ["alice", "bob"].iter().flat_map(|name| quota.split('|').map(move |line| format!("{name}: {line}\n")));
    let examples = [
        ("least_loaded", "the first holds 2, so the second gets 2\n".to_owned()),
        ("quota", quotas.collect()),
        ("dead_letter_tap", "dead: two\ndead: three\n".to_owned()),
    ];
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap().join("examples");
    for (name, says) in examples {
        let code =
            std::fs::read_to_string(root().join("msglib-testkit/examples").join(name).with_extension("rs")).unwrap();
        let lines = code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        assert!(lines <= 40, "{name}: {lines} lines of code");
        let output = Command::new(built.join(name)).output().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), says, "{name}");
    }
}
