#!/usr/bin/env python3
"""Counts what one message costs, exactly: instructions, allocations, system calls, bytes on the wire. Unlike times, these do not
drift: two runs of the same program give the same figures, on any machine, whatever else it does.

    .ci/exact.py               measures, and compares with the record (.ci/exact.json); fails when something rose
    .ci/exact.py --record      measures, and writes the record anew
    .ci/exact.py --profile     which functions the instructions are in; with a mode behind it, of that one alone

The program is the example `plain_path`, under valgrind. Each figure is the difference between a run of 2N messages and
one of N, divided by N, so that the set-up is not in it."""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORD = ROOT / ".ci/exact.json"
MESSAGES = 20_000
FUNCTIONS = 25

# In which functions the program's instructions are counted: the broker's step; with clients, all that they do.
COUNTED = ["*::world::peers::World*::step", "*::world::fan_out::FanOut::step", "*::world::clients::Clients::run"]

MODES = {
    "ranges": "broker in memory, acks in ranges",
    "each": "broker in memory, an ack each",
    "waiting": "broker in memory, each message waits",
    "fan-out": "broker in memory, a topic with 16 subscribers",
    "client": "two clients and the broker in memory",
    "sockets": "broker on sockets, acks in ranges",
}

# The library's copying code is chosen by what the processor has, and `rep movsb` counts as one instruction for each byte. So that all
# machines count the same, everything gets the variant for x86-64 without extensions. (The names changed with glibc 2.33.)
WITHOUT = ["AVX2", "AVX2_Usable", "AVX", "AVX_Usable", "AVX_Fast_Unaligned_Load", "ERMS", "FSRM", "SSSE3", "RTM"]
TUNABLES = f"glibc.cpu.hwcaps={','.join('-' + each for each in WITHOUT)}:glibc.cpu.x86_non_temporal_threshold=0xc0000"

# An instruction more or less is the compiler's affair; the rest is ours alone.
TOLERANCE = {"instructions": 0.05}

# Not the broker's own: memory, which the C library asks for depending on what else lies on its heap, and the clock, which is no system
# call where valgrind does not look.
NOT_COUNTED = {"brk", "mmap", "munmap", "mremap", "madvise", "clock_gettime"}

ALLOCATING = {"malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "memalign"}


def build():
    """The program, where cargo has put it."""
    command = ["cargo", "build", "--release", "--locked", "--package", "msglib-testkit", "--example", "plain_path"]
    command += ["--message-format", "json-render-diagnostics"]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit("exact: plain_path does not build")
    messages = [json.loads(line) for line in run.stdout.splitlines()]
    return next(each["executable"] for each in messages if each.get("executable"))


def valgrind(options, program, mode, messages):
    """Runs the program in an environment that is always the same; what it printed, and what valgrind said."""
    command = [shutil.which("valgrind") or sys.exit("exact: valgrind is needed: apt-get install valgrind"), *options]
    command += [program, mode, str(messages)]
    run = subprocess.run(command, capture_output=True, text=True, env={"GLIBC_TUNABLES": TUNABLES}, cwd="/")
    if run.returncode != 0:
        sys.exit(f"exact: {' '.join(command)} failed:\n{run.stderr[-4000:]}")
    printed = {name: int(number) for name, number in (line.split() for line in run.stdout.splitlines())}
    return printed, run.stderr


class Calls:
    """What callgrind has counted: instructions in each function, with those that it calls (inclusive) and without (own), and how
    often it was called."""

    def __init__(self, text):
        self.own, self.inclusive, self.calls = (collections.Counter() for _ in range(3))
        function = called = None
        for line in text.splitlines():
            if line.startswith("fn="):
                function = short(line[3:])
            elif line.startswith("cfn="):
                called = short(line[4:])
            elif line.startswith("calls="):
                self.calls[called] += int(line[6:].split()[0])
            elif line[:1].isdigit() and function:
                cost = int(line.split()[1])
                if called is None:
                    self.own[function] += cost
                if called != function:
                    self.inclusive[function] += cost
                called = None

    def minus(self, other):
        difference = Calls("")
        for name in ("own", "inclusive", "calls"):
            counter = collections.Counter(getattr(self, name))
            counter.subtract(getattr(other, name))
            setattr(difference, name, counter)
        return difference

    def instructions(self):
        return sum(self.own.values())

    def allocations(self):
        return sum(number for name, number in self.calls.items() if name.split("@")[0] in ALLOCATING)


def short(name):
    """A function's name without the modules that it is in: of each path the crate, and the type if there is one."""
    return re.sub(r"\b[a-z]\w*(?:::\w+)+", lambda path: shorter(path[0].split("::")), name.replace("__rustc::", ""))


def shorter(path):
    is_type = [part[:1].isupper() for part in path]
    kept = path[is_type.index(True):] if True in is_type else path[-1:]
    return "::".join([path[0], *kept])


def callgrind(program, mode, messages):
    with tempfile.TemporaryDirectory() as directory:
        out = pathlib.Path(directory) / "callgrind.out"
        options = ["--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no", "--compress-pos=no"]
        options += [f"--toggle-collect={each}" for each in COUNTED]
        printed, _ = valgrind(options, program, mode, messages)
        return printed, Calls(out.read_text())


def system_calls(program, mode, messages):
    """The broker's system calls by name: all, but for those on the descriptors of its peers."""
    printed, trace = valgrind(["--tool=none", "--trace-syscalls=yes"], program, mode, messages)
    peers = {printed.pop("publisher_descriptor"), printed.pop("consumer_descriptor")}
    names = collections.Counter()
    for name, arguments in re.findall(r"SYSCALL\[[\d,]+\]\(\s*\d+\) sys_(\w+) ?\(([^)]*)\)", trace):
        first = arguments.split(",")[0].strip()
        if name not in NOT_COUNTED and not (first.isdigit() and int(first) in peers):
            names[name] += 1
    return printed, names


def per_message(twice, once):
    """Set-up cancels out. Three digits, so that a thing that happens once for each batch can be seen."""
    return round((twice - once) / MESSAGES, 3)


def measure(program, mode):
    """Figures by name, and the profile where there is one."""
    profile = None
    figures = {}
    if mode == "sockets":
        (printed, before), (printed_twice, after) = (system_calls(program, mode, n * MESSAGES) for n in (1, 2))
        for name in sorted(before | after):
            if before[name] != after[name]:
                figures[f"system calls: {name}"] = per_message(after[name], before[name])
        figures["system calls"] = per_message(after.total(), before.total())
    else:
        (printed, before), (printed_twice, after) = (callgrind(program, mode, n * MESSAGES) for n in (1, 2))
        profile = after.minus(before)
        figures["instructions"] = per_message(profile.instructions(), 0)
        figures["allocations"] = per_message(profile.allocations(), 0)
        if figures["instructions"] < 1:
            sys.exit(f"exact: nothing was counted; is one of these still a function that is not inlined? {COUNTED}")
    for name, number in printed.items():
        figures["bytes: " + name.replace("_", " ")] = per_message(printed_twice[name], number)
    return figures, profile


def show_profile(mode, profile):
    total = profile.instructions() / MESSAGES
    print(f"\n{MODES[mode]} ({mode}): {total:.1f} instructions for each message")
    for title, counter in (("own", profile.own), ("inclusive", profile.inclusive)):
        print(f"\n{title:>10} {'':>6} {'calls':>8}  for each message")
        per_message = ((name, cost / MESSAGES) for name, cost in counter.most_common())
        # What is above the broker's step includes all of it.
        worth_a_line = [(name, cost) for name, cost in per_message if 0.05 <= cost < 0.999 * total]
        for name, cost in worth_a_line[:FUNCTIONS]:
            print(f"{cost:10.1f} {cost / total:6.1%} {profile.calls[name] / MESSAGES:8.3f}  {name}")


def toolchain():
    said = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {"rustc": said, "libc": " ".join(os.confstr("CS_GNU_LIBC_VERSION").split()), "machine": os.uname().machine}


def compare(record, measured):
    """Prints the table; what rose, and what fell, in words."""
    rose, fell = [], []
    for mode, figures in measured.items():
        recorded = record["for each message"].get(mode, {})
        print(f"\n{MODES[mode]} ({mode})")
        for name in sorted(figures | recorded):
            then, now = recorded.get(name, 0), figures.get(name, 0)
            print(f"  {name:28} {now:10.3f}   recorded {then:10.3f}")
            tolerance = then * TOLERANCE.get(name, 0)
            words = f"{mode}: {name}: from {then:.3f} to {now:.3f} for each message ({now - then:+.3f})"
            if now > then + tolerance:
                rose.append(words)
            elif now < then - tolerance:
                fell.append(words)
    return rose, fell


ADVICE = """
What to do: `.ci/exact.py --profile` says which functions it is in; run it before and after the change. If the cost buys something
that is worth it, write the record anew with `.ci/exact.py --record`, and say in the commit's message what it buys."""


def judge(record, rose, fell):
    """Says it; how the program ends."""
    for line in fell:
        print(f"\nbetter: {line}\n  keep it: .ci/exact.py --record")
    if not rose:
        return 0
    for line in rose:
        print(f"\nworse: {line}", file=sys.stderr)
    print(ADVICE, file=sys.stderr)
    then, now = record["made with"], toolchain()
    if then != now:
        print(f"\nThe record was made with {then}, and this is {now}.", file=sys.stderr)
        print("If main, built here, is as far from it, it is that.", file=sys.stderr)
    return 1


def arguments():
    parser = argparse.ArgumentParser(description="Counts what one message costs, and compares it with the record.")
    parser.add_argument("--record", action="store_true", help="write the record anew")
    modes = ", ".join(mode for mode in MODES if mode != "sockets")
    parser.add_argument("--profile", nargs="?", const="", metavar="MODE", help=f"where the instructions are; of one of: {modes}")
    return parser.parse_args()


def main():
    options = arguments()
    program = build()
    if options.profile is not None:
        for mode in MODES:
            if options.profile in mode and mode != "sockets":
                show_profile(mode, measure(program, mode)[1])
        return 0
    measured = {mode: measure(program, mode)[0] for mode in MODES}
    if options.record or not RECORD.exists():
        RECORD.write_text(json.dumps({"made with": toolchain(), "for each message": measured}, indent=2) + "\n")
        print(f"written: {RECORD}")
    record = json.loads(RECORD.read_text())
    return judge(record, *compare(record, measured))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # for `| head`
    sys.exit(main())
