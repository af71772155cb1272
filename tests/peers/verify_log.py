"""The transparency log by another hand: RFC 6962 and C2SP's formats written anew, with `cryptography` for Ed25519 and nothing else.

It tells the demo's story with a registry that two witnesses watch, and checks over plain HTTP: the head's signature and both cosignatures,
every tile and every entry against the root, inclusion and consistency proofs, and that an altered entry, proof or head is refused.

    pip install -r tests/peers/requirements.txt
    python tests/peers/verify_log.py target/release/portcullis
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PORTCULLIS = str(Path(sys.argv[1]).resolve())


def portcullis(*arguments, cwd=None):
    done = subprocess.run([PORTCULLIS, *arguments], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def serve(*arguments, cwd):
    child = subprocess.Popen([PORTCULLIS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=cwd)
    return child, child.stdout.readline().split()[-1]


def get(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


# RFC 6962, 2.1

def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node(root(leaves[:split]), root(leaves[split:]))


def included(hash_, index, size, path):
    """RFC 9162, 2.1.3.2."""
    number, last = index, size - 1
    for other in path:
        assert last > 0, "the proof is too long"
        if number % 2 == 1 or number == last:
            hash_ = node(other, hash_)
            while number % 2 == 0 and number != 0:
                number, last = number // 2, last // 2
        else:
            hash_ = node(hash_, other)
        number, last = number // 2, last // 2
    assert last == 0, "the proof is too short"
    return hash_


# C2SP signed-note, tlog-checkpoint, tlog-cosignature

def parse_key(text):
    name, digits, encoded = text.split("+", 2)
    data = base64.b64decode(encoded)
    key_id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    assert key_id.hex() == digits, "the key's id is not that of its name and bytes"
    return name, key_id, data[0], Ed25519PublicKey.from_public_bytes(data[1:])


def parse_note(note):
    text, signatures = note.decode().split("\n\n", 1)
    lines = [line.split(" ", 2)[1:] for line in signatures.splitlines() if line.startswith("— ")]
    return text + "\n", [(name, base64.b64decode(signature)) for name, signature in lines]


def verify_head(note, key):
    name, key_id, kind, public = parse_key(key)
    text, signatures = parse_note(note)
    assert kind == 1 and text.splitlines()[0] == name
    mine = [signature for signer, signature in signatures if signer == name and signature[:4] == key_id]
    assert mine, "the log did not sign"
    public.verify(mine[0][4:], text.encode())
    return int(text.splitlines()[1]), base64.b64decode(text.splitlines()[2])


def verify_cosignature(note, key):
    name, key_id, kind, public = parse_key(key)
    text, signatures = parse_note(note)
    assert kind == 4
    mine = [signature for signer, signature in signatures if signer == name and signature[:4] == key_id]
    assert mine, f"{name} did not cosign"
    when = int.from_bytes(mine[0][4:12], "big")
    assert abs(when - time.time()) < 600
    public.verify(mine[0][12:], f"cosignature/v1\ntime {when}\n{text}".encode())


# C2SP tlog-tiles

def path_of(index):
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    return "/".join(groups)


def part(url, level, index, width):
    partial = "" if width == 256 else f".p/{width}"
    return get(f"{url}/log/tile/{level}/{path_of(index)}{partial}")


def entries_of(bundle):
    entries = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        entries.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return entries


def read_log(url, size):
    entries = []
    for index in range((size + 255) // 256):
        entries += entries_of(part(url, "entries", index, min(256, size - index * 256)))
    assert len(entries) == size
    hashes, level = [leaf(entry) for entry in entries], 0
    while hashes:
        for index in range((len(hashes) + 255) // 256):
            mine = hashes[index * 256 : (index + 1) * 256]
            assert part(url, level, index, len(mine)) == b"".join(mine), f"tile {level}/{index}"
        # A whole tile's root is a hash of the level above.
        hashes = [root(hashes[start : start + 256]) for start in range(0, len(hashes) // 256 * 256, 256)]
        level += 1
    return entries


def refused(check):
    try:
        check()
    except (AssertionError, InvalidSignature):
        return
    raise SystemExit("something altered was accepted")


def main(folder):
    portcullis("demo", "--dir", "demo", "--quiet", cwd=folder)
    august = ["--home", "demo/homes/august"]
    registry, url = serve("registry", "serve", "demo/registry", "--listen", "127.0.0.1:0", cwd=folder)
    children = [registry]
    try:
        key = portcullis(*august, "--registry", url, "audit", "key", cwd=folder).strip()
        early = get(f"{url}/log/checkpoint")
        registry.terminate()
        registry.wait()
        settings, witnesses = folder / "demo/registry/portcullis.toml", []
        for name in ("one.example", "two.example"):
            made = json.loads(portcullis("witness", "init", name, "--name", name, "--json", cwd=folder))["key"]
            child, at = serve("witness", "serve", name, "--name", name, "--listen", "127.0.0.1:0", "--log-key", key, cwd=folder)
            children.append(child)
            witnesses.append(made)
            with settings.open("a") as file:
                file.write(f'\n[[witness]]\nkey = "{made}"\nurl = "{at}"\n')
        registry, url = serve("registry", "serve", "demo/registry", "--listen", "127.0.0.1:0", cwd=folder)
        children.append(registry)
        portcullis(*august, "--registry", url, "case", "list", cwd=folder)
        time.sleep(2)
        check(url, key, witnesses, early)
    finally:
        for child in children:
            child.kill()


def check(url, key, witnesses, early):
    note = get(f"{url}/log/checkpoint")
    size, expected = verify_head(note, key)
    for witness in witnesses:
        verify_cosignature(note, witness)
    entries = read_log(url, size)
    leaves = [leaf(entry) for entry in entries]
    assert root(leaves) == expected, "the entries have another root"
    early_size, early_root = verify_head(early, key)
    assert early_size <= size and root(leaves[:early_size]) == early_root, "the log does not continue its earlier head"
    proved = 0
    for entry in map(json.loads, entries):
        if entry["kind"] not in ("grant", "lease", "policy", "usage", "case"):
            continue
        receipt = json.loads(get(f"{url}/v1/log/receipts/{entry['kind']}/{entry['statement']}"))
        proof, head = receipt["proof"].split("\n\n", 1)
        first, index, *path = proof.split("\n")
        assert first == "c2sp.org/tlog-proof@v1"
        index, path = int(index.removeprefix("index ")), [base64.b64decode(line) for line in path]
        total, top = verify_head(head.encode(), key)
        assert included(leaf(receipt["entry"].encode()), index, total, path) == top
        altered = receipt["entry"].replace("20", "19", 1).encode()
        assert included(leaf(altered), index, total, path) != top, "an altered entry is included"
        proved += 1
    refused(lambda: verify_head(note.replace(f"\n{size}\n".encode(), f"\n{size + 1}\n".encode()), key))
    refused(lambda: verify_cosignature(note.replace(b"\n%d\n" % size, b"\n%d\n" % (size + 1)), witnesses[0]))
    print(f"verify_log: {size} entries, every tile, {proved} inclusion proofs, an earlier head of {early_size} entries, "
          f"{len(witnesses)} cosignatures hold; altered ones do not")


with tempfile.TemporaryDirectory() as scratch:
    main(Path(scratch))
