//! Opens a Hugging Face folder: `config.json`, one or several safetensors files, `vocab.json`, `merges.txt`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::super::config::ModelConfig;
use super::super::known::Publication;
use super::super::layout::{self, PublishedName};
use super::super::tensor_file::{TensorEntry, TensorFile};
use super::super::{Error, bounded};
use super::published::{Location, Published, SourceTensor};

/// Longest accepted `model.safetensors.index.json`.
const MAX_INDEX: u64 = 16 << 20;
/// Most shards of one checkpoint.
const MAX_SHARDS: usize = 1000;

/// Opens a folder whose listing shows safetensors.
pub(super) fn open(folder: &Path) -> Result<Published, Error> {
    let config_path = folder.join("config.json");
    let json = bounded::read(&config_path, bounded::CONFIG)?;
    let config = ModelConfig::from_hugging_face(&json)
        .map_err(|source| Error::Config { path: config_path.clone(), source })?;
    let (vocabulary, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
    let mut files = vec![config_path, vocabulary.clone(), merges.clone()];
    let shards = shards(folder, &mut files)?;
    let found = tensors(&shards, &config)?;
    files.extend(shards);
    let (tensors, element_type) = Published::arrange(&config, found)
        .map_err(|problems| Error::Tensors { folder: folder.to_owned(), problems })?;
    Ok(Published {
        publication: Publication::HuggingFace,
        config,
        tensors,
        element_type,
        vocabulary,
        merges,
        files,
    })
}

/// The weights files: the single one, or those that the index names.
fn shards(folder: &Path, files: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>, Error> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let single = folder.join("model.safetensors");
    if single.exists() {
        return Ok(vec![single]);
    }
    let path = folder.join("model.safetensors.index.json");
    let json = bounded::read(&path, MAX_INDEX)?;
    let index: Index =
        crate::json::from_slice(&json).map_err(|source| Error::Json { path: path.clone(), source })?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    let plain = |name: &String| Path::new(name).file_name().is_some_and(|file| file == name.as_str());
    if let Some(name) = names.iter().find(|name| !plain(name)) {
        return Err(Error::ShardName { path, name: name.clone() });
    }
    if names.is_empty() || names.len() > MAX_SHARDS {
        return Err(Error::ShardCount { path, count: names.len(), most: MAX_SHARDS });
    }
    files.push(path);
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// Every parameter of the shards by its normal name; mask buffers are left out, and so is a head that repeats the embedding.
fn tensors(shards: &[PathBuf], config: &ModelConfig) -> Result<Vec<SourceTensor>, Error> {
    let mut found: BTreeMap<String, SourceTensor> = BTreeMap::new();
    for shard in shards {
        let is_buffer = |name: &str| layout::from_hugging_face(name) == PublishedName::MaskBuffer;
        let weights = TensorFile::open_without(shard, &is_buffer)?;
        let path: Arc<Path> = shard.as_path().into();
        let file = Arc::new(File::open(shard).map_err(Error::io("open", shard))?);
        for (published, entry) in weights.entries() {
            let PublishedName::Parameter(name) = layout::from_hugging_face(published) else {
                continue;
            };
            let tensor = source_tensor(name, entry, &file, &path);
            if let Some(twice) = found.insert(tensor.name.clone(), tensor) {
                return Err(Error::TensorTwice { name: twice.name });
            }
        }
    }
    if config.tied_head {
        drop_repeated_head(&mut found, config)?;
    }
    Ok(found.into_values().collect())
}

fn source_tensor(name: String, entry: &TensorEntry, file: &Arc<File>, path: &Arc<Path>) -> SourceTensor {
    SourceTensor {
        name,
        shape: entry.shape.clone(),
        element_type: entry.element_type,
        location: Location {
            file: Arc::clone(file),
            path: Arc::clone(path),
            offset: entry.offset,
            length: entry.length,
        },
        crc: None,
    }
}

/// Some writers store the head beside the embedding that it is tied to; one that differs is not tied, whatever the
/// configuration says.
fn drop_repeated_head(found: &mut BTreeMap<String, SourceTensor>, config: &ModelConfig) -> Result<(), Error> {
    let Some(head) = found.remove(layout::HEAD) else {
        return Ok(());
    };
    let (tokens, _) = layout::embedding_names(config.architecture);
    let same = match found.get(tokens) {
        Some(embedding) => embedding.location.digest()? == head.location.digest()?,
        None => true, // the missing embedding is reported as such
    };
    if same { Ok(()) } else { Err(Error::UntiedHead { path: head.location.path.to_path_buf() }) }
}
