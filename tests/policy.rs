//! `policy`: what its commands print, and what they find.
#![allow(clippy::too_many_lines, reason = "one table of what is said, read from top to bottom")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::policy::{PARTNERS, edited};
use support::*;

fn shipped(name: &str) -> String {
    format!("{}/policies/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Both streams of a command that may fail.
fn said(folder: &Path, arguments: &str) -> String {
    let output = run_in(folder, arguments);
    format!("{}{}", text(&output.stdout), failure(&output))
}

/// What `policy check` finds in a policy.
fn findings(policy: &str, options: &str) -> String {
    let folder = workplace();
    fs::write(folder.path().join("p.toml"), policy).unwrap();
    said(folder.path(), &format!("policy check p.toml --at 2026-01-01T00:00:00Z {options}"))
}

#[test]
fn the_shipped_policies_are_sound() {
    let folder = workplace();
    for name in ["gpt2-124m.toml", "gpt2-355m.toml", "gpt2-774m.toml", "gpt2-1.5b.toml"] {
        let said = succeed(folder.path(), &format!("policy check --boards board=3 {}", shipped(name)));
        assert!(said.ends_with(" 0 warnings\n"), "{said}");
    }
}

#[test]
fn show_is_a_table_of_stages() {
    let folder = workplace();
    fs::write(folder.path().join("p.toml"), PARTNERS).unwrap();
    insta::assert_snapshot!(succeed(folder.path(), "policy show p.toml"), @"
    demo-small, policy version 4, until 2027-06-30T00:00:00Z
    ends every grant made before it

      1. partners
         for         Example University
         approvals   2 of board
         uses        bias-analysis, detection
         agreement   agreement.md
         limits      at most 180 days, leases of 24 hours, 2,000,000 tokens a day
         usage       sealed

      2. public
         after       90 days in the stage before
         evidence    detection accuracy of at least 0.95 on 5000 samples
         for         anyone
         approvals   none: the weights are public
         usage       counts
    ");
    let shown: Value = serde_json::from_str(&succeed(folder.path(), "policy show p.toml --json")).unwrap();
    let stages = &shown["policies"][0]["stages"];
    assert_eq!(stages[0]["approvals"], json!({ "board": 2 }));
    assert_eq!(stages[0]["limits"]["usage"], "sealed");
    assert_eq!(stages[1]["audience"], "anyone");
    assert_eq!(stages[1]["requires"]["evidence"][0]["at_least"], 0.95);
}

#[test]
fn check_finds_what_a_board_can_hardly_mean() {
    insta::assert_snapshot!(findings(PARTNERS, "--boards board=3"), @"
    p.toml: demo-small version 4 is sound: 2 stages, 0 warnings
    exit 0
    ");
    let closed = edited(&[
        ("[\"Example University\"]", "[]"),
        ("uses = [\"bias-analysis\", \"detection\"]", "uses = []"),
        ("agreement = \"agreement.md\"\n", ""),
        ("max_days = 180", "max_days = 0"),
        ("tokens_per_day = 2_000_000", "tokens_per_day = 0"),
        ("lease_hours = 24", "lease_hours = 0"),
    ]);
    insta::assert_snapshot!(findings(&closed, ""), @r#"
    p.toml:7: error: partners: the stage is gated but nothing is signed: whoever gets the weights promised nothing
      next: name the agreement, such as `agreement = "agreement.md"`
    p.toml:8: error: partners: nobody could ask: the audience is empty
      next: name organizations or people, or write `audience = "anyone"`
    p.toml:10: error: partners: nobody could ask: no use is open, and a request names at least one
      next: list what the weights may be used for in `uses`
    p.toml:11: error: partners: nobody could ask: a grant of at most 0 days has ended before it began
      next: give at least 1 day
    p.toml:12: error: partners: 0 tokens a day: nobody could run anything
      next: allow at least 1
    p.toml:14: error: partners: a lease of 0 hours has ended before it began
      next: 24 is usual
    exit 4
    error: p.toml should not be signed: 6 errors
      next: correct the listed errors and check again
    "#);
    let unearned = edited(&[
        ("max_days = 180", "max_days = 2"),
        ("lease_hours = 24", "lease_hours = 49\n\n[stage.requires]\nsoak_days = 7"),
        ("soak_days = 90", ""),
        (
            "[[stage.requires.evidence]]\nkind = \"detection\"\nmetric = \"accuracy\"\nat_least = 0.95\nsamples = 5000",
            "",
        ),
    ]);
    insta::assert_snapshot!(findings(&unearned, "--boards board=1"), @"
    p.toml:7: error: partners: asks for 7 days in the stage before, and it is the first
      next: drop `soak_days` here, or put a stage before it
    p.toml:9: error: partners: 2 approvals of board are asked for, and its members are 1
      next: ask for fewer, or appoint members first
    p.toml:15: error: partners: a lease of 49 hours outlives every grant
      next: keep it within `max_days`; 24 is usual
    p.toml:21: error: public: widens access over partners and asks for nothing first: anyone is admitted instead of 'Example University'; no approval instead of 2; agreement.md need not be signed any more; any use is open; no limit of days instead of 2; no limit of tokens a day instead of 2,000,000; no limit of hours between leases instead of 49; usage is kept as counts instead of sealed
      next: add [stage.requires] with soak_days, or evidence
    exit 4
    error: p.toml should not be signed: 4 errors
      next: correct the listed errors and check again
    ");
    let impossible = edited(&[("0.95", "1.5"), ("board = 2", "board = 2, ethics = 1")]);
    insta::assert_snapshot!(findings(&impossible, "--boards board=2"), @"
    p.toml:9: error: partners: approvals of ethics are asked for, and there is no such board
      next: name a board that exists, or found it first
    p.toml:25: error: public: detection accuracy cannot be met: at least 1.5, and a share is at most 1
      next: correct the bound
    exit 4
    error: p.toml should not be signed: 2 errors
      next: correct the listed errors and check again
    ");
    let crossed = edited(&[
        ("at_least = 0.95", "at_least = 0.95\nat_most = 0.9"),
        (
            "usage = \"counts\"",
            "usage = \"counts\"\nmax_days = 9\nuses = [\"detection\"]\nlease_hours = 900\nlimits.tokens_per_day = 5",
        ),
    ]);
    insta::assert_snapshot!(findings(&crossed, ""), @"
    p.toml:21: warning: public: `max_days` binds nobody: the stage is public, so anyone has the weights for good
      next: drop `max_days`, or gate the stage with an agreement
    p.toml:22: warning: public: `uses` binds nobody: the stage is public, so anyone has the weights for good
      next: drop `uses`, or gate the stage with an agreement
    p.toml:23: warning: public: `lease_hours` binds nobody: the stage is public, so anyone has the weights for good
      next: drop `lease_hours`, or gate the stage with an agreement
    p.toml:24: warning: public: `limits.tokens_per_day` binds nobody: the stage is public, so anyone has the weights for good
      next: drop `limits.tokens_per_day`, or gate the stage with an agreement
    p.toml:29: error: public: detection accuracy cannot be met: at least 0.95 and at most 0.9 at once
      next: correct the bound
    exit 4
    error: p.toml should not be signed: 1 error
      next: correct the listed errors and check again
    ");
    let counted = edited(&[
        ("\"accuracy\"\nat_least = 0.95", "\"open_cases\"\nat_most = -1"),
        ("lease_hours = 24", "lease_hours = 200"),
    ]);
    insta::assert_snapshot!(findings(&counted, ""), @"
    p.toml:15: warning: partners: a lease of 200 hours: a revocation takes that long to reach everybody
      next: renew at least weekly; 24 is usual
    p.toml:25: error: public: detection open_cases cannot be met: at most -1, and it is never below 0
      next: correct the bound
    exit 4
    error: p.toml should not be signed: 1 error
      next: correct the listed errors and check again
    ");
}

#[test]
fn check_finds_a_policy_that_ends_and_stages_in_the_wrong_order() {
    let folder = workplace();
    fs::write(folder.path().join("p.toml"), PARTNERS).unwrap();
    insta::assert_snapshot!(said(folder.path(), "policy check p.toml --at 2027-06-30T00:00:00Z"), @"
    p.toml:4: error: the policy ended at 2027-06-30T00:00:00Z: it permits nothing
      next: set `expires` to a later date, and raise `version`
    exit 4
    error: p.toml should not be signed: 1 error
      next: correct the listed errors and check again
    ");
    insta::assert_snapshot!(said(folder.path(), "policy check p.toml --at 2027-06-15T00:00:00Z"), @"
    p.toml:4: warning: the policy ends on 2027-06-30, within 30 days
      next: prepare the next version
    p.toml: demo-small version 4 is sound: 2 stages, 1 warning
    exit 0
    ");
    let (head, stages) = PARTNERS.split_once("\n[[stage]]\n").unwrap();
    let (partners, public) = stages.split_once("\n[[stage]]\n").unwrap();
    let public = public.split("\n[stage.requires]").next().unwrap();
    let reversed = format!("{head}\n[[stage]]\n{public}\n[[stage]]\n{partners}");
    insta::assert_snapshot!(findings(&reversed, ""), @"
    p.toml:12: warning: partners: only narrows what public gives, yet comes after it
      next: order the stages from the narrowest to the widest
    p.toml: demo-small version 4 is sound: 2 stages, 1 warning
    exit 0
    ");
    fs::write(
        folder.path().join("p.toml"),
        edited(&[("soak_days = 90", "soak_days = 0"), ("[\"Example", "[] #")]),
    )
    .unwrap();
    let found: Value =
        serde_json::from_slice(&run_in(folder.path(), "policy check p.toml --json").stdout).unwrap();
    assert_eq!(found["policies"][0]["findings"][0]["severity"], "error");
    assert_eq!(found["policies"][0]["sound"], false);
}

#[test]
fn diff_says_who_gains_and_who_loses() {
    let folder = workplace();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("old.toml", PARTNERS);
    write("new.toml", PARTNERS);
    insta::assert_snapshot!(succeed(folder.path(), "policy diff old.toml new.toml"), @"no rule changes");
    write(
        "new.toml",
        &edited(&[
            ("version = 4", "version = 3"),
            ("2027-06-30", "2028-06-30"),
            (
                "[\"Example University\"]",
                "[\"Cornell University\"]\naudience.people = [\"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\"]",
            ),
            ("board = 2", "board = 1, ethics = 1"),
            ("agreement.md", "promise.md"),
            ("\"bias-analysis\", \"detection\"", "\"detection\", \"misuse-analysis\""),
            ("max_days = 180", "max_days = 90"),
            ("limits.tokens_per_day = 2_000_000\n", ""),
            ("\"sealed\"", "\"digest\""),
            ("lease_hours = 24", "lease_hours = 48"),
            ("soak_days = 90", "soak_days = 30"),
            ("0.95", "0.9"),
            (
                "samples = 5000",
                "samples = 9000\n[[stage.requires.evidence]]\nkind = \"bias\"\nmetric = \"gap\"\nat_most = 0.1",
            ),
        ]),
    );
    insta::assert_snapshot!(succeed(folder.path(), "policy diff old.toml new.toml"), @"
    version 3 would follow version 4: versions count up (differs)
    ends 2028-06-30 instead of 2027-06-30 (widens)
    partners: 'Example University' is no longer admitted (narrows)
    partners: 'Cornell University' is admitted (widens)
    partners: the person 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f is admitted (widens)
    partners: 1 approval of board instead of 2 (widens)
    partners: 1 approval of ethics instead of none (narrows)
    partners: promise.md must be signed instead of agreement.md (differs)
    partners: the use bias-analysis is no longer open (narrows)
    partners: the use misuse-analysis is open (widens)
    partners: at most 90 days instead of 180 (narrows)
    partners: no limit of tokens a day instead of 2,000,000 (widens)
    partners: at most 48 hours between leases instead of 24 (widens)
    partners: usage is kept as digest instead of sealed (widens)
    public: 30 days in the stage before instead of 90 (widens)
    public: asks for detection accuracy of at least 0.9 on 9000 samples instead of detection accuracy of at least 0.95 on 5000 samples (differs)
    public: asks for bias gap of at most 0.1 (narrows)
    in all: 9 widen, 5 narrow, 3 differ otherwise
    ");
    write(
        "new.toml",
        &edited(&[
            ("demo-small", "demo-large"),
            ("board = 2", "board = 1"),
            ("name = \"public\"", "name = \"beyond\""),
            (
                "audience = \"anyone\"",
                "audience.organizations = [\"Example University\"]\napprovals = {}\nmax_days = 1\nlease_hours = 1",
            ),
            (
                "audience.organizations = [\"Example University\"]\napprovals = { board",
                "audience = \"anyone\"\napprovals = { board",
            ),
        ]),
    );
    insta::assert_snapshot!(succeed(folder.path(), "policy diff old.toml new.toml"), @"
    governs demo-large instead of demo-small (differs)
    the stage public is gone (narrows)
    version 4 stands for both: raise it (differs)
    partners: anyone is admitted instead of 'Example University' (widens)
    partners: 1 approval instead of 2 (widens)
    beyond: is a new stage, for 'Example University' (widens)
    in all: 3 widen, 1 narrow, 2 differ otherwise
    ");
    let changes: Value =
        serde_json::from_str(&succeed(folder.path(), "policy diff old.toml new.toml --json")).unwrap();
    assert_eq!(changes["changes"][0]["effect"], "differs");
}

#[test]
fn a_policy_says_which_grants_of_before_go_on() {
    let folder = workplace();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("old.toml", PARTNERS);
    write("ends.toml", &edited(&[("version = 4", "version = 5")]));
    write("keeps.toml", &edited(&[("version = 4", "version = 5\nkeeps_grants_from = 4")]));
    write("early.toml", &edited(&[("version = 4", "version = 5\nkeeps_grants_from = 3")]));
    write("other.toml", &edited(&[("demo-small", "demo-large")]));
    let head = |shown: String| shown.lines().take(2).collect::<Vec<_>>().join("\n");
    let said = |arguments: &str| said(folder.path(), arguments);
    insta::assert_snapshot!([
        head(said("policy show ends.toml")),
        head(said("policy show keeps.toml")),
        said("policy diff old.toml ends.toml"),
        said("policy diff old.toml keeps.toml"),
        said("policy diff old.toml early.toml"),
        said("policy check keeps.toml --against old.toml --at 2026-01-01T00:00:00Z"),
        said("policy check early.toml --against old.toml --at 2026-01-01T00:00:00Z"),
        said("policy check old.toml --against keeps.toml --at 2026-01-01T00:00:00Z"),
        said("policy check keeps.toml --against other.toml"),
    ].join("\n"), @"
    demo-small, policy version 5, until 2027-06-30T00:00:00Z
    ends every grant made before it
    demo-small, policy version 5, until 2027-06-30T00:00:00Z
    keeps grants made under version 4 or later, if it permits them
    no rule changes
    every grant made before version 5 ends; `keeps_grants_from` keeps those that it permits
    exit 0

    grants made under version 4 or later go on, if it permits them (differs)
    in all: 0 widen, 0 narrow, 1 differ otherwise
    exit 0

    would keep grants made under version 3 or later, and those made before version 4 have ended (differs)
    in all: 0 widen, 0 narrow, 1 differ otherwise
    exit 0

    keeps.toml: demo-small version 5 is sound: 2 stages, 0 warnings
    exit 0

    early.toml:4: error: the policy keeps grants made under version 3 or later, and those made before version 4 have ended: a later policy revives none
      next: write `keeps_grants_from = 4` or a later version, or leave the line out: then every grant made before it ends
    exit 4
    error: early.toml should not be signed: 1 error
      next: correct the listed errors and check again

    old.toml:3: error: the policy is version 4, and version 5 is in force: versions only rise
      next: raise `version`
    exit 4
    error: old.toml should not be signed: 1 error
      next: correct the listed errors and check again

    exit 2
    error: the policy of demo-small does not follow one of demo-large
      next: give the policy of the same checkpoint with --against
    ");
    let shown: Value =
        serde_json::from_str(&succeed(folder.path(), "policy show keeps.toml --json")).unwrap();
    assert_eq!(shown["policies"][0]["keeps_grants_from"], 4);
}

/// One request as a line of JSON.
fn request(organization: &str, edits: &[(&str, Value)]) -> String {
    let mut request = json!({
        "checkpoint": "demo-small", "person": "0f".repeat(32), "organization": organization, "days": 90,
        "uses": ["detection"], "agreement": "00".repeat(32), "approvals": { "board": 2 },
    });
    for (key, value) in edits {
        request[key] = value.clone();
    }
    format!("{request}\n")
}

#[test]
fn simulate_replays_requests_against_a_draft() {
    let folder = workplace();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("old.toml", PARTNERS);
    write(
        "draft.toml",
        &edited(&[
            ("board = 2", "board = 3"),
            ("[\"Example", "[\"Cornell University\", \"Example"),
            ("max_days = 180", "max_days = 60"),
        ]),
    );
    write("agreement.md", "promise");
    let requests = [
        request("Example University", &[]),
        request("Cornell University", &[("days", json!(30))]),
        request("Example University", &[("uses", json!(["detection", "poetry"])), ("approvals", json!({}))]),
        request("Example University", &[("days", json!(30)), ("approvals", json!({ "board": 3 }))]),
    ];
    write("requests.jsonl", &requests.join("\n"));
    let at = "--at 2026-01-01T00:00:00Z --requests requests.jsonl";
    insta::assert_snapshot!(succeed(folder.path(), &format!("policy simulate draft.toml --stage partners --in-force old.toml {at}")), @"
    1. 0f0f0f0f of 'Example University': refuses, and the policy in force permits
       draft: days: 90 days are asked for, and at most 60 may be
       draft: approvals: 2 of 3 approvals of board
    2. 0f0f0f0f of 'Cornell University': waits, and the policy in force refuses
       draft: approvals: 2 of 3 approvals of board
       in force: audience: 'Cornell University' is not admitted, nor is the person named; admitted: 'Example University'
    3. 0f0f0f0f of 'Example University': refuses, as the policy in force does
       draft: uses: not open here: poetry; open: bias-analysis, detection
       draft: days: 90 days are asked for, and at most 60 may be
       draft: approvals: 0 of 3 approvals of board
    4. 0f0f0f0f of 'Example University': permits, as the policy in force does
    of 4 requests, the draft permits 1, lets 1 wait and refuses 2; 2 answers change
    ");
    let alone = format!("policy simulate draft.toml --stage partners --agreement agreement.md {at}");
    let agreed = succeed(folder.path(), &alone);
    assert!(agreed.ends_with("the draft permits 0, lets 0 wait and refuses 4\n"), "{agreed}");
    let report: Value = serde_json::from_str(&succeed(folder.path(), &format!("{alone} --json"))).unwrap();
    assert_eq!(report["requests"][0]["draft"]["verdict"], "failed");
    assert_eq!(report["requests"][0]["draft"]["rules"][0]["rule"], "policy-for-this-checkpoint");
    insta::assert_snapshot!(refuse(folder.path(), &format!("policy simulate draft.toml --stage secret {at}")), @"
    exit 2
    error: the draft has no stage `secret`
      next: its stages: partners, public
    ");
    write("requests.jsonl", "\n{\"checkpoint\": \"demo-small\", \"colour\": 1}\n");
    insta::assert_snapshot!(refuse(folder.path(), &format!("policy simulate draft.toml --stage partners {at}")), @"
    exit 4
    error: requests.jsonl: line 2 is not an application: unknown field `colour`, expected one of `checkpoint`, `person`, `organization`, `confirmed_until`, `uses`, `days`, `agreement`, `approvals`, `approvers` at column 37
      next: correct or remove that line
    ");
    insta::assert_snapshot!(refuse(folder.path(), &format!("policy simulate draft.toml --stage Partners {at}")), @"
    exit 2
    error: invalid value 'Partners' for '--stage <STAGE>': `Partners` is not a stage's name: use 1 to 64 of a-z, 0-9 and `-`, beginning with a letter or digit

    For more information, try '--help'.
    ");
}

#[test]
fn a_report_that_cannot_be_written_is_no_defect_and_a_closed_pipe_is_silent() {
    let folder = workplace();
    fs::write(folder.path().join("p.toml"), PARTNERS).unwrap();
    for json in ["", "--json"] {
        let mut command = portcullis();
        command.current_dir(folder.path()).args(["policy", "check", "p.toml"]);
        command.args(json.split_whitespace());
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{json}");
        let said = text(&output.stderr);
        assert!(said.contains("cannot write to standard output: No space left on device"), "{said}");
        assert!(said.contains("make room where its output goes") && !said.contains("defect"), "{said}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{json}");
    }
}

#[test]
fn a_refusal_in_json_says_what_is_missing() {
    let folder = workplace();
    let said = refuse(folder.path(), "deny 3f2a9c --json");
    let said: serde_json::Value = serde_json::from_str(said.lines().nth(1).unwrap()).unwrap();
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains("--reason <REASON>"), "{message}");
    let hint = said["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("usage: portcullis deny"), "{hint}");
    let said = refuse(folder.path(), "requst new tiny --json");
    assert!(
        said.contains("requst") && said.contains("similar subcommand") && said.contains("'request'"),
        "{said}"
    );
}
