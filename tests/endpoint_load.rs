//! A thousand clients at once: bounded in time and memory, no error but 429, and every text recorded.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::endpoint::Endpoint;
use support::people::{ID, Scene};

const CLIENTS: usize = 1000;

#[test]
fn a_thousand_clients_are_answered_or_told_to_come_back_and_every_text_is_recorded() {
    let scene = Scene::released("partners");
    scene.granted();
    let endpoint =
        Endpoint::start(scene.path(), &format!("--home homes/rosa serve {ID} --queue 60 --at-a-time 4"), &[]);
    endpoint.complete(json!({ "prompt": "warm", "max_tokens": 1 }));
    let before = endpoint.peak_memory();
    let begun = Instant::now();
    let statuses = endpoint.block_on(async {
        let asked = (0..CLIENTS).map(|client| {
            let body = json!({ "model": ID, "prompt": format!("client {client}"), "max_tokens": 60, "stream": client % 2 == 0 });
            // A client each, as a thousand programs would be: no connection is shared.
            let own = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = own.post(format!("{}/completions", endpoint.url));
            let request = request.header("content-type", "application/json").body(body.to_string());
            tokio::spawn(async move {
                let response = request.send().await.unwrap();
                let status = response.status().as_u16();
                let text = response.text().await.unwrap();
                assert!(status != 200 || text.contains("\"finish_reason\":\"length\"") || text.contains("\"stop\""), "{text}");
                status
            })
        });
        let mut statuses = Vec::new();
        for task in asked.collect::<Vec<_>>() {
            statuses.push(tokio::time::timeout(Duration::from_secs(120), task).await.unwrap().unwrap());
        }
        statuses
    });
    let took = begun.elapsed();
    let answered = statuses.iter().filter(|&&status| status == 200).count();
    let sent_back = statuses.iter().filter(|&&status| status == 429).count();
    assert_eq!(answered + sent_back, CLIENTS, "no other status");
    assert!(answered >= 60, "those that found a place are answered: {answered}");
    let grown = endpoint.peak_memory() - before;
    assert!(grown < 300 << 20, "{grown} bytes more");
    assert!(endpoint.stop());
    let records = scene.json("rosa", "usage show");
    let count = |kind: &str| {
        records.as_array().unwrap().iter().filter(|record| !record["event"][kind].is_null()).count()
    };
    assert_eq!((count("begin"), count("end")), (answered + 1, answered + 1));
    assert!(took < Duration::from_secs(120), "{took:?}");
}
