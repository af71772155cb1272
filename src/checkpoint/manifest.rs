//! The manifest of an imported checkpoint: names, sizes and digests of its files, their origin, and its tensors' checksums.
//!
//! `verify` compares a folder with its manifest. The manifest itself is not signed: an attacker who can rewrite a folder can also rewrite
//! its manifest. The catalogue, which has the manifest as a target, adds the signatures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::known::{KnownCheckpoint, Publication};
use super::tensor_file::ElementType;
use crate::digest::{Crc32c, Sha256Digest};
use crate::name::CheckpointId;
use crate::visible::one_line;

/// The file name of the manifest.
pub const MANIFEST: &str = "manifest.json";
/// The configuration, in the form of Hugging Face transformers.
pub const CONFIG: &str = "config.json";
/// The weights, with the names of [`super::layout`].
pub const WEIGHTS: &str = "model.safetensors";
/// The tokenizer's vocabulary.
pub const VOCABULARY: &str = "vocab.json";
/// The tokenizer's merges.
pub const MERGES: &str = "merges.txt";

/// The tokenizer's other settings, if they differ from GPT-2's.
pub const TOKENIZER: &str = "tokenizer.json";

/// The files of the normal form except the manifest, in the manifest's order. [`TOKENIZER`] is optional.
pub const FILES: [&str; 4] = [CONFIG, MERGES, WEIGHTS, VOCABULARY];
/// [`FILES`] with [`TOKENIZER`].
pub const FILES_WITH_TOKENIZER: [&str; 5] = [CONFIG, MERGES, WEIGHTS, TOKENIZER, VOCABULARY];

/// Longest accepted manifest, in bytes; that of GPT-2 1.5B has 40 kB.
pub const MAX_SIZE: u64 = 4 << 20;

const SCHEMA: u32 = 1;

/// `manifest.json` of the normal form. Invariants: `files` are [`FILES`] or [`FILES_WITH_TOKENIZER`], in order; `tensor_count` is the
/// number of `tensors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    schema: u32,
    /// The checkpoint's id.
    pub checkpoint: CheckpointId,
    /// The element type of the weights.
    pub dtype: ElementType,
    /// The number of tensors.
    pub tensor_count: usize,
    /// The number of parameters.
    pub parameter_count: u64,
    /// The folder's files.
    pub files: Vec<FileEntry>,
    /// The published files from which the checkpoint was imported.
    pub origin: Origin,
    /// The checksum of each tensor's bytes as stored, by name.
    pub tensors: BTreeMap<String, Crc32c>,
}

/// A file with its size and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// The file name.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// The SHA-256.
    pub sha256: Sha256Digest,
}

/// The source of an imported checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The published form.
    pub publication: Publication,
    /// The source: `hf:<repository>@<commit>`, `openai:<size>`, or a folder's name without its path.
    pub source: String,
    /// The published files that were read.
    pub files: Vec<FileEntry>,
}

/// A manifest is invalid.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum ManifestError {
    /// It is not JSON, or does not have these fields.
    #[error("not a manifest: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A later version of the program wrote it.
    #[error("schema {found} is not supported; this version reads schema {SCHEMA}")]
    UnsupportedSchema { found: u32 },
    /// It does not list the files of the normal form.
    #[error("it lists the files {found:?}, not {FILES:?}")]
    WrongFiles { found: Vec<String> },
    /// The name of a source has hidden characters.
    #[error("the source name `{}` is invalid: use visible characters on one line", one_line(name))]
    NotPlain { name: String },
    /// The count is not the number of tensors.
    #[error("it counts {claimed} tensors and lists {listed}")]
    WrongCount { claimed: usize, listed: usize },
}

/// The result of comparing a manifest with the public record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordComparison {
    /// Source files that equal a file on record, by SHA-256.
    pub files_equal: Vec<String>,
    /// Source files that differ from the file on record.
    pub files_different: Vec<String>,
    /// The comparison of tensors; `None` if no checksum is on record.
    pub tensors: Option<TensorComparison>,
}

/// The comparison of tensors with OpenAI's checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TensorComparison {
    /// The number of equal tensors.
    pub equal: usize,
    /// The number of compared tensors.
    pub compared: usize,
}

impl Manifest {
    /// Makes the manifest of an imported folder; sorts `files`.
    pub(super) fn new(
        checkpoint: CheckpointId,
        dtype: ElementType,
        parameter_count: u64,
        tensors: BTreeMap<String, Crc32c>,
        mut files: Vec<FileEntry>,
        origin: Origin,
    ) -> Self {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            schema: SCHEMA,
            checkpoint,
            dtype,
            tensor_count: tensors.len(),
            parameter_count,
            files,
            origin,
            tensors,
        }
    }

    /// Parses `manifest.json`.
    ///
    /// # Errors
    /// Every variant of [`ManifestError`].
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        /// Parsed first, so that the error for a later schema does not name an unknown field.
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let Schema { schema: found } = crate::json::from_slice(json)?;
        if found != SCHEMA {
            return Err(ManifestError::UnsupportedSchema { found });
        }
        crate::json::from_slice::<Self>(json)?.validate()
    }

    /// Checks the invariants; for a manifest inside another document.
    pub(crate) fn validate(self) -> Result<Self, ManifestError> {
        let manifest = self;
        if manifest.schema != SCHEMA {
            return Err(ManifestError::UnsupportedSchema { found: manifest.schema });
        }
        let names = || manifest.files.iter().map(|file| file.name.as_str());
        if !names().eq(FILES) && !names().eq(FILES_WITH_TOKENIZER) {
            let found = manifest.files.into_iter().take(8).map(|file| file.name).collect();
            return Err(ManifestError::WrongFiles { found });
        }
        let origin = manifest.origin.files.iter().map(|file| &file.name).chain([&manifest.origin.source]);
        if let Some(name) = origin.into_iter().find(|name| **name != one_line(name)) {
            return Err(ManifestError::NotPlain { name: name.chars().take(80).collect() });
        }
        let (claimed, listed) = (manifest.tensor_count, manifest.tensors.len());
        if claimed != listed {
            return Err(ManifestError::WrongCount { claimed, listed });
        }
        Ok(manifest)
    }

    /// Serializes `manifest.json`; equal manifests give equal bytes.
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// Returns the entry of a file.
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name == name)
    }

    /// Returns the total size in bytes, without the manifest.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Compares the manifest with the public record of a known checkpoint.
    pub fn compare_with_record(&self, known: &KnownCheckpoint) -> RecordComparison {
        let mut standing =
            RecordComparison { files_equal: Vec::new(), files_different: Vec::new(), tensors: None };
        for file in &self.origin.files {
            let Some(record) = known.file(self.origin.publication, &file.name) else {
                continue;
            };
            let equal = record.sha256 == file.sha256.to_string();
            let list = if equal { &mut standing.files_equal } else { &mut standing.files_different };
            list.push(file.name.clone());
        }
        if self.dtype == ElementType::F32 {
            let compared: Vec<bool> = self
                .tensors
                .iter()
                .filter_map(|(name, crc)| known.published_crc(name).map(|published| published == *crc))
                .collect();
            standing.tensors = (!compared.is_empty()).then(|| TensorComparison {
                equal: compared.iter().filter(|equal| **equal).count(),
                compared: compared.len(),
            });
        }
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::super::{known, layout};
    use super::*;

    fn file(name: &str, sha256: &str) -> FileEntry {
        FileEntry { name: name.to_owned(), size: 1, sha256: sha256.parse().unwrap() }
    }

    fn manifest() -> Manifest {
        let known = known::find("gpt2").unwrap();
        let tensors: BTreeMap<_, _> = layout::tensors(&known.config())
            .into_iter()
            .map(|tensor| (tensor.name.clone(), known.published_crc(&tensor.name).unwrap()))
            .collect();
        let any = "00".repeat(32);
        let published = |name| known.file(Publication::HuggingFace, name).unwrap().sha256;
        Manifest::new(
            known.id.parse().unwrap(),
            ElementType::F32,
            known.parameters,
            tensors,
            FILES.iter().rev().map(|name| file(name, &any)).collect(),
            Origin {
                publication: Publication::HuggingFace,
                source: "hf:openai-community/gpt2".to_owned(),
                files: vec![
                    file("model.safetensors", published("model.safetensors")),
                    file("config.json", &any),
                    file("README.md", &any),
                ],
            },
        )
    }

    #[test]
    fn a_manifest_reads_back_the_same() {
        let manifest = manifest();
        let json = manifest.to_json().unwrap();
        assert_eq!(Manifest::parse(json.as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn standing_compares_files_and_tensors_with_the_record() {
        let mut manifest = manifest();
        manifest.tensors.insert("wte.weight".to_owned(), Crc32c::compute(b"other"));
        let standing = manifest.compare_with_record(known::find("gpt2").unwrap());
        assert_eq!(standing.files_equal, ["model.safetensors"]);
        assert_eq!(standing.files_different, ["config.json"]);
        let tensors = TensorComparison { equal: 147, compared: 148 };
        assert_eq!(standing.tensors, Some(tensors));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let json = manifest().to_json().unwrap();
        let refusal = |from: &str, to: &str| {
            let changed = json.replacen(from, to, 1);
            assert_ne!(changed, json);
            Manifest::parse(changed.as_bytes()).unwrap_err().to_string()
        };
        insta::assert_snapshot!([
            refusal("\"schema\": 1", "\"schema\": 2"),
            refusal("\"merges.txt\"", "\"../merges.txt\""),
            refusal("\"tensor_count\": 148", "\"tensor_count\": 149"),
            refusal("\"dtype\": \"F32\"", "\"dtype\": \"F64\""),
            refusal("\"dtype\"", "\"surprise\": 1, \"dtype\""),
            refusal("00000000", "0000000g"),
            Manifest::parse(b"").unwrap_err().to_string(),
        ].join("\n"), @r#"
        schema 2 is not supported; this version reads schema 1
        it lists the files ["config.json", "../merges.txt", "model.safetensors", "vocab.json"], not ["config.json", "merges.txt", "model.safetensors", "vocab.json"]
        it counts 149 tensors and lists 148
        not a manifest: unknown variant `F64`, expected one of `F32`, `F16`, `BF16` at line 4 column 16
        not a manifest: unknown field `surprise`, expected one of `schema`, `checkpoint`, `dtype`, `tensor_count`, `parameter_count`, `files`, `origin`, `tensors` at line 4 column 12
        not a manifest: `0000000g00000000000000000000000000000000000000000000000000000000` is not a SHA-256 digest (64 lower-case hexadecimal digits) at line 12 column 5
        not a manifest: EOF while parsing a value at line 1 column 0
        "#);
    }
}
