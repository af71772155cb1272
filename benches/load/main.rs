//! A registry under load: decisions, durable leases, lists of many requests, and a day of many researchers in short.
//!
//! ```sh
//! cargo bench --bench load                         # all of it, with 100,000 requests in the database
//! cargo bench --bench load -- decisions leases     # some of it
//! cargo bench --bench load -- day --rate 58        # researchers a second who renew a lease, for a minute
//! cargo bench --bench load -- --postgres           # on PostgreSQL, which runs on the same processors
//! ```
//!
//! The registry is the real binary on SQLite in a temporary folder (`TMPDIR` says on which disk); the load tool runs beside it on the same
//! processors. `GET /healthz`, which does nothing, is measured in the same way: what the HTTP server and the load tool take by themselves.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and fails by panicking"
)]

mod day;
mod http;
mod setting;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use http::{Once, Report, as_fast_as_can_be, at_a_rate, request};
use portcullis::api::JournalState;
use portcullis::usage::{JournalId, first_link};
use setting::Setting;
use support::people::ID;
use support::served::Database;

/// Requests in the database.
const REQUESTS: usize = 100_000;
/// Connections of the load tool.
const CONNECTIONS: usize = 32;
/// How long each is measured.
const LASTING: Duration = Duration::from_secs(10);
/// Leases a second.
const LEASES: f64 = 200.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |name: &str, otherwise: f64| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)).map_or(otherwise, |text| text.parse().unwrap())
    };
    let is_wanted = |name: &str| {
        let parts = ["decisions", "leases", "lists", "day"];
        !arguments.iter().any(|argument| parts.contains(&argument.as_str()))
            || arguments.iter().any(|argument| argument == name)
    };
    let count = number("--requests", REQUESTS as f64) as usize;
    let is_postgres = arguments.iter().any(|argument| argument == "--postgres");
    let database = if is_postgres { Database::Postgres } else { Database::Sqlite };
    let setting = Setting::with_requests(database, count);
    println!("{count} requests in the database ({database:?})\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if is_wanted("decisions") {
            decisions(&setting).await;
        }
        if is_wanted("leases") {
            leases(&setting).await;
        }
        if is_wanted("lists") {
            lists(&setting).await;
        }
        if is_wanted("day") {
            day::simulate(&setting, number("--rate", day::RATE)).await;
        }
    });
}

fn row(name: &str, report: &Report) {
    assert_eq!(report.refused, 0, "{name}");
    println!(
        "| {name} | {:.0} | {:.2} | {:.2} | {:.2} |",
        report.per_second(),
        report.milliseconds(0.5),
        report.milliseconds(0.99),
        report.milliseconds(1.0),
    );
}

fn head(what: &str) {
    println!("| {what} | a second | median ms | p99 ms | most ms |\n|---|---:|---:|---:|---:|");
}

async fn decisions(setting: &Setting) {
    let bearer = setting.bearer("rosa");
    let decision = request("GET", &format!("/v1/grants/{}", setting.grant), Some(&bearer), "");
    let nothing = request("GET", "/healthz", None, "");
    head("as fast as can be");
    for round in 0..3 {
        for (name, request) in [("GET grant with its decision", &decision), ("GET /healthz", &nothing)] {
            let report =
                as_fast_as_can_be(setting.address(), CONNECTIONS, LASTING / 2, vec![request.clone()]).await;
            row(&format!("{name}, round {}", round + 1), &report);
        }
    }
    println!();
}

async fn leases(setting: &Setting) {
    let bearer = setting.bearer("rosa");
    let journal = JournalId::from_bytes([7; 16]);
    let told = JournalState { journal, records: 0, head: first_link(journal), under_way: Vec::new() };
    let told = serde_json::to_string(&told).unwrap();
    let lease =
        Arc::new(request("POST", &format!("/v1/grants/{}/lease", setting.grant), Some(&bearer), &told));
    let count = (LEASES * LASTING.as_secs_f64()) as usize;
    head("at 200 a second");
    for round in 0..3 {
        let lease = lease.clone();
        let report =
            at_a_rate((setting.address(), CONNECTIONS), (LEASES, count), move |_| Once(lease.clone())).await;
        row(&format!("POST lease, durable, round {}", round + 1), &report);
    }
    println!();
}

async fn lists(setting: &Setting) {
    let (rosa, ada) = (setting.bearer("rosa"), setting.bearer("ada"));
    let middle = 1000 + REQUESTS / 2;
    let (grant, waiting) = (&setting.grant, &setting.request);
    let lists = [
        (&ada, format!("/v1/requests?checkpoint={ID}&limit=100")),
        (&ada, format!("/v1/requests?checkpoint={ID}&limit=1000")),
        (&ada, format!("/v1/requests?checkpoint={ID}&limit=1000&after={middle}")),
        (&ada, format!("/v1/requests?checkpoint={ID}&state=pending&limit=1000&after={middle}")),
        (&ada, format!("/v1/requests?checkpoint={ID}&state=granted&limit=1000")),
        (&rosa, "/v1/requests?limit=1000".to_owned()),
        (&rosa, format!("/v1/requests?limit=1000&after={middle}")),
        (&ada, "/v1/statements?kind=request&limit=1000".to_owned()),
        (&ada, format!("/v1/statements?kind=request&limit=1000&after={middle}")),
        (&rosa, format!("/v1/statements?kind=request&limit=1000&after={middle}")),
        (&rosa, format!("/v1/statements?kind=request&prefix={}", &waiting[..12])),
        (&rosa, format!("/v1/statements?kind=share&about={grant}")),
        (&rosa, format!("/v1/requests/{waiting}")),
        (&rosa, format!("/v1/requests/{}", last_waiting(setting, &ada))),
    ];
    head("one at a time");
    for (bearer, path) in lists {
        let list = request("GET", &path, Some(bearer), "");
        let report = as_fast_as_can_be(setting.address(), 1, LASTING / 10, vec![list]).await;
        row(&format!("`{}`", path.replace(grant, "…").replace(waiting, "…")), &report);
    }
    println!();
}

/// The request that waits longest from its decision: the last of the queue.
fn last_waiting(setting: &Setting, bearer: &str) -> String {
    let after = 1000 + REQUESTS - 100;
    let path = format!("/v1/requests?checkpoint={ID}&state=pending&after={after}&limit=1000");
    let url = format!("{}{path}", setting.served.process.url);
    let ask = support::served::Ask { url, bearer: Some(bearer.to_owned()), ..Default::default() };
    let page = std::thread::scope(|scope| scope.spawn(|| support::served::ask(&ask).json()).join().unwrap());
    page["requests"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap().to_owned()
}
