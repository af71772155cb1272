"""Runs each program once on 512 tokens of prompt and 128 of answer, and reads what it measured of itself.

All three answer the same question: how fast is a forward pass over the prompt, and how fast are the single tokens after
it, *with the prompt in the cache*. llama-bench by itself decodes into an empty context, so it is asked twice, the second
time at a depth of the prompt's length. llama-bench and transformers warm up; Portcullis is taken cold.
"""

import json
import os
import random
import subprocess
import tempfile
from dataclasses import dataclass

from peers import HERE, Missing

VOCABULARY = 50257


@dataclass
class Work:
    """What is asked of every program."""
    prompt: int
    tokens: int
    threads: int

    def prompt_tokens(self):
        ids = random.Random(0).choices(range(VOCABULARY - 1), k=self.prompt)
        return ",".join(map(str, ids))


@dataclass
class Measured:
    """One run: tokens a second, and the most memory that the process held, mapped files included."""
    prefill: float
    decode: float
    peak_mib: float


def portcullis(binary, folder, dtype, work):
    answer, peak = measure(
        [binary, "run", folder, "--tokens", work.prompt_tokens(), "--max-tokens", work.tokens,
         "--temperature", 0, "--ignore-eos", "--dtype", dtype, "--json"],
        work,
    )
    sample = answer["samples"][-1]
    if (sample["prompt_tokens"], len(sample["tokens"])) != (work.prompt, work.tokens):
        raise Missing(f"portcullis read {sample['prompt_tokens']} and wrote {len(sample['tokens'])} tokens")
    return from_seconds(sample, peak, work)


def transformers(python, folder, dtype, work):
    answer, peak = measure(
        [python, HERE / "transformers_run.py", folder, "--tokens", work.prompt_tokens(),
         "--max-tokens", work.tokens, "--dtype", dtype, "--threads", work.threads],
        work,
    )
    return from_seconds(answer, peak, work)


def llama_cpp(llama_bench, gguf, work):
    common = [llama_bench, "-m", gguf, "-t", work.threads, "-r", 1, "-o", "json"]
    (prefill,), peak = measure([*common, "-p", work.prompt, "-n", 0], work)
    (decode,), second_peak = measure([*common, "-p", 0, "-n", work.tokens, "-d", work.prompt], work)
    return Measured(prefill["avg_ts"], decode["avg_ts"], max(peak, second_peak))


def from_seconds(answer, peak, work):
    # The first token comes out of the prefill; the others took a pass each.
    return Measured(work.prompt / answer["prefill_seconds"], (work.tokens - 1) / answer["decode_seconds"], peak)


def measure(arguments, work):
    """The JSON that a command prints, and the peak of its resident memory in MiB."""
    arguments = [str(argument) for argument in arguments]
    threads = str(work.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors, env=environment)
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        child.stdout.close()
        if child.returncode != 0:
            errors.seek(0)
            tail = errors.read().decode(errors="replace").strip().splitlines()[-5:]
            raise Missing("\n".join([f"{arguments[0]} ended with {child.returncode}:", *tail]))
    try:
        return json.loads(output), usage.ru_maxrss / 1024
    except ValueError as error:
        raise Missing(f"{arguments[0]} did not print JSON: {error}") from error
