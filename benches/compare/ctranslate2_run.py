"""Times ctranslate2 on one converted checkpoint: prefill, then greedy decode. Run by compare.py inside the peers' venv.

Prints {"prefill_seconds", "decode_seconds"}. The prefill is what a text of one token takes, the decode what the others add to it.
"""

import argparse
import json
import time

import ctranslate2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--compute-type", required=True)
    parser.add_argument("--tokens", required=True, help="the prompt's token ids, separated by commas")
    parser.add_argument("--max-tokens", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()

    generator = ctranslate2.Generator(arguments.folder, device="cpu", compute_type=arguments.compute_type,
                                      inter_threads=1, intra_threads=arguments.threads)
    with open(f"{arguments.folder}/vocabulary.json") as file:
        vocabulary = json.load(file)
    prompt = [vocabulary[int(token)] for token in arguments.tokens.split(",")]

    def seconds(count):
        begun = time.perf_counter()
        (result,) = generator.generate_batch([prompt], min_length=count, max_length=count, sampling_topk=1,
                                             include_prompt_in_result=False)
        assert len(result.sequences_ids[0]) == count, len(result.sequences_ids[0])
        return time.perf_counter() - begun

    seconds(2)  # llama-bench warms up too
    prefill = seconds(1)
    whole = seconds(arguments.max_tokens)
    print(json.dumps({"prefill_seconds": prefill, "decode_seconds": whole - prefill}))


if __name__ == "__main__":
    main()
