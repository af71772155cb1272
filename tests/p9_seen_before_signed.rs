//! P9: a key signs only bytes that its person was shown, in words, by their own machine, or whose digest they gave.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use support::people::{ID, POLICY};
use support::served::{Database, Served};
use support::{failure, text};

/// Every command that signs for a person what others rely on, with a request, a grant and a case to name.
fn commands(request: &str, grant: &str, case: &str) -> Vec<(&'static str, String)> {
    vec![
        ("cy", format!("approve {request}")),
        ("cy", format!("deny {request} --reason No")),
        ("rosa", format!("request withdraw {request}")),
        ("ada", format!("revoke {grant} --reason No")),
        ("august", format!("case open {grant} --reason Odd")),
        ("august", format!("case assign {case}")),
        ("august", format!("case comment {case} Hm")),
        ("august", format!("case decide {case} warn --reason Careful")),
    ]
}

/// A registry with a grant, a case about it, and another request that waits; the digits to name them by.
fn setting() -> (Served, [String; 3]) {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let (_, grant) = served.granted();
    let case = scene.open_case("august", &grant);
    let new = format!("request new {ID} --purpose More --use detection --days 9 --accept-agreement");
    let request = scene.digits(&scene.json("rosa", &new)["request"]);
    (served, [request, grant, case])
}

fn entries(served: &Served) -> String {
    let verified = served.scene.succeed("august", "audit verify");
    let entries = verified.lines().find(|line| line.contains("entries of")).unwrap();
    // The audit's own reading is an entry, too: what counts is kinds that people sign.
    assert!(!entries.is_empty());
    verified
        .lines()
        .filter(|line| {
            ["approval", "denial", "withdrawal", "revocation", "case"].iter().any(|kind| line.contains(kind))
        })
        .collect()
}

#[test]
fn p9_nothing_is_signed_where_nobody_can_be_asked_and_nothing_was_agreed_to() {
    let (served, [request, grant, case]) = setting();
    let scene = &served.scene;
    let before = entries(&served);
    for (person, command) in commands(&request, &grant, &case) {
        let refused = scene.run_as_given(person, &command);
        let said = failure(&refused);
        assert_eq!(refused.status.code(), Some(2), "{command}: {said}");
        assert!(said.contains("there is no terminal to ask whether to "), "{command}: {said}");
        assert!(said.contains("--yes"), "it says how a script agrees: {said}");
    }
    assert_eq!(entries(&served), before, "nothing came in");
}

#[test]
fn p9_what_is_signed_is_shown_in_words_read_from_its_bytes() {
    let (served, [request, grant, _]) = setting();
    let scene = &served.scene;
    let approved = scene.run_as_given("cy", &format!("approve {request} --yes"));
    let shown = text(&approved.stderr);
    for word in
        ["rosa, University (by their own word), key ", "More", "detection", "9", ID, "partners", "grant"]
    {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let revoked = scene.run_as_given("ada", &format!("revoke {grant} --reason Stolen --yes"));
    let shown = text(&revoked.stderr);
    assert!(shown.contains("Stolen") && shown.contains("rosa"), "{shown}");
}

#[test]
fn p9_a_whole_digest_is_consent_and_its_first_digits_are_not() {
    let (served, [request, ..]) = setting();
    let scene = &served.scene;
    let whole = scene.json("cy", &format!("request show {request}"))["digest"].as_str().unwrap().to_owned();
    let few = scene.run_as_given("cy", &format!("approve {}", &whole[..60]));
    assert_eq!(few.status.code(), Some(2), "{}", failure(&few));
    let all = scene.run_as_given("cy", &format!("approve {whole}"));
    assert!(all.status.success(), "{}", failure(&all));
}

/// Runs a command at a terminal and types an answer.
fn at_a_terminal(served: &Served, person: &str, command: &str, answer: &str) -> (bool, String) {
    let line = format!("{} --home homes/{person} {command}", env!("CARGO_BIN_EXE_portcullis"));
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(served.scene.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    (done.status.success(), text(&done.stdout))
}

#[test]
fn p9_at_a_terminal_the_person_is_asked_and_no_is_no() {
    let (served, [request, ..]) = setting();
    let (done, said) = at_a_terminal(&served, "cy", &format!("approve {request}"), "n\n");
    assert!(!done && said.contains("nothing was signed"), "{said}");
    assert!(said.contains("More") && said.contains("[y/N]"), "{said}");
    let shown = served.scene.succeed("rosa", &format!("request show {request}"));
    assert!(shown.starts_with("pending: 0 of"), "{shown}");
    let (done, said) = at_a_terminal(&served, "cy", &format!("approve {request}"), "y\n");
    assert!(done, "{said}");
    let shown = served.scene.succeed("rosa", &format!("request show {request}"));
    assert!(shown.starts_with("pending: 1 of"), "{shown}");
}

#[test]
fn p9_a_change_of_the_catalogue_is_signed_by_the_digest_of_its_review() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let propose = |version: u32| {
        scene.write("next.toml", &POLICY.replace("version = 1", &format!("version = {version}")));
        scene.succeed("ada", &format!("catalogue propose {ID} --policy next.toml"));
        let review = scene.json("ben", "catalogue review");
        review["proposed"][0]["digest"].as_str().unwrap().to_owned()
    };
    let reviewed = propose(2);
    // Without a digest there is nobody to ask; with one role at a time, nothing else comes along.
    for sign in ["catalogue sign".to_owned(), format!("catalogue sign {ID}")] {
        let refused = scene.run_as_given("ben", &sign);
        assert_eq!(refused.status.code(), Some(2), "{sign}: {}", failure(&refused));
        assert!(failure(&refused).contains(&reviewed), "it names what can be signed: {}", failure(&refused));
    }
    // Its proposer swaps it between review and signature.
    let swapped = propose(3);
    assert_ne!(reviewed, swapped);
    let refused = scene.run_as_given("ben", &format!("catalogue sign {ID} {reviewed}"));
    assert!(
        failure(&refused).contains(&format!("is {swapped}, not {reviewed}, which was reviewed")),
        "{}",
        failure(&refused)
    );
    let signed = scene.succeed("ben", &format!("catalogue sign {ID} {swapped}"));
    assert!(signed.contains(&swapped) && signed.contains("in force"), "{signed}");
}

#[test]
fn p9_a_review_at_a_terminal_writes_out_what_would_turn_its_words_around() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    scene.write("turned.md", "You may \u{202e}ton\u{202c} publish.\n");
    scene.succeed("ada", &format!("catalogue propose {ID} --agreement turned.md"));
    let (done, said) = at_a_terminal(&served, "ben", &format!("catalogue sign {ID}"), "n\n");
    assert!(!done && said.contains("[y/N]"), "{said}");
    assert!(said.contains("\\u{202e}ton") && !said.contains('\u{202e}'), "{said}");
}
