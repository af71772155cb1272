//! Checkpoints: the public record, import into the normal form, manifests, integrity.
//!
//! A checkpoint in the *normal form* is a folder with `config.json`, `model.safetensors`, `vocab.json`, `merges.txt` and `manifest.json`.
//! All input is untrusted: an attacker who can change a source or a folder can only make an import or a check fail, because no byte is
//! used before its digest and shape were verified (P6).

mod bounded;
pub mod config;
mod error;
pub mod fetch;
mod folder;
mod foreign;
mod hashing;
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
pub use foreign::ForeignFormat;
pub use import::{ImportOutcome, ImportRequest, ImportSource, Note, checkpoint_id, import};
pub(crate) use verify::compare_entries;
pub use verify::{FileProblem, Report, TensorProblem, verify};
