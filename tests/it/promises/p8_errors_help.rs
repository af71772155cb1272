//! P8: a refusal names what was refused, the rule that refused it, and what to do next. Bad input ends in a refusal, never in a panic.

use crate::support::people::Scene;
use crate::support::served::{Database, Served};

/// Commands with something wrong in them, and what the message has to name.
const WRONG: [(&str, &str, &str); 22] = [
    ("rosa", "pull elsewhere", "elsewhere"),
    ("rosa", "run tiny Hello -n 1", "tiny"),
    ("rosa", "lease tiny", "tiny"),
    ("rosa", "request new elsewhere --purpose x --use detection --days 9", "elsewhere"),
    ("rosa", "request new tiny --purpose x --use detection --days 9000 --accept-agreement", "9000 days"),
    ("rosa", "request new tiny --purpose x --use gambling --days 9 --accept-agreement", "gambling"),
    ("rosa", "request show 0123456789ab", "<digits>"),
    ("rosa", "request withdraw 0123456789ab", "<digits>"),
    ("rosa", "grant show 0123456789ab", "<digits>"),
    ("rosa", "approve 0123456789ab", "<digits>"),
    ("ada", "approve 0123456789ab", "<digits>"),
    ("ada", "revoke 0123456789ab --reason x", "<digits>"),
    ("ada", "policy check nowhere.toml", "nowhere.toml"),
    ("ada", "policy check broken.toml", "broken.toml"),
    ("ada", "catalogue propose tiny --policy broken.toml", "line 3"),
    ("ada", "catalogue propose tiny --stage elsewhere", "elsewhere"),
    ("ada", "seal nowhere", "nowhere"),
    ("ada", "import mine nowhere --to made", "nowhere"),
    ("ada", "verify nowhere", "nowhere"),
    ("august", "case show 0123456789ab", "<digits>"),
    ("august", "audit verify --bundle nowhere", "nowhere"),
    ("rosa", "join http://127.0.0.1:1", "127.0.0.1:1"),
];

fn require_help(scene: &Scene, (person, command, named): (&str, &str, &str)) {
    let said = scene.refuse(person, command);
    let case = format!("{person}: {command}\n{said}");
    assert!(!said.contains("panicked") && !said.contains("a defect"), "{case}");
    assert!(said.contains("error: ") && said.contains(named), "{case}");
    assert!(said.contains("next: "), "{case}");
}

#[test]
fn p8_each_refusal_names_what_was_refused_and_what_to_do_next() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    scene.write("broken.toml", "schema = 1\ncheckpoint = \"tiny\"\nversion = \"one\"\n");
    for wrong in WRONG {
        require_help(scene, wrong);
    }
}

#[test]
fn p8_bytes_that_mean_nothing_are_refused_wherever_a_file_is_read() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let nested = "[".repeat(60_000);
    for contents in ["", "\u{0}\u{1}\u{2}", "{}", "[]", "null", "{\"payload\": 7}", nested.as_str()] {
        scene.write("garbage", contents);
        for (person, command) in [
            ("ada", "policy check garbage"),
            ("ada", "catalogue board add other --member garbage --threshold 1"),
            ("ada", "identity import garbage --no-passphrase"),
            ("ada", "verify garbage"),
            ("remy", "join garbage"),
            ("august", "audit verify --bundle garbage"),
            ("rosa", "grant verify garbage"),
        ] {
            let output = scene.run(person, command);
            let said = crate::support::text(&output.stderr);
            assert!(!output.status.success(), "{person}: {command} took {contents:.20}");
            assert!(output.status.code().is_some_and(|code| code < 100), "{person}: {command}: {said}");
            assert!(!said.contains("panicked") && !said.contains("a defect"), "{person}: {command}: {said}");
        }
    }
}
