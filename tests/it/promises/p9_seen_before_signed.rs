//! P9: a key signs only bytes that its person was shown, in words, by their own machine, or whose digest they gave.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::support::people::{ID, POLICY, Scene};
use crate::support::served::{Database, Served};
use crate::support::{failure, text};
use portcullis::access::Grant;
use portcullis::statement::Envelope;

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
fn p9_a_share_is_not_handed_over_where_nobody_can_be_asked() {
    let served = Served::released(Database::Sqlite, "public");
    let scene = &served.scene;
    let refused = scene.run_as_given("ada", &format!("handover {ID}"));
    let said = failure(&refused);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("there is no terminal to ask whether to hand your share of tiny to the registry"),
        "{said}"
    );
    assert!(said.contains("opens") && said.contains("--yes"), "{said}");
    let (done, said) = at_a_terminal(&served, "ada", &format!("handover {ID}"), "n\n");
    assert!(!done && said.contains("nothing was signed"), "{said}");
    // Agreed to, it is handed over.
    let (done, said) = at_a_terminal(&served, "ada", &format!("handover {ID}"), "y\n");
    assert!(done && said.contains("handed your share of tiny to the registry"), "{said}");
}

#[test]
fn p9_what_is_signed_is_shown_in_words_read_from_its_bytes() {
    let (served, [request, grant, _]) = setting();
    let scene = &served.scene;
    let approved = scene.run_as_given("cy", &format!("approve {request} --yes"));
    let shown = text(&approved.stderr);
    for word in ["rosa, University (unconfirmed), key ", "More", "detection", "9", ID, "partners", "grant"] {
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

/// A command at a terminal.
struct Terminal(std::process::Child);

impl Terminal {
    fn open(scene: &Scene, person: &str, command: &str) -> Self {
        let line = format!("{} --home homes/{person} {command}", env!("CARGO_BIN_EXE_portcullis"));
        let script = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(scene.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(script.unwrap())
    }

    /// What it shows, up to and with these words, or to its end.
    fn read_until(&mut self, words: &str) -> String {
        let (mut shown, mut byte) = (Vec::new(), [0]);
        let stdout = self.0.stdout.as_mut().unwrap();
        while !shown.ends_with(words.as_bytes()) && stdout.read(&mut byte).unwrap() == 1 {
            shown.extend(byte);
        }
        String::from_utf8(shown).unwrap()
    }

    /// Types an answer; whether the command succeeded then, and what else it showed.
    fn answer(mut self, answer: &str) -> (bool, String) {
        self.0.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
        let done = self.0.wait_with_output().unwrap();
        (done.status.success(), text(&done.stdout))
    }
}

/// Runs a command at a terminal and types an answer.
fn at_a_terminal(served: &Served, person: &str, command: &str, answer: &str) -> (bool, String) {
    Terminal::open(&served.scene, person, command).answer(answer)
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
fn p9_what_was_shown_is_signed_though_its_digits_mean_another_request_by_then() {
    let scene = Scene::released("partners");
    let (shown, other) = (scene.request(), {
        let new = format!("request new {ID} --purpose More --use detection --days 9 --accept-agreement");
        scene.digits(&scene.json("rosa", &new)["request"])
    });
    let file = |request: &str| {
        let files = scene.files("registry/exchange/requests").into_iter();
        files.into_iter().find(|file| file.to_str().unwrap().contains(request)).unwrap()
    };
    let whole = scene.json("ada", &format!("request show {shown}"))["digest"].as_str().unwrap().to_owned();
    let mut terminal = Terminal::open(&scene, "ada", &format!("approve {shown}"));
    let said = terminal.read_until("[y/N]");
    assert!(said.contains("Detectors"), "{said}");
    // The folder's keeper puts another request under the name of the one that is on the screen.
    std::fs::copy(file(&other), file(&shown)).unwrap();
    let (done, said) = terminal.answer("y\n");
    assert!(done, "{said}");
    let grants = scene.files("registry/exchange/grants");
    assert!(!grants.is_empty());
    for grant in grants {
        let envelope = Envelope::parse(&std::fs::read(grant).unwrap()).unwrap();
        assert_eq!(envelope.claim::<Grant>().unwrap().predicate.request.to_string(), whole, "{said}");
    }
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
        failure(&refused).contains(&format!("is now {swapped}, not the reviewed {reviewed}")),
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
