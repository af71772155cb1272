//! Checkpoints: the known catalogue, import into the normal form, manifest, integrity.
//!
//! A checkpoint in the *normal form* is a folder of `config.json`, `model.safetensors`, `vocab.json`, `merges.txt` and
//! `manifest.json`. Everything read here is hostile: someone who can tamper with a source or a folder can make an import
//! or a check fail, and nothing else, because no byte is used before its digest and its shape were checked (P6).

mod bounded;
pub mod config;
mod digesting;
mod error;
pub mod fetch;
mod folder;
mod foreign;
mod import;
pub mod known;
pub mod layout;
pub mod manifest;
pub mod python_json;
pub mod tensor_file;
pub mod tensorflow;
pub mod tokenizer_files;
mod verify;

pub use error::Error;
pub use folder::Checkpoint;
pub use foreign::Foreign;
pub use import::{ImportRequest, ImportSource, Imported, Note, checkpoint_id, import};
pub(crate) use verify::compare_entries;
pub use verify::{FileProblem, Report, TensorProblem, verify};
