//! What `serve` refuses, how it says so, and what slow or strange clients cost it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::endpoint::Endpoint;
use crate::support::people::{ID, Scene};
use crate::support::*;
use serde_json::{Value, json};

/// Imports a published folder of the demo as `name`, with the tokenizer beside it.
fn import(folder: &Path, source: &Path, name: &str) {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    for file in ["vocab.json", "merges.txt"] {
        std::fs::copy(demo.join(file), source.join(file)).unwrap();
    }
    succeed(folder, &format!("import {name} {} --to {name}", source.display()));
}

/// The demo's smallest checkpoint in `<folder>/<name>`.
fn imported(folder: &Path, name: &str) {
    let source = folder.join(format!("source-{name}"));
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/demo-small"), &source);
    import(folder, &source, name);
}

fn started(folder: &Path, arguments: &str) -> Endpoint {
    imported(folder, "small");
    Endpoint::start(folder, &format!("serve small {arguments}"), &[])
}

/// The same checkpoint with `more` rows of embeddings that no token has.
fn pad(source: &Path, more: u64) {
    let config = source.join("config.json");
    let mut told: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    told["vocab_size"] = json!(told["vocab_size"].as_u64().unwrap() + more);
    std::fs::write(config, told.to_string()).unwrap();
    let path = source.join("model.safetensors");
    let (header, data) = read_safetensors(&path);
    let (mut padded, mut bytes) = (std::collections::BTreeMap::new(), Vec::new());
    for (name, mut entry) in header {
        if name == "__metadata__" {
            continue;
        }
        let at = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
        let mut own = data[at(0)..at(1)].to_vec();
        if name.ends_with("wte.weight") {
            let rows = entry["shape"][0].as_u64().unwrap();
            own.resize(own.len() / rows as usize * (rows + more) as usize, 0);
            entry["shape"][0] = json!(rows + more);
        }
        entry["data_offsets"] = json!([bytes.len(), bytes.len() + own.len()]);
        bytes.extend(own);
        padded.insert(name, entry);
    }
    write_safetensors(&path, &padded, &bytes);
}

#[test]
fn a_draft_with_padded_embeddings_is_refused_before_anything_listens() {
    let folder = workplace();
    imported(folder.path(), "small");
    let source = folder.path().join("source-padded");
    copy(&folder.path().join("source-small"), &source);
    pad(&source, 64);
    import(folder.path(), &source, "padded");
    let said = refuse(folder.path(), "--quiet serve small --draft padded --listen 127.0.0.1:0");
    insta::assert_snapshot!(said, @"
    exit 2
    error: the vocabulary of the draft has 4160 tokens; the vocabulary of the model has 4096
      next: give --draft a smaller checkpoint of the same family
    ");
    assert_eq!(refuse(folder.path(), "--quiet run small In --draft padded"), said);
}

#[test]
fn a_draft_and_rounded_weights_write_what_run_writes() {
    let folder = workplace();
    imported(folder.path(), "small");
    let run = |arguments: &str| -> Value {
        let said = succeed(folder.path(), &format!("--json run small In -t 0 -n 24 {arguments}"));
        serde_json::from_str(&said).unwrap()
    };
    for arguments in ["--draft small", "--quantize q8", "--quantize q8 --lookup"] {
        let endpoint = Endpoint::start(folder.path(), &format!("serve small {arguments}"), &[]);
        let told = endpoint.complete(json!({ "prompt": "In", "temperature": 0, "max_tokens": 24 }));
        assert_eq!(told["choices"][0]["text"], run(arguments)["samples"][0]["text"], "{arguments}");
    }
}

#[test]
fn an_address_that_is_taken_is_refused_before_a_model_is_loaded() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let said = refuse(workplace().path(), &format!("serve no-such-folder --listen {address}"));
    assert!(said.starts_with("exit 5\nerror: cannot listen on 127.0.0.1:"), "{said}");
    assert!(said.ends_with("next: choose another --listen, or end what listens there\n"), "{said}");
}

#[test]
fn http_2_without_tls_is_answered() {
    let folder = workplace();
    let endpoint = started(folder.path(), "");
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    assert_eq!(endpoint.send(client.get(format!("{}/models", endpoint.url))).0, 200);
}

/// A connection on which `text` was sent.
fn connected(endpoint: &Endpoint, text: &str) -> TcpStream {
    let address = endpoint.url.strip_prefix("http://").unwrap().strip_suffix("/v1").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// Status and error of an answer that was read to its end.
fn told(mut stream: TcpStream) -> (String, Value) {
    let mut text = String::new();
    // Who is refused early may find the connection reset behind the answer.
    let _ = stream.read_to_string(&mut text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap_or_else(|_| panic!("{text}")))
}

const HEAD: &str = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";

#[test]
fn bodies_that_trickle_are_let_go_and_others_are_answered() {
    let folder = workplace();
    let endpoint = started(folder.path(), "");
    // More than are read at a time.
    let trickle: Vec<TcpStream> = (0..40)
        .map(|_| connected(&endpoint, &format!("{HEAD}content-length: 1000\r\n\r\n{{\"model\":")))
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    let one = endpoint.post(&json!({ "model": endpoint.model, "prompt": "In", "max_tokens": 1 }));
    let (status, text) = endpoint.send(one);
    assert!(status == 200 || status == 429, "{status} {text}");
    assert!(asked.elapsed() < Duration::from_secs(45), "{:?}", asked.elapsed());
    let (head, body) = told(trickle.into_iter().next().unwrap());
    assert_eq!(head, "HTTP/1.1 408 Request Timeout");
    insta::assert_snapshot!(body["error"]["message"].as_str().unwrap(), @"the whole request must arrive within 30 seconds: send it again");
    endpoint.complete(json!({ "prompt": "In", "max_tokens": 1 }));
}

#[test]
fn a_place_is_taken_until_its_client_has_read_the_answer_or_is_gone() {
    let folder = workplace();
    succeed(folder.path(), &format!("import tiny {} --to tiny", fixture("golden/f32").display()));
    let endpoint = Endpoint::start(folder.path(), "serve tiny --queue 128", &[]);
    // Some 10 MB of events, more than the system holds between two programs.
    let body = json!({
        "model": "tiny", "prompt": vec![vec![1; 100]; 128], "max_tokens": 28, "stream": true, "logprobs": 5, "echo": true, "temperature": 0,
    })
    .to_string();
    let deaf = connected(&endpoint, &format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len()));
    let until = |line: &str| {
        let begun = Instant::now();
        while !endpoint.get("/metrics").1.contains(line) {
            assert!(
                begun.elapsed() < Duration::from_secs(25),
                "{line} is not in {}",
                endpoint.get("/metrics").1
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("portcullis_first_token_seconds_count 128");
    std::thread::sleep(Duration::from_secs(1));
    until("portcullis_completions_under_way 128");
    let told = endpoint.refuse(json!({ "prompt": "a", "max_tokens": 1 }));
    assert!(told.starts_with("429 \"rate_limit_error\" null \"queue_full\""), "{told}");
    assert!(endpoint.peak_memory() < 600 << 20, "{} bytes", endpoint.peak_memory());
    drop(deaf);
    until("portcullis_completions_under_way 0");
    endpoint.complete(json!({ "prompt": "a", "max_tokens": 1 }));
}

#[test]
fn whatever_is_refused_is_openais_error_object() {
    let folder = workplace();
    let endpoint = started(folder.path(), "");
    let said = endpoint.refuse(json!({ "prompt": "a".repeat(3 << 20) }));
    insta::assert_snapshot!(said, @r#"413 "invalid_request_error" null null: "the request is larger than the maximum of 2 MiB: send fewer or shorter prompts""#);
    for (path, expected) in [
        ("/v1/models/%ff", 400),
        ("/v1/models/gpt-4", 404),
        ("/v1/chat/completions", 404),
        ("/v1/completions", 405),
    ] {
        let (status, text) = endpoint.get(path);
        let told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        assert_eq!(status, expected, "{path}");
        assert!(told["error"]["message"].is_string() && told["error"]["type"].is_string(), "{told}");
    }
    let chunked = connected(&endpoint, &format!("{HEAD}transfer-encoding: chunked\r\n\r\nno number\r\n"));
    let (head, body) = told(chunked);
    assert_eq!(
        (head.as_str(), &body["error"]["type"]),
        ("HTTP/1.1 400 Bad Request", &json!("invalid_request_error"))
    );
}

#[test]
fn a_rule_of_misuse_that_blocks_is_told_with_its_reason_and_recorded() {
    let scene = Scene::released("partners");
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/misuse.toml");
    scene.succeed("ada", &format!("catalogue propose misuse --rules {rules}"));
    scene.sign_and_publish(["ada", "ben"]);
    scene.granted();
    let endpoint = Endpoint::start(scene.path(), &format!("--home homes/rosa serve {ID}"), &[]);
    let asked = |prompt: &str| endpoint.refuse(json!({ "prompt": prompt, "max_tokens": 3 }));
    insta::assert_snapshot!(asked("A manifesto to recruit for the jihad."), @r#"403 "permission_error" null null: "the misuse rule `extremist-propaganda` blocks it: the prompt asks for recruiting or propaganda, and no use that was granted explains it (no granted use explains it); next: the attempt is recorded; if the rule is wrong, write to the auditors""#);
    insta::assert_snapshot!(asked("Write a fake news story."), @r#"403 "permission_error" null null: "the misuse rule `misleading-news` asks for a reason: the prompt asks for a news report that is made to look real (1 of its patterns); next: the attempt is recorded; the operator can start the endpoint with --justify""#);
    endpoint.complete(json!({ "prompt": "Hello", "max_tokens": 3 }));
    assert!(endpoint.stop());
    let records = scene.json("rosa", "usage show");
    let blocked =
        records.as_array().unwrap().iter().filter(|record| record["event"]["begin"]["blocked"] == true);
    assert_eq!(blocked.count(), 2);
}

#[test]
fn a_prompt_of_gpt_1_is_echoed_with_the_space_behind_it() {
    let folder = workplace();
    succeed(folder.path(), &format!("import one {} --to one", fixture("golden/gpt1").display()));
    let endpoint = Endpoint::start(folder.path(), "serve one", &[]);
    let golden: Value =
        serde_json::from_slice(&std::fs::read(fixture("golden/gpt1/golden.json")).unwrap()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let prompt: Vec<u64> =
            case["prompt"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect();
        let asked = |prompt: &[u64], max_tokens: usize, logprobs: Option<u64>| {
            let body = json!({ "prompt": prompt, "temperature": 0, "max_tokens": max_tokens, "echo": true, "logprobs": logprobs });
            endpoint.complete(body)["choices"][0].clone()
        };
        let whole = asked(&prompt, 5, Some(1));
        let greedy: Vec<u64> =
            case["greedy"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect();
        let all: Vec<u64> = prompt.iter().chain(greedy.iter().take(5)).copied().collect();
        // The same tokens, all of them as a prompt.
        assert_eq!(whole["text"], asked(&all, 0, None)["text"]);
        let (text, logprobs) = (whole["text"].as_str().unwrap(), &whole["logprobs"]);
        for (token, offset) in
            logprobs["tokens"].as_array().unwrap().iter().zip(logprobs["text_offset"].as_array().unwrap())
        {
            let rest: String = text.chars().skip(offset.as_u64().unwrap() as usize).collect();
            assert!(rest.starts_with(token.as_str().unwrap().trim_end()), "{token} at {offset} of {text}");
        }
    }
}
