//! The rooms of `src/` and the direction of the arrows between them (docs/architecture.md).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from top to bottom: one may use what stands below it, never what stands above.
const ROOMS: [&str; 32] = [
    "main",
    "cli",
    "server",
    "endpoint",
    "console",
    "web",
    "report",
    "registry",
    "client",
    "api",
    "store",
    "blob",
    "misuse",
    "usage",
    "evaluate",
    "inference",
    "access",
    "policy",
    "catalogue",
    "seal",
    "checkpoint",
    "log",
    "statement",
    "identity",
    "json",
    "secret",
    "progress",
    "name",
    "visible",
    "time",
    "digest",
    "hex",
];

/// Longest accepted source file, in lines.
const MAX_LINES: usize = 600;

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().unwrap() != "target" {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    assert!(!found.is_empty());
    found
}

/// The room of a file: the first part of its path below `src/`.
fn room(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Every room that a text names as `crate::room` or inside `crate::{…}`.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut used = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            used.insert(rest.split(|c| !is_word(c)).next().unwrap_or_default().to_owned());
            continue;
        };
        let mut depth = 1;
        let mut beginning = true;
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => beginning = true,
                c if is_word(c) && beginning => {
                    used.insert(group[i..].split(|c| !is_word(c)).next().unwrap().to_owned());
                    beginning = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    used
}

fn level(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

#[test]
fn arrows_between_rooms_point_down() {
    let mut upward = Vec::new();
    for path in sources("src") {
        let from = room(&path);
        if from == "lib" {
            continue;
        }
        let Some(above) = level(&from) else {
            panic!("{} is in no room of the list", path.display());
        };
        for to in rooms_used(&fs::read_to_string(&path).unwrap()) {
            if level(&to).is_some_and(|below| below < above) {
                upward.push(format!("{}: {from} -> {to}", path.display()));
            }
        }
    }
    assert!(upward.is_empty(), "arrows that point up:\n{}", upward.join("\n"));
}

#[test]
fn the_reader_of_arrows_reads_every_form() {
    let text = "use crate::digest::Crc32c;\nuse crate::{name, checkpoint::{self, known}};\nlet x = crate::inference::y();";
    let used: Vec<_> = rooms_used(text).into_iter().collect();
    assert_eq!(used, ["checkpoint", "digest", "inference", "name"]);
}

/// P9: commands reach a person's key through `cli/signing` alone, which shows what is signed; what signs without a person says why.
#[test]
fn commands_sign_only_what_was_shown() {
    let may =
        |path: &Path, folders: &[&str]| folders.iter().any(|folder| path.to_str().unwrap().contains(folder));
    // Stand-ins of the demo's replay are nobody's keys.
    let keys = ["src/cli/home.rs", "src/cli/signing/", "src/cli/demo/replay/"];
    let unattended = [
        "src/cli/signing/",
        "src/cli/session.rs",
        "src/cli/identity/card.rs",
        "src/cli/auditor/witness.rs",
        "src/cli/admin/catalogue/publish.rs",
        "src/cli/operator/",
        "src/cli/researcher/usage/mod.rs",
        "src/cli/researcher/recording.rs",
    ];
    let mut wrong = Vec::new();
    for path in sources("src/cli") {
        let text = fs::read_to_string(&path).unwrap();
        let reaches = ["unlocked_signer", ".signer(None)", "SigningKey", ".sign(&*signer"]
            .iter()
            .any(|way| text.contains(way));
        let is_covered = may(&path, &keys) || may(&path, &unattended);
        if (reaches && !is_covered) || (text.contains("unattended(") && !may(&path, &unattended)) {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "sign through `Signatory`: {wrong:?}");
}

/// serde_json and toml take a list for a struct and the last of two equal keys: only the room that does not may call them.
/// A claim is believed by nobody: whoever reads one to show it, or to sign over it, says here why that is no harm.
#[test]
fn commands_show_only_what_was_verified() {
    let known = [
        ("auditor/case.rs", "to find the checkpoint by whose rules a grant is verified"),
        ("auditor/docket.rs", "the same for a case; whose key an id is, which the verified case names"),
        ("auditor/board_report.rs", "to find the checkpoint by whose rules each is verified"),
        ("signing/papers.rs", "the very bytes that are signed"),
        ("admin/approvable.rs", "to find whose grant it is; what ends or answers a request is verified"),
        ("researcher/usage/mod.rs", "which stage of the policy in force the newest grant of the vault names"),
        ("admin/policy/grants.rs", "whose affiliations to ask for; the outlook verifies"),
        ("admin/approve.rs", "compared with what a verified request would get"),
        ("admin/revoke.rs", "to find the checkpoint; to tell several by digits, of which nothing follows"),
        ("resolve.rs", "to tell what digits may mean, of which nothing follows"),
        ("operator/answer.rs", "what this process has just signed"),
        ("operator/lease.rs", "to find the checkpoint; what issues the lease verifies"),
        ("completion.rs", "names to complete"),
        ("researcher/request/show.rs", "who signed what is counted by signatures"),
        ("researcher/grant/verify.rs", "to find the checkpoint"),
        ("researcher/grant/list.rs", "each with why it does not stand, if it does not"),
        ("researcher/grant/show.rs", "says itself that it is unchecked"),
        ("demo/replay/days.rs", "what the demo's own registry has just made"),
        ("status/tasks.rs", "compared with the request; the signatures are verified"),
    ];
    let cli = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    for path in sources("src/cli") {
        let text = fs::read_to_string(&path).unwrap();
        let below = path.strip_prefix(&cli).unwrap();
        let is_known = known.iter().any(|(file, _)| below == Path::new(file));
        let claims = text.contains(".claim::<") || text.contains(".claim()");
        assert_eq!(claims, is_known, "{} reads what nobody verified", below.display());
    }
}

#[test]
fn one_room_reads_json_and_toml() {
    let readers = [
        "serde_json::from_",
        "toml::from_",
        "toml::de::from_",
        "serde_json::Deserializer",
        "Json::<",
        ".json().await",
    ];
    let mut strays = Vec::new();
    for path in sources("src").into_iter().filter(|path| room(path) != "json") {
        let text = fs::read_to_string(&path).unwrap();
        // Tests read what they wrote themselves.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let found =
            code.lines().enumerate().filter(|(_, line)| readers.iter().any(|reader| line.contains(reader)));
        strays.extend(found.map(|(at, line)| format!("{}:{}: {}", path.display(), at + 1, line.trim())));
    }
    assert!(strays.is_empty(), "read it with crate::json:\n{}", strays.join("\n"));
}

/// What a bearer opens is private: a handler that asks who reads answers with what came through the registry's gate.
#[test]
fn private_answers_come_through_the_gate() {
    // These answer with a receipt of what was sent, and tell nothing of others.
    let receipts = ["put", "put_seal", "propose", "withdraw"];
    let (mut open, mut seen) = (Vec::new(), 0);
    for path in sources("src/server") {
        let text = fs::read_to_string(&path).unwrap();
        for signature in text.split("async fn ").skip(1) {
            let signature = signature.split(" {\n").next().unwrap();
            let name = signature.split('(').next().unwrap();
            let is_known = ["Reader", "Member", "Proposer"].iter().any(|who| signature.contains(who));
            if !is_known || name == "from_request_parts" {
                continue;
            }
            seen += 1;
            if !receipts.contains(&name) && !signature.contains("Private") {
                open.push(format!("{}: {name}", path.display()));
            }
        }
        // The database itself knows nobody's rights: it is only asked whether it lives, cleaned and closed.
        let direct = text.split("registry.store()").skip(1);
        let direct = direct
            .filter(|rest| ![".ping()", ".close()", ".forget("].iter().any(|way| rest.starts_with(way)));
        assert_eq!(direct.count(), 0, "{} asks the database past the gate", path.display());
    }
    assert!(seen >= 14, "the reader of signatures finds {seen} handlers");
    assert!(open.is_empty(), "answer with `Private`: {open:#?}");
    // Only the gate makes what the server may send.
    for path in sources("src").into_iter().filter(|path| !path.ends_with("registry/reveal.rs")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("PrivateAnswer("), "{} makes a private answer of its own", path.display());
        let ungated = text.matches("PrivateAnswer::public(").count();
        let proposals = if path.ends_with("registry/lists.rs") { 2 } else { 0 };
        assert!(ungated <= proposals, "{} reveals past the log", path.display());
    }
}

/// Rows in pages are for showing. What decides asks the database for the state, or goes through every page to the end.
#[test]
fn no_decision_reads_one_page() {
    for path in sources("src/registry").into_iter().filter(|path| !path.ends_with("registry/lists.rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let pages = text.matches("Page::FIRST").count() + text.matches("Page { after: 0").count();
        let walks = text.matches("after = *last;").count() + text.matches("page.after = last.seq;").count();
        assert!(pages <= walks, "{} decides on the first page of a list", path.display());
    }
    // Whatever the database cuts off is one row that was looked for, a page that its caller goes on from, or has a reason here.
    let bounded = [
        ("history", "events of a request, for showing"),
        ("decision_times", "the last decisions, of which a median is shown"),
        ("statement", "one more than may be, which is refused"),
        ("statement_and_sanctions", "one more than may be, which is refused"),
        ("newest_about", "the newest, for showing"),
        ("statements_by_prefix", "for showing, and to find one by its first digits"),
        ("statements_to_erase", "until none is left"),
        ("later_hits", "as many as one case names, until none is left"),
        ("journals_of", "one more than may be, which is refused"),
        ("generations", "one more than may be, which is refused"),
        ("log_turn", "the next entries in order, until none is left"),
        ("dump_table", "goes on from the last key"),
    ];
    let mut cut = Vec::new();
    for path in sources("src/store") {
        let text = fs::read_to_string(&path).unwrap();
        for function in text.split("fn ").skip(1) {
            let (signature, body) = function.split_once(" {\n").unwrap_or((function, ""));
            let name = signature.split(['(', '<']).next().unwrap();
            let cuts = body.match_indices("LIMIT ").any(|(at, _)| {
                let rest = &body[at + "LIMIT ".len()..];
                rest.starts_with(['$', '{'])
                    || rest.chars().take_while(char::is_ascii_digit).collect::<String>() != "1"
            });
            let goes_on = signature.contains("Page");
            if cuts && !goes_on && !bounded.iter().any(|(known, _)| *known == name) {
                cut.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(cut.is_empty(), "reads a part of what there is: {cut:#?}");
}

#[test]
fn files_stay_readable() {
    let long: Vec<_> = ["src", "tests", "benches"]
        .into_iter()
        .filter(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).exists())
        .flat_map(sources)
        .filter(|path| fs::read_to_string(path).unwrap().lines().count() > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "split by what they do: {long:?}");
}

#[test]
fn no_test_file_is_left_uncompiled() {
    let mut named = String::new();
    for path in sources("tests") {
        named += &fs::read_to_string(path).unwrap();
    }
    for path in sources("tests") {
        let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")).unwrap();
        // Some are crates of their own.
        let is_entry = below.components().count() == 1
            || below.file_name().is_some_and(|name| name == "main.rs")
            || below.starts_with("fuzz")
            || below == Path::new("kernels/lib.rs");
        let stem = below.file_stem().unwrap().to_str().unwrap();
        let module =
            if stem == "mod" { below.parent().unwrap().file_name().unwrap().to_str().unwrap() } else { stem };
        assert!(
            is_entry || named.contains(&format!("mod {module};")),
            "{} is compiled by nobody",
            below.display()
        );
    }
}

#[test]
fn labels_of_measurements_are_static_texts() {
    // A label that is made while the program runs can be made from what a client sent.
    let mut made = Vec::new();
    for path in sources("src") {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("metrics::") {
            let call = text[at..].split(';').next().unwrap();
            if ["to_string", "to_owned", "format!", "clone()", "&labels", "String"]
                .iter()
                .any(|word| call.contains(word))
            {
                made.push(format!("{}: {call}", path.display()));
            }
        }
    }
    assert!(made.is_empty(), "{made:#?}");
}

/// `json!` panics on a path that is not UTF-8: a path goes into JSON as `output::shown` has it.
#[test]
fn json_takes_no_path_as_it_is() {
    let typed =
        regex::Regex::new(r"(\w+): &?(?:'\w+ )?(?:mut )?(?:Option<&?)?(?:std::path::)?Path(?:Buf)?\b")
            .unwrap();
    let joined =
        regex::Regex::new(r"let (\w+) = [^;]*\.(?:join\([^;]*\)|path\(\)|to_path_buf\(\));").unwrap();
    // Lists of words are joined, too.
    let is_text = |found: &str| {
        ["collect", "format!", "[\"", "\", \"", "join(\" \")"].iter().any(|word| found.contains(word))
    };
    let entry = regex::Regex::new(r#""(\w+)": ([^,}]+)"#).unwrap();
    let (mut paths, mut seen) = (Vec::new(), 0);
    for path in sources("src") {
        let text = fs::read_to_string(&path).unwrap();
        let joined = joined.captures_iter(&text).filter(|found| !is_text(&found[0]));
        let shown: BTreeSet<_> = typed
            .captures_iter(&text)
            .chain(joined)
            .map(|found| found[1].to_owned())
            .filter(|name| !text.contains(&format!("let {name} = shown(")))
            .collect();
        for call in text.split("json!(").skip(1) {
            // Up to where the call ends.
            let mut depth = 1;
            let end = call.find(|c| {
                depth += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            for found in entry.captures_iter(&call[..end.unwrap_or(call.len())]) {
                let value = found[2].trim();
                let last = value.trim_start_matches('&').trim_start_matches("self.");
                let is_path = shown.contains(last) || last.ends_with(".path()") || last.ends_with(".path");
                seen += usize::from(value.starts_with("shown("));
                if is_path && !value.starts_with("shown(") {
                    paths.push(format!("{}: {}", path.display(), &found[0]));
                }
            }
        }
    }
    assert!(seen > 5, "the reader of JSON finds {seen} paths");
    assert!(paths.is_empty(), "write shown(path): {paths:#?}");
}
