"""A checkpoint sealed and granted, as a researcher has it: a board of two, a registry in a folder, a vault.

Everything is done by the real commands, each person in a home of their own, under one folder that is removed with the checkpoint.
"""

import json
import shutil
import subprocess

from peers import Missing

POLICY = """schema = 1
checkpoint = "measured"
version = 1
expires = 2036-01-01T00:00:00Z

[[stage]]
name = "partners"
audience.organizations = ["Lab"]
approvals = { board = 2 }
agreement = "agreement.md"
uses = ["detection"]
max_days = 90
usage = "digest"
lease_hours = 72
"""
BOARD = ["ada", "ben"]
PEOPLE = [*BOARD, "registry", "rosa"]
ID = "measured"


class Sealed:
    """One sealed checkpoint in the vault of the researcher rosa, who may open it for three days."""

    def __init__(self, binary, folder, published):
        self.binary, self.folder = binary, folder
        self.home = folder / "homes/rosa"
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self.seal(published)
            (folder / "done").touch()

    def run(self, person, *arguments):
        """What a command of a person prints."""
        command = [self.binary, "--home", self.folder / "homes" / person, "--quiet", "--json", *arguments]
        done = subprocess.run([str(part) for part in command], cwd=self.folder, text=True, capture_output=True)
        if done.returncode != 0:
            raise Missing(f"`{' '.join(map(str, arguments))}` of {person} failed: {done.stderr.strip()}")
        return done.stdout

    def publish(self):
        # Each signs what a review shows and they did not propose, by its digest.
        for member in BOARD:
            for change in json.loads(self.run(member, "--registry", "registry", "catalogue", "review"))["proposed"]:
                has = lambda quorum, who: any(one["name"] == member for one in quorum[who])
                if any(has(quorum, "members") and not has(quorum, "signed") for quorum in change["quorums"]):
                    self.run(member, "--registry", "registry", "catalogue", "sign", change["role"], change["digest"])
        self.run("registry", "--registry", "registry", "catalogue", "publish")

    def seal(self, published):
        (self.folder / "policy.toml").write_text(POLICY)
        (self.folder / "agreement.md").write_text("You tell nobody.\n")
        for person in PEOPLE:
            self.run(person, "identity", "new", "--name", person, "--organization", "Lab", "--no-passphrase")
            self.run(person, "identity", "card", "--to", f"{person}.card")
        owners = [part for member in BOARD for part in ("--owner", f"{member}.card")]
        self.run("ada", "--registry", "registry", "catalogue", "init", *owners, "--owner-threshold", 2,
                 "--registry-card", "registry.card", "--board", f"{ID}=2:ada.card,ben.card")
        self.publish()
        for person in PEOPLE:
            self.run(person, "join", "registry", "--root", "registry/catalogue/metadata/1.root.json")
        self.run("ada", "import", ID, published, "--to", "plain")
        self.run("ada", "seal", "plain")
        shutil.rmtree(self.folder / "plain")
        self.run("ada", "catalogue", "propose", ID, "--policy", "policy.toml", "--agreement", "agreement.md",
                 "--manifest", f"registry/sealed/{ID}/manifest.json", "--stage", "partners")
        self.publish()
        asked = json.loads(self.run("rosa", "request", "new", ID, "--purpose", "Speed", "--use", "detection",
                                    "--days", 30, "--accept-agreement"))
        for member in BOARD:
            self.run(member, "approve", asked["request"][:12], "--yes")
        self.run("registry", "lease", "issue")
        self.run("rosa", "pull", ID)
        # The vault has all that a run needs.
        shutil.rmtree(self.folder / "registry/sealed")
