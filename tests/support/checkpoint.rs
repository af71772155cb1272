//! Golden checkpoints brought into the normal form: one file, names without prefix, no mask buffers.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test that wants it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::checkpoint::config::ModelConfig;
use portcullis::checkpoint::layout::{self, PublishedName};
use portcullis::checkpoint::tensor_file::TensorFile;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

/// A tensor in memory.
#[derive(Clone)]
pub(crate) struct Numbers {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// A checkpoint in memory, in the names of the normal form.
#[derive(Clone)]
pub(crate) struct Golden {
    pub(crate) config: ModelConfig,
    pub(crate) tensors: BTreeMap<String, Numbers>,
    pub(crate) cases: Vec<Case>,
}

/// What transformers computed for a prompt.
#[derive(Clone, serde::Deserialize)]
pub(crate) struct Case {
    pub(crate) prompt: Vec<u32>,
    pub(crate) greedy: Vec<u32>,
    pub(crate) last_logits: Vec<f32>,
    pub(crate) mean_nll: Option<f64>,
}

#[derive(serde::Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

/// A normal-form file that lives as long as this does.
pub(crate) struct Written {
    pub(crate) config: ModelConfig,
    pub(crate) file: TensorFile,
    _folder: TempDir,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden").join(name)
}

impl Golden {
    /// Reads `tests/fixtures/golden/{name}`.
    pub(crate) fn read(name: &str) -> Self {
        let folder = folder(name);
        let read = |file: &str| fs::read(folder.join(file)).unwrap();
        let config = ModelConfig::from_hugging_face(&read("config.json")).unwrap();
        let golden: Cases = serde_json::from_slice(&read("golden.json")).unwrap();
        let mut tensors = BTreeMap::new();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "safetensors") {
                continue;
            }
            let bytes = fs::read(path).unwrap();
            for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
                if let PublishedName::Parameter(name) = layout::from_hugging_face(name) {
                    let (dtype, shape) = (view.dtype(), view.shape().to_vec());
                    let bytes = view.data().to_vec();
                    tensors.insert(name, Numbers { dtype, shape, bytes });
                }
            }
        }
        Self { config, tensors, cases: golden.cases }
    }

    /// Writes the tensors into one file and opens it.
    pub(crate) fn write(&self) -> Written {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let views = self.tensors.iter().map(|(name, tensor)| {
            (name, TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap())
        });
        fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        Written { config: self.config.clone(), file: TensorFile::open(&path).unwrap(), _folder: folder }
    }
}
