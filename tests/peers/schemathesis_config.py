"""Writes Schemathesis' configuration: parameters that name things which a registry has. Used by schemathesis.sh."""

import json
import sys
import urllib.request


def main(url, bearer):
    def get(path):
        headers = {"Authorization": f"Bearer {bearer}"}
        with urllib.request.urlopen(urllib.request.Request(url + path, headers=headers)) as answer:
            return json.load(answer)

    listing = get("/v1/catalogue")
    request = get("/v1/requests?checkpoint=demo-large&limit=1")["requests"][0]["digest"]
    grant = get("/v1/statements?kind=grant&limit=1")["statements"][0]["digest"]
    target = next(name for name in listing["files"] if name.endswith("manifest.json"))
    _, folder, file = target.split("/", 2)
    manifest = file.split(".")[0]
    with urllib.request.urlopen(f"{url}/v1/catalogue/{target}") as answer:
        sealed = json.load(answer)
    chunk = sealed["seal"]["files"]["config.json"][0]["sha256"]
    known = {
        "/v1/grants/{digest}": {"digest": grant},
        "/v1/grants/{digest}/lease": {"digest": grant},
        "/v1/requests/{digest}": {"digest": request},
        "/v1/requests/{digest}/assignee": {"digest": request},
        "/v1/chunks/{digest}": {"digest": chunk},
        "/v1/catalogue/metadata/{file}": {"file": "1.root.json"},
        "/v1/catalogue/targets/{folder}/{file}": {"folder": folder, "file": file},
        "/v1/checkpoints/{checkpoint}/manifests/{digest}": {"checkpoint": folder, "digest": manifest},
        "/v1/checkpoints/{checkpoint}/manifests/{digest}/shares": {"checkpoint": folder, "digest": manifest},
    }
    for path, parameters in known.items():
        values = ", ".join(f"{name} = {json.dumps(value)}" for name, value in parameters.items())
        print(f"[[operations]]\ninclude-path = {json.dumps(path)}\nparameters = {{ {values} }}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
