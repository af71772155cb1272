"""Times transformers on one checkpoint: prefill, then greedy decode with a cache. Run by compare.py inside the peers' venv.

Prints {"prefill_seconds", "decode_seconds", "tokens"}: decode is the time of the tokens after the first, as for the others.
"""

import argparse
import json
import time

import torch
from transformers import AutoModelForCausalLM, StoppingCriteria, StoppingCriteriaList
from transformers.utils import logging


class Clock(StoppingCriteria):
    """Never stops anything; notes when each token was there."""

    def __init__(self):
        self.begun = time.perf_counter()
        self.ticks = []

    def __call__(self, input_ids, scores, **_):
        self.ticks.append(time.perf_counter())
        return torch.zeros(input_ids.shape[0], dtype=torch.bool)


def generate(model, prompt, count):
    clock = Clock()
    with torch.inference_mode():
        output = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            use_cache=True,
            min_new_tokens=count,
            max_new_tokens=count,
            pad_token_id=0,
            stopping_criteria=StoppingCriteriaList([clock]),
        )
    return clock, output[0, len(prompt):].tolist()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--dtype", choices=["f32", "bf16"], required=True)
    parser.add_argument("--tokens", required=True, help="the prompt's token ids, separated by commas")
    parser.add_argument("--max-tokens", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()

    logging.set_verbosity_error()
    torch.set_num_threads(arguments.threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[arguments.dtype]
    model = AutoModelForCausalLM.from_pretrained(arguments.folder, dtype=dtype).eval()
    prompt = [int(token) for token in arguments.tokens.split(",")]
    generate(model, prompt, 2)  # llama-bench warms up too
    clock, tokens = generate(model, prompt, arguments.max_tokens)
    print(json.dumps({
        "prefill_seconds": clock.ticks[0] - clock.begun,
        "decode_seconds": clock.ticks[-1] - clock.ticks[0],
        "tokens": tokens,
    }))


if __name__ == "__main__":
    main()
