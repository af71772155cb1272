//! Checkpoints: the known catalogue, import into the normal form, manifest, integrity.
//!
//! A checkpoint in the *normal form* is a folder of `config.json`, `model.safetensors`, `vocab.json`, `merges.txt` and
//! `manifest.json`. Everything read here is hostile: someone who can tamper with a source or a folder can make an import
//! or a check fail, and nothing else, because no byte is used before its digest and its shape were checked (P6).

pub mod config;
mod error;
pub mod fetch;
pub mod layout;
pub mod tensor_file;

pub use error::Error;
