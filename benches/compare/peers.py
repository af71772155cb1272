"""The programs that Portcullis is compared with: where they live, how they are built, how checkpoints reach them.

Everything goes into one folder outside the repository and comes from PyPI, at the versions of requirements.txt:
    venv/     transformers, torch, and what llama.cpp's converter needs
    llama/    llama-cpp-python's source, for the llama.cpp in it
    build/    llama.cpp's llama-bench, llama-batched-bench and llama-quantize, compiled for this machine's processor
    models/   checkpoints, made and removed as needed
What is already there is not made again.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).resolve()
LLAMA_CPP_PYTHON = "0.3.36"
LLAMA_PROGRAMS = ["llama-bench", "llama-batched-bench", "llama-quantize"]
# What llama.cpp and ctranslate2 call the formats.
GGUF_TYPES = {"q8": "Q8_0", "q4": "Q4_0"}
COMPUTE_TYPES = {"f32": "float32", "q8": "int8"}


class Missing(Exception):
    """Something that a measurement needs is not there; the message says what, and what to do."""


def command(arguments, log, **options):
    """Runs a command whose output matters only when it fails."""
    with open(log, "ab") as output:
        done = subprocess.run([str(a) for a in arguments], stdout=output, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        tail = Path(log).read_text(errors="replace").splitlines()[-15:]
        raise Missing("\n".join([f"`{' '.join(map(str, arguments))}` failed; the end of {log}:", *tail]))


class Peers:
    """The folder of the peers and the programs in it."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "setup.log"
        self.python = self.folder / "venv/bin/python"
        self.llama_source = self.folder / "llama/vendor/llama.cpp"
        self.llama_bench, self.llama_batched_bench, self.llama_quantize = (
            self.folder / "build/bin" / name for name in LLAMA_PROGRAMS)
        self.models = self.folder / "models"

    def install_python(self):
        """The venv with everything of requirements.txt."""
        stamp = self.folder / "venv/requirements.txt"
        wanted = (HERE / "requirements.txt").read_text()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        say(f"installing transformers and torch into {self.folder / 'venv'} (some GB)")
        command([sys.executable, "-m", "venv", self.folder / "venv"], self.log)
        command([self.python, "-m", "pip", "install", "-r", HERE / "requirements.txt"], self.log)
        stamp.write_text(wanted)

    def build_llama(self):
        """llama.cpp's programs, in Release, for the processor at hand. Needs a C++ compiler; cmake and ninja come from the venv."""
        if all((self.folder / "build/bin" / name).exists() for name in LLAMA_PROGRAMS):
            return
        if not self.llama_source.exists():
            self.unpack_llama()
        say(f"building llama.cpp in {self.folder / 'build'} (minutes)")
        tools = self.folder / "venv/bin"
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
        off = ["CURL", "OPENSSL", "BUILD_TESTS", "BUILD_SERVER", "BUILD_EXAMPLES", "BUILD_UI"]
        command(
            [tools / "cmake", "-G", "Ninja", "-S", self.llama_source, "-B", self.folder / "build",
             "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DBUILD_SHARED_LIBS=OFF",
             *(f"-DLLAMA_{option}=OFF" for option in off)],
            self.log, env=environment,
        )
        command(
            ["nice", "-n", "5", tools / "cmake", "--build", self.folder / "build", "--target", *LLAMA_PROGRAMS,
             "--parallel", os.cpu_count() or 1],
            self.log, env=environment,
        )

    def unpack_llama(self):
        package = f"llama-cpp-python=={LLAMA_CPP_PYTHON}"
        say(f"fetching the source of {package}")
        command(
            [self.python, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python",
             "--dest", self.folder, package],
            self.log,
        )
        archive = self.folder / f"llama_cpp_python-{LLAMA_CPP_PYTHON}.tar.gz"
        with tarfile.open(archive) as tar:
            tar.extractall(self.folder, filter="data")
        (self.folder / archive.name.removesuffix(".tar.gz")).rename(self.folder / "llama")
        archive.unlink()

    def convert_to_gguf(self, checkpoint, dtype):
        """The GGUF file of a Hugging Face folder, in `dtype`."""
        gguf = self.models / f"{checkpoint.name}-{dtype}.gguf"
        if dtype in GGUF_TYPES and not gguf.exists():
            # As llama.cpp's users do: its own quantizer, from the widest file.
            wide = self.convert_to_gguf(checkpoint, "f32")
            partial = gguf.with_suffix(".partial")
            command([self.llama_quantize, "--pure", wide, partial, GGUF_TYPES[dtype]], self.log)
            partial.rename(gguf)
        if not gguf.exists():
            partial = gguf.with_suffix(".partial")
            command(
                [self.python, HERE / "convert_to_gguf.py", self.llama_source, "--outtype", dtype,
                 "--outfile", partial, checkpoint],
                self.log,
            )
            partial.rename(gguf)
        return gguf

    def convert_to_ctranslate2(self, checkpoint, dtype):
        """The folder that ctranslate2 reads, in `dtype`."""
        folder = self.models / f"{checkpoint.name}-{dtype}-ctranslate2"
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            command([self.folder / "venv/bin/ct2-transformers-converter", "--model", checkpoint, "--output_dir", partial,
                     "--quantization", COMPUTE_TYPES[dtype]], self.log)
            partial.rename(folder)
        return folder


class Portcullis:
    """The release build of this repository, or the binary at `path`."""

    def __init__(self, path):
        self.binary = Path(path).resolve() if path else TARGET / "release/portcullis"
        self.log = TARGET / "compare.log"
        TARGET.mkdir(parents=True, exist_ok=True)
        if path and not self.binary.exists():
            raise Missing(f"there is no program at {self.binary}")
        if not path:
            say("building portcullis")
            self.cargo("build", "--release")

    def cargo(self, *arguments):
        command(["cargo", *arguments], self.log, cwd=REPOSITORY)


def example(name, *arguments):
    """What one of this repository's examples prints."""
    done = subprocess.run(
        ["cargo", "run", "--quiet", "--release", "--example", name, "--", *map(str, arguments)],
        cwd=REPOSITORY, text=True, stdout=subprocess.PIPE,
    )
    if done.returncode != 0:
        raise Missing(f"the example `{name}` failed")
    return done.stdout.strip()


def random_checkpoint(size, dtype, models, tokenizer):
    """A Hugging Face folder with random weights."""
    models.mkdir(exist_ok=True)
    folder = models / f"random-{size}-{dtype}"
    if not folder.exists():
        partial = models / f"random-{size}-{dtype}-writing"
        shutil.rmtree(partial, ignore_errors=True)
        example("random_checkpoint", size, partial, "--dtype", dtype,
                *(["--tokenizer", tokenizer.resolve()] if tokenizer else []))
        partial.rename(folder)
    return folder


def versions(peers):
    """The peers' versions, as installed."""
    if not peers.python.exists():
        return {}
    script = ("import json, ctranslate2 as c, torch, transformers as t; "
              "print(json.dumps({'ctranslate2': c.__version__, 'transformers': t.__version__, 'torch': torch.__version__}))")
    done = subprocess.run([peers.python, "-c", script], text=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    return {"llama.cpp": f"of llama-cpp-python {LLAMA_CPP_PYTHON}", **found}


def say(message):
    print(message, file=sys.stderr, flush=True)
