"""Runs llama.cpp's own convert_hf_to_gguf.py on a GPT-2 folder. Run by compare.py inside the peers' venv.

The converter knows tokenizers by the hash of what they make of a test sentence and refuses a made-up vocabulary. Every
checkpoint here is a GPT-2, whatever its vocabulary, so the converter is told so.

    convert_to_gguf.py LLAMA_CPP_SOURCE --outtype bf16 --outfile OUT FOLDER
"""

import runpy
import sys


def main():
    source = sys.argv.pop(1)
    sys.path.insert(0, source)
    sys.path.insert(1, f"{source}/gguf-py")
    from conversion.base import TextModel

    TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
    runpy.run_path(f"{source}/convert_hf_to_gguf.py", run_name="__main__")


if __name__ == "__main__":
    main()
