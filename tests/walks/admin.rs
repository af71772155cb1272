//! Owners, board members and operators: founding, boards, releases, and what they are refused.

use crate::support::people::{BOARD, ID, POLICY, Scene};
use crate::support::served::{Database, Served};

fn wide_policy(version: u32) -> String {
    POLICY.replace("version = 1", &format!("version = {version}"))
}

/// A served registry whose board sealed the checkpoint and published nothing of it.
fn sealed() -> Served {
    let served = Served::founded(Database::Sqlite);
    let source = crate::support::fixture("golden/f32");
    served.scene.succeed("ada", &format!("import {ID} {} --to plain", source.display()));
    served.scene.write("policy.toml", POLICY);
    served.scene.write("agreement.md", "You tell nobody.\n");
    served
}

fn sign(scene: &Scene, person: &str) {
    scene.sign_all(person, "");
}

#[test]
fn a_release_finds_the_sealed_manifest_and_keeps_what_is_in_force() {
    let served = sealed();
    let scene = &served.scene;
    let first = format!("release {ID} --stage internal --policy policy.toml --agreement agreement.md");
    insta::assert_snapshot!(scene.refuse("ada", &first), @"
    exit 2
    error: no sealed manifest of tiny is proposed or published, and this home sealed none
      next: seal it with `portcullis seal <folder>`, or name the manifest of another member's: `portcullis catalogue propose tiny --stage <name> --manifest <file>`
    ");
    scene.succeed("ada", "seal plain --chunk-size 65536");
    let proposed = scene.succeed("ada", &first);
    insta::assert_snapshot!(scene.stable(&proposed), @"
    proposed and signed a change of tiny
      next: the others review it and `portcullis catalogue sign tiny <digest>`
    ");
    sign(scene, "ben");
    // From then on a stage is all that it takes, also by a member who sealed nothing.
    scene.succeed("ben", &format!("release {ID} --stage partners"));
    sign(scene, "cy");
    let terms = scene.succeed("rosa", &format!("request new {ID} --terms"));
    assert!(terms.contains("partners"), "{terms}");
    insta::assert_snapshot!(scene.refuse("ada", &format!("release {ID} --stage partnres")), @"
    exit 2
    error: the policy of tiny has no stage `partnres`: it has `internal`, `partners`, `public`
      next: name a stage of the policy in force, or propose a policy that has it with --policy
    ");
    insta::assert_snapshot!(scene.refuse("ada", "release tiny-2 --stage partners"), @"
    exit 2
    error: no sealed manifest of tiny-2 is proposed or published, and this home sealed none
      next: seal it with `portcullis seal <folder>`, or name the manifest of another member's: `portcullis catalogue propose tiny-2 --stage <name> --manifest <file>`
    ");
}

#[test]
fn a_proposal_of_another_checkpoints_manifest_or_an_unknown_stage_is_refused() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let manifest =
        std::fs::read_to_string(scene.at(&format!("homes/ada/sealed/{ID}/manifest.json"))).unwrap();
    scene.write("other.json", &manifest.replace(&format!("\"{ID}\""), "\"tinier\""));
    insta::assert_snapshot!(scene.refuse("ada", &format!("catalogue propose {ID} --manifest other.json")), @"
    exit 2
    error: the manifest is of tinier, not of tiny
      next: give the file of the checkpoint that you name
    ");
    insta::assert_snapshot!(scene.refuse("ada", &format!("catalogue propose {ID} --stage everybody")), @"
    exit 2
    error: the policy of tiny has no stage `everybody`: it has `internal`, `partners`, `public`
      next: name a stage of the policy in force, or propose a policy that has it with --policy
    ");
    assert_eq!(scene.succeed("ben", "catalogue review"), "nothing is proposed\n");
}

fn init(served: &Served, owners: &[&str], code: &str) -> String {
    let owners = owners.iter().map(|owner| format!(" --owner cards/{owner}.card")).collect::<String>();
    format!(
        "catalogue init --owner-threshold 2 --founding-code {code} --registry-card reg/registry.card{owners} \
         --board {ID}=2:cards/ada.card,cards/ben.card,cards/cy.card --registry {}",
        served.process.url
    )
}

#[test]
fn a_founding_with_a_mistake_is_refused_and_goes_on_once_it_is_mended() {
    let served = Served::unfounded(Database::Sqlite);
    let scene = &served.scene;
    let url = &served.process.url;
    let of = |person: &str, arguments: &str| scene.refuse(person, arguments).replace(url, "<url>");
    insta::assert_snapshot!(of("ada", &init(&served, &["ada", "ada"], &served.code)), @"
    exit 2
    error: ada is named twice for the owners: one person counts once
      next: name each person once, and count them anew
    ");
    insta::assert_snapshot!(of("ada", &("-q ".to_owned() + &init(&served, &BOARD, "4929a7ae72c58ea71c6df862bf5f3cbb"))), @"
    exit 3
    error: <url> refuses: the founding code is wrong, or none was given
      next: give the code that `registry init` showed, with --founding-code; its operator can make another with `registry init`
    ");
    insta::assert_snapshot!(of("ada", &format!("catalogue root --registry {url}")), @"
    exit 5
    error: the catalogue of <url> is not published yet, and so has no root of trust
      next: its owners sign it first: `portcullis catalogue review` shows what is proposed
    ");
    insta::assert_snapshot!(of("eve", &init(&served, &BOARD, &served.code)), @"
    exit 3
    error: the key <digest> is none of the owners of the catalogue that it founds
      next: let one of its owners found it, or name your own card with --owner
    ");
    // Nothing of it is left over: the right words found it.
    scene.succeed("ada", &init(&served, &["ada", "ben"], &served.code));
    // Until it is in force, whoever proposed it changes their mind at will.
    scene.succeed("ada", &init(&served, &BOARD, &served.code));
    // Another owner takes its place by naming what they read.
    insta::assert_snapshot!(of("ben", &init(&served, &BOARD, &served.code)), @"
    exit 3
    error: another change of root is proposed already: <digest>
      next: read `portcullis catalogue review` and sign that one; or put yours in its place with --instead-of <digest>, and so for each role
    ");
    let review = scene.json("ben", &format!("--registry {url} catalogue review"));
    let digests = review["proposed"].as_array().unwrap().iter();
    let instead = digests.map(|open| format!(" --instead-of {}", open["digest"].as_str().unwrap()));
    let instead = instead.collect::<String>();
    let other = init(&served, &BOARD, &served.code).replace("--owner-threshold 2", "--owner-threshold 3");
    scene.succeed("ben", &(other + &instead));
    for person in ["ada", "cy"] {
        scene.sign_all(person, &format!("--registry {url}"));
    }
    let root = scene.succeed("ada", &format!("catalogue root --registry {url}"));
    assert!(root.contains("wrote 1.root.json, SHA-256 "), "{root}");
    insta::assert_snapshot!(of("ada", &init(&served, &BOARD, &served.code)), @"
    exit 2
    error: there is a catalogue in <url> already
      next: trust it with `portcullis join <registry> --root 1.root.json` and change it with `portcullis catalogue propose`, `rotate` or `board add`; or found another elsewhere
    ");
}

/// The commands of docs/catalogue.md by which another board is founded, as they stand there.
#[test]
fn an_ethics_board_is_founded_as_the_documentation_says() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let page = include_str!("../../docs/catalogue.md");
    let section = page.split("## Another board").nth(1).unwrap();
    let commands = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let commands: Vec<_> = commands.lines().map(|line| line.split('#').next().unwrap().trim()).collect();
    let typed = |command: &str| {
        let command = command.strip_prefix("portcullis ").unwrap();
        command.replace("gpt2-1.5b", ID).replace("eve.card", "cards/eve.card").replace("policies/", "")
    };
    let [add, refresh, check, propose] = commands.as_slice() else { panic!("{commands:?}") };
    scene.write(
        &format!("{ID}.toml"),
        &wide_policy(2).replace("approvals = { board = 2 }", "approvals = { board = 2, ethics = 1 }"),
    );
    // A policy that names a board which is not there yet is not proposed.
    let early = scene.refuse("ada", &typed(propose));
    assert!(early.contains("there is no such board"), "{early}");
    scene.succeed("ada", &typed(add));
    sign(scene, "ben");
    scene.succeed("ada", &typed(refresh));
    scene.succeed("ada", &typed(check));
    scene.succeed("ada", &typed(propose));
    sign(scene, "ben");
    let request = scene.request();
    scene.approve("ada", &request);
    scene.approve("ben", &request);
    let waits = scene.succeed("rosa", &format!("request show {request}"));
    assert!(waits.starts_with("pending"), "{waits}");
    scene.approve("eve", &request);
    let granted = scene.succeed("rosa", &format!("request show {request}"));
    assert!(granted.starts_with("granted"), "{granted}");
}
