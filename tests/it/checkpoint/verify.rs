//! `verify` and `show`: what changed since the import is found and named.

use std::fs;
use std::path::Path;

use crate::support::*;
use serde_json::{Value, json};

/// Imports a checkpoint, changes its folder, and verifies it.
fn verdict(layout: &str, change: impl FnOnce(&Path)) -> String {
    let folder = workplace();
    published(folder.path(), layout);
    succeed(folder.path(), "import mine source --to imported");
    change(&folder.path().join("imported"));
    let output = run_in(folder.path(), "verify imported");
    format!("{}{}", text(&output.stdout), failure(&output))
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Makes the manifest agree with a file that was changed.
fn forge_manifest(folder: &Path, name: &str) {
    let path = folder.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let bytes = fs::read(folder.join(name)).unwrap();
    for file in manifest["files"].as_array_mut().unwrap() {
        if file["name"] == name {
            file["size"] = json!(bytes.len());
            file["sha256"] = json!(portcullis::digest::Sha256Digest::compute(&bytes).to_string());
        }
    }
    fs::write(path, manifest.to_string()).unwrap();
}

#[test]
fn a_flipped_bit_is_found_and_its_file_and_tensor_are_named() {
    insta::assert_snapshot!(verdict("bf16", |folder| flip(&folder.join("model.safetensors"), 40_000)), @"
    failed  model.safetensors: SHA-256 is 6e1dbde8fa250a5b94924eea2946b41edf7c1e6e405595159b05cda8b4aa1a04, not a359386d72605a921aecd70814d727f4f889c063fc79bacb12ae99f5edae146f
    failed  tensor wpe.weight: CRC-32C is 3a2ed0ac, not 95c760ef
    exit 4
    error: mine is not as it was imported: 2 checks failed
      next: do not use it; import it again from its source
    ");
    for name in ["config.json", "vocab.json", "merges.txt"] {
        let verdict = verdict("bf16", |folder| flip(&folder.join(name), 100));
        assert!(verdict.contains(&format!("failed  {name}: SHA-256 is")), "{verdict}");
        assert!(verdict.contains("exit 4"), "{verdict}");
    }
}

#[test]
fn a_cut_a_missing_and_an_unknown_file_are_named() {
    insta::assert_snapshot!(verdict("bf16", |folder| {
        fs::remove_file(folder.join("vocab.json")).unwrap();
        fs::write(folder.join("merges.txt"), "").unwrap();
        fs::write(folder.join("notes.txt"), "mine").unwrap();
    }), @"
    failed  merges.txt: has 0 bytes, not 1312
    failed  vocab.json: cannot be read: No such file or directory (os error 2)
    exit 4
    note: notes.txt is in the folder but no part of the checkpoint
    error: mine is not as it was imported: 2 checks failed
      next: do not use it; import it again from its source
    ");
}

#[test]
fn every_tensor_that_does_not_fit_the_configuration_is_named() {
    insta::assert_snapshot!(verdict("f32", |folder| {
        edit_header(folder, |header| {
            let norm = header.remove("ln_f.weight").unwrap();
            header.insert("ln_f.scale".to_owned(), norm);
            header.get_mut("wpe.weight").unwrap()["shape"] = json!([32, 128]);
            let bias = header.get_mut("ln_f.bias").unwrap();
            bias["dtype"] = json!("BF16");
            bias["shape"] = json!([64]);
        });
        forge_manifest(folder, "model.safetensors");
    }), @"
    failed  tensor ln_f.bias: has shape [64], not [32]
    failed  tensor ln_f.bias: has dtype BF16, not F32
    failed  tensor ln_f.scale: not part of this configuration
    failed  tensor ln_f.weight: missing
    failed  tensor wpe.weight: has shape [32, 128], not [128, 32]
    exit 4
    error: mine is not as it was imported: 5 checks failed
      next: do not use it; import it again from its source
    ");
}

#[test]
fn numbers_that_are_none_are_counted() {
    insta::assert_snapshot!(verdict("f32", |folder| {
        let path = folder.join("model.safetensors");
        let (header, mut data) = read_safetensors(&path);
        let start = header["ln_f.bias"]["data_offsets"][0].as_u64().unwrap() as usize;
        data[start..start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        data[start + 4..start + 8].copy_from_slice(&f32::INFINITY.to_le_bytes());
        write_safetensors(&path, &header, &data);
    }), @"
    failed  model.safetensors: has 186097 bytes, not 186104
    failed  tensor ln_f.bias: 2 of 32 numbers are NaN or infinite (6.25 %)
    failed  tensor ln_f.bias: CRC-32C is 5456da48, not 6be645e9
    exit 4
    error: mine is not as it was imported: 3 checks failed
      next: do not use it; import it again from its source
    ");
}

#[test]
fn a_folder_that_was_never_imported_is_no_checkpoint() {
    let folder = workplace();
    published(folder.path(), "f32");
    insta::assert_snapshot!(refuse(folder.path(), "verify source"), @"
    exit 2
    error: source has no manifest.json: it is not an imported checkpoint
      next: make it one with `portcullis import <id> <folder> --to <new folder>`
    ");
    insta::assert_snapshot!(refuse(folder.path(), "show nowhere"), @"
    exit 5
    error: cannot open nowhere/manifest.json: No such file or directory (os error 2)
      next: check the path
    ");
    fs::write(folder.path().join("source/manifest.json"), "{\"schema\": 9}").unwrap();
    insta::assert_snapshot!(refuse(folder.path(), "show source"), @"
    exit 4
    error: source/manifest.json: schema 9 is not supported; this version reads schema 1
      next: import it again, or use the version of portcullis that wrote it
    ");
}

#[test]
fn show_prints_a_card() {
    let folder = workplace();
    published(folder.path(), "sharded");
    succeed(folder.path(), "import mine source --to imported");
    insta::assert_snapshot!(succeed(folder.path(), "show imported"), @"
    mine
      model       gpt2: 2 layers, width 32, 4 heads, context 128, vocabulary 512
      parameters  45,952 in 28 tensors of F32
      origin      folder source
      standing    not in the known catalogue: nothing on record to compare with
      files       194.57 kB in all
        config.json                           331 B  sha256:c90ec4e61cd55aa7f77d33389301d923827e8d9b85f2d5020f975b12d5ea16fd
        merges.txt                          1.31 kB  sha256:f56e55358137c14b396f4ce5a9db71800fa888ef2f0689bc92acab81ed78bac1
        model.safetensors                 186.10 kB  sha256:db0fcd7c2b901f06e051fa291b3d8242f85240aba68434a4fa5e4c0637b99395
        vocab.json                          6.82 kB  sha256:8e889f48e31a150ec92d87f1a83ddc76234abad230c237dcf64884747adb6e9d
      made from
        config.json                           752 B  sha256:4db1b8bd4a646353e57ebba824b70056481376b015100f18398380b70d71c259
        vocab.json                          6.82 kB  sha256:8e889f48e31a150ec92d87f1a83ddc76234abad230c237dcf64884747adb6e9d
        merges.txt                          1.31 kB  sha256:f56e55358137c14b396f4ce5a9db71800fa888ef2f0689bc92acab81ed78bac1
        model.safetensors.index.json        1.75 kB  sha256:3d4b50e34c388ecd75023d926de091f5d7187db2b342baba83ec8ef38fbf066d
        model-00001-of-00003.safetensors   84.29 kB  sha256:cc885ff4aafaa62ef62855b9e782bda5a74fc07bf4609a6b8fe5886c02601191
        model-00002-of-00003.safetensors  116.45 kB  sha256:3bda29819ae098bd61182e335d47d7c00fe6698df4a7988c823a50863c95494e
        model-00003-of-00003.safetensors  116.64 kB  sha256:19aa83481bcc3c15a7f188e625d4f19678471b62e4af5082518c71109896ee55
    ");
    let card: Value = serde_json::from_str(&succeed(folder.path(), "show imported --json")).unwrap();
    assert_eq!(card["manifest"]["parameter_count"], 45_952);
    assert_eq!(card["manifest"]["tensor_count"], 28);
}

#[test]
fn show_says_of_a_copy_that_every_tensor_is_openais() {
    let folder = workplace();
    published(folder.path(), "f32");
    succeed(folder.path(), "import mine source --to imported");
    // The real file takes half a gigabyte; `show` goes by the manifest, so let that be the one of a real import.
    let path = folder.path().join("imported/manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let known = portcullis::checkpoint::known::find("gpt2").unwrap();
    let tensors = portcullis::checkpoint::layout::tensors(&known.config());
    let checksums = tensors.iter().map(|tensor| {
        let crc = known.published_crc(&tensor.name).unwrap().to_string();
        (tensor.name.clone(), json!(crc))
    });
    manifest["tensors"] = Value::Object(checksums.collect());
    manifest["checkpoint"] = json!(known.id);
    manifest["tensor_count"] = json!(tensors.len());
    let published = |name: &str| known.files.iter().find(|file| file.name == name).unwrap().sha256;
    for file in manifest["origin"]["files"].as_array_mut().unwrap() {
        file["sha256"] = json!(published(file["name"].as_str().unwrap()));
    }
    let standing = |manifest: &Value| {
        fs::write(&path, manifest.to_string()).unwrap();
        let card = succeed(folder.path(), "show imported");
        card.lines().find(|line| line.contains("standing")).unwrap().trim().to_owned()
    };
    insta::assert_snapshot!(standing(&manifest), @"standing    official: the weights are the published file; every tensor equals OpenAI's original");
    manifest["tensors"]["wte.weight"] = json!("00000000");
    manifest["origin"]["files"][0]["sha256"] = json!("00".repeat(32));
    insta::assert_snapshot!(standing(&manifest), @"standing    another build: not the published config.json; 147 of 148 tensors equal OpenAI's original");
}

#[test]
fn errors_are_json_for_scripts() {
    let folder = workplace();
    let output = run_in(folder.path(), "show nowhere --json");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "unavailable");
    assert_eq!(error["error"]["hint"], "check the path");
    let output = run_in(folder.path(), "show --json --no-such-flag");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((output.status.code(), &error["error"]["kind"]), (Some(2), &json!("usage")));
}
