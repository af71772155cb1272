//! The files of a published checkpoint.
//!
//! A repository's list of shards may name only a bounded number of plain file names that end in `.safetensors`. A hostile list can name
//! missing shards, but nothing outside the repository or the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::FetchedFile;
use super::download::Session;
use super::error::{FetchError, excerpt};
use super::probe::{Probe, RemoteFile};
use super::source::{BaseUrl, OpenAiSize, is_plain_name};

/// Longest configuration, in bytes; GPT-2's have 1 kB.
const CONFIG: u64 = 1 << 20;
/// Longest vocabulary, list of merges or list of shards, in bytes; GPT-2's have at most 1 MB.
const TEXT: u64 = 16 << 20;
/// Longest `tokenizer.json`, in bytes; GPT-2's has 1.4 MB.
const TOKENIZER: u64 = 32 << 20;
/// Longest TensorFlow graph, in bytes; 1558M's has 1.8 MB.
const GRAPH: u64 = 64 << 20;
/// Longest weights file, in bytes; 1558M's has 6.4 GB.
const WEIGHTS: u64 = 64 << 30;
/// Maximum number of shards.
const MAX_SHARDS: usize = 256;

const OPENAI_FILES: [(&str, u64); 7] = [
    ("checkpoint", CONFIG),
    ("encoder.json", TEXT),
    ("hparams.json", CONFIG),
    ("model.ckpt.data-00000-of-00001", WEIGHTS),
    ("model.ckpt.index", TEXT),
    ("model.ckpt.meta", GRAPH),
    ("vocab.bpe", TEXT),
];

/// Optional files: tokenizer settings, generation settings, and the configuration of an adapter, which makes the import fail.
const OPTIONAL_FILES: [(&str, u64); 6] = [
    ("tokenizer.json", TOKENIZER),
    ("tokenizer_config.json", CONFIG),
    ("special_tokens_map.json", CONFIG),
    ("added_tokens.json", CONFIG),
    ("generation_config.json", CONFIG),
    ("adapter_config.json", CONFIG),
];

const UNSAFE_FILES: [(&str, &str); 5] = [
    ("adapter_model.safetensors", "it is an adapter to a base model, not a checkpoint"),
    ("pytorch_model.bin", "it is a Python pickle, which can run code when it is loaded"),
    ("pytorch_model.bin.index.json", "it lists Python pickles, which can run code when they are loaded"),
    ("tf_model.h5", "it is a Keras file, which can contain code"),
    ("flax_model.msgpack", "it is in Flax's format"),
];

/// A repository at a revision.
struct Repository<'a> {
    base: &'a BaseUrl,
    name: &'a str,
    revision: &'a str,
}

impl Repository<'_> {
    fn file(&self, session: &Session<'_>, name: &str, limit: u64) -> RemoteFile {
        let mut segments: Vec<&str> = self.name.split('/').collect();
        segments.extend(["resolve", self.revision, name]);
        remote_file(session, self.base, &segments, limit)
    }
}

fn remote_file(session: &Session<'_>, base: &BaseUrl, segments: &[&str], limit: u64) -> RemoteFile {
    let name = segments.last().copied().unwrap_or_default();
    RemoteFile {
        name: name.to_owned(),
        url: base.join(segments),
        limit,
        expected: session.options.expected.get(name).copied(),
    }
}

impl Session<'_> {
    /// Fetches a Hugging Face repository's configuration, weights and tokenizer; also returns the commit.
    pub(super) async fn fetch_hugging_face(
        &self,
        base: &BaseUrl,
        name: &str,
        revision: &str,
    ) -> Result<(Vec<FetchedFile>, Option<String>), FetchError> {
        let named = Repository { base, name, revision };
        let config = self.probe(&named.file(self, "config.json", CONFIG)).await?;
        let commit = config.announced.commit.clone();
        if commit.is_none() {
            self.progress.note(&format!(
                "{name}: the server does not name a commit, so the files may be of different commits of `{revision}`"
            ));
        }
        // Use the commit from here on: a branch may change between two files.
        let pinned = Repository { revision: commit.as_deref().unwrap_or(revision), ..named };
        let mut files = Vec::new();
        let mut probes = match self.probe_weights(&pinned, &mut files).await? {
            Some(probes) => probes,
            None => return Err(self.explain_missing_weights(&pinned).await?),
        };
        let optional = OPTIONAL_FILES.map(|(file, limit)| pinned.file(self, file, limit));
        let optional = self.probe_existing(&optional).await?;
        // Vocabulary and merges are optional if there is a `tokenizer.json`.
        let has_tokenizer = optional.iter().any(|probe| probe.file.name == "tokenizer.json");
        let model =
            [("vocab.json", TEXT), ("merges.txt", TEXT)].map(|(file, limit)| pinned.file(self, file, limit));
        probes.extend(self.probe_all(vec![pinned.file(self, "config.json", CONFIG)]).await?);
        if has_tokenizer {
            probes.extend(self.probe_existing(&model).await?);
        } else {
            probes.extend(self.probe_all(model.to_vec()).await?);
        }
        probes.extend(optional);
        files.extend(self.download_all(&format!("fetch {name}"), probes).await?);
        Ok((files, commit))
    }

    /// Fetches the seven files of one of OpenAI's sizes.
    pub(super) async fn fetch_openai(
        &self,
        base: &BaseUrl,
        size: OpenAiSize,
    ) -> Result<Vec<FetchedFile>, FetchError> {
        let size = size.as_str();
        let files = OPENAI_FILES.map(|(name, limit)| remote_file(self, base, &[size, name], limit)).to_vec();
        let probes = self.probe_all(files).await?;
        self.download_all(&format!("fetch {size}"), probes).await
    }

    async fn probe_existing(&self, files: &[RemoteFile]) -> Result<Vec<Probe>, FetchError> {
        let probes: Vec<Option<Probe>> = futures_util::stream::iter(files)
            .map(|file| self.probe_if_there(file))
            .buffered(self.options.parallel_requests())
            .try_collect()
            .await?;
        Ok(probes.into_iter().flatten().collect())
    }

    async fn probe_all(&self, files: Vec<RemoteFile>) -> Result<Vec<Probe>, FetchError> {
        futures_util::stream::iter(&files)
            .map(|file| self.probe(file))
            .buffered(self.options.parallel_requests())
            .try_collect()
            .await
    }

    /// Probes the single weights file, or the shards in the list; adds the list to `files`.
    async fn probe_weights(
        &self,
        repository: &Repository<'_>,
        files: &mut Vec<FetchedFile>,
    ) -> Result<Option<Vec<Probe>>, FetchError> {
        let one = repository.file(self, "model.safetensors", WEIGHTS);
        if let Some(probe) = self.probe_if_there(&one).await? {
            return Ok(Some(vec![probe]));
        }
        let list = repository.file(self, "model.safetensors.index.json", TEXT);
        let Some(probe) = self.probe_if_there(&list).await? else {
            return Ok(None);
        };
        let lists = self.download_all("fetch the list of shards", vec![probe]).await?;
        let mut shards = BTreeSet::new();
        for list in &lists {
            shards.extend(read_shards(&list.name, &list.path)?);
        }
        files.extend(lists);
        let shards = shards.iter().map(|shard| repository.file(self, shard, WEIGHTS)).collect();
        self.probe_all(shards).await.map(Some)
    }

    /// Looks for weights in unsupported formats, for the error message.
    async fn explain_missing_weights(&self, repository: &Repository<'_>) -> Result<FetchError, FetchError> {
        let shown = format!("hf:{}@{}", repository.name, repository.revision);
        for (file, why) in UNSAFE_FILES {
            let there = repository.file(self, file, u64::MAX);
            if self.probe_if_there(&there).await?.is_some() {
                return Ok(FetchError::Pickle { repository: shown, file, why });
            }
        }
        Ok(FetchError::NoWeights { repository: shown })
    }
}

/// Parses the file names in a list of shards.
fn read_shards(name: &str, path: &Path) -> Result<BTreeSet<String>, FetchError> {
    #[derive(serde::Deserialize)]
    struct List {
        weight_map: BTreeMap<String, String>,
    }
    let refuse = |rule: String| FetchError::Index { file: name.to_owned(), rule };
    let text = std::fs::read(path).map_err(FetchError::io("read", path))?;
    let list: List = crate::json::from_slice(&text).map_err(|e| refuse(e.to_string()))?;
    let shards: BTreeSet<String> = list.weight_map.into_values().collect();
    if shards.is_empty() || shards.len() > MAX_SHARDS {
        return Err(refuse(format!("it names {} files; 1 to {MAX_SHARDS} are accepted", shards.len())));
    }
    let stranger = shards.iter().find(|shard| !is_plain_name(shard) || !shard.ends_with(".safetensors"));
    match stranger {
        Some(shard) => Err(refuse(format!(
            "it names `{}`; a shard must be a plain file name that ends in `.safetensors`",
            excerpt(shard)
        ))),
        None => Ok(shards),
    }
}
