"""The official `openai` clients of PyPI and npm, unmodified, against `portcullis serve`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["NO_PROXY"] = "127.0.0.1"
HERE = Path(__file__).resolve().parent
KEY = "a-key-for-the-check"


def main(portcullis, node, modules):
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        subprocess.run([portcullis, "demo", "--dir", place / "demo"], check=True, stdout=subprocess.DEVNULL)
        checkpoint = place / "demo/checkpoints/demo-small"
        command = [portcullis, "serve", checkpoint, "--listen", "127.0.0.1:0", "--json", "--quiet"]
        environment = {**os.environ, "PORTCULLIS_API_KEY": KEY}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            url = json.loads(server.stdout.readline())["listening"]
            written = python(url)
            check = [node, HERE / "openai_client.mjs", url, KEY, json.dumps(written)]
            # The script lies outside of the folder with the modules: it is told where they are.
            subprocess.run(check, check=True, env={**os.environ, "OPENAI_MODULE": str(modules / "openai/index.mjs")})
        finally:
            server.terminate()


def python(url):
    import openai

    client = openai.OpenAI(base_url=url, api_key=KEY)
    assert [model.id for model in client.models.list()] == ["demo-small"]
    assert client.models.retrieve("demo-small").owned_by == "portcullis"
    asked = dict(model="demo-small", prompt="In the beginning", max_tokens=24, temperature=0)
    whole = client.completions.create(**asked)
    written = whole.choices[0].text
    assert whole.choices[0].finish_reason == "length" and whole.usage.completion_tokens == 24
    pieces = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == written
    assert pieces[-1].usage == whole.usage

    sampled = client.completions.create(model="demo-small", prompt=["And", "So"], n=2, seed=5, max_tokens=8, logprobs=3,
                                        echo=True, top_p=0.9, temperature=0.8)
    assert [choice.index for choice in sampled.choices] == [0, 1, 2, 3]
    for choice in sampled.choices:
        known = choice.logprobs
        assert known.token_logprobs[0] is None and all(p < 0 for p in known.token_logprobs[1:])
        assert len(known.tokens) == len(known.top_logprobs) == len(known.text_offset) >= 2
        assert choice.text.startswith(("And", "So"))
    again = client.completions.create(model="demo-small", prompt="And", n=2, seed=5, max_tokens=8, top_p=0.9, temperature=0.8)
    assert ["And" + choice.text for choice in again.choices] == [choice.text for choice in sampled.choices[:2]]
    stop = written[10:13]
    stopped = client.completions.create(**asked, stop=[stop])
    assert stopped.choices[0].finish_reason == "stop" and stop not in stopped.choices[0].text

    refused = {
        openai.BadRequestError: dict(asked, suffix="the end"),
        openai.NotFoundError: dict(asked, model="gpt-3.5-turbo-instruct"),
    }
    for error, arguments in refused.items():
        try:
            client.completions.create(**arguments)
        except error as told:
            assert told.body["message"], told
            continue
        raise AssertionError(f"{arguments} was answered")
    try:
        openai.OpenAI(base_url=url, api_key="another-key-than-it").models.list()
    except openai.AuthenticationError:
        pass
    else:
        raise AssertionError("a wrong key was let in")
    print(f"openai {openai.__version__} (PyPI): whole, streamed, sampled, echoed, stopped, refused")
    return written


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
