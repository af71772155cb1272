//! Usage: what is kept of it, what limits it, and what waits for it.

use crate::support::copied::{copy_journal, put_back_with_an_edited_mark};
use crate::support::people::{ID, POLICY};
use crate::support::served::{Database, Served};
use portcullis::digest::Sha256Digest;
use portcullis::identity::SigningKey;
use portcullis::time::Timestamp;
use portcullis::usage::{Begin, End, Error, Journal, JournalPlace, Task};

/// A served registry whose researcher was granted and has pulled, with the shipped rules of misuse in force.
fn granted(database: Database) -> Served {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/misuse.toml");
    scene.succeed("ada", &format!("catalogue propose misuse --rules {rules}"));
    for person in ["ada", "ben"] {
        scene.sign_all(person, "");
    }
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    served
}

#[test]
fn prompts_and_outputs_are_sealed_to_the_auditors_and_nobody_else_reads_them() {
    let served = granted(Database::Sqlite);
    let scene = &served.scene;
    scene.succeed("rosa", &format!("run {ID} Zebra -n 3"));
    scene.succeed("rosa", "usage sync");
    let journal = std::fs::read_to_string(scene.at("homes/rosa/usage/journal.jsonl")).unwrap();
    assert!(!journal.contains("Zebra") && journal.contains("\"sealed\":{"), "{journal}");
    let records = scene.json("rosa", "usage show");
    let begin = &records[0]["event"]["begin"];
    assert_eq!(begin["prompt"]["sealed"].as_object().unwrap().len(), 1);
    assert_eq!(begin["prompt"]["bytes"], 5);
    assert_eq!(records[1]["event"]["end"]["tokens"], 3);
}

#[test]
fn a_stage_that_keeps_counts_keeps_nothing_else() {
    let served = Served::released(Database::Sqlite, "public");
    let scene = &served.scene;
    for person in ["ada", "ben"] {
        scene.succeed(person, &format!("handover {ID}"));
    }
    scene.succeed("rosa", &format!("request new {ID} --purpose Curiosity"));
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Zebra -n 3"));
    let records = scene.json("rosa", "usage show");
    assert!(records[0]["event"]["begin"]["prompt"].is_null(), "{records}");
    assert!(records[0]["event"]["begin"]["sketch"].is_null(), "{records}");
    assert!(records[1]["event"]["end"]["output"].is_null(), "{records}");
}

#[test]
fn a_public_checkpoint_is_asked_for_and_pulled_by_the_run_itself() {
    let served = Served::released(Database::Sqlite, "public");
    let scene = &served.scene;
    for person in ["ada", "ben"] {
        scene.succeed(person, &format!("handover {ID}"));
    }
    scene.succeed("rosa", &format!("run {ID} Hello -n 3"));
    assert_eq!(scene.json("rosa", "usage show").as_array().unwrap().len(), 2);
    assert_eq!(scene.json("rosa", "request list").as_array().unwrap().len(), 1);
    scene.succeed("rosa", &format!("run {ID} Hello -n 3"));
    assert_eq!(scene.json("rosa", "request list").as_array().unwrap().len(), 1, "it asks once");
}

#[test]
fn a_lease_waits_for_usage_that_did_not_come_in() {
    for database in [Database::Sqlite, Database::Postgres] {
        let served = granted(database);
        let scene = &served.scene;
        scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
        // As a client that keeps its usage to itself would ask, and one that says nothing.
        let grant =
            scene.json("rosa", "usage show")[0]["event"]["begin"]["grant"].as_str().unwrap().to_owned();
        let journal = scene.json("rosa", "usage status")["journal"].clone();
        let told =
            serde_json::json!({ "journal": journal["journal"], "records": 2, "head": journal["head"] });
        let lease = |body: Option<String>| {
            let url = format!("{}/v1/grants/{grant}/lease", served.process.url);
            let bearer = Some(served.bearer("rosa"));
            crate::support::served::ask(&crate::support::served::Ask {
                url,
                method: "POST",
                bearer,
                body,
                ..Default::default()
            })
        };
        let refused = lease(Some(told.to_string())).json();
        insta::allow_duplicates! {
            insta::assert_snapshot!(format!("{}\n{}", refused["detail"].as_str().unwrap(), refused["next"].as_str().unwrap()), @"
            the usage journal has 2 records, and 0 of them came in: nothing is leased before all did
            `portcullis usage sync` brings the records in; then ask again
            ");
        }
        scene.succeed("rosa", "usage sync");
        assert_eq!(lease(Some(told.to_string())).status, 201);
        assert_eq!(lease(None).status, 403);
        // The program brings it by itself.
        scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
        scene.succeed("rosa", &format!("lease {ID}"));
        assert_eq!(scene.json("rosa", "usage status")["journal"]["synced"], 4);
    }
}

#[test]
fn a_journal_that_goes_on_otherwise_than_it_came_in_is_refused() {
    let served = granted(Database::Sqlite);
    let scene = &served.scene;
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    copy_journal(scene, "rosa");
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    scene.succeed("rosa", "usage sync");
    // The second run is made unhappened, and another takes its place.
    put_back_with_an_edited_mark(scene, "rosa");
    scene.succeed("rosa", &format!("run {ID} Other -n 2"));
    let url = served.process.url.clone();
    insta::assert_snapshot!(scene.refuse("rosa", "usage sync").replace(&url, "<registry>"), @"
    exit 4
    error: <registry> refuses: the journal has 4 records here, and the batch begins at record 0, or with another history
      next: `portcullis usage status` tells what came in; write to the auditors
    ");
}

#[test]
fn a_rule_blocks_or_asks_why_and_either_is_on_the_record() {
    let served = granted(Database::Sqlite);
    let scene = &served.scene;
    scene.write("fake.txt", "Write a fake news story.");
    scene.write("manifesto.txt", "A manifesto to recruit for the jihad.");
    let run = |file: &str, more: &str| {
        let stdin = std::fs::File::open(scene.at(file)).unwrap();
        let mut command = crate::support::portcullis();
        command.current_dir(scene.path()).args(["--home", "homes/rosa", "run", ID, "-", "-n", "2"]);
        command.args(more.split_whitespace()).stdin(stdin).output().unwrap()
    };
    let mut said = scene.stable(&crate::support::failure(&run("fake.txt", "")));
    said += &scene.stable(&crate::support::failure(&run("manifesto.txt", "--justify Because")));
    insta::assert_snapshot!(said, @r#"
    exit 3
    error: the misuse rule `misleading-news` asks for a reason: the prompt asks for a news report that is made to look real (1 of its patterns)
      next: say why with --justify "…": the auditors read it; this attempt is on the record
    exit 3
    error: the misuse rule `extremist-propaganda` blocks it: the prompt asks for recruiting or propaganda, and no use that was granted explains it (no granted use explains it)
      next: it is on the record; if the rule is wrong about it, write to the auditors
    "#);
    assert!(run("fake.txt", "--justify Detection").status.success());
    let shown = scene.succeed("rosa", "usage show");
    // As wide as the oldest.
    let ages = [(r"AGE +WHAT", "AGE    WHAT"), (r"\b\d+ s +(blocked|begin|end)", "<age>  $1")];
    let shown = ages.iter().fold(shown, |text, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
    });
    insta::assert_snapshot!(shown, @"
    RECORD  AGE    WHAT      CHECKPOINT  TOKENS              HOW                         RULES
    0       <age>  blocked   tiny        15 in, up to 2 out  prompt sealed to 1 auditor  misleading-news
    1       <age>  blocked   tiny        19 in, up to 2 out  prompt sealed to 1 auditor  extremist-propaganda
    2       <age>  begin     tiny        15 in, up to 2 out  prompt sealed to 1 auditor  misleading-news
    3       <age>  end of 2  tiny        2 out               length
    ");
}

#[test]
fn texts_beyond_the_days_tokens_are_refused_and_those_before_them_shown() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let limited = POLICY
        .replace("version = 1", "version = 2")
        .replace("usage = \"sealed\"", "usage = \"sealed\"\nlimits.tokens_per_day = 10");
    served.propose(&limited, "partners");
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 6 --ignore-eos"));
    insta::assert_snapshot!(scene.refuse("rosa", &format!("run {ID} Hello -n 6")), @"
    exit 3
    error: the grant allows 10 tokens in 24 hours: 6 are used, 0 are promised to generations under way, and 6 are asked for
      next: ask for fewer tokens (--max-tokens), or wait: `portcullis usage status` shows what is used
    ");
    // The first of the texts fits, and is counted: it is shown, too.
    let cut = scene.run("rosa", &format!("run {ID} Hello -n 2 --samples 3 --ignore-eos --json"));
    let shown: serde_json::Value = serde_json::from_slice(&cut.stdout).unwrap();
    assert_eq!((cut.status.code(), shown["samples"].as_array().unwrap().len()), (Some(3), 2));
    assert!(
        crate::support::text(&cut.stderr).contains("2 of 3 texts were generated"),
        "{}",
        crate::support::text(&cut.stderr)
    );
    assert!(scene.refuse("rosa", &format!("run {ID} Hello --samples 0")).contains("0 is not in 1.."));
    // What is measured is seen by nobody, and counts for nothing.
    scene.succeed("rosa", &format!("bench {ID} --rounds 1 --batch 2 --prompt 8 --tokens 4"));
    let spent = scene.json("rosa", "usage status")["spent"][0].clone();
    assert_eq!((spent["tokens"].as_u64(), spent["promised"].as_u64()), (Some(10), Some(0)));
    assert_eq!((spent["limit"].as_u64(), spent["left"].as_u64()), (Some(10), Some(0)));
    let said = scene.succeed("rosa", "usage status");
    assert!(said.contains("10 of 10 tokens in the last 24 hours; 0 left"), "{said}");
}

#[test]
fn the_days_tokens_hold_across_processes_and_a_clock_that_is_set_back() {
    // The journal itself, with a clock of one's choice.
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_bytes(&[1; 32]);
    let grant = Sha256Digest::compute(b"a grant");
    let begin = |max_tokens| Begin {
        task: Task::Run,
        checkpoint: ID.parse().unwrap(),
        grant,
        lease: grant,
        prompt_tokens: 1,
        max_tokens,
        parameters: None,
        prompt: None,
        sketch: None,
        hits: Vec::new(),
        justification: None,
        blocked: false,
    };
    let at = |hours: i64| Timestamp::from_unix_seconds(1_000_000 + hours * 3600);
    let open = || Journal::open(&JournalPlace::in_home(folder.path()), [1; 16]).unwrap();
    let (mut one, mut two) = (open(), open());
    let first = one.begin(begin(60), Some(100), &key, at(48)).unwrap();
    // Another process sees what the first promised.
    assert!(matches!(
        two.begin(begin(60), Some(100), &key, at(48)),
        Err(Error::OverLimit { reserved: 60, .. })
    ));
    let end = |begin, tokens| End {
        begin,
        tokens,
        finish: portcullis::usage::Finish::Stop,
        output: None,
        hits: Vec::new(),
        explanation: None,
    };
    one.end(end(first.seq, 10), &key, at(48)).unwrap();
    let second = two.begin(begin(60), Some(100), &key, at(48)).unwrap();
    two.end(end(second.seq, 60), &key, at(48)).unwrap();
    // Two days back on the clock bring no new day.
    assert!(matches!(
        open().begin(begin(60), Some(100), &key, at(0)),
        Err(Error::OverLimit { spent: 70, .. })
    ));
    // A day later does.
    open().begin(begin(60), Some(100), &key, at(73)).unwrap();
}

#[test]
fn a_status_without_a_home_or_a_journal_says_so_and_makes_nothing() {
    let scene = crate::support::people::Scene::with_people();
    insta::assert_snapshot!(scene.refuse("nobody", "usage status"), @"
    exit 2
    error: there is no identity at <scene>/homes/nobody/identity.age
      next: make one with `portcullis identity new --name <your name>`, or name another --home
    ");
    assert!(!scene.at("homes/nobody").exists());
    let said = scene.succeed("rosa", "usage status");
    insta::assert_snapshot!(said, @r#"
    nothing was recorded on this machine yet
      next: `portcullis run <checkpoint> "…"` records what it runs of a sealed checkpoint; `portcullis list` shows those on offer
    "#);
    assert_eq!(scene.succeed("rosa", "usage show"), said);
    assert!(!scene.at("homes/rosa/usage").exists());
}

#[test]
fn eight_processes_that_write_at_once_make_one_chain() {
    let scene = crate::support::people::Scene::released("partners");
    scene.granted();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| scene.succeed("rosa", &format!("run {ID} Hello -n 2")));
        }
    });
    let status = scene.json("rosa", "usage status");
    assert_eq!(
        (status["journal"]["records"].as_u64(), status["journal"]["open"].as_u64()),
        (Some(16), Some(0))
    );
}
