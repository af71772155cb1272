//! What can go wrong with a checkpoint.

use std::io;
use std::path::{Path, PathBuf};

use super::Foreign;
use super::config::ConfigError;
use super::fetch::FetchError;
use super::manifest::ManifestError;
use super::tensor_file::TensorFileError;
use super::tensorflow::BundleError;
use super::tokenizer_files::TokenizerFilesError;
use super::verify::{FileProblem, TensorProblem};
use crate::digest::{Crc32c, Sha256Digest};
use crate::name::NameError;

/// An import, a check or a read of a checkpoint failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// A published checkpoint could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The configuration cannot be used.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ConfigError,
    },
    /// A weights file is not well-formed.
    #[error("{}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TensorFileError,
    },
    /// A TensorFlow checkpoint is not well-formed.
    #[error("{}: {source}", path.display())]
    TensorFlow {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BundleError,
    },
    /// The vocabulary or the merges cannot be used.
    #[error("{}: {source}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TokenizerFilesError,
    },
    /// A manifest cannot be used.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// A file is not the JSON that it should be.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A small file is not small.
    #[error("{} has {size} bytes; at most {max} are accepted", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The most that is accepted.
        max: u64,
    },
    /// The name is no checkpoint's and cannot become one's.
    #[error(transparent)]
    Name {
        /// Why.
        source: NameError,
    },
    /// A folder holds neither published form.
    #[error("{} holds no checkpoint: neither model.safetensors nor model.ckpt.index", folder.display())]
    NotACheckpoint {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder has no manifest.
    #[error("{} has no manifest.json: it is not an imported checkpoint", folder.display())]
    NotImported {
        /// The folder.
        folder: PathBuf,
    },
    /// A file in a format of others, in place of what is read here.
    #[error("{} {found}", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: Foreign,
    },
    /// An adapter in the folder of its base, which importing the base would leave out.
    #[error("{} is an adapter beside its base: the base alone is another model than both together", path.display())]
    AdapterBesideBase {
        /// The adapter's file.
        path: PathBuf,
    },
    /// A tensor of an adapter in a file of weights.
    #[error("{}: tensor `{name}` belongs to an adapter (LoRA or another of PEFT's), which is not applied here", path.display())]
    AdapterTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name as published.
        name: String,
    },
    /// No tokenizer of any kind.
    #[error("{} holds no tokenizer: neither vocab.json and merges.txt nor tokenizer.json", folder.display())]
    NoTokenizer {
        /// The folder.
        folder: PathBuf,
    },
    /// A size that the configuration does not name and the weights have otherwise than by default.
    #[error("{} has no `{field}`, which is {default} then, as in transformers; the weights have {found}", path.display())]
    UnstatedSize {
        /// The configuration.
        path: PathBuf,
        /// The field's name.
        field: &'static str,
        /// What transformers takes.
        default: usize,
        /// What the weights have.
        found: usize,
    },
    /// A shard's name would leave the folder.
    #[error("{} names the shard `{name}`, which is not a plain file name", path.display())]
    ShardName {
        /// The index.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// No shards, or too many.
    #[error("{} names {count} shards; 1 to {max} are accepted", path.display())]
    ShardCount {
        /// The index.
        path: PathBuf,
        /// How many.
        count: usize,
        /// How many are accepted.
        max: usize,
    },
    /// Two tensors of one name.
    #[error("tensor `{name}` is there twice")]
    TensorTwice {
        /// Its name in the normal form.
        name: String,
    },
    /// The configuration ties the head to the embedding, the weights do not.
    #[error("{}: lm_head.weight differs from the token embedding, but config.json ties them", path.display())]
    UntiedHead {
        /// The file that holds the head.
        path: PathBuf,
    },
    /// Tensors are missing, extra or misshapen.
    #[error("{}: {}", folder.display(), listed(problems))]
    Tensors {
        /// The folder.
        folder: PathBuf,
        /// All of them.
        problems: Vec<TensorProblem>,
    },
    /// A tensor's bytes are not those that were published with it.
    #[error("{}: tensor `{name}`: CRC-32C is {found}, not {expected}", path.display())]
    TensorChecksum {
        /// The file.
        path: PathBuf,
        /// The tensor's name in the normal form.
        name: String,
        /// By the publication's index.
        expected: Crc32c,
        /// Of the bytes.
        found: Crc32c,
    },
    /// A file of a known checkpoint is not the one on record.
    #[error("{} is not {checkpoint}'s: SHA-256 is {found}, on record is {expected}", path.display())]
    Unofficial {
        /// The file.
        path: PathBuf,
        /// The known checkpoint.
        checkpoint: &'static str,
        /// On record.
        expected: &'static str,
        /// Of the bytes.
        found: Sha256Digest,
    },
    /// A known checkpoint's id for a model of another shape.
    #[error("this is not {checkpoint}: `{field}` is {found}, not {expected}")]
    NotThatCheckpoint {
        /// The known checkpoint.
        checkpoint: &'static str,
        /// What differs.
        field: &'static str,
        /// On record.
        expected: usize,
        /// In the source.
        found: usize,
    },
    /// A destination such as `/` or `..`, beside which nothing can be put together.
    #[error("{} does not name a new folder", destination.display())]
    NotAFolderName {
        /// What was given.
        destination: PathBuf,
    },
    /// The destination is there already, and is something else.
    #[error("{} exists already and was not made from this source", destination.display())]
    DestinationExists {
        /// The folder.
        destination: PathBuf,
    },
    /// Another process imports into the same folder.
    #[error("another import into {} is running", destination.display())]
    Busy {
        /// The folder.
        destination: PathBuf,
    },
    /// A file is not what the manifest says.
    #[error("{}: {problem}", folder.display())]
    Altered {
        /// The folder.
        folder: PathBuf,
        /// The file and what is wrong with it.
        problem: FileProblem,
    },
    /// Our own header could not be written; the checks before it make this impossible.
    #[error("cannot write the safetensors header: {source}")]
    Header {
        /// Why.
        source: safetensors::SafeTensorError,
    },
    /// Our own JSON could not be written; nothing known makes this happen.
    #[error("cannot encode: {source}")]
    Encode {
        /// Why.
        source: serde_json::Error,
    },
}

/// The first few problems, and how many more there are.
fn listed(problems: &[TensorProblem]) -> String {
    const SHOWN: usize = 5;
    let mut lines: Vec<String> = problems.iter().take(SHOWN).map(ToString::to_string).collect();
    if problems.len() > SHOWN {
        lines.push(format!("and {} more", problems.len() - SHOWN));
    }
    lines.join("; ")
}

impl Error {
    /// Whether the same call may go well later, without another source.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Busy { .. } => true,
            Self::Fetch(error) => error.is_passing(),
            _ => false,
        }
    }

    /// The file that could not be understood, if that is what went wrong.
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

    /// For `map_err`: names the action and the path of a failed system call.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
