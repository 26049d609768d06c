//! The guide "Testing the broker you wrote" is true: its commands print what it says, its excerpts are in the examples, and its
//! story happens. With `GUIDE=write` in the environment the commands' outputs are written into it anew.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

#[allow(dead_code, unreachable_pub, unused_attributes)]
#[path = "../examples/stateful.rs"]
mod stateful;

use msglib_broker::Handler;
use msglib_client::{blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_testkit::Harness;
use msglib_testkit::strategies::{cases, conversations, play};
use proptest::prelude::*;
use stateful::guide_broker::{FirstVersion, JobQueue, search, simulation};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The text in pieces: outside and inside of fences by turns; an inside begins with the language.
fn pieces(text: &str) -> Vec<String> {
    text.split("```").map(str::to_owned).collect()
}

/// Runs `cargo run … --example NAME -- OPTIONS` in `directory`, but with what `cargo test` has built. The status is a matter of
/// the output: a violation is told.
fn run(command: &str, directory: &Path) -> String {
    let (_, example) = command.split_once("--example ").unwrap_or_else(|| panic!("{command} runs no example"));
    let (name, options) = example.split_once(" -- ").unwrap_or((example, ""));
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing; `cargo build --examples` makes it", path.display());
    let output = Command::new(path).args(options.split_whitespace()).current_dir(directory).output().unwrap();
    assert!(output.stderr.is_empty(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The guide's text as it should be. A drawing is what the command before it has written.
fn anew(guide: &str, directory: &Path) -> String {
    let mut pieces = pieces(guide);
    let mut drawing = None;
    for piece in pieces.iter_mut().skip(1).step_by(2) {
        if let Some(block) = piece.strip_prefix("console\n$ ") {
            let command = block.lines().next().unwrap();
            let output = run(command, directory);
            drawing = command.split_once("--mermaid ").and_then(|(_, rest)| rest.split(' ').next()).map(str::to_owned);
            let output = output.trim_end();
            *piece = format!("console\n$ {command}\n{output}{}", if output.is_empty() { "" } else { "\n" });
        } else if piece.starts_with("mermaid\n") {
            let file = drawing.take().expect("a command that has written it");
            *piece = format!("mermaid\n{}", std::fs::read_to_string(directory.join(file)).unwrap());
        }
    }
    pieces.join("```")
}

#[test]
fn the_guides_commands_print_and_draw_what_it_says() {
    let guide = root().join("docs/testing.md");
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guide");
    std::fs::create_dir_all(directory.join("docs")).unwrap();
    let text = std::fs::read_to_string(&guide).unwrap();
    let anew = anew(&text, &directory);
    let drawn = std::fs::read_to_string(directory.join("docs/testing.svg")).unwrap();
    if std::env::var("GUIDE").is_ok_and(|what| what == "write") {
        std::fs::write(&guide, &anew).unwrap();
        std::fs::write(root().join("docs/testing.svg"), &drawn).unwrap();
    }
    let text = std::fs::read_to_string(&guide).unwrap();
    for (says, is) in text.lines().zip(anew.lines()) {
        assert_eq!(says, is, "`GUIDE=write cargo test -p msglib-testkit --test guide` writes it anew; read it then");
    }
    assert_eq!(text.lines().count(), anew.lines().count());
    assert!(text.matches("```console\n$ cargo run ").count() >= 4);
    assert_eq!(std::fs::read_to_string(root().join("docs/testing.svg")).unwrap(), drawn);
}

#[test]
fn the_guides_excerpts_are_in_the_examples() {
    let examples = ["guide_broker", "property", "stateful"]
        .map(|name| std::fs::read_to_string(root().join(format!("msglib-testkit/examples/{name}.rs"))).unwrap());
    let text = std::fs::read_to_string(root().join("docs/testing.md")).unwrap();
    let pieces = pieces(&text);
    let excerpts: Vec<&str> = pieces.iter().filter_map(|piece| piece.strip_prefix("rust,ignore\n")).collect();
    assert!(excerpts.len() >= 5);
    for excerpt in excerpts {
        assert!(examples.iter().any(|example| example.contains(excerpt)), "in no example:\n{excerpt}");
    }
}

/// What the guide tells: its seed, its checker, its operations, and that the same ones do no harm to the mended broker.
#[test]
fn the_guides_story_happens() {
    let story = search::<FirstVersion>().expect("the first version loses messages");
    let text = std::fs::read_to_string(root().join("docs/testing.md")).unwrap();
    assert!(text.contains(&format!("--first-version {}", story.options())), "{story}");
    let violation = &story.report.failure.as_ref().unwrap().violation;
    assert!(violation.checker.starts_with("I12 "), "{violation}");
    assert!(story.kept.len() <= 5 && story.is_calm, "{story}");

    let mended = simulation::<JobQueue>(story.report.seed);
    assert_eq!(mended.run().failure, None);
    assert_eq!(mended.keep(story.kept).calm(true).run().failure, None);
}

enum Leaves {
    TheBroker,
    OnlyTheQueue,
}

/// A worker takes a job and leaves; how often the job was delivered when the next worker has it.
fn deliveries_after<H: Handler + Default>(leaves: Leaves) -> u32 {
    let mut harness = Harness::new(H::default());
    let (sender, worker, other) = (harness.connect(), harness.connect(), harness.connect());
    publish_to_q(&sender, "jobs", b"paint the fence").unwrap();
    let mut jobs = blocking_pull_subscribe_to_queue(&worker, "jobs").unwrap();
    drop(harness.step_until_message(&mut jobs));
    match leaves {
        Leaves::TheBroker => drop((jobs, worker)),
        Leaves::OnlyTheQueue => harness.step_until_ok("the end of the link", || jobs.close()),
    }
    let mut jobs = blocking_pull_subscribe_to_queue(&other, "jobs").unwrap();
    harness.step_until_message(&mut jobs).count()
}

#[test]
fn a_job_comes_back_when_its_worker_leaves() {
    assert_eq!(deliveries_after::<FirstVersion>(Leaves::TheBroker), 2);
    assert_eq!(deliveries_after::<JobQueue>(Leaves::TheBroker), 2);
}

#[test]
fn a_job_comes_back_when_its_worker_closes_only_the_link() {
    assert_eq!(deliveries_after::<JobQueue>(Leaves::OnlyTheQueue), 2);
}

#[test]
#[should_panic(expected = "the harness waited for a message: the broker has nothing left to do")]
fn the_first_version_keeps_a_job_when_its_worker_closes_only_the_link() {
    deliveries_after::<FirstVersion>(Leaves::OnlyTheQueue);
}

proptest! {
    #![proptest_config(cases(32))]

    /// The guide says so: neither of the two properties finds what is wrong with the first version.
    #[test]
    fn properties_hold_for_both_versions(
        operations in stateful::operations(),
        conversations in proptest::collection::vec(conversations(), 1..4),
    ) {
        stateful::play::<JobQueue>(&operations)?;
        stateful::play::<FirstVersion>(&operations)?;
        play(&mut Harness::new(JobQueue::default()), &conversations);
        play(&mut Harness::new(FirstVersion::default()), &conversations);
    }
}
