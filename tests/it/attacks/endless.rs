//! A registry that answers without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use portcullis::statement::sign_card;
use serde_json::{Value, json};

use super::relay::Relay;
use crate::support::served::{Database, Served};

/// A registry in front of an honest one that has something else to say about statements.
struct Hostile {
    served: Served,
    relay: Relay,
    pages: Arc<AtomicUsize>,
}

impl Hostile {
    /// Its pages by their number, and a statement of another kind to fill them with.
    fn new(page: impl Fn(usize, &Value) -> Value + Send + Sync + 'static) -> Self {
        let served = Served::founded(Database::Sqlite);
        let pages: Arc<AtomicUsize> = Arc::default();
        let rosa = served.scene.identity("rosa");
        let card = sign_card(rosa.card(), &*rosa.signer(None).unwrap()).unwrap();
        let item = json!({ "digest": card.digest(), "envelope": serde_json::from_str::<Value>(&card.to_json()).unwrap() });
        let told = pages.clone();
        let relay = Relay::to(&served.process.url, move |asked| match asked {
            // It hands out bearers as it likes.
            "POST /v1/challenges" => {
                Some(json!({ "challenge": "c", "expires": "2036-01-01T00:00:00Z" }).to_string())
            }
            "POST /v1/sessions" => {
                Some(json!({ "bearer": "b", "expires": "2036-01-01T00:00:00Z" }).to_string())
            }
            asked if asked.starts_with("GET /v1/statements") => {
                Some(page(told.fetch_add(1, Ordering::SeqCst), &item).to_string())
            }
            _ => None,
        });
        Self { served, relay, pages }
    }

    /// What rosa is told who lists her grants, and how many pages it took.
    fn refused(&self) -> (String, usize) {
        let begun = Instant::now();
        let said = self.served.scene.refuse("rosa", &format!("--registry {} grant list", self.relay.url));
        assert!(begun.elapsed().as_secs() < 120, "{said}");
        (said.replace(&self.relay.url, "<registry>"), self.pages.load(Ordering::SeqCst))
    }
}

#[test]
fn pages_of_another_kind_without_end_are_not_read_for_ever() {
    let hostile =
        Hostile::new(|number, item| json!({ "statements": [item], "next": format!("place {number}") }));
    let (said, pages) = hostile.refused();
    insta::assert_snapshot!(said, @"
    exit 4
    error: <registry> refuses: a list in more than 200 pages
      next: tell the registry's operator; check its address
    ");
    assert_eq!(pages, 200);
}

#[test]
fn a_next_page_that_is_the_one_before_is_not_asked_for_twice() {
    let hostile = Hostile::new(|_, item| json!({ "statements": [item], "next": "here" }));
    let (said, pages) = hostile.refused();
    insta::assert_snapshot!(said, @"
    exit 4
    error: <registry> refuses: a list whose next page is one that came before
      next: tell the registry's operator; check its address
    ");
    assert_eq!(pages, 2);
}

#[test]
fn pages_of_tens_of_megabytes_do_not_fill_the_clients_memory() {
    let hostile = Hostile::new(|number, item| {
        let mut item = item.clone();
        item["envelope"]["payload"] = "A".repeat(40 << 20).into();
        json!({ "statements": [item], "next": format!("place {number}") })
    });
    let (said, pages) = hostile.refused();
    insta::assert_snapshot!(said, @"
    exit 4
    error: <registry> refuses: a list of more than 256 MiB
      next: tell the registry's operator; check its address
    ");
    assert_eq!(pages, 7);
}
