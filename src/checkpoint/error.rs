//! Errors of checkpoints.

use std::io;
use std::path::{Path, PathBuf};

use super::ForeignFormat;
use super::config::ConfigError;
use super::fetch::FetchError;
use super::manifest::ManifestError;
use super::tensor_file::TensorFileError;
use super::tensorflow::BundleError;
use super::tokenizer_files::TokenizerFilesError;
use super::verify::{FileProblem, TensorProblem};
use crate::digest::{Crc32c, Sha256Digest};
use crate::name::NameError;

/// A checkpoint cannot be imported, verified or read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum Error {
    /// A file operation failed; `action` is a verb phrase.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A published checkpoint could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The configuration is invalid.
    #[error("{}: {source}", path.display())]
    Config { path: PathBuf, source: ConfigError },
    /// A weights file is malformed.
    #[error("{}: {source}", path.display())]
    Weights { path: PathBuf, source: TensorFileError },
    /// A TensorFlow checkpoint is malformed.
    #[error("{}: {source}", path.display())]
    TensorFlow { path: PathBuf, source: BundleError },
    /// A tokenizer file is invalid.
    #[error("{}: {source}", path.display())]
    Tokenizer { path: PathBuf, source: TokenizerFilesError },
    /// The manifest is invalid.
    #[error("{}: {source}", path.display())]
    Manifest { path: PathBuf, source: ManifestError },
    /// A file is not a JSON object of the expected form.
    #[error("{}: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    /// A small file exceeds its limit, in bytes.
    #[error("{} has {size} bytes; at most {max} are accepted", path.display())]
    TooLong { path: PathBuf, size: u64, max: u64 },
    /// The name is neither a known checkpoint's nor a valid id.
    #[error(transparent)]
    Name { source: NameError },
    /// A folder has neither published form.
    #[error("{} has no checkpoint: neither model.safetensors nor model.ckpt.index", folder.display())]
    NotACheckpoint { folder: PathBuf },
    /// A folder has no manifest.
    #[error("{} has no manifest.json: it is not an imported checkpoint", folder.display())]
    NotImported { folder: PathBuf },
    /// A file has a format that is not supported.
    #[error("{} {found}", path.display())]
    OtherFormat { path: PathBuf, found: ForeignFormat },
    /// An adapter is beside its base model; the import would ignore it.
    #[error("{} is an adapter beside its base model; adapters are not supported, and the base alone is a different model", path.display())]
    AdapterBesideBase { path: PathBuf },
    /// A weights file has a tensor of an adapter; `name` is as published.
    #[error("{}: tensor `{name}` belongs to an adapter (LoRA or another of PEFT's); adapters are not supported", path.display())]
    AdapterTensor { path: PathBuf, name: String },
    /// The folder has no tokenizer.
    #[error("{} has no tokenizer: neither vocab.json and merges.txt nor tokenizer.json", folder.display())]
    NoTokenizer { folder: PathBuf },
    /// The configuration does not set a size, and the weights do not have transformers' default.
    #[error("{} does not set `{field}`, so it is {default}, as in transformers; the weights have {found}", path.display())]
    UnstatedSize { path: PathBuf, field: &'static str, default: usize, found: usize },
    /// The index names a shard that is not a plain file name.
    #[error("{} names the shard `{name}`, which is not a plain file name", path.display())]
    ShardName { path: PathBuf, name: String },
    /// The index names no shards, or too many.
    #[error("{} names {count} shards; 1 to {max} are accepted", path.display())]
    ShardCount { path: PathBuf, count: usize, max: usize },
    /// Two tensors have one name in the normal form.
    #[error("duplicate tensor `{name}`")]
    TensorTwice { name: String },
    /// The configuration ties the head to the embedding, but the weights differ.
    #[error("{}: lm_head.weight differs from the token embedding, but config.json ties them", path.display())]
    UntiedHead { path: PathBuf },
    /// Tensors are missing, unexpected or of the wrong shape.
    #[error("{}: {}", folder.display(), listed(problems))]
    Tensors { folder: PathBuf, problems: Vec<TensorProblem> },
    /// A tensor does not have the checksum that was published with it.
    #[error("{}: tensor `{name}`: CRC-32C is {found}, not {expected}", path.display())]
    TensorChecksum { path: PathBuf, name: String, expected: Crc32c, found: Crc32c },
    /// A file of a known checkpoint does not have the digest on record.
    #[error("{} is not {checkpoint}'s: SHA-256 is {found}, not {expected} as on record", path.display())]
    Unofficial { path: PathBuf, checkpoint: &'static str, expected: &'static str, found: Sha256Digest },
    /// A model has a known checkpoint's id and another shape.
    #[error("this is not {checkpoint}: `{field}` is {found}, not {expected}")]
    NotThatCheckpoint { checkpoint: &'static str, field: &'static str, expected: usize, found: usize },
    /// The destination has no file name, such as `/` or `..`.
    #[error("{} does not name a new folder", destination.display())]
    NotAFolderName { destination: PathBuf },
    /// The destination exists and is something else.
    #[error("{} already exists and was not made from this source", destination.display())]
    DestinationExists { destination: PathBuf },
    /// Another process imports into the same folder.
    #[error("another import into {} is running", destination.display())]
    Busy { destination: PathBuf },
    /// A file does not match the manifest.
    #[error("{}: {problem}", folder.display())]
    Altered { folder: PathBuf, problem: FileProblem },
    /// The safetensors header could not be serialized; no known cause.
    #[error("cannot write the safetensors header: {source}")]
    Header { source: safetensors::SafeTensorError },
    /// JSON could not be serialized; no known cause.
    #[error("cannot encode: {source}")]
    Encode { source: serde_json::Error },
}

/// Lists the first few problems and counts the rest.
fn listed(problems: &[TensorProblem]) -> String {
    const SHOWN: usize = 5;
    let mut lines: Vec<String> = problems.iter().take(SHOWN).map(ToString::to_string).collect();
    if problems.len() > SHOWN {
        lines.push(format!("and {} more", problems.len() - SHOWN));
    }
    lines.join("; ")
}

impl Error {
    /// Whether the same call may succeed later with the same source.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Busy { .. } => true,
            Self::Fetch(error) => error.is_passing(),
            _ => false,
        }
    }

    /// Returns the malformed file, if that is the error.
    pub(super) fn malformed_file(&self) -> Option<&Path> {
        match self {
            Self::Config { path, .. }
            | Self::Weights { path, .. }
            | Self::TensorFlow { path, .. }
            | Self::Tokenizer { path, .. }
            | Self::Json { path, .. } => Some(path),
            _ => None,
        }
    }

    /// For `map_err`: adds the action and the path to a system error.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
