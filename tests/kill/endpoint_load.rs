//! A thousand clients at once: bounded in time and memory, no error but 429, and every text recorded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::endpoint::Endpoint;
use crate::support::people::{ID, Scene};
use serde_json::json;
use tokio::sync::Barrier;

const CLIENTS: usize = 1000;

/// Asks once; what comes must be whole.
async fn ask(client: &reqwest::Client, url: &str, number: usize) -> u16 {
    let prompt = format!("client {number}");
    let body = json!({ "model": ID, "prompt": prompt, "max_tokens": 60, "stream": number.is_multiple_of(2) });
    let request = client.post(url).header("content-type", "application/json").body(body.to_string());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let again = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    if status == 200 {
        assert!(text.contains("\"finish_reason\":\"length\"") || text.contains("\"stop\""), "{text}");
        assert!(number % 2 == 1 || text.ends_with("data: [DONE]\n\n"), "{text}");
    } else {
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((again.as_deref(), &told["error"]["code"]), (Some("1"), &json!("queue_full")), "{text}");
        assert_eq!(told["error"]["type"], "rate_limit_error");
    }
    status
}

#[test]
fn a_thousand_clients_are_answered_or_told_to_come_back_and_every_text_is_recorded() {
    let _alone = crate::alone();
    let scene = Scene::released("partners");
    scene.granted();
    let endpoint =
        Endpoint::start(scene.path(), &format!("--home homes/rosa serve {ID} --queue 60 --at-a-time 4"), &[]);
    endpoint.complete(json!({ "prompt": "warm", "max_tokens": 1 }));
    let before = endpoint.peak_memory();
    // A client each, as a thousand programs would be: no connection is shared. All are made before the first asks.
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| reqwest::Client::builder().no_proxy().build().unwrap()).collect();
    let gate = Arc::new(Barrier::new(CLIENTS));
    let begun = Instant::now();
    let statuses = endpoint.block_on(async {
        let asked = (0..).zip(clients).map(|(client, own)| {
            let (url, gate) = (format!("{}/completions", endpoint.url), Arc::clone(&gate));
            tokio::spawn(async move {
                gate.wait().await;
                ask(&own, &url, client).await
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
    assert!(sent_back > 0, "a thousand at once are more than there are places");
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
