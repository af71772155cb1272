#!/usr/bin/env bash
# Lets other programs judge our formats: python-tuf the catalogue, securesystemslib the statements, `cryptography` the sealing,
# and the log, huggingface_hub the downloads. In a virtual environment of their own, kept in target/ from one run to the next.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
portcullis="${1:?give the portcullis binary}"
environment="$here/../../target/peers"
if [[ ! -x "$environment/bin/python" ]]; then
  python3 -m venv "$environment"
fi
"$environment/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
for check in python_tuf statements unseal verify_log hugging_face_hub; do
  "$environment/bin/python" "$here/$check.py" "$portcullis"
done
