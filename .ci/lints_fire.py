#!/usr/bin/env python3
"""Shows that each lint that keeps the core crates pure fires: writes a crate that breaks each rule once, under the very
configuration of each core crate, and looks for every complaint."""

import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORE = ["msglib-proto", "msglib-broker", "msglib-client", "msglib-io-memory"]

# What cannot be named without its generic arguments.
SPECIAL = {
    "std::thread::spawn": "let _ = std::thread::spawn::<fn(), ()>;",
    "std::thread::scope": "std::thread::scope(|_| {});",
    "std::sync::Condvar::wait_timeout": "let _ = std::sync::Condvar::wait_timeout::<()>;",
    "std::sync::Condvar::wait_timeout_while": "let _ = std::sync::Condvar::wait_timeout_while::<(), fn(&mut ()) -> bool>;",
    "std::env::var": "let _ = std::env::var::<&str>;",
    "std::env::var_os": "let _ = std::env::var_os::<&str>;",
    "std::net::TcpStream::connect": 'let _ = std::net::TcpStream::connect::<&str>;',
    "std::net::TcpListener::bind": 'let _ = std::net::TcpListener::bind::<&str>;',
}

# Lints of the workspace, each with what breaks it.
OTHERS = {
    "missing documentation": "pub fn undocumented() {}",
    "unreachable `pub`": "mod inner { pub fn hidden() {} #[allow(dead_code)] fn uses() { hidden() } }",
    "used `unwrap()`": "fn _unwraps() { Some(1).unwrap(); }",
    "current MSRV": "fn _new() { let mut m = std::collections::BTreeMap::<u8, u8>::new(); m.extract_if(.., |_, _| true).count(); }",
    "use of `println!`": 'fn _prints() { println!("x"); }',
    "unsafe": "fn _unsafe() { unsafe { core::hint::unreachable_unchecked() } }",
}


def source(config):
    lines = ["//! Breaks every rule once.", "#![allow(unused_imports, dead_code, clippy::let_underscore_must_use)]"]
    for number, entry in enumerate(config["disallowed-types"]):
        lines.append(f"use {entry['path']} as T{number};")
    lines.append("fn methods() {")
    for entry in config["disallowed-methods"]:
        lines.append("    " + SPECIAL.get(entry["path"], f"let _ = {entry['path']};"))
    lines.append("}")
    return "\n".join(lines + list(OTHERS.values())) + "\n"


def complaints(crate, config, manifest, scratch):
    (scratch / "src").mkdir(exist_ok=True)
    (scratch / "src/lib.rs").write_text(source(config))
    (scratch / "clippy.toml").write_text((ROOT / crate / "clippy.toml").read_text())
    lints = manifest[manifest.index("[workspace.lints.rust]"):manifest.index("[profile")].replace("[workspace.lints", "[lints")
    msrv = re.search(r'rust-version = "(.*)"', manifest).group(1)
    head = f'[package]\nname = "breaks-every-rule"\nversion = "0.0.0"\nedition = "2024"\nrust-version = "{msrv}"\n[workspace]\n'
    (scratch / "Cargo.toml").write_text(head + lints)
    run = subprocess.run(["cargo", "clippy", "--offline", "--quiet"], cwd=scratch, capture_output=True, text=True)
    return run.stderr


def main():
    manifest = (ROOT / "Cargo.toml").read_text()
    silent = []
    with tempfile.TemporaryDirectory() as directory:
        for crate in CORE:
            config = tomllib.loads((ROOT / crate / "clippy.toml").read_text())
            text = complaints(crate, config, manifest, pathlib.Path(directory))
            wanted = [f"disallowed type `{entry['path']}`" for entry in config["disallowed-types"]]
            wanted += [f"disallowed method `{entry['path']}`" for entry in config["disallowed-methods"]]
            wanted += list(OTHERS)
            missing = [each for each in wanted if each not in text]
            print(f"{crate}: {len(wanted) - len(missing)} of {len(wanted)} rules fire")
            silent += [f"{crate}: {each}" for each in missing]
            if missing:
                print(text[-4000:])
            crate_root = (ROOT / crate / "src/lib.rs").read_text()
            if "#![forbid(unsafe_code)]" not in crate_root:
                silent.append(f"{crate}: no #![forbid(unsafe_code)]")
    for each in silent:
        print(f"does not fire: {each}", file=sys.stderr)
    sys.exit(bool(silent))


if __name__ == "__main__":
    main()
