//! What a served registry refuses before it looks at anything: too much, too slow, too long, not private; and what it keeps out of its log.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::served::{Answer, Ask, Database, Process, Served, ask};
use support::{failure, portcullis};

/// Another process of the same registry, with more settings.
fn with_settings(served: &Served, more: &str) -> Process {
    let settings = fs::read_to_string(served.scene.at("reg/portcullis.toml")).unwrap();
    served.scene.write("reg/other.toml", &format!("{settings}{more}"));
    Process::start(&served.scene, "reg --config reg/other.toml --listen 127.0.0.1:0", &[])
}

fn get(url: &str, path: &str, headers: Vec<(&'static str, String)>) -> Answer {
    ask(&Ask { url: format!("{url}{path}"), headers, ..Ask::default() })
}

fn said(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.text);
    let problem = answer.json();
    format!("{} {}", answer.status, problem["detail"].as_str().unwrap())
}

/// What `serve` says that refuses to begin.
fn refused_to_serve(served: &Served, settings: &str) -> String {
    served.scene.write("reg/other.toml", settings);
    served.scene.refuse("registry", "registry serve reg --config reg/other.toml")
}

#[test]
fn an_address_that_asks_too_often_is_told_when_to_come_back_and_clients_wait() {
    let served = Served::released(Database::Sqlite, "partners");
    let process = with_settings(&served, "limits.per_address = 5\n");
    let answers: Vec<_> = (0..12).map(|_| get(&process.url, "/v1/registry", Vec::new())).collect();
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!((10..12).contains(&taken.len()), "{}", taken.len());
    insta::assert_snapshot!(said(refused[0]), @"429 this address asks for more work than this registry does");
    let seconds: u64 = refused[0].header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    // The program itself needs more than that, and takes the time.
    let arguments = format!("--registry {} request list", process.url);
    served.scene.succeed("rosa", &arguments);
}

#[test]
fn an_identity_that_asks_too_often_is_refused_whatever_its_address() {
    let served = Served::released(Database::Sqlite, "partners");
    let bearer = served.bearer("rosa");
    let process = with_settings(&served, "behind_proxy = true\nlimits.per_identity = 2\n");
    let answer = |number: usize| {
        let headers = vec![
            ("authorization", format!("Bearer {bearer}")),
            ("x-forwarded-for", format!("192.0.2.{number}")),
        ];
        get(&process.url, "/v1/requests", headers)
    };
    let answers: Vec<_> = (0..8).map(answer).collect();
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    insta::assert_snapshot!(said(refused), @"429 this identity asks for more work than this registry does");
    // Others go on.
    assert_eq!(get(&process.url, "/v1/registry", Vec::new()).status, 200);
}

#[test]
fn behind_a_proxy_each_address_has_its_own_limit_and_elsewhere_the_header_counts_for_nothing() {
    let served = Served::unfounded(Database::Sqlite);
    let from = |process: &Process, number: usize| {
        // What stands before the last address anybody can write.
        get(&process.url, "/healthz", vec![("x-forwarded-for", format!("198.51.100.7, 192.0.2.{number}"))])
            .status
    };
    let behind = with_settings(&served, "behind_proxy = true\nlimits.per_address = 1\n");
    assert!((0..10).all(|number| from(&behind, number) == 200));
    assert!((0..10).any(|_| from(&behind, 1) == 429));
    let alone = with_settings(&served, "limits.per_address = 1\n");
    assert!((0..10).any(|number| from(&alone, number) == 429));
}

#[test]
fn a_body_that_is_too_long_or_comes_too_slowly_is_refused() {
    let served = Served::unfounded(Database::Sqlite);
    let body = Some("x".repeat((1 << 20) + 1));
    let url = format!("{}/v1/statements", served.process.url);
    let long = ask(&Ask { url, method: "POST", body, ..Ask::default() });
    insta::assert_snapshot!(said(&long), @"413 the body is longer than this route takes");
    let process = with_settings(&served, "limits.seconds = 1\n");
    let mut slow = TcpStream::connect(process.url.strip_prefix("http://").unwrap()).unwrap();
    let head = "POST /v1/statements HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let begun = Instant::now();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && begun.elapsed() < Duration::from_secs(8), "{answer}");
    // One byte at a time, in time each: the whole takes too long.
    let mut steady = TcpStream::connect(process.url.strip_prefix("http://").unwrap()).unwrap();
    steady.write_all(head.as_bytes()).unwrap();
    steady.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let begun = Instant::now();
    let mut answer = [0; 12];
    while steady.read_exact(&mut answer).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is waited for without end");
        steady.write_all(b" ").unwrap();
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[test]
fn settings_that_are_wrong_or_unsafe_are_refused() {
    let served = Served::unfounded(Database::Sqlite);
    let mut said = String::new();
    for settings in [
        "schema = 1\nlisten = \"0.0.0.0:0\"\n",
        "schema = 2\n",
        "schema = 1\nlimit = 3\n",
        "schema = 1\ndatabase = \"mysql://elsewhere\"\n",
        "schema = 1\n[tls]\ncertificate = \"none.pem\"\nkey = \"none.pem\"\n",
    ] {
        said += &refused_to_serve(&served, settings);
    }
    insta::assert_snapshot!(said, @"
    exit 2
    error: it would listen on 0.0.0.0:0 in plain HTTP, where others can read and change what is said
      next: set [tls] certificate and key; or, behind a TLS proxy, set plain_http = true
    exit 2
    error: <scene>/reg/other.toml has schema 2; this version knows 1
      next: use the version of portcullis that it was written for
    exit 2
    error: <scene>/reg/other.toml cannot be used: TOML parse error at line 2, column 1
      |
    2 | limit = 3
      | ^^^^^
    unknown field `limit`, expected one of `schema`, `listen`, `database`, `blobs`, `presign`, `tls`, `plain_http`, `behind_proxy`, `origins`, `limits`, `witness`, `founding_code_sha256`

      next: docs/registry.md describes all settings
    exit 2
    error: `mysql` is no database that is supported; write sqlite:<file> or postgres://…
      next: change `database` in portcullis.toml
    exit 5
    error: cannot use the certificate <scene>/reg/none.pem: failed to read from file `<scene>/reg/none.pem`: No such file or directory (os error 2)
      next: check [tls] in portcullis.toml: both files are in PEM
    ");
    let address = served.process.url.strip_prefix("http://").unwrap();
    let taken = served.scene.refuse("registry", &format!("registry serve reg --listen {address}"));
    insta::assert_snapshot!(taken.replace(address, "<address>"), @"
    exit 5
    error: cannot listen on <address>: Address already in use (os error 98)
      next: choose another --listen, or stop the program that listens there
    ");
}

#[test]
fn https_is_spoken_with_a_certificate_and_others_certificates_are_not_believed() {
    let mut served = Served::founded(Database::Sqlite);
    let root = served.get("/v1/catalogue/metadata/1.root.json").text;
    served.scene.write("root.json", &root);
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    served.scene.write("reg/certificate.pem", &certified.cert.pem());
    served.scene.write("reg/key.pem", &certified.signing_key.serialize_pem());
    served.process = with_settings(&served, "[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n");
    let url = served.process.url.replace("127.0.0.1", "localhost");
    assert!(url.starts_with("https://"), "{url}");
    let join = |trusted: bool| {
        let mut command = portcullis();
        command.current_dir(served.scene.path()).args([
            "--home",
            "homes/dora",
            "join",
            &url,
            "--root",
            "root.json",
        ]);
        if trusted {
            command.env("SSL_CERT_FILE", served.scene.at("reg/certificate.pem"));
        }
        command.output().unwrap()
    };
    let stranger = failure(&join(false));
    assert!(stranger.starts_with("exit 5\n") && stranger.contains("certificate"), "{stranger}");
    let joined = join(true);
    assert!(joined.status.success(), "{}", failure(&joined));
}

#[test]
fn the_log_and_the_measurements_tell_what_was_asked_and_no_secret() {
    let served = Served::released(Database::Sqlite, "partners");
    served.granted();
    served.scene.succeed("rosa", "pull tiny");
    served.scene.succeed("rosa", "lease");
    let log = fs::read_to_string(served.scene.at("serve.log")).unwrap();
    assert!(log.contains("/v1/statements") && log.contains("status=201"), "{log}");
    for secret in [&served.bearer("rosa"), &served.bearer("ada"), &served.code] {
        assert!(!log.contains(secret.as_str()), "{log}");
    }
    let metrics = served.get("/metrics").text;
    for line in [
        "portcullis_leases_total ",
        "portcullis_statements_total{kind=\"grant\"}",
        "portcullis_http_requests_total{method=\"POST\",route=\"/v1/sessions\",status=\"201\"}",
        "portcullis_http_request_seconds_bucket{method=\"GET\",route=\"/v1/chunks/{digest}\",le=\"0.05\"}",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert!(!metrics.contains("rosa"));
    assert_eq!(served.get("/healthz").status, 200);
    assert_eq!(served.get("/readyz").status, 200);
}

#[test]
fn the_api_describes_itself() {
    let served = Served::unfounded(Database::Sqlite);
    let described = served.get("/openapi.json").json();
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1"), "{described}");
    let paths = described["paths"].as_object().unwrap();
    for path in [
        "/v1/statements",
        "/v1/grants/{digest}/lease",
        "/v1/chunks/{digest}",
        "/v1/catalogue/metadata/{file}",
    ] {
        assert!(paths.contains_key(path), "{path}: {:?}", paths.keys());
    }
    // Each operation tells its refusals.
    let operations = paths.values().flat_map(|path| path.as_object().unwrap().values());
    for operation in operations {
        let problem = &operation["responses"]["403"]["content"];
        assert!(problem["application/problem+json"].is_object(), "{operation}");
    }
    let unknown = served.get("/v2/everything");
    insta::assert_snapshot!(said(&unknown), @"404 no resource has this path");
    let wrong =
        ask(&Ask { url: format!("{}/healthz", served.process.url), method: "DELETE", ..Ask::default() });
    insta::assert_snapshot!(said(&wrong), @"405 this resource does not take this method");
}
