//! `serve` as a researcher's own programs meet it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::endpoint::Endpoint;
use crate::support::people::{ID, Scene};
use crate::support::*;
use serde_json::{Value, json};

/// An imported checkpoint with a vocabulary that can say anything, in `<folder>/imported`.
fn imported(folder: &Path) {
    let (source, demo) = (folder.join("source"), Path::new(env!("CARGO_MANIFEST_DIR")).join("demo"));
    copy(&demo.join("demo-small"), &source);
    for name in ["vocab.json", "merges.txt"] {
        std::fs::copy(demo.join(name), source.join(name)).unwrap();
    }
    succeed(folder, "import demo-small source --to imported");
}

fn started(folder: &Path, arguments: &str) -> Endpoint {
    imported(folder);
    Endpoint::start(folder, &format!("serve imported {arguments}"), &[])
}

#[test]
fn a_completion_is_the_text_that_run_writes() {
    let folder = workplace();
    let endpoint = started(folder.path(), "");
    let run = |arguments: &str| -> Value {
        serde_json::from_str(&succeed(folder.path(), &format!("--json run imported In {arguments}"))).unwrap()
    };
    let greedy = endpoint.complete(json!({ "prompt": "In", "temperature": 0, "max_tokens": 24 }));
    assert_eq!(greedy["choices"][0]["text"], run("-t 0 -n 24")["samples"][0]["text"]);
    assert_eq!(greedy["choices"][0]["finish_reason"], "length");
    assert_eq!(greedy["object"], "text_completion");
    assert_eq!(greedy["usage"], json!({ "prompt_tokens": 1, "completion_tokens": 24, "total_tokens": 25 }));
    // Each text has the next seed, and is written beside the others.
    let sampled =
        endpoint.complete(json!({ "prompt": "In", "seed": 7, "n": 3, "max_tokens": 20, "top_p": 0.9 }));
    let samples = &run("--seed 7 --samples 3 -n 20 --top-p 0.9 --top-k 0")["samples"];
    for i in 0..3 {
        assert_eq!(sampled["choices"][i]["text"], samples[i]["text"]);
        assert_eq!(sampled["choices"][i]["index"], i);
    }
    let narrow = endpoint.complete(json!({ "prompt": "In", "seed": 7, "top_k": 1, "max_tokens": 20 }));
    assert_eq!(narrow["choices"][0]["text"], run("-t 0 -n 20")["samples"][0]["text"]);
}

#[test]
fn a_stream_is_the_whole_in_pieces() {
    let folder = workplace();
    let endpoint = started(folder.path(), "--lookup");
    for asked in [
        json!({ "prompt": "In the", "seed": 3, "max_tokens": 30 }),
        json!({ "prompt": ["In the", "And so"], "n": 2, "seed": 3, "max_tokens": 12, "logprobs": 2, "echo": true }),
        json!({ "prompt": [1, 2, 3], "temperature": 0, "max_tokens": 40, "stop": ["e"] }),
        json!({ "prompt": "Ende", "max_tokens": 0, "echo": true, "logprobs": 1 }),
        json!({ "temperature": 0 }),
    ] {
        let whole = endpoint.complete(asked.clone());
        let mut with_usage = asked.clone();
        with_usage["stream_options"] = json!({ "include_usage": true });
        let mut pieces = endpoint.stream(with_usage);
        let last = pieces.pop().unwrap();
        // OpenAI's form: null in every piece before the last, and left out unless asked for.
        assert!(pieces.iter().all(|piece| piece.get("usage") == Some(&Value::Null)), "{pieces:?}");
        assert!(endpoint.stream(asked.clone()).iter().all(|piece| piece.get("usage").is_none()), "{asked}");
        assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &whole["usage"]));
        for choice in whole["choices"].as_array().unwrap() {
            let own = pieces.iter().map(|piece| &piece["choices"][0]);
            let own: Vec<&Value> = own.filter(|piece| piece["index"] == choice["index"]).collect();
            let text: String = own.iter().map(|piece| piece["text"].as_str().unwrap()).collect();
            assert_eq!(choice["text"], text, "{asked}");
            assert_eq!(own.last().unwrap()["finish_reason"], choice["finish_reason"]);
            for part in ["tokens", "token_logprobs", "text_offset"] {
                let parts = own.iter().filter_map(|piece| piece["logprobs"][part].as_array()).flatten();
                let whole: Vec<&Value> = choice["logprobs"][part].as_array().into_iter().flatten().collect();
                assert_eq!(parts.collect::<Vec<_>>(), whole, "{asked} {part}");
            }
        }
    }
}

#[test]
fn log_probabilities_are_those_of_run_and_of_score() {
    let folder = workplace();
    let endpoint = started(folder.path(), "");
    let asked = json!({ "prompt": "In the beginning", "temperature": 0, "max_tokens": 3, "logprobs": 2, "echo": true });
    let told = &endpoint.complete(asked)["choices"][0];
    let logprobs = &told["logprobs"];
    let tokens: Vec<&str> =
        logprobs["tokens"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    assert_eq!(told["text"], tokens.concat());
    assert_eq!(logprobs["token_logprobs"][0], Value::Null);
    let run = succeed(folder.path(), "--json run imported -t 0 -n 3 --logprobs 2 --tokens 1"); // any, for its form
    assert!(run.contains("logprob"));
    std::fs::write(folder.path().join("text.txt"), "In the beginning").unwrap();
    let scored: Value =
        serde_json::from_str(&succeed(folder.path(), "--json score imported text.txt")).unwrap();
    let prompt = tokens.len() - 3;
    let sum: f64 = (1..prompt).map(|i| logprobs["token_logprobs"][i].as_f64().unwrap()).sum();
    let mean = -sum / (prompt - 1) as f64;
    assert!((mean - scored["mean_nll"].as_f64().unwrap()).abs() < 1e-6);
    assert_eq!(logprobs["top_logprobs"][prompt].as_object().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_done_is_refused_with_what_it_is() {
    let folder = workplace();
    let endpoint = started(folder.path(), "");
    let refusals = [
        json!({ "prompt": "a", "suffix": "b" }),
        json!({ "prompt": "a", "model": "gpt-4" }),
        json!({ "prompt": "a", "max_tokens": 256 }),
        json!({ "prompt": [99999] }),
        json!({ "prompt": [] }),
        json!({ "prompt": 7 }),
        json!({ "prompt": "a", "n": 0 }),
        json!({ "prompt": "a", "n": 129 }),
        json!({ "prompt": "a", "best_of": 2 }),
        json!({ "prompt": "a", "temperature": -1 }),
        json!({ "prompt": "a", "top_p": 1.5 }),
        json!({ "prompt": "a", "logprobs": 6 }),
        json!({ "prompt": "a", "presence_penalty": 0.5 }),
        json!({ "prompt": "a", "logit_bias": { "1": 5 } }),
        json!({ "prompt": "a", "stop": ["1", "2", "3", "4", "5"] }),
        json!({ "prompt": "a", "max_token": 5 }),
    ];
    let place = regex::Regex::new(" at line 1 column [0-9]+").unwrap();
    let said = refusals.into_iter().map(|body| place.replace(&endpoint.refuse(body), "").into_owned());
    let said: Vec<String> = said.collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    400 "invalid_request_error" "suffix" null: "`suffix` is not supported: GPT-2 only continues a prompt"
    404 "invalid_request_error" "model" "model_not_found": "the model `gpt-4` is not served; `demo-small` is"
    400 "invalid_request_error" "prompt" "context_length_exceeded": "the prompt has 1 tokens and `max_tokens` is 256, but the context has 256: shorten the prompt, or lower `max_tokens`"
    400 "invalid_request_error" "prompt" null: "token 99999 is outside the vocabulary of 4096"
    400 "invalid_request_error" "prompt" null: "the list of prompts is empty: give at least one, or omit `prompt` for a text without a prompt"
    400 "invalid_request_error" null null: "the body is not a valid completion request: `prompt` must be a string, a list of strings, a list of tokens, or a list of lists of tokens"
    400 "invalid_request_error" "n" null: "a request must be for 1 to 128 completions of all prompts together"
    400 "invalid_request_error" "n" null: "a request must be for 1 to 128 completions of all prompts together"
    400 "invalid_request_error" "best_of" null: "`best_of` is not supported: request `n` completions and choose one"
    400 "invalid_request_error" "temperature" null: "`temperature` is -1; it must be 0 or more, and finite"
    400 "invalid_request_error" "top_p" null: "`top_p` is 1.5; it must be from 0 to 1"
    400 "invalid_request_error" "logprobs" null: "`logprobs` must be at most 5"
    400 "invalid_request_error" "presence_penalty" null: "`presence_penalty` is not supported: omit it, or set it to 0"
    400 "invalid_request_error" "logit_bias" null: "`logit_bias` is not supported: omit it"
    400 "invalid_request_error" "stop" null: "`stop` must be at most 4 strings of at most 1024 bytes"
    400 "invalid_request_error" null null: "the body is not a valid completion request: unknown field `max_token`, expected one of `model`, `prompt`, `suffix`, `max_tokens`, `temperature`, `top_p`, `top_k`, `n`, `best_of`, `stream`, `stream_options`, `logprobs`, `echo`, `stop`, `presence_penalty`, `frequency_penalty`, `logit_bias`, `seed`, `user`"
    "#);
    assert_eq!(endpoint.get("/v1/chat/completions").0, 404);
    assert_eq!(endpoint.get("/v1/completions").0, 405);
    // What is empty or the default is no wish.
    let full = json!({
        "prompt": "a", "suffix": "", "best_of": 1, "n": 1, "presence_penalty": 0, "frequency_penalty": 0,
        "logit_bias": {}, "user": "me", "stop": null, "seed": null, "logprobs": null, "stream": false, "max_tokens": 1,
    });
    endpoint.complete(full);
}

#[test]
fn only_this_machine_is_answered_without_a_key() {
    let folder = workplace();
    imported(folder.path());
    insta::assert_snapshot!(refuse(folder.path(), "serve imported --listen 0.0.0.0:0"), @"
    exit 2
    error: an API key is required to listen on 0.0.0.0:0, which other machines can reach
      next: set PORTCULLIS_API_KEY to what clients must send, or listen on 127.0.0.1
    ");
    let weak = portcullis()
        .current_dir(folder.path())
        .args(["serve", "imported"])
        .env("PORTCULLIS_API_KEY", "short")
        .output()
        .unwrap();
    insta::assert_snapshot!(failure(&weak), @"
    exit 2
    error: PORTCULLIS_API_KEY is not a valid API key
      next: set it to at least 16 visible ASCII characters, for example with `openssl rand -hex 16`
    ");
    let endpoint = Endpoint::start(folder.path(), "serve imported", &[]);
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let asked = endpoint.client().get(format!("{}/models", endpoint.url)).header(name, value);
        assert_eq!(endpoint.send(asked).0, 403, "{name}");
    }
    assert_eq!(endpoint.get("/v1/models").0, 200);

    let key = "0123456789abcdef0123";
    let endpoint = Endpoint::start(folder.path(), "serve imported", &[("PORTCULLIS_API_KEY", key)]);
    for path in ["/v1/models", "/metrics"] {
        assert_eq!(endpoint.get(path).0, 401);
    }
    assert_eq!(endpoint.get("/healthz"), (200, "ok\n".to_owned()));
    let body = json!({ "model": endpoint.model, "prompt": "In", "max_tokens": 1 });
    assert_eq!(endpoint.send(endpoint.post(&body)).0, 401);
    assert_eq!(endpoint.send(endpoint.post(&body).bearer_auth("0123456789abcdef0124")).0, 401);
    assert_eq!(endpoint.send(endpoint.post(&body).bearer_auth(key)).0, 200);
}

#[test]
fn models_and_measurements_are_shown() {
    let folder = workplace();
    let endpoint = started(folder.path(), "");
    let (_, list) = endpoint.get("/v1/models");
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!("demo-small")));
    let (_, one) = endpoint.get("/v1/models/demo-small");
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap(), list["data"][0]);
    assert_eq!(endpoint.get("/v1/models/gpt-4").0, 404);
    endpoint.complete(json!({ "prompt": "In", "max_tokens": 5, "temperature": 0 }));
    let (_, metrics) = endpoint.get("/metrics");
    for line in [
        "portcullis_completions_total{finish=\"length\"} 1",
        "portcullis_completion_tokens_total 5",
        "portcullis_completions_under_way 0",
        "portcullis_first_token_seconds_count 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(endpoint.stop());
}

/// What the journal says of each text that ended: how, and after how many tokens.
fn ended(scene: &Scene) -> Vec<(String, u64)> {
    let records = scene.json("rosa", "usage show");
    let ends = records.as_array().unwrap().iter().map(|record| &record["event"]["end"]);
    ends.filter(|end| !end.is_null())
        .map(|end| (end["finish"].as_str().unwrap().to_owned(), end["tokens"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_text_whose_client_is_gone_is_not_written_on_and_recorded_so() {
    let scene = Scene::released("partners");
    scene.granted();
    let endpoint = Endpoint::start(scene.path(), &format!("--home homes/rosa serve {ID} --at-a-time 1"), &[]);
    let body = json!({ "model": ID, "prompt": "a", "max_tokens": 126, "n": 128 });
    endpoint.block_on(async {
        let impatient = endpoint.post(&body).timeout(Duration::from_millis(80)).send().await;
        assert!(impatient.is_err());
    });
    // Another is served at once, and the places are free again.
    endpoint.complete(json!({ "prompt": "b", "max_tokens": 1, "temperature": 0 }));
    let begun = Instant::now();
    while !endpoint.get("/metrics").1.contains("portcullis_completions_under_way 0") {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(20));
    }
    assert!(endpoint.stop());
    let ended = ended(&scene);
    // One text at a time: of those that were cancelled at most one had any tokens, and not all that were asked for.
    let cancelled: Vec<u64> =
        ended.iter().filter(|(finish, _)| finish == "cancelled").map(|(_, tokens)| *tokens).collect();
    assert!(!cancelled.is_empty(), "{ended:?}");
    assert!(cancelled.iter().sum::<u64>() < 126, "{ended:?}");
    let written: u64 = ended.iter().map(|(_, tokens)| tokens).sum();
    assert!(written < 128 * 126 / 2, "{written} tokens were written for nobody: {ended:?}");
    assert_eq!(scene.json("rosa", "usage status")["journal"]["open"], 0, "every text that began has ended");
}

#[test]
fn a_stop_ends_what_is_under_way_tells_its_clients_and_records_it() {
    let scene = Scene::released("partners");
    scene.granted();
    let endpoint = Endpoint::start(scene.path(), &format!("--home homes/rosa serve {ID} --at-a-time 1"), &[]);
    let body =
        |stream: bool| json!({ "model": ID, "prompt": "a", "max_tokens": 100, "n": 100, "stream": stream });
    let client = tokio::runtime::Runtime::new().unwrap();
    let (streamed, begun) = client.block_on(async {
        let mut response = endpoint.post(&body(true)).send().await.unwrap();
        let begun = response.chunk().await.unwrap().unwrap();
        (response, begun)
    });
    let whole = client.spawn(endpoint.post(&body(false)).send());
    thread::sleep(Duration::from_millis(100));
    let streamed = client.spawn(streamed.text());
    let asked = Instant::now();
    assert!(endpoint.stop(), "it ends well");
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    let error = r#"{"error":{"message":"the endpoint is shutting down: try again after it has restarted","type":"server_error","param":null,"code":null}}"#;
    let streamed = client.block_on(streamed).unwrap().unwrap();
    assert!(!begun.is_empty() && streamed.ends_with(&format!("data: {error}\n\n")), "{streamed}");
    let whole = client.block_on(whole).unwrap().unwrap();
    assert_eq!(whole.status(), 503);
    assert_eq!(client.block_on(whole.text()).unwrap(), error);
    assert_eq!(scene.json("rosa", "usage status")["journal"]["open"], 0);
    let ended = ended(&scene);
    assert!(ended.iter().any(|(finish, tokens)| finish == "cancelled" && *tokens < 100), "{ended:?}");
}
