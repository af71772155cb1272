//! The manifest of an imported checkpoint: names, sizes and digests of its files, where they came from, its tensors.
//!
//! The manifest is what `verify` measures a folder against. It is not signed: whoever can rewrite a folder can rewrite
//! its manifest too. The signature comes with the catalogue, which carries the manifest as a target.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::known::{KnownCheckpoint, Publication};
use super::tensor_file::ElementType;
use crate::digest::{Crc32c, Sha256Digest};
use crate::name::CheckpointId;
use crate::visible::one_line;

/// The manifest's name in the folder.
pub const MANIFEST: &str = "manifest.json";
/// The configuration, as Hugging Face transformers reads it.
pub const CONFIG: &str = "config.json";
/// The weights, in the naming of [`super::layout`].
pub const WEIGHTS: &str = "model.safetensors";
/// The tokenizer's vocabulary.
pub const VOCABULARY: &str = "vocab.json";
/// The tokenizer's merges.
pub const MERGES: &str = "merges.txt";

/// What the tokenizer does beside vocabulary and merges, where that is more than GPT-2's own does.
pub const TOKENIZER: &str = "tokenizer.json";

/// The files of the normal form beside the manifest, in the manifest's order; [`TOKENIZER`] may lie beside them.
pub const FILES: [&str; 4] = [CONFIG, MERGES, WEIGHTS, VOCABULARY];
/// The same with [`TOKENIZER`].
pub const FILES_WITH_TOKENIZER: [&str; 5] = [CONFIG, MERGES, WEIGHTS, TOKENIZER, VOCABULARY];

/// Longest accepted manifest; that of GPT-2 1.5B takes 40 kB.
pub const MAX_SIZE: u64 = 4 << 20;

const SCHEMA: u32 = 1;

/// What the normal form's `manifest.json` says. Invariants: `files` are [`FILES`] or [`FILES_WITH_TOKENIZER`] in order; `tensor_count` counts `tensors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    schema: u32,
    /// Which checkpoint it is.
    pub checkpoint: CheckpointId,
    /// How the weights are stored.
    pub dtype: ElementType,
    /// How many tensors there are.
    pub tensor_count: usize,
    /// How many numbers they hold.
    pub parameter_count: u64,
    /// The folder's files.
    pub files: Vec<FileEntry>,
    /// The published files from which it was made.
    pub origin: Origin,
    /// Each tensor's checksum, over its bytes as stored.
    pub tensors: BTreeMap<String, Crc32c>,
}

/// A file by size and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its name inside its folder.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

/// Where a checkpoint came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// In which form it was published.
    pub publication: Publication,
    /// What was asked for: `hf:<repository>@<commit>`, `openai:<size>`, or a folder's name without its path.
    pub source: String,
    /// The published files that were read.
    pub files: Vec<FileEntry>,
}

/// A manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not these fields.
    #[error("not a manifest: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a later version.
    #[error("schema {found} is not supported; this version reads schema {SCHEMA}")]
    UnsupportedSchema {
        /// What it says.
        found: u32,
    },
    /// Other files than the normal form has.
    #[error("it lists the files {found:?}, not {FILES:?}")]
    WrongFiles {
        /// What it lists.
        found: Vec<String>,
    },
    /// What the checkpoint was made from is named by text that hides or turns something.
    #[error("`{}`, from which it was made, is no name: use visible characters on one line", one_line(name))]
    NotPlain {
        /// How it is named.
        name: String,
    },
    /// The count is not the number of tensors.
    #[error("it counts {claimed} tensors and lists {listed}")]
    WrongCount {
        /// `tensor_count`.
        claimed: usize,
        /// Entries of `tensors`.
        listed: usize,
    },
}

/// What a manifest says of a checkpoint's standing beside the public record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Published files on record that the origin's files equal, by SHA-256.
    pub files_equal: Vec<String>,
    /// Published files on record from which the origin's files differ.
    pub files_different: Vec<String>,
    /// Tensors whose checksum is on OpenAI's record, and how many of them are equal; `None` where none can be compared.
    pub tensors: Option<TensorStanding>,
}

/// How many tensors equal OpenAI's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TensorStanding {
    /// Tensors with OpenAI's checksum.
    pub equal: usize,
    /// Tensors compared.
    pub compared: usize,
}

impl Manifest {
    /// Describes an imported folder. `files` may come in any order.
    pub(super) fn new(
        checkpoint: CheckpointId,
        dtype: ElementType,
        (parameter_count, tensors): (u64, BTreeMap<String, Crc32c>),
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
        /// Read first, so that a later schema is named as such and not by its first unknown field.
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let Schema { schema: found } = crate::json::from_slice(json)?;
        if found != SCHEMA {
            return Err(ManifestError::UnsupportedSchema { found });
        }
        crate::json::from_slice::<Self>(json)?.checked()
    }

    /// The manifest, if what it says of itself holds; for one that another document carries.
    pub(crate) fn checked(self) -> Result<Self, ManifestError> {
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

    /// The text of `manifest.json`; the same manifest always gives the same bytes.
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// The entry of one of [`FILES`].
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name == name)
    }

    /// The size of the whole checkpoint in bytes, without the manifest.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Compares with the public record of a known checkpoint.
    pub fn standing(&self, known: &KnownCheckpoint) -> Standing {
        let mut standing = Standing { files_equal: Vec::new(), files_different: Vec::new(), tensors: None };
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
            standing.tensors = (!compared.is_empty()).then(|| TensorStanding {
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
            (known.parameters, tensors),
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
        manifest.tensors.insert("wte.weight".to_owned(), Crc32c::of(b"other"));
        let standing = manifest.standing(known::find("gpt2").unwrap());
        assert_eq!(standing.files_equal, ["model.safetensors"]);
        assert_eq!(standing.files_different, ["config.json"]);
        let tensors = TensorStanding { equal: 147, compared: 148 };
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
