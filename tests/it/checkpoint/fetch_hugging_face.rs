//! Fetching a Hugging Face repository: commits, shards, pickles, redirects, and who sees the bearer. All on loopback.

use std::fs;
use std::sync::atomic::Ordering;

use crate::support::fetching::*;
use crate::support::hostile_server::{Act, Server, Site};
use portcullis::checkpoint::fetch::{DigestSource, FetchOptions, Fetcher, RemoteSource};
use portcullis::digest::Sha256Digest;

fn hugging_face() -> RemoteSource {
    "hf:org/name".parse().unwrap()
}

/// Publishes a repository of these files under `main` and under its commit, as Hugging Face answers.
fn publish_repository(site: &Site, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        for revision in ["main", COMMIT] {
            let headers = [etag(&Sha256Digest::compute(bytes).to_string()), ("X-Repo-Commit", COMMIT.into())];
            site.publish(&format!("/org/name/resolve/{revision}/{name}"), bytes, &headers);
        }
    }
}

fn small_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![("config.json", noise(1, 600)), ("vocab.json", noise(2, 2_400)), ("merges.txt", noise(3, 1_700))]
}

fn with(files: &[(&'static str, Vec<u8>)]) -> Vec<(&'static str, Vec<u8>)> {
    [&small_files()[..], files].concat()
}

fn fetch_repository(files: &[(&str, Vec<u8>)]) -> (Server, Attempt) {
    let server = Server::honest();
    publish_repository(&server.site, files);
    let attempt = Attempt::at(&hugging_face(), options(&server));
    (server, attempt)
}

#[test]
fn a_repository_is_fetched_at_one_commit() {
    let files = with(&[("model.safetensors", weights())]);
    let (server, attempt) = fetch_repository(&files);
    let fetched = attempt.outcome.as_ref().unwrap();
    assert_eq!(fetched.origin.commit.as_deref(), Some(COMMIT));
    for (name, bytes) in &files {
        assert_eq!(&fs::read(attempt.path(name)).unwrap(), bytes);
        assert_eq!(sha256_of(fetched, name), Sha256Digest::compute(bytes));
    }
    let by_branch = server.site.seen().into_iter().filter(|s| s.path.contains("/main/")).count();
    assert_eq!(by_branch, 1);
}

#[test]
fn shards_are_fetched_as_the_list_names_them() {
    let list = br#"{"weight_map":{"a":"model-1-of-2.safetensors","b":"model-2-of-2.safetensors","c":"model-1-of-2.safetensors"}}"#;
    let (_, attempt) = fetch_repository(&with(&[
        ("model.safetensors.index.json", list.to_vec()),
        ("model-1-of-2.safetensors", noise(11, 2_500)),
        ("model-2-of-2.safetensors", noise(12, 3_500)),
    ]));
    let fetched = attempt.outcome.as_ref().unwrap();
    assert_eq!(fetched.files.len(), 6);
    let second = sha256_of(fetched, "model-2-of-2.safetensors");
    assert_eq!(second, Sha256Digest::compute(&noise(12, 3_500)));
}

#[test]
fn lists_that_lead_elsewhere_are_refused() {
    let mut refusals = String::new();
    for list in [
        r#"{"weight_map":{"a":"../../.bashrc"}}"#,
        r#"{"weight_map":{"a":"pytorch_model.bin"}}"#,
        r#"{"weight_map":{"a":".x.safetensors"}}"#,
        r#"{"weight_map":{}}"#,
        r#"{"weight_map":"#,
    ] {
        let (server, attempt) = fetch_repository(&with(&[("model.safetensors.index.json", list.into())]));
        refusals += &(attempt.refusal(&server) + "\n");
    }
    insta::assert_snapshot!(refusals, @"
    `model.safetensors.index.json` was refused: it names `../../.bashrc`; a shard must be a plain file name that ends in `.safetensors`
    `model.safetensors.index.json` was refused: it names `pytorch_model.bin`; a shard must be a plain file name that ends in `.safetensors`
    `model.safetensors.index.json` was refused: it names `.x.safetensors`; a shard must be a plain file name that ends in `.safetensors`
    `model.safetensors.index.json` was refused: it names 0 files; 1 to 256 are accepted
    `model.safetensors.index.json` was refused: EOF while parsing a value at line 1 column 14
    ");
}

#[test]
fn pickles_are_refused_with_the_reason() {
    let mut refusals = String::new();
    for name in ["pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "README.md"] {
        let (server, attempt) = fetch_repository(&with(&[(name, weights())]));
        refusals += &(attempt.refusal(&server) + "\n");
        assert!(!attempt.path(name).exists());
    }
    insta::assert_snapshot!(refusals, @"
    hf:org/name@607a30d783dfa663caf39e06633721c8d4cfcd7e has no safetensors weights, only `pytorch_model.bin`, which is not supported: it is a Python pickle, which can run code when it is loaded
    hf:org/name@607a30d783dfa663caf39e06633721c8d4cfcd7e has no safetensors weights, only `tf_model.h5`, which is not supported: it is a Keras file, which can contain code
    hf:org/name@607a30d783dfa663caf39e06633721c8d4cfcd7e has no safetensors weights, only `flax_model.msgpack`, which is not supported: it is in Flax's format
    hf:org/name@607a30d783dfa663caf39e06633721c8d4cfcd7e has neither `model.safetensors` nor `model.safetensors.index.json`
    ");
}

#[test]
fn gated_and_absent_repositories_say_why() {
    let mut refusals = String::new();
    for (status, bearer) in [(401, None), (403, Some(SECRET)), (404, None)] {
        let server = Server::scripted(move |_, _| Act::Status(status, vec![]));
        let options = FetchOptions {
            endpoint: Some(server.url().parse().unwrap()),
            mirror: None,
            bearer: bearer.map(|bearer| bearer.parse().unwrap()),
            ..options(&server)
        };
        let attempt = Attempt::at(&hugging_face(), options);
        refusals += &(attempt.refusal(&server) + "\n");
    }
    insta::assert_snapshot!(refusals, @"
    http://[server]/org/name/resolve/main/config.json: access denied (401): it is gated, private or does not exist, and HF_TOKEN is not set
    http://[server]/org/name/resolve/main/config.json: access denied (403): HF_TOKEN was sent but has no access
    http://[server]/org/name/resolve/main/config.json: not found (404)
    ");
}

/// An endpoint that sends readers of the weights to another server, as Hugging Face does.
fn endpoint_and_storage(digest: Sha256Digest) -> (Server, Server) {
    let storage = Server::honest();
    storage.site.publish("/blob?signature=open-sesame", &weights(), &[etag("blob")]);
    let location = format!("{}/blob?signature=open-sesame", storage.url());
    let endpoint = Server::scripted(move |_, seen| {
        if !seen.path.ends_with("model.safetensors") {
            return Act::Serve;
        }
        let headers = vec![
            ("Location", location.clone()),
            ("X-Linked-Etag", format!("\"{digest}\"")),
            ("X-Linked-Size", "10500".into()),
        ];
        Act::Status(302, headers)
    });
    publish_repository(&endpoint.site, &small_files());
    (endpoint, storage)
}

fn with_bearer(endpoint: &Server) -> FetchOptions {
    FetchOptions {
        endpoint: Some(endpoint.url().parse().unwrap()),
        mirror: None,
        bearer: Some(SECRET.parse().unwrap()),
        ..options(endpoint)
    }
}

fn saw_bearer(server: &Server) -> bool {
    let seen = server.site.seen();
    assert!(!seen.is_empty());
    seen.iter().any(|seen| format!("{:?}", seen.headers).contains(SECRET))
}

#[test]
fn the_bearer_goes_to_the_endpoint_and_not_where_it_redirects() {
    let (endpoint, storage) = endpoint_and_storage(Sha256Digest::compute(&weights()));
    let attempt = Attempt::at(&hugging_face(), with_bearer(&endpoint));
    let fetched = attempt.outcome.as_ref().unwrap();
    let announced = fetched.files.iter().find(|f| f.name == "model.safetensors").unwrap();
    assert_eq!(announced.digest_source, DigestSource::Announced);
    assert!(saw_bearer(&endpoint));
    assert!(!saw_bearer(&storage));
    let asked = endpoint.site.seen().into_iter().filter(|s| s.path.ends_with("model.safetensors"));
    assert_eq!(asked.count(), 1, "redirects are followed once, not for each piece");
}

#[test]
fn the_bearer_never_goes_to_a_mirror() {
    let server = Server::honest();
    publish_repository(&server.site, &with(&[("model.safetensors", weights())]));
    let options = FetchOptions { bearer: Some(SECRET.parse().unwrap()), ..options(&server) };
    let attempt = Attempt::at(&hugging_face(), options);
    attempt.outcome.as_ref().unwrap();
    assert!(!saw_bearer(&server));
    let notes = attempt.recorder.text().replace(&server.address.to_string(), "[server]");
    insta::assert_snapshot!(notes, @"HF_TOKEN is not sent to http://[server]: it is sent only to the endpoint, never to a mirror or over plain http");
}

#[test]
fn announced_digests_bind_and_known_ones_bind_more() {
    let wrong = Sha256Digest::compute(b"something else");
    let (endpoint, storage) = endpoint_and_storage(wrong);
    let attempt = Attempt::at(&hugging_face(), with_bearer(&endpoint));
    insta::assert_snapshot!(attempt.refusal(&endpoint), @"`model.safetensors` was refused: its SHA-256 is 63c81e89526da70ea35b58664b9f760535ab4f9b7d6fbe8c0ffa24f792edd6c6, and the digest that the endpoint announced is f41f3fa625ff120ddca7ef456bf66371ecea23c129f4e4c32367101edb516cf8; the download was removed; try again, or use another source");
    let mut options = with_bearer(&endpoint);
    options.expected.insert("model.safetensors".into(), Sha256Digest::compute(&weights()));
    storage.site.forget();
    let attempt = Attempt::at(&hugging_face(), options);
    insta::assert_snapshot!(attempt.refusal(&endpoint), @"`model.safetensors` was refused: the server announces SHA-256 f41f3fa625ff120ddca7ef456bf66371ecea23c129f4e4c32367101edb516cf8, and the known digest is 63c81e89526da70ea35b58664b9f760535ab4f9b7d6fbe8c0ffa24f792edd6c6");
    assert_eq!(storage.site.body_bytes.load(Ordering::SeqCst), 1);
}

#[test]
fn a_signed_address_that_ends_is_asked_for_again() {
    let storage = Server::scripted(|_, seen| match seen.count {
        4.. if seen.path.ends_with("=0") => Act::Status(403, vec![]),
        _ => Act::Serve,
    });
    for n in 0..2 {
        storage.site.publish(&format!("/blob?n={n}"), &weights(), &[etag("blob")]);
    }
    let place = storage.url();
    let endpoint = Server::scripted(move |_, seen| {
        if !seen.path.ends_with("model.safetensors") {
            return Act::Serve;
        }
        let n = usize::from(seen.range != Some((0, 0)));
        Act::Status(302, vec![("Location", format!("{place}/blob?n={n}"))])
    });
    publish_repository(&endpoint.site, &small_files());
    let attempt = Attempt::at(&hugging_face(), with_bearer(&endpoint));
    let fetched = attempt.outcome.as_ref().unwrap();
    assert_eq!(sha256_of(fetched, "model.safetensors"), Sha256Digest::compute(&weights()));
}

#[test]
fn redirects_are_bounded_and_stay_on_the_safe_side() {
    let mut refusals = String::new();
    for location in ["/org/name/resolve/main/config.json", "http://mirror.example/x", "file:///etc/passwd"] {
        let server = Server::scripted(move |_, _| Act::Status(302, vec![("Location", location.into())]));
        let attempt = Attempt::at(&hugging_face(), with_bearer(&server));
        refusals += &(attempt.refusal(&server) + "\n");
    }
    insta::assert_snapshot!(refusals, @"
    http://[server]/org/name/resolve/main/config.json: redirect refused: more than 8 redirects
    http://[server]/org/name/resolve/main/config.json: redirect refused: it leads from https, or from this machine, to plain http
    http://[server]/org/name/resolve/main/config.json: redirect refused: it does not lead to https
    ");
}

#[test]
fn secrets_are_in_no_message() {
    let (endpoint, storage) = endpoint_and_storage(Sha256Digest::compute(b"other"));
    let options = with_bearer(&endpoint);
    let mut told = format!("{options:?} {:?}", Fetcher::new(options.clone()));
    let attempt = Attempt::at(&hugging_face(), options.clone());
    told += &format!("{:?} {}", attempt.outcome, attempt.recorder.text());
    // And with a storage that is gone, whose address the client's own errors would repeat.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for target in [
        format!("http://{gone}/blob?signature=open-sesame"),
        "http://x.example/?signature=open-sesame".into(),
    ] {
        let endpoint = Server::scripted(move |_, _| Act::Status(302, vec![("Location", target.clone())]));
        let attempt = Attempt::at(&hugging_face(), with_bearer(&endpoint));
        let error = attempt.outcome.as_ref().unwrap_err();
        told += &format!("{error:?} {error} {}", attempt.recorder.text());
    }
    drop(storage);
    assert!(told.contains("refused"));
    for secret in [SECRET, "open-sesame"] {
        assert!(!told.contains(secret), "{told}");
    }
}
