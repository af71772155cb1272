//! People with homes of their own and a registry between them: what most tests of the gate begin with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use portcullis::catalogue::Client;
use portcullis::identity::{Identity, IdentityFile};
use portcullis::statement::CatalogueId;
use serde_json::Value;
use tempfile::TempDir;

use super::{failure, fixture, portcullis, text};

/// The board's members, any two of whom must sign.
pub const BOARD: [&str; 3] = ["ada", "ben", "cy"];
/// The checkpoint that the board holds.
pub const ID: &str = "tiny";

/// A policy of three stages: `internal`, `partners`, `public`.
pub const POLICY: &str = r#"schema = 1
checkpoint = "tiny"
version = 1
expires = 2036-01-01T00:00:00Z

[[stage]]
name = "internal"
audience.organizations = ["Lab"]
approvals = { board = 2 }
agreement = "agreement.md"
uses = ["detection"]
max_days = 30
usage = "digest"
lease_hours = 24

[[stage]]
name = "partners"
audience.organizations = ["Lab", "University"]
approvals = { board = 2 }
agreement = "agreement.md"
uses = ["detection", "bias-analysis"]
max_days = 90
usage = "sealed"
lease_hours = 24

[stage.requires]
soak_days = 30

[[stage]]
name = "public"
audience = "anyone"
approvals = {}
usage = "counts"
lease_hours = 24

[stage.requires]
soak_days = 30
"#;

/// Homes, a registry's folder and an imported checkpoint, in a folder that is removed at the end.
pub struct Scene {
    folder: TempDir,
}

impl Scene {
    /// Identities for the board, the registry and the researchers rosa (of the university) and eve (of none), and the auditor august.
    pub fn with_people() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(scene.at("cards")).unwrap();
        for person in BOARD.into_iter().chain(["registry", "rosa", "eve", "august"]) {
            let organization = match person {
                "rosa" => " --organization University",
                "eve" => "",
                _ => " --organization Lab",
            };
            let new = format!("identity new --name {person} --no-passphrase{organization}");
            scene.succeed(person, &new);
            scene.succeed(person, &format!("identity card --to cards/{person}.card"));
        }
        scene
    }

    /// The same with a founded catalogue that everybody joined, and the imported checkpoint in `plain`.
    pub fn founded() -> Self {
        let scene = Self::with_people();
        let source = fixture("golden/f32");
        scene.succeed("ada", &format!("import {ID} {} --to plain", source.display()));
        let cards = BOARD.map(|person| format!("cards/{person}.card"));
        let owners = cards.iter().map(|card| format!(" --owner {card}")).collect::<String>();
        let init = format!(
            "--registry registry catalogue init{owners} --owner-threshold 2 \
             --registry-card cards/registry.card --auditor cards/august.card --board {ID}=2:{}",
            cards.join(",")
        );
        scene.succeed("ada", &init);
        scene.sign_and_publish(["ada", "ben"]);
        for person in BOARD.into_iter().chain(["registry", "rosa", "eve", "august"]) {
            scene.succeed(person, "join registry --root registry/catalogue/metadata/1.root.json");
        }
        scene
    }

    /// The same with the checkpoint sealed and released in a stage of [`POLICY`].
    pub fn released(stage: &str) -> Self {
        let scene = Self::founded();
        scene.write("agreement.md", "You tell nobody.\n");
        scene.succeed("ada", "seal plain --chunk-size 65536");
        scene.propose(POLICY, stage);
        scene
    }

    /// Proposes a policy and a stage for the sealed checkpoint; ada and ben sign, the registry publishes.
    pub fn propose(&self, policy: &str, stage: &str) {
        self.write("policy.toml", policy);
        let propose = format!(
            "catalogue propose {ID} --policy policy.toml --agreement agreement.md \
             --manifest registry/sealed/{ID}/manifest.json --stage {stage}"
        );
        self.succeed("ada", &propose);
        self.sign_and_publish(["ada", "ben"]);
    }

    pub fn sign_and_publish(&self, signers: [&str; 2]) {
        for person in signers {
            self.sign_all(person, "--registry registry");
        }
        self.succeed("registry", "--registry registry catalogue publish");
    }

    /// A request by rosa for the stage `partners`; the digits to name it by.
    pub fn request(&self) -> String {
        let new =
            format!("request new {ID} --purpose Detectors --use detection --days 30 --accept-agreement");
        self.digits(&self.json("rosa", &new)["request"])
    }

    /// A grant to rosa that ada and ben approved, leased and pulled; the digits to name it by.
    pub fn granted(&self) -> String {
        let request = self.request();
        self.succeed("ada", &format!("approve {request}"));
        let grant = self.json("ben", &format!("approve {request}"));
        self.succeed("registry", "lease issue");
        self.succeed("rosa", &format!("pull {ID}"));
        self.digits(&grant["grant"])
    }

    /// A member approves a request; the digits to name the grant by.
    pub fn approve(&self, person: &str, request: &str) -> String {
        self.digits(&self.json(person, &format!("approve {request}"))["grant"])
    }

    /// A member revokes a grant.
    pub fn revoke(&self, person: &str, grant: &str, reason: &str) {
        self.succeed(person, &format!("revoke {grant} --reason {reason}"));
    }

    /// A member hands their share over.
    pub fn hand_over(&self, person: &str) {
        self.succeed(person, &format!("handover {ID}"));
    }

    /// An auditor opens a case about a grant; the digits to name it by.
    pub fn open_case(&self, person: &str, grant: &str) -> String {
        self.digits(&self.json(person, &format!("case open {grant} --reason Odd"))["case"])
    }

    /// An auditor who may not open a case about a grant; what they are told.
    pub fn refuse_case(&self, person: &str, grant: &str) -> String {
        self.refuse(person, &format!("case open {grant} --reason Odder"))
    }

    /// An auditor decides a case.
    pub fn decide(&self, person: &str, case: &str, outcome: &str) {
        self.succeed(person, &format!("case decide {case} {outcome}"));
    }

    /// A person appeals a decision.
    pub fn appeal(&self, person: &str, case: &str, reason: &str) {
        self.succeed(person, &format!("case appeal {case} --reason {reason}"));
    }

    /// A person who may not appeal; what they are told.
    pub fn refuse_appeal(&self, person: &str, case: &str, reason: &str) -> String {
        self.refuse(person, &format!("case appeal {case} --reason {reason}"))
    }

    /// The owners found a board of one member for a new checkpoint.
    pub fn found_board(&self, checkpoint: &str, member: &str, owners: &[&str]) {
        let add = format!("catalogue board add {checkpoint} --member cards/{member}.card --threshold 1");
        self.succeed(owners[0], &add);
        for owner in owners {
            self.sign_all(owner, "");
        }
    }

    /// Signs what is proposed of a role, by the digest that a review shows.
    pub fn sign_catalogue(&self, person: &str, role: &str) -> String {
        let review = self.json(person, "catalogue review");
        let open = review["proposed"].as_array().unwrap().iter().find(|open| open["role"] == role);
        let digest = open.unwrap_or_else(|| panic!("{review}"))["digest"].as_str().unwrap();
        self.succeed(person, &format!("catalogue sign {role} {digest}"))
    }

    /// Signs every change that is proposed and of which the person has a say; `to` names the registry, if the home does not.
    pub fn sign_all(&self, person: &str, to: &str) {
        let key = self.identity(person).card().verifying_key.id().to_string();
        let review = self.json(person, &format!("{to} catalogue review"));
        for open in review["proposed"].as_array().unwrap() {
            let has_say = |quorum: &Value| {
                let has =
                    |who: &str| quorum[who].as_array().unwrap().iter().any(|member| member["key_id"] == key);
                has("members") && !has("signed")
            };
            if open["quorums"].as_array().unwrap().iter().any(has_say) {
                let (role, digest) = (open["role"].as_str().unwrap(), open["digest"].as_str().unwrap());
                self.succeed(person, &format!("{to} catalogue sign {role} {digest}"));
            }
        }
    }

    pub fn digits(&self, digest: &Value) -> String {
        digest.as_str().unwrap().chars().take(12).collect()
    }

    /// A person's identity, to sign what the program would not.
    pub fn identity(&self, person: &str) -> Identity {
        IdentityFile::new(self.at(&format!("homes/{person}/identity.age"))).read(None).unwrap()
    }

    /// The catalogue that a person trusts.
    pub fn catalogue_id(&self, person: &str) -> CatalogueId {
        let client = Client::new(self.at(&format!("homes/{person}/catalogue")));
        CatalogueId::new(client.first_root().unwrap().unwrap())
    }

    /// The identity in a file.
    pub fn identity_at(&self, name: &str) -> Identity {
        IdentityFile::new(self.at(name)).read(None).unwrap()
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, contents: &str) {
        fs::write(self.at(name), contents).unwrap();
    }

    /// Runs a command as a person who agrees to what they are shown; arguments are split at spaces.
    pub fn run(&self, person: &str, arguments: &str) -> Output {
        const ASK: [&str; 13] = [
            "affiliation confirm ",
            "affiliation withdraw ",
            "approve ",
            "deny ",
            "revoke ",
            "handover ",
            "request withdraw ",
            "case open ",
            "case assign ",
            "case comment ",
            "case decide ",
            "case appeal ",
            "case explain ",
        ];
        let asks = ASK.iter().any(|command| arguments.starts_with(command));
        let agrees = if asks && !arguments.contains("--yes") { " --yes --quiet" } else { "" };
        self.run_as_given(person, &format!("{arguments}{agrees}"))
    }

    /// Runs a command as a person; arguments are split at spaces.
    pub fn run_as_given(&self, person: &str, arguments: &str) -> Output {
        let home = self.at("homes").join(person);
        portcullis()
            .current_dir(self.path())
            .arg("--home")
            .arg(home)
            .args(arguments.split_whitespace())
            .output()
            .unwrap()
    }

    /// Runs a command, which must succeed; what it printed.
    pub fn succeed(&self, person: &str, arguments: &str) -> String {
        let output = self.run(person, arguments);
        assert!(output.status.success(), "{person}: {arguments}: {}", failure(&output));
        text(&output.stdout)
    }

    /// Runs a command with `--json`, which must succeed.
    pub fn json(&self, person: &str, arguments: &str) -> Value {
        serde_json::from_str(&self.succeed(person, &format!("{arguments} --json"))).unwrap()
    }

    /// Runs a command, which must fail; its exit code and message, with digests and folders made the same in every run.
    pub fn refuse(&self, person: &str, arguments: &str) -> String {
        let output = self.run(person, arguments);
        assert!(!output.status.success(), "{person}: {arguments} succeeded: {}", text(&output.stdout));
        self.stable(&failure(&output))
    }

    /// Replaces what differs between runs: folders, digests, times.
    pub fn stable(&self, text: &str) -> String {
        // What [`Self::run`] adds is no part of what a person typed.
        let text = text.replace(&self.path().display().to_string(), "<scene>").replace(" --yes --quiet", "");
        let patterns = [
            // Chunks are named by digest, so which of them a test spoils differs.
            (r"(cannot read tensor `[^`]+`: )?chunk \d+ of [a-z.]+", "<a chunk>"),
            (r"\b[0-9a-f]{64}\b", "<digest>"),
            (r"\b[0-9a-f]{12}\b", "<digits>"),
            (r"\([0-9a-f]{8}\)", "(<key>)"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
            (r"\b20\d\d-\d\d-\d\d\b", "<date>"),
        ];
        patterns.iter().fold(text, |text, (pattern, word)| {
            regex::Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
        })
    }

    /// Every file below a folder.
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut open = vec![self.at(folder)];
        let mut files = Vec::new();
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                files.push(path);
            }
        }
        files.sort();
        files
    }
}
