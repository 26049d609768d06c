#!/usr/bin/env python3
"""Makes the seed corpus: the golden vectors for what takes bytes of the wire, and short scripts for what takes decisions."""

import pathlib
import random
import re

HERE = pathlib.Path(__file__).resolve().parent


def vectors():
    text = (HERE.parent / "vectors/frames.txt").read_text()
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        name = next((line[6:].strip() for line in lines if line.startswith("name:")), None)
        taken, hexed = False, ""
        for line in lines:
            taken = line.startswith("bytes:") or (taken and line.startswith("    "))
            hexed += line.removeprefix("bytes:") + " " if taken else ""
        if not name:
            continue
        data = b""
        for word in re.findall(r"repeat\(0x[0-9a-f]{2},\s*\d+\)|[0-9a-f]{2}", hexed):
            if word.startswith("repeat"):
                byte, count = re.findall(r"0x([0-9a-f]{2}),\s*(\d+)", word)[0]
                data += bytes.fromhex(byte) * int(count)
            else:
                data += bytes.fromhex(word)
        if len(data) <= 4096:
            yield name, data


def write(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def main():
    for name, data in vectors():
        write("decoder", name, bytes([64]) + data)
        write("chunking", name, bytes([7]) + data)
    # The same scripts each time.
    draw = random.Random(1)
    for target in ["send_queue", "session", "core"]:
        for number in range(40):
            write(target, f"script-{number:02}", bytes(draw.choice([draw.randrange(256), draw.randrange(32)]) for _ in range(10 + 10 * number)))


if __name__ == "__main__":
    main()
