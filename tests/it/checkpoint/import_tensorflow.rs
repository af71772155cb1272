//! OpenAI's 2019 layout, as TensorFlow wrote it, through the command line.

use std::fs;
use std::path::Path;

use crate::support::*;
use serde_json::Value;

fn spoiled(spoil: impl FnOnce(&Path)) -> String {
    let folder = workplace();
    let source = folder.path().join("source");
    copy(&fixture("tf-bundle"), &source);
    spoil(&source);
    let message = refuse(folder.path(), "import mine source --to imported");
    assert!(!folder.path().join("imported").exists());
    message
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn both_publications_of_one_model_have_the_same_normal_form() {
    let folder = workplace();
    copy(&fixture("tf-bundle"), &folder.path().join("tensorflow"));
    copy(&fixture("golden/f32"), &folder.path().join("hub"));
    succeed(folder.path(), "import mine tensorflow --to from-tensorflow");
    succeed(folder.path(), "import mine hub --to from-hub");
    for name in ["config.json", "model.safetensors", "vocab.json", "merges.txt"] {
        let read = |from: &str| fs::read(folder.path().join(from).join(name)).unwrap();
        assert!(read("from-tensorflow") == read("from-hub"), "{name}");
    }
    succeed(folder.path(), "verify from-tensorflow");
    let card: Value = serde_json::from_str(&succeed(folder.path(), "show from-tensorflow --json")).unwrap();
    let names: Vec<_> = card["manifest"]["origin"]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    insta::assert_snapshot!(names.join(" "), @"hparams.json encoder.json vocab.bpe checkpoint model.ckpt.index model.ckpt.data-00000-of-00001");
}

#[test]
fn spoiled_files_are_refused_with_the_part_named() {
    insta::assert_snapshot!(spoiled(|source| flip(&source.join("model.ckpt.data-00000-of-00001"), 70_000)), @"
    exit 4
    error: source/model.ckpt.data-00000-of-00001: tensor `h.1.mlp.c_fc.weight`: CRC-32C is 48f143ea, not 17018036
      next: fetch it again from where it was published, and import it again
    ");
    insta::assert_snapshot!(spoiled(|source| flip(&source.join("model.ckpt.index"), 300)), @"
    exit 4
    error: source/model.ckpt.index: data block 0 is corrupt: its CRC-32C is 0b8e24f2, not 932602fb
      next: fetch it again from where it was published, and import it again
    ");
    insta::assert_snapshot!(spoiled(|source| {
        let data = fs::read(source.join("model.ckpt.data-00000-of-00001")).unwrap();
        fs::write(source.join("model.ckpt.data-00000-of-00001"), &data[..100_000]).unwrap();
    }), @"
    exit 4
    error: source/model.ckpt.data-00000-of-00001: tensor `model/h1/mlp/c_proj/w` has 16384 bytes at byte 85248 of the data, which has 100000
      next: fetch it again from where it was published, and import it again
    ");
    insta::assert_snapshot!(spoiled(|source| fs::write(source.join("model.ckpt.index"), "").unwrap()), @"
    exit 4
    error: source/model.ckpt.index: the index has 0 bytes, too few for the footer of 48 bytes
      next: fetch it again from where it was published, and import it again
    ");
    insta::assert_snapshot!(spoiled(|source| {
        fs::write(source.join("checkpoint"), "model_checkpoint_path: \"../../etc/passwd\"\n").unwrap();
    }), @"
    exit 4
    error: source/checkpoint: the prefix `../../etc/passwd` is not a plain file name (letters, digits, `.`, `-` and `_`, not beginning with `.`)
      next: fetch it again from where it was published, and import it again
    ");
    insta::assert_snapshot!(spoiled(|source| {
        fs::write(source.join("hparams.json"), r#"{"n_vocab":512,"n_ctx":128,"n_embd":32,"n_head":5,"n_layer":2}"#)
            .unwrap();
    }), @"
    exit 4
    error: source/hparams.json: `n_head` = 5 does not divide `n_embd` = 32
      next: correct that setting, or fetch the file again from where it was published
    ");
    insta::assert_snapshot!(spoiled(|source| {
        fs::write(source.join("hparams.json"), r#"{"n_vocab":512,"n_ctx":128,"n_embd":32,"n_head":4,"n_layer":3}"#)
            .unwrap();
    }), @"
    exit 4
    error: source: h.2.ln_1.weight: missing; h.2.ln_1.bias: missing; h.2.attn.c_attn.weight: missing; h.2.attn.c_attn.bias: missing; h.2.attn.c_proj.weight: missing; and 7 more
      next: give the config.json that belongs to these weights, or fetch both again from where they were published
    ");
}
