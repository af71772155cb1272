"""The real `huggingface_hub` downloads a public checkpoint from a served registry, and is told of a gated one."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["NO_PROXY"] = "127.0.0.1"


def main(portcullis):
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        os.environ["HF_HOME"] = str(place / "hf")
        subprocess.run([portcullis, "demo", "--dir", place / "demo"], check=True, stdout=subprocess.DEVNULL)
        command = [portcullis, "registry", "serve", place / "demo/registry", "--listen", "127.0.0.1:0", "--json", "--quiet"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            endpoint = json.loads(server.stdout.readline())["listening"]
            check(endpoint, place)
        finally:
            server.terminate()


def check(endpoint, place):
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    folder = Path(snapshot_download("demo-small", endpoint=endpoint, local_dir=place / "files"))
    plain = place / "demo/checkpoints/demo-small"
    for name in ["config.json", "merges.txt", "model.safetensors", "vocab.json"]:
        assert digest(folder / name) == digest(plain / name), name
    commit = HfApi(endpoint=endpoint).model_info("demo-small").sha
    pinned = hf_hub_download("demo-small", "config.json", revision=commit, endpoint=endpoint)
    assert digest(Path(pinned)) == digest(plain / "config.json")
    refused = {
        GatedRepoError: ("demo-large", "config.json", "main"),
        RepositoryNotFoundError: ("no-such-model", "config.json", "main"),
        EntryNotFoundError: ("demo-small", "pytorch_model.bin", "main"),
        RevisionNotFoundError: ("demo-small", "config.json", "v9"),
    }
    for error, (repository, name, revision) in refused.items():
        try:
            hf_hub_download(repository, name, revision=revision, endpoint=endpoint)
        except error as told:
            if error is GatedRepoError:
                assert "portcullis request new demo-large" in str(told), told
            continue
        raise AssertionError(f"{repository} {name} {revision} was downloaded")
    print("huggingface_hub: 4 files equal; gated, unknown, missing and another revision told apart")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1])
