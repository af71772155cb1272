#!/usr/bin/env python3
"""Checks Portcullis' forward pass against transformers, in f32, on prompts of random tokens.

    python3 tests/peers/transformers_logits.py CHECKPOINT [--portcullis target/release/portcullis]

CHECKPOINT is a GPT-2 in Hugging Face's layout, such as `cargo run --example random_checkpoint` writes, or one already
imported. Needs torch and transformers (benches/compare/requirements.txt). For each prompt three things must agree:
the logits after its last token, the mean negative log-likelihood of its tokens, and the greedy continuation. The last
is checked token by token: each must be a token that transformers, after the same tokens, rates best, within the
tolerance. Exits with 1 where something disagrees, with 2 where the check could not be made.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

TOLERANCE = 1e-3
LENGTHS = [2, 17, 64, 300]
CONTINUATION = 16
DEFAULT_BINARY = Path(__file__).resolve().parents[2] / "target/release/portcullis"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--portcullis", type=Path, default=DEFAULT_BINARY)
    parser.add_argument("--seed", type=int, default=0, help="other prompts")
    return parser.parse_args()


class Portcullis:
    """The command line, asked for JSON."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder

    def score(self, tokens):
        return self.ask("score", self.folder, "--tokens", join(tokens), "--json")

    def continuation(self, tokens):
        answer = self.ask("run", self.folder, "--tokens", join(tokens), "--max-tokens", CONTINUATION,
                          "--temperature", 0, "--ignore-eos", "--dtype", "f32", "--json")
        return answer["samples"][0]["tokens"]

    def ask(self, *arguments):
        return json.loads(self.call(*arguments))

    def call(self, *arguments):
        command = [str(part) for part in (self.binary, *arguments)]
        try:
            done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            give_up(f"cannot run {self.binary}: {error.strerror}; build it, or name it with --portcullis")
        if done.returncode != 0:
            give_up(f"`{' '.join(command)[:200]}` ended with {done.returncode}:\n{done.stderr.strip()}")
        return done.stdout


def join(tokens):
    return ",".join(map(str, tokens))


def differences(torch, model, portcullis, tokens):
    """How far the two are apart: logits, mean negative log-likelihood, and the worst greedy choice."""
    score, continuation = portcullis.score(tokens), portcullis.continuation(tokens)
    if len(continuation) != CONTINUATION:
        give_up(f"asked for {CONTINUATION} tokens, portcullis wrote {len(continuation)}")
    with torch.inference_mode():
        logits = model(torch.tensor([tokens + continuation])).logits[0]
    last = len(tokens) - 1
    theirs = torch.tensor(score["last_logits"])
    if theirs.shape != logits[last].shape:
        give_up(f"portcullis gave {len(theirs)} logits, transformers {logits.shape[-1]}")
    of_logits = (theirs - logits[last]).abs().max().item()
    nll = 0.0
    if last > 0:
        expected = torch.nn.functional.cross_entropy(logits[:last], torch.tensor(tokens[1:])).item()
        nll = abs(score["mean_nll"] - expected)
    choices = logits[last:-1]
    chosen = choices.gather(1, torch.tensor(continuation)[:, None])[:, 0]
    greedy = (choices.max(dim=1).values - chosen).max().item()
    return of_logits, nll, greedy


def check(torch, model, portcullis, seed):
    """Prints a line a prompt; whether all agreed."""
    ids = random.Random(seed)
    agreed = True
    print(f"{'tokens':>6}  {'logits':>9}  {'mean nll':>9}  {'greedy':>9}")
    for length in LENGTHS:
        if length + CONTINUATION > model.config.n_positions:
            continue
        tokens = ids.choices(range(model.config.vocab_size), k=length)
        apart = differences(torch, model, portcullis, tokens)
        # A NaN is not below anything, so it disagrees.
        fine = all(difference < TOLERANCE for difference in apart)
        agreed &= fine
        print(f"{length:>6}  {'  '.join(f'{difference:9.2e}' for difference in apart)}  {'ok' if fine else 'DIFFERS'}")
    return agreed


def give_up(message):
    print(f"transformers_logits: {message}", file=sys.stderr)
    sys.exit(2)


def main():
    arguments = parse_arguments()
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        give_up(f"{error}; install benches/compare/requirements.txt")
    if not (arguments.checkpoint / "config.json").exists():
        give_up(f"{arguments.checkpoint} is not a checkpoint: it has no config.json")
    model = AutoModelForCausalLM.from_pretrained(str(arguments.checkpoint), dtype=torch.float32).eval()
    with tempfile.TemporaryDirectory(prefix="portcullis-peers-") as temporary:
        portcullis = Portcullis(arguments.portcullis, arguments.checkpoint)
        if not (arguments.checkpoint / "manifest.json").exists():
            imported = Path(temporary) / "imported"
            portcullis.call("import", "random-checkpoint", arguments.checkpoint, "--to", imported)
            portcullis.folder = imported
        agreed = check(torch, model, portcullis, arguments.seed)
    print(f"every difference is below {TOLERANCE}" if agreed else f"a difference reaches {TOLERANCE}")
    sys.exit(0 if agreed else 1)


if __name__ == "__main__":
    main()
