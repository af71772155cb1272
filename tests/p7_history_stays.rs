//! P7: an entry of the log or of a journal that is removed, changed, moved or hidden is found by anyone who kept one earlier head.
//! The log's own thousand entries are in `tests/log.rs`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use portcullis::digest::Sha256Digest;
use portcullis::identity::{Signer as _, SigningKey};
use portcullis::time::Timestamp;
use portcullis::usage::{
    End, Error, Event, Journal, JournalId, JournalPlace, Record, SignedRecord, first_link, verify_chain,
};
use support::people::ID;
use support::served::{Database, Served};

const RECORDS: u64 = 1000;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn record(seq: u64, previous: Sha256Digest, tokens: u64) -> SignedRecord {
    let end = End {
        begin: 0,
        tokens,
        finish: portcullis::usage::Finish::Length,
        output: None,
        hits: Vec::new(),
        explanation: None,
    };
    let at = Timestamp::from_unix_seconds(1_000_000 + i64::try_from(seq).unwrap());
    Record::new(journal(), (seq, previous), at, Event::End(end)).sign(&key()).unwrap()
}

fn journal() -> JournalId {
    JournalId::from_bytes([3; 16])
}

fn thousand() -> Vec<SignedRecord> {
    let mut records = Vec::new();
    let mut link = first_link(journal());
    for seq in 0..RECORDS {
        let record = record(seq, link, seq);
        link = record.digest();
        records.push(record);
    }
    records
}

/// The place at which a changed history is refused, from a record on that is as it was: what is before it was checked and is the same.
fn place(records: &[SignedRecord], from: usize, head: (u64, Sha256Digest)) -> Option<u64> {
    let link = from.checked_sub(1).map_or(first_link(journal()), |last| records[last].digest());
    // A few records are enough: each cites the one before it.
    let end = records.len().min(from + 4);
    match verify_chain(&records[from..end], journal(), (from as u64, link), &key().verifying_key()) {
        Err(Error::Broken { seq } | Error::Unsigned { seq } | Error::Malformed { seq, .. }) => Some(seq),
        Err(error) => panic!("{error}"),
        Ok(_) if end < records.len() => None,
        Ok(found) if found == head => None,
        // It ends elsewhere than the head that was kept.
        Ok((end, _)) => Some(end),
    }
}

#[test]
fn p7_every_change_of_a_journal_of_a_thousand_records_is_found_at_its_place() {
    let good = thousand();
    let head = (RECORDS, good.last().unwrap().digest());
    let whole = verify_chain(&good, journal(), (0, first_link(journal())), &key().verifying_key());
    assert_eq!(whole.unwrap(), head);
    for at in 0..good.len() {
        let (seq, from) = (at as u64, at.saturating_sub(1));
        // An edit that keeps the old signature.
        let line = good[at].line().replacen("\"tokens\":", "\"tokens\":9", 1);
        let mut edited = good.clone();
        edited[at] = SignedRecord::parse(&line, seq).unwrap();
        assert_eq!(place(&edited, from, head), Some(seq), "edited {seq}");
        // An edit that its owner signs anew: the next record tells, or, of the last, the head.
        edited[at] = record(seq, good[at].record().previous, 999_999);
        assert_eq!(place(&edited, from, head), Some(seq + 1), "edited and signed {seq}");
        let mut dropped = good.clone();
        dropped.remove(at);
        assert_eq!(place(&dropped, from, head), Some(seq), "dropped {seq}");
        assert_eq!(place(&good[..at], from.min(at.saturating_sub(1)), head), Some(seq), "cut at {seq}");
        if at + 1 < good.len() {
            let mut swapped = good.clone();
            swapped.swap(at, at + 1);
            assert_eq!(place(&swapped, from, head), Some(seq), "swapped {seq}");
        }
    }
    // Another history from the middle on, well made: its end is not the head that was kept.
    let mut fork = good[..500].to_vec();
    let mut link = fork.last().unwrap().digest();
    for seq in 500..RECORDS {
        fork.push(record(seq, link, 5));
        link = fork.last().unwrap().digest();
    }
    let found = verify_chain(&fork, journal(), (0, first_link(journal())), &key().verifying_key()).unwrap();
    assert_eq!(found.0, RECORDS);
    assert_ne!(found, head, "another history has another head");
}

#[test]
fn p7_a_journal_on_the_disk_that_was_changed_is_refused_with_the_place() {
    let scene = support::people::Scene::released("partners");
    scene.granted();
    for _ in 0..3 {
        scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    }
    let path = scene.at("homes/rosa/usage/journal.jsonl");
    let good = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let mut said = String::new();
    for (what, bad) in [
        ("edited", good.replacen("\"max_tokens\":2", "\"max_tokens\":1", 1)),
        ("dropped", good.replacen(&format!("{}\n", lines[2]), "", 1)),
        ("swapped", good.replacen(lines[0], lines[1], 1)),
        ("cut at its end", format!("{}\n", lines[..5].join("\n"))),
    ] {
        std::fs::write(&path, bad).unwrap();
        said += &format!("{what}: {}", scene.refuse("rosa", "usage status"));
        // Nothing is generated on top of it.
        let run = scene.run("rosa", &format!("run {ID} Hello -n 2"));
        if what != "edited" {
            assert_eq!(support::text(&run.stdout), "", "{what}");
        }
    }
    insta::assert_snapshot!(said, @"
    edited: exit 4
    error: usage record 1 does not follow the one before it: the journal was changed there, or just before
      next: keep the home's `usage` folder as it is, and write to the auditors; if records are lost: `portcullis usage explain <journal> --reason \"…\"`
    dropped: exit 4
    error: usage record 2 does not follow the one before it: the journal was changed there, or just before
      next: keep the home's `usage` folder as it is, and write to the auditors; if records are lost: `portcullis usage explain <journal> --reason \"…\"`
    swapped: exit 4
    error: usage record 0 does not follow the one before it: the journal was changed there, or just before
      next: keep the home's `usage` folder as it is, and write to the auditors; if records are lost: `portcullis usage explain <journal> --reason \"…\"`
    cut at its end: exit 4
    error: the usage journal ends after 5 records, and had 6: its end was cut off
      next: keep the home's `usage` folder as it is, and write to the auditors; if records are lost: `portcullis usage explain <journal> --reason \"…\"`
    ");
    // A line that was cut off by a power cut is taken away, and the rest goes on.
    std::fs::write(&path, format!("{good}{}", &lines[0][..40])).unwrap();
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    assert_eq!(scene.json("rosa", "usage show").as_array().unwrap().len(), 8);
}

#[test]
fn p7_an_operator_who_changes_the_database_is_found_by_the_audit() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    scene.succeed("rosa", "usage sync");
    assert!(scene.succeed("august", "audit verify").starts_with("the record holds"));
    let database = scene.at("reg/registry.db");
    let mut said = String::new();
    for (what, query, undo) in [
        (
            "an entry is edited",
            "UPDATE log_entries SET entry = replace(entry, '\"kind\":\"lease\"', '\"kind\":\"usage\"') WHERE kind = 'lease'",
            "UPDATE log_entries SET entry = replace(entry, '\"kind\":\"usage\"', '\"kind\":\"lease\"') WHERE kind = 'lease'",
        ),
        (
            "a statement is replaced",
            "UPDATE statements SET envelope = (SELECT envelope FROM statements WHERE kind = 'request' LIMIT 1), about = envelope WHERE kind = 'lease'",
            "UPDATE statements SET envelope = about, about = '' WHERE kind = 'lease'",
        ),
        (
            "a statement is hidden",
            "UPDATE statements SET digest = 'x' || digest WHERE kind = 'usage'",
            "UPDATE statements SET digest = substr(digest, 2) WHERE kind = 'usage'",
        ),
    ] {
        sql(&database, query);
        said += &format!("{what}: {}", scene.refuse("august", "audit verify --quiet"));
        let found = support::text(&scene.run("august", "audit verify").stdout);
        let lines = found.lines().filter(|line| line.trim_start().starts_with('!'));
        said += &scene.stable(&lines.collect::<Vec<_>>().join("\n"));
        said += "\n";
        sql(&database, undo);
    }
    insta::assert_snapshot!(said, @"
    an entry is edited: exit 4
    error: verification failed: 3 findings
      next: keep the bundle (`portcullis audit bundle --to <file>`), and show the findings to the board
      ! entry 16: usage <digits>: this is a lease, not a usage
      ! entry 17: usage <digits>: record 0: no lease for it is in the log
      ! the entries have the root <digits> of 21 entries, and the head says <digits> of 21
    a statement is replaced: exit 4
    error: verification failed: 2 findings
      next: keep the bundle (`portcullis audit bundle --to <file>`), and show the findings to the board
      ! entry 17: usage <digits>: record 0: no lease for it is in the log
      ! entry 16: lease <digits>: its statement is missing, and nobody erased it
    a statement is hidden: exit 4
    error: verification failed: 1 finding
      next: keep the bundle (`portcullis audit bundle --to <file>`), and show the findings to the board
      ! entry 17: usage <digits>: its statement is missing, and nobody erased it
    ");
    assert!(scene.succeed("august", "audit verify").starts_with("the record holds"));
}

#[test]
fn p7_a_torn_tail_is_repaired_and_never_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let signer = key();
    let open = || Journal::open(&JournalPlace::in_home(folder.path()), [3; 16]).unwrap();
    let end = || End {
        begin: 0,
        tokens: 1,
        finish: portcullis::usage::Finish::Stop,
        output: None,
        hits: Vec::new(),
        explanation: None,
    };
    let mut journal = open();
    for _ in 0..3 {
        journal.end(end(), &signer, Timestamp::from_unix_seconds(5)).unwrap();
    }
    let path = folder.path().join("usage/journal.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let line = whole.len() / 3;
    // Wherever the fourth line is cut, the three are there and the fourth can be written again.
    for cut in 1..line {
        let mut torn = whole.clone();
        torn.extend_from_slice(&whole[..cut]);
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(open().summary().unwrap().records, 3, "cut at {cut}");
        assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
    }
    assert_eq!(open().end(end(), &signer, Timestamp::from_unix_seconds(6)).unwrap().seq, 3);
}

/// Changes a SQLite database behind the registry's back.
fn sql(database: &std::path::Path, query: &str) {
    use sqlx::Connection as _;
    let url = format!("sqlite://{}", database.display());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(query.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}
