//! Files and settings that change a result in silence.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use portcullis::policy::Policy;
use portcullis::seal::SealedManifest;
use portcullis::statement::{Envelope, verify_card};

use crate::support::people::{ID, POLICY, Scene};
use crate::support::{copy, edit_header, failure, fixture, refuse, run_in, succeed, workplace};

/// Writes the fields of an object in their order, as serde reads a struct from a list.
fn as_list(object: &str, fields: &[&str]) -> String {
    let object: serde_json::Value = serde_json::from_str(object).unwrap();
    let fields: Vec<_> = fields.iter().map(|field| object[*field].clone()).collect();
    serde_json::to_string(&fields).unwrap()
}

/// Says a key twice: a reader that takes the first and one that takes the last see two documents.
fn said_twice(object: &str, key: &str, other: &str) -> String {
    object.trim_end().strip_suffix('}').unwrap().to_owned() + &format!(",\"{key}\":{other}}}")
}

#[test]
fn a_list_passed_for_an_object_in_an_envelope_a_statement_and_a_manifest() {
    let scene = Scene::released("partners");
    let card = std::fs::read_to_string(scene.at("cards/rosa.card")).unwrap();
    assert!(Envelope::parse(card.as_bytes()).is_ok());
    let list = as_list(&card, &["payloadType", "payload", "signatures"]);
    let refused = |text: &str| Envelope::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(refused(&list).contains("invalid type: sequence"), "{}", refused(&list));
    let twice = said_twice(&card, "payload", "\"e30=\"");
    assert!(refused(&twice).contains("duplicate key"), "{}", refused(&twice));

    // A statement whose owner signed it as a list: the signature holds, and it is no statement.
    let identity = scene.identity("rosa");
    let signer = identity.signer(None).unwrap();
    let envelope = Envelope::parse(card.as_bytes()).unwrap();
    let payload = std::str::from_utf8(envelope.payload()).unwrap().to_owned();
    let mut statement: serde_json::Value = serde_json::from_str(&payload).unwrap();
    let predicate = statement["predicate"].as_object().unwrap().clone();
    statement["predicate"] = predicate.values().cloned().collect();
    for bad in [statement.to_string(), said_twice(&payload, "predicateType", "\"x\"")] {
        let mut envelope = Envelope::new("application/vnd.in-toto+json", bad.into_bytes());
        envelope.sign(&*signer).unwrap();
        let refused = verify_card(&envelope).unwrap_err().to_string();
        assert!(refused.contains("sequence") || refused.contains("duplicate key"), "{refused}");
    }

    let manifest = std::fs::read_to_string(scene.at(&format!("registry/sealed/{ID}/manifest.json"))).unwrap();
    assert!(SealedManifest::parse(manifest.as_bytes()).is_ok());
    let mut value: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let board: Vec<_> = value["seal"]["board"].as_object().unwrap().values().cloned().collect();
    value["seal"]["board"] = board.into();
    let refused = SealedManifest::parse(value.to_string().as_bytes()).unwrap_err();
    let refused =
        std::error::Error::source(&refused).map_or_else(|| refused.to_string(), ToString::to_string);
    assert!(refused.contains("invalid type: sequence"), "{refused}");
}

#[test]
fn a_list_passed_for_a_table_in_a_policy() {
    let policy = POLICY.replace("[stage.requires]\nsoak_days = 30", "requires = [30, []]");
    assert!(Policy::parse(POLICY).is_ok());
    let refused = Policy::parse(&policy).unwrap_err().to_string();
    assert!(refused.contains("sequence"), "{refused}");
}

#[test]
fn a_folder_here_does_not_stand_in_for_a_checkpoint_of_the_vault() {
    let scene = Scene::released("partners");
    scene.granted();
    // A folder of the checkpoint's name, where the command is run: it would run without gate and record.
    support_copy(&scene, "plain", ID);
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    assert_eq!(
        scene.json("rosa", "usage show").as_array().unwrap().len(),
        2,
        "the vault's was run, and recorded"
    );
    assert!(scene.refuse("eve", &format!("run {ID} Hello -n 2")).contains("no grant"));
    support_copy(&scene, "plain", "mine");
    insta::assert_snapshot!(scene.refuse("rosa", "run mine Hello -n 2"), @"
    exit 2
    error: the registry has no checkpoint `mine`, but there is a folder of that name
      next: to use the folder, write it as a path: ./mine
    ");
    scene.succeed("rosa", "run ./mine Hello -n 2");
}

fn support_copy(scene: &Scene, from: &str, to: &str) {
    crate::support::copy(&scene.at(from), &scene.at(to));
}

#[test]
fn a_step_refused_for_a_clock_that_runs_ahead_does_not_move_the_clock() {
    let scene = Scene::released("partners");
    scene.granted();
    let state = scene.at("homes/rosa/catalogue/clock.json");
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    let before = std::fs::read_to_string(&state).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let refused = scene.refuse("rosa", "run other Hello -n 2");
    assert!(refused.contains("other"), "{refused}");
    assert_eq!(std::fs::read_to_string(&state).unwrap(), before, "it was refused");
    scene.succeed("rosa", "request list");
    assert_ne!(std::fs::read_to_string(&state).unwrap(), before);
}

/// A case of `fixtures/people`, changed and imported by the command line.
fn import_changed(case: &str, change: impl FnOnce(&Path)) -> (tempfile::TempDir, Output) {
    let folder = workplace();
    let source = folder.path().join("source");
    copy(&fixture("people").join(case), &source);
    change(&source);
    let output = run_in(folder.path(), "import mine source --to imported");
    (folder, output)
}

fn refused_import(case: &str, change: impl FnOnce(&Path)) -> String {
    let (folder, output) = import_changed(case, change);
    assert!(!output.status.success() && !folder.path().join("imported").exists());
    failure(&output)
}

#[test]
fn an_adapter_beside_its_base_or_inside_it_left_out_in_silence() {
    let adapter = |name: &'static str| {
        refused_import("a10-score", move |source| {
            fs::copy(fixture("people/c04-lora").join("adapter_config.json"), source.join(name)).unwrap();
        })
    };
    for name in ["adapter_model.safetensors", "adapter_model.bin", "adapter_config.json"] {
        let message = adapter(name);
        assert!(
            message.contains("is an adapter beside its base") && message.contains("merge_and_unload"),
            "{message}"
        );
    }
    for name in [
        "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight",
        "h.0.attn.c_attn.lora_B.default.weight",
    ] {
        let message = refused_import("a10-score", |source| {
            edit_header(source, |header| {
                let head = header.remove("score.weight").unwrap();
                header.insert(name.to_owned(), head);
            });
        });
        assert!(message.contains("belongs to an adapter"), "{message}");
    }
}

#[test]
fn a_part_of_the_model_that_nobody_would_miss() {
    // A block more than the configuration has, and a part of a block that GPT-2 does not have.
    for name in ["h.2.ln_1.weight", "h.0.crossattention.c_attn.weight"] {
        let message = refused_import("a10-score", |source| {
            edit_header(source, |header| {
                let head = header.remove("score.weight").unwrap();
                header.insert(name.to_owned(), head);
            });
        });
        assert!(message.contains(&format!("{name}: not part of this configuration")), "{message}");
    }
}

#[test]
fn a_fact_about_the_tokenizer_dropped_with_its_file() {
    let (folder, output) = import_changed("b07-prefix-space", |_| {});
    assert!(output.status.success());
    let imported = folder.path().join("imported");
    fs::remove_file(imported.join("tokenizer.json")).unwrap();
    let message = refuse(folder.path(), "run ./imported x --max-tokens 1");
    assert!(message.contains("tokenizer.json"), "{message}");
    // A manifest that does not name the file either is another manifest, and one of a file too many is none.
    let manifest = fs::read_to_string(imported.join("manifest.json")).unwrap();
    fs::write(imported.join("manifest.json"), manifest.replace("\"tokenizer.json\"", "\"tokenizer.txt\""))
        .unwrap();
    let message = refuse(folder.path(), "show imported");
    assert!(message.contains("tokenizer.txt"), "{message}");
}

#[test]
fn a_pattern_that_never_ends() {
    let (folder, output) = import_changed("b01-v5-tokjson-only", |source| {
        fs::write(source.join("tokenizer_config.json"), r#"{"tokenizer_class":"PreTrainedTokenizerFast"}"#)
            .unwrap();
        let path = source.join("tokenizer.json");
        let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let split = serde_json::json!({"type": "Split", "pattern": {"Regex": "(a+)+(?=b)$"}, "behavior": "Isolated", "invert": false});
        file["pre_tokenizer"] =
            serde_json::json!({"type": "Sequence", "pretokenizers": [split, file["pre_tokenizer"]]});
        fs::write(path, file.to_string()).unwrap();
    });
    assert!(output.status.success(), "{}", failure(&output));
    fs::write(folder.path().join("text.txt"), "a".repeat(100)).unwrap();
    let begun = Instant::now();
    succeed(folder.path(), "score ./imported text.txt");
    assert!(begun.elapsed() < Duration::from_secs(60));
}
