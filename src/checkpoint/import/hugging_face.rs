//! Opens a Hugging Face folder: `config.json`, one or several safetensors files, the tokenizer's files, `generation_config.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::Dtype;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::config::hugging_face::{self as configuration, ReadConfig};
use super::super::config::{ConfigError, ModelConfig};
use super::super::known::Publication;
use super::super::layout::{self, PublishedName};
use super::super::tensor_file::{PublishedEntry, TensorFileError, published_entries};
use super::super::{Error, bounded, python_json};
use super::notes::Note;
use super::published::{Location, SourceCheckpoint, SourceTensor, SourceType};
use super::tokenizer::PublishedTokenizer;

/// Longest accepted `model.safetensors.index.json`, in bytes.
const MAX_INDEX: u64 = 16 << 20;
/// Maximum number of shards.
const MAX_SHARDS: usize = 1000;

/// Opens a folder of safetensors; `names` is its listing.
pub(super) fn open(folder: &Path, names: &[String]) -> Result<SourceCheckpoint, Error> {
    let config_path = folder.join("config.json");
    let bytes = bounded::read(&config_path, bounded::CONFIG)?;
    let mut read =
        configuration::read(&bytes).map_err(|source| Error::Config { path: config_path.clone(), source })?;
    let (mut notes, mut indexes) = (Vec::new(), Vec::new());
    let generation = names.iter().any(|name| name == GENERATION).then(|| folder.join(GENERATION));
    if let Some(path) = &generation {
        read_generation(path, &mut read, &mut notes)?;
    }
    let shards = shards(folder, &mut indexes)?;
    let mut found = tensors(&shards, &read.config)?;
    if read.config.tied_head {
        drop_repeated_head(&mut found.tensors, &read.config)?;
    }
    refuse_unstated(&config_path, &read, &found.tensors)?;
    let mut tokenizer =
        PublishedTokenizer::read_folder(folder, names, &read.config, read.tokenizer_class.as_deref())?;
    let mut files = vec![config_path];
    files.append(&mut tokenizer.files);
    files.extend(generation);
    files.append(&mut indexes);
    files.extend(shards);
    let arranged = SourceCheckpoint::arrange(&read.config, found.tensors.into_values().collect())
        .map_err(|problems| Error::Tensors { folder: folder.to_owned(), problems })?;
    if !found.heads.is_empty() {
        notes.push(Note::HeadLeftOut { tensors: found.heads });
    }
    if !found.integers.is_empty() {
        notes.push(Note::BufferLeftOut { tensors: found.integers });
    }
    notes.extend(arranged.note);
    if !read.unreachable.is_empty() {
        notes.push(Note::TokenUnreachable { tokens: read.unreachable });
    }
    if !read.defaulted.is_empty() {
        notes.push(Note::SizeDefaulted { fields: read.defaulted });
    }
    notes.append(&mut tokenizer.notes);
    Ok(SourceCheckpoint {
        publication: Publication::HuggingFace,
        config: read.config,
        tensors: arranged.tensors,
        element_type: arranged.element_type,
        tokenizer,
        files,
        notes,
    })
}

const GENERATION: &str = "generation_config.json";

/// Settings of `generation_config.json` that affect sampling, with their neutral values.
const CHOOSING: [(&str, f64); 14] = [
    ("temperature", 1.0),
    ("top_k", 50.0),
    ("top_p", 1.0),
    ("typical_p", 1.0),
    ("repetition_penalty", 1.0),
    ("no_repeat_ngram_size", 0.0),
    ("num_beams", 1.0),
    ("min_length", 0.0),
    ("min_new_tokens", 0.0),
    ("suppress_tokens", f64::NAN),
    ("begin_suppress_tokens", f64::NAN),
    ("bad_words_ids", f64::NAN),
    ("forced_bos_token_id", f64::NAN),
    ("forced_eos_token_id", f64::NAN),
];

/// Reads the begin and end tokens of `generation_config.json`, which override those of `config.json`.
fn read_generation(path: &Path, read: &mut ReadConfig, notes: &mut Vec<Note>) -> Result<(), Error> {
    let bytes = bounded::read(path, bounded::CONFIG)?;
    let refused = |source: ConfigError| Error::Config { path: path.to_owned(), source };
    let settings = python_json::parse_object(&bytes).map_err(|source| refused(source.into()))?;
    read.take_tokens(&settings).map_err(refused)?;
    let chosen: Vec<String> = CHOOSING
        .iter()
        .filter(|(name, default)| is_chosen(&settings, name, *default))
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if !chosen.is_empty() {
        notes.push(Note::GenerationSettingUnused { settings: chosen });
    }
    Ok(())
}

fn is_chosen(settings: &Map<String, Value>, name: &str, default: f64) -> bool {
    match settings.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(value) => value.as_f64() != Some(default),
    }
}

/// Returns the weights files: the single one, or those that the index names.
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
        return Err(Error::ShardCount { path, count: names.len(), max: MAX_SHARDS });
    }
    files.push(path);
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// The tensors in the shards.
#[derive(Default)]
struct Found {
    /// Parameters by their names in the normal form.
    tensors: BTreeMap<String, SourceTensor>,
    /// Tensors of other heads.
    heads: Vec<String>,
    /// Integer buffers that the architecture does not have.
    integers: Vec<String>,
}

/// Collects the parameters of the shards; omits buffers and records other heads.
fn tensors(shards: &[PathBuf], config: &ModelConfig) -> Result<Found, Error> {
    let weights: BTreeSet<String> = layout::tensors(config).into_iter().map(|spec| spec.name).collect();
    let is_integer = |dtype: Dtype| {
        use Dtype as D;
        matches!(dtype, D::BOOL | D::U8 | D::I8 | D::U16 | D::I16 | D::U32 | D::I32 | D::U64 | D::I64)
    };
    let mut found = Found::default();
    for shard in shards {
        let path: Arc<Path> = shard.as_path().into();
        let file = Arc::new(File::open(shard).map_err(Error::io("open", shard))?);
        let refused = |source| Error::Weights { path: shard.clone(), source };
        for (published, entry) in published_entries(shard, &file)?.map_err(refused)? {
            match layout::from_hugging_face(&published) {
                PublishedName::Buffer => {}
                PublishedName::OtherHead => found.heads.push(published),
                PublishedName::Adapter => {
                    return Err(Error::AdapterTensor { path: shard.clone(), name: published });
                }
                PublishedName::Parameter(name) if is_integer(entry.dtype) && !weights.contains(&name) => {
                    found.integers.push(published);
                }
                PublishedName::Parameter(name) => {
                    let tensor = source_tensor(name, entry, &file, &path).map_err(refused)?;
                    if let Some(twice) = found.tensors.insert(tensor.name.clone(), tensor) {
                        return Err(Error::TensorTwice { name: twice.name });
                    }
                }
            }
        }
    }
    Ok(found)
}

fn source_tensor(
    name: String,
    entry: PublishedEntry,
    file: &Arc<File>,
    path: &Arc<Path>,
) -> Result<SourceTensor, TensorFileError> {
    let Some(dtype) = SourceType::from_safetensors(entry.dtype) else {
        return Err(TensorFileError::UnsupportedDtype { name, dtype: entry.dtype.to_string() });
    };
    let PublishedEntry { shape, offset, length, .. } = entry;
    let location = Location { file: Arc::clone(file), path: Arc::clone(path), offset, length };
    Ok(SourceTensor { name, shape, dtype, location, crc: None })
}

/// Some writers store a tied head beside its embedding. A head that differs is not tied, whatever the configuration says.
fn drop_repeated_head(found: &mut BTreeMap<String, SourceTensor>, config: &ModelConfig) -> Result<(), Error> {
    let Some(head) = found.remove(layout::HEAD) else {
        return Ok(());
    };
    let (tokens, _) = layout::embedding_names(config.architecture);
    let same = match found.get(tokens) {
        Some(embedding) => embedding.digest_of_floats()? == head.digest_of_floats()?,
        None => true, // a missing embedding is reported later
    };
    if same { Ok(()) } else { Err(Error::UntiedHead { path: head.location.path.to_path_buf() }) }
}

/// Requires that sizes which the configuration does not set are transformers' defaults.
fn refuse_unstated(
    path: &Path,
    read: &ReadConfig,
    found: &BTreeMap<String, SourceTensor>,
) -> Result<(), Error> {
    let (tokens, positions) = layout::embedding_names(read.config.architecture);
    let size = |name: &str, dimension: usize| found.get(name)?.shape.get(dimension).copied();
    let config = &read.config;
    let sizes = [
        ("vocab_size", config.vocabulary, size(tokens, 0)),
        ("n_positions", config.context, size(positions, 0)),
        ("n_embd", config.width, size(tokens, 1)),
    ];
    for (field, default, found) in sizes {
        if let Some(found) = found.filter(|found| *found != default && read.defaulted.contains(&field)) {
            return Err(Error::UnstatedSize { path: path.to_owned(), field, default, found });
        }
    }
    Ok(())
}
