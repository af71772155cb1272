#!/usr/bin/env bash
# Runs theupdateframework's tuf-conformance suite against the client of the catalogue (`portcullis tuf-client`). By hand, before a release: the
# suite is in no package registry, and needs Debian's `faketime`.
#
#   git clone https://github.com/theupdateframework/tuf-conformance SUITE
#   tests/peers/tuf_conformance.sh target/release/portcullis SUITE
#
# The suite signs with ECDSA unless a test asks for something else; Ed25519 is the one algorithm here, so a copy of it is made to sign with that.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
portcullis="$(realpath "$1")"
suite="$(realpath "$2")"
environment="${ENVIRONMENT:-$here/../../target/tuf-conformance}"
if [[ ! -x "$environment/bin/pytest" ]]; then
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check "securesystemslib[crypto]==1.4.0" tuf==7.0.0 pytest==9.1.1 pytest-json-report==1.5.0
fi
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
cp -r "$suite/." "$place/suite"
simulator="$place/suite/tuf_conformance/_internal/repository_simulator.py"
sed -i 's/keytype: str = "ecdsa", scheme: str = "ecdsa-sha2-nistp256"/keytype: str = "ed25519", scheme: str = "ed25519"/' "$simulator"
grep -q 'keytype: str = "ed25519"' "$simulator"
printf '#!/bin/sh\nexec "%s" tuf-client "$@"\n' "$portcullis" > "$place/client"
chmod +x "$place/client"
cp "$here/tuf_conformance.xfails" "$place/client.xfails"
cd "$place/suite"
"$environment/bin/pytest" tuf_conformance --entrypoint "$place/client" -q -rxX
