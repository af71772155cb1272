//! What the tests share: the real binary, folders to work in, published checkpoints to spoil.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod catalogue;
pub mod checkpoint;
pub mod copied;
pub mod endpoint;
pub mod fetching;
pub mod hostile_server;
pub mod killed;
pub mod people;
pub mod policy;
pub mod postgres;
pub mod pulling;
pub mod s3;
pub mod sealing;
pub mod served;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A file or folder of `tests/fixtures/`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A folder that is removed at the end of the test.
pub fn workplace() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The real binary, without the caller's settings.
pub fn portcullis() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    for name in
        ["HF_TOKEN", "HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"]
            .into_iter()
            .chain(["PORTCULLIS_HOME", "PORTCULLIS_REGISTRY", "PORTCULLIS_PASSPHRASE", "SSH_AUTH_SOCK"])
    {
        command.env_remove(name);
    }
    command
}

/// Runs the binary in `folder`; arguments are split at spaces.
pub fn run_in(folder: &Path, arguments: &str) -> Output {
    portcullis().current_dir(folder).args(arguments.split_whitespace()).output().unwrap()
}

/// Runs the binary, which must succeed; what it printed.
pub fn succeed(folder: &Path, arguments: &str) -> String {
    let output = run_in(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs the binary, which must fail; its exit code and message in one text.
pub fn refuse(folder: &Path, arguments: &str) -> String {
    let output = run_in(folder, arguments);
    assert!(!output.status.success(), "{arguments} succeeded: {}", text(&output.stdout));
    failure(&output)
}

/// A failed run as `exit <code>` and what it wrote to standard error.
pub fn failure(output: &Output) -> String {
    format!("exit {}\n{}", output.status.code().unwrap_or(-1), text(&output.stderr))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Copies a flat folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Copies a folder with all it holds; how many files it was.
pub fn copy_tree(from: &Path, to: &Path) -> usize {
    fs::create_dir_all(to).unwrap();
    let mut count = 0;
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            count += copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
            count += 1;
        }
    }
    count
}

/// A published Hugging Face checkpoint in `folder/source`, to be spoiled.
pub fn published(folder: &Path, layout: &str) -> PathBuf {
    let source = folder.join("source");
    copy(&fixture("golden").join(layout), &source);
    fs::remove_file(source.join("golden.json")).unwrap();
    source
}

/// The header and the data of a safetensors file.
pub fn read_safetensors(path: &Path) -> (BTreeMap<String, Value>, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + length]).unwrap(), bytes[8 + length..].to_vec())
}

/// Writes a safetensors file from a header and data, checked by nobody.
pub fn write_safetensors(path: &Path, header: &BTreeMap<String, Value>, data: &[u8]) {
    let header = serde_json::to_vec(header).unwrap();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    fs::write(path, bytes).unwrap();
}

/// Rewrites the header of a folder's `model.safetensors`.
pub fn edit_header(source: &Path, edit: impl FnOnce(&mut BTreeMap<String, Value>)) {
    let path = source.join("model.safetensors");
    let (mut header, data) = read_safetensors(&path);
    edit(&mut header);
    write_safetensors(&path, &header, &data);
}

/// A Hugging Face folder of GPT-2 124M's shape whose bf16 weights are a pattern; quick to make, 249 MB.
pub fn large(folder: &Path) -> PathBuf {
    let source = folder.join("large");
    fs::create_dir_all(&source).unwrap();
    let mut config: Value =
        serde_json::from_slice(&fs::read(fixture("golden/f32/config.json")).unwrap()).unwrap();
    for (field, value) in
        [("n_layer", 12), ("n_head", 12), ("n_embd", 768), ("n_positions", 1024), ("vocab_size", 50257)]
    {
        config[field] = json!(value);
    }
    fs::write(source.join("config.json"), config.to_string()).unwrap();
    for name in ["vocab.json", "merges.txt"] {
        fs::copy(fixture("golden/f32").join(name), source.join(name)).unwrap();
    }
    let known = portcullis::checkpoint::known::find("gpt2").unwrap();
    let mut header = BTreeMap::new();
    let mut end = 0;
    for tensor in portcullis::checkpoint::layout::tensors(&known.config()) {
        let length: usize = tensor.shape.iter().product::<usize>() * 2;
        let offsets = [end, end + length];
        header.insert(tensor.name, json!({"dtype": "BF16", "shape": tensor.shape, "data_offsets": offsets}));
        end += length;
    }
    let data: Vec<u8> = (0..end as u32 / 4).flat_map(|i| (i & 0x3fff_3fff).to_le_bytes()).collect();
    write_safetensors(&source.join("model.safetensors"), &header, &data);
    source
}

/// How `unshare` may make a mount namespace here: as root of a namespace of one's own, or as the machine's.
pub fn namespace() -> &'static [&'static str] {
    let ways: [&[&str]; 2] = [&["--map-root-user", "--mount"], &["--mount"]];
    let works = |way: &&&[&str]| {
        let tried =
            Command::new("unshare").args(**way).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    ways.iter()
        .find(works)
        .unwrap_or_else(|| panic!("this test needs `unshare` (util-linux) and leave to mount a tmpfs"))
}
