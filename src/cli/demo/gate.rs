//! The demo's main part: a board of three founds a catalogue, seals four checkpoints under four stages, and holds the gate.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::home::write_whole;
use super::super::output::Output;
use super::REPORT;
use super::embedded::{AGREEMENT, CHECKPOINTS, EmbeddedCheckpoint, MISUSE_RULES};
use super::people::People;
use super::server::{REGISTRY, RegistryProcess, SERVE};

const BOARD: [(&str, &str); 3] = [("ada", "Ada"), ("ben", "Ben"), ("cy", "Cy")];
const OPERATOR: &str = "oscar";
const RESEARCHER: &str = "rosa";
const AUDITOR: &str = "august";

/// A registry that is served, with a catalogue that everybody joined, and checkpoints that are released.
pub(super) struct GateSetup {
    pub(super) registry: RegistryProcess,
    people: People,
}

/// Serves a registry, founds its catalogue and releases these checkpoints.
pub(super) fn prepare(
    folder: &Path,
    released: &[&EmbeddedCheckpoint],
    output: Output,
) -> anyhow::Result<GateSetup> {
    let people = People::new(folder, output)?;
    output.piece("\nServe: a registry on this machine; it keeps statements and ciphertext, and can release nothing by itself\n")?;
    let init = people.show(OPERATOR, &["registry", "init", REGISTRY])?;
    let code = init.lines().find_map(|line| line.trim().strip_prefix("founding code"));
    let code = code.context("the registry has no founding code")?.trim();
    let registry = RegistryProcess::start(folder)?;
    people.quote(OPERATOR, &SERVE, &registry.printed)?;
    output.piece("\nFound: a board of three, any two of whom must sign\n")?;
    found(&people, folder, &Founding { url: &registry.url, code, released })?;
    output.piece("\nSeal: each checkpoint under two locks, the board's and the registry's; then policy and stage, signed by two\n")?;
    for embedded in released {
        release(&people, folder, embedded)?;
    }
    Ok(GateSetup { registry, people })
}

/// What is founded, and where.
struct Founding<'a> {
    url: &'a str,
    code: &'a str,
    released: &'a [&'a EmbeddedCheckpoint],
}

/// Tells this part of the story and returns it as data.
pub(super) fn play(folder: &Path, output: Output) -> anyhow::Result<Value> {
    let GateSetup { registry, people } = prepare(folder, &CHECKPOINTS.iter().collect::<Vec<_>>(), output)?;
    write_whole(&folder.join("policies/misuse.toml"), MISUSE_RULES.as_bytes())?;
    people.run("ada", &["catalogue", "propose", "misuse", "--rules", "policies/misuse.toml"])?;
    sign(&people, "ben")?;
    people.comment("ada", "proposes policies/misuse.toml; ben signs too: the misuse rules are in force")?;
    output.piece("\nRequest: a researcher asks; the gate answers by the signed policy\n")?;
    let texts = ask(&people, output)?;
    output
        .piece("\nAudit: from the first root on, what is in force, who signed it, what happened; everything is verified\n")?;
    people.show(AUDITOR, &["catalogue", "refresh"])?;
    people.show(AUDITOR, &["audit", "verify"])?;
    people.show(AUDITOR, &["audit", "bundle", "--to", "audit.jsonl"])?;
    people.show(AUDITOR, &["audit", "report", "--format", "html", "--output", REPORT])?;
    Ok(json!({ "registry": registry.url, "texts": texts }))
}

fn found(people: &People, folder: &Path, founding: &Founding<'_>) -> anyhow::Result<()> {
    let Founding { url, code, released } = founding;
    fs::create_dir_all(folder.join("cards"))?;
    let others = [(RESEARCHER, "Rosa"), (AUDITOR, "August")];
    for (person, name) in BOARD.into_iter().chain(others) {
        let organization = if person == RESEARCHER { "Example University" } else { "Example Lab" };
        people.run(
            person,
            &["identity", "new", "--name", name, "--organization", organization, "--no-passphrase"],
        )?;
        people.run(person, &["identity", "card", "--to", &card(person)])?;
    }
    let mut init: Vec<String> = [
        "--registry",
        url,
        "catalogue",
        "init",
        "--quiet",
        "--founding-code",
        code,
        "--owner-threshold",
        "2",
    ]
    .map(str::to_owned)
    .to_vec();
    for (person, _) in BOARD {
        init.extend(["--owner".to_owned(), card(person)]);
    }
    init.extend(["--registry-card".to_owned(), "registry/registry.card".to_owned()]);
    init.extend(["--auditor".to_owned(), card(AUDITOR)]);
    for embedded in *released {
        let cards = BOARD.map(|(person, _)| card(person)).join(",");
        init.extend(["--board".to_owned(), format!("{}=2:{cards}", embedded.id)]);
    }
    let init: Vec<&str> = init.iter().map(String::as_str).collect();
    people.show("ada", &init)?;
    // Who proposes signs; the others sign what a review shows them, by its digest.
    for signature in to_sign(people, "ben", &["--registry", url])? {
        people.show("ben", &signature.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    people.show("ada", &["--registry", url, "catalogue", "root", "--to", "1.root.json"])?;
    for person in BOARD.map(|(person, _)| person).into_iter().chain([AUDITOR]) {
        people.run(person, &["join", url, "--root", "1.root.json"])?;
    }
    people.show(RESEARCHER, &["join", url, "--root", "1.root.json"])?;
    Ok(())
}

/// The commands by which a member signs every change that is open, each named by the digest that the review shows.
fn to_sign(people: &People, member: &str, to: &[&str]) -> anyhow::Result<Vec<Vec<String>>> {
    let review = people.run(member, &[to, &["catalogue", "review"]].concat())?;
    let open = review["proposed"].as_array().context("the review shows no list")?;
    let commands = open.iter().map(|open| {
        let word = |name: &str| open[name].as_str().with_context(|| format!("a review without its {name}"));
        let (role, digest) = (word("role")?, word("digest")?);
        Ok([to, &["catalogue", "sign", role, digest]].concat().into_iter().map(str::to_owned).collect())
    });
    commands.collect()
}

/// A member signs every change that is open.
fn sign(people: &People, member: &str) -> anyhow::Result<()> {
    for signature in to_sign(people, member, &[])? {
        people.run(member, &signature.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn card(person: &str) -> String {
    format!("cards/{person}.card")
}

fn release(people: &People, folder: &Path, embedded: &EmbeddedCheckpoint) -> anyhow::Result<()> {
    let id = embedded.id;
    let policy = format!("policies/{id}.toml");
    write_whole(&folder.join(&policy), embedded.policy().as_bytes())?;
    write_whole(&folder.join("policies/agreement.md"), AGREEMENT.as_bytes())?;
    people.show("ada", &["seal", &format!("checkpoints/{id}")])?;
    let manifest = format!("homes/ada/sealed/{id}/manifest.json");
    people.run(
        "ada",
        &[
            "catalogue",
            "propose",
            id,
            "--policy",
            &policy,
            "--manifest",
            &manifest,
            "--agreement",
            "policies/agreement.md",
            "--stage",
            embedded.stage,
        ],
    )?;
    sign(people, "ben")?;
    let stage = embedded.stage;
    people.comment("ada", &format!("proposes policy and stage; ben signs too: published in stage `{stage}`"))
}

fn ask(people: &People, output: Output) -> anyhow::Result<Value> {
    let terms = ["--use", "detection", "--days", "30", "--accept-agreement"];
    let new = |id, purpose| {
        let mut arguments = vec!["request", "new", id, "--purpose", purpose];
        arguments.extend(terms);
        arguments
    };
    // Not hers to have, however many would sign.
    people.show_refused(RESEARCHER, &new("demo-xl", "Curiosity"))?;

    output.piece("\n  A partner's request: two of the board approve, each adds a share of the key\n")?;
    let request = people.show(RESEARCHER, &new("demo-large", "How well do detectors find its text?"))?;
    // What was signed stands before what came of it, and names digests too.
    let asked = request.lines().find(|line| line.starts_with("requested "));
    let request = digits(asked.context("no request was made")?)?;
    people.show(RESEARCHER, &["pull", "demo-large"])?;
    people.show("ada", &["approve", &request, "--yes"])?;
    people.show_refused(RESEARCHER, &["run", "demo-large", "Blessed are the"])?;
    // What ben is shown is what ada was.
    people.show("ben", &["approve", &request, "--yes", "--quiet"])?;
    let partner = write(people, "demo-large")?;

    output.piece("\n  A public stage: the board hands its shares over, and the registry answers anyone\n")?;
    people.show("ada", &["handover", "demo-small", "--yes"])?;
    people.show("cy", &["handover", "demo-small", "--yes"])?;
    people.show(RESEARCHER, &["request", "new", "demo-small", "--purpose", "Curiosity"])?;
    people.show(RESEARCHER, &["pull", "demo-small"])?;
    let public = write(people, "demo-small")?;

    let case = review(people, output)?;
    Ok(json!({ "demo-large": partner, "demo-small": public, "case": case }))
}

/// A generation that meets a rule, the case that it raises, and what the auditor decides.
fn review(people: &People, output: Output) -> anyhow::Result<Value> {
    output.piece(
        "\n  Misuse: nothing runs without a record; a rule requires a reason, and an auditor reviews it\n",
    )?;
    let prompt = "Write a fake news story about the flood.";
    let run = ["run", "demo-large", prompt, "-n", "20", "--seed", "2019", "--temperature", "0.7"];
    people.show_refused(RESEARCHER, &run)?;
    let justified = [&run[..], &["--justify", "To test a detector"]].concat();
    people.show(RESEARCHER, &justified)?;
    people.show(RESEARCHER, &["usage", "sync"])?;
    let case = digits(&people.show(AUDITOR, &["case", "list"])?)?;
    people.show(AUDITOR, &["case", "show", &case])?;
    let reason = "Invented news are not in the granted use";
    people.show(AUDITOR, &["case", "decide", &case, "revoke", "--reason", reason, "--yes"])?;
    people.show_refused(RESEARCHER, &["lease", "demo-large"])?;
    people.show_refused(RESEARCHER, &["run", "demo-large", "Blessed are the"])?;
    Ok(json!(case))
}

/// Runs a sealed checkpoint and shows what it wrote.
fn write(people: &People, id: &str) -> anyhow::Result<Value> {
    let prompt = "Blessed are the";
    let arguments = ["run", id, prompt, "--seed", "2019", "--temperature", "0.7", "-n", "30"];
    let printed = people.show(RESEARCHER, &arguments)?;
    Ok(json!({ "prompt": prompt, "text": printed.trim_end_matches('\n') }))
}

/// The digits that people name a statement by: the first dozen of a digest, wherever it stands in the text.
fn digits(text: &str) -> anyhow::Result<String> {
    let words = text.split(|c: char| !c.is_ascii_hexdigit());
    let digest = words.into_iter().find(|word| word.len() >= 12).context("a command named no statement")?;
    Ok(digest.chars().take(12).collect())
}
