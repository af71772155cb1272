//! Recognizes unsupported formats by their first bytes or by their names, so that error messages can name them.
//!
//! It reads only a few bytes, and affects only messages.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;

/// The number of bytes to inspect.
const LOOK: usize = 1024;

/// A format that users may have in place of a checkpoint's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignFormat {
    /// A pointer file of git LFS, in place of a large file that was not fetched.
    GitLfsPointer,
    /// A web page, which some servers send in place of a file.
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
    /// rust-bert's archive.
    RustOt,
    /// A SavedModel of TensorFlow 2, which is a program.
    SavedModel,
    /// Apple's Core ML.
    CoreMl,
    /// numpy arrays, which Apple's MLX and others use.
    Numpy,
    /// A compressed archive.
    Archive,
    /// An adapter to a base model, in PEFT's form.
    Adapter,
    /// BERT's vocabulary, one token per line.
    BertVocabulary,
    /// A sentencepiece model.
    SentencePiece,
    /// tiktoken's ranks.
    Tiktoken,
}

impl fmt::Display for ForeignFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GitLfsPointer => "is a git LFS pointer, not the file itself",
            Self::WebPage => "is a web page, not the expected file",
            Self::Gguf => "is GGUF, a format of llama.cpp, which is not supported",
            Self::Ggml => "is GGML, a format of llama.cpp, which is not supported",
            Self::Onnx => "is ONNX, which is not supported",
            Self::Pickle => "is a pickle, which is not supported: it runs code when it is loaded",
            Self::Hdf5 => "is HDF5 (Keras), which is not supported: it can contain code",
            Self::MessagePack => "is Flax's MessagePack, which is not supported",
            Self::RustOt => "is an archive of rust-bert, which is not supported",
            Self::SavedModel => "is a SavedModel of TensorFlow 2, which is not supported: it is a program",
            Self::CoreMl => "is Core ML, which is not supported",
            Self::Numpy => "is an archive of numpy, which is not supported",
            Self::Archive => "is a compressed archive, which is not supported",
            Self::Adapter => "is an adapter (LoRA or another of PEFT's) to a base model, not a checkpoint",
            Self::BertVocabulary => "is BERT's vocabulary (WordPiece), which is not supported",
            Self::SentencePiece => "is a sentencepiece model, which is not supported",
            Self::Tiktoken => "is a list of tiktoken's ranks, which is not supported",
        })
    }
}

/// Formats by file name.
const NAMES: [(&str, ForeignFormat); 13] = [
    ("onnx", ForeignFormat::Onnx), // the folder that exporters make
    ("adapter_model.safetensors", ForeignFormat::Adapter),
    ("adapter_model.bin", ForeignFormat::Adapter),
    ("adapter_config.json", ForeignFormat::Adapter),
    ("saved_model.pb", ForeignFormat::SavedModel),
    ("pytorch_model.bin", ForeignFormat::Pickle),
    ("pytorch_model.bin.index.json", ForeignFormat::Pickle),
    ("tf_model.h5", ForeignFormat::Hdf5),
    ("flax_model.msgpack", ForeignFormat::MessagePack),
    ("rust_model.ot", ForeignFormat::RustOt),
    ("vocab.txt", ForeignFormat::BertVocabulary),
    ("spiece.model", ForeignFormat::SentencePiece),
    ("tokenizer.model", ForeignFormat::SentencePiece),
];

/// Recognizes a format by a file's name.
pub(super) fn recognize_name(name: &str) -> Option<ForeignFormat> {
    let name = name.to_ascii_lowercase();
    if let Some((_, foreign)) = NAMES.iter().find(|(known, _)| name == *known) {
        return Some(*foreign);
    }
    let extension = Path::new(&name).extension()?.to_str()?;
    Some(match extension {
        "gguf" => ForeignFormat::Gguf,
        "ggml" => ForeignFormat::Ggml,
        "onnx" | "onnx_data" | "ort" => ForeignFormat::Onnx,
        "bin" | "pt" | "pth" | "pkl" | "pickle" | "ckpt" => ForeignFormat::Pickle,
        "h5" | "keras" => ForeignFormat::Hdf5,
        "msgpack" => ForeignFormat::MessagePack,
        "ot" => ForeignFormat::RustOt,
        "mlmodel" | "mlpackage" => ForeignFormat::CoreMl,
        "npz" | "npy" => ForeignFormat::Numpy,
        "zip" | "gz" | "tgz" | "tar" | "xz" | "zst" | "bz2" | "7z" => ForeignFormat::Archive,
        "spm" | "bpe.model" => ForeignFormat::SentencePiece,
        "tiktoken" => ForeignFormat::Tiktoken,
        _ => return None,
    })
}

/// Recognizes a format by its first bytes. No supported file begins with these.
pub(super) fn recognize_bytes(bytes: &[u8]) -> Option<ForeignFormat> {
    let start = bytes.trim_ascii_start();
    let is_page = |tag: &[u8]| start.len() >= tag.len() && start[..tag.len()].eq_ignore_ascii_case(tag);
    if bytes.starts_with(b"version https://git-lfs.github.com/") {
        Some(ForeignFormat::GitLfsPointer)
    } else if is_page(b"<!doctype html") || is_page(b"<html") {
        Some(ForeignFormat::WebPage)
    } else if bytes.starts_with(b"GGUF") {
        Some(ForeignFormat::Gguf)
    } else if [&b"ggml"[..], b"ggjt", b"lmgg", b"tjgg"].iter().any(|magic| bytes.starts_with(magic)) {
        Some(ForeignFormat::Ggml)
    } else if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        Some(ForeignFormat::Hdf5)
    } else if bytes.starts_with(b"PK\x03\x04")
        || matches!(bytes, [0x80, 2..=5, b'}' | b'c' | b'(' | b']' | 0x95 | 0x8a, ..])
    {
        // PyTorch's files are archives of a pickle since 2020, and pickles before.
        Some(ForeignFormat::Pickle)
    } else if bytes.starts_with(b"\x1f\x8b")
        || bytes.starts_with(b"\xfd7zXZ\0")
        || bytes.starts_with(b"\x28\xb5\x2f\xfd")
    {
        Some(ForeignFormat::Archive)
    } else {
        None
    }
}

/// Recognizes the format of a file by its first bytes.
pub(super) fn recognize_file(path: &Path) -> Option<ForeignFormat> {
    let mut bytes = Vec::with_capacity(LOOK);
    let metadata = path.metadata().ok()?;
    if !metadata.is_file() {
        return None;
    }
    File::open(path).ok()?.take(LOOK as u64).read_to_end(&mut bytes).ok()?;
    recognize_bytes(&bytes)
}
