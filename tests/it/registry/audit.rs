//! The audit: what it proves, what it finds, offline too; reports; erasure.
#![allow(clippy::too_many_lines, reason = "what is printed stands in the tests")]

use crate::support::people::{ID, POLICY};
use crate::support::served::{Database, Served};

/// A registry that was used: granted, pulled, run, synced.
fn used(database: Database) -> Served {
    let served = Served::released(database, "partners");
    served.granted();
    let scene = &served.scene;
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    scene.succeed("rosa", "usage sync");
    served
}

#[test]
fn an_audit_says_what_it_proved_and_what_it_could_not() {
    let log = regex::Regex::new("portcullis.dev/log/[0-9a-f]+").unwrap();
    for database in [Database::Sqlite, Database::Postgres] {
        let served = used(database);
        let said = served.scene.succeed("august", "audit verify");
        let said = log.replace_all(&said, "<log>").into_owned();
        insta::allow_duplicates! {
            insta::assert_snapshot!(served.scene.stable(&said), @"
            the record holds: 19 entries of <log>
              root       <digest>
            proved:
              - 19 entries have the root that the head states
              - the head is signed by the registry that the catalogue names
              - every statement is the one that the log recorded
              - changes of the catalogue, signed by those whom the catalogue before them named: 3
              - grants that had their approvals and that the policy then in force permitted: 1
              - leases for grants that counted then, no longer than the policy allows: 1
              - usage batches that continue their journals, signed by those who hold the grants, under a lease, within the limits: 1
              - the log continues every head that this home saw before
            not proved:
              - no witness vouches for the head: whether others are shown another log, it does not tell
              - what a modified program does on a researcher's machine leaves no record
            overruled by a board:
              * entry 6: tiny entered stage `partners` against its policy: partners is not the first stage; a release begins with internal; 30 days in the stage before are asked for, and it stood in none
            ");
        }
    }
}

#[test]
fn a_bundle_verifies_offline_and_a_changed_one_does_not() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    scene.succeed("august", "audit bundle --to audit.jsonl");
    assert!(served.process.stop());
    assert!(scene.succeed("august", "audit verify --bundle audit.jsonl").starts_with("the record holds"));
    let quick = scene.succeed("august", "audit verify --quick --bundle audit.jsonl");
    assert!(quick.contains("signatures and rules were not looked at"), "{quick}");
    // Anybody who trusts the same first root can.
    assert!(scene.succeed("eve", "audit verify --bundle audit.jsonl").starts_with("the record holds"));
    let good = std::fs::read_to_string(scene.at("audit.jsonl")).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let lease = lines.iter().position(|line| line.contains("\\\"kind\\\":\\\"lease\\\"")).unwrap();
    let mut said = String::new();
    for (what, changed) in [
        (
            "an entry is left out",
            resealed(lines.iter().enumerate().filter(|(n, _)| *n != lease).map(|(_, line)| *line)),
        ),
        ("two are swapped", {
            let mut lines = lines.clone();
            lines.swap(lease, lease - 1);
            resealed(lines.into_iter())
        }),
        (
            "a statement is taken away",
            resealed(lines.iter().enumerate().map(|(n, line)| {
                if n == lease {
                    line.split(",\"statements\"").next().unwrap().to_owned() + ",\"statements\":[]}"
                } else {
                    (*line).to_owned()
                }
            })),
        ),
        ("a lease has another's signature", resealed(resigned(&lines, lease, lease + 1).into_iter())),
        ("a batch has another's signature", resealed(resigned(&lines, lease + 1, lease).into_iter())),
        ("a byte is changed and not resealed", good.replacen("usage", "usagf", 1)),
        ("it is cut", good[..good.len() / 2].to_owned()),
        ("it is none", "Dear diary\n".to_owned()),
    ] {
        scene.write("bad.jsonl", &changed);
        let output = scene.run("august", "audit verify --bundle bad.jsonl");
        assert!(!output.status.success(), "{what}");
        let found = crate::support::text(&output.stdout);
        let found = found.lines().filter(|line| line.trim_start().starts_with('!'));
        said += &format!(
            "{what}: {}{}\n",
            scene.stable(&crate::support::failure(&output)),
            scene.stable(&found.collect::<Vec<_>>().join("\n"))
        );
    }
    insta::assert_snapshot!(said, @"
    an entry is left out: exit 4
    error: the record does not hold: 2 findings
      next: keep the bundle (`portcullis audit bundle --to <file>`), and show the board what was found
      ! entry 16: usage <digits>: record 0: no lease for it is in the log
      ! the entries have the root <digits> of 18 entries, and the head says <digits> of 19
    two are swapped: exit 4
    error: the record does not hold: 1 finding
      next: keep the bundle (`portcullis audit bundle --to <file>`), and show the board what was found
      ! the entries have the root <digits> of 19 entries, and the head says <digits> of 19
    a statement is taken away: exit 4
    error: the record does not hold: 2 findings
      next: keep the bundle (`portcullis audit bundle --to <file>`), and show the board what was found
      ! entry 17: usage <digits>: record 0: no lease for it is in the log
      ! entry 16: lease <digits>: its statement is missing, and nobody erased it
    a lease has another's signature: exit 4
    error: the record does not hold: 1 finding
      next: keep the bundle (`portcullis audit bundle --to <file>`), and show the board what was found
      ! entry 16: lease <digits>: the registry (timestamp) must sign; the signature is missing
    a batch has another's signature: exit 4
    error: the record does not hold: 1 finding
      next: keep the bundle (`portcullis audit bundle --to <file>`), and show the board what was found
      ! entry 17: usage <digits>: rosa must sign; the signature is missing
    a byte is changed and not resealed: exit 4
    error: the bundle cannot be used: its SHA-256 is not that of its lines
      next: take another copy of the bundle, or make one: `portcullis audit bundle --to <file>`

    it is cut: exit 4
    error: the bundle cannot be used: it was cut off
      next: take another copy of the bundle, or make one: `portcullis audit bundle --to <file>`

    it is none: exit 4
    error: the bundle cannot be used: it is no bundle that this program wrote
      next: take another copy of the bundle, or make one: `portcullis audit bundle --to <file>`
    ");
}

/// The lines, where one's statement has the signatures of another's.
fn resigned(lines: &[&str], one: usize, other: usize) -> Vec<String> {
    let mut lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
    let signatures = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["statements"][0]["signatures"].to_string()
    };
    let (old, new) = (signatures(&lines[one]), signatures(&lines[other]));
    assert!(lines[one].contains(&old));
    lines[one] = lines[one].replace(&old, &new);
    lines
}

/// A bundle of these lines, its last line made anew, as a forger would.
fn resealed<T: AsRef<str>>(lines: impl Iterator<Item = T>) -> String {
    let lines: Vec<String> = lines.map(|line| line.as_ref().to_owned()).collect();
    let body: String = lines[..lines.len() - 1].iter().map(|line| format!("{line}\n")).collect();
    let sha256 = portcullis::digest::Sha256Digest::compute(body.as_bytes());
    format!("{body}{{\"lines\":{},\"sha256\":\"{sha256}\"}}\n", lines.len() - 1)
}

#[test]
fn two_machines_that_spend_a_days_tokens_twice_are_found() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let limited = POLICY
        .replace("version = 1", "version = 2")
        .replace("usage = \"sealed\"", "usage = \"sealed\"\nlimits.tokens_per_day = 10");
    served.propose(&limited, "partners");
    served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    crate::support::copy_tree(&scene.at("homes/rosa"), &scene.at("homes/laptop"));
    for home in ["rosa", "laptop"] {
        if home == "laptop" {
            scene.succeed(home, "usage declare --reason My-laptop");
        }
        scene.succeed(home, &format!("run {ID} Hello -n 6 --ignore-eos"));
        scene.succeed(home, "usage sync");
    }
    let found = crate::support::text(&scene.run("august", "audit verify").stdout);
    let found = found.lines().filter(|line| line.starts_with("  ! ")).collect::<Vec<_>>().join("\n");
    // How many entries are before it depends on who asked twice within a second.
    let found = regex::Regex::new("entry [0-9]+").unwrap().replace_all(&found, "entry <n>").into_owned();
    insta::assert_snapshot!(scene.stable(&found), @"  ! entry <n>: key <digits>: 12 tokens with tiny in the 24 hours to <time>, and 10 are allowed");
}

#[test]
fn after_an_erasure_every_proof_still_verifies_and_the_audit_says_what_was_erased() {
    for database in [Database::Sqlite, Database::Postgres] {
        let served = used(database);
        let scene = &served.scene;
        let card: serde_json::Value = scene.json("rosa", "identity show");
        let key = card["key_id"].as_str().unwrap().to_owned();
        let nobody = "0".repeat(64);
        let said = scene.refuse("registry", &format!("registry erase {nobody} reg --reason Asked"));
        assert!(said.contains("exit 2\nerror: the registry holds nothing of "), "{said}");
        let erase = format!("registry erase {key} reg --reason Asked");
        let would = scene.json("registry", &format!("{erase} --dry-run"));
        assert_eq!(would["name"], "rosa");
        // There is no terminal here, and an erasure cannot be taken back.
        insta::allow_duplicates! {
            insta::assert_snapshot!(scene.stable(&scene.refuse("registry", &erase)), @"
            exit 2
            What 4 of 4 statements of rosa, University (unconfirmed), key <digest> say would be erased for good, and their grants end.
              reason  Asked, on the record
              stays   digests in the log, others' statements that name them, and backups of before
            error: there is no terminal to ask whether to erase rosa, University (unconfirmed), key <digest>
              next: run it at a terminal, which shows what is erased and asks; or read it, and give --yes
            ");
        }
        assert_eq!(scene.json("registry", &format!("{erase} --dry-run")), would);
        let said = scene.succeed("registry", &format!("{erase} --yes --quiet"));
        let erased = format!("erased what {} statements of rosa, University", would["to_erase"]);
        assert!(said.starts_with(&erased), "{would} {said}");
        let said = scene.succeed("registry", &erase);
        assert!(
            said.starts_with("nothing that key ") && said.contains(" said is left but 4 digests;"),
            "{said}"
        );
        // Nothing of her is left: not her name, nor her purpose.
        scene.succeed("registry", "registry backup reg --to after.jsonl");
        let backup = std::fs::read_to_string(scene.at("after.jsonl")).unwrap();
        let (name, purpose) = (base64_of("\"name\":\"rosa\""), base64_of("Detectors"));
        assert!(!backup.contains(&name) && !backup.contains(&purpose));
        let said = scene.succeed("august", "audit verify");
        assert!(said.starts_with("the record holds"), "{said}");
        assert!(said.contains("statements were erased: what they said is not known any more"), "{said}");
        let report = scene.json("august", "audit report --format json");
        assert_eq!(report["erasures"][0]["reason"], "Asked");
        assert_eq!(
            (&report["requests"][0]["asked"], &report["requests"][0]["erased"]),
            (&1.into(), &1.into())
        );
        let told = scene.succeed("august", "audit report");
        let told =
            told.split("\n\nRequests\n").nth(1).unwrap().split("\n\nChanges of policies").next().unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(told, @"
              tiny           1 asked, 0 granted, 0 denied, 0 withdrawn, 0 waiting, 1 erased

            Grants: 0 hold, 0 ended in the period, 1 erased
            ");
        }
        let end = told_behind(&scene.succeed("august", "audit report"), "Erased");
        insta::allow_duplicates! {
            insta::assert_snapshot!(scene.stable(&end), @"
            Erased
              <date>  4 statements: Asked

            Erased since it came in: it can only be counted
              tiny           1 request, 1 grant, 1 lease
              (of several)   1 usage batch
            ");
        }
        // Her grant ended with it.
        let refused = scene.run("rosa", &format!("lease {ID}"));
        assert!(!refused.status.success());
    }
}

/// How often a statement was erased, as each says who counts: the erasure, the audit, and the report's parts summed up.
fn counts(served: &Served, erased: &serde_json::Value) -> [u64; 4] {
    let report = served.scene.json("august", "audit report --format json");
    let parts = report["erased"].as_array().unwrap().iter();
    [
        erased["erased"].as_u64().unwrap(),
        report["erasures"][0]["statements"].as_u64().unwrap(),
        report["verification"]["erased"].as_u64().unwrap(),
        parts.map(|part| part["count"].as_u64().unwrap()).sum(),
    ]
}

#[test]
fn an_erasure_has_one_count_whatever_was_erased() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    for person in ["uma", "remy"] {
        scene.succeed(
            person,
            &format!("identity new --name {person} --no-passphrase --organization University"),
        );
        scene.succeed(person, &format!("identity card --to cards/{person}.card"));
        scene.succeed(person, &format!("join {} --root root.json", served.process.url));
    }
    // She is confirmed, asks for a colleague too, runs, is suspended, and objects; another request is denied, one is taken back, and one
    // waits with a first approval.
    scene.succeed("ada", "catalogue organization add University --registrar cards/remy.card");
    for owner in ["ada", "ben"] {
        scene.sign_all(owner, "");
    }
    scene.succeed("remy", "affiliation confirm cards/rosa.card --organization University --days 9");
    let ask = format!("request new {ID} --purpose Detectors --use detection --accept-agreement");
    let request =
        scene.digits(&scene.json("rosa", &format!("{ask} --days 30 --member cards/uma.card"))["request"]);
    scene.succeed("ada", &format!("approve {request}"));
    let grant = scene.digits(&scene.json("ben", &format!("approve {request}"))["grants"][0]);
    for command in [format!("pull {ID}"), format!("run {ID} Hello -n 2"), "usage sync".to_owned()] {
        scene.succeed("rosa", &command);
    }
    let denied = scene.digits(&scene.json("rosa", &format!("{ask} --days 29"))["request"]);
    scene.succeed("ada", &format!("deny {denied} --reason Twice"));
    let taken_back = scene.digits(&scene.json("rosa", &format!("{ask} --days 28"))["request"]);
    scene.succeed("rosa", &format!("request withdraw {taken_back}"));
    let half = scene.digits(&scene.json("rosa", &format!("{ask} --days 27"))["request"]);
    scene.succeed("ada", &format!("approve {half}"));
    let case = scene.open_case("august", &grant);
    scene.decide("august", &case, "suspend --days 3 --reason Pending");
    scene.appeal("rosa", &case, "Mistaken");
    scene.succeed("rosa", "request list");
    let key = scene.json("rosa", "identity show")["key_id"].as_str().unwrap().to_owned();
    let erased = scene.json("registry", &format!("registry erase {key} reg --reason Asked --yes"));
    let counts = counts(&served, &erased);
    assert!(counts[0] > 8 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

/// A text from its first line that begins with `title`.
fn told_behind(text: &str, title: &str) -> String {
    text.lines().skip_while(|line| !line.starts_with(title)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_is_still_to_come_has_not_ended_in_a_report_to_the_future() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    let report = scene.json("august", "audit report --to 2099-01-01");
    assert_eq!(report["to"], "2099-01-01T00:00:00Z");
    assert_eq!(report["holdings"][0]["state"], "holds", "{report}");
    assert!(report["as_of"].as_str().unwrap() < "2099", "{report}");
    let told = scene.succeed("august", "audit report --to 2099-01-01");
    assert!(told.contains("Grants: 1 hold, 0 ended in the period\n"), "{told}");
}

/// The middle of a text's base64, whichever its place within the payload: enough to find it by.
fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(text).trim_end_matches('=').chars().skip(4).take(8).collect()
}

#[test]
fn a_report_comes_as_text_json_csv_and_a_page_that_stands_alone() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    let text = scene.succeed("august", "audit report");
    let text = text.replace(&served.process.url, "<registry>");
    let log = regex::Regex::new("portcullis.dev/log/[0-9a-f]+").unwrap();
    let text = regex::Regex::new(r"within \d+ s").unwrap().replace_all(&text, "within <n> s").into_owned();
    // A member who asks again within the same second reads once.
    let text =
        regex::Regex::new("ben: [1-4] times?").unwrap().replace(&text, "ben: <some> times").into_owned();
    insta::assert_snapshot!(scene.stable(&log.replace_all(&text, "<log>")), @"
    Report of Registry (<registry>) from <date> to <date>

    the record holds: 19 entries of <log>
      root       <digest>
    proved:
      - 19 entries have the root that the head states
      - the head is signed by the registry that the catalogue names
      - every statement is the one that the log recorded
      - changes of the catalogue, signed by those whom the catalogue before them named: 3
      - grants that had their approvals and that the policy then in force permitted: 1
      - leases for grants that counted then, no longer than the policy allows: 1
      - usage batches that continue their journals, signed by those who hold the grants, under a lease, within the limits: 1
      - the log continues every head that this home saw before
    not proved:
      - no witness vouches for the head: whether others are shown another log, it does not tell
      - what a modified program does on a researcher's machine leaves no record
    overruled by a board:
      * entry 6: tiny entered stage `partners` against its policy: partners is not the first stage; a release begins with internal; 30 days in the stage before are asked for, and it stood in none

    Stages entered
      <date>  tiny           partners, against the policy: partners is not the first stage; a release begins with internal; 30 days in the stage before are asked for, and it stood in none

    Requests
      tiny           1 asked, 1 granted, 0 denied, 0 withdrawn, 0 waiting; half decided within <n> s, nine of ten within <n> s

    Grants: 1 hold, 0 ended in the period
      tiny           rosa (University)              until <date>

    Usage by checkpoint
      tiny                           2 tokens in 1 generation

    Usage by person
      rosa (University)              2 tokens in 1 generation

    Usage by purpose
      detection                      2 tokens in 1 generation

    Changes of policies
      <date>  tiny           version 1: the first policy

    Read what is private
      ada: 2 times
      august: 1 time
      ben: <some> times
    ");
    // `--json` is enough, as for every command.
    let report = scene.json("august", "audit report");
    assert_eq!(report["requests"][0]["granted"], 1);
    assert_eq!(report["usage_by_person"][0]["tokens"], 2);
    assert_eq!(report["holdings"][0]["state"], "holds");
    assert!(scene.succeed("august", "audit report --format json").starts_with("{\n"));
    let csv = scene.succeed("august", "audit report --format csv");
    assert!(csv.lines().all(|line| line.matches(',').count() >= 8), "{csv}");
    scene.succeed("august", "audit report --format html --output report.html");
    let page = std::fs::read_to_string(scene.at("report.html")).unwrap();
    for forbidden in ["<script", "src=", "href=", "@import", "url(", "onload"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("<svg role=\"img\"") && page.contains("<desc>") && page.contains("lang=\"en\""));
    insta::assert_snapshot!(scene.refuse("august", "audit report --from 2030-01-02 --to 2030-01-01"), @"
    exit 2
    error: the period ends before it begins
      next: give --from and --to in order
    ");
    insta::assert_snapshot!(scene.refuse("rosa", "audit verify").replace(&served.process.url, "<registry>"), @"
    exit 3
    error: <registry> refuses: this is not for you to read or to do
      next: use the identity whose it is (--home)
    ");
}

#[test]
fn a_name_in_a_report_cannot_become_markup_or_a_formula() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let request = scene.request();
    scene.succeed("cy", &format!("deny {request} --reason =1+1<script>"));
    scene.succeed("august", "audit report --format html --output report.html");
    let page = std::fs::read_to_string(scene.at("report.html")).unwrap();
    assert!(!page.contains("<script") && page.contains("=1+1&lt;script&gt;"), "the reason is there, as text");
    let csv = scene.succeed("august", "audit report --format csv");
    assert!(csv.contains("'=1+1<script>"), "{csv}");
    let told = scene.succeed("august", "audit report");
    assert!(told.contains("Denied\n") && told.contains("=1+1<script>"), "{told}");
}

#[test]
fn a_report_says_whose_it_is_and_what_needs_attention() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let quiet = scene.json("august", "audit report");
    assert_eq!(quiet["attention"], serde_json::json!([]));
    let request = scene.request();
    let told = scene.succeed("august", "audit report").replace(&served.process.url, "<registry>");
    insta::assert_snapshot!(scene.stable(told.split("\nthe record holds").next().unwrap()), @"
    Report of Registry (<registry>) from <date> to <date>

    needs attention:
      - 1 request waits for an answer: tiny (1).
    ");
    scene.approve("ada", &request);
    let grant = scene.approve("ben", &request);
    scene.open_case("august", &grant);
    scene.revoke("ada", &grant, "Left-the-project");
    let told = scene.succeed("august", "audit report");
    let told = told.replace(&served.process.url, "<registry>");
    insta::assert_snapshot!(scene.stable(told.split("\nthe record holds").next().unwrap()), @"
    Report of Registry (<registry>) from <date> to <date>

    needs attention:
      - 1 case of misuse waits for a decision; it is of <date>.
    ");
    insta::assert_snapshot!(scene.stable(&told_behind(&told, "Revoked").lines().take(2).collect::<Vec<_>>().join("\n")), @"
    Revoked
      <date>  tiny           rosa (University)        Left-the-project
    ");
    scene.succeed("august", "audit report --format html --output report.html");
    let page = std::fs::read_to_string(scene.at("report.html")).unwrap();
    let (attention, revoked) =
        (page.find("Needs attention").unwrap(), page.find("Left-the-project").unwrap());
    assert!(
        page.find("<h1>Release report of ").unwrap() < attention
            && attention < page.find("The record holds.").unwrap()
    );
    assert!(revoked > attention && page.contains(&served.process.url));
    for style in ["prefers-color-scheme:dark", "max-width:600px", "@media print"] {
        assert!(page.contains(style), "{style}");
    }
}

#[test]
fn who_reads_what_is_private_is_on_the_record() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    let before = readings(scene);
    scene.succeed("ada", "request list");
    scene.succeed("ada", "request list");
    let after = readings(scene);
    // The same reading within the hour is one; the audits themselves are readings, too.
    assert!(after["ada"].as_u64() >= before["ada"].as_u64(), "{before} {after}");
    assert_eq!(after["august"].as_u64().unwrap(), before["august"].as_u64().unwrap() + 1);
}

fn readings(scene: &crate::support::people::Scene) -> serde_json::Value {
    let report = scene.json("august", "audit report --format json");
    let readings = report["readings"].as_array().unwrap().iter();
    readings
        .map(|row| (row[0].as_str().unwrap().to_owned(), row[1].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
