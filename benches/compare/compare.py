#!/usr/bin/env python3
"""Measures Portcullis beside llama.cpp and transformers, in one run, and prints a Markdown table.

    python3 benches/compare/compare.py --peers /tmp/peers

Every size is measured in every dtype with random weights of the published shapes. The programs run one at a time and
take turns: a round is one run of each, beginning with another each round, so that a noisy neighbour disturbs all
alike. Reported are medians over the rounds, the least and the most beside them. Needs Linux, Python 3.11, cargo, a C++
compiler, PyPI, and 25 GB of disk for the largest size; whatever it makes lies in the peers' folder.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

import programs
import report
from peers import Missing, Peers, Portcullis, example, random_checkpoint, say, versions

PARAMETERS = {"124m": 124.4e6, "355m": 354.8e6, "774m": 774.0e6, "1.5b": 1557.6e6}
PROGRAMS = ["portcullis", "llama.cpp", "transformers"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    chosen = lambda known: lambda text: [pick(item, known) for item in text.split(",")]
    parser.add_argument("--peers", type=Path, default=os.environ.get("PORTCULLIS_PEERS"),
                        help="the folder for the peers; or PORTCULLIS_PEERS")
    parser.add_argument("--sizes", type=chosen(PARAMETERS), default=list(PARAMETERS))
    parser.add_argument("--dtypes", type=chosen(["f32", "bf16"]), default=["f32", "bf16"])
    parser.add_argument("--programs", type=chosen(PROGRAMS), default=PROGRAMS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512, help="tokens of prefill")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of decode")
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
        self.work = programs.Work(arguments.prompt, arguments.tokens, arguments.threads)
        self.peers = Peers(arguments.peers)
        self.portcullis = None
        if "portcullis" in arguments.programs:
            self.portcullis = Portcullis(arguments.portcullis)
        if set(arguments.programs) & {"llama.cpp", "transformers"}:
            self.peers.install_python()
        if "llama.cpp" in arguments.programs:
            self.peers.build_llama()

    def size(self, size):
        """Yields the table's lines of one size; its files live no longer than that."""
        checkpoint = random_checkpoint(size, self.peers.models, self.arguments.tokenizer)
        try:
            for dtype in self.arguments.dtypes:
                yield from report.rows(size, dtype, self.take_turns(size, dtype, checkpoint))
        finally:
            if not self.arguments.keep:
                self.remove(checkpoint)

    def take_turns(self, size, dtype, checkpoint):
        """Each program's runs by its name, or why it has none."""
        runners = {name: self.runner(name, dtype, checkpoint) for name in self.arguments.programs}
        if "transformers" in runners and not fits_in_memory(size, dtype):
            runners["transformers"] = "not enough memory"
        measured = {name: runner if isinstance(runner, str) else [] for name, runner in runners.items()}
        able = [name for name, runner in runners.items() if not isinstance(runner, str)]
        for turn in range(self.arguments.rounds):
            for step in range(len(able)):
                name = able[(turn + step) % len(able)]
                run = runners[name]()
                say(f"{size} {dtype} round {turn + 1} {name}: prefill {run.prefill:.1f} decode {run.decode:.1f} tok/s, "
                    f"{run.peak_mib:.0f} MiB")
                measured[name].append(run)
        return measured

    def runner(self, name, dtype, checkpoint):
        """What runs a program once. Brings the checkpoint into the form that the program reads."""
        if name == "portcullis":
            folder = self.portcullis.import_checkpoint(checkpoint, self.peers.models)
            return lambda: programs.portcullis(self.portcullis.binary, folder, dtype, self.work)
        if name == "llama.cpp":
            gguf = self.peers.convert_to_gguf(checkpoint, dtype)
            return lambda: programs.llama_cpp(self.peers.llama_bench, gguf, self.work)
        return lambda: programs.transformers(self.peers.python, checkpoint, dtype, self.work)

    def remove(self, checkpoint):
        for path in checkpoint.parent.glob(f"{checkpoint.name}*"):
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
    bandwidth = example("read_bandwidth", arguments.threads)
    busy = report.busy_share()
    if busy > 0.1:
        say(f"this machine is {busy:.0%} busy with other things: what follows says as much about them")
    print(report.machine(versions(comparison.peers), bandwidth, busy, comparison.work))
    print(f"\n{arguments.prompt} tokens of prefill, {arguments.tokens} of decode; median (least–most) of "
          f"{arguments.rounds} interleaved rounds\n\n{report.HEADER}")
    for size in arguments.sizes:
        for line in comparison.size(size):
            print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except Missing as missing:
        sys.exit(f"compare: {missing}")
