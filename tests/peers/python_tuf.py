"""The catalogue beside python-tuf: its ngclient starts from the first root, refreshes through rotations of a board, the owners and
the registry, and downloads every target; and its canonical JSON is ours.

    pip install -r tests/peers/requirements.txt
    python tests/peers/python_tuf.py target/release/portcullis
"""

import http.server
import json
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.formats import encode_canonical
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.ngclient import Updater
from tuf.ngclient.config import UpdaterConfig

PORTCULLIS = str(Path(sys.argv[1]).resolve())
ROOT = Path(__file__).resolve().parent.parent.parent
POLICY = """# é, and a policy
schema = 1
checkpoint = "CHECKPOINT"
version = 1
expires = 2036-01-01T00:00:00Z

[[stage]]
name = "partners"
audience.organizations = ["Example University"]
approvals = { board = 1 }
agreement = "agreement.md"
uses = ["detection"]
max_days = 30
usage = "digest"
lease_hours = 24
"""


class Keepers:
    """Everybody's homes, and the catalogue that they keep with our program."""

    def __init__(self, folder):
        self.folder, self.catalogue = folder, folder / "registry/catalogue"
        for name in ["olga", "otto", "pia", "registry", "heir", "ada", "ben", "cy", "dee"]:
            self.run(name, "identity", "new", "--name", name.title(), "--no-passphrase")
            self.run(name, "identity", "card", "--to", f"{name}.card")

    def run(self, home, *arguments):
        command = [PORTCULLIS, "--home", home, "--registry", "registry", "--json", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return name

    def sign(self, *homes):
        """Each signs every open change of which they have a say and that they did not propose, by its digest."""
        for home in homes:
            for change in json.loads(self.run(home, "catalogue", "review"))["proposed"]:
                has = lambda quorum, who: any(one["name"] == home.title() for one in quorum[who])
                if any(has(quorum, "members") and not has(quorum, "signed") for quorum in change["quorums"]):
                    self.run(home, "catalogue", "sign", change["role"], change["digest"])

    def publish(self, home="registry"):
        return json.loads(self.run(home, "catalogue", "publish"))

    def found(self):
        self.run(
            "olga", "catalogue", "init", "--owner", "olga.card", "--owner", "otto.card",
            "--owner-threshold", "2", "--registry-card", "registry.card",
            "--board", "gpt2-124m=2:ada.card,ben.card,cy.card", "--board", "gpt2-1.5b=1:ada.card",
        )  # fmt: skip
        self.sign("olga", "otto")
        self.publish()
        # Nobody signs a change of a catalogue that they cannot check.
        for home in ["olga", "otto", "pia", "ada", "ben", "cy", "dee"]:
            self.run(home, "catalogue", "refresh", "--root", "registry/catalogue/metadata/1.root.json")
        self.write("rules.toml", (ROOT / "policies/misuse.toml").read_text())
        self.run("olga", "catalogue", "propose", "misuse", "--rules", "rules.toml")
        for checkpoint in ["gpt2-124m", "gpt2-1.5b"]:
            policy = self.write(f"{checkpoint}.toml", POLICY.replace("CHECKPOINT", checkpoint))
            agreement = self.write("agreement.md", "Be good.\n")
            self.run(
                "ada", "catalogue", "propose", checkpoint, "--policy", policy,
                "--stage", "partners", "--agreement", agreement,
            )  # fmt: skip
        self.sign("olga", "otto", "ada", "ben")
        assert self.publish()["waiting"] == []

    def rotate(self):
        self.run("olga", "catalogue", "rotate", "root", "--add", "pia.card", "--remove", "Otto")
        self.sign("olga", "otto", "pia")
        self.publish()
        self.run("olga", "catalogue", "rotate", "gpt2-124m", "--add", "dee.card", "--remove", "Cy")
        self.sign("olga", "pia", "ada", "dee")
        assert self.publish()["waiting"] == []
        self.run("olga", "catalogue", "rotate", "registry", "--add", "heir.card")
        self.sign("olga", "pia")
        self.publish("heir")


def all_targets(catalogue):
    """The newest targets metadata of each role, as python-tuf reads it."""
    newest = {}
    for path in (catalogue / "metadata").glob("*.json"):
        metadata = Metadata.from_file(str(path))
        if isinstance(metadata.signed, Targets):
            role = path.name.split(".", 1)[1]
            if role not in newest or newest[role].version < metadata.signed.version:
                newest[role] = metadata.signed
    return sorted(target for signed in newest.values() for target in signed.targets)


def updater(folder, base, trusted):
    metadata, targets = folder / "metadata", folder / "targets"
    for path in [metadata, targets]:
        path.mkdir(parents=True, exist_ok=True)
    return Updater(
        str(metadata), f"{base}/metadata/", str(targets), f"{base}/targets/",
        config=UpdaterConfig(prefix_targets_with_hash=True), bootstrap=trusted,
    )  # fmt: skip


def download_everything(folder, base, trusted, catalogue):
    client = updater(folder, base, trusted)
    client.refresh()
    count = 0
    for path in all_targets(catalogue):
        info = client.get_targetinfo(path)
        assert info is not None, path
        client.download_target(info)
        count += 1
    return count


def compare_canonical_json():
    """The recorded forms that `tests/catalogue.rs` compares ours with are securesystemslib's; `--record` writes them."""
    documents = [
        {}, [], "", None, True, False, 0, -1, 2**64 - 1, -(2**63), {"b": [1, {"a": None}], "a": "x"},
        {"é": "é", "e\u0301": "e\u0301", "z": "\U0001f600", "\uffff": 1, "\U0001f600": 2},
        'quote " backslash \\ newline \n tab \t null \x00 slash / delete \x7f', {"a!": 1, "a": 2, 'a"': 3},
    ]  # fmt: skip
    pairs = [{"document": document, "canonical": encode_canonical(document)} for document in documents]
    path = Path(__file__).parent.parent / "fixtures/catalogue/canonical.json"
    if "--record" in sys.argv:
        path.write_text(json.dumps(pairs, indent=1) + "\n")
    assert json.loads(path.read_text()) == pairs
    return len(pairs)


def main():
    print(f"canonical JSON: {compare_canonical_json()} recorded forms are securesystemslib's")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        keepers = Keepers(folder)
        keepers.found()
        handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(keepers.catalogue))
        http.server.SimpleHTTPRequestHandler.log_message = lambda *_: None
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        trusted = (keepers.catalogue / "metadata/1.root.json").read_bytes()
        before = download_everything(folder / "early", base, trusted, keepers.catalogue)
        keepers.rotate()
        after = download_everything(folder / "early", base, trusted, keepers.catalogue)
        fresh = download_everything(folder / "late", base, trusted, keepers.catalogue)
        assert after == fresh > before, (before, after, fresh)
        root = max((keepers.catalogue / "metadata").glob("*.root.json"))
        signed = Metadata.from_file(str(root)).signed
        assert isinstance(signed, Root) and signed.version == 3, signed.version
        ours = keepers.run(
            "cy", "catalogue", "refresh", "--root", "registry/catalogue/metadata/1.root.json"
        )
        assert json.loads(ours)["targets"] == fresh, ours
        print(f"ngclient: {before} targets before, {fresh} after three rotations, root version {signed.version}")
        (keepers.catalogue / "metadata/timestamp.json").write_bytes(
            (keepers.catalogue / "metadata/timestamp.json").read_bytes().replace(b'"version": ', b'"version": 9')
        )
        try:
            updater(folder / "late", base, trusted).refresh()
        except (RepositoryError, UnverifiedSignatureError):
            print("ngclient refuses a timestamp that was altered")
        else:
            raise AssertionError("an altered timestamp was accepted")


if __name__ == "__main__":
    main()
