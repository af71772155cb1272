#!/usr/bin/env bash
# Runs python_tuf.py in a virtual environment of its own, kept in target/ from one run to the next.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
environment="$here/../../target/python-tuf"
if [[ ! -x "$environment/bin/python" ]]; then
  python3 -m venv "$environment"
fi
"$environment/bin/pip" install --quiet --disable-pip-version-check -r "$here/python_tuf.requirements.txt"
"$environment/bin/python" "$here/python_tuf.py" "${1:?give the portcullis binary}"
