//! Identities as people use them: files, passphrases, cards, a real SSH agent.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::support::{failure, portcullis, run_in, succeed, text, workplace};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const PASSPHRASE: &str = "correct horse battery";

fn with_passphrase(folder: &Path, arguments: &str, passphrase: &str) -> Output {
    portcullis()
        .current_dir(folder)
        .args(arguments.split_whitespace())
        .env("PORTCULLIS_PASSPHRASE", passphrase)
        .output()
        .unwrap()
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success(), "succeeded: {}", text(&output.stdout));
    failure(output)
}

fn key_id(folder: &Path, home: &str) -> String {
    let shown = succeed(folder, &format!("--home {home} identity show --json"));
    serde_json::from_str::<Value>(&shown).unwrap()["key_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_identity_rests_under_its_passphrase_and_moves_between_machines() {
    let place = workplace();
    let at = place.path();
    let made = with_passphrase(at, "--home ada identity new --name Ada --organization Lab", PASSPHRASE);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let file = fs::read_to_string(at.join("ada/identity.age")).unwrap_or_default();
    assert!(!file.contains("Ada"), "nothing of it is readable");
    assert_eq!(fs::metadata(at.join("ada/identity.age")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(at.join("ada")).unwrap().permissions().mode() & 0o777, 0o700);

    // Another machine takes it over, through a descriptor this time.
    let mut import = portcullis()
        .current_dir(at)
        .args(["--home", "laptop", "identity", "import", "ada/identity.age", "--passphrase-fd", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(import.stdin.take().unwrap(), "{PASSPHRASE}").unwrap();
    assert!(import.wait().unwrap().success());
    assert_eq!(key_id(at, "laptop"), key_id(at, "ada"));

    // A new passphrase opens it, the old one no more.
    let changed = portcullis()
        .current_dir(at)
        .args(["--home", "ada", "identity", "passphrase"])
        .envs([
            ("PORTCULLIS_PASSPHRASE", PASSPHRASE),
            ("PORTCULLIS_NEW_PASSPHRASE", "another battery staple"),
        ])
        .output()
        .unwrap();
    assert!(changed.status.success(), "{}", text(&changed.stderr));
    insta::assert_snapshot!(
        refusal(&with_passphrase(at, "--home x identity import ada/identity.age", PASSPHRASE)),
        @"
    exit 3
    error: wrong passphrase for ada/identity.age
      next: try again; nobody can reset it
    "
    );
}

#[test]
fn a_machine_has_no_passphrase_but_its_file_must_be_private() {
    let place = workplace();
    let at = place.path();
    succeed(at, "--home registry identity new --name Registry --no-passphrase");
    let file = at.join("registry/identity.age");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    insta::assert_snapshot!(
        refusal(&run_in(at, "--home registry identity passphrase --no-passphrase")),
        @"
    exit 3
    error: registry/identity.age can be read by others (mode 0640); an identity file must have mode 0600
      next: `chmod 600 registry/identity.age`; if others may have read it, rotate the key out of every board
    "
    );
}

#[test]
fn a_card_proves_itself() {
    let place = workplace();
    let at = place.path();
    succeed(at, "--home ada identity new --name Ada --no-passphrase");
    succeed(at, "--home ada identity card --to ada.card");
    assert!(succeed(at, "identity show ada.card").starts_with("Ada\n"));

    // The same card with a letter changed.
    let mut card: Value = serde_json::from_slice(&fs::read(at.join("ada.card")).unwrap()).unwrap();
    let payload = STANDARD.decode(card["payload"].as_str().unwrap()).unwrap();
    card["payload"] = STANDARD.encode(text(&payload).replace("Ada", "Eve")).into();
    fs::write(at.join("eve.card"), card.to_string()).unwrap();
    insta::assert_snapshot!(refusal(&run_in(at, "identity show eve.card")), @"
    exit 4
    error: the card of Eve is not signed by its own key
      next: do not use it; ask its owner for `portcullis identity card`
    ");
}

#[test]
fn refusals_say_what_to_do() {
    let place = workplace();
    let at = place.path();
    succeed(at, "--home ada identity new --name Ada --no-passphrase");
    fs::create_dir(at.join("bad")).unwrap();
    let damaged = at.join("bad/identity.age");
    fs::write(&damaged, "{\"schema\":1,\"opening_key\":\"0123456789abcdef\"}").unwrap();
    fs::set_permissions(&damaged, fs::Permissions::from_mode(0o600)).unwrap();
    insta::assert_snapshot!(
        [
            refusal(&run_in(at, "--home new identity new --name Ben")),
            refusal(&with_passphrase(at, "--home new identity new --name Ben", "short")),
            refusal(&run_in(at, "--home ada identity new --name Ada --no-passphrase")),
            refusal(&run_in(at, "--home nobody identity show")),
            refusal(&run_in(at, "--home nobody identity passphrase --no-passphrase")),
            refusal(&run_in(at, "--home bad identity passphrase --no-passphrase")),
            refusal(&run_in(at, "identity show missing.card")),
            refusal(&run_in(at, "identity show ada/identity.age")),
            refusal(
                &portcullis()
                    .current_dir(at)
                    .args(["--home", "new", "identity", "new", "--name", "Ben", "--passphrase-fd", "77"])
                    .output()
                    .unwrap()
            ),
        ]
        .join("\n"),
        @"
    exit 2
    error: a new identity needs a passphrase and there is no terminal to ask for it
      next: give it with --passphrase-fd or PORTCULLIS_PASSPHRASE, or say --no-passphrase for a machine

    exit 2
    error: the passphrase is shorter than 8 characters
      next: use several words: length protects better than odd characters

    exit 2
    error: an identity already exists at ada/identity.age
      next: use it, or name another --home; an identity that is lost cannot be made again

    exit 2
    error: there is no identity at nobody/identity.age
      next: make one with `portcullis identity new --name <your name>`, or name another --home

    exit 2
    error: there is no identity at nobody/identity.age
      next: make one with `portcullis identity new --name <your name>`, or name another --home

    exit 4
    error: bad/identity.age is not an identity file: its contents do not parse at line 1
      next: restore it from a backup

    exit 5
    error: cannot read missing.card: No such file or directory (os error 2)
      next: check the path

    exit 4
    error: cannot use ada/identity.age: not a signed statement: missing field `payload` at line 7 column 1
      next: ask whoever sent it to send it again

    exit 5
    error: cannot read a passphrase from file descriptor 77: No such file or directory (os error 2)
      next: check the path
    "
    );
}

/// A real agent that ends with the test.
struct Agent {
    process: Child,
    socket: String,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent").to_str().unwrap().to_owned();
        let mut process = Command::new("ssh-agent")
            .args(["-D", "-a", &socket])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(); // of Debian's openssh-client
        // It prints its variables once it listens.
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, socket }
    }

    fn add_key(&self, folder: &Path, name: &str, kind: &str) {
        let made = Command::new("ssh-keygen")
            .current_dir(folder)
            .args(["-q", "-t", kind, "-N", "", "-C", name, "-f", name])
            .status();
        assert!(made.unwrap().success());
        let added = Command::new("ssh-add")
            .current_dir(folder)
            .args(["-q", name])
            .env("SSH_AUTH_SOCK", &self.socket)
            .status();
        assert!(added.unwrap().success());
    }

    fn run(&self, folder: &Path, arguments: &str) -> Output {
        portcullis()
            .current_dir(folder)
            .args(arguments.split_whitespace())
            .env("SSH_AUTH_SOCK", &self.socket)
            .output()
            .unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_ssh_agent_signs() {
    let place = workplace();
    let at = place.path();
    let agent = Agent::start(at);
    let empty = refusal(&agent.run(at, "--home ada identity new --name Ada --no-passphrase --ssh-agent"));
    agent.add_key(at, "rsa", "rsa");
    agent.add_key(at, "work", "ed25519");
    let made = agent.run(at, "--home ada identity new --name Ada --no-passphrase --ssh-agent");
    assert!(made.status.success(), "{}", text(&made.stderr));

    // The card verifies, and its key is the agent's.
    succeed(at, "--home ada identity card --to ada.card");
    let shown: Value = serde_json::from_str(&succeed(at, "identity show ada.card --json")).unwrap();
    let key = shown["card"]["verifying_key"].as_str().unwrap();
    let public = fs::read_to_string(at.join("work.pub")).unwrap();
    let blob = public.split_whitespace().nth(1).unwrap();
    let blob = STANDARD.decode(blob).unwrap();
    let hex: String = blob[blob.len() - 32..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(key, hex);
    assert!(!fs::read_to_string(at.join("ada/identity.age")).unwrap().contains("signing_key"));

    agent.add_key(at, "home", "ed25519");
    let two = refusal(&agent.run(at, "--home ben identity new --name Ben --no-passphrase --ssh-agent"));
    assert!(two.contains("choose one with --ssh-agent <key>: ") && two.contains(" (work), "), "{two}");
    fs::remove_file(at.join("ada/card.json")).unwrap();
    let without = refusal(
        &portcullis()
            .current_dir(at)
            .args(["--home", "ada", "identity", "card"])
            .env_remove("SSH_AUTH_SOCK")
            .output()
            .unwrap(),
    );
    drop(agent);
    let gone = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .current_dir(at)
        .args(["--home", "ada", "identity", "card"])
        .env("SSH_AUTH_SOCK", "nowhere")
        .output()
        .unwrap();
    insta::assert_snapshot!([empty, without, refusal(&gone)].join("\n"), @"
    exit 2
    error: the SSH agent holds 0 Ed25519 keys; choose exactly one
      next: add a key of `ssh-keygen -t ed25519` with `ssh-add`, or choose one with --ssh-agent <key>

    exit 5
    note: an SSH agent signs; confirm there if it asks
    error: cannot sign the card: no SSH agent: SSH_AUTH_SOCK is not set
      next: start one with `eval $(ssh-agent)` and add the key with `ssh-add`

    exit 5
    note: an SSH agent signs; confirm there if it asks
    error: cannot sign the card: the SSH agent at nowhere failed: No such file or directory (os error 2)
      next: check that the agent still runs: `ssh-add -l`
    ");
}

#[test]
fn ctrl_c_at_a_passphrase_leaves_the_terminal_as_it_was() {
    let place = workplace();
    let program = env!("CARGO_BIN_EXE_portcullis");
    // The shell outlives the signal, which the terminal sends to it as well, and says whether the terminal shows what is typed.
    let line = format!(
        "trap : INT; {program} --home ada identity new --name Ada; stty -a | tr ' ' '\\n' | grep -x -e echo -e -echo"
    );
    let mut terminal = Command::new("script")
        .current_dir(place.path())
        .args(["--quiet", "--echo", "always", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = terminal.stdin.take().unwrap();
    let mut shown = BufReader::new(terminal.stdout.take().unwrap());
    let mut prompt = Vec::new();
    shown.read_until(b':', &mut prompt).unwrap();
    assert!(text(&prompt).contains("new passphrase"), "{}", text(&prompt));
    // The prompt is written a moment before the terminal hides what is typed.
    std::thread::sleep(std::time::Duration::from_millis(300));
    typed.write_all(b"\x03").unwrap();
    typed.flush().unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut shown, &mut rest).unwrap();
    assert!(rest.trim_end().ends_with("echo") && !rest.trim_end().ends_with("-echo"), "{rest}");
    terminal.wait().unwrap();
    assert!(!place.path().join("ada/identity.age").exists());
}
