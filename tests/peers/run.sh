#!/usr/bin/env bash
# Lets other programs judge our formats: python-tuf the catalogue, securesystemslib the statements, `cryptography` the sealing,
# and the log, huggingface_hub the downloads, OpenAI's clients the local endpoint. In a virtual environment of their own, kept in target/ from one run to the next.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
portcullis="${1:?give the portcullis binary}"
environment="$here/../../target/peers"
if [[ ! -x "$environment/bin/python" ]]; then
  python3 -m venv "$environment"
fi
"$environment/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
# The client of npm, and a Node.js of its own to run it: Debian's is too old for it.
npm="$environment/bin/npm"
PATH="$environment/bin:$PATH" "$npm" install --silent --no-audit --no-fund --ignore-scripts --prefix "$environment/npm" openai@7.57.0
for check in python_tuf statements unseal verify_log hugging_face_hub; do
  "$environment/bin/python" "$here/$check.py" "$portcullis"
done
"$environment/bin/python" "$here/openai_client.py" "$portcullis" "$environment/bin/node" "$environment/npm/node_modules"
