//! Files that a person names: any name that the file system takes, and anything that can stand there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::served::{Database, Served};
use support::{failure, portcullis, text, workplace};

/// A name that is no UTF-8.
fn latin(name: &str) -> OsString {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend(b"-caf\xe9");
    OsStr::from_bytes(&bytes).to_owned()
}

/// Runs a command as whoever has the home; in its words, `@name` is a path that is no UTF-8.
fn run_latin(folder: &Path, home: &OsStr, command: &str) -> Output {
    let words = command.split_whitespace().map(|word| match word.split_once('@') {
        Some(("", name)) => latin(name),
        _ => OsString::from(word),
    });
    portcullis().current_dir(folder).arg("--home").arg(home).args(words).output().unwrap()
}

#[test]
fn a_path_that_is_not_utf_8_is_written_and_named() {
    let served = Served::founded(Database::Sqlite);
    let at = served.scene.path();
    let (new, ada, august) = (latin("home"), OsString::from("homes/ada"), OsString::from("homes/august"));
    for (home, command) in [
        (&new, "registry init @reg"),
        (&new, "identity new --name Ada --no-passphrase"),
        (&new, "identity passphrase --no-passphrase"),
        (&new, "identity card --to @card"),
        (&latin("copy"), "identity import homes/ada/identity.age"),
        (&new, "witness init @witness --name witness.example"),
        (&new, "policy new tiny --to @policy"),
        (&new, "man --to @man"),
        (&ada, "catalogue root --to @root"),
        (&august, "audit report --output @report"),
        (&august, "audit bundle --to @bundle"),
        (&ada, "registry backup reg --to @backup"),
    ] {
        let output = run_latin(at, home, &format!("{command} --json"));
        assert!(output.status.success(), "{command}: {}", failure(&output));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(said.to_string().contains("-caf\u{fffd}"), "{command}: {said}");
    }
    // The code of a registry that was made is shown, and not lost.
    let made = run_latin(at, &new, "registry init @another");
    assert!(text(&made.stdout).contains("founding code  "), "{}", failure(&made));
}

#[test]
fn a_text_that_is_not_utf_8_is_refused_by_name() {
    let place = workplace();
    for (command, named) in
        [("import tiny @source --to plain", "source"), ("--registry @place list", "place")]
    {
        let output = run_latin(place.path(), OsStr::new("home"), command);
        let said = failure(&output);
        assert!(said.contains(&format!("`{named}-caf\u{fffd}` is not UTF-8")), "{said}");
    }
    insta::assert_snapshot!(
        failure(&run_latin(place.path(), OsStr::new("home"), "import tiny @source --to plain")),
        @"
    exit 2
    error: the argument `source-caf�` is not UTF-8
      next: rename the file, or use a symbolic link whose name is UTF-8
    "
    );
}

#[test]
fn a_report_is_the_same_bytes_to_a_pipe_as_to_a_file() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    scene.succeed("august", "audit bundle --to audit.jsonl");
    let days = "--from 2019-01-01 --to 2019-02-01 --bundle audit.jsonl";
    let times = regex::Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\d\d:\d\d(:\d\d)?").unwrap();
    for format in ["csv", "html", "json", "text"] {
        // What names its own moment differs from run to run.
        let same = |bytes: &[u8]| times.replace_all(&text(bytes), "<time>").into_owned();
        let report = format!("audit report {days} --format {format}");
        let piped = scene.run("august", &report);
        scene.succeed("august", &format!("{report} --output report"));
        let written = fs::read(scene.at("report")).unwrap();
        assert_eq!(same(&piped.stdout), same(&written), "{format}");
    }
}

/// A pipe of the file system with a reader; what came through, once its writer ended.
fn pipe(path: &Path) -> std::thread::JoinHandle<Vec<u8>> {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let path = path.to_owned();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    })
}

#[test]
fn what_is_no_plain_file_is_written_through() {
    let served = Served::founded(Database::Sqlite);
    let scene = &served.scene;
    for (person, command) in [
        ("ada", "identity card --to"),
        ("ada", "catalogue root --to"),
        ("august", "audit report --format csv --output"),
        ("august", "audit bundle --to"),
        ("ada", "registry backup reg --to"),
    ] {
        for name in ["pipe", "link", "kept", "dangling", "target"] {
            drop(fs::remove_file(scene.at(name)));
        }
        let reader = pipe(&scene.at("pipe"));
        scene.succeed(person, &format!("{command} pipe"));
        assert!(fs::symlink_metadata(scene.at("pipe")).unwrap().file_type().is_fifo(), "{command}");
        assert!(!reader.join().unwrap().is_empty(), "{command}");
        // A link stays one, and what it names is written, whose mode stays.
        scene.write("kept", "of before");
        fs::set_permissions(scene.at("kept"), fs::Permissions::from_mode(0o640)).unwrap();
        for (link, target) in [("link", "kept"), ("dangling", "target")] {
            symlink(target, scene.at(link)).unwrap();
            scene.succeed(person, &format!("{command} {link}"));
            assert!(fs::symlink_metadata(scene.at(link)).unwrap().file_type().is_symlink(), "{command}");
            assert_ne!(fs::read(scene.at(target)).unwrap(), b"of before", "{command}");
        }
        assert_eq!(fs::metadata(scene.at("kept")).unwrap().permissions().mode() & 0o777, 0o640, "{command}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named_as_it_was_given() {
    let served = Served::founded(Database::Sqlite);
    let scene = &served.scene;
    for command in [
        "identity card --to",
        "catalogue root --to",
        "audit report --output",
        "audit bundle --to",
        "registry backup reg --to",
    ] {
        let said = scene.refuse("august", &format!("{command} missing/file"));
        assert!(!scene.at("missing").exists(), "{command}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(said, @"
            exit 5
            error: cannot write missing/file: No such file or directory (os error 2)
              next: check the path
            ");
        }
        let said = scene.refuse("august", &format!("{command} cards"));
        assert!(said.contains("cannot write cards: Is a directory"), "{said}");
    }
}
