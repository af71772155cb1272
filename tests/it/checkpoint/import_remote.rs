//! Import from a server, through the command line. The server is on loopback and stands in for the publisher as a mirror.

use std::fs;
use std::path::Path;

use crate::support::hostile_server::{Act, Server};
use crate::support::*;
use serde_json::Value;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Publishes a folder of `tests/fixtures/` under `path`.
fn publish(server: &Server, folder: &str, path: &str) {
    for entry in fs::read_dir(fixture(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let headers = [("X-Repo-Commit", COMMIT.to_owned()), ("ETag", format!("\"{name}\""))];
        server.site.publish(&format!("{path}/{name}"), &fs::read(entry.path()).unwrap(), &headers);
    }
}

fn import(folder: &Path, server: &Server, arguments: &str) -> String {
    succeed(folder, &format!("import {arguments} --to imported --mirror {}", server.url()))
}

/// A refused import, with the server's port left out.
fn import_refused(folder: &Path, server: &Server, arguments: &str) -> String {
    let message = refuse(folder, &format!("import {arguments} --to imported --mirror {}", server.url()));
    assert!(!folder.join("imported").exists());
    message.replace(&server.url(), "[mirror]")
}

fn origin(folder: &Path) -> Value {
    let manifest = fs::read(folder.join("imported/manifest.json")).unwrap();
    serde_json::from_slice::<Value>(&manifest).unwrap()["origin"].clone()
}

#[test]
fn a_repository_is_fetched_pinned_and_imported() {
    let folder = workplace();
    let server = Server::honest();
    for revision in ["main", COMMIT] {
        publish(&server, "golden/sharded", &format!("/someone/tiny/resolve/{revision}"));
    }
    import(folder.path(), &server, "mine hf:someone/tiny");
    succeed(folder.path(), "verify imported");
    assert_eq!(origin(folder.path())["source"], format!("hf:someone/tiny@{COMMIT}"));
    assert!(!folder.path().join("imported.partial").exists());

    copy(&fixture("golden/sharded"), &folder.path().join("local"));
    succeed(folder.path(), "import mine local --to by-hand");
    let weights = |name: &str| fs::read(folder.path().join(name).join("model.safetensors")).unwrap();
    assert!(weights("imported") == weights("by-hand"));

    let asked = server.site.seen().len();
    let again = import(folder.path(), &server, "mine hf:someone/tiny");
    assert!(again.contains("already"), "{again}");
    assert_eq!(server.site.seen().len(), asked, "what is there is not asked for again");
    let other = "f".repeat(40);
    let refused = refuse(folder.path(), &format!("import mine hf:someone/tiny@{other} --to imported"));
    assert!(refused.contains("was not made from this source"), "{refused}");
}

#[test]
fn what_an_earlier_run_fetched_of_another_revision_is_not_imported() {
    let folder = workplace();
    let stale = folder.path().join("imported.partial/source");
    copy(&fixture("golden/f32"), &stale);
    let server = Server::honest();
    for revision in ["main", COMMIT] {
        publish(&server, "golden/sharded", &format!("/someone/tiny/resolve/{revision}"));
    }
    import(folder.path(), &server, "mine hf:someone/tiny");
    copy(&fixture("golden/sharded"), &folder.path().join("local"));
    succeed(folder.path(), "import mine local --to by-hand");
    let weights = |name: &str| fs::read(folder.path().join(name).join("model.safetensors")).unwrap();
    assert!(weights("imported") == weights("by-hand"));
}

#[test]
fn openais_folder_is_fetched_and_imported() {
    let folder = workplace();
    let server = Server::honest();
    publish(&server, "tf-bundle", "/124M");
    server.site.publish("/124M/model.ckpt.meta", b"a graph, never read", &[]);
    import(folder.path(), &server, "mine openai:117M");
    succeed(folder.path(), "verify imported");
    let origin = origin(folder.path());
    assert_eq!((&origin["source"], &origin["publication"]), (&"openai:124M".into(), &"tensorflow".into()));
}

#[test]
fn a_known_checkpoint_is_measured_against_the_record_while_it_is_fetched() {
    let folder = workplace();
    let server = Server::honest();
    for revision in ["main", COMMIT] {
        publish(&server, "golden/f32", &format!("/openai-community/gpt2/resolve/{revision}"));
    }
    let refused = import_refused(folder.path(), &server, "gpt2 hf:openai-community/gpt2 --parallel 1");
    insta::assert_snapshot!(refused, @"
    exit 4
    error: `model.safetensors` was refused: its SHA-256 is 329396a8557303b23a703074d58ff20f1d56873de5b86d92045edbfad567be2e, and the known digest is 248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707; the download was removed; try again, or use another source
      next: the file on the server is not the one on record; if it is meant to be another build, say so with --unofficial
    ");
}

#[test]
fn what_cannot_be_had_is_refused_and_leaves_nothing() {
    let folder = workplace();
    let server = Server::honest();
    insta::assert_snapshot!(import_refused(folder.path(), &server, "mine hf:someone/nothing"), @"
    exit 5
    error: [mirror]/someone/nothing/resolve/main/config.json: not found (404)
      next: check the name and the revision, or whether the mirror holds it
    ");
    publish(&server, "golden/f32", "/someone/pickle/resolve/main");
    publish(&server, "golden/f32", &format!("/someone/pickle/resolve/{COMMIT}"));
    for revision in ["main", COMMIT] {
        server.site.withdraw(&format!("/someone/pickle/resolve/{revision}/model.safetensors"));
        server.site.publish(&format!("/someone/pickle/resolve/{revision}/pytorch_model.bin"), b"pickle", &[]);
    }
    insta::assert_snapshot!(import_refused(folder.path(), &server, "mine hf:someone/pickle"), @"
    exit 3
    error: hf:someone/pickle@0123456789abcdef0123456789abcdef01234567 has no safetensors weights, only `pytorch_model.bin`, which is not supported: it is a Python pickle, which can run code when it is loaded
      next: name a revision that has model.safetensors (converted ones are often at @refs/pr/<n>), or, for GPT-2, use openai:124M, 355M, 774M or 1558M
    ");
    let gated = Server::scripted(|_, _| Act::Status(401, Vec::new()));
    insta::assert_snapshot!(import_refused(folder.path(), &gated, "mine hf:someone/gated"), @"
    exit 3
    error: [mirror]/someone/gated/resolve/main/config.json: access denied (401): it is gated, private or does not exist, and HF_TOKEN is not set
      next: accept the terms on the repository's page, set HF_TOKEN to a token with access, and run the same command
    ");
    assert!(!folder.path().join("imported.partial").exists());
    insta::assert_snapshot!(refuse(folder.path(), "import mine openai:7B --to imported"), @"
    exit 2
    error: `openai:7B` is not a source: OpenAI published `openai:124M`, `355M`, `774M` and `1558M`
      next: for a folder on this machine, check its path
    ");
    insta::assert_snapshot!(refuse(folder.path(), "import mine hf:a/b --to imported --mirror ftp://x"), @"
    exit 2
    error: invalid address: it must begin with `https://` or `http://`
      next: change --mirror, or HF_ENDPOINT
    ");
}

#[test]
fn a_server_that_fails_now_and_then_is_no_obstacle_and_the_token_stays_here() {
    let folder = workplace();
    let server = Server::scripted(|_, seen| match seen.nth {
        0 if seen.count % 2 == 1 => Act::Status(503, vec![("Retry-After", "0".to_owned())]),
        0 if seen.path.ends_with("merges.txt") => Act::Drop,
        _ => Act::Serve,
    });
    for revision in ["main", COMMIT] {
        publish(&server, "golden/f32", &format!("/someone/tiny/resolve/{revision}"));
    }
    let output = portcullis()
        .current_dir(folder.path())
        .env("HF_TOKEN", "hf_very_secret")
        .args(["import", "mine", "hf:someone/tiny", "--to", "imported", "--mirror", &server.url()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", failure(&output));
    succeed(folder.path(), "verify imported");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains("secret"), "{said}");
    assert!(server.site.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
}
