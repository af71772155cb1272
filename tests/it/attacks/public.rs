//! What a grant for a checkpoint in the open, which everybody gets, is made to look like.

use std::time::Duration;

use portcullis::digest::Sha256Digest;
use portcullis::identity::{Identity, Signer};
use portcullis::log::{Entry, EntryKind};
use portcullis::statement::{Envelope, Predicate as _};
use portcullis::store::{Filed, Filing, StatementRow, Store};
use portcullis::time::Timestamp;
use portcullis::usage::{
    Begin, Event, JournalId, KeptText, Record, Task, UsageBatch, first_link, make_batch,
};

use super::floods::{hand_in, pay_and_hand_in, said, stranger_request};
use crate::support::fixture;
use crate::support::people::{ID, POLICY};
use crate::support::served::{Database, Served};

/// A checkpoint in one chunk a file, handed over to everybody.
pub(super) fn public() -> Served {
    let served = Served::founded(Database::Sqlite);
    let scene = &served.scene;
    scene.write("agreement.md", "You tell nobody.\n");
    let to = format!("--registry {}", served.process.url);
    scene.succeed("ada", &format!("import {ID} {} --to plain", fixture("golden/f32").display()));
    scene.succeed("ada", &format!("{to} seal plain --chunk-size 1048576"));
    served.propose(POLICY, "public");
    for person in ["ada", "ben"] {
        scene.hand_over(person);
    }
    served
}

/// A beginning of a generation that never was, in a journal.
fn batch(served: &Served, author: (&Identity, JournalId), begin: Begin) -> Envelope {
    let (identity, journal) = author;
    let signer: Box<dyn Signer> = identity.signer(None).unwrap();
    let place = (0, first_link(journal));
    let record = Record::new(journal, place, Timestamp::now(), Event::Begin(Box::new(begin)));
    let record = record.sign(&*signer).unwrap();
    make_batch(served.scene.catalogue_id("ada"), identity.card(), &[record], &*signer, Timestamp::now())
        .unwrap()
}

fn begin(grant: Sha256Digest, lease: Sha256Digest) -> Begin {
    Begin {
        task: Task::Run,
        checkpoint: ID.parse().unwrap(),
        grant,
        lease,
        prompt_tokens: 1,
        max_tokens: 1,
        parameters: None,
        prompt: None,
        sketch: None,
        hits: Vec::new(),
        justification: None,
        blocked: false,
    }
}

/// Bytes of somebody's choice where a text's digest should be.
fn text() -> KeptText {
    KeptText { sha256: Sha256Digest::compute(b"anything"), bytes: 1, sealed: Default::default() }
}

/// Eve, whom no board knows: her grant and lease for a public checkpoint, and the journal of her machine.
struct Eve {
    identity: Identity,
    grant: Sha256Digest,
    lease: Sha256Digest,
    journal: JournalId,
}

impl Eve {
    fn of(served: &Served) -> Self {
        let scene = &served.scene;
        scene.succeed("eve", &format!("request new {ID} --purpose Mine"));
        scene.succeed("eve", &format!("pull {ID}"));
        scene.succeed("eve", &format!("lease {ID}"));
        let digest = |kind: &str| -> Sha256Digest {
            let page = served.get_as("eve", &format!("/v1/statements?kind={kind}")).json();
            page["statements"][0]["digest"].as_str().unwrap().parse().unwrap()
        };
        let status = scene.json("eve", "usage status");
        let journal = serde_json::from_value(status["journal"]["journal"].clone()).unwrap();
        Self { identity: scene.identity("eve"), grant: digest("grant"), lease: digest("lease"), journal }
    }
}

#[test]
fn a_public_grant_lets_nobody_write_records_of_what_was_never_leased_or_kept() {
    let served = public().limited("limits.newcomer_work_bits = 1\n");
    let eve = Eve::of(&served);
    let hand_in_as = |begin| hand_in(&served, &batch(&served, (&eve.identity, eve.journal), begin), None);
    let zero = Sha256Digest::from_bytes([0; 32]);
    let heard = [
        said(&hand_in_as(begin(eve.grant, zero))),
        said(&hand_in_as(begin(zero, eve.lease))),
        said(&hand_in_as(Begin { checkpoint: "other".parse().unwrap(), ..begin(eve.grant, eve.lease) })),
        said(&hand_in_as(Begin { prompt: Some(text()), ..begin(eve.grant, eve.lease) })),
        said(&hand_in_as(Begin { sketch: Some("x".repeat(1000)), ..begin(eve.grant, eve.lease) })),
    ];
    insta::assert_snapshot!(served.scene.stable(&heard.join("\n")), @r#"
    403 record 0 counts for nothing: no lease for it was issued to this person here
      next: bring in what this program recorded, as it is; `portcullis usage explain <journal> --reason "…"` gives up a journal that is no such record
    404 there is no grant <digest> here
      next: check the digest, and that it was handed in here
    403 record 0 counts for nothing: its lease is for another checkpoint
      next: bring in what this program recorded, as it is; `portcullis usage explain <journal> --reason "…"` gives up a journal that is no such record
    403 record 0 holds what only a stage with `usage = "digest"` keeps, and its stage keeps `counts`
      next: bring in what this program recorded, as it is; `portcullis usage explain <journal> --reason "…"` gives up a journal that is no such record
    403 record 0 holds what only a stage with `usage = "sealed"` keeps, and its stage keeps `counts`
      next: bring in what this program recorded, as it is; `portcullis usage explain <journal> --reason "…"` gives up a journal that is no such record
    "#);
    // What was leased, and holds numbers alone, is taken.
    let taken = hand_in_as(begin(eve.grant, eve.lease));
    assert_eq!(taken.status, 201, "{}", taken.text);
    assert!(served.scene.succeed("august", "audit verify").starts_with("the record holds"));
}

#[test]
fn an_audit_finds_records_of_texts_that_the_stage_does_not_keep() {
    let served = public();
    let eve = Eve::of(&served);
    // The registry takes it in all the same.
    let told = Begin { prompt: Some(text()), blocked: true, ..begin(eve.grant, eve.lease) };
    let envelope = batch(&served, (&eve.identity, eve.journal), told);
    let holder = eve.identity.card().verifying_key.id();
    let row = StatementRow {
        digest: envelope.digest(),
        signer: holder,
        kind: UsageBatch::KIND.to_owned(),
        checkpoint: UsageBatch::KIND.parse().unwrap(),
        about: None,
        holder,
        envelope: envelope.to_json(),
        received: Timestamp::now(),
    };
    let entry = Entry::new(EntryKind::Usage, row.received, row.digest);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(&served.database_url()).await.unwrap();
        store.put(Filing::one(Filed { row, entry: Some(entry) })).await.unwrap();
        store.close().await;
    });
    std::thread::sleep(Duration::from_secs(2));
    let said = served.scene.run("august", "audit verify");
    let said = served.scene.stable(&String::from_utf8_lossy(&said.stdout));
    assert!(
        said.contains("record 0: it holds what `usage = \"digest\"` keeps, and its stage keeps `counts`"),
        "{said}"
    );
}

#[test]
fn a_public_grant_makes_nobody_known_to_a_board() {
    let served = public().limited("limits.newcomer_work_bits = 1\n");
    // The first costs work, and is answered by the registry.
    let first = stranger_request(&served, 1, |request| request.agreement = None);
    let granted = pay_and_hand_in(&served, &first);
    assert_eq!(
        (granted.status, granted.json()["state"].as_str()),
        (201, Some("granted")),
        "{}",
        granted.text
    );
    // For what is public the same key is known.
    let purpose = |request: &mut portcullis::access::Request| {
        request.agreement = None;
        request.purpose = "Another".parse().unwrap();
    };
    assert_eq!(hand_in(&served, &stranger_request(&served, 1, purpose), None).status, 201);
    // Where a board decides it is not.
    served.propose(&POLICY.replace("version = 1", "version = 2"), "partners");
    let gated = |request: &mut portcullis::access::Request| request.purpose = "A third".parse().unwrap();
    let asked = hand_in(&served, &stranger_request(&served, 1, gated), None);
    assert_eq!(asked.status, 403, "{}", asked.text);
    assert!(asked.json()["work"].is_object(), "{}", asked.text);
}

#[test]
fn whom_no_board_knows_hands_in_little_usage() {
    let served = public().limited("limits.newcomer_work_bits = 1\nlimits.usage_mib_per_public_person = 1\n");
    let eve = Eve::of(&served);
    let holder = eve.identity.card().verifying_key.id();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(&served.database_url()).await.unwrap();
        for day in [Timestamp::now(), Timestamp::now().plus_days(1)] {
            store.count_usage(holder, 1 << 20, day).await.unwrap();
        }
        store.close().await;
    });
    let refused =
        hand_in(&served, &batch(&served, (&eve.identity, eve.journal), begin(eve.grant, eve.lease)), None);
    insta::assert_snapshot!(said(&refused), @"
    429 one person may hand in 1 MiB of usage in a day
      next: the rest comes in tomorrow: `portcullis usage sync`
    ");
}
