//! Standing between a client and its registry.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use portcullis::access::Session;
use portcullis::client::Invitation;
use portcullis::digest::Sha256Digest;
use portcullis::identity::KeyId;
use portcullis::statement::{Statement, Subject};
use portcullis::time::Timestamp;
use regex::Regex;

use crate::support::served::{Answer, Ask, Database, Served, ask};

/// What a relay answers by itself, by the method and target of a question.
type Own = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A server that passes on what it is asked, but for what it answers by itself.
pub(super) struct Relay {
    pub(super) url: String,
    passed: Arc<Mutex<Vec<(String, String)>>>,
}

impl Relay {
    pub(super) fn to(upstream: &str, own: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let passed: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let (kept, own): (_, Arc<Own>) = (passed.clone(), Arc::new(own));
        // The thread lives as long as the test process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (upstream, kept, own) = (upstream.clone(), kept.clone(), own.clone());
                thread::spawn(move || {
                    if let Ok(passed) = answer(stream, &upstream, &*own) {
                        kept.lock().unwrap().extend(passed);
                    }
                });
            }
        });
        Self { url, passed }
    }

    /// The answers that it passed on to questions that begin so.
    fn answers_to(&self, question: &str) -> Vec<String> {
        let passed = self.passed.lock().unwrap();
        passed
            .iter()
            .filter(|(asked, _)| asked.starts_with(question))
            .map(|(_, answer)| answer.clone())
            .collect()
    }
}

fn answer(mut stream: TcpStream, upstream: &str, own: &Own) -> std::io::Result<Option<(String, String)>> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked: String = head.split(' ').take(2).collect::<Vec<_>>().join(" ");
    if let Some(json) = own(&asked) {
        let length = json.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(json.as_bytes())?;
        return Ok(None);
    }
    let mut there = TcpStream::connect(upstream)?;
    there.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    there.write_all(&body)?;
    let mut bytes = Vec::new();
    there.read_to_end(&mut bytes)?;
    stream.write_all(&bytes)?;
    Ok(Some((asked, String::from_utf8_lossy(&bytes).into_owned())))
}

fn stable(served: &Served, text: &str) -> String {
    let text = served.scene.stable(text);
    Regex::new(r"http://(127\.0\.0\.1|localhost|\[::1\]):\d+")
        .unwrap()
        .replace_all(&text, "http://$1:<port>")
        .into_owned()
}

#[test]
fn a_sign_in_that_is_relayed_gives_the_relay_no_bearer() {
    let served = Served::founded(Database::Sqlite);
    let scene = &served.scene;
    let relay = Relay::to(&served.process.url, |_| None);
    // To the true catalogue, at an address where somebody listens in.
    let invitation = Invitation::new(&relay.url, scene.catalogue_id("ada")).unwrap();
    let shown = scene.json("ada", "catalogue invite");
    assert_ne!(shown["fingerprint"], invitation.fingerprint().to_string(), "people who compare see another");
    // Cy does not compare.
    let joined = scene.json("cy", &format!("join {invitation}"));
    assert_eq!(joined["fingerprint"], invitation.fingerprint().to_string());
    insta::assert_snapshot!(stable(&served, &scene.refuse("cy", "request list")), @"
    exit 4
    error: http://127.0.0.1:<port> refuses: the sign-in was made at http://127.0.0.1:<port>, and this registry is at http://127.0.0.1:<port>, http://[::1]:<port>, http://localhost:<port>
      next: use the registry's own address; if this one leads to it and is no stranger's, its operator adds it to `origins` in portcullis.toml
    ");
    let answers = relay.answers_to("POST /v1/sessions");
    assert!(!answers.is_empty(), "it was passed on");
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 422")), "{answers:?}");
    scene.succeed("cy", &format!("--registry {} request list", served.process.url));
}

#[test]
fn a_proxy_that_the_operator_names_is_signed_in_through_and_nothing_else_is() {
    let served = Served::founded(Database::Sqlite);
    let proxy = Relay::to(&served.process.url, |_| None);
    let settings = std::fs::read_to_string(served.scene.at("reg/portcullis.toml")).unwrap();
    served.scene.write("reg/portcullis.toml", &format!("{settings}origins = [\"{}\"]\n", proxy.url));
    let served = served.limited("");
    let scene = &served.scene;
    scene.succeed("ada", &format!("--registry {} request list", proxy.url));
    insta::assert_snapshot!(stable(&served, &scene.refuse("ben", "request list")), @"
    exit 4
    error: http://127.0.0.1:<port> refuses: the sign-in was made at http://127.0.0.1:<port>, and this registry is at http://127.0.0.1:<port>
      next: use the registry's own address; if this one leads to it and is no stranger's, its operator adds it to `origins` in portcullis.toml
    ");
}

#[test]
fn an_origin_in_the_settings_that_is_none_is_refused() {
    let served = Served::unfounded(Database::Sqlite);
    let scene = &served.scene;
    let settings = std::fs::read_to_string(scene.at("reg/portcullis.toml")).unwrap();
    scene.write("reg/portcullis.toml", &format!("{settings}origins = [\"https://registry.example/\"]\n"));
    let refused = scene.refuse("registry", "registry serve reg --listen 127.0.0.1:0");
    insta::assert_snapshot!(refused, @r#"
    exit 2
    error: <scene>/reg/portcullis.toml cannot be used: TOML parse error at line 13, column 11
       |
    13 | origins = ["https://registry.example/"]
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    it is no origin: one is written `https://registry.example`, in lower case, with a port if it is not the usual one, and without a path

      next: docs/registry.md tells of all settings
    "#);
}

#[test]
fn a_session_that_names_no_address_is_refused_with_what_to_do() {
    let served = Served::founded(Database::Sqlite);
    let rosa = served.scene.identity("rosa");
    let registry: KeyId = served.get("/v1/registry").json()["key_id"].as_str().unwrap().parse().unwrap();
    let open = |origin: Option<&str>| -> Answer {
        let challenge = served.post("/v1/challenges", "{}").json()["challenge"].as_str().unwrap().to_owned();
        let origin = origin.map(|origin| origin.parse().unwrap());
        let session = Session { registry, origin, card: rosa.card().clone(), created: Timestamp::now() };
        let subject =
            Subject { name: "session".to_owned(), digest: Sha256Digest::compute(challenge.as_bytes()) };
        let session =
            Statement::without_catalogue(subject, session).sign(&*rosa.signer(None).unwrap()).unwrap();
        served.post("/v1/sessions", &session.to_json())
    };
    let said = |answer: &Answer| {
        let problem = answer.json();
        let text = |name: &str| problem[name].as_str().unwrap().to_owned();
        stable(&served, &format!("{} {}\n  next: {}", answer.status, text("detail"), text("next")))
    };
    insta::assert_snapshot!([said(&open(None)), said(&open(Some("https://registry.example")))].join("\n"), @"
    422 the sign-in does not name the address at which the registry was asked
      next: use a later version of this program: earlier ones do not name it
    422 the sign-in was made at https://registry.example, and this registry is at http://127.0.0.1:<port>, http://[::1]:<port>, http://localhost:<port>
      next: use the registry's own address; if this one leads to it and is no stranger's, its operator adds it to `origins` in portcullis.toml
    ");
    // By any of its own names it is itself.
    let port = served.process.url.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let opened = open(Some(&format!("http://{host}:{port}")));
        assert_eq!(opened.status, 201, "{}", opened.text);
        let url = format!("{}/v1/requests", served.process.url);
        let bearer = Some(opened.json()["bearer"].as_str().unwrap().to_owned());
        assert_eq!(ask(&Ask { url, bearer, ..Ask::default() }).status, 200);
    }
    assert_eq!(open(Some(&format!("https://127.0.0.1:{port}"))).status, 422, "nor over another scheme");
}
