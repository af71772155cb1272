"""A sealed checkpoint opened by other hands: docs/sealing.md in Python, with `cryptography` for X25519, HKDF and AES-256-GCM.

Our program imports and seals a checkpoint; this opens it with two of three members' shares and the registry's key, and compares every
file's digest. One share fewer, no registry's key, a flipped bit: each must fail.

    python tests/peers/unseal.py target/release/portcullis
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PORTCULLIS = str(Path(sys.argv[1]).resolve())
FIXTURE = Path(__file__).resolve().parent.parent / "fixtures/golden/f32"
ID = "tiny"
MEMBERS = ["ada", "ben", "cy"]


def sha256(data):
    return hashlib.sha256(data).digest()


def parts(*items):
    """⟨a, b, …⟩: each part behind its length as eight bytes."""
    return b"".join(len(item).to_bytes(8, "big") + item for item in items)


def hkdf(salt, key, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def extract(salt, key):
    mac = hmac.HMAC(salt or bytes(32), hashes.SHA256())
    mac.update(key)
    return mac.finalize()


def hpke_open(secret, info, aad, message):
    """RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; the first message."""
    enc, ciphertext = base64.b64decode(message["enc"]), base64.b64decode(message["ciphertext"])
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x02"

    def labeled_extract(suite_id, salt, label, key):
        return extract(salt, b"HPKE-v1" + suite_id + label + key)

    def labeled_expand(suite_id, key, label, context, length):
        labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite_id + label + context
        return HKDFExpand(hashes.SHA256(), length, labeled).derive(key)

    shared = secret.exchange(X25519PublicKey.from_public_bytes(enc))
    public = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    shared = labeled_extract(kem, b"", b"eae_prk", shared)
    shared = labeled_expand(kem, shared, b"shared_secret", enc + public, 32)
    context = b"\x00" + labeled_extract(suite, b"", b"psk_id_hash", b"") + labeled_extract(suite, b"", b"info_hash", info)
    key = labeled_extract(suite, shared, b"secret", b"")
    nonce = labeled_expand(suite, key, b"base_nonce", context, 12)
    return AESGCM(labeled_expand(suite, key, b"key", context, 32)).decrypt(nonce, ciphertext, aad)


def multiply(a, b):
    """In GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11D
        b >>= 1
    return product


def inverse(a):
    return next(b for b in range(1, 256) if multiply(a, b) == 1)


def combine(shares):
    """Lagrange's interpolation at 0, byte by byte."""
    secret = bytearray(32)
    for index, share in shares.items():
        weight = 1
        for other in shares:
            if other != index:
                weight = multiply(weight, multiply(other, inverse(other ^ index)))
        for at, byte in enumerate(share):
            secret[at] ^= multiply(byte, weight)
    return bytes(secret)


class Sealed:
    def __init__(self, folder):
        self.folder = folder
        self.manifest_bytes = (folder / "manifest.json").read_bytes()
        self.manifest = json.loads(self.manifest_bytes)
        self.seal = self.manifest["seal"]
        self.shares = json.loads((folder / "shares.json").read_text())
        assert self.shares["manifest"] == sha256(self.manifest_bytes).hex()
        self.id = self.manifest["plain"]["checkpoint"].encode()

    def share(self, secret, index):
        sealed = next(share for share in self.shares["board"] if share["index"] == index)
        aad = parts(self.id, sealed["key_id"].encode(), bytes([index]))
        share = hpke_open(secret, b"portcullis/v1/share-for-member", aad, sealed["sealed"])
        member = next(member for member in self.seal["board"]["members"] if member["index"] == index)
        commitment = sha256(parts(b"portcullis/v1/share-commitment", self.id, bytes([index]), share))
        assert commitment.hex() == member["commitment"], f"share {index} is not the one committed to"
        return share

    def registry_key(self, secret):
        sealed = self.shares["registry"]
        aad = parts(self.id, sealed["key_id"].encode(), bytes([0]))
        return hpke_open(secret, b"portcullis/v1/registry-key", aad, sealed["sealed"])

    def content_key(self, board, registry):
        """None where the two keys are not the ones that the manifest commits to."""
        key = hkdf(self.id, board + registry, b"portcullis/v1/content")
        commitment = sha256(hkdf(None, key, b"portcullis/v1/commitment"))
        return key if commitment.hex() == self.seal["key_commitment"] else None

    def file(self, content_key, path):
        cipher = AESGCM(hkdf(b"portcullis/v1/file", content_key, path.encode()))
        chunks = self.seal["files"][path]
        plain = b""
        for index, chunk in enumerate(chunks):
            data = (self.folder / "chunks" / chunk["sha256"]).read_bytes()
            assert sha256(data).hex() == chunk["sha256"] and len(data) == chunk["size"]
            last = bytes([index == len(chunks) - 1])
            aad = parts(b"portcullis/v1/chunk", self.id, path.encode(), index.to_bytes(8, "big"), last)
            plain += cipher.decrypt(index.to_bytes(12, "big"), data, aad)
        return plain


def run(folder, home, *arguments):
    subprocess.run([PORTCULLIS, "--home", home, "--quiet", *arguments], cwd=folder, check=True, capture_output=True)


def opening_key(folder, home):
    stored = json.loads((folder / home / "identity.age").read_text())
    return X25519PrivateKey.from_private_bytes(bytes.fromhex(stored["opening_key"]))


def seal_one(folder):
    for name in [*MEMBERS, "registry"]:
        run(folder, name, "identity", "new", "--name", name, "--no-passphrase")
        run(folder, name, "identity", "card", "--to", f"{name}.card")
    run(folder, "ada", "import", ID, str(FIXTURE), "--to", "plain")
    cards = [word for name in MEMBERS for word in ("--board", f"{name}.card")]
    run(
        folder, "ada", "seal", "plain", "--to", "sealed", "--chunk-size", "65536", "--threshold", "2",
        "--registry-card", "registry.card", *cards,
    )  # fmt: skip
    return Sealed(folder / "sealed")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sealed = seal_one(folder)
        owners = {}
        for home in MEMBERS:
            key_id = json.loads((folder / home / "card.json").read_text())["signatures"][0]["keyid"]
            member = next(member for member in sealed.seal["board"]["members"] if member["key_id"] == key_id)
            owners[member["index"]] = opening_key(folder, home)
        shares = {index: sealed.share(secret, index) for index, secret in owners.items()}
        registry = sealed.registry_key(opening_key(folder, "registry"))
        boards = {combine({i: shares[i] for i in pair}) for pair in [(1, 2), (1, 3), (2, 3)]}
        assert len(boards) == 1, "any two shares make the same key"
        content_key = sealed.content_key(boards.pop(), registry)
        assert content_key, "both locks open"
        files = sealed.manifest["plain"]["files"]
        for file in files:
            plain = sealed.file(content_key, file["name"])
            assert sha256(plain).hex() == file["sha256"] and len(plain) == file["size"], file["name"]
        for index, share in shares.items():
            assert sealed.content_key(combine({index: share}), registry) is None, "one share is not enough"
        assert sealed.content_key(combine({i: shares[i] for i in (1, 2)}), bytes(32)) is None, "nor two without the registry"
        try:
            sealed.share(owners[1], 2)
            raise SystemExit("a member opened another's share")
        except InvalidTag:
            pass
        chunk = folder / "sealed/chunks" / sealed.seal["files"][files[0]["name"]][0]["sha256"]
        chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
        try:
            sealed.file(content_key, files[0]["name"])
            raise SystemExit("an altered chunk was taken")
        except AssertionError:
            pass
        count = sum(len(chunks) for chunks in sealed.seal["files"].values())
        print(f"unsealed {len(files)} files of {count} chunks with any 2 of 3 shares; nothing opens with less")


main()
