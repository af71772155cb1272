//! Floods by strangers: memory, disk, processor, the board's queue.

use super::support::endpoint::Endpoint;
use super::support::served::{Database, Served};
use super::support::{fixture, workplace};

/// How much more memory a server may hold after a flood than before it.
const MAX_GROWTH: u64 = 32 << 20;

#[test]
fn thousands_of_invented_methods_grow_neither_memory_nor_what_is_scraped() {
    let served = Served::unfounded(Database::Sqlite);
    let before = (served.process.resident_bytes(), served.get("/metrics").text.len());
    let tail = "X".repeat(30_000);
    for batch in 0..40 {
        let requests = (0..25).map(|i| {
            let end = if i == 24 { "Connection: close\r\n" } else { "" };
            format!("M{batch}Y{i}{tail} /healthz HTTP/1.1\r\nHost: localhost\r\n{end}\r\n")
        });
        let answers = served.process.send_raw(requests.collect::<String>().as_bytes());
        assert!(answers.starts_with("HTTP/1.1 4"), "{answers}");
    }
    let scraped = served.get("/metrics").text;
    assert!(scraped.contains(r#"method="other""#), "{scraped}");
    assert!(!scraped.contains("XXXX"));
    assert!(scraped.len() < before.1 + 10_000, "{} bytes", scraped.len());
    let grown = served.process.resident_bytes().saturating_sub(before.0);
    assert!(grown < MAX_GROWTH, "{grown} bytes more");
}

#[test]
fn two_hosts_in_one_request_are_refused_by_registry_and_endpoint_alike() {
    let served = Served::unfounded(Database::Sqlite);
    let asked = |hosts: &[&str], version: &str| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        format!("GET /healthz HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n").into_bytes()
    };
    let folder = workplace();
    let import = format!("import tiny {} --to tiny", fixture("golden/f32").display());
    super::support::succeed(folder.path(), &import);
    let endpoint = Endpoint::start(folder.path(), "serve tiny", &[]);
    for (server, name) in [(served.process.url.as_str(), "registry"), (endpoint.url.as_str(), "endpoint")] {
        let send = |bytes: &[u8]| super::support::served::send_raw(server, bytes);
        for hosts in [
            &["localhost", "evil.example"][..],
            &["localhost", "localhost"],
            &[],
            &["localhost, evil.example"],
            &["localhost:80:80"],
            &["evil.example@localhost"],
        ] {
            let answer = send(&asked(hosts, "1.1"));
            assert!(answer.starts_with("HTTP/1.1 400"), "{name}: {hosts:?}: {answer}");
        }
        assert!(send(&asked(&["localhost"], "1.1")).starts_with("HTTP/1.1 200"), "{name}");
        // A balancer's probe of old names no host.
        assert!(send(&asked(&[], "1.0")).starts_with("HTTP/1.0 200"), "{name}");
    }
}
