//! What a researcher, and everybody, meets: lists, `status`, ids, and a registry that does not answer.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::people::{ID, Scene};
use crate::support::served::{Database, Served};
use crate::support::{failure, text};

const NEW: &str = "request new tiny --purpose Detectors --use detection --days 30 --accept-agreement";

/// Replaces what differs between runs, ages and fingerprints too.
fn stable(served: &Served, text: &str) -> String {
    let text = served.scene.stable(text).replace(&served.process.url, "<registry>");
    let patterns = [
        (r"\([0-9a-f]{8}\)", "(<key>)"),
        (r"\b\d+ s\b", "<age>"),
        // Of thirty days, in the same second or after it.
        (r"\b(29|30) d\b", "29 d"),
        (r"\b\d+ (d|h) left", "<time> left"),
        (r"\b\d+\.\d+ kB", "<size>"),
        (r" {2,}", "  "),
    ];
    patterns.iter().fold(text, |text, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
    })
}

fn said(served: &Served, person: &str, command: &str) -> String {
    stable(served, &served.scene.succeed(person, command))
}

#[test]
fn status_tells_a_newcomer_how_to_begin() {
    let scene = Scene::with_people();
    let nobody = scene.succeed("nobody", "status");
    assert!(
        nobody.contains("no identity yet") && nobody.contains("next: portcullis identity new"),
        "{nobody}"
    );
    let rosa = scene.succeed("rosa", "status");
    assert!(rosa.contains("none joined yet") && rosa.contains("next: portcullis join"), "{rosa}");
    assert_eq!(scene.json("nobody", "status")["you"], serde_json::Value::Null);
}

#[test]
fn status_and_lists_follow_a_request_until_it_is_approved() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    insta::assert_snapshot!(said(&served, "rosa", "list"), @"
    CHECKPOINT  STAGE  GRANT  LEASE  VAULT
    tiny  partners  none  none  not pulled
    ");
    let asks = said(&served, "rosa", "status");
    assert!(asks.contains("next: portcullis request new tiny --terms"), "{asks}");

    let request = scene.digits(&scene.json("rosa", NEW)["request"]);
    insta::assert_snapshot!(said(&served, "ada", "status"), @"
    you  ada (<key>), Lab
    home  <scene>/homes/ada
    registry  <registry>
    offices  on the board of tiny, owner of the catalogue

    CHECKPOINT  STAGE  GRANT  LEASE  VAULT
    tiny  partners  none  none  not pulled

    waits for you: 1 thing
    WHAT  AGE  LOOK AT IT WITH
    rosa (<key>) asks for tiny, pending: 0 of 2 approvals  <age>  portcullis request show <digits>

    next: portcullis request show <digits>
      rosa (<key>) asks for tiny, pending: 0 of 2 approvals
    ");
    insta::assert_snapshot!(said(&served, "rosa", "request list"), @"
    REQUEST  CHECKPOINT  WHO  AGE  DAYS  STATE
    <digits>  tiny  rosa (<key>)  <age>  30  pending: 0 of 2 approvals
    ");
    scene.succeed("ada", &format!("approve {request}"));
    assert!(!said(&served, "ada", "status").contains("waits for you"));
    insta::assert_snapshot!(said(&served, "ben", &format!("request show {request}")), @"
    pending: 1 of 2 approvals
      request  <digest>
      checkpoint  tiny in stage `partners`
      who  rosa, University (unconfirmed)
      key id  <digest>
      uses  detection
      days  30
      agreement  accepted
      asked  <time>
      purpose  Detectors
      approved  board, 2 needed: ada (<key>) on <time>; 1 more of ben (<key>), cy (<key>)
      queue  1st of those that wait; nothing was decided yet
      <time>  pending by rosa
    ");
}

#[test]
fn status_and_lists_follow_a_grant_until_it_is_revoked() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    served.granted();
    let granted = said(&served, "rosa", "status");
    assert!(granted.contains("next: portcullis pull tiny"), "{granted}");
    insta::assert_snapshot!(said(&served, "rosa", "pull tiny"), @r#"
    tiny is in the vault: <size>, 6 chunks, 0 of them there already; 4 new statements
    your grant stands until <time>
      next: `portcullis run tiny "…"`
    "#);
    scene.succeed("rosa", "run tiny Hello -n 2");
    insta::assert_snapshot!(said(&served, "rosa", "status"), @r#"
    you  rosa (<key>), University
    home  <scene>/homes/rosa
    registry  <registry>

    CHECKPOINT  STAGE  GRANT  LEASE  VAULT
    tiny  partners  stands, <time> left  <time> left  <size>

    YOUR REQUEST  CHECKPOINT  AGE  DAYS  STATE
    <digits>  tiny  <age>  30  granted until <date>

    next: portcullis run tiny "…"
      ready, also offline
    "#);
    insta::assert_snapshot!(said(&served, "cy", "grant list"), @"
    GRANT  CHECKPOINT  WHO  STAGE  AGE  LEFT  STATE
    <digits>  tiny  rosa (<key>)  partners  <age>  29 d  stands
    ");
    assert_eq!(scene.succeed("eve", "grant list"), "no grants\n");
    let grants = scene.json("rosa", "grant list");
    assert_eq!((&grants[0]["stands"], &grants[0]["grant"]["checkpoint"]), (&true.into(), &ID.into()));

    // Offline it says the same, with its age.
    let offline = said(&served, "rosa", "status --offline");
    assert!(offline.contains("out of reach: --offline was given"), "{offline}");
    assert!(offline.contains("as seen") && offline.contains("granted until"), "{offline}");
    let grant = scene.digits(&grants[0]["digest"]);
    scene.succeed("cy", &format!("revoke {grant} --reason Over"));
    insta::assert_snapshot!(said(&served, "rosa", "grant list"), @"
    GRANT  CHECKPOINT  WHO  STAGE  AGE  LEFT  STATE
    <digits>  tiny  rosa (<key>)  partners  <age>  29 d  the grant was revoked on <time>: Over
    ");
}

#[test]
fn a_request_is_asked_for_at_a_terminal_renewed_from_another_and_refused_in_few_words() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let long = scene.refuse("rosa", &format!("request new tiny --purpose {}", "x".repeat(5000)));
    assert!(long.len() < 400 && long.contains("it has 5000 characters; at most 4000 are accepted"), "{long}");
    insta::assert_snapshot!(scene.refuse("rosa", "request new tiny"), @r#"
    exit 2
    error: a request says what for
      next: give --purpose "…", or --renew with a request of yours; at a terminal it is asked for
    "#);
    let line = format!("{} --home homes/rosa request new tiny", env!("CARGO_BIN_EXE_portcullis"));
    let answers = [("n\n", false), ("y\nHow well do detectors do?\ndetection\ny\n", true)];
    for (answer, is_asked) in answers {
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(scene.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), answer.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        let shown = text(&done.stdout);
        assert_eq!(done.status.success(), is_asked, "{shown}");
        assert!(shown.contains("You tell nobody.") && shown.contains("Accept this agreement?"), "{shown}");
    }
    let asked = scene.json("rosa", "request list");
    assert_eq!(asked.as_array().unwrap().len(), 1, "{asked}");
    let first = &asked[0]["request"];
    assert_eq!((&first["purpose"], &first["days"]), (&"How well do detectors do?".into(), &30.into()));
    let digits = scene.digits(&asked[0]["digest"]);
    let renewed =
        scene.json("rosa", &format!("request new tiny --renew {digits} --accept-agreement --days 9"));
    let shown = scene.json("rosa", &format!("request show {}", scene.digits(&renewed["request"])));
    let copy = &shown["request"];
    assert_eq!(
        (&copy["purpose"], &copy["uses"], &copy["days"]),
        (&first["purpose"], &first["uses"], &9.into())
    );
    assert_eq!(copy["renews"], asked[0]["digest"]);
    let refused = scene.refuse("ada", &format!("request new tiny --renew {digits} --accept-agreement"));
    assert!(refused.contains("the request is by rosa for tiny"), "{refused}");
}

#[test]
fn the_author_of_an_organizations_request_sees_how_it_stands() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    scene.succeed("uma", "identity new --name uma --no-passphrase --organization University");
    scene.succeed("uma", "identity card --to cards/uma.card");
    scene.succeed("uma", &format!("join {} --root root.json", served.process.url));
    let request = scene.digits(&scene.json("rosa", &format!("{NEW} --member cards/uma.card"))["request"]);
    assert!(scene.succeed("rosa", "request list").contains("pending: 0 of 2 approvals"));
    scene.succeed("ada", &format!("approve {request}"));
    assert!(scene.succeed("rosa", "request list").contains("pending: 1 of 2 approvals"));
    scene.succeed("ben", &format!("approve {request}"));
    let listed = scene.succeed("rosa", "request list");
    assert!(listed.contains("granted until") && listed.contains("and 1 more"), "{listed}");
    assert!(scene.succeed("rosa", "status").contains("granted until"));
}

#[test]
fn digits_that_name_nothing_or_several_things_come_with_what_may_be_meant() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let request = scene.digits(&scene.json("rosa", NEW)["request"]);
    // One digit wrong.
    let wrong = if request.ends_with('0') { '1' } else { '0' };
    let typo = format!("{}{wrong}", &request[..11]);
    let refused = scene.refuse("ada", &format!("request show {typo}"));
    insta::assert_snapshot!(stable(&served, &refused), @"
    exit 2
    error: no request begins with `<digits>`
      next: did you mean <digits> (tiny, rosa (<key>), <age>)? `portcullis request list` shows what is there
    ");
    assert!(scene.succeed("ada", &format!("request show {}", request.to_uppercase())).contains("rosa"));
    scene.succeed("ada", &format!("approve {request}"));
    let grant = scene.approve("ben", &request);
    insta::assert_snapshot!(stable(&served, &scene.refuse("ada", &format!("request show {grant}"))), @"
    exit 2
    error: `<digits>` is a grant, not a request
      next: did you mean the request <digits> (tiny, rosa (<key>), <age>)?
    ");
    insta::assert_snapshot!(stable(&served, &scene.refuse("ada", &format!("grant show {request}"))), @"
    exit 2
    error: `<digits>` is a request, not a grant
      next: did you mean the grant <digits> (tiny, rosa (<key>), <age>)?
    ");
    insta::assert_snapshot!(stable(&served, &scene.refuse("ada", &format!("request assign {request} --to dora"))), @"
    exit 2
    error: `dora` names nobody here
      next: give a name, or six digits of a key id: ada (<key>), ben (<key>), cy (<key>)
    ");
    let assigned = said(&served, "ada", &format!("request assign {request} --to Ben"));
    assert_eq!(assigned, "request <digits> is looked after by ben\n");
}

#[test]
fn a_registry_that_does_not_answer_is_not_waited_for_twice() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    served.granted();
    scene.succeed("rosa", "pull tiny");
    scene.succeed("rosa", "run tiny Hello -n 2");
    // It takes connections, and says nothing.
    let address = served.process.url.strip_prefix("http://").unwrap().to_owned();
    let Served { scene, process, .. } = served;
    assert!(process.stop());
    let silent = TcpListener::bind(&address).unwrap();
    let first = scene.run("rosa", "run tiny Hello -n 2");
    assert!(first.status.success(), "{}", failure(&first));
    assert!(
        text(&first.stderr).contains("did not answer in time); using the catalogue as seen last"),
        "{}",
        failure(&first)
    );
    let second = scene.run("rosa", "run tiny Hello -n 2");
    assert!(second.status.success(), "{}", failure(&second));
    assert!(text(&second.stderr).contains("it did not answer"), "{}", failure(&second));
    drop(silent);
    // What needs the registry calls it all the same, and says plainly what is wrong.
    let needed = scene.refuse("rosa", "request list");
    assert!(needed.contains("refused the connection") || needed.contains("did not answer"), "{needed}");
    let told = scene.refuse("rosa", "request list --offline");
    assert!(told.contains("--offline was given") && told.starts_with("exit 5"), "{told}");
}

#[test]
fn a_registry_that_is_stopped_or_silent_is_said_soon_and_in_plain_words() {
    let served = Served::released(Database::Sqlite, "partners");
    let (request, _) = served.granted();
    let Served { scene, process, .. } = served;
    scene.succeed("rosa", "pull tiny");
    let (url, address) = (process.url.clone(), process.url.strip_prefix("http://").unwrap().to_owned());
    assert!(process.stop());
    let commands = [
        ("rosa", "lease".to_owned()),
        ("ada", "pull tiny".to_owned()),
        ("rosa", "request list".to_owned()),
        ("rosa", "catalogue refresh".to_owned()),
        ("ada", format!("request show {request}")),
        ("august", "audit verify".to_owned()),
    ];
    let refusals = |max: Duration| {
        let mut said = BTreeSet::new();
        for (person, command) in &commands {
            let begun = Instant::now();
            let refused = scene.refuse(person, command).replace(&url, "<registry>");
            assert!(begun.elapsed() < max, "{command} took {:?}: {refused}", begun.elapsed());
            let notes = refused.lines().filter(|line| line.starts_with("note: ")).count();
            assert!(notes <= 1, "{command}: {refused}");
            said.extend(refused.lines().filter(|line| !line.starts_with("note: ")).map(str::to_owned));
        }
        said.into_iter().collect::<Vec<_>>().join("\n")
    };
    // A command takes a while to begin where others build; the registry refuses at once, and is called twice.
    insta::assert_snapshot!(refusals(Duration::from_secs(8)), @"
      next: check the address and the network, and try again
    error: cannot reach <registry>: nothing listens there: it refused the connection
    exit 5
    ");
    let silent = TcpListener::bind(&address).unwrap();
    insta::assert_snapshot!(refusals(Duration::from_secs(20)), @"
      next: check the address and the network, and try again
    error: cannot reach <registry>: it took the connection and did not answer in time
    exit 5
    ");
    drop(silent);
}

#[test]
fn status_watches_until_it_is_asked_to_end() {
    let scene = Scene::released("partners");
    let home = scene.at("homes/rosa");
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["status", "--watch", "1", "--json", "--home"])
        .arg(home)
        .current_dir(scene.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    for _ in 0..2 {
        let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["you"]["name"], "rosa");
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
