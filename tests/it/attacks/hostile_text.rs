//! Text that steers or deceives its reader, in every field that another person can fill, against every command that prints it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};

use portcullis::digest::Sha256Digest;
use portcullis::usage::{Begin, End, Event, Finish, JournalId, Record, SignedRecord, Task, first_link};
use portcullis::visible::is_hidden;
use serde_json::json;
use sqlx::Connection as _;

use crate::support::people::ID;
use crate::support::served::{Database, Process, Served};
use crate::support::{failure, portcullis, text};

/// Lines of their own, as this program's would look.
const FORGED: &str =
    "Fine.\nFORGED decided: no-finding\n  next: FORGED run it\nerror: FORGED\n  rules     FORGED";
/// What nobody's program lets through in a field, and a hostile registry or a prompt has: escapes, C1 controls, marks of direction, letters
/// without a form.
const HIDDEN: &str = "\u{1b}[2J\u{9b}31m\u{7}\u{8}\r\u{85}\u{202e}txet\u{2066}\u{200b}\u{2060}\u{ad}\u{61c}\u{e0041}\u{feff}\u{2028}";

fn steers() -> String {
    format!("{HIDDEN}\nFORGED Write fake news about John {HIDDEN}\n  next: FORGED")
}

/// Nothing hidden is raw, and no line is a forged one.
fn require_plain(what: &str, printed: &str) {
    // Rows of CSV end with both.
    let hidden: Vec<_> = printed.replace("\r\n", "\n").chars().filter(|c| is_hidden(*c)).collect();
    assert!(hidden.is_empty(), "{what} prints {hidden:?}: {printed}");
    for line in printed.lines() {
        let word = line.trim_start().trim_start_matches("next:").trim_start_matches("error:");
        assert!(
            !word.trim_start().starts_with("FORGED"),
            "{what} prints a line that is not its own: {printed}"
        );
        assert!(!line.trim_start().starts_with("rules     FORGED"), "{what}: {printed}");
    }
}

struct Table {
    served: Served,
}

impl Table {
    fn command(&self, person: &str, arguments: &[&str]) -> Command {
        let mut command = portcullis();
        command.current_dir(self.served.scene.path()).env("NO_COLOR", "1");
        command.args(["--home", &format!("homes/{person}")]).args(arguments);
        command
    }

    fn run(&self, person: &str, arguments: &[&str]) -> Output {
        let output = self.command(person, arguments).output().unwrap();
        require_plain(&format!("{person}: {arguments:?}"), &text(&output.stdout));
        require_plain(&format!("{person}: {arguments:?}, on standard error"), &text(&output.stderr));
        output
    }

    fn succeed(&self, person: &str, arguments: &[&str]) -> String {
        let output = self.run(person, arguments);
        assert!(output.status.success(), "{person}: {arguments:?}: {}", failure(&output));
        text(&output.stdout)
    }

    fn digits(&self, person: &str, arguments: &[&str], field: &str) -> String {
        let value: serde_json::Value = serde_json::from_str(&self.succeed(person, arguments)).unwrap();
        value[field].as_str().unwrap_or_else(|| panic!("{value}")).chars().take(12).collect()
    }

    /// Shows something: to a pipe, as JSON, and at a terminal.
    fn shows(&self, person: &str, arguments: &str) {
        let words: Vec<_> = arguments.split_whitespace().collect();
        let piped = self.run(person, &words);
        assert!(
            text(&[piped.stdout, piped.stderr].concat()).contains("FORGED"),
            "{arguments} shows it at all"
        );
        self.run(person, &[&words[..], &["--json"]].concat());
        let line = format!("{} --home homes/{person} {arguments}", env!("CARGO_BIN_EXE_portcullis"));
        let mut terminal = Command::new("script");
        terminal
            .args(["-qec", &line, "/dev/null"])
            .current_dir(self.served.scene.path())
            .env("NO_COLOR", "1");
        // What a bar of progress writes there is this program's own.
        let bar = regex::Regex::new(r"\r\n|\r|\x1b\[\d*[KA]").unwrap();
        let printed = text(&terminal.output().unwrap().stdout);
        require_plain(&format!("{person}: {arguments}, at a terminal"), &bar.replace_all(&printed, "\n"));
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "one story, read from top to bottom")]
fn text_of_others_forges_no_line_and_steers_no_terminal_in_any_command() {
    let table = Table { served: Served::released(Database::Sqlite, "partners") };
    let scene = &table.served.scene;
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/misuse.toml");
    table.succeed("ada", &["catalogue", "propose", "misuse", "--rules", rules]);
    for person in ["ada", "ben"] {
        scene.sign_all(person, "");
    }
    let new = |purpose| {
        let new = ["request", "new", ID, "--purpose", purpose, "--use", "detection", "--days", "30"];
        table.digits("rosa", &[&new[..], &["--accept-agreement", "--json"]].concat(), "request")
    };
    let (request, denied) = (new(FORGED), new(&format!("Again. {FORGED}")));
    table.succeed("ada", &["deny", &denied, "--reason", FORGED, "--yes"]);
    table.succeed("ada", &["approve", &request, "--yes"]);
    let approve = table.run("cy", &["approve", &request]);
    assert!(!approve.status.success(), "papers are shown, and nobody is there to ask");
    let grant = table.digits("ben", &["approve", &request, "--yes", "--json"], "grant");
    table.succeed("rosa", &["pull", ID]);
    let run = ["run", ID, &steers(), "-n", "2", "--justify", FORGED, "--seed", "1"];
    table.command("rosa", &run).output().unwrap();
    table.succeed("rosa", &["usage", "sync"]);
    let raised: serde_json::Value =
        serde_json::from_str(&table.succeed("august", &["case", "list", "--json"])).unwrap();
    let raised: String = raised[0]["digest"].as_str().unwrap().chars().take(12).collect();
    let case =
        table.digits("august", &["case", "open", &grant, "--reason", FORGED, "--yes", "--json"], "case");
    table.succeed("august", &["case", "comment", &case, FORGED, "--yes"]);
    table.succeed("august", &["case", "decide", &case, "warn", "--reason", FORGED, "--yes"]);
    table.succeed("rosa", &["case", "appeal", &case, "--reason", FORGED, "--yes"]);
    for (person, command) in [
        ("ada", format!("request show {request}")),
        ("rosa", format!("request show {denied}")),
        ("rosa", format!("approve {request}")),
        ("ada", format!("approve {denied}")),
        ("august", "case list".to_owned()),
        ("august", format!("case show {case}")),
        ("august", format!("case show {raised}")),
        ("rosa", format!("case show {case}")),
        ("august", format!("case decide {case} revoke --reason Enough")),
        ("august", "audit report --format text".to_owned()),
        ("august", "audit report --format csv".to_owned()),
        ("august", "audit report --format html".to_owned()),
        ("august", "audit report --format json".to_owned()),
    ] {
        // What a person on no board is refused is nothing that was shown.
        if person == "rosa" && command.starts_with("approve") {
            table.run(person, &command.split_whitespace().collect::<Vec<_>>());
        } else {
            table.shows(person, &command);
        }
    }
    table.succeed("ada", &["revoke", &grant, "--reason", FORGED, "--yes"]);
    table.shows("rosa", &format!("run {ID} Hello -n 2"));
    table.shows("rosa", &format!("lease {ID}"));
    table.shows("ada", &format!("request show {request}"));
    for command in ["request list", "usage show", "audit verify", "grant show"] {
        let words: Vec<_> = command.split_whitespace().collect();
        let words = if command == "grant show" { vec!["grant", "show", &grant] } else { words };
        table.run(if command == "usage show" { "rosa" } else { "august" }, &words);
    }
}

#[test]
fn a_registry_that_answers_with_escapes_and_lines_of_its_own_shows_neither() {
    let table = Table { served: Served::released(Database::Sqlite, "partners") };
    let (request, _) = table.served.granted();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        sqlx::any::install_default_drivers();
        let mut database = sqlx::AnyConnection::connect(&table.served.database_url()).await.unwrap();
        for change in [
            "UPDATE request_events SET note = $1 WHERE state = 'pending'",
            "UPDATE request_events SET state = $1 WHERE state <> 'pending'",
            "UPDATE requests SET stage = $1",
        ] {
            sqlx::query(change).bind(steers()).execute(&mut database).await.unwrap();
        }
        database.close().await.unwrap();
    });
    table.shows("rosa", &format!("request show {request}"));
    table.shows("ada", &format!("request show {request}"));
}

/// Answers whatever it is asked with this status, these header lines and this body, as long as the test runs.
fn hostile_server(status: u16, headers: &str, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} No\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    let answer = [head.into_bytes(), body.as_bytes().to_vec()].concat();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 65536];
            drop(stream.read(&mut asked));
            drop(stream.write_all(&answer));
        }
    });
    url
}

#[test]
fn a_server_that_refuses_with_escapes_and_lines_of_its_own_shows_neither() {
    let table = Table { served: Served::released(Database::Sqlite, "partners") };
    let steers = steers();
    let problem = json!({
        "type": steers, "title": steers, "status": 403, "detail": steers, "next": steers,
        steers.as_str(): steers,
    });
    let escapes = "Location: \u{1b}]0;FORGED\u{7}\r\n";
    let turned = "Location: http://FORGED/\u{202e}\r\nContent-Type: application/problem+json\u{202e}\r\n";
    for (status, headers, body) in [
        (403, "", problem.to_string()),
        (422, "", steers.clone()),
        (200, "", steers.clone()),
        (302, turned, steers.clone()),
        // Which HTTP does not know, so that it is asked again and again.
        (403, escapes, problem.to_string()),
    ] {
        let url = hostile_server(status, headers, &body);
        for command in ["request list", "lease tiny"].into_iter().take(if headers == escapes { 1 } else { 2 })
        {
            let words: Vec<_> = command.split_whitespace().collect();
            table.run("rosa", &[&words[..], &["--registry", &url]].concat());
            table.run("rosa", &[&words[..], &["--registry", &url, "--json"]].concat());
        }
    }
    table.run("eve", &["join", &hostile_server(403, "", &problem.to_string()), "--root", "root.json"]);
}

#[test]
fn a_witness_that_answers_with_escapes_and_lines_of_its_own_writes_neither_into_the_log() {
    let mut served = Served::founded(Database::Sqlite);
    let key = portcullis()
        .args(["witness", "init", "--json", "--name", "one.example"])
        .arg(served.scene.at("witness"))
        .output()
        .unwrap();
    let key: serde_json::Value = serde_json::from_slice(&key.stdout).unwrap();
    let (key, url) = (key["key"].as_str().unwrap(), hostile_server(400, "", &steers()));
    let settings = served.scene.at("reg/portcullis.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{text}\n[[witness]]\nurl = \"{url}\"\nkey = \"{key}\"\n")).unwrap();
    for format in ["text", "json"] {
        assert!(std::mem::replace(&mut served.process, Process::idle()).stop());
        fs::write(served.scene.at("serve.log"), "").unwrap();
        let arguments = format!("reg --listen 127.0.0.1:0 --log {format}");
        served.process = Process::start(&served.scene, &arguments, &[]);
        let log = || fs::read_to_string(served.scene.at("serve.log")).unwrap();
        while !log().contains("does not cosign") {
            drop(served.get("/healthz"));
        }
        let log = log();
        assert!(log.contains("FORGED"), "{log}");
        require_plain(&format!("the log as {format}"), &log);
    }
}

#[test]
fn hostile_files_are_named_without_what_they_hide() {
    let table = Table { served: Served::unfounded(Database::Sqlite) };
    let scene = &table.served.scene;
    let steers = steers();
    let quoted = serde_json::to_string(&steers).unwrap();
    scene.write("policy.toml", &format!("schema = 1\ncheckpoint = {quoted}\n"));
    table.shows("ada", "policy check policy.toml");
    scene.write("rules.toml", &format!("schema = 1\nversion = 1\n[[rule]]\nid = {quoted}\n"));
    table.shows("ada", "misuse check rules.toml");
    scene.write("mallory.card", &format!("{{\"name\": {quoted}, {quoted}: 1}}"));
    table.run("ada", &["grant", "show", "mallory.card"]);
    table.run("ada", &["grant", "show", &steers]);
    table.run("ada", &[&steers]);
    table.run("ada", &["join", &steers]);

    let fixture = crate::support::fixture("golden/f32");
    table.succeed("ada", &["import", ID, &fixture.display().to_string(), "--to", "plain"]);
    let (short, manifest) = (steers.replace('/', "_"), scene.at("plain/manifest.json"));
    fs::write(scene.at("plain").join(&short), "x").unwrap();
    table.shows("ada", "verify plain");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    json["origin"]["source"] = steers.as_str().into();
    fs::write(&manifest, json.to_string()).unwrap();
    table.shows("ada", "show plain");
    // A folder of one's own with such a name imports all the same.
    let named = scene.at(&short);
    crate::support::copy(&fixture, &named);
    table.succeed("ada", &["import", "other", &named.display().to_string(), "--to", "other"]);
    table.shows("ada", "show other");
}

#[test]
fn a_formula_in_a_report_is_text_to_a_spreadsheet() {
    let table = Table { served: Served::released(Database::Sqlite, "partners") };
    let scene = &table.served.scene;
    let (_, grant) = table.served.granted();
    for (number, reason) in
        ["=HYPERLINK(1)", "+1+1", "-1+1", "@SUM(1)", "\u{ff1d}1+1", "|calc"].iter().enumerate()
    {
        let reason = format!("--reason={reason}");
        let case = table.digits("august", &["case", "open", &grant, &reason, "--yes", "--json"], "case");
        let decide = ["case", "decide", &case, "no-finding", "--reason", "Fine", "--yes"];
        table.succeed("august", &decide);
        assert!(number < 6);
    }
    let csv = scene.succeed("august", "audit report --format csv");
    let cells = csv.lines().filter(|line| line.starts_with("case,")).count();
    assert_eq!(cells, 6, "{csv}");
    for cell in csv.lines().flat_map(|line| line.split(',')) {
        assert!(!cell.trim_start_matches('"').starts_with(['=', '+', '-', '@', '|', '\u{ff1d}']), "{cell}");
    }
}

#[test]
fn a_records_end_and_the_rules_that_it_met_are_words_of_this_program() {
    let key = crate::support::people::Scene::with_people();
    let signer = key.identity("rosa").signer(None).unwrap();
    let (journal, at) = (JournalId::from_bytes([1; 16]), portcullis::time::Timestamp::now());
    let digest = Sha256Digest::compute(b"");
    let begin = Begin {
        task: Task::Run,
        checkpoint: ID.parse().unwrap(),
        grant: digest,
        lease: digest,
        prompt_tokens: 1,
        max_tokens: 1,
        parameters: None,
        prompt: None,
        sketch: None,
        hits: vec!["phishing".parse().unwrap()],
        justification: None,
        blocked: false,
    };
    let end =
        End { begin: 0, tokens: 1, finish: Finish::Stop, output: None, hits: Vec::new(), explanation: None };
    let line = |event| {
        let next = (0, first_link(journal));
        Record::new(journal, next, at, event).sign(&*signer).unwrap().line().to_owned()
    };
    let (begin, end) = (line(Event::Begin(Box::new(begin))), line(Event::End(end)));
    assert!(SignedRecord::parse(&begin, 0).is_ok() && SignedRecord::parse(&end, 0).is_ok());
    let many = format!("[{}]", vec!["\"phishing\""; 65].join(","));
    for (line, good, bad) in [
        (&end, "\"stop\"", "\"stop\\nFORGED\""),
        (&end, "\"stop\"", "\"\u{202e}\""),
        (&end, "\"stop\"", "\"weariness\""),
        (&begin, "[\"phishing\"]", "[\"phishing\\u001b[2J\"]"),
        (&begin, "[\"phishing\"]", "[\"Two words\"]"),
        (&begin, "[\"phishing\"]", many.as_str()),
    ] {
        assert!(line.contains(good), "{line}");
        let refused = SignedRecord::parse(&line.replace(good, bad), 0).unwrap_err();
        require_plain(bad, &portcullis::visible::one_line(&refused.to_string()));
    }
}
