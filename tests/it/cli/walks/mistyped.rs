//! What is mistyped or left out: addresses, folders, names of checkpoints. Nothing of it passes for something that is empty.

use crate::support::people::{BOARD, ID, Scene};
use crate::support::served::{Database, Served};

#[test]
fn an_address_without_a_scheme_and_a_missing_folder_are_no_empty_registry() {
    let scene = Scene::founded();
    insta::assert_snapshot!(scene.refuse("rosa", "--registry localhost:7488 request list"), @"
    exit 2
    error: invalid value 'localhost:7488' for '--registry <URL|FOLDER>': there is no folder localhost:7488; for a server, write http://localhost:7488 or https://localhost:7488

    For more information, try '--help'.
    ");
    let root = "--root registry/catalogue/metadata/1.root.json";
    insta::assert_snapshot!(scene.refuse("new", &format!("join 127.0.0.1:7488 {root}")), @"
    exit 2
    error: there is no folder 127.0.0.1:7488; for a server, write http://127.0.0.1:7488 or https://127.0.0.1:7488
      next: a folder is named by its path
    ");
    insta::assert_snapshot!(scene.refuse("new", &format!("join ftp://x {root}")), @"
    exit 2
    error: ftp://x is no address of a registry (invalid address: it must begin with `https://` or `http://`); for a server, write http://… or https://…
      next: a folder is named by its path
    ");
    insta::assert_snapshot!(scene.refuse("new", &format!("join missing {root}")), @"
    exit 5
    error: there is no folder <scene>/missing
      next: check the path; for a server, write its address with http:// or https://
    ");
    // `grant list` goes on with what is here, and notes that the registry is out of reach.
    for command in ["request list", "case list", "catalogue status"] {
        let missing = scene.refuse("rosa", &format!("-q --registry missing {command}"));
        insta::allow_duplicates! {
            insta::assert_snapshot!(missing, @"
            exit 5
            error: there is no folder missing
              next: check the path; for a server, write its address with http:// or https://
            ");
        }
        let other = scene.refuse("rosa", &format!("-q --registry homes {command}"));
        assert!(other.contains("the folder homes holds no registry: it has no catalogue"), "{other}");
    }
}

#[test]
fn a_mistyped_checkpoint_is_guessed_and_never_an_empty_list() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    for command in [
        "request list tyny",
        "grant list tyny",
        "request new tyny --purpose Detectors",
        "pull tyny",
        "lease tyny",
        "run tyny Hello",
        "serve tyny",
        "export tyny --to plainly",
    ] {
        let said = scene.refuse("rosa", command);
        insta::allow_duplicates! {
            insta::assert_snapshot!(said, @"
            exit 2
            error: the catalogue has no checkpoint `tyny`
              next: did you mean tiny? `portcullis list` names them
            ");
        }
    }
    let drafted = scene.run("ada", "policy new tyny --to draft.toml");
    let noted = crate::support::text(&drafted.stderr);
    assert_eq!(noted, "note: the catalogue has no checkpoint `tyny`; did you mean tiny?\n");
    // Whoever keeps nothing of the catalogue sees all of it but what is proposed.
    for person in ["rosa", "august", "newcomer"] {
        let to = format!("--registry {}", served.process.url);
        let said = scene.succeed(person, &format!("{to} catalogue status"));
        assert!(said.contains(ID), "{said}");
        assert!(said.ends_with("what is proposed is for owners and board members to see\n"), "{said}");
    }
}

#[test]
fn a_founder_is_led_from_the_proposal_to_a_joined_home() {
    let served = Served::unfounded(Database::Sqlite);
    let (scene, url) = (&served.scene, &served.process.url);
    let steps = |person: &str| -> Vec<String> {
        let status = scene.json(person, &format!("--registry {url} status"));
        let next = status["next"].as_array().unwrap().iter();
        next.map(|step| step["command"].as_str().unwrap().replace(url, "<url>")).collect()
    };
    assert_eq!(steps("ben"), ["portcullis --registry <url> catalogue review"]);
    let owners = BOARD.map(|person| format!(" --owner cards/{person}.card")).concat();
    let init = format!(
        "--registry {url} catalogue init{owners} --owner-threshold 2 --founding-code {} --registry-card reg/registry.card \
         --board {ID}=2:cards/ada.card,cards/ben.card,cards/cy.card",
        served.code
    );
    scene.succeed("ada", &init);
    let review = scene.json("ben", &format!("--registry {url} catalogue review"));
    let mut said = String::new();
    for open in review["proposed"].as_array().unwrap() {
        let (role, digest) = (open["role"].as_str().unwrap(), open["digest"].as_str().unwrap());
        said = scene.succeed("ben", &format!("--registry {url} catalogue sign {role} {digest}"));
    }
    let next = "  next: `portcullis --registry <url> catalogue root --to 1.root.json`, then `portcullis join <url> --root 1.root.json`\n";
    assert!(said.replace(url, "<url>").ends_with(next), "{said}");
    let to_join =
        ["portcullis join <invitation>", "portcullis --registry <url> catalogue root --to 1.root.json"];
    assert_eq!(steps("ben"), to_join);
    let wrote = scene.succeed("ben", &format!("--registry {url} catalogue root --to 1.root.json"));
    assert!(wrote.replace(url, "<url>").ends_with("`portcullis join <url> --root 1.root.json`\n"), "{wrote}");
    scene.succeed("ben", &format!("join {url} --root 1.root.json"));
    assert!(steps("ben").iter().all(|step| !step.contains("join")), "{:?}", steps("ben"));
}

#[test]
fn a_lost_founding_code_is_replaced_and_counts_no_more() {
    let served = Served::unfounded(Database::Sqlite);
    let scene = &served.scene;
    let said = scene.refuse("registry", "registry init reg");
    assert!(said.contains("`portcullis registry init <folder> --new-founding-code` makes another"), "{said}");
    // Nobody reads what the command says: the code is lost, and it says so.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = crate::support::portcullis()
        .current_dir(scene.path())
        .args(["registry", "init", "unseen"])
        .stdout(full)
        .output()
        .unwrap();
    insta::assert_snapshot!(crate::support::failure(&output), @"
    exit 5
    error: cannot write to standard output: No space left on device (os error 28): the founding code was shown to nobody
      next: make room where its output goes; then `portcullis registry init <folder> --new-founding-code` makes another
    ");
    let kept = std::fs::read_to_string(scene.at("reg/portcullis.toml")).unwrap();
    let new = scene.json("registry", "registry init reg --new-founding-code");
    let settings = std::fs::read_to_string(scene.at("reg/portcullis.toml")).unwrap();
    let of_others = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("founding_code")).map(str::to_owned).collect()
    };
    assert_eq!(of_others(&kept), of_others(&settings));
    // Read anew, the settings let the new code in and no other.
    let served = served.limited("");
    let (scene, url, code) = (&served.scene, &served.process.url, new["founding_code"].as_str().unwrap());
    let init = |code: &str| {
        format!(
            "-q --registry {url} catalogue init --owner cards/ada.card --owner-threshold 1 --founding-code {code} \
             --registry-card reg/registry.card --board {ID}=1:cards/ada.card"
        )
    };
    let said = scene.refuse("ada", &init(&served.code));
    assert!(said.contains("the founding code is wrong"), "{said}");
    scene.succeed("ada", &init(code));
}
