//! Requests of an organization: one question for several named people, one decision, a grant for each.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::people::{ID, Scene};
use support::served::{Ask, Database, Served, ask};

const NEW: &str = "request new tiny --purpose Detectors --use detection --days 30 --accept-agreement";

/// More people, who joined the registry.
fn join(served: &Served, person: &str, organization: &str) {
    let scene = &served.scene;
    let new = format!("identity new --name {person} --no-passphrase --organization {organization}");
    scene.succeed(person, &new);
    scene.succeed(person, &format!("identity card --to cards/{person}.card"));
    scene.succeed(person, &format!("join {} --root root.json", served.process.url));
}

fn shown(scene: &Scene, person: &str, request: &str) -> String {
    scene.stable(&scene.succeed(person, &format!("request show {request}")))
}

fn of_a_university(stage: &str) -> (Served, String) {
    let served = Served::released(Database::Sqlite, stage);
    join(&served, "uma", "University");
    join(&served, "vic", "University");
    let new = format!("{NEW} --member cards/uma.card --member cards/vic.card");
    let request = served.scene.digits(&served.scene.json("rosa", &new)["request"]);
    (served, request)
}

#[test]
fn one_decision_gives_each_named_member_a_grant_of_their_own() {
    let (served, request) = of_a_university("partners");
    let scene = &served.scene;
    insta::assert_snapshot!(scene.stable(&scene.succeed("ada", &format!("approve {request}"))), @"
    signed the grant <digits>: tiny for rosa, 30 days, until <date>
    signed the grant <digits>: tiny for uma, 30 days, until <date>
    signed the grant <digits>: tiny for vic, 30 days, until <date>
    1 of 2 approvals: 1 more to come.
    ");
    assert!(shown(scene, "ben", &request).starts_with("pending: 1 of 2"));
    let approved = scene.json("ben", &format!("approve {request}"));
    assert_eq!((approved["stands"].as_bool(), approved["grants"].as_array().unwrap().len()), (Some(true), 3));
    insta::assert_snapshot!(shown(scene, "rosa", &request), @"
    granted until <date>
      request      <digest>
      checkpoint   tiny in stage `partners`
      who          rosa, University (unconfirmed)
      key id       <digest>
      and          uma, University (unconfirmed), key id <digest>
      and          vic, University (unconfirmed), key id <digest>
      uses         detection
      days         30
      agreement    accepted
      asked        <time>
      purpose      Detectors
      approved     board, 2 needed: ada (<key>) on <time>, ben (<key>) on <time>
      <time>  pending by rosa
      <time>  granted by ben: until <time>
    ");
    for person in ["rosa", "uma", "vic"] {
        scene.succeed(person, &format!("pull {ID}"));
        scene.succeed(person, &format!("run {ID} Hello -n 2"));
    }
    // What is uma's is not vic's to see.
    let grants = served.get_as("vic", "/v1/statements?kind=grant").json();
    // In one envelope for each who approved.
    assert_eq!(grants["statements"].as_array().unwrap().len(), 2, "{grants}");

    let of_uma = scene.digits(&approved["grants"][1]);
    scene.succeed("cy", &format!("revoke {of_uma} --reason Left"));
    insta::assert_snapshot!(scene.refuse("uma", &format!("run {ID} Hello")), @"
    exit 3
    error: the grant <digits> for `tiny` is not valid: the grant was revoked on <time>: Left
      next: stop using it; write to ada (Lab), ben (Lab) or cy (Lab) of the board if you think that this is a mistake
    ");
    scene.succeed("vic", &format!("run {ID} Hello -n 2"));
    let after = shown(scene, "rosa", &request);
    assert!(after.starts_with("granted until") && after.contains("but no longer for uma: Left"), "{after}");
    for grant in [0, 2] {
        let grant = scene.digits(&approved["grants"][grant]);
        scene.succeed("cy", &format!("revoke {grant} --reason Over"));
    }
    assert!(shown(scene, "rosa", &request).starts_with("ended: the grant was revoked"));
}

#[test]
fn a_public_stage_answers_for_each() {
    let served = Served::released(Database::Sqlite, "public");
    let scene = &served.scene;
    join(&served, "uma", "University");
    for member in ["ada", "ben"] {
        scene.succeed(member, &format!("handover {ID}"));
    }
    scene.succeed("rosa", &format!("{NEW} --member cards/uma.card"));
    for person in ["rosa", "uma"] {
        scene.succeed(person, &format!("pull {ID}"));
        scene.succeed(person, &format!("run {ID} Hello -n 2"));
    }
}

#[test]
fn a_folder_does_as_well() {
    let scene = Scene::released("partners");
    scene.succeed("uma", "identity new --name uma --no-passphrase --organization University");
    scene.succeed("uma", "identity card --to cards/uma.card");
    scene.succeed("uma", "join registry --root registry/catalogue/metadata/1.root.json");
    let request = scene.digits(&scene.json("rosa", &format!("{NEW} --member cards/uma.card"))["request"]);
    scene.succeed("ada", &format!("approve {request}"));
    scene.succeed("ben", &format!("approve {request}"));
    scene.succeed("registry", "lease issue");
    scene.succeed("uma", &format!("pull {ID}"));
    scene.succeed("uma", &format!("run {ID} Hello -n 2"));
}

#[test]
fn members_are_of_the_authors_organization_and_named_once() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    join(&served, "uma", "University");
    let refused = |person: &str, members: &str| scene.refuse(person, &format!("{NEW} {members}"));
    insta::assert_snapshot!([
        refused("rosa", "--member cards/ada.card"),
        refused("rosa", "--member cards/eve.card"),
        refused("eve", "--member cards/uma.card"),
        refused("rosa", "--member cards/uma.card --member cards/uma.card"),
        refused("rosa", "--member cards/rosa.card"),
        refused("rosa", "--member agreement.md"),
        refused("rosa", "--member cards/nobody.card"),
        refused("rosa", &"--member cards/uma.card ".repeat(51)),
    ].join("\n"), @"
    exit 2
    error: ada is not of University, by their card
      next: name only members of your own organization, each once (`identity card` prints a card); send a second request for more

    exit 2
    error: eve is not of University, by their card
      next: name only members of your own organization, each once (`identity card` prints a card); send a second request for more

    exit 2
    error: uma is not of the author's organization, which has none on record, by their card
      next: name only members of your own organization, each once (`identity card` prints a card); send a second request for more

    exit 2
    error: uma is named twice
      next: name only members of your own organization, each once (`identity card` prints a card); send a second request for more

    exit 2
    error: rosa is named twice
      next: name only members of your own organization, each once (`identity card` prints a card); send a second request for more

    exit 4
    error: cannot use agreement.md: not a signed statement: expected value at line 1 column 1
      next: ask its sender to send it again

    exit 5
    error: cannot read cards/nobody.card: No such file or directory (os error 2)
      next: check the path

    exit 2
    error: it names 51 members; at most 50 may be named in one request
      next: name only members of your own organization, each once (`identity card` prints a card); send a second request for more
    ");
}

#[test]
fn nobody_approves_a_request_that_names_them() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    join(&served, "lia", "Lab");
    let request = scene.digits(&scene.json("lia", &format!("{NEW} --member cards/ada.card"))["request"]);
    insta::assert_snapshot!(scene.refuse("ada", &format!("approve {request}")), @"
    exit 3
    error: you cannot approve your own request
      next: the other members must approve it
    ");
    scene.succeed("ben", &format!("approve {request}"));
    // As a client that does not look would: ada signs the grant to lia that ben signed.
    let page = served.get_as("ben", "/v1/statements?kind=grant").json();
    let theirs: Vec<_> = page["statements"].as_array().unwrap().iter().collect();
    let identity = scene.identity("ada");
    let signer = identity.signer(None).unwrap();
    for grant in theirs {
        let text = grant["envelope"].to_string();
        let mut envelope = portcullis::statement::Envelope::parse(text.as_bytes()).unwrap();
        envelope.sign(&*signer).unwrap();
        let url = format!("{}/v1/statements", served.process.url);
        let refused = ask(&Ask { url, method: "POST", body: Some(envelope.to_json()), ..Ask::default() });
        insta::allow_duplicates! {
            insta::assert_snapshot!(refused.json()["detail"].as_str().unwrap(), @"nobody may approve their own request");
        }
    }
    scene.succeed("cy", &format!("approve {request}"));
    assert!(shown(scene, "lia", &request).starts_with("granted until"));
}
