//! Sealing and opening as the rooms above use them: round trips, every refusal, what is left behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io;
use std::path::Path;

use portcullis::checkpoint::tensor_file::TensorFile;
use portcullis::digest::Sha256Digest;
use portcullis::progress::{Progress, Silent};
use portcullis::seal::{CheckedChunks, ContentKey, Error, OpenedCheckpoint, SealedManifest};
use rayon::prelude::*;
use serde_json::{Value, json};
use support::sealing::*;
use support::{copy, fixture, succeed, workplace};
use tempfile::TempDir;

/// What was refused, without this run's folder.
fn refusal<T>(folder: &Path, result: Result<T, Error>) -> String {
    let error = result.err().unwrap().to_string();
    error.replace(folder.to_str().unwrap(), "FOLDER")
}

#[test]
fn what_is_sealed_opens_to_the_same_files() {
    let folder = workplace();
    let imported = golden(folder.path());
    let (holders, to) = (Holders::new(2, 3), folder.path().join("sealed"));
    let done = holders.seal(&imported, &to, 1).unwrap();
    assert_eq!(done.manifest.seal.files["model.safetensors"].len(), 3);
    assert_eq!(done.manifest.sealed_size(), done.manifest.plain.size() + 16 * 6);
    assert!(!folder.path().join("sealed.partial").exists());
    // Nothing of the plaintext is in the folder.
    let vocabulary = fs::read(imported.join("vocab.json")).unwrap();
    for entry in fs::read_dir(to.join("chunks")).unwrap() {
        let chunk = fs::read(entry.unwrap().path()).unwrap();
        assert!(!chunk.windows(16).any(|window| window == &vocabulary[..16]));
    }
    let opened = holders.open(&to, &[0, 1]).unwrap();
    for name in ["config.json", "merges.txt", "model.safetensors", "vocab.json"] {
        assert_eq!(opened.file(name).unwrap().as_slice(), fs::read(imported.join(name)).unwrap(), "{name}");
    }
    opened.unseal_to(&folder.path().join("plain"), &Silent).unwrap();
    assert_eq!(digests(&folder.path().join("plain")), digests(&imported));
}

#[test]
fn what_a_tokenizer_does_of_its_own_is_sealed_with_it() {
    let folder = workplace();
    copy(&fixture("people/b03-v4-added"), &folder.path().join("source"));
    succeed(folder.path(), "import mine source --to imported");
    let (imported, to) = (folder.path().join("imported"), folder.path().join("sealed"));
    let holders = Holders::new(2, 3);
    holders.seal(&imported, &to, 1).unwrap();
    let opened = holders.open(&to, &[0, 2]).unwrap();
    let files = opened.tokenizer_files(&opened.config().unwrap()).unwrap();
    let added: Vec<_> = files.facts().unwrap().added.iter().map(|token| token.content.as_str()).collect();
    assert_eq!(added, ["<|endoftext|>", "<|pad|>", "[SEP]", "gatekeeper"]);
    opened.unseal_to(&folder.path().join("plain"), &Silent).unwrap();
    assert_eq!(digests(&folder.path().join("plain")), digests(&imported));
    // A sealed manifest that leaves the file out of either list is none.
    let path = to.join("manifest.json");
    let manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut without = manifest.clone();
    without["seal"]["files"].as_object_mut().unwrap().remove("tokenizer.json").unwrap();
    let refused = SealedManifest::parse(without.to_string().as_bytes()).unwrap_err().to_string();
    assert!(refused.contains("it lists chunks of"), "{refused}");
    let mut without = manifest;
    without["plain"]["files"].as_array_mut().unwrap().retain(|file| file["name"] != "tokenizer.json");
    let refused = SealedManifest::parse(without.to_string().as_bytes()).unwrap_err().to_string();
    assert!(refused.contains("it lists chunks of"), "{refused}");
}

#[test]
fn tensors_are_read_across_chunks_by_several_threads() {
    let folder = workplace();
    let imported = medium(folder.path());
    let (holders, to) = (Holders::new(1, 1), folder.path().join("sealed"));
    holders.seal(&imported, &to, 1).unwrap();
    let opened = holders.open(&to, &[0]).unwrap();
    let config = opened.config().unwrap();
    assert_eq!(opened.tokenizer_files(&config).unwrap().vocabulary().len(), 512);
    let weights = opened.weights(&config).unwrap();
    let file = TensorFile::open(&imported.join("model.safetensors")).unwrap();
    assert_eq!(weights.entries(), file.entries());
    let pieces: Vec<_> = file
        .entries()
        .values()
        .flat_map(|entry| (0..entry.length).step_by(50_001).map(move |position| (entry, position)))
        .collect();
    assert!(pieces.len() > 60);
    pieces.into_par_iter().for_each(|(entry, position)| {
        let length = (entry.length - position).min(50_001) as usize;
        let (mut expected, mut found) = (vec![0; length], vec![1; length]);
        file.read_at(entry, position, &mut expected).unwrap();
        weights.read_at(entry, position, &mut found).unwrap();
        assert!(expected == found);
    });
    let last = file.entries().values().max_by_key(|entry| entry.offset).unwrap();
    let error = weights.read_at(last, last.length, &mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_chunk_that_changes_after_opening_is_refused_when_it_is_read() {
    let folder = workplace();
    let (holders, to) = (Holders::new(1, 1), folder.path().join("sealed"));
    let done = holders.seal(&golden(folder.path()), &to, 1).unwrap();
    let opened = holders.open(&to, &[0]).unwrap();
    let weights = opened.weights(&opened.config().unwrap()).unwrap();
    let chunk = to.join("chunks").join(done.manifest.seal.files["model.safetensors"][1].sha256.to_string());
    let bytes = fs::read(&chunk).unwrap();
    let read = || {
        let last =
            weights.entries().values().find(|entry| (66_000..130_000).contains(&entry.offset)).unwrap();
        weights.read_at(last, 0, &mut [0; 4]).unwrap_err().to_string()
    };
    fs::write(&chunk, [&bytes[1..], b"x"].concat()).unwrap();
    let altered = read();
    fs::write(&chunk, &bytes[1..]).unwrap();
    let cut = read();
    fs::remove_file(&chunk).unwrap();
    let missing = read();
    insta::assert_snapshot!([altered, cut, missing].join("\n"), @"
    chunk 1 of model.safetensors: SHA-256 is 476a96fde21e9e0ce70376152dc5ea491a96ba1f43085a53485a22545796f169, not ba218488e97e1296d7ca40d7ed933c736ae784f9e76b98db7418c4d3ad19aa56
    chunk 1 of model.safetensors: has 65551 bytes, not 65552
    chunk 1 of model.safetensors is not there: ba218488e97e1296d7ca40d7ed933c736ae784f9e76b98db7418c4d3ad19aa56 is missing
    ");
}

/// What was checked before is not hashed again, and still nothing passes whose tag does not hold.
#[test]
fn p6_a_list_of_checked_chunks_lets_nothing_wrong_pass() {
    let folder = workplace();
    let (holders, to) = (Holders::new(1, 1), folder.path().join("sealed"));
    let done = holders.seal(&golden(folder.path()), &to, 1).unwrap();
    let open = || {
        let sealed = sealed(&to).unwrap().with_what_was_checked();
        let (board, registry) =
            (holders.board_key(&sealed, &[0]).unwrap(), holders.registry_key(&sealed).unwrap());
        let key = ContentKey::derive(&board, &registry, &sealed.manifest().plain.checkpoint);
        sealed.unlock(&key).unwrap()
    };
    let file = |opened: &OpenedCheckpoint| opened.file("vocab.json").map(|bytes| bytes.to_vec());
    let first = open();
    let vocabulary = file(&first).unwrap();
    first.remember_what_was_checked();
    let entry = &done.manifest.seal.files["vocab.json"][0];
    let chunk = to.join("chunks").join(entry.sha256.to_string());
    let vouched = || CheckedChunks::read(&to).is_unchanged(entry, &fs::metadata(&chunk).unwrap());
    assert!(vouched());
    assert_eq!(file(&open()).unwrap(), vocabulary);

    // Whoever can write the folder can make the list say anything of a file that is altered.
    let bytes = fs::read(&chunk).unwrap();
    let mut altered = bytes.clone();
    altered[100] ^= 1;
    fs::write(&chunk, &altered).unwrap();
    assert!(!vouched());
    let forged = CheckedChunks::of(&to.join("chunks"), done.manifest.chunks());
    fs::write(to.join(CheckedChunks::NAME), forged.to_json()).unwrap();
    assert!(vouched());
    insta::assert_snapshot!(refusal(folder.path(), file(&open())), @"chunk 0 of vocab.json: SHA-256 is 12583d7e3e0e3deb442865e36dc7f549defd544e39ad84e3c0906290a044a7f7, not 8413caab2d6917a32b7015596818c27f4ee31782a62684bc8ef608ce55ca63fd");

    // What was checked in another boot is checked again.
    fs::write(&chunk, &bytes).unwrap();
    let forged = CheckedChunks::of(&to.join("chunks"), done.manifest.chunks());
    let mut list: Value = serde_json::from_slice(&forged.to_json()).unwrap();
    list["boot"] = json!("another");
    fs::write(to.join(CheckedChunks::NAME), list.to_string()).unwrap();
    assert!(!vouched());
    let again = open();
    assert_eq!(file(&again).unwrap(), vocabulary);
    again.remember_what_was_checked();
    assert!(vouched());
    for broken in ["", "[]", "{\"boot\": 3}"] {
        fs::write(to.join(CheckedChunks::NAME), broken).unwrap();
        assert!(!vouched());
        assert_eq!(file(&open()).unwrap(), vocabulary);
    }
}

#[test]
fn a_second_seal_of_the_same_is_no_error_and_of_anything_else_is() {
    let folder = workplace();
    let imported = golden(folder.path());
    let (holders, to) = (Holders::new(2, 3), folder.path().join("sealed"));
    let first = holders.seal(&imported, &to, 1).unwrap();
    let again = holders.seal(&imported, &to, 2).unwrap();
    assert!(again.already_there);
    assert_eq!(again.digest, first.digest);
    insta::assert_snapshot!(refusal(folder.path(), Holders::new(3, 3).seal(&imported, &to, 1)), @"FOLDER/sealed exists already and is not this checkpoint, sealed to these");
    fs::create_dir(folder.path().join("mine")).unwrap();
    insta::assert_snapshot!(refusal(folder.path(), holders.seal(&imported, &folder.path().join("mine"), 1)), @"FOLDER/mine exists already and is not this checkpoint, sealed to these");
    insta::assert_snapshot!(refusal(folder.path(), holders.seal(&imported, Path::new("/"), 1)), @"/ does not name a new folder");
    // Damage of a folder that is there is told, not mended.
    let chunk = to.join("chunks").join(first.manifest.seal.files["config.json"][0].sha256.to_string());
    fs::write(&chunk, vec![0; 347]).unwrap();
    insta::assert_snapshot!(refusal(folder.path(), holders.seal(&imported, &to, 1)), @"chunk 0 of config.json: SHA-256 is 3e747b82fcaac02d19811fb7b619d63110c496fb0da885bb4c581471775bf481, not a27f507e55a31b0495d6fceb72e82bc620639021e9174e9c6da497a980d40361");
}

#[test]
fn a_source_that_is_not_as_imported_is_refused_before_anything_is_written() {
    let folder = workplace();
    let imported = golden(folder.path());
    let to = folder.path().join("sealed");
    let path = imported.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    insta::assert_snapshot!(refusal(folder.path(), Holders::new(2, 3).seal(&imported, &to, 1)), @"FOLDER/imported: model.safetensors: SHA-256 is 3cafb4d53bcfca143be1d92f791c99ba5d022de9faf1fcd95185397b45f79db5, not 6bc04c65cd2f0c8b6f12afd4d0b3f0dd4f1eafad122d7cd2a093a07661c514b5");
    assert!(!to.exists() && !folder.path().join("sealed.partial").exists(), "nothing is left behind");
}

/// Does something at the moment when all was checked and nothing is written yet.
struct AtWriting<F>(F);

impl<F: Fn() + Send + Sync> Progress for AtWriting<F> {
    fn begin(&self, step: &str, _total: Option<u64>) {
        if step == "writing" {
            (self.0)();
        }
    }
    fn advance(&self, _count: u64) {}
    fn note(&self, _message: &str) {}
}

#[test]
fn a_file_that_changes_while_it_is_sealed_is_refused_and_nothing_is_left() {
    let folder = workplace();
    let (imported, to) = (golden(folder.path()), folder.path().join("sealed"));
    let change = AtWriting(|| {
        let path = imported.join("vocab.json");
        let mut bytes = fs::read(&path).unwrap();
        bytes[100] ^= 1;
        fs::write(&path, bytes).unwrap();
    });
    let refused = Holders::new(2, 3).seal_watched((&imported, &to), 1, &change);
    insta::assert_snapshot!(refusal(folder.path(), refused), @"vocab.json changed while it was sealed; what was sealed of it is destroyed");
    assert!(!to.exists() && !folder.path().join("sealed.partial").exists());
}

/// A folder with a sealing of seed 1 that is cut off with its session kept, and the commitment to that session's key.
fn cut_off(holders: &Holders) -> (TempDir, Sha256Digest) {
    let folder = workplace();
    let (imported, to) = (golden(folder.path()), folder.path().join("sealed"));
    let reference = holders.seal(&imported, &folder.path().join("reference"), 1).unwrap();
    let chunks = folder.path().join("sealed.partial/folder/chunks");
    let obstruct = AtWriting(|| {
        fs::remove_dir(&chunks).unwrap();
        fs::write(&chunks, "").unwrap();
    });
    holders.seal_watched((&imported, &to), 1, &obstruct).unwrap_err();
    fs::remove_file(&chunks).unwrap();
    assert!(folder.path().join("sealed.partial/session").exists());
    (folder, reference.manifest.seal.key_commitment)
}

#[test]
fn a_session_is_for_the_same_files_holders_and_sealer_only() {
    let holders = Holders::new(2, 3);
    let resumed = |by: &Holders, change: &dyn Fn(&Path)| {
        let (folder, commitment) = cut_off(&holders);
        change(folder.path());
        let done = by.seal(&folder.path().join("imported"), &folder.path().join("sealed"), 2).unwrap();
        assert!(!folder.path().join("sealed.partial").exists());
        done.manifest.seal.key_commitment == commitment
    };
    let session = |folder: &Path| folder.join("sealed.partial/session");
    assert!(resumed(&holders, &|_| ()));
    assert!(!resumed(&Holders::new(3, 3), &|_| ()));
    let mut other_sealer = Holders::new(2, 3);
    other_sealer.board[0] = person("member 1", 77);
    assert!(!resumed(&other_sealer, &|_| ()));
    assert!(!resumed(&holders, &|folder| fs::remove_file(session(folder)).unwrap()));
    assert!(!resumed(&holders, &|folder| fs::write(session(folder), "{}").unwrap()));
    assert!(!resumed(&holders, &|folder| {
        // Another manifest of the same files, as an import from elsewhere would write it.
        let path = folder.join("imported/manifest.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        manifest["origin"]["source"] = json!("elsewhere");
        fs::write(path, manifest.to_string()).unwrap();
    }));
}

#[test]
fn files_that_change_between_two_runs_destroy_the_session() {
    let holders = Holders::new(2, 3);
    let (folder, _) = cut_off(&holders);
    let imported = folder.path().join("imported");
    fs::write(imported.join("merges.txt"), vec![b'x'; 1312]).unwrap();
    let refused = holders.seal(&imported, &folder.path().join("sealed"), 2);
    insta::assert_snapshot!(refusal(folder.path(), refused), @"FOLDER/imported: merges.txt: SHA-256 is 54512807f3e7f5d71a83d18b7584ef92af74dfec31e83a8575eeeca46942f885, not f56e55358137c14b396f4ce5a9db71800fa888ef2f0689bc92acab81ed78bac1");
    assert!(!folder.path().join("sealed.partial").exists());
}

#[test]
fn a_sealing_that_was_cut_off_before_its_last_rename_only_appears() {
    let holders = Holders::new(2, 3);
    let folder = workplace();
    let (imported, to) = (golden(folder.path()), folder.path().join("sealed"));
    let done = holders.seal(&imported, &to, 1).unwrap();
    let partial = folder.path().join("sealed.partial");
    fs::create_dir(&partial).unwrap();
    fs::rename(&to, partial.join("folder")).unwrap();
    let again = holders.seal(&imported, &to, 2).unwrap();
    assert_eq!((again.digest, again.resumed_bytes), (done.digest, done.manifest.sealed_size()));
    assert!(!partial.exists());
}

#[test]
fn two_processes_do_not_write_one_folder() {
    let folder = workplace();
    let imported = golden(folder.path());
    let partial = folder.path().join("sealed.partial");
    fs::create_dir(&partial).unwrap();
    let lock = fs::File::create(partial.join("lock")).unwrap();
    lock.lock().unwrap();
    let refused = Holders::new(1, 1).seal(&imported, &folder.path().join("sealed"), 1);
    insta::assert_snapshot!(refusal(folder.path(), refused), @"another process is writing FOLDER/sealed");
}

/// A sealed folder whose manifest was rewritten, and its shares with it; opened as if that were agreed on.
fn forged(forge: impl Fn(&mut Value)) -> String {
    let folder = workplace();
    let (holders, to) = (Holders::new(2, 3), folder.path().join("sealed"));
    holders.seal(&golden(folder.path()), &to, 1).unwrap();
    let mut manifest: Value = serde_json::from_slice(&fs::read(to.join("manifest.json")).unwrap()).unwrap();
    forge(&mut manifest);
    let bytes = manifest.to_string();
    fs::write(to.join("manifest.json"), &bytes).unwrap();
    let mut shares: Value = serde_json::from_slice(&fs::read(to.join("shares.json")).unwrap()).unwrap();
    shares["manifest"] = json!(Sha256Digest::of(bytes.as_bytes()));
    fs::write(to.join("shares.json"), shares.to_string()).unwrap();
    refusal(
        folder.path(),
        holders.open(&to, &[0, 1]).and_then(|opened| opened.unseal_to(&folder.path().join("plain"), &Silent)),
    )
}

#[test]
fn chunks_can_be_neither_moved_nor_left_off() {
    let digest = |entry: &Value| entry["sha256"].clone();
    let swapped = forged(|manifest| {
        let weights = &mut manifest["seal"]["files"]["model.safetensors"];
        let (first, second) = (digest(&weights[0]), digest(&weights[1]));
        weights[0]["sha256"] = second;
        weights[1]["sha256"] = first;
    });
    let shortened = forged(|manifest| {
        manifest["seal"]["files"]["model.safetensors"].as_array_mut().unwrap().pop();
        manifest["plain"]["files"][2]["size"] = json!(2 * 65_536);
    });
    let renamed = forged(|manifest| manifest["plain"]["checkpoint"] = json!("yours"));
    let unlike = forged(|manifest| manifest["plain"]["files"][2]["sha256"] = json!("00".repeat(32)));
    // Both are wrong, and either may be met first.
    let swapped = swapped.replace("chunk 0", "chunk 1");
    insta::assert_snapshot!([swapped, shortened, renamed, unlike].join("\n"), @"
    chunk 1 of model.safetensors does not open under this checkpoint's key: it was not sealed as a part of it
    chunk 1 of model.safetensors does not open under this checkpoint's key: it was not sealed as a part of it
    sealed shares: they are of mine (35f861cfeb400e2685c3206bd4491b0032f8a1523ef6784448f430a42dd63bc4), not of yours (35f861cfeb400e2685c3206bd4491b0032f8a1523ef6784448f430a42dd63bc4)
    model.safetensors: SHA-256 of the opened file is 6bc04c65cd2f0c8b6f12afd4d0b3f0dd4f1eafad122d7cd2a093a07661c514b5, not 0000000000000000000000000000000000000000000000000000000000000000
    ");
}

#[test]
fn a_malformed_manifest_is_refused_with_the_reason() {
    let set = |pointer: &'static str, value: Value| {
        forged(move |manifest| *manifest.pointer_mut(pointer).unwrap() = value.clone())
    };
    insta::assert_snapshot!([
        set("/schema", json!(2)),
        set("/seal/chunk_size", json!(65_535)),
        set("/seal/board/threshold", json!(0)),
        set("/seal/board/threshold", json!(4)),
        set("/seal/board/members/0/index", json!(2)),
        set("/seal/board/members/0/index", json!(0)),
        set("/seal/files/model.safetensors", json!([])),
        set("/seal/files/model.safetensors/0/size", json!(1)),
        set("/plain/files/2/size", json!(u64::MAX)),
        forged(|manifest| manifest["seal"]["registry"] = manifest["seal"]["board"]["members"][0]["key_id"].clone()),
        forged(|manifest| manifest["seal"]["files"]["../x"] = json!([])),
        forged(|manifest| manifest["seal"]["surprise"] = json!(1)),
        forged(|manifest| manifest["plain"]["schema"] = json!(7)),
    ].join("\n"), @r#"
    sealed manifest: schema 2 is not supported; this version reads schema 1
    sealed manifest: not a sealed manifest: chunks of 65535 bytes; a power of two from 65536 to 67108864 is accepted at line 1 column 2531
    sealed manifest: a threshold of 0 of 3 members
    sealed manifest: a threshold of 4 of 3 members
    sealed manifest: the board's shares are numbered [2, 2, 3], not 1 to their number
    sealed manifest: not a sealed manifest: invalid value: integer `0`, expected a nonzero u8 at line 1 column 2083
    sealed manifest: model.safetensors of 186104 bytes has 0 chunks, not 3
    sealed manifest: chunk 0 of model.safetensors has 1 bytes, not 65552
    sealed manifest: model.safetensors of 18446744073709551615 bytes has 3 chunks, not 281474976710656
    sealed manifest: the key 7ab6b86cb2c9684b0ddc10896153aa2595decf4d4327a5ff1a8ab7422c828b12 holds more than one part of the locks
    sealed manifest: it lists chunks of ["../x", "config.json", "merges.txt", "model.safetensors", "vocab.json"], not of ["config.json", "merges.txt", "model.safetensors", "vocab.json"]
    sealed manifest: not a sealed manifest: unknown field `surprise`, expected one of `chunk_size`, `key_commitment`, `board`, `registry`, `files` at line 1 column 3324
    sealed manifest: the plain checkpoint: schema 7 is not supported; this version reads schema 1
    "#);
}
