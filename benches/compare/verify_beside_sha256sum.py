#!/usr/bin/env python3
"""Times `portcullis verify` of one checkpoint beside `sha256sum` of a copy of it on every core at once.

    python3 benches/compare/verify_beside_sha256sum.py [--size 355m] [--rounds 5]

The programs take turns; the files are in the page cache. Bytes a second: of verify, those of one checkpoint, whose tensors it
also checks; of sha256sum, those of all cores together. Needs cargo, coreutils, and room for the checkpoint once a core, and once
more.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*command):
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def seconds(commands):
    """How long the commands take, all begun at once."""
    begin = time.perf_counter()
    children = [subprocess.Popen([str(part) for part in c], stdout=subprocess.DEVNULL) for c in commands]
    if any([child.wait() for child in children]):
        raise SystemExit(f"failed: {commands[0][0]}")
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="355m")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cores = os.cpu_count()
    run("cargo", "build", "--release", "--bins", "--examples")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run("target/release/examples/random_checkpoint", arguments.size, folder / "published")
        binary = ROOT / "target/release/portcullis"
        run(binary, "import", "random", folder / "published", "--to", folder / "imported")
        weights = folder / "imported/model.safetensors"
        copies = [shutil.copy(weights, folder / f"copy-{core}") for core in range(cores)]
        size = weights.stat().st_size
        verify, hashed = [], []
        for _ in range(arguments.rounds + 1):
            verify.append(size / seconds([[binary, "verify", folder / "imported"]]))
            hashed.append(cores * size / seconds([["sha256sum", copy] for copy in copies]))
        verify, hashed = verify[1:], hashed[1:]  # the first round warms the page cache
    ratios = [v / h for v, h in zip(verify, hashed)]
    show = lambda values: f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
    print(f"| {arguments.size}, {size / 1e9:.2f} GB, {cores} cores, {arguments.rounds} rounds | GB/s |")
    print("|---|---|")
    print(f"| portcullis verify | {show([v / 1e9 for v in verify])} |")
    print(f"| sha256sum on every core at once | {show([h / 1e9 for h in hashed])} |")
    print(f"| ratio | {show(ratios)} |")


main()
