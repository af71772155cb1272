//! Import as a user meets it: every published layout, every refusal, kills, full disks, two at once.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::*;
use serde_json::{Value, json};

/// Imports `source` as `mine`; the refusal, with the folder's path left out.
fn import_refused(folder: &Path) -> String {
    let message = refuse(folder, "import mine source --to imported");
    assert!(!folder.join("imported").exists(), "refused and there all the same");
    message
}

/// Spoils a published checkpoint and imports it.
fn spoiled(layout: &str, spoil: impl FnOnce(&Path)) -> String {
    let folder = workplace();
    spoil(&published(folder.path(), layout));
    let message = import_refused(folder.path());
    assert!(!folder.path().join("imported.partial").exists(), "a refusal leaves nothing behind");
    message
}

#[test]
fn every_published_layout_becomes_a_sound_folder() {
    for layout in ["f32", "f32-prefixed", "f16", "bf16", "sharded", "untied", "odd-shapes", "gpt1"] {
        let folder = workplace();
        published(folder.path(), layout);
        succeed(folder.path(), "import mine source --to imported");
        succeed(folder.path(), "verify imported");
        let mut names: Vec<_> = fs::read_dir(folder.path().join("imported"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let normal_form = ["config.json", "manifest.json", "merges.txt", "model.safetensors", "vocab.json"];
        assert_eq!(names, normal_form, "{layout}");
        assert!(!folder.path().join("imported.partial").exists());
    }
}

#[test]
fn prefix_buffers_and_shards_leave_no_trace_in_the_normal_form() {
    let folder = workplace();
    let source = published(folder.path(), "f32");
    succeed(folder.path(), "import mine source --to plain");
    let (header, data) = read_safetensors(&source.join("model.safetensors"));
    let prefixed = header.into_iter().map(|(name, tensor)| match name.as_str() {
        "__metadata__" => (name, tensor),
        _ => (format!("transformer.{name}"), tensor),
    });
    write_safetensors(&source.join("model.safetensors"), &prefixed.collect(), &data);
    succeed(folder.path(), "import mine source --to prefixed");
    let weights = |name: &str| fs::read(folder.path().join(name).join("model.safetensors")).unwrap();
    assert!(weights("plain") == weights("prefixed"));
    let (header, _) = read_safetensors(&folder.path().join("plain/model.safetensors"));
    assert!(header.keys().all(|name| !name.ends_with(".attn.bias") && !name.starts_with("transformer.")));
}

#[test]
fn mask_buffers_may_have_any_dtype() {
    let folder = workplace();
    let source = published(folder.path(), "f32");
    succeed(folder.path(), "import mine source --to plain");
    let path = source.join("model.safetensors");
    let (mut header, mut data) = read_safetensors(&path);
    // As transformers saved them for years: a mask of bytes, a bias of one number.
    for (name, dtype, shape, length) in
        [("h.7.attn.bias", "U8", vec![1, 1, 8, 8], 64), ("h.7.attn.masked_bias", "F64", vec![], 8)]
    {
        let offsets = [data.len(), data.len() + length];
        header.insert(name.to_owned(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend(vec![1; length]);
    }
    write_safetensors(&path, &header, &data);
    succeed(folder.path(), "import mine source --to buffered");
    let weights = |name: &str| fs::read(folder.path().join(name).join("model.safetensors")).unwrap();
    assert!(weights("plain") == weights("buffered"));
}

#[test]
fn a_tied_head_that_is_stored_twice_is_left_out_and_one_that_differs_is_refused() {
    let store_head = |source: &Path, change: u8| {
        let path = source.join("model.safetensors");
        let (mut header, mut data) = read_safetensors(&path);
        let embedding = header["wte.weight"]["data_offsets"].clone();
        let (from, to) = (embedding[0].as_u64().unwrap() as usize, embedding[1].as_u64().unwrap() as usize);
        let head = json!({"dtype": "F32", "shape": header["wte.weight"]["shape"],
            "data_offsets": [data.len(), data.len() + to - from]});
        header.insert("lm_head.weight".to_owned(), head);
        data.extend_from_within(from..to);
        *data.last_mut().unwrap() ^= change;
        write_safetensors(&path, &header, &data);
    };
    let folder = workplace();
    store_head(&published(folder.path(), "f32"), 0);
    succeed(folder.path(), "import mine source --to imported");
    insta::assert_snapshot!(spoiled("f32", |source| store_head(source, 1)), @r#"
    exit 4
    error: source/model.safetensors: lm_head.weight differs from the token embedding, but config.json ties them
      next: set "tie_word_embeddings": false in config.json if that is meant
    "#);
}

#[test]
fn the_names_people_use_lead_to_one_id_and_its_shape_is_required() {
    let folder = workplace();
    published(folder.path(), "f32");
    insta::assert_snapshot!(refuse(folder.path(), "import 345M source --to imported"), @"
    exit 4
    error: this is not gpt2-355m: `n_layer` is 2, not 24
      next: import it under an id of its own
    ");
    insta::assert_snapshot!(refuse(folder.path(), "import My/Model source --to imported"), @"
    exit 2
    error: `My/Model` is not a checkpoint id: use 1 to 64 of a-z, 0-9, `.`, `-` and `_`, beginning with a letter or digit
      next: give it a name such as `my-gpt2` or a known one such as `gpt2-124m`
    ");
}

#[test]
fn a_known_file_that_does_not_match_is_refused_unless_it_is_another_build() {
    let folder = workplace();
    large(folder.path());
    insta::assert_snapshot!(refuse(folder.path(), "import 117M large --to imported"), @"
    exit 4
    error: large/config.json is not gpt2-124m's: SHA-256 is 81ee412126c35bf1031675de7e46fdb6340aaa38db8b557381ffb4f4d68378ad, not 0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4 as on record
      next: fetch the file again; if it is meant to be another build, say so with --unofficial
    ");
    assert!(!folder.path().join("imported").exists());
    let done = succeed(folder.path(), "import 117M large --to imported --unofficial");
    insta::assert_snapshot!(done, @"
    imported gpt2-124m into imported, 248.90 MB
    another build: not the published config.json, vocab.json, merges.txt, model.safetensors; OpenAI's tensor checksums are not on record, or not of this dtype
    ");
}

#[test]
fn pickles_and_other_frameworks_are_refused() {
    insta::assert_snapshot!(spoiled("f32", |source| {
        fs::rename(source.join("model.safetensors"), source.join("pytorch_model.bin")).unwrap();
    }), @"
    exit 3
    error: source/pytorch_model.bin is a pickle, which is not supported: it runs code when it is loaded
      next: fetch model.safetensors of the same repository instead, or convert the file where running it is safe
    ");
    insta::assert_snapshot!(spoiled("f32", |source| {
        fs::rename(source.join("model.safetensors"), source.join("weights.pkl")).unwrap();
    }), @"
    exit 3
    error: source/weights.pkl is a pickle, which is not supported: it runs code when it is loaded
      next: fetch model.safetensors of the same repository instead, or convert the file where running it is safe
    ");
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    insta::assert_snapshot!(spoiled("f32", |source| fs::remove_file(source.join("model.safetensors")).unwrap()), @"
    exit 2
    error: source has no checkpoint: neither model.safetensors nor model.ckpt.index
      next: give the folder that holds config.json and model.safetensors, or hparams.json and model.ckpt.index
    ");
    insta::assert_snapshot!(spoiled("f32", |source| fs::remove_dir_all(source).unwrap()), @"
    exit 5
    error: cannot read source: No such file or directory (os error 2)
      next: check the path
    ");
    insta::assert_snapshot!(spoiled("f32", |source| fs::remove_file(source.join("merges.txt")).unwrap()), @"
    exit 5
    error: cannot open source/merges.txt: No such file or directory (os error 2)
      next: check the path
    ");
    insta::assert_snapshot!(spoiled("f32", |source| fs::remove_file(source.join("config.json")).unwrap()), @"
    exit 5
    error: cannot open source/config.json: No such file or directory (os error 2)
      next: check the path
    ");
}

#[test]
fn zero_length_files_are_refused() {
    for name in ["config.json", "model.safetensors", "vocab.json"] {
        let message = spoiled("f32", |source| fs::write(source.join(name), "").unwrap());
        assert!(message.starts_with("exit 4\n"), "{name}: {message}");
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn spoiled_weights_are_refused_with_the_tensor_named() {
    let weights = |source: &Path| source.join("model.safetensors");
    insta::assert_snapshot!(spoiled("f32", |source| {
        let file = File::options().write(true).open(weights(source)).unwrap();
        file.set_len(100_000).unwrap();
    }), @"
    exit 4
    error: source/model.safetensors: the tensors have 116352 bytes, but the file has 97544
      next: fetch it again from where it was published, and import it again
    ");
    insta::assert_snapshot!(spoiled("f32", |source| {
        let mut bytes = fs::read(weights(source)).unwrap();
        bytes[..8].copy_from_slice(&(1u64 << 63).to_le_bytes());
        fs::write(weights(source), bytes).unwrap();
    }), @"
    exit 4
    error: source/model.safetensors: the header claims 9223372036854775808 bytes; the file has 317328 after its length field and at most 67108864 are accepted
      next: fetch it again from where it was published, and import it again
    ");
    insta::assert_snapshot!(spoiled("f32", |source| {
        edit_header(source, |header| header.get_mut("wpe.weight").unwrap()["data_offsets"][0] = json!(0));
    }), @"
    exit 4
    error: source/model.safetensors: tensor `wpe.weight` begins at byte 0 of the data, overlapping the previous one, which ends at byte 65536
      next: fetch it again from where it was published, and import it again
    ");
    insta::assert_snapshot!(spoiled("f32", |source| {
        edit_header(source, |header| header.get_mut("wpe.weight").unwrap()["dtype"] = json!("I32"));
    }), @"
    exit 3
    error: source/model.safetensors: tensor `wpe.weight` has dtype I32; supported are F32, F16 and BF16, and for imports F64
      next: the file is sound, but its weights are quantized or in another type: import the checkpoint in F32, F16 or BF16 that it was made from
    ");
    insta::assert_snapshot!(spoiled("f32", |source| edit_header(source, |header| {
        let tensor = header.remove("ln_f.bias").unwrap();
        header.insert("ln_g.bias".to_owned(), tensor);
        header.get_mut("wpe.weight").unwrap()["shape"] = json!([64, 64]);
    })), @"
    exit 4
    error: source: wpe.weight: has shape [64, 64], not [128, 32]; ln_f.bias: missing
      next: give the config.json that belongs to these weights, or fetch both again from where they were published
    ");
}

#[test]
fn a_mix_of_dtypes_is_stored_in_the_widest() {
    let folder = workplace();
    let source = published(folder.path(), "f32");
    let path = source.join("model.safetensors");
    let (mut header, mut data) = read_safetensors(&path);
    // A mask buffer, which nobody reads, takes the tensor's old place.
    let norm = header.remove("h.0.ln_1.bias").unwrap();
    header.insert("h.0.attn.masked_bias".to_owned(), norm);
    let offsets = [data.len(), data.len() + 64];
    data.extend([0x00, 0x3c].repeat(32)); // 1.0 in F16
    header
        .insert("h.0.ln_1.bias".to_owned(), json!({"dtype": "F16", "shape": [32], "data_offsets": offsets}));
    write_safetensors(&path, &header, &data);
    let done: Value =
        serde_json::from_str(&succeed(folder.path(), "import mine source --to imported --json")).unwrap();
    insta::assert_snapshot!(done["notes"], @r#"[{"from":["F16","F32"],"note":"widened"}]"#);
    succeed(folder.path(), "verify imported");
    let (header, data) = read_safetensors(&folder.path().join("imported/model.safetensors"));
    let norm = &header["h.0.ln_1.bias"];
    assert_eq!(norm["dtype"], "F32");
    let start = norm["data_offsets"][0].as_u64().unwrap() as usize;
    assert_eq!(data[start..start + 128], 1.0_f32.to_le_bytes().repeat(32));
}

#[test]
fn an_impossible_configuration_is_refused() {
    insta::assert_snapshot!(spoiled("f32", |source| {
        let path = source.join("config.json");
        let config = fs::read_to_string(&path).unwrap().replace("\"n_head\": 4", "\"n_head\": 5");
        fs::write(path, config).unwrap();
    }), @"
    exit 4
    error: source/config.json: `n_head` = 5 does not divide `n_embd` = 32
      next: correct that setting, or fetch the file again from where it was published
    ");
}

#[test]
fn shards_cannot_leave_their_folder() {
    insta::assert_snapshot!(spoiled("sharded", |source| {
        let path = source.join("model.safetensors.index.json");
        let index = fs::read_to_string(&path).unwrap();
        fs::write(path, index.replace("model-00002-of-00003", "../secret")).unwrap();
    }), @"
    exit 4
    error: source/model.safetensors.index.json names the shard `../secret.safetensors`, which is not a plain file name
      next: fetch it again from where it was published, and import it again
    ");
    insta::assert_snapshot!(spoiled("sharded", |source| {
        fs::remove_file(source.join("model-00002-of-00003.safetensors")).unwrap();
    }), @"
    exit 5
    error: cannot open source/model-00002-of-00003.safetensors: No such file or directory (os error 2)
      next: check the path
    ");
}

#[test]
fn a_folder_without_permission_is_refused() {
    let folder = workplace();
    let source = published(folder.path(), "f32");
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    fs::set_permissions(&source, PermissionsExt::from_mode(0o000)).unwrap();
    // Root may read everything: be nobody.
    let is_root = File::open(source.join("config.json")).is_ok();
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", env!("CARGO_BIN_EXE_portcullis")]);
        command
    } else {
        portcullis()
    };
    let output = command
        .current_dir(folder.path())
        .args(["import", "mine", "source", "--to", "imported"])
        .output()
        .unwrap();
    fs::set_permissions(&source, PermissionsExt::from_mode(0o700)).unwrap();
    insta::assert_snapshot!(failure(&output), @"
    exit 5
    error: cannot read source: Permission denied (os error 13)
      next: ask the folder's owner for access, or choose another folder
    ");
}

#[test]
fn a_full_disk_keeps_what_is_there_and_the_next_run_goes_on() {
    let folder = workplace();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/demo-large"), &folder.path().join("source"));
    for name in ["vocab.json", "merges.txt"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(name);
        fs::copy(from, folder.path().join("source").join(name)).unwrap();
    }
    fs::create_dir(folder.path().join("small")).unwrap();
    // A disk of 2 MB in a mount namespace of its own, for weights of 2.7 MB; then it grows.
    let script = "mount -t tmpfs -o size=2m small small && \
        { $0 import mine source --to small/imported; echo \"exit $?\" >&2; ls small >&2; \
          mount -o remount,size=20m small && $0 import mine source --to small/imported && $0 verify small/imported; }";
    let output = Command::new("unshare")
        .args(namespace())
        .args(["sh", "-c", script, env!("CARGO_BIN_EXE_portcullis")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let (before, kept) = said.split_once("kept ").unwrap();
    assert!(kept.ends_with(" of an earlier run\n"), "{kept}");
    insta::assert_snapshot!(before, @"
    error: cannot write small/imported.partial/folder/model.safetensors: No space left on device (os error 28)
      next: free some space and run the same command again: it goes on where it stopped
    exit 5
    imported.partial
    ");
}

#[test]
fn two_imports_into_one_folder_do_not_mix() {
    let folder = workplace();
    published(folder.path(), "f32");
    fs::create_dir(folder.path().join("imported.partial")).unwrap();
    let held = File::create(folder.path().join("imported.partial/lock")).unwrap();
    held.lock().unwrap();
    insta::assert_snapshot!(refuse(folder.path(), "import mine source --to imported"), @"
    exit 5
    error: another import into imported is running
      next: wait until it ends, or choose another --to
    ");
    drop(held);
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let path = folder.path().to_owned();
            thread::spawn(move || run_in(&path, "import mine source --to imported"))
        })
        .collect();
    let outputs: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    assert!(outputs.iter().any(|output| output.status.success()));
    for output in outputs.iter().filter(|output| !output.status.success()) {
        assert_eq!(output.status.code(), Some(5), "{}", failure(output));
    }
    succeed(folder.path(), "verify imported");
}

#[test]
fn a_second_import_finds_the_first_and_another_source_is_refused() {
    let folder = workplace();
    let source = published(folder.path(), "f32");
    succeed(folder.path(), "import mine source --to imported/");
    let again = succeed(folder.path(), "import mine source --to imported");
    assert!(again.contains("already"), "{again}");
    copy(&fixture("golden/f16"), &source);
    insta::assert_snapshot!(refuse(folder.path(), "import mine source --to imported"), @"
    exit 2
    error: imported already exists and was not made from this source
      next: choose another --to, or remove that folder first
    ");
    succeed(folder.path(), "verify imported");
}

/// The most memory that a running process has held, in MB; none once it ended.
#[cfg(target_os = "linux")]
fn peak_megabytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1000)
}

#[cfg(target_os = "linux")]
#[test]
fn import_streams_and_holds_a_fraction_of_what_it_reads() {
    let folder = workplace();
    large(folder.path());
    let mut child = portcullis()
        .current_dir(folder.path())
        .args(["import", "mine", "large", "--to", "imported", "--quiet"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(peak_megabytes(child.id()).unwrap_or(0));
        thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    assert!((1..100).contains(&peak), "{peak} MB for weights of 249 MB");
}

#[test]
fn p6_what_an_earlier_run_left_is_kept_only_as_far_as_it_is_right() {
    let folder = workplace();
    published(folder.path(), "f32");
    succeed(folder.path(), "import mine source --to whole");
    let right = fs::read(folder.path().join("whole/model.safetensors")).unwrap();
    let left = folder.path().join("imported.partial/folder");
    fs::create_dir_all(&left).unwrap();
    let mut torn = [right.clone(), b"and more".to_vec()].concat();
    torn[right.len() - 20] ^= 1;
    fs::write(left.join("model.safetensors"), &torn).unwrap();
    fs::write(left.join("config.json"), "from another source").unwrap();
    let result: Value =
        serde_json::from_str(&succeed(folder.path(), "import mine source --to imported --json")).unwrap();
    let kept = result["resumed_bytes"].as_u64().unwrap() as usize;
    assert!((right.len() / 2..right.len() - 20).contains(&kept), "{kept} of {}", right.len());
    assert!(fs::read(folder.path().join("imported/model.safetensors")).unwrap() == right);
    succeed(folder.path(), "verify imported");
}

#[test]
fn p6_a_kill_at_any_instant_of_import_leaves_nothing_or_a_whole_checkpoint() {
    let folder = workplace();
    large(folder.path());
    succeed(folder.path(), "import mine large --to whole");
    let digest = |name: &str| {
        let manifest = fs::read(folder.path().join(name).join("manifest.json")).unwrap();
        serde_json::from_slice::<Value>(&manifest).unwrap()["files"].clone()
    };
    let mut resumed = false;
    for round in 0..12 {
        let mut child = portcullis()
            .current_dir(folder.path())
            .args(["import", "mine", "large", "--to", "killed"])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(15 + 37 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        if folder.path().join("killed").exists() {
            succeed(folder.path(), "verify killed");
            fs::remove_dir_all(folder.path().join("killed")).unwrap();
        } else {
            resumed = true;
        }
    }
    assert!(resumed, "no kill came in time: the test tests nothing");
    let result = succeed(folder.path(), "--json import mine large --to killed");
    let result: Value = serde_json::from_str(&result).unwrap();
    assert!(result["resumed_bytes"].as_u64().is_some());
    assert_eq!(digest("killed"), digest("whole"));
    succeed(folder.path(), "verify killed");
}
