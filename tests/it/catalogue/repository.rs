//! The catalogue as its keepers use it: found, sign, publish, propose, review, rotate, refresh; and what each is refused.
#![allow(clippy::too_many_lines, reason = "one story with what is said in it, read from top to bottom")]

use std::fs;
use std::path::Path;

use crate::support::people::POLICY;
use crate::support::{fixture, refuse, run_in, succeed, text, workplace};
use portcullis::catalogue::canonical_json;
use serde_json::Value;

const PEOPLE: [&str; 7] = ["Olga", "Otto", "Registry", "Ada", "Ben", "Cy", "Dee"];
const INIT: &str = "--home olga --registry c catalogue init --owner olga.card --owner otto.card --owner-threshold 2 \
    --registry-card registry.card --board gpt2-124m=2:ada.card,ben.card,cy.card";

/// Everybody's homes and cards, and nothing else.
fn people() -> tempfile::TempDir {
    let place = workplace();
    for name in PEOPLE {
        let home = name.to_lowercase();
        succeed(place.path(), &format!("--home {home} identity new --name {name} --no-passphrase"));
        succeed(place.path(), &format!("--home {home} identity card --to {home}.card"));
    }
    place
}

fn policy(version: u32) -> String {
    POLICY.replace("tiny", "gpt2-124m").replace("version = 1", &format!("version = {version}"))
}

fn sign(at: &Path, people: &[&str]) {
    for home in people {
        sign_in(at, home, "c");
    }
}

/// Signs every open change that this person has a say in and did not sign, by the digests of a review.
fn sign_in(at: &Path, home: &str, registry: &str) {
    let to = format!("-q --home {home} --registry {registry} catalogue");
    let review: Value = serde_json::from_str(&succeed(at, &format!("--json {to} review"))).unwrap();
    for open in review["proposed"].as_array().unwrap() {
        let names = |quorum: &Value, who: &str| {
            quorum[who]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one["name"].as_str().unwrap().to_lowercase() == home)
        };
        let mut quorums = open["quorums"].as_array().unwrap().iter();
        if quorums.any(|quorum| names(quorum, "members") && !names(quorum, "signed")) {
            let (role, digest) = (open["role"].as_str().unwrap(), open["digest"].as_str().unwrap());
            succeed(at, &format!("{to} sign {role} {digest}"));
        }
    }
}

/// The digest of the open change of a role.
fn open_change(at: &Path, role: &str) -> String {
    let review = succeed(at, "--json --home ada --registry c catalogue review");
    let review: Value = serde_json::from_str(&review).unwrap();
    let open = review["proposed"].as_array().unwrap().iter().find(|open| open["role"] == role).unwrap();
    open["digest"].as_str().unwrap().to_owned()
}

fn publish(at: &Path) -> String {
    stable(&succeed(at, "--home registry --registry c catalogue publish"))
}

/// A published catalogue whose checkpoint has a policy.
fn published() -> tempfile::TempDir {
    let place = people();
    let at = place.path();
    succeed(at, INIT);
    sign(at, &["olga", "otto"]);
    fs::write(at.join("policy.toml"), policy(1)).unwrap();
    publish(at);
    for home in ["olga", "otto", "ada", "ben", "cy", "dee"] {
        succeed(
            at,
            &format!("--home {home} --registry c catalogue refresh --root c/catalogue/metadata/1.root.json"),
        );
    }
    succeed(at, "-q --home ada --registry c catalogue propose gpt2-124m --policy policy.toml");
    sign(at, &["ada", "ben"]);
    publish(at);
    place
}

/// Without what differs from run to run: keys, digests, times.
fn stable(shown: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, out: &mut String| {
        let hex = word.len() >= 12 && word.chars().all(|c| c.is_ascii_hexdigit());
        let date = word.len() >= 10
            && word.starts_with("20")
            && word.chars().nth(4) == Some('-')
            && word.chars().nth(7) == Some('-');
        out.push_str(if hex {
            "<hex>"
        } else if date {
            "<time>"
        } else {
            word
        });
        word.clear();
    };
    for c in shown.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | ':') {
            word.push(c);
        } else {
            flush(&mut word, &mut out);
            out.push(c);
        }
    }
    flush(&mut word, &mut out);
    out
}

#[test]
fn a_catalogue_is_proposed_signed_and_published() {
    let place = people();
    let at = place.path();
    insta::assert_snapshot!(stable(&succeed(at, &format!("-q {INIT}"))), @"
    proposed and signed a new catalogue in c; 2 of its owners must sign, then the registry publishes it
      next: the others review it and `portcullis catalogue sign root <hex>`
      next: the others review it and `portcullis catalogue sign targets <hex>`
    ");
    insta::assert_snapshot!(stable(&refuse(at, &format!("-q {}", INIT.replace("olga --registry", "otto --registry")))), @"
    exit 3
    error: another change of root is already proposed: <hex>
      next: read `portcullis catalogue review` and sign that one; or put yours in its place with --instead-of <hex>, and so for each role
    ");
    insta::assert_snapshot!(stable(&succeed(at, "-q --home olga --registry c catalogue review")), @"
    root, version 1
      the owners (root): 2 of Olga (key <hex>), Otto (key <hex>)
      the owners (targets): 2 of Olga (key <hex>), Otto (key <hex>)
      the registry (snapshot): 1 of Registry (key <hex>)
      the registry (timestamp): 1 of Registry (key <hex>)
      expires <time>, in 730 days
      the owners (root): signed by Olga; 1 more needed, of Otto
      digest <hex>
      sign it with `portcullis catalogue sign root <hex>`
    targets, version 1
      the board of gpt2-124m: 2 of Ada (key <hex>), Ben (key <hex>), Cy (key <hex>)
      expires <time>, in 365 days
      adds the card of Ada (key <hex>)
      adds the card of Ben (key <hex>)
      adds the card of Cy (key <hex>)
      adds the card of Olga (key <hex>)
      adds the card of Otto (key <hex>)
      adds the card of Registry (key <hex>)
      the owners (targets): signed by Olga; 1 more needed, of Otto
      digest <hex>
      sign it with `portcullis catalogue sign targets <hex>`
    ");
    insta::assert_snapshot!(refuse(at, "--home registry --registry c catalogue publish"), @"
    exit 3
    error: the catalogue cannot be published yet: root: it needs 1 more of the owners (root); targets: it needs 1 more of the owners (targets)
      next: let them sign with `portcullis catalogue sign`
    ");
    insta::assert_snapshot!(stable(&refuse(at, "-q --home otto --registry c catalogue sign")), @"
    exit 2
    error: one role is signed at a time, and named
      next: read `portcullis catalogue review`, then `portcullis catalogue sign root <hex>` or `portcullis catalogue sign targets <hex>`
    ");
    let root = open_change(at, "root");
    insta::assert_snapshot!(stable(&succeed(at, &format!("-q --home otto --registry c catalogue sign root {root}"))), @"
    signed root, version 1, digest <hex>
      the owners (root): signed by Olga, Otto; complete
    ");
    insta::assert_snapshot!(stable(&refuse(at, &format!("-q --home ada --registry c catalogue sign root {root}"))), @"
    exit 3
    error: the key <hex> may not sign root: the owners sign it
      next: ask one of them; if that is you, name your own --home
    ");
    insta::assert_snapshot!(stable(&refuse(at, &format!("-q --home registry --registry c catalogue sign root {root}"))), @"
    exit 3
    error: the key <hex> may not sign root: the owners sign it
      next: ask one of them; if that is you, name your own --home
    ");
    sign(at, &["otto"]);
    insta::assert_snapshot!(stable(&refuse(at, "--home olga --registry c catalogue publish")), @"
    exit 3
    error: the key <hex> is not the registry's
      next: publish with the registry's --home
    ");
    insta::assert_snapshot!(publish(at), @"
    published version 1; publish again before <time>
      in force  root
      in force  targets
    ");
    insta::assert_snapshot!(stable(&succeed(at, "--registry c catalogue status")), @"
    BOARD      FOR                      MUST SIGN
    owners     roots, boards and rules  2 of Olga, Otto
    gpt2-124m  nothing published yet    2 of Ada, Ben, Cy

    ROLE       VERSION  EXPIRES                   SIGNED BY
    root       1        <time> (in 730 days)  Olga, Otto (2 of 2 must)
    timestamp  1        <time> (in 14 days)   Registry (1 of 1 must)
    snapshot   1        <time> (in 30 days)   Registry (1 of 1 must)
    targets    1        <time> (in 365 days)  Olga, Otto (2 of 2 must)

    nothing is proposed
    ");
}

#[test]
fn a_change_is_shown_in_plain_words_before_it_is_signed() {
    let place = published();
    let at = place.path();
    fs::write(at.join("policy.toml"), policy(2).replace("board = 2 }", "board = 1 }")).unwrap();
    fs::write(at.join("agreement.md"), "Be good\u{1b}[31m.\n").unwrap();
    succeed(
        at,
        "-q --home ada --registry c catalogue propose gpt2-124m --policy policy.toml --agreement agreement.md",
    );
    insta::assert_snapshot!(stable(&succeed(at, "-q --home ada --registry c catalogue review")), @r#"
    gpt2-124m, version 2
      adds gpt2-124m/agreement.md (14 B, SHA-256 <hex>)
        + Be good?[31m.
      replaces gpt2-124m/policy.toml (640 B, SHA-256 <hex>; was 640 B, SHA-256 <hex>)
        internal: 1 approval instead of 2 (widens)
        partners: 1 approval instead of 2 (widens)
          schema = 1
          checkpoint = "gpt2-124m"
        - version = 1
        + version = 2
          expires = <time>
          
          [[stage]]
          name = "internal"
          audience.organizations = ["Lab"]
        - approvals = { board = 2 }
        + approvals = { board = 1 }
          agreement = "agreement.md"
          uses = ["detection"]
          max_days = 30
          …
          [[stage]]
          name = "partners"
          audience.organizations = ["Lab", "University"]
        - approvals = { board = 2 }
        + approvals = { board = 1 }
          agreement = "agreement.md"
          uses = ["detection", "bias-analysis"]
          max_days = 90
          …
      expires <time>, in 365 days (was <time>)
      the board of gpt2-124m: signed by Ada; 1 more needed, of Ben, Cy
      digest <hex>
      ends no grant
      sign it with `portcullis catalogue sign gpt2-124m <hex>`
    "#);
    sign(at, &["cy"]);
    insta::assert_snapshot!(publish(at), @"
    published version 3; publish again before <time>
      in force  gpt2-124m
    ");
    // Another form of it takes the signatures of the first with it.
    succeed(at, "-q --home ada --registry c catalogue propose gpt2-124m --stage partners");
    insta::assert_snapshot!(stable(&succeed(at, "--registry c catalogue status")), @"
    CHECKPOINT  STAGE         SINCE  POLICY     MUST SIGN
    gpt2-124m   not released         version 2  2 of Ada, Ben, Cy

    BOARD   FOR                      MUST SIGN
    owners  roots, boards and rules  2 of Olga, Otto

    ROLE       VERSION  EXPIRES                   SIGNED BY
    root       1        <time> (in 730 days)  Olga, Otto (2 of 2 must)
    timestamp  3        <time> (in 14 days)   Registry (1 of 1 must)
    snapshot   3        <time> (in 30 days)   Registry (1 of 1 must)
    targets    1        <time> (in 365 days)  Olga, Otto (2 of 2 must)
    gpt2-124m  2        <time> (in 365 days)  Ada, Cy (2 of 3 must)

    proposed  gpt2-124m, version 3
              the board of gpt2-124m: signed by Ada; 1 more needed, of Ben, Cy
      next: read it with `portcullis catalogue review`
    ");
    succeed(at, "-q --home ada --registry c catalogue propose gpt2-124m --withdraw");
    insta::assert_snapshot!(refuse(at, "-q --home ada --registry c catalogue propose gpt2-124m --withdraw"), @"
    exit 2
    error: no change of gpt2-124m is proposed
      next: see `portcullis catalogue status` for what is proposed
    ");
}

#[test]
fn a_board_and_the_owners_rotate() {
    let place = published();
    let at = place.path();
    succeed(at, "-q --home olga --registry c catalogue rotate gpt2-124m --remove Cy --add dee.card");
    insta::assert_snapshot!(stable(&succeed(at, "-q --home ada --registry c catalogue review")), @"
    targets, version 2
      the board of gpt2-124m: Cy leaves, Dee (key <hex>) joins, threshold 2 (was 2)
      expires <time>, in 365 days (was <time>)
      adds the card of Dee (key <hex>)
      the owners (targets): signed by Olga; 1 more needed, of Otto
      digest <hex>
      sign it with `portcullis catalogue sign targets <hex>`
    gpt2-124m, version 2
      expires <time>, in 365 days (was <time>)
      the board of gpt2-124m: signed by nobody; 2 more needed, of Ada, Ben, Dee
      proposed by Olga, who has no say in it
      digest <hex>
      sign it with `portcullis catalogue sign gpt2-124m <hex>`
    ");
    sign(at, &["olga", "otto", "ada"]);
    // Ben and Cy signed what is published; without Ben, the new board has not taken it over.
    insta::assert_snapshot!(publish(at), @"
    published version 3; publish again before <time>
      in force  targets
      waiting   gpt2-124m: it needs 1 more of the board of gpt2-124m
    ");
    insta::assert_snapshot!(stable(&refuse(at, &format!("-q --home cy --registry c catalogue sign gpt2-124m {}", open_change(at, "gpt2-124m")))), @"
    exit 3
    error: the key <hex> may not sign gpt2-124m: the board of gpt2-124m signs it
      next: ask one of them; if that is you, name your own --home
    ");
    sign(at, &["dee"]);
    publish(at);
    succeed(at, "-q --home olga --registry c catalogue rotate root --remove Otto --add cy.card");
    insta::assert_snapshot!(stable(&succeed(at, "-q --home olga --registry c catalogue review")), @"
    root, version 2
      the owners (root): Otto leaves, Cy (key <hex>) joins, threshold 2 (was 2)
      the owners (targets): Otto leaves, Cy (key <hex>) joins, threshold 2 (was 2)
      expires <time>, in 730 days (was <time>)
      the owners (root): signed by Olga; 1 more needed, of Otto
      the owners (root): signed by Olga; 1 more needed, of Cy
      digest <hex>
      sign it with `portcullis catalogue sign root <hex>`
    targets, version 3
      expires <time>, in 365 days (was <time>)
      the owners (targets): signed by Olga; 1 more needed, of Cy
      digest <hex>
      sign it with `portcullis catalogue sign targets <hex>`
    ");
    sign(at, &["olga", "cy"]);
    insta::assert_snapshot!(publish(at), @"
    published version 5; publish again before <time>
      waiting   root: it needs 1 more of the owners (root)
      waiting   targets: other metadata that depends on it is not signed yet
    ");
    sign(at, &["otto"]);
    insta::assert_snapshot!(publish(at), @"
    published version 6; publish again before <time>
      in force  root
      in force  targets
    ");
    insta::assert_snapshot!(stable(&succeed(at, "--home ben --registry c catalogue refresh --root c/catalogue/metadata/1.root.json")), @"
    CHECKPOINT  STAGE         SINCE  POLICY     MUST SIGN
    gpt2-124m   not released         version 1  2 of Ada, Ben, Dee

    BOARD   FOR                      MUST SIGN
    owners  roots, boards and rules  2 of Cy, Olga

    ROLE       VERSION  EXPIRES                   SIGNED BY
    root       2        <time> (in 730 days)  Cy, Olga (2 of 2 must)
    timestamp  6        <time> (in 14 days)   Registry (1 of 1 must)
    snapshot   6        <time> (in 30 days)   Registry (1 of 1 must)
    targets    3        <time> (in 365 days)  Cy, Olga (2 of 2 must)
    gpt2-124m  2        <time> (in 365 days)  Ada, Dee (2 of 3 must)
    ");
}

#[test]
fn refusals_say_what_to_do() {
    let place = published();
    let at = place.path();
    let of = |arguments: &str| stable(&refuse(at, arguments));
    insta::assert_snapshot!([
        of("--registry nowhere catalogue status"),
        of("-q --home ada --registry c catalogue propose gpt2-1.5b --policy policy.toml"),
        of("-q --home olga --registry c catalogue propose misuse --policy policy.toml"),
        of("-q --home ada --registry c catalogue propose Nobody's"),
        of("-q --home olga --registry c catalogue rotate gpt2-124m"),
        of("-q --home olga --registry c catalogue rotate gpt2-124m --threshold 4"),
        of("-q --home olga --registry c catalogue rotate gpt2-124m --add ada.card"),
        of("-q --home olga --registry c catalogue rotate gpt2-124m --remove Olga"),
        of("-q --home olga --registry c catalogue rotate root --remove Zoe"),
        of("-q --home olga --registry c catalogue rotate snapshot --add dee.card"),
        of("-q --home olga --registry c catalogue rotate registry"),
        of("--home ada --registry c catalogue sign"),
        of("--home ada --registry c catalogue sign gpt2-124m"),
        of("--home olga --registry c catalogue rotate gtp2-124m --add dee.card"),
        of("--home olga --registry c catalogue board add gpt2-124m --threshold 1 --member dee.card"),
        of("--home zoe --registry c catalogue refresh"),
        of("--home zoe --registry c catalogue refresh --root policy.toml"),
    ].join("\n"), @"
    exit 5
    error: there is no folder nowhere
      next: check the path; for a server, write its address with http:// or https://

    exit 2
    error: the policy governs gpt2-124m, not gpt2-1.5b
      next: propose it for the checkpoint that it names

    exit 2
    error: --policy is not for misuse
      next: propose it for a checkpoint

    exit 2
    error: `Nobody's` is not a checkpoint id: use 1 to 64 of a-z, 0-9, `.`, `-` and `_`, beginning with a letter or digit
      next: check the spelling

    exit 2
    error: the board of gpt2-124m would not change
      next: say what is to change: --add, --remove or --threshold

    exit 2
    error: the board of gpt2-124m has 3 distinct keys; its threshold of 4 must be between 1 and that
      next: change the threshold, or who signs

    exit 2
    error: Ada is already in the board of gpt2-124m
      next: leave out that --add

    exit 2
    error: the key <hex> is not in the board of gpt2-124m
      next: see `portcullis catalogue status --json` for who is

    exit 2
    error: the catalogue knows nobody called Zoe
      next: see `portcullis catalogue status` for names; a key id needs 12 digits or more

    exit 3
    error: the catalogue has no board for snapshot; its boards: gpt2-124m
      next: check the spelling, or let an owner found one: `portcullis catalogue board add <checkpoint> --threshold <count> --member <card>`

    exit 2
    error: a registry has one key
      next: give its new card with one --add, and nothing else

    exit 2
    error: one role is signed at a time, and named
      next: nothing is proposed: see `portcullis catalogue status`

    exit 2
    error: no change of gpt2-124m is proposed
      next: see `portcullis catalogue status` for what is proposed

    exit 3
    error: the catalogue has no board for gtp2-124m; its boards: gpt2-124m
      next: check the spelling, or let an owner found one: `portcullis catalogue board add <checkpoint> --threshold <count> --member <card>`

    exit 2
    error: gpt2-124m already has a board
      next: change its members with `portcullis catalogue rotate <checkpoint> --add <card> --remove <name>`

    exit 2
    error: no root of trust in zoe/catalogue; the root of trust is never taken from a server
      next: join it once: `portcullis join <invitation>`, or `portcullis join <registry> --root <file>` with the root that the owners handed you; before it is founded, its owners use `portcullis catalogue review`

    exit 4
    error: the given root is malformed: expected value at line 1 column 1
      next: do not use this copy: fetch it from another place, and tell the owners
    ");
}

#[test]
fn nobody_signs_a_change_of_another_or_an_older_catalogue() {
    let place = published();
    let at = place.path();
    succeed(at, "--home ada --registry c catalogue refresh --root c/catalogue/metadata/1.root.json");
    let old = fs::read(at.join("c/catalogue/metadata/timestamp.json")).unwrap();
    publish(at);
    succeed(at, "--home ada --registry c catalogue refresh");
    fs::write(at.join("agreement.md"), "Be good.\n").unwrap();
    let propose =
        "-q --home ada --registry c catalogue propose gpt2-124m --agreement agreement.md --stage partners";
    succeed(at, propose);
    fs::write(at.join("c/catalogue/metadata/timestamp.json"), old).unwrap();
    assert!(refuse(at, propose).contains("rolled back"));
    insta::assert_snapshot!(refuse(at, "-q --home ada --registry c catalogue sign gpt2-124m"), @"
    exit 4
    error: timestamp.json was rolled back: version 3 was accepted before, and the server has version 2
      next: someone serves an older catalogue: fetch it from another place, and tell the owners
    ");
    for home in ["olga", "dee"] {
        fs::remove_dir_all(at.join(home).join("catalogue")).unwrap();
    }
    succeed(at, &INIT.replace("--registry c", "--registry d").replace("otto.card", "dee.card"));
    sign_in(at, "dee", "d");
    succeed(at, "--home registry --registry d catalogue publish");
    insta::assert_snapshot!(
        refuse(at, "--home ada --registry d catalogue refresh --root d/catalogue/metadata/1.root.json"),
        @"
    exit 3
    error: root version 1 is already trusted; the given root (version 1) is of another catalogue
      next: if you mean to change to another catalogue, use another --home for it
    "
    );
}

#[test]
fn what_a_keeper_of_the_folder_slips_in_is_not_signed() {
    let place = published();
    let at = place.path();
    fs::write(at.join("agreement.md"), "Be good.\n").unwrap();
    succeed(
        at,
        "-q --home ada --registry c catalogue propose gpt2-124m --agreement agreement.md --stage partners",
    );
    let targets = at.join("c/catalogue/proposals/gpt2-124m/targets/gpt2-124m");
    let mut files = fs::read_dir(targets).unwrap().map(|entry| entry.unwrap().path());
    let stage = files.find(|path| path.to_str().unwrap().ends_with("stage.json")).unwrap();
    fs::write(stage, "{}").unwrap();
    insta::assert_snapshot!(stable(&refuse(at, "-q --home ada --registry c catalogue sign gpt2-124m")), @"
    exit 4
    error: gpt2-124m/stage.json has SHA-256 <hex>, not <hex>
      next: do not use this copy: fetch it from another place, and tell the owners
    ");
    // Published metadata that was edited: nothing is measured against it.
    let metadata = at.join("c/catalogue/metadata/1.targets.json");
    let forged = fs::read_to_string(&metadata).unwrap().replace("\"threshold\": 2", "\"threshold\": 1");
    fs::write(metadata, forged).unwrap();
    insta::assert_snapshot!(stable(&refuse(at, "-q --home ada --registry c catalogue review")), @"
    exit 4
    error: 1.targets.json has SHA-256 <hex>, not <hex>
      next: do not use this copy: fetch it from another place, and tell the owners
    ");
}

#[test]
fn a_kill_while_publishing_leaves_the_old_catalogue_and_publishing_again_finishes() {
    let place = published();
    let at = place.path();
    succeed(at, "--home ben --registry c catalogue refresh --root c/catalogue/metadata/1.root.json");
    succeed(at, "-q --home olga --registry c catalogue rotate root --add ada.card");
    sign(at, &["olga", "otto"]);
    let sources = crate::support::copy_tree(&at.join("c/catalogue"), &at.join("before"));
    publish(at);
    // Every prefix of the order in which files are written.
    let order = ["2.targets.json", "3.snapshot.json", "2.root.json"];
    for count in 0..=order.len() {
        let cut = format!("cut{count}");
        crate::support::copy_tree(&at.join("before"), &at.join(&cut).join("catalogue"));
        crate::support::copy_tree(
            &at.join("c/catalogue/targets"),
            &at.join(&cut).join("catalogue").join("targets"),
        );
        for file in &order[..count] {
            fs::copy(
                at.join("c/catalogue/metadata").join(file),
                at.join(&cut).join("catalogue").join("metadata").join(file),
            )
            .unwrap();
        }
        succeed(
            at,
            &format!(
                "--home ben{count} --registry {cut} catalogue refresh --root c/catalogue/metadata/1.root.json"
            ),
        );
        let again = run_in(at, &format!("--home registry --registry {cut} catalogue publish"));
        assert!(again.status.success(), "{count}: {}", text(&again.stderr));
        let shown = succeed(at, &format!("--json --home ben{count} --registry {cut} catalogue refresh"));
        let roles: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            (&roles["roles"][0]["version"], &roles["roles"][3]["version"]),
            (&2.into(), &2.into()),
            "{count}"
        );
    }
    assert!(sources > 10);
}

#[test]
fn canonical_json_is_that_of_securesystemslib() {
    let pairs = fs::read(fixture("catalogue/canonical.json")).unwrap();
    let pairs: Vec<Value> = serde_json::from_slice(&pairs).unwrap();
    assert!(pairs.len() > 10);
    for pair in pairs {
        let ours = String::from_utf8(canonical_json(&pair["document"]).unwrap()).unwrap();
        assert_eq!(ours, pair["canonical"]);
    }
}
