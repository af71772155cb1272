#!/usr/bin/env python3
"""Measures Portcullis beside llama.cpp, ctranslate2 and transformers, in one run, and prints Markdown tables.

    python3 benches/compare/compare.py --peers /tmp/peers

Every size is measured in every dtype with random weights of the published shapes. The programs run one at a time and
take turns: a round is one run of each, beginning with another each round, so that a noisy neighbour disturbs all
alike. Reported are medians over the rounds, the least and the most beside them. Needs Linux, Python 3.11, cargo, a C++
compiler, PyPI, and 35 GB of disk for the largest size; whatever it makes lies in the peers' folder.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

import programs
import report
from peers import COMPUTE_TYPES, Missing, Peers, Portcullis, random_checkpoint, say, versions
from sealed import Sealed

PARAMETERS = {"124m": 124.4e6, "355m": 354.8e6, "774m": 774.0e6, "1.5b": 1557.6e6}
DTYPES = ["f32", "bf16", "q8", "q4"]
PROGRAMS = ["portcullis", "llama.cpp", "ctranslate2", "transformers"]
BATCH = [4, 8, 16]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    chosen = lambda known: lambda text: [pick(item, known) for item in text.split(",")]
    parser.add_argument("--peers", type=Path, default=os.environ.get("PORTCULLIS_PEERS"),
                        help="the folder for the peers; or PORTCULLIS_PEERS")
    parser.add_argument("--sizes", type=chosen(PARAMETERS), default=list(PARAMETERS))
    parser.add_argument("--dtypes", type=chosen(DTYPES), default=DTYPES)
    parser.add_argument("--programs", type=chosen(PROGRAMS), default=PROGRAMS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512, help="tokens of prefill")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of decode")
    parser.add_argument("--batch", type=lambda text: [int(texts) for texts in text.split(",")], default=BATCH,
                        help="texts to write at the same time")
    parser.add_argument("--batch-rounds", type=int, default=5, help="the rounds that measure those, the first of all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--portcullis", type=Path, help="a binary to measure instead of this repository's release build")
    parser.add_argument("--tokenizer", type=Path, help="a folder with GPT-2's tokenizer; made up where not given")
    parser.add_argument("--keep", action="store_true", help="leave the checkpoints for the next run")
    parser.add_argument("--setup-only", action="store_true", help="install and build, measure nothing")
    arguments = parser.parse_args()
    if arguments.peers is None:
        parser.error("say where the peers live: --peers FOLDER")
    if arguments.prompt + arguments.tokens > 1024:
        parser.error("--prompt and --tokens go beyond the context of 1024")
    return arguments


def pick(item, known):
    if item not in known:
        raise argparse.ArgumentTypeError(f"`{item}` is none of {', '.join(known)}")
    return item


class Comparison:
    """The programs of one run and the work that they are given."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.work = programs.Work(arguments.prompt, arguments.tokens, arguments.threads, arguments.batch)
        self.peers = Peers(arguments.peers)
        self.portcullis = None
        if "portcullis" in arguments.programs:
            self.portcullis = Portcullis(arguments.portcullis)
        if set(arguments.programs) - {"portcullis"}:
            self.peers.install_python()
        if "llama.cpp" in arguments.programs:
            self.peers.build_llama()

    def size(self, size):
        """Yields each dtype of one size with its runs; its files live no longer than that."""
        try:
            for dtype in self.arguments.dtypes:
                yield dtype, self.take_turns(size, dtype)
        finally:
            if not self.arguments.keep:
                self.remove(size)

    def take_turns(self, size, dtype):
        """Each program's runs by its name, or why it has none."""
        runners = {name: self.runner(name, size, dtype) for name in self.arguments.programs}
        runners = {name: runner for name, runner in runners.items() if runner}
        measured = {name: runner if isinstance(runner, str) else [] for name, runner in runners.items()}
        able = [name for name, runner in runners.items() if not isinstance(runner, str)]
        for turn in range(self.arguments.rounds):
            self.work.batch = self.arguments.batch if turn < self.arguments.batch_rounds else []
            for step in range(len(able)):
                name = able[(turn + step) % len(able)]
                run = runners[name]()
                say(f"{size} {dtype} round {turn + 1} {name}: prefill {run.prefill:.1f} decode {run.decode:.1f} tok/s, "
                    f"{run.peak_mib:.0f} MiB")
                measured[name].append(run)
        return measured

    def runner(self, name, size, dtype):
        """What runs a program once, or why nothing does. Brings the checkpoint into the form that the program reads."""
        published = lambda stored: random_checkpoint(size, stored, self.peers.models, self.arguments.tokenizer)
        if name == "portcullis":
            # A board seals 16 bits for all who narrow them further.
            stored = "f32" if dtype == "f32" else "bf16"
            folder = self.peers.models / f"random-{size}-{stored}-sealed"
            sealed = Sealed(self.portcullis.binary, folder, published(stored))
            return lambda: programs.portcullis(sealed, dtype, self.work)
        if name == "llama.cpp":
            gguf = self.peers.convert_to_gguf(published("f32"), dtype)
            return lambda: programs.llama_cpp(self.peers, gguf, self.work)
        if name == "ctranslate2":
            if dtype not in COMPUTE_TYPES:
                return None
            folder = self.peers.convert_to_ctranslate2(published("f32"), dtype)
            return lambda: programs.ctranslate2(self.peers.python, folder, COMPUTE_TYPES[dtype], self.work)
        if dtype not in ("f32", "bf16"):
            return None
        if not fits_in_memory(size, dtype):
            return "not enough memory"
        return lambda: programs.transformers(self.peers.python, published("f32"), dtype, self.work)

    def remove(self, size):
        for path in self.peers.models.glob(f"random-{size}-*"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def fits_in_memory(size, dtype):
    """transformers maps the f32 file, and narrows it into weights of its own where another dtype is asked for."""
    need = 1.2 * PARAMETERS[size] * (4 + {"f32": 0, "bf16": 2}[dtype])
    return need < report.available_bytes()


def main():
    arguments = parse_arguments()
    comparison = Comparison(arguments)
    if arguments.setup_only:
        return
    busy = report.busy_share()
    if busy > 0.1:
        say(f"this machine is {busy:.0%} busy with other things: what follows says as much about them")
    print(report.machine(versions(comparison.peers), busy, comparison.work))
    print(f"\n{arguments.prompt} tokens of prefill, {arguments.tokens} of decode; median (least–most) of "
          f"{arguments.rounds} interleaved rounds\n\n{report.HEADER}")
    batches, machines = [report.batch_header(arguments.batch)], [report.MACHINE_HEADER]
    for size in arguments.sizes:
        for dtype, measured in comparison.size(size):
            print("\n".join(report.rows(size, dtype, measured)), flush=True)
            batches += report.batch_rows(size, dtype, measured, arguments.batch)
            machines += report.machine_rows(size, dtype, measured)
    print("\n".join(["", *batches, "", *machines]))


if __name__ == "__main__":
    try:
        main()
    except Missing as missing:
        sys.exit(f"compare: {missing}")
