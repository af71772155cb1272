//! Opens a folder in OpenAI's 2019 form: `hparams.json`, a TensorFlow checkpoint, `encoder.json`, `vocab.bpe`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::config::ModelConfig;
use super::super::known::Publication;
use super::super::layout;
use super::super::tensor_file::ElementType;
use super::super::tensorflow::{self, Bundle, BundleTensor};
use super::super::{Error, TensorProblem, bounded};
use super::notes::Note;
use super::published::{Location, SourceCheckpoint, SourceTensor, SourceType};
use super::tokenizer::PublishedTokenizer;

/// Opens a folder that has OpenAI's files.
pub(super) fn open(folder: &Path) -> Result<SourceCheckpoint, Error> {
    let config_path = folder.join("hparams.json");
    let json = bounded::read(&config_path, bounded::CONFIG)?;
    let config = ModelConfig::from_hyper_parameters(&json)
        .map_err(|source| Error::Config { path: config_path.clone(), source })?;
    let bundle = tensorflow::open(folder)?;
    let refused = |problems| Error::Tensors { folder: folder.to_owned(), problems };
    let found = tensors(&bundle)?.map_err(refused)?;
    let Found { tensors, state } = found;
    let arranged = SourceCheckpoint::arrange(&config, tensors).map_err(refused)?;
    let notes = Some(state)
        .filter(|state| !state.is_empty())
        .map(|variables| Note::TrainingStateLeftOut { variables });
    let (vocabulary, merges) = (folder.join("encoder.json"), folder.join("vocab.bpe"));
    let mut tokenizer = PublishedTokenizer::read_files(&config, vocabulary, merges)?;
    let mut files = vec![config_path];
    files.append(&mut tokenizer.files);
    files.push(folder.join("checkpoint"));
    files.push(bundle.index_path().to_owned());
    // The graph is not used, but the manifest records it if it exists.
    let graph = bundle.index_path().with_extension("meta");
    files.extend(Some(graph).filter(|graph: &PathBuf| graph.is_file()));
    files.push(bundle.data_path().to_owned());
    Ok(SourceCheckpoint {
        publication: Publication::Tensorflow,
        tensors: arranged.tensors,
        element_type: arranged.element_type,
        tokenizer,
        config,
        files,
        notes: notes.into_iter().collect(),
    })
}

/// The weights and the training state in a bundle.
struct Found {
    tensors: Vec<SourceTensor>,
    state: Vec<String>,
}

/// Maps the bundle's variables to tensors of the normal form.
fn tensors(bundle: &Bundle) -> Result<Result<Found, Vec<TensorProblem>>, Error> {
    let path: Arc<Path> = bundle.data_path().into();
    let file = Arc::new(bundle.data().map_err(Error::io("open", &path))?);
    let location = |tensor: &BundleTensor| Location {
        file: Arc::clone(&file),
        path: Arc::clone(&path),
        offset: tensor.offset,
        length: tensor.length,
    };
    let (mut found, mut extra, mut state) = (Vec::new(), Vec::new(), Vec::new());
    for tensor in bundle.tensors() {
        match layout::from_tensorflow(&tensor.name) {
            Some(name) => {
                let refused = |source| Error::TensorFlow { path: bundle.index_path().to_owned(), source };
                tensor.require_floats().map_err(refused)?;
                found.push(SourceTensor {
                    name,
                    shape: squeezed(&tensor.shape),
                    dtype: SourceType::Stored(ElementType::F32),
                    location: location(tensor),
                    crc: Some(tensor.crc),
                });
            }
            None if layout::is_training_state(&tensor.name) => state.push(tensor.name.clone()),
            None => extra.push(TensorProblem::Extra { name: tensor.name.clone() }),
        }
    }
    Ok(if extra.is_empty() { Ok(Found { tensors: found, state }) } else { Err(extra) })
}

/// Returns a projection's shape without its leading 1: OpenAI stored projections as one-dimensional convolutions.
fn squeezed(shape: &[usize]) -> Vec<usize> {
    match shape {
        [1, rest @ ..] if rest.len() == 2 => rest.to_vec(),
        _ => shape.to_vec(),
    }
}
