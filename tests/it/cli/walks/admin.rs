//! Owners, board members and operators: founding, boards, releases, and what they are refused.

use portcullis::client::Invitation;

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
    error: ada is named twice for the owners; each person counts once
      next: name each person once, and count them anew
    ");
    insta::assert_snapshot!(of("ada", &("-q ".to_owned() + &init(&served, &BOARD, "4929a7ae72c58ea71c6df862bf5f3cbb"))), @"
    exit 3
    error: <url> refuses: the founding code is wrong, or none was given
      next: give the code that `registry init` showed, with --founding-code; its operator can make another with `registry init <folder> --new-founding-code`
    ");
    // Nothing is kept of a founding that this registry could never publish.
    let anothers = init(&served, &BOARD, &served.code).replace("reg/registry.card", "cards/ada.card");
    insta::assert_snapshot!(of("ada", &format!("-q {anothers}")), @"
    exit 2
    error: <url> refuses: the founding names another key as the registry's: this registry's is <digest>
      next: give the card of this registry with --registry-card: its operator has it as `registry.card` in the registry's folder
    ");
    let open = scene.json("ada", &format!("catalogue review --registry {url}"));
    assert!(open["proposed"].as_array().unwrap().is_empty(), "{open}");
    insta::assert_snapshot!(of("ada", &format!("catalogue root --registry {url}")), @"
    exit 5
    error: the catalogue of <url> is not published yet, and so has no root of trust
      next: its owners sign it first: `portcullis catalogue review` shows what is proposed
    ");
    insta::assert_snapshot!(of("eve", &init(&served, &BOARD, &served.code)), @"
    exit 3
    error: the key <digest> is not one of the owners of the new catalogue
      next: let one of its owners found it, or name your own card with --owner
    ");
    // Nothing of it is left over: the right words found it.
    scene.succeed("ada", &init(&served, &["ada", "ben"], &served.code));
    // Until it is in force, whoever proposed it changes their mind at will.
    scene.succeed("ada", &init(&served, &BOARD, &served.code));
    // Another owner takes its place by naming what they read.
    insta::assert_snapshot!(of("ben", &init(&served, &BOARD, &served.code)), @"
    exit 3
    error: another change of root is already proposed: <digest>
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
    error: a catalogue already exists in <url>
      next: trust it with `portcullis join <registry> --root 1.root.json` and change it with `portcullis catalogue propose <checkpoint>`, `rotate` or `board add`; or found another elsewhere
    ");
}

/// The commands of docs/catalogue.md by which another board is founded, as they stand there.
#[test]
fn an_ethics_board_is_founded_as_the_documentation_says() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let page = include_str!("../../../../docs/catalogue.md");
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
    // The registry has the board by now, and this home did not ask it.
    let old = scene.run("ada", &typed(check));
    insta::assert_snapshot!(crate::support::text(&old.stdout) + &crate::support::failure(&old), @"
    tiny.toml:9: error: internal: approvals of ethics are asked for, and the catalogue as last seen here has no such board
      next: `portcullis catalogue refresh` brings what was founded since; otherwise name a board that exists, or found it first
    tiny.toml:19: error: partners: approvals of ethics are asked for, and the catalogue as last seen here has no such board
      next: `portcullis catalogue refresh` brings what was founded since; otherwise name a board that exists, or found it first
    tiny.toml:34: warning: public: `lease_hours` binds nobody: the stage is public, so anyone has the weights for good
      next: drop `lease_hours`, or gate the stage with an agreement
    exit 4
    error: tiny.toml should not be signed: 2 errors
      next: mend what is listed, and check again
    ");
    scene.succeed("ada", &typed(refresh));
    scene.succeed("ada", &typed(check));
    scene.succeed("ada", &typed(propose));
    sign(scene, "ben");
    let request = scene.request();
    let approved = scene.succeed("ada", &format!("approve {request}"));
    assert!(
        approved.ends_with("1 of 3 approvals: 1 more of board and 1 more of ethics to come.\n"),
        "{approved}"
    );
    let pulled = scene.succeed("rosa", &format!("pull {ID}"));
    let missing = "the policy does not permit it yet: 1 of 2 approvals of board; 0 of 1 approvals of ethics";
    assert!(pulled.contains(missing), "{pulled}");
    let listed = scene.succeed("rosa", "list");
    assert!(listed.contains("partners  none "), "what lacks approvals is no grant: {listed}");
    scene.approve("ben", &request);
    // Its own board approved it; the other did not.
    let waits = scene.succeed("rosa", &format!("request show {request}"));
    assert!(waits.starts_with("pending: 2 of 3 approvals, 1 more of ethics to come\n"), "{waits}");
    let seen = scene.succeed("eve", "status");
    assert!(seen.contains("asks for tiny, pending: 2 of 3 approvals, 1 more of ethics to come"), "{seen}");
    insta::assert_snapshot!(scene.stable(&scene.refuse("rosa", &format!("run {ID} Hello"))), @"
    exit 3
    error: the grant <digits> for `tiny` does not count: the policy does not permit it yet: 0 of 1 approvals of ethics
      next: `portcullis request show <request>` tells whose approvals are missing: ask them
    ");
    scene.approve("eve", &request);
    let granted = scene.succeed("rosa", &format!("request show {request}"));
    assert!(granted.starts_with("granted"), "{granted}");
}

#[test]
fn a_founding_in_a_file_is_changed_until_it_is_signed() {
    let served = Served::unfounded(Database::Sqlite);
    let (scene, url) = (&served.scene, &served.process.url);
    let founding = |threshold: u32, more: &str| {
        let cards = BOARD.map(|person| format!("\"{person}.card\"")).join(", ");
        let text = format!(
            "schema = 1\nregistry = \"../reg/registry.card\"\nauditors = [\"august.card\"]\n\n[owners]\nthreshold = {threshold}\n\
             cards = [{cards}]\n\n[board.{ID}]\nthreshold = 2\ncards = [{cards}]\n{more}"
        );
        scene.write("cards/founding.toml", &text);
    };
    let init =
        format!("catalogue init --from cards/founding.toml --founding-code {} --registry {url}", served.code);
    founding(2, "quorum = 2\n");
    insta::assert_snapshot!(scene.refuse("ada", &init), @"
    exit 2
    error: cards/founding.toml cannot be used: TOML parse error at line 12, column 1
       |
    12 | quorum = 2
       | ^^^^^^
    unknown field `quorum`, expected `threshold` or `cards`
      next: docs/catalogue.md shows one that can
    ");
    founding(4, "");
    insta::assert_snapshot!(scene.refuse("ada", &init), @"
    exit 2
    error: the owners have 3 distinct keys; their threshold of 4 must be between 1 and that
      next: change the threshold, or who signs
    ");
    insta::assert_snapshot!(scene.refuse("ada", &format!("{init} --owner cards/eve.card")), @"
    exit 2
    error: the argument '--from <FILE>' cannot be used with '--owner <CARD>'

    Usage: portcullis catalogue init --from <FILE> --founding-code <CODE> --registry <URL|FOLDER>

    For more information, try '--help'.
    ");
    founding(3, "");
    scene.succeed("ada", &init);
    scene.sign_all("ben", &format!("--registry {url}"));
    let before = scene.json("ada", &format!("catalogue status --registry {url}"));
    // The same once more changes nothing, and costs nobody a signature.
    scene.succeed("ada", &init);
    let after = scene.json("ada", &format!("catalogue status --registry {url}"));
    assert_eq!(before["proposed"], after["proposed"]);
    assert_eq!(after["proposed"][0]["quorums"][0]["signed"].as_array().unwrap().len(), 2, "{after}");
    // Two of three were too many hands: it is proposed again, and who signed the old words signs anew.
    founding(2, "\n[board.ethics]\nthreshold = 1\ncards = [\"eve.card\"]\n");
    let again = scene.run("ada", &init);
    let said = crate::support::text(&again.stderr);
    assert!(again.status.success() && said.contains("another owner signed root as it was"), "{said}");
    scene.sign_all("ben", &format!("--registry {url}"));
    let status = scene.succeed("ada", &format!("catalogue root --registry {url}"));
    assert!(status.starts_with("wrote 1.root.json"), "{status}");
    scene.succeed("ada", &format!("join {url} --root 1.root.json"));
    let status = scene.json("ada", "catalogue status");
    let boards: Vec<_> =
        status["boards"].as_array().unwrap().iter().map(|board| board["board"].clone()).collect();
    assert_eq!(boards, ["auditors", "ethics", ID], "{status}");
    assert_eq!(status["roles"][0]["threshold"], 2, "{status}");
}

/// What was printed, without what differs from run to run.
fn without_invitations(served: &Served, text: &str) -> String {
    let text = served.scene.stable(&text.replace(&served.process.url, "<url>"));
    let patterns =
        [("([0-9a-f]{4} ){4}[0-9a-f]{4}", "<fingerprint>"), ("portcullis-invite1[0-9a-z]+", "<invitation>")];
    patterns.iter().fold(text, |text, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
    })
}

#[test]
fn an_invitation_takes_the_place_of_the_roots_file() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let stable = |text: &str| without_invitations(&served, text);
    let printed = scene.succeed("ada", "catalogue invite");
    insta::assert_snapshot!(stable(&printed), @"
    <invitation>
      registry     <url>
      fingerprint  <fingerprint>
      next: send the line; whoever gets it runs `portcullis join <invitation>`, and compares the fingerprint with yours by another way
    ");
    let invitation = printed.lines().next().unwrap();
    let joined = scene.succeed("zoe", &format!("join {invitation}"));
    insta::assert_snapshot!(stable(&joined), @"
    joined <url>: 3 owners, 2 of whom must sign a change of trust
      fingerprint  <fingerprint>: compare it with what the owners say, by another way than this came
      tiny partners
    ");
    let fingerprint = &scene.json("ada", "catalogue invite")["fingerprint"];
    assert!(joined.contains(fingerprint.as_str().unwrap()), "{joined}");
    // Again, and in capitals, changes nothing.
    scene.succeed("zoe", &format!("join {}", invitation.to_uppercase()));
}

#[test]
fn an_invitation_that_is_damaged_or_leads_elsewhere_is_refused() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let url = &served.process.url;
    let stable = |text: &str| without_invitations(&served, text);
    let printed = scene.succeed("ada", "catalogue invite");
    let invitation = printed.lines().next().unwrap();
    scene.succeed("zoe", &format!("join {invitation}"));
    let catalogue = scene.catalogue_id("ada");
    let to = |registry: &str, catalogue| Invitation::new(registry, catalogue).unwrap().to_string();
    let elsewhere = Served::founded(Database::Sqlite);
    let refused = |person: &str, arguments: &str| {
        stable(&scene.refuse(person, arguments).replace(&elsewhere.process.url, "<elsewhere>"))
    };
    insta::assert_snapshot!([
        // One letter of it is wrong.
        refused("yan", &format!("join {}", invitation.replace("invite1q", "invite1p"))),
        refused("yan", &format!("join {}", &invitation[..invitation.len() - 3])),
        // The registry shows another catalogue than the one that was named.
        refused("yan", &format!("join {}", to(&elsewhere.process.url, catalogue))),
        refused("yan", &format!("join {}", to(url, elsewhere.scene.catalogue_id("ada")))),
        refused("yan", &format!("join {}", to("nowhere", catalogue))),
        refused("yan", &format!("join {url}")),
        refused("yan", "catalogue invite"),
        // Who trusts one catalogue is not led to another.
        refused("zoe", &format!("join {}", to(&elsewhere.process.url, elsewhere.scene.catalogue_id("ada")))),
    ].join("\n"), @"
    exit 2
    error: the invitation is damaged: invalid checksum
      next: copy the whole line again; if it stays so, ask for another: `portcullis catalogue invite` prints one

    exit 2
    error: the invitation is damaged: invalid checksum
      next: copy the whole line again; if it stays so, ask for another: `portcullis catalogue invite` prints one

    exit 4
    error: the invitation is to the catalogue <fingerprint>, and <elsewhere> shows <fingerprint>: nothing was trusted
      next: do not use it: tell the one who invited you that somebody shows another catalogue

    exit 4
    error: the invitation is to the catalogue <fingerprint>, and <url> shows <fingerprint>: nothing was trusted
      next: do not use it: tell the one who invited you that somebody shows another catalogue

    exit 5
    error: <scene>/nowhere shows no catalogue
      next: check with the one who invited you where the registry is now

    exit 2
    error: nothing says which catalogue <url> must show
      next: give the root that the owners handed you, with --root 1.root.json; or join by an invitation, which a member prints with `portcullis catalogue invite`

    exit 2
    error: <scene>/homes/yan has joined no registry
      next: run `portcullis join <registry> --root <file>` once, or give --registry

    exit 3
    error: root version 1 is already trusted; the given root (version 1) is of another catalogue
      next: if you mean to change to another catalogue, use another --home for it
    ");
    assert!(!scene.at("homes/yan/catalogue").exists(), "nothing was trusted");
    let root = elsewhere.get("/v1/catalogue/metadata/1.root.json").text;
    scene.write("other.json", &root);
    let both = scene.refuse("yan", &format!("join {invitation} --root other.json"));
    assert!(both.contains("nothing was trusted"), "{both}");
}

/// What the doctor says, without what differs from machine to machine.
fn doctor(served: &Served, person: &str) -> (Option<i32>, String) {
    let done = served.scene.run(person, "doctor");
    let said = crate::support::text(&done.stdout).replace(&served.process.url, "<url>");
    // Disk and memory are the machine's.
    let patterns =
        [(r"(?m)^(ok  |note)  (disk|memory) .*\n( +next: .*\n)?", "$2\n"), (r"127.0.0.1:\d+", "<address>")];
    let said = patterns.iter().fold(served.scene.stable(&said), |said, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&said, *word).into_owned()
    });
    (done.status.code(), said)
}

#[test]
fn the_doctor_finds_nothing_where_nothing_is_wrong() {
    let served = used();
    let (code, said) = doctor(&served, "rosa");
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!(said, @"
    ok    home         <scene>/homes/rosa, yours alone
    note  identity     not protected by a passphrase: who reads the file has your key
                        next: protect it with `portcullis identity passphrase`
    ok    registry     <url> answers, version 0.1.0
    ok    clock        within a minute of the registry's
    ok    catalogue    holds; timestamp expires first, on <date>
    disk
    ok    core dumps   off: a crash leaves no key on the disk
    memory
    ok    vault        every statement in it can be read
    ok    journal      2 records hold, 2 of them not yet with the registry

    nothing must be mended; see the notes
    ");
    let (code, said) = doctor(&served, "nobody");
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!(said, @"
    note  home         <scene>/homes/nobody is not there yet
                        next: `portcullis identity new --name <your name>` makes it
    note  registry     this home has joined none
                        next: join one: `portcullis join <invitation>`, or `portcullis join <registry> --root 1.root.json`
    disk
    ok    core dumps   off: a crash leaves no key on the disk
    memory
    ok    vault        nothing is in it yet
    ok    journal      nothing was recorded on this machine yet

    nothing must be mended; see the notes
    ");
}

/// A registry from which rosa ran what she was granted.
fn used() -> Served {
    let served = Served::released(Database::Sqlite, "partners");
    served.granted();
    served.scene.succeed("rosa", &format!("pull {ID}"));
    served.scene.succeed("rosa", &format!("run {ID} Blessed --max-tokens 2 --quiet"));
    served
}

#[test]
fn the_doctor_says_what_is_to_be_mended_and_how() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut served = used();
    let scene = &served.scene;
    // A home that others may read, a grant that was spoiled, a journal that was shortened.
    let home = scene.at("homes/rosa");
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
    let files = scene.files("homes/rosa/vault").into_iter();
    let grant = files.into_iter().find(|file| file.to_str().unwrap().contains("/grants/")).unwrap();
    std::fs::write(grant, "{}").unwrap();
    std::fs::write(home.join("usage/journal.jsonl"), "").unwrap();
    let ill = scene.run("rosa", "doctor");
    assert_eq!(ill.status.code(), Some(4));
    let said = doctor(&served, "rosa").1;
    insta::assert_snapshot!(said, @"
    MEND  home         others on this machine may use <scene>/homes/rosa
                        next: chmod 700 <scene>/homes/rosa
    note  identity     not protected by a passphrase: who reads the file has your key
                        next: protect it with `portcullis identity passphrase`
    ok    registry     <url> answers, version 0.1.0
    ok    clock        within a minute of the registry's
    ok    catalogue    holds; timestamp expires first, on <date>
    disk
    ok    core dumps   off: a crash leaves no key on the disk
    memory
    MEND  vault        1 of its files are damaged, such as <scene>/homes/rosa/vault/statements/grants/<digest>.json
                        next: remove them and run `portcullis pull <checkpoint>` again: it brings the registry's copies
    MEND  journal      the usage journal ends after 0 records, and had 2: its end was cut off
                        next: keep the home's `usage` folder as it is, and write to the auditors; if records are lost: `portcullis usage explain <journal> --reason \"…\"`
    ");
    insta::assert_snapshot!(crate::support::text(&ill.stderr), @"
    error: 3 things must be mended
      next: do what stands below each
    ");
    let json = scene.run("rosa", "doctor --json");
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["healthy"], false);
    assert_eq!(report["checks"][0]["state"], "bad", "{report}");
    // A registry that does not answer.
    drop(std::mem::replace(&mut served.process, crate::support::served::Process::idle()));
    let ill = served.scene.run("ada", "doctor");
    let said = crate::support::text(&ill.stdout);
    assert_eq!(ill.status.code(), Some(4), "{said}");
    assert!(said.contains("MEND  registry") && said.contains("ok    catalogue"), "{said}");
}

#[test]
fn a_shell_completes_from_the_home_and_asks_no_registry() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let (_, grant) = served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    let complete = |served: &Served, person: &str, line: &str| {
        let mut words: Vec<_> = line.split(' ').collect();
        let home = served.scene.at("homes").join(person).display().to_string();
        words.splice(0..0, ["portcullis", "--home", &home]);
        let done = crate::support::portcullis()
            .env("PORTCULLIS_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
            .env("_CLAP_IFS", "\n")
            .arg("--")
            .args(&words)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", crate::support::failure(&done));
        crate::support::text(&done.stdout)
    };
    assert_eq!(complete(&served, "rosa", "pull t").trim(), ID);
    assert_eq!(complete(&served, "rosa", "grant show ").lines().find(|line| **line == grant), Some(&*grant));
    assert!(complete(&served, "ada", "release tiny --stage p").contains("partners"));
    assert!(complete(&served, "ada", "catalogue sign t").contains("targets"));
    assert!(complete(&served, "ada", "rel").contains("release"));
    assert!(!complete(&served, "newcomer", "pull t").contains(ID));
    assert!(!scene.at("homes/newcomer").exists(), "asking made nothing");
    // The same without the registry.
    let mut served = served;
    drop(std::mem::replace(&mut served.process, crate::support::served::Process::idle()));
    assert_eq!(complete(&served, "rosa", "pull t").trim(), ID);
}
