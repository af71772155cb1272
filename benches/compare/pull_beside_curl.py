#!/usr/bin/env python3
"""Times `portcullis pull` beside `curl` and `sha256sum` of one plain file from nginx, and beside `hf download` from the same registry.

    python3 benches/compare/pull_beside_curl.py target/release/portcullis --gigabytes 1 --rounds 3 [--hf PATH_TO_hf] [--folder FOLDER]

Everything is on loopback and on one disk. Each round takes each in turn; a row has the median of the rounds, and the most memory that
the process held. The checkpoint is a GPT-2 of the size asked for whose weights are zeros: what travels is ciphertext. It is
in a public stage, so that `hf download` gets the same files in the plain; it does not verify them.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POLICY = """schema = 1
checkpoint = "bench"
version = 1
expires = 2036-01-01T00:00:00Z

[[stage]]
name = "public"
audience = "anyone"
approvals = {}
usage = "counts"
lease_hours = 24
"""
WIDTH = 1600


def shapes(layers, vocabulary, context):
    d = WIDTH
    tensors = {"wte.weight": [vocabulary, d], "wpe.weight": [context, d], "ln_f.weight": [d], "ln_f.bias": [d]}
    for layer in range(layers):
        h = f"h.{layer}."
        tensors |= {
            h + "ln_1.weight": [d], h + "ln_1.bias": [d], h + "ln_2.weight": [d], h + "ln_2.bias": [d],
            h + "attn.c_attn.weight": [d, 3 * d], h + "attn.c_attn.bias": [3 * d],
            h + "attn.c_proj.weight": [d, d], h + "attn.c_proj.bias": [d],
            h + "mlp.c_fc.weight": [d, 4 * d], h + "mlp.c_fc.bias": [4 * d],
            h + "mlp.c_proj.weight": [4 * d, d], h + "mlp.c_proj.bias": [d],
        }
    return tensors


def publish(folder, gigabytes):
    """Writes a GPT-2 in Hugging Face's layout."""
    folder.mkdir()
    for name in ["vocab.json", "merges.txt"]:
        shutil.copy(ROOT / "demo" / name, folder / name)
    config = json.loads((ROOT / "demo/demo-small/config.json").read_text())
    layers = max(1, round(gigabytes * 1e9 / (12 * WIDTH * WIDTH * 4)))
    config |= {"n_layer": layers, "n_embd": WIDTH, "n_head": 25}
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    for name, shape in shapes(layers, config["vocab_size"], config["n_positions"]).items():
        size = 4
        for dimension in shape:
            size *= dimension
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        block = bytes(1 << 24)
        while end > 0:
            file.write(block[: min(end, len(block))])
            end -= min(end, len(block))


class Bench:
    def __init__(self, portcullis, folder):
        self.portcullis, self.folder = portcullis, folder

    def run(self, person, *arguments):
        command = [self.portcullis, "--home", f"homes/{person}", *arguments, "--json"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{arguments}: {done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def serve(self):
        code = self.run("ada", "registry", "init", "registry")["founding_code"]
        with open(self.folder / "registry/portcullis.toml", "a") as file:
            file.write("[limits]\nper_address = 0\nper_identity = 0\n")
        self.server = subprocess.Popen(
            [self.portcullis, "registry", "serve", "registry", "--listen", "127.0.0.1:0", "--json", "--quiet"],
            cwd=self.folder, stdout=subprocess.PIPE, text=True,
        )
        self.url = json.loads(self.server.stdout.readline())["listening"]
        return code

    def release(self, gigabytes):
        folder = self.folder
        for person in ["ada", "rosa"]:
            self.run(person, "identity", "new", "--name", person, "--no-passphrase")
            self.run(person, "identity", "card", "--to", f"{person}.card")
        code = self.serve()
        self.run(
            "ada", "--registry", self.url, "catalogue", "init", "--founding-code", code, "--owner", "ada.card",
            "--owner-threshold", "1", "--registry-card", "registry/registry.card", "--board", "bench=1:ada.card",
        )
        self.run("ada", "--registry", self.url, "catalogue", "root", "--to", "root.json")
        for person in ["ada", "rosa"]:
            self.run(person, "join", self.url, "--root", "root.json")
        publish(folder / "published", gigabytes)
        self.run("ada", "import", "bench", "published", "--to", "plain")
        shutil.rmtree(folder / "published")
        self.run("ada", "seal", "plain")
        (folder / "web").mkdir()
        (folder / "plain/model.safetensors").rename(folder / "web/model.safetensors")
        shutil.rmtree(folder / "plain")
        (folder / "policy.toml").write_text(POLICY)
        self.run(
            "ada", "catalogue", "propose", "bench", "--policy", "policy.toml", "--stage", "public",
            "--manifest", "homes/ada/sealed/bench/manifest.json",
        )
        self.run("ada", "handover", "bench", "--yes")
        shutil.rmtree(folder / "homes/ada/sealed")
        self.run("rosa", "request", "new", "bench", "--purpose", "Timing")

    def nginx(self):
        port = 18080
        (self.folder / "nginx.conf").write_text(
            f"daemon off; pid {self.folder}/nginx.pid; error_log stderr; worker_processes 2; user root;\n"
            f"events {{}} http {{ access_log off; sendfile on; tcp_nopush on;\n"
            f"server {{ listen 127.0.0.1:{port}; root {self.folder}/web; }} }}\n"
        )
        self.web = subprocess.Popen(["nginx", "-c", self.folder / "nginx.conf", "-p", self.folder], stderr=subprocess.DEVNULL)
        time.sleep(1)
        return f"http://127.0.0.1:{port}/model.safetensors"


def timed(commands, **options):
    """Seconds of several commands, one after another, and the most memory that one of them held, in MiB."""
    begun, most = time.perf_counter(), 0
    for command in commands:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        _, status, usage = os.wait4(child.pid, 0)
        if status != 0:
            raise SystemExit(f"{command} failed")
        most = max(most, usage.ru_maxrss / 1024)
    return time.perf_counter() - begun, most


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("portcullis", type=Path)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hf")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pull-bench-", dir=options.folder))
    bench = Bench(options.portcullis.resolve(), folder)
    try:
        bench.release(options.gigabytes)
        plain, size = bench.nginx(), (folder / "web/model.safetensors").stat().st_size
        rows = {"portcullis pull (verified)": [], "curl, then sha256sum": [], "hf download (not verified)": []}
        for _ in range(options.rounds):
            shutil.rmtree(folder / "homes/rosa/vault", ignore_errors=True)
            pull = [[bench.portcullis, "--home", "homes/rosa", "pull", "bench"]]
            rows["portcullis pull (verified)"].append(timed(pull, cwd=folder))
            shutil.rmtree(folder / "homes/rosa/vault")
            curl = [["curl", "-s", "-o", "fetched", plain], ["sha256sum", "fetched"]]
            rows["curl, then sha256sum"].append(timed(curl, cwd=folder))
            (folder / "fetched").unlink()
            if options.hf:
                environment = os.environ | {"HF_ENDPOINT": bench.url, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(folder / "hf")}
                download = [[options.hf, "download", "bench", "--local-dir", str(folder / "hf-files")]]
                rows["hf download (not verified)"].append(timed(download, cwd=folder, env=environment))
                shutil.rmtree(folder / "hf-files")
                shutil.rmtree(folder / "hf", ignore_errors=True)
        first = statistics.median(seconds for seconds, _ in rows["portcullis pull (verified)"])
        print(f"| {size / 1e9:.2f} GB, {options.rounds} rounds | seconds (median) | GB/s | pull is | memory |\n|---|---|---|---|---|")
        for name, times in rows.items():
            if times:
                seconds = statistics.median(seconds for seconds, _ in times)
                memory = max(memory for _, memory in times)
                spread = f"{min(times)[0]:.2f} to {max(times)[0]:.2f}"
                print(f"| {name} | {seconds:.2f} ({spread}) | {size / seconds / 1e9:.2f} | {seconds / first:.2f} x | {memory:.0f} MiB |")
    finally:
        for process in ["server", "web"]:
            if hasattr(bench, process):
                getattr(bench, process).terminate()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
