//! Boards and their policies: writing one, reading its terms, trying a change on what stands, and ending what was granted.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use portcullis::catalogue::{CheckpointFile, Days, Proposer, Repository};
use portcullis::time::Timestamp;
use serde_json::Value;

use crate::support::people::{ID, POLICY, Scene};
use crate::support::served::{Database, Served};
use crate::support::{failure, portcullis, text};

/// Runs a command as a person, with a text on standard input.
fn pipe(scene: &Scene, person: &str, arguments: &str, input: &str) -> String {
    let mut command = portcullis();
    command.current_dir(scene.path()).arg("--home").arg(scene.at("homes").join(person));
    command.args(arguments.split_whitespace()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    format!("{}{}", text(&output.stdout), failure(&output))
}

#[test]
fn a_grant_is_revoked_by_the_request_that_it_answers() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let request = scene.request();
    insta::assert_snapshot!(scene.refuse("ada", &format!("revoke {request} --reason Early")), @"
    exit 2
    error: the request <digits> has no grant that could be revoked
      next: deny it: `portcullis deny <digits> --reason <why>`
    ");
    scene.succeed("ada", &format!("approve {request}"));
    let grant = scene.approve("ben", &request);
    let shown = scene.run_as_given("ada", &format!("revoke {request} --reason Stolen --yes"));
    assert!(shown.status.success(), "{}", failure(&shown));
    let paper = text(&shown.stderr);
    assert!(paper.contains("revoke the grant of rosa") && paper.contains(&grant), "{paper}");
    assert!(text(&shown.stdout).contains(&grant), "{}", text(&shown.stdout));
    assert!(scene.succeed("rosa", &format!("request show {request}")).contains("revoked"));
    let said = scene.refuse("ada", "revoke ffffff --reason None");
    assert!(said.contains("grant"), "{said}");
}

#[test]
fn a_list_of_requests_is_put_to_a_draft() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    scene.request();
    scene.write(
        "draft.toml",
        &POLICY.replace("version = 1", "version = 2").replace("max_days = 90", "max_days = 10"),
    );
    let list = scene.succeed("ada", "request list --json");
    let simulate = "policy simulate draft.toml --in-force policy.toml --stage partners --requests -";
    let key = regex::Regex::new(r"\b[0-9a-f]{8}\b").unwrap();
    let said = scene.stable(&pipe(scene, "ada", simulate, &list));
    insta::assert_snapshot!(key.replace_all(&said, "<key>"), @"
    1. rosa (<key>) of 'University': refuses, and the policy in force waits
       draft: days: 30 days are asked for, and at most 10 may be
       draft: approvals: 0 of 2 approvals of board
       in force: approvals: 0 of 2 approvals of board
    of 1 requests, the draft permits 0, lets 0 wait and refuses 1; 1 answers change
    exit 0
    ");
    let mistyped = simulate.replace("--stage partners", "--stage partnerz");
    insta::assert_snapshot!(scene.stable(&pipe(scene, "ada", &mistyped, &list)), @"
    exit 2
    error: the draft has no stage `partnerz`
      next: its stages: internal, partners, public
    ");
    let said = pipe(scene, "ada", simulate, "[{\"colour\": 1}]");
    assert!(said.contains("standard input is no list of requests"), "{said}");
}

#[test]
fn terms_tell_for_whom_how_long_and_what_is_recorded() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    insta::assert_snapshot!(scene.stable(&scene.succeed("rosa", &format!("request new {ID} --terms"))), @"
    tiny is in stage `partners`
      for          people of Lab; people of University
      uses         bias-analysis, detection
      days         at most 90; 30 if you name none
      approvals    2 of the board
      lease        24 hours, renewed while the grant holds
      recorded     every use; prompts and outputs are sealed to the auditors, who can read them
      policy       version 1, which ends on <date>

    The agreement, which --accept-agreement accepts:

    You tell nobody.
    ");
    let terms = scene.json("rosa", &format!("request new {ID} --terms"));
    assert_eq!(terms["usage"], "sealed");
    assert_eq!((&terms["max_days"], &terms["default_days"]), (&90.into(), &30.into()));
    // Without a limit a grant still lasts the days that are asked for.
    served.propose(&POLICY.replace("version = 1", "version = 2"), "public");
    let terms = scene.succeed("rosa", &format!("request new {ID} --terms"));
    assert!(terms.contains("as many as you ask for with --days; 30 if you name none"), "{terms}");
    assert!(!terms.contains("unlimited"), "{terms}");
}

#[test]
fn terms_of_a_missing_or_a_broken_stage_are_refused_with_a_next_step() {
    let scene = Scene::founded();
    scene.write("policy.toml", POLICY);
    scene.succeed("ada", &format!("catalogue propose {ID} --policy policy.toml"));
    scene.sign_and_publish(["ada", "ben"]);
    insta::assert_snapshot!(scene.refuse("rosa", &format!("request new {ID} --terms")), @"
    exit 3
    error: the catalogue has no stage for `tiny` yet
      next: ask its board to propose and sign it: `portcullis catalogue propose tiny`
    ");

    let scene = Scene::released("partners");
    // A board with other programs signs a stage that its policy does not have.
    let checkpoint = ID.parse().unwrap();
    let repository = Repository::new(scene.at("registry/catalogue"));
    let stage = repository.published_file(&checkpoint, CheckpointFile::Stage).unwrap().unwrap();
    let stage = String::from_utf8(stage).unwrap().replace("partners", "everybody");
    let ada = scene.identity("ada");
    let by = Proposer::new(ada.card().verifying_key);
    let files = BTreeMap::from([(CheckpointFile::Stage, stage.into_bytes())]);
    let now = Timestamp::now();
    repository.propose(&checkpoint, &files, now.plus_days(90), &by).unwrap();
    for person in ["ada", "ben"] {
        let signer = scene.identity(person).signer(None).unwrap();
        for standing in repository.proposal_statuses().unwrap() {
            repository.sign(&*signer, &standing.subject, standing.digest).unwrap();
        }
    }
    let registry = scene.identity("registry").signer(None).unwrap();
    repository.publish(&*registry, now, Days::default()).unwrap();
    insta::assert_snapshot!(scene.refuse("rosa", &format!("request new {ID} --terms")), @"
    exit 3
    error: tiny is in stage `everybody`, which its policy (version 1) does not have: nobody can ask for it
      next: tell ada (Lab), ben (Lab) or cy (Lab) of the board: `portcullis catalogue propose tiny --stage <name>` names a stage that it has
    ");
}

#[test]
fn a_new_policy_is_sound_and_overwrites_nothing() {
    let scene = Scene::founded();
    let said = scene.succeed("ada", "policy new tiny");
    insta::assert_snapshot!(said, @"
    wrote tiny.toml
      next: edit it, then `portcullis policy check tiny.toml` and `portcullis catalogue propose tiny --policy tiny.toml`
    ");
    let checked = scene.succeed("ada", "policy check tiny.toml");
    assert!(checked.ends_with("is sound: 3 stages, 0 warnings\n"), "{checked}");
    let before = fs::read(scene.at("tiny.toml")).unwrap();
    let text = String::from_utf8(before.clone()).unwrap();
    let stages: Vec<_> = text.split("[[stage]]").skip(1).collect();
    let confirmed = stages.iter().map(|stage| stage.contains("\naudience.affiliation = \"confirmed\""));
    assert_eq!(confirmed.collect::<Vec<_>>(), [true, true, false], "{text}");
    insta::assert_snapshot!(scene.refuse("ada", "policy new tiny"), @"
    exit 2
    error: tiny.toml is there already, and is not overwritten
      next: name another file with --to, or remove that one
    ");
    assert_eq!(fs::read(scene.at("tiny.toml")).unwrap(), before);
    let other = "policy new tiny --stage lab,world --board 3 --days 7 --organization Lab --to other.toml";
    scene.succeed("ada", other);
    let shown: Value = scene.json("ada", "policy show other.toml");
    let stages = shown["policies"][0]["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 2);
    assert_eq!((&stages[1]["name"], &stages[1]["approvals"]["board"]), (&"world".into(), &3.into()));
    assert_eq!(stages[0]["limits"]["max_days"], 7);
    assert_eq!(stages[0]["audience"]["named"]["affiliation"], "confirmed", "{}", stages[0]);
    insta::assert_snapshot!(scene.refuse("ada", "policy new tiny --stage lab,lab --to twice.toml"), @"
    exit 2
    error: the stage `lab` is named twice
      next: give each stage a name of its own
    ");
}

#[test]
fn a_stage_entered_too_early_is_on_every_report() {
    let served = Served::released(Database::Sqlite, "internal");
    let scene = &served.scene;
    let verified = scene.succeed("august", "audit verify");
    assert!(!verified.contains("overruled"), "{verified}");
    served.propose(&POLICY.replace("version = 1", "version = 2"), "partners");
    let verified = scene.succeed("august", "audit verify");
    assert!(verified.starts_with("the record holds"), "{verified}");
    let words = "tiny entered stage `partners` against its policy: 30 days are over on";
    assert!(verified.contains("overruled by a board:") && verified.contains(words), "{verified}");
    assert!(scene.json("august", "audit verify")["remarks"][0]["what"].as_str().unwrap().starts_with(words));
    let report = scene.succeed("august", "audit report");
    assert!(report.contains("partners, against the policy: 30 days are over on"), "{report}");
    scene.succeed("august", "audit report --format html --output report.html");
    let html = fs::read_to_string(scene.at("report.html")).unwrap();
    assert!(html.contains("partners, against the policy: 30 days"), "{html}");
}

#[test]
fn a_change_of_policy_says_whose_grants_end() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let request = scene.request();
    scene.succeed("ada", &format!("approve {request}"));
    scene.approve("ben", &request);
    scene.succeed("rosa", &format!("pull {ID}"));
    let next = POLICY.replace("version = 1", "version = 2").replace("max_days = 90", "max_days = 10");
    scene.write("next.toml", &next);
    insta::assert_snapshot!(scene.stable(&scene.succeed("ben", "policy simulate next.toml --grants")), @"
    <digits>  rosa (key <digits>), stage partners, until <date>: ends: a change of policy ends every grant made before it
       asked for again, the draft refuses it: 30 days are asked for, and at most 10 may be
    of 1 grant for tiny: 0 kept, 1 ending
    ");
    let fates = scene.json("ben", "policy simulate policy.toml --grants");
    assert_eq!((&fates["kept"], &fates["end"]), (&1.into(), &0.into()), "{fates}");
    insta::assert_snapshot!(scene.refuse("rosa", "policy simulate next.toml --grants"), @"
    exit 3
    error: you are on no board that decides on tiny, so its grants are not yours to read
      next: ask one of its members: `portcullis catalogue status` names them
    ");
    scene.succeed("ada", &format!("catalogue propose {ID} --policy next.toml"));
    let review = scene.succeed("ben", "catalogue review");
    assert!(review.contains("ends 1 grant, which has to be asked for again: rosa (key "), "{review}");
    assert_eq!(scene.json("ben", "catalogue review")["proposed"][0]["grants"]["end"], 1);
    scene.sign_all("ben", "");
    let run = format!("run {ID} Hello --max-tokens 1");
    insta::assert_snapshot!(scene.refuse("rosa", &run), @"
    exit 3
    error: the grant <digits> for `tiny` does not count: the policy was replaced since: version 2 is in force, and a change of policy ends every grant made before it
      next: read the new terms, and ask again: `portcullis request new tiny --terms`, then `portcullis request new tiny --renew <digits>`
    ");
    insta::assert_snapshot!(scene.refuse("rosa", &format!("lease {ID}")), @"
    exit 3
    error: the grant <digits> for `tiny` does not count: the policy was replaced since: version 2 is in force, and a change of policy ends every grant made before it
      next: read the new terms, and ask again: `portcullis request new tiny --terms`, then `portcullis request new tiny --renew <digits>`
    ");
}
