//! The guide "Testing the broker you wrote" is true: its commands print what it says, its excerpts are of files that compile, and
//! its story happens. With `GUIDE=write` in the environment the commands' outputs are written into it anew.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

#[allow(dead_code, unreachable_pub, unused_attributes)]
#[path = "../examples/stateful.rs"]
mod stateful;

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
        assert_eq!(says, is, "CONTRIBUTING.md says how it is written anew");
    }
    assert_eq!(text.lines().count(), anew.lines().count());
    assert!(text.matches("```console\n$ cargo run ").count() >= 4);
    assert_eq!(std::fs::read_to_string(root().join("docs/testing.svg")).unwrap(), drawn);
}

#[test]
fn the_guides_excerpts_are_of_files_that_compile() {
    let files = ["examples/guide_broker.rs", "examples/property.rs", "examples/stateful.rs", "tests/guide.rs"];
    let files = files.map(|file| std::fs::read_to_string(root().join("msglib-testkit").join(file)).unwrap());
    let text = std::fs::read_to_string(root().join("docs/testing.md")).unwrap();
    let pieces = pieces(&text);
    let excerpts: Vec<&str> = pieces.iter().filter_map(|piece| piece.strip_prefix("rust,ignore\n")).collect();
    assert!(excerpts.len() >= 9);
    for excerpt in excerpts {
        assert!(files.iter().any(|file| file.contains(excerpt)), "in no file:\n{excerpt}");
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

#[test]
fn a_job_comes_back_when_its_worker_leaves() -> Result<(), msglib_client::Error> {
    let mut harness = Harness::new(JobQueue::default());
    let (sender, worker, other) = (harness.connect(), harness.connect(), harness.connect());
    publish_to_q(&sender, "jobs", b"paint the fence")?;
    let mut jobs = blocking_pull_subscribe_to_queue(&worker, "jobs")?;
    drop((harness.step_until_message(&mut jobs), jobs, worker)); // and the job is not done

    let mut jobs = blocking_pull_subscribe_to_queue(&other, "jobs")?;
    let again = harness.step_until_message(&mut jobs);
    assert_eq!((again.payload(), again.count()), (&b"paint the fence"[..], 2));
    Ok(())
}

#[test]
fn a_job_comes_back_when_its_worker_closes_only_the_link() -> Result<(), msglib_client::Error> {
    let mut harness = Harness::new(JobQueue::default());
    let (sender, worker, other) = (harness.connect(), harness.connect(), harness.connect());
    publish_to_q(&sender, "jobs", b"paint the fence")?;
    let mut jobs = blocking_pull_subscribe_to_queue(&worker, "jobs")?;
    drop(harness.step_until_message(&mut jobs));
    harness.step_until_ok("the end of the link", || jobs.close()); // the worker stays connected

    let mut jobs = blocking_pull_subscribe_to_queue(&other, "jobs")?;
    let again = harness.step_until_message(&mut jobs);
    assert_eq!((again.payload(), again.count()), (&b"paint the fence"[..], 2));
    Ok(())
}

enum Leaves {
    TheBroker,
    OnlyTheQueue,
}

/// The same with the first version.
fn first_version(leaves: Leaves) -> u32 {
    let mut harness = Harness::new(FirstVersion::default());
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
fn the_first_version_gives_back_a_job_when_its_worker_leaves() {
    assert_eq!(first_version(Leaves::TheBroker), 2);
}

#[test]
#[should_panic(expected = "the harness waited for a message: the broker has nothing left to do")]
fn the_first_version_keeps_a_job_when_its_worker_closes_only_the_link() {
    first_version(Leaves::OnlyTheQueue);
}

#[test]
fn the_oldest_job_comes_first() {
    stateful::main();
}

proptest! {
    #![proptest_config(cases(32))]

    /// The guide says so: that the answers are valid is not enough.
    #[test]
    fn both_versions_give_valid_answers(conversations in proptest::collection::vec(conversations(), 1..4)) {
        play(&mut Harness::new(JobQueue::default()), &conversations);
        play(&mut Harness::new(FirstVersion::default()), &conversations);
    }
}
