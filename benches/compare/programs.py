"""Runs each program once on 512 tokens of prompt and 128 of answer, and reads what it measured of itself.

All answer the same question: how fast is a forward pass over the prompt, and how fast are the single tokens after it, *with
the prompt in the cache*. llama-bench by itself decodes into an empty context, so it is asked twice, the second time at a depth
of the prompt's length. All of them warm up. Portcullis opens sealed weights in every run; the others read plain files.
"""

import json
import os
import random
import subprocess
import tempfile
import time
from dataclasses import dataclass

from peers import HERE, Missing
from sealed import ID

VOCABULARY = 50257
BATCH_PROMPT, BATCH_TOKENS = 32, 64


@dataclass
class Work:
    """What is asked of every program."""
    prompt: int
    tokens: int
    threads: int
    batch: list

    def prompt_tokens(self):
        ids = random.Random(0).choices(range(VOCABULARY - 1), k=self.prompt)
        return ",".join(map(str, ids))


@dataclass
class Measured:
    """One run: tokens a second, and the most memory that the process held, mapped files included.

    `start` is the seconds from starting a process to the end of one that wrote one token; `batches` the tokens a second of so many
    texts together, where that was asked for; `bandwidth` and `peak` what Portcullis measured of the machine, in GB/s and Gop/s.
    """
    prefill: float
    decode: float
    peak_mib: float
    start: float | None = None
    batches: dict | None = None
    bandwidth: float | None = None
    peak: float | None = None


def portcullis(sealed, dtype, work):
    how = ["--quantize", dtype] if dtype in ("q8", "q4") else ["--dtype", dtype]
    common = [sealed.binary, "--home", sealed.home, "--quiet", "--json"]
    answer, _ = measure([*common, "bench", ID, *how, "--prompt", work.prompt, "--tokens", work.tokens, "--rounds", 1,
                         "--batch", ",".join(map(str, work.batch or [0]))], work)
    start = [*common, "run", ID, *how, "--tokens", 1, "--max-tokens", 1, "--temperature", 0, "--ignore-eos"]
    return Measured(
        answer["prefill_tokens_per_second"], answer["decode_tokens_per_second"], answer["peak_memory_bytes"] / 2**20,
        seconds(start, work), {batch["texts"]: batch["tokens_per_second"] for batch in answer["batches"]},
        answer["read_gigabytes_per_second"], answer["peak_gigaops_per_second"],
    )


def transformers(python, folder, dtype, work):
    answer, peak = measure(
        [python, HERE / "transformers_run.py", folder, "--tokens", work.prompt_tokens(),
         "--max-tokens", work.tokens, "--dtype", dtype, "--threads", work.threads],
        work,
    )
    return from_seconds(answer, peak, work)


def ctranslate2(python, folder, compute_type, work):
    answer, peak = measure(
        [python, HERE / "ctranslate2_run.py", folder, "--tokens", work.prompt_tokens(),
         "--max-tokens", work.tokens, "--compute-type", compute_type, "--threads", work.threads],
        work,
    )
    return from_seconds(answer, peak, work)


def llama_cpp(peers, gguf, work):
    common = [peers.llama_bench, "-m", gguf, "-t", work.threads, "-r", 1, "-o", "json"]
    (prefill,), peak = measure([*common, "-p", work.prompt, "-n", 0], work)
    (decode,), second_peak = measure([*common, "-p", 0, "-n", work.tokens, "-d", work.prompt], work)
    start = [*common, "-p", 0, "-n", 1, "--no-warmup"]
    return Measured(prefill["avg_ts"], decode["avg_ts"], max(peak, second_peak), seconds(start, work),
                    llama_batches(peers, gguf, work))


def llama_batches(peers, gguf, work):
    """Tokens a second that several texts get together, behind prompts of 32 tokens, as `portcullis bench` does it."""
    if not work.batch:
        return {}
    context = max(work.batch) * (BATCH_PROMPT + BATCH_TOKENS)
    lines = output([peers.llama_batched_bench, "-m", gguf, "-t", work.threads, "-c", context, "-npp", BATCH_PROMPT,
                    "-ntg", BATCH_TOKENS, "-npl", ",".join(map(str, work.batch)), "--output-format", "jsonl"], work)
    found = (json.loads(line) for line in lines.splitlines() if line.startswith("{"))
    return {line["pl"]: line["speed_tg"] for line in found}


def from_seconds(answer, peak, work):
    # The first token comes out of the prefill; the others took a pass each.
    return Measured(work.prompt / answer["prefill_seconds"], (work.tokens - 1) / answer["decode_seconds"], peak)


def seconds(arguments, work):
    """How long a command takes from its start to its end."""
    begun = time.perf_counter()
    output(arguments, work)
    return time.perf_counter() - begun


def output(arguments, work):
    """What a command prints."""
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, env=environment(work))
    if done.returncode != 0:
        tail = done.stderr.decode(errors="replace").strip().splitlines()[-5:]
        raise Missing("\n".join([f"{arguments[0]} ended with {done.returncode}:", *tail]))
    return done.stdout.decode(errors="replace")


def environment(work):
    threads = str(work.threads)
    return {**os.environ, "OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}


def measure(arguments, work):
    """The JSON that a command prints, and the peak of its resident memory in MiB."""
    arguments = [str(argument) for argument in arguments]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors, env=environment(work))
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
