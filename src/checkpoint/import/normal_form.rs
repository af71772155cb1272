//! Writes a published checkpoint in the normal form and verifies all checksums that the publication has.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};

use super::super::Error;
use super::super::manifest::{self, FileEntry};
use super::published::{BLOCK, SourceCheckpoint};
use super::staging::{StagedFile, write_whole};
use super::tokenizer::PublishedTokenizer;
use crate::digest::Crc32c;
use crate::progress::Progress;

/// The written files.
pub(super) struct WriteOutcome {
    pub(super) files: Vec<FileEntry>,
    pub(super) tensors: BTreeMap<String, Crc32c>,
    /// The bytes that an interrupted run had already written.
    pub(super) kept: u64,
}

/// Writes the files of the normal form into `folder`.
pub(super) fn write(
    published: &SourceCheckpoint,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<WriteOutcome, Error> {
    let config = published.config.to_normal_form(published.tokenizer.tokenizer.is_some());
    let mut written = write_weights(published, folder, progress)?;
    let PublishedTokenizer { vocabulary, merges, tokenizer, .. } = &published.tokenizer;
    for (name, bytes) in [
        (manifest::CONFIG, Some(config.as_bytes())),
        (manifest::VOCABULARY, Some(vocabulary.as_slice())),
        (manifest::MERGES, Some(merges.as_slice())),
        (manifest::TOKENIZER, tokenizer.as_deref()),
    ] {
        if let Some(bytes) = bytes {
            written.files.push(write_whole(folder.join(name), bytes)?);
        }
    }
    Ok(written)
}

fn write_weights(
    published: &SourceCheckpoint,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<WriteOutcome, Error> {
    let mut file = StagedFile::open(folder.join(manifest::WEIGHTS))?;
    file.write(&header(published)?)?;
    let (mut buffer, mut converted) = (vec![0; BLOCK], Vec::new());
    let mut tensors = BTreeMap::new();
    let mut kept = 0;
    for tensor in &published.tensors {
        // Tensors with a published checksum are binary32 and stored unchanged.
        let mut crc = Crc32c::default();
        tensor.location.stream(&mut buffer, |block| {
            let stored = tensor.dtype.convert(block, published.element_type, &mut converted);
            crc = crc.append(stored);
            if file.write(stored)? {
                kept += block.len() as u64;
            }
            progress.advance(block.len() as u64);
            Ok(())
        })?;
        if let Some(expected) = tensor.crc
            && expected != crc
        {
            return Err(Error::TensorChecksum {
                path: tensor.location.path.to_path_buf(),
                name: tensor.name.clone(),
                expected,
                found: crc,
            });
        }
        tensors.insert(tensor.name.clone(), crc);
    }
    Ok(WriteOutcome { files: vec![file.finish()?], tensors, kept })
}

/// Returns the safetensors header, padded with spaces so that the data begins at a multiple of 8 bytes.
fn header(published: &SourceCheckpoint) -> Result<Vec<u8>, Error> {
    let mut end = 0;
    let infos = published.tensors.iter().map(|tensor| {
        let start = end;
        end += tensor.stored_length(published.element_type);
        let info = TensorInfo {
            dtype: published.element_type.to_safetensors(),
            shape: tensor.shape.clone(),
            data_offsets: (start, end),
        };
        (tensor.name.clone(), info)
    });
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), infos.collect()).map_err(|source| Error::Header { source })?;
    let mut json = serde_json::to_vec(&metadata).map_err(|source| Error::Encode { source })?;
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    Ok(bytes)
}
