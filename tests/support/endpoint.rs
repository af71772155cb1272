//! A `portcullis serve` that runs, and a client of it.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::runtime::Runtime;

use super::portcullis;

/// An endpoint on loopback, killed when it goes.
pub struct Endpoint {
    child: Child,
    pub url: String,
    pub model: String,
    runtime: Runtime,
    client: reqwest::Client,
}

impl Endpoint {
    /// Serves what `arguments` name, which are split at spaces, in `folder`.
    pub fn start(folder: &Path, arguments: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = portcullis();
        command.current_dir(folder).args(["--json", "--quiet"]).args(arguments.split_whitespace());
        command.args(["--listen", "127.0.0.1:0"]).envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            child,
            url: text("listening"),
            model: text("checkpoint"),
            runtime: Runtime::new().unwrap(),
            client,
        }
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Sends a request as it stands; the status and what came.
    pub fn send(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        self.block_on(async {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        })
    }

    pub fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("{}/completions", self.url));
        request.header("content-type", "application/json").body(body.to_string())
    }

    /// Asks for a completion, which must come.
    pub fn complete(&self, mut body: Value) -> Value {
        body["model"] = self.model.clone().into();
        let (status, text) = self.send(self.post(&body));
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Asks for a completion, which must be refused; status and message.
    pub fn refuse(&self, mut body: Value) -> String {
        if body["model"].is_null() {
            body["model"] = self.model.clone().into();
        }
        let (status, text) = self.send(self.post(&body));
        let value: Value = serde_json::from_str(&text).unwrap();
        let error = &value["error"];
        format!("{status} {} {} {}: {}", error["type"], error["param"], error["code"], error["message"])
    }

    /// A completion as it is streamed, without the last line, which must be `[DONE]`.
    pub fn stream(&self, mut body: Value) -> Vec<Value> {
        body["model"] = self.model.clone().into();
        body["stream"] = true.into();
        let (status, text) = self.send(self.post(&body));
        assert_eq!(status, 200, "{text}");
        let mut events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(events.pop(), Some("[DONE]"));
        events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let root = self.url.strip_suffix("/v1").unwrap();
        self.send(self.client.get(format!("{root}{path}")))
    }

    /// The most memory that it held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Asks it to end, and waits; whether it ended well.
    pub fn stop(mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
