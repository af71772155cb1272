//! A registry that is served by the real binary on loopback, and the people around it.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::people::{BOARD, ID, POLICY, Scene};
use super::{fixture, portcullis};

/// Which database a registry keeps its rows in.
#[derive(Clone, Copy, Debug)]
pub enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    /// Where a registry's settings find a new, empty database.
    pub fn url(self) -> String {
        match self {
            Self::Sqlite => "sqlite:registry.db".to_owned(),
            Self::Postgres => super::postgres::new_database(),
        }
    }
}

/// A `registry serve` that runs.
pub struct Process {
    child: Child,
    pub url: String,
}

impl Process {
    /// Serves a folder; more arguments are split at spaces.
    pub fn start(scene: &Scene, arguments: &str, environment: &[(&str, String)]) -> Self {
        let log = File::options().create(true).append(true).open(scene.at("serve.log")).unwrap();
        let mut command = portcullis();
        command.current_dir(scene.path()).args(["registry", "serve"]).args(arguments.split_whitespace());
        command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(scene.at("serve.log")).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{}", log()));
        Self { url: url.to_owned(), child }
    }

    /// Something in the place of a process that is being replaced.
    pub fn idle() -> Self {
        Self { child: Command::new("sleep").arg("600").spawn().unwrap(), url: String::new() }
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }

    /// How long processors have worked for it, in seconds.
    pub fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // User and system time, in hundredths: the 14th and 15th field, of which the 2nd ends with the last parenthesis.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11..13].iter().map(|field| field.parse::<f64>().unwrap() / 100.0).sum()
    }

    /// How much memory it holds now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Sends bytes as they stand and reads until the other side ends; what came.
    pub fn send_raw(&self, bytes: &[u8]) -> String {
        send_raw(&self.url, bytes)
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Newcomers are limited where a test is about that; everywhere else they would only take time.
const UNLIMITED: &str = "\
limits.newcomer_work_bits = 0
limits.newcomer_requests_per_address = 0
limits.newcomer_requests = 0
limits.pending_per_person = 0
limits.requests_per_person = 0
limits.usage_mib_per_person = 0
";

/// A scene around a served registry.
pub struct Served {
    pub scene: Scene,
    pub process: Process,
    pub code: String,
    environment: Vec<(&'static str, String)>,
}

impl Served {
    /// A registry that is made and served, with people around it who have not founded anything.
    pub fn unfounded(database: Database) -> Self {
        Self::unfounded_with(database, "chunks", Vec::new())
    }

    /// The same with its chunks elsewhere.
    pub fn unfounded_with(database: Database, blobs: &str, environment: Vec<(&'static str, String)>) -> Self {
        let scene = Scene::with_people();
        let init = format!("registry init reg --database {} --blobs {blobs}", database.url());
        let init = scene.json("registry", &init);
        let code = init["founding_code"].as_str().unwrap().to_owned();
        let settings = std::fs::read_to_string(scene.at("reg/portcullis.toml")).unwrap();
        scene.write("reg/portcullis.toml", &(settings + UNLIMITED));
        let process = Process::start(&scene, "reg --listen 127.0.0.1:0", &environment);
        Self { scene, process, code, environment }
    }

    /// The same with a catalogue that the three members founded and everybody joined.
    pub fn founded(database: Database) -> Self {
        let served = Self::unfounded(database);
        served.found();
        served
    }

    /// The same with the checkpoint sealed and released in a stage of [`POLICY`].
    pub fn released(database: Database, stage: &str) -> Self {
        let served = Self::founded(database);
        served.release(stage);
        served
    }

    pub fn found(&self) {
        let Self { scene, process, code, .. } = self;
        let url = &process.url;
        let cards = BOARD.map(|person| format!("cards/{person}.card"));
        let owners = cards.iter().map(|card| format!(" --owner {card}")).collect::<String>();
        let init = format!(
            "--registry {url} catalogue init{owners} --owner-threshold 2 --founding-code {code} \
             --registry-card reg/registry.card --auditor cards/august.card --board {ID}=2:{}",
            cards.join(",")
        );
        scene.succeed("ada", &init);
        for person in ["ada", "ben"] {
            scene.sign_all(person, &format!("--registry {url}"));
        }
        let root = self.get("/v1/catalogue/metadata/1.root.json").text;
        scene.write("root.json", &root);
        for person in BOARD.into_iter().chain(["rosa", "eve", "august"]) {
            scene.succeed(person, &format!("join {url} --root root.json"));
        }
    }

    pub fn release(&self, stage: &str) {
        let scene = &self.scene;
        scene.write("agreement.md", "You tell nobody.\n");
        let to = format!("--registry {}", self.process.url);
        scene.succeed("ada", &format!("import {ID} {} --to plain", fixture("golden/f32").display()));
        scene.succeed("ada", &format!("{to} seal plain --chunk-size 65536"));
        self.propose(POLICY, stage);
    }

    /// Proposes a policy and a stage; ada and ben sign, and the registry publishes by itself.
    pub fn propose(&self, policy: &str, stage: &str) {
        let scene = &self.scene;
        scene.write("policy.toml", policy);
        let to = format!("--registry {}", self.process.url);
        let propose = format!(
            "{to} catalogue propose {ID} --policy policy.toml --agreement agreement.md \
             --manifest homes/ada/sealed/{ID}/manifest.json --stage {stage}"
        );
        scene.succeed("ada", &propose);
        for person in ["ada", "ben"] {
            scene.sign_all(person, &to);
        }
    }

    /// A request by rosa that ada and ben approved; the digits to name the request and the grant by.
    pub fn granted(&self) -> (String, String) {
        let scene = &self.scene;
        let request = scene.request();
        scene.succeed("ada", &format!("approve {request}"));
        let grant = scene.json("ben", &format!("approve {request}"));
        (request, scene.digits(&grant["grant"]))
    }

    /// The same registry at the same address, with the limits of a registry that was just made and these on top.
    pub fn limited(mut self, limits: &str) -> Self {
        let settings = std::fs::read_to_string(self.scene.at("reg/portcullis.toml")).unwrap();
        let others = settings.lines().filter(|line| !line.starts_with("limits."));
        let others: String = others.map(|line| format!("{line}\n")).collect();
        self.scene.write("reg/portcullis.toml", &(others + limits));
        let address = self.process.url.strip_prefix("http://").unwrap().to_owned();
        let between = Process::idle();
        assert!(std::mem::replace(&mut self.process, between).stop());
        self.process = Process::start(&self.scene, &format!("reg --listen {address}"), &self.environment);
        self
    }

    /// Another registry process of the same folder, on the same or another address.
    pub fn replica(&self) -> Process {
        Process::start(&self.scene, "reg --listen 127.0.0.1:0", &self.environment)
    }

    /// The URL of its database.
    pub fn database_url(&self) -> String {
        let settings = std::fs::read_to_string(self.scene.at("reg/portcullis.toml")).unwrap();
        let settings: toml::Table = settings.parse().unwrap();
        let url = settings["database"].as_str().unwrap();
        match url.strip_prefix("sqlite:") {
            Some(file) => format!("sqlite:{}", self.scene.at("reg").join(file).display()),
            None => url.to_owned(),
        }
    }

    /// The bearer of a person's session, who must have asked the registry something already.
    pub fn bearer(&self, person: &str) -> String {
        self.scene.succeed(person, "request list");
        let path: PathBuf = self.scene.at("homes").join(person).join("session.json");
        let session: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        session["bearer"].as_str().unwrap().to_owned()
    }

    pub fn get(&self, path: &str) -> Answer {
        ask(&Ask { url: format!("{}{path}", self.process.url), ..Ask::default() })
    }

    pub fn get_as(&self, person: &str, path: &str) -> Answer {
        let bearer = Some(self.bearer(person));
        ask(&Ask { url: format!("{}{path}", self.process.url), bearer, ..Ask::default() })
    }

    pub fn post(&self, path: &str, json: &str) -> Answer {
        let (url, body) = (format!("{}{path}", self.process.url), Some(json.to_owned()));
        ask(&Ask { url, method: "POST", body, ..Ask::default() })
    }
}

/// Sends bytes to the server of a URL as they stand and reads until it ends the connection; what came.
pub fn send_raw(url: &str, bytes: &[u8]) -> String {
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A server may refuse before it has read all.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// A question over HTTP.
pub struct Ask {
    pub url: String,
    pub method: &'static str,
    pub bearer: Option<String>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<String>,
}

impl Default for Ask {
    fn default() -> Self {
        Self { url: String::new(), method: "GET", bearer: None, headers: Vec::new(), body: None }
    }
}

/// Its answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("{} {}", self.status, self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Asks with a plain HTTP client, without any of the program's own care.
pub fn ask(ask: &Ask) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.timeout(Duration::from_secs(30)).build().unwrap();
        let mut request = client.request(ask.method.parse().unwrap(), &ask.url);
        if let Some(bearer) = &ask.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        if let Some(body) = &ask.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let headers = headers.collect();
        let bytes = response.bytes().await.unwrap().to_vec();
        Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned(), bytes }
    })
}
