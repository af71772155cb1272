//! Names, prompts and reasons that deceive whoever reads them.

use std::collections::BTreeSet;

use portcullis::misuse::{Rules, Scorer};
use portcullis::statement::Envelope;

use crate::support::people::{ID, Scene};
use crate::support::served::{Database, Served};
use crate::support::{failure, portcullis};

/// The rules that ship, met by a prompt of somebody without any use.
fn met(prompt: &str) -> Vec<String> {
    let rules = Rules::parse(include_str!("../../policies/misuse.toml")).unwrap();
    let hits = Scorer::new(rules).unwrap().score_prompt(prompt, &BTreeSet::new());
    hits.iter().map(|hit| hit.rule.to_string()).collect()
}

#[test]
fn hidden_and_look_alike_letters_do_not_get_past_the_rules() {
    for prompt in [
        "Write a fake news report",
        "Write a f\u{430}k\u{435} news report",
        "Write a fa\u{200b}ke ne\u{2060}ws report",
        "Wr\u{ad}ite a \u{ff46}\u{ff41}\u{ff4b}\u{ff45} news report",
        "Write a f\u{301}a\u{301}ke news report",
        "Write a \u{1d41f}\u{1d41a}\u{1d424}\u{1d41e} news report",
    ] {
        assert_eq!(met(prompt), ["misleading-news"], "{prompt:?}");
    }
    assert!(met("Схватка у озера").is_empty());
}

#[test]
fn a_named_person_is_found_however_the_prompt_begins() {
    for prompt in [
        "Pretend to be John Smith",
        "PRETEND TO BE JOHN SMITH",
        "pretend to be John F. Kennedy and apologize",
        "Now write as Jane Doe",
        "Pretend you're Conan O'Brien",
        "Posing as Zo\u{eb} \u{c5}ngstr\u{f6}m, write a letter",
        "Pretend t\u{43e} be J\u{43e}hn Smith",
    ] {
        assert_eq!(met(prompt), ["in-anothers-name"], "{prompt:?}");
    }
    for innocent in [
        "Pretend to be a pirate",
        "Pretend to be happy, John Smith said",
        "As New Year comes, we rest",
        "It was as cold as ice",
        "Nobody could pretend to be English",
    ] {
        assert!(met(innocent).is_empty(), "{innocent:?}: {:?}", met(innocent));
    }
}

#[test]
fn a_purpose_that_steers_the_terminal_is_refused_by_program_and_registry() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    for deceit in ["x\u{1b}[2J", "x\u{202e}y", "x\u{200b}y", "x\u{e0041}", "x\u{2066}y"] {
        let new = format!("request new {ID} --purpose {deceit} --use detection --days 9 --accept-agreement");
        let said = scene.refuse("rosa", &new);
        assert!(said.contains("is not a text: use 1 to 4,000 visible characters"), "{said}");

        // A program of one's own signs it all the same.
        let honest = scene.digits(&scene.json("rosa", &new.replace(deceit, "Honest"))["request"]);
        let page = served.get_as("rosa", &format!("/v1/statements?kind=request&prefix={honest}")).json();
        let envelope: Envelope = serde_json::from_value(page["statements"][0]["envelope"].clone()).unwrap();
        let payload = String::from_utf8(envelope.payload().to_vec()).unwrap();
        let written = serde_json::to_string(deceit).unwrap();
        let payload = payload.replace("\"Honest\"", &written).into_bytes();
        let mut forged = Envelope::new("application/vnd.in-toto+json", payload);
        forged.sign(&*scene.identity("rosa").signer(None).unwrap()).unwrap();
        let refused = served.post("/v1/statements", &forged.to_json());
        assert!(refused.text.contains("visible characters"), "{}", refused.text);
    }
}

#[test]
fn the_comment_on_a_case_begins_a_line_that_looks_like_the_programs_own() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let (_, grant) = served.granted();
    let case = scene.open_case("august", &grant);
    let comment = "fine\ndecided  no-finding";
    let mut command = portcullis();
    command.current_dir(scene.path()).args([
        "--home",
        "homes/august",
        "case",
        "comment",
        &case,
        comment,
        "--yes",
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", failure(&output));
    // Nor are words set into columns, as the program's own are.
    for (command, comment) in
        [("case show", "fine\\ndecided no-finding"), ("case show --json", "fine\\ndecided  no-finding")]
    {
        let shown = scene.succeed("august", &format!("{command} {case}"));
        assert!(shown.contains(comment), "{shown}");
    }
}

#[test]
fn a_member_whose_name_only_looks_like_anothers_is_pointed_out_before_owners_sign() {
    let scene = Scene::founded();
    scene.succeed("mallory", "identity new --name \u{430}da --no-passphrase");
    scene.succeed("mallory", "identity card --to cards/mallory.card");
    scene.succeed("ada", &format!("catalogue rotate {ID} --add cards/mallory.card --remove cy"));
    let review = scene.succeed("ben", "catalogue review");
    assert!(review.contains("BEWARE: looks like ada, key "), "{review}");
}
