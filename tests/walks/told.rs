//! What people are told without asking: shares that a board still has to hand over, decisions about a person, a registrar's withdrawal.

use std::time::Duration;

use portcullis::policy::ReleaseFiles;

use crate::support::people::POLICY;
use crate::support::served::{Database, Served};
use crate::support::{failure, text};

#[test]
fn a_release_to_everybody_says_that_the_shares_are_to_be_handed_over() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    scene.succeed("ada", "release tiny --stage public");
    let review = scene.json("ben", "catalogue review");
    let digest = review["proposed"][0]["digest"].as_str().unwrap();
    let signed = scene.succeed("ben", &format!("catalogue sign tiny {digest}"));
    let next = "next: `portcullis handover tiny` (0 of 2 shares handed over)";
    assert!(signed.contains("in force  tiny") && signed.contains(next), "{signed}");
    let status = scene.succeed("cy", "status");
    assert!(status.contains("next: portcullis handover tiny"), "{status}");
    assert!(status.contains("0 of 2 shares handed over"), "{status}");
    // Who wants to run it is told what it waits for, and so is who looks at the request.
    let said = scene.refuse("rosa", "run tiny Hello -n 1");
    insta::assert_snapshot!(said.split_once("error: ").unwrap().1, @"
    tiny is in stage `public`, where the registry grants by itself, and its board has not handed over its shares yet
      next: its members run `portcullis handover tiny`; your request <digits> waits until then; ask ada (Lab), ben (Lab) or cy (Lab) of the board
    ");
    let request = scene.digits(&scene.json("rosa", "request list")[0]["digest"]);
    for person in ["rosa", "ada"] {
        let shown = scene.succeed(person, &format!("request show {request}"));
        let waits = "waits for    the board, which has not handed over its shares: its members run `portcullis handover tiny`";
        assert!(shown.contains(waits), "{shown}");
    }
    scene.hand_over("ada");
    let status = scene.succeed("ada", "status");
    assert!(!status.contains("handover"), "hers is there: {status}");
    assert!(scene.succeed("ben", "status").contains("1 of 2 shares handed over"));
    scene.hand_over("cy");
    assert!(!scene.succeed("ben", "status").contains("handover"));
    scene.succeed("rosa", "run tiny Hello -n 1");
}

#[test]
fn a_person_is_told_what_auditors_decided_about_them() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let (_, grant) = served.granted();
    scene.succeed("rosa", "pull tiny");
    let case = scene.open_case("august", &grant);
    scene.decide("august", &case, "warn --reason Careful");
    let status = scene.succeed("rosa", "status");
    assert!(status.contains("a case about you over tiny: a warning: Careful"), "{status}");
    assert!(status.contains(&format!("next: portcullis case show {case}")), "{status}");
    let run = scene.run("rosa", "run tiny Hello -n 1");
    let noted = text(&run.stderr);
    let note = format!("decided a case about you: a warning: Careful (`portcullis case show {case}`)");
    assert!(run.status.success() && noted.contains(&note), "{}", failure(&run));

    scene.decide("august", &case, "suspend --days 3 --reason Pending");
    let status = scene.stable(&scene.succeed("rosa", "status"));
    assert!(status.contains("suspended until <time>") && !status.contains("ready"), "{status}");
    assert!(status.contains("a case about you over tiny: suspended until <time>: Pending"), "{status}");
    assert!(!status.contains("valid,"), "{status}");
    for person in ["ada", "rosa"] {
        let listed = scene.stable(&scene.succeed(person, "grant list"));
        assert!(listed.contains("suspended until <time>"), "{listed}");
    }
    scene.decide("august", &case, "revoke --reason Misuse");
    let said = scene.refuse("rosa", "lease tiny");
    assert!(said.contains("`portcullis case list` shows the case"), "{said}");
    assert!(said.contains("portcullis case appeal <case>"), "{said}");
    assert!(scene.succeed("rosa", "status").contains("the grant is revoked: Misuse"));
}

#[test]
fn a_checkpoint_does_not_enter_the_stage_that_it_is_in() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let since = |scene: &crate::support::people::Scene| {
        scene.succeed("august", "audit verify --json");
        let report = scene.json("august", "audit report --format json");
        report["releases"].as_array().unwrap().clone()
    };
    let before = since(scene);
    for command in ["release tiny --stage partners", "catalogue propose tiny --stage partners"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(scene.refuse("ada", command), @"
            exit 2
            error: tiny is in stage `partners` already
              next: name another stage; propose a policy, an agreement or a manifest without a stage: `portcullis catalogue propose tiny --policy policy.toml`
            ");
        }
    }
    // A new policy comes into force in the stage, and its days go on.
    std::thread::sleep(Duration::from_millis(1100));
    served.propose(&POLICY.replace("version = 1", "version = 2"), "partners");
    assert!(scene.succeed("rosa", "request new tiny --terms").contains("version 2"));
    assert_eq!(since(scene), before);
    // A program that proposes it all the same is refused by the registry, and by those who sign.
    let stage = |since: &str| {
        format!(r#"{{"schema":1,"checkpoint":"tiny","stage":"partners","since":"{since}"}}"#).into_bytes()
    };
    let files = ReleaseFiles {
        policy: Some(POLICY.as_bytes().to_vec()),
        stage: Some(stage("2026-02-01T00:00:00Z")),
        published_stage: Some(stage("2026-01-01T00:00:00Z")),
        has_agreement: true,
        ..ReleaseFiles::default()
    };
    let refused = files.require_coherent(&"tiny".parse().unwrap()).unwrap_err();
    let words = "tiny is in stage `partners` already: entering it again would count its days anew";
    assert_eq!(refused.to_string(), words);
    let same = ReleaseFiles { published_stage: files.stage.clone(), ..files };
    same.require_coherent(&"tiny".parse().unwrap()).unwrap();
}

#[test]
fn who_approves_is_told_what_a_registrar_withdrew() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    scene.succeed("remy", "identity new --name remy --no-passphrase");
    scene.succeed("remy", "identity card --to cards/remy.card");
    scene.succeed("remy", &format!("join {} --root root.json", served.process.url));
    scene.succeed("ada", "catalogue organization add University --registrar cards/remy.card");
    scene.sign_all("ben", "");
    scene.succeed("remy", "affiliation confirm cards/rosa.card --organization University --days 30");
    let request = scene.request();
    std::thread::sleep(Duration::from_millis(1100));
    scene.succeed("remy", "affiliation withdraw cards/rosa.card --organization University --reason Left");
    let shown = scene.stable(&scene.succeed("ada", &format!("request show {request}")));
    assert!(shown.contains("University (unconfirmed: remy withdrew it on <date>: Left)"), "{shown}");
    let approved = scene.run_as_given("ada", &format!("approve {request} --yes"));
    let paper = scene.stable(&text(&approved.stderr));
    let line =
        "that rosa belongs to University: remy withdrew it on <date>: Left; by signing, you confirm it";
    assert!(approved.status.success() && paper.contains(line), "{paper}");
}

#[test]
fn an_agreement_of_another_stage_is_not_asked_for() {
    let served = Served::released(Database::Sqlite, "public");
    let scene = &served.scene;
    let terms = scene.succeed("rosa", "request new tiny --terms");
    assert!(!terms.contains("agreement"), "{terms}");
    assert!(scene.json("rosa", "request new tiny --terms")["agreement"].is_null());
    let request = scene.json("rosa", "request new tiny --purpose Try --accept-agreement");
    let shown = scene.succeed("rosa", &format!("request show {}", scene.digits(&request["request"])));
    assert!(shown.contains("agreement    none"), "{shown}");
}
