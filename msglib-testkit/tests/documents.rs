//! What the documents point at is there.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

use msglib_testkit::abuse::cases;
use std::collections::BTreeSet;
use std::path::Path;

const DOCUMENTS: [&str; 12] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "PROTOCOL.md",
    "docs/abuse.md",
    "docs/ladder.md",
    "docs/limits.md",
    "docs/performance.md",
    "docs/recording.md",
    "docs/testing.md",
    "clients/python/README.md",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut links = 0;
    for document in DOCUMENTS {
        let text = read(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = root().join(document);
            assert!(path.parent().unwrap().join(target).exists(), "{document} points at {target}, which is not there");
            links += 1;
        }
    }
    assert!(links > 10, "{links} links were looked at");
}

/// `cargo … --example NAME`, and the same for tests and benchmarks.
#[test]
fn every_program_that_the_documents_run_is_there() {
    let mut programs = 0;
    for document in DOCUMENTS {
        for command in read(document).lines().filter(|line| line.contains("cargo ")) {
            for (option, directory) in [("--example ", "examples"), ("--test ", "tests"), ("--bench ", "benches")] {
                for name in command.split(option).skip(1).filter_map(|rest| rest.split_whitespace().next()) {
                    let name = name.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
                    let path = root().join("msglib-testkit").join(directory).join(name);
                    let is_there = path.with_extension("rs").exists() || path.join("main.rs").exists();
                    assert!(is_there, "{document} says {command:?}, and there is no {}", path.display());
                    programs += 1;
                }
            }
        }
    }
    assert!(programs > 10, "{programs} programs were looked for");
}

/// Each limit has a row for its tests, and these are tests.
#[test]
fn every_test_that_the_table_of_limits_names_is_there() {
    let text = read("docs/limits.md");
    let (_, section) = text.split_once("## The tests").unwrap();
    let names: Vec<&str> = section.split('`').skip(1).step_by(2).collect();
    assert!(names.len() > 50, "{} tests are named", names.len());
    let mut sources = String::new();
    for package in ["msglib-broker", "msglib-io-epoll", "msglib-testkit"] {
        for directory in ["src", "tests"] {
            read_sources(&root().join(package).join(directory), &mut sources);
        }
    }
    let is_test = |name: &&&str| {
        sources.contains(&format!("#[test]\nfn {name}()")) || sources.contains(&format!("#[test]\n    fn {name}()"))
    };
    let missing: Vec<_> = names.iter().filter(|name| !is_test(name)).collect();
    assert!(missing.is_empty(), "docs/limits.md names tests that are not there: {missing:?}");
}

fn read_sources(directory: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_case_of_the_abuse_suite_is_in_its_table() {
    let text = read("docs/abuse.md");
    let told: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let unique: BTreeSet<&str> = told.iter().copied().collect();
    assert_eq!(unique, cases::NAMES.iter().copied().collect());
    assert_eq!(unique.len(), told.len(), "none twice");
}
