"""Statements beside securesystemslib and cryptography: another DSSE verifier accepts our envelopes, computes our key ids, and
we accept its envelopes.

    pip install -r tests/peers/requirements.txt
    python tests/peers/statements.py target/release/portcullis
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, SSlibKey

PORTCULLIS = sys.argv[1]


def portcullis(*arguments):
    return subprocess.run([PORTCULLIS, *arguments], check=True, capture_output=True, text=True).stdout


def key_of(public_hex):
    """The TUF key of an Ed25519 key, its id computed by hand over securesystemslib's canonical JSON."""
    fields = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public_hex}}
    keyid = hashlib.sha256(encode_canonical(fields).encode()).hexdigest()
    return SSlibKey(keyid, "ed25519", "ed25519", {"public": public_hex})


def verify_our_card(home):
    envelope = json.loads(portcullis("--home", home, "identity", "card"))
    shown = json.loads(portcullis("--home", home, "identity", "show", "--json"))
    key = key_of(shown["card"]["verifying_key"])
    assert key.keyid == shown["key_id"], (key.keyid, shown["key_id"])
    parsed = Envelope.from_dict(envelope)
    assert list(parsed.verify([key], 1)) == [key.keyid]
    parsed.payload += b" "
    try:
        parsed.verify([key], 1)
    except VerificationError:
        pass
    else:
        raise AssertionError("an altered payload verified")
    return envelope


def verify_their_card(envelope, folder):
    """A card whose keys and signature `cryptography` and securesystemslib made."""
    signing, sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    signer = CryptoSigner(signing)
    public = signer.public_key.keyval["public"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(bytes.fromhex(public)).hexdigest()
    statement["predicate"]["verifying_key"] = public
    statement["predicate"]["sealing_key"] = sealing.public_key().public_bytes_raw().hex()
    # One form: no white space between tokens, fields in our order, text as it is.
    payload = json.dumps(statement, separators=(",", ":"), ensure_ascii=False).encode()
    theirs = Envelope(payload, envelope["payloadType"], {})
    theirs.sign(signer)
    path = Path(folder) / "theirs.card"
    path.write_text(json.dumps(theirs.to_dict()))
    shown = json.loads(portcullis("identity", "show", str(path), "--json"))
    assert shown["card"]["verifying_key"] == public
    assert shown["key_id"] == key_of(public).keyid


def main():
    with tempfile.TemporaryDirectory() as folder:
        home = f"{folder}/home"
        portcullis("--home", home, "identity", "new", "--name", "Zoë", "--no-passphrase")
        envelope = verify_our_card(home)
        for _ in range(20):
            verify_their_card(envelope, folder)
    print("statements: securesystemslib verifies ours, computes our key ids, and we verify 20 of its own")


main()
