//! Formats of others, recognized by what they begin with or by what they are called, so that a refusal can say what was found.
//!
//! Nothing is parsed here beyond a few bytes, and nothing is decided by it but the words of a refusal.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;

/// Bytes that are looked at.
const LOOK: usize = 1024;

/// Something that people have in place of a checkpoint's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Foreign {
    /// What git keeps in place of a large file that was not fetched.
    GitLfsPointer,
    /// A web page: what a server sends in place of a file.
    WebPage,
    /// llama.cpp's format.
    Gguf,
    /// llama.cpp's formats before GGUF.
    Ggml,
    /// ONNX, in any of its forms.
    Onnx,
    /// Python's pickle, or `PyTorch`'s archive of one.
    Pickle,
    /// Keras and TensorFlow 2.
    Hdf5,
    /// Flax.
    MessagePack,
    /// rust-bert's.
    RustOt,
    /// A saved model of TensorFlow 2: a graph, which is a program.
    SavedModel,
    /// Apple's.
    CoreMl,
    /// Apple's MLX and others keep arrays of numpy.
    Numpy,
    /// A compressed archive.
    Archive,
    /// An adapter: a difference to a base, in PEFT's form.
    Adapter,
    /// BERT's vocabulary: one token a line.
    BertVocabulary,
    /// A sentencepiece model.
    SentencePiece,
    /// tiktoken's ranks.
    Tiktoken,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GitLfsPointer => "is a git-LFS pointer: a note of where the file is, not the file",
            Self::WebPage => "is a web page, not the file that its name says",
            Self::Gguf => "is GGUF, the format of llama.cpp, which this program does not read",
            Self::Ggml => "is GGML, a format of llama.cpp, which this program does not read",
            Self::Onnx => "is ONNX, a graph with weights, which this program does not read",
            Self::Pickle => "is a pickle, which runs code when it is loaded",
            Self::Hdf5 => "is HDF5 (Keras), which this program does not read: such a file can carry code",
            Self::MessagePack => "is Flax's MessagePack, which this program does not read",
            Self::RustOt => "is an archive of rust-bert, which this program does not read",
            Self::SavedModel => "is a SavedModel of TensorFlow 2, a program, which is not run",
            Self::CoreMl => "is Core ML, which this program does not read",
            Self::Numpy => "is an archive of numpy, which this program does not read",
            Self::Archive => "is a compressed archive, which is not unpacked",
            Self::Adapter => {
                "is an adapter (LoRA or another of PEFT's): a difference to a base, not a checkpoint"
            }
            Self::BertVocabulary => "is BERT's vocabulary (WordPiece), with which no GPT was trained",
            Self::SentencePiece => "is a sentencepiece model, with which no GPT was trained",
            Self::Tiktoken => "is a list of tiktoken's ranks, which this program does not read",
        })
    }
}

/// Files that are something else whatever they hold, by name.
const NAMES: [(&str, Foreign); 13] = [
    ("onnx", Foreign::Onnx), // the folder that exporters make
    ("adapter_model.safetensors", Foreign::Adapter),
    ("adapter_model.bin", Foreign::Adapter),
    ("adapter_config.json", Foreign::Adapter),
    ("saved_model.pb", Foreign::SavedModel),
    ("pytorch_model.bin", Foreign::Pickle),
    ("pytorch_model.bin.index.json", Foreign::Pickle),
    ("tf_model.h5", Foreign::Hdf5),
    ("flax_model.msgpack", Foreign::MessagePack),
    ("rust_model.ot", Foreign::RustOt),
    ("vocab.txt", Foreign::BertVocabulary),
    ("spiece.model", Foreign::SentencePiece),
    ("tokenizer.model", Foreign::SentencePiece),
];

/// What a file is by its name alone.
pub(super) fn of_name(name: &str) -> Option<Foreign> {
    let name = name.to_ascii_lowercase();
    if let Some((_, foreign)) = NAMES.iter().find(|(known, _)| name == *known) {
        return Some(*foreign);
    }
    let extension = Path::new(&name).extension()?.to_str()?;
    Some(match extension {
        "gguf" => Foreign::Gguf,
        "ggml" => Foreign::Ggml,
        "onnx" | "onnx_data" | "ort" => Foreign::Onnx,
        "bin" | "pt" | "pth" | "pkl" | "pickle" | "ckpt" => Foreign::Pickle,
        "h5" | "keras" => Foreign::Hdf5,
        "msgpack" => Foreign::MessagePack,
        "ot" => Foreign::RustOt,
        "mlmodel" | "mlpackage" => Foreign::CoreMl,
        "npz" | "npy" => Foreign::Numpy,
        "zip" | "gz" | "tgz" | "tar" | "xz" | "zst" | "bz2" | "7z" => Foreign::Archive,
        "spm" | "bpe.model" => Foreign::SentencePiece,
        "tiktoken" => Foreign::Tiktoken,
        _ => return None,
    })
}

/// What bytes are by how they begin; a checkpoint's own files begin with none of these.
pub(super) fn of_bytes(bytes: &[u8]) -> Option<Foreign> {
    let start = bytes.trim_ascii_start();
    let is_page = |tag: &[u8]| start.len() >= tag.len() && start[..tag.len()].eq_ignore_ascii_case(tag);
    if bytes.starts_with(b"version https://git-lfs.github.com/") {
        Some(Foreign::GitLfsPointer)
    } else if is_page(b"<!doctype html") || is_page(b"<html") {
        Some(Foreign::WebPage)
    } else if bytes.starts_with(b"GGUF") {
        Some(Foreign::Gguf)
    } else if [&b"ggml"[..], b"ggjt", b"lmgg", b"tjgg"].iter().any(|magic| bytes.starts_with(magic)) {
        Some(Foreign::Ggml)
    } else if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        Some(Foreign::Hdf5)
    } else if bytes.starts_with(b"PK\x03\x04")
        || matches!(bytes, [0x80, 2..=5, b'}' | b'c' | b'(' | b']' | 0x95 | 0x8a, ..])
    {
        // PyTorch's files are archives of a pickle since 2020, and pickles before.
        Some(Foreign::Pickle)
    } else if bytes.starts_with(b"\x1f\x8b")
        || bytes.starts_with(b"\xfd7zXZ\0")
        || bytes.starts_with(b"\x28\xb5\x2f\xfd")
    {
        Some(Foreign::Archive)
    } else {
        None
    }
}

/// What a file that could not be read is by how it begins; none where it cannot be told.
pub(super) fn of_file(path: &Path) -> Option<Foreign> {
    let mut bytes = Vec::with_capacity(LOOK);
    let metadata = path.metadata().ok()?;
    if !metadata.is_file() {
        return None;
    }
    File::open(path).ok()?.take(LOOK as u64).read_to_end(&mut bytes).ok()?;
    of_bytes(&bytes)
}
