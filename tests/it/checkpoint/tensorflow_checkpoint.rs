//! Opens a folder as OpenAI published GPT-2 in 2019; the fixture was written by TensorFlow itself.

use std::fs;
use std::path::Path;

use portcullis::checkpoint::tensorflow::{self, Bundle, BundleTensor};
use portcullis::digest::Crc32c;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tf-bundle");
const INDEX: &str = "model.ckpt.index";
const DATA: &str = "model.ckpt.data-00000-of-00001";

fn crc_of_bytes(bundle: &Bundle, tensor: &BundleTensor) -> Crc32c {
    let mut bytes = vec![0; tensor.length as usize];
    bundle.read_at(tensor, 0, &mut bytes).unwrap();
    Crc32c::compute(&bytes)
}

/// A copy of the fixture that `change` may damage.
fn copy(change: impl FnOnce(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["checkpoint", INDEX, DATA] {
        fs::copy(Path::new(FIXTURE).join(name), folder.path().join(name)).unwrap();
    }
    change(folder.path());
    folder
}

/// What is said about a damaged copy, without the folder's name.
fn refusal(change: impl FnOnce(&Path)) -> String {
    let folder = copy(change);
    let said = tensorflow::open(folder.path()).unwrap_err().to_string();
    said.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn every_tensor_is_found_where_its_checksum_says() {
    let bundle = tensorflow::open(Path::new(FIXTURE)).unwrap();
    let mut lines = Vec::new();
    for tensor in bundle.tensors() {
        assert_eq!(crc_of_bytes(&bundle, tensor), tensor.crc, "{}", tensor.name);
        lines.push(format!("{} {:?}", tensor.name, tensor.shape));
    }
    insta::assert_snapshot!(lines.join("\n"), @"
    model/h0/attn/c_attn/b [96]
    model/h0/attn/c_attn/w [1, 32, 96]
    model/h0/attn/c_proj/b [32]
    model/h0/attn/c_proj/w [1, 32, 32]
    model/h0/ln_1/b [32]
    model/h0/ln_1/g [32]
    model/h0/ln_2/b [32]
    model/h0/ln_2/g [32]
    model/h0/mlp/c_fc/b [128]
    model/h0/mlp/c_fc/w [1, 32, 128]
    model/h0/mlp/c_proj/b [32]
    model/h0/mlp/c_proj/w [1, 128, 32]
    model/h1/attn/c_attn/b [96]
    model/h1/attn/c_attn/w [1, 32, 96]
    model/h1/attn/c_proj/b [32]
    model/h1/attn/c_proj/w [1, 32, 32]
    model/h1/ln_1/b [32]
    model/h1/ln_1/g [32]
    model/h1/ln_2/b [32]
    model/h1/ln_2/g [32]
    model/h1/mlp/c_fc/b [128]
    model/h1/mlp/c_fc/w [1, 32, 128]
    model/h1/mlp/c_proj/b [32]
    model/h1/mlp/c_proj/w [1, 128, 32]
    model/ln_f/b [32]
    model/ln_f/g [32]
    model/wpe [128, 32]
    model/wte [512, 32]
    ");
    let total: u64 = bundle.tensors().iter().map(|tensor| tensor.length).sum();
    assert_eq!(total, fs::metadata(bundle.data_path()).unwrap().len());
}

#[test]
fn a_flipped_byte_of_data_shows_in_its_tensors_checksum_only() {
    let folder = copy(|folder| {
        let mut data = fs::read(folder.join(DATA)).unwrap();
        data[0] ^= 1;
        fs::write(folder.join(DATA), data).unwrap();
    });
    let bundle = tensorflow::open(folder.path()).unwrap();
    let differs = |tensor: &&BundleTensor| crc_of_bytes(&bundle, tensor) != tensor.crc;
    let damaged: Vec<_> = bundle.tensors().iter().filter(differs).collect();
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0].name, "model/h0/attn/c_attn/b");
}

#[test]
fn a_flip_anywhere_in_the_index_is_refused() {
    let mut index = fs::read(Path::new(FIXTURE).join(INDEX)).unwrap();
    for position in 0..index.len() {
        for bit in 0..8 {
            index[position] ^= 1 << bit;
            let parsed = tensorflow::parse_index(&index);
            assert!(parsed.is_err(), "byte {position}, bit {bit}");
            index[position] ^= 1 << bit;
        }
    }
}

#[test]
fn a_cut_index_is_refused() {
    let whole = fs::read(Path::new(FIXTURE).join(INDEX)).unwrap();
    for length in 0..whole.len() {
        assert!(tensorflow::parse_index(&whole[..length]).is_err(), "{length}");
        assert!(tensorflow::parse_index(&whole[length + 1..]).is_err(), "{length}");
    }
}

#[test]
fn a_damaged_folder_is_refused_with_the_file_and_the_rule() {
    let write = |name: &'static str, bytes: &'static [u8]| {
        refusal(move |folder| fs::write(folder.join(name), bytes).unwrap())
    };
    let resize = |name: &'static str, size: u64| {
        refusal(move |folder| {
            let file = fs::File::options().write(true).open(folder.join(name));
            file.unwrap().set_len(size).unwrap();
        })
    };
    let remove = |name| refusal(|folder| fs::remove_file(folder.join(name)).unwrap());
    let folder_for = |name| {
        refusal(|folder| {
            fs::remove_file(folder.join(name)).unwrap();
            fs::create_dir(folder.join(name)).unwrap();
        })
    };
    insta::assert_snapshot!([
        remove("checkpoint"),
        remove(INDEX),
        remove(DATA),
        folder_for("checkpoint"),
        resize("checkpoint", (64 << 10) + 1),
        resize(INDEX, (64 << 20) + 1),
        resize(INDEX, 973),
        resize(DATA, 183_807),
        write(INDEX, b"version https://git-lfs.github.com/spec/v1, and so on and so forth"),
        write("checkpoint", b"all_model_checkpoint_paths: \"model.ckpt\"\n"),
    ].join("\n"), @r#"
    cannot open checkpoint: No such file or directory (os error 2)
    cannot open model.ckpt.index: No such file or directory (os error 2)
    cannot open model.ckpt.data-00000-of-00001: No such file or directory (os error 2)
    cannot open checkpoint: not a regular file
    checkpoint has 65537 bytes; at most 65536 are accepted
    model.ckpt.index has 67108865 bytes; at most 67108864 are accepted
    model.ckpt.index: the index is truncated or not a TensorFlow index: it ends with 4775248b80fb5700, not db4775248b80fb57
    model.ckpt.data-00000-of-00001: tensor `model/wte` has 65536 bytes at byte 118272 of the data, which has 183807
    model.ckpt.index: the index is truncated or not a TensorFlow index: it ends with 6874726f66206f73, not db4775248b80fb57
    checkpoint: 0 lines `model_checkpoint_path: "..."`; exactly one is required
    "#);
}

#[test]
fn a_prefix_cannot_leave_the_folder() {
    let prefix = |state: &str| tensorflow::parse_state(state.as_bytes());
    let named = |name: &str| prefix(&format!("model_checkpoint_path: \"{name}\""));
    assert_eq!(named("model.ckpt-1000_b").unwrap(), "model.ckpt-1000_b");
    let other_forms = "# written by hand\n  model_checkpoint_path :'m'\nlast_preserved_timestamp: 1.5\n";
    assert_eq!(prefix(other_forms).unwrap(), "m");
    for name in ["", ".", "..", ".hidden", "a/b", "/etc/passwd", "..\\m", "m\\057", "m\0", "é", "a\" \"b"] {
        let refused = named(name).unwrap_err().to_string();
        assert!(refused.contains("not a plain file name"), "{name}: {refused}");
    }
    insta::assert_snapshot!([
        named("../../model.ckpt").unwrap_err().to_string(),
        named("\u{1b}[2J").unwrap_err().to_string(),
        prefix("model_checkpoint_path: \"a\"\nmodel_checkpoint_path: \"b\"").unwrap_err().to_string(),
        prefix("model_checkpoint_path: model.ckpt").unwrap_err().to_string(),
    ].join("\n"), @r#"
    the prefix `../../model.ckpt` is not a plain file name (letters, digits, `.`, `-` and `_`, not beginning with `.`)
    the prefix `\u{1b}[2J` is not a plain file name (letters, digits, `.`, `-` and `_`, not beginning with `.`)
    2 lines `model_checkpoint_path: "..."`; exactly one is required
    0 lines `model_checkpoint_path: "..."`; exactly one is required
    "#);
}
