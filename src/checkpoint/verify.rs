//! Integrity: compares a folder with its manifest, and its weights with the configuration, on all cores.
//!
//! The check does not stop at a problem: the report names all files and tensors that fail.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use super::config::ModelConfig;
use super::manifest::{self, FileEntry, Manifest};
use super::tensor_file::{ElementType, TensorEntry, TensorFile};
use super::{Error, bounded, hashing, layout};
use crate::digest::{Crc32c, Sha256Digest};
use crate::progress::Progress;

/// The result of verifying a folder.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The manifest of the folder.
    #[serde(skip)]
    pub manifest: Manifest,
    /// The number of bytes hashed.
    pub bytes: u64,
    /// The files that failed.
    pub files: Vec<FileProblem>,
    /// The tensors that failed.
    pub tensors: Vec<TensorProblem>,
    /// Other files in the folder, which are not a problem.
    pub strangers: Vec<String>,
}

impl Report {
    /// Whether no file and no tensor failed.
    pub fn is_sound(&self) -> bool {
        self.files.is_empty() && self.tensors.is_empty()
    }
}

/// A file does not match the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "problem")]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum FileProblem {
    /// It cannot be read.
    #[error("{name}: cannot be read: {reason}")]
    Unreadable { name: String, reason: String },
    /// The size differs, in bytes.
    #[error("{name}: has {found} bytes, not {expected}")]
    WrongSize { name: String, expected: u64, found: u64 },
    /// The size is right, but the digest differs.
    #[error("{name}: SHA-256 is {found}, not {expected}")]
    WrongDigest { name: String, expected: Sha256Digest, found: Sha256Digest },
    /// It is malformed.
    #[error("{name}: {reason}")]
    Malformed { name: String, reason: String },
}

/// A tensor does not match the configuration or the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "problem")]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum TensorProblem {
    /// The configuration requires it.
    #[error("{name}: missing")]
    Missing { name: String },
    /// The configuration does not have it.
    #[error("{name}: not part of this configuration")]
    Extra { name: String },
    /// The shape differs.
    #[error("{name}: has shape {found:?}, not {expected:?}")]
    WrongShape { name: String, expected: Vec<usize>, found: Vec<usize> },
    /// The type is not the checkpoint's.
    #[error("{name}: has dtype {found}, not {expected}")]
    WrongType { name: String, expected: ElementType, found: ElementType },
    /// The checksum differs.
    #[error("{name}: CRC-32C is {found}, not {expected}")]
    WrongChecksum { name: String, expected: Crc32c, found: Crc32c },
    /// Some elements are NaN or infinite.
    #[error("{name}: {count} of {of} numbers are NaN or infinite ({:.2} %)", 100.0 * *count as f64 / *of as f64)]
    NotFinite { name: String, count: u64, of: u64 },
    /// It cannot be read.
    #[error("{name}: cannot be read: {reason}")]
    Unreadable { name: String, reason: String },
}

/// Verifies a folder in the normal form.
///
/// # Errors
/// Only if the manifest is missing or invalid. All other problems are in the report.
pub fn verify(folder: &Path, progress: &dyn Progress) -> Result<Report, Error> {
    let manifest = read_manifest(folder)?;
    progress.begin("verifying", Some(manifest.size()));
    let (files, (mut tensors, malformed)) =
        rayon::join(|| check_files(folder, &manifest, progress), || check_tensors(folder, &manifest));
    let mut files: Vec<FileProblem> = files.into_iter().flatten().collect();
    // Do not report the form of a file whose digest is wrong.
    files.extend(malformed.filter(|problem| !files.iter().any(|known| known.name() == problem.name())));
    tensors.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(Report {
        bytes: manifest.size(),
        files,
        tensors,
        strangers: find_unlisted_files(folder, &manifest)?,
        manifest,
    })
}

/// Reads and parses a folder's manifest.
pub(super) fn read_manifest(folder: &Path) -> Result<Manifest, Error> {
    let path = folder.join(manifest::MANIFEST);
    if folder.is_dir() && !path.exists() && std::fs::read_dir(folder).is_ok() {
        return Err(Error::NotImported { folder: folder.to_owned() });
    }
    let json = bounded::read(&path, manifest::MAX_SIZE)?;
    Manifest::parse(&json).map_err(|source| Error::Manifest { path, source })
}

/// Hashes all files and returns the first problem of each.
pub(super) fn check_files(
    folder: &Path,
    manifest: &Manifest,
    progress: &dyn Progress,
) -> Vec<Option<FileProblem>> {
    manifest.files.par_iter().with_max_len(1).map(|entry| check_file(folder, entry, progress).err()).collect()
}

fn check_file(folder: &Path, entry: &FileEntry, progress: &dyn Progress) -> Result<(), FileProblem> {
    let name = || entry.name.clone();
    let unreadable = |error: io::Error| FileProblem::Unreadable { name: name(), reason: error.to_string() };
    let file = File::open(folder.join(&entry.name)).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let wrong_size = |found| FileProblem::WrongSize { name: name(), expected: entry.size, found };
    if size != entry.size {
        return Err(wrong_size(size));
    }
    let (size, found) = hashing::hash_file(&file, |bytes| progress.advance(bytes)).map_err(unreadable)?;
    if size != entry.size {
        return Err(wrong_size(size));
    }
    if found != entry.sha256 {
        return Err(FileProblem::WrongDigest { name: name(), expected: entry.sha256, found });
    }
    Ok(())
}

/// Compares the weights with the configuration; also returns a malformed file, if there is one.
fn check_tensors(folder: &Path, manifest: &Manifest) -> (Vec<TensorProblem>, Option<FileProblem>) {
    let malformed = |name: &str, error: &dyn std::error::Error| FileProblem::Malformed {
        name: name.to_owned(),
        reason: error.to_string(),
    };
    let config = match read_config(folder) {
        Ok(config) => config,
        Err(error) => return (Vec::new(), Some(malformed(manifest::CONFIG, &error))),
    };
    let weights = match TensorFile::open(&folder.join(manifest::WEIGHTS)) {
        Ok(weights) => weights,
        Err(error) => return (Vec::new(), Some(malformed(manifest::WEIGHTS, &error))),
    };
    let mut problems = compare_file(&weights, &config, manifest.dtype);
    problems.par_extend(weights.entries().par_iter().flat_map_iter(|(name, entry)| {
        check_numbers(&weights, name, entry, manifest.tensors.get(name).copied())
    }));
    (problems, None)
}

fn read_config(folder: &Path) -> Result<ModelConfig, Error> {
    let path = folder.join(manifest::CONFIG);
    let json = bounded::read(&path, bounded::CONFIG)?;
    ModelConfig::from_hugging_face(&json).map_err(|source| Error::Config { path, source })
}

/// Returns all tensors that are unexpected, missing, or of another shape or type than the configuration's.
pub(super) fn compare_with_layout<'a>(
    found: impl Iterator<Item = (&'a str, &'a [usize], ElementType)>,
    config: &ModelConfig,
    dtype: ElementType,
) -> Vec<TensorProblem> {
    let mut problems = Vec::new();
    let mut extra: BTreeMap<_, _> = found.map(|(name, shape, dtype)| (name, (shape, dtype))).collect();
    for spec in layout::tensors(config) {
        let Some((shape, found)) = extra.remove(spec.name.as_str()) else {
            problems.push(TensorProblem::Missing { name: spec.name });
            continue;
        };
        if shape != spec.shape {
            let (name, found) = (spec.name.clone(), shape.to_vec());
            problems.push(TensorProblem::WrongShape { name, expected: spec.shape, found });
        }
        if found != dtype {
            problems.push(TensorProblem::WrongType { name: spec.name, expected: dtype, found });
        }
    }
    problems.extend(extra.into_keys().map(|name| TensorProblem::Extra { name: name.to_owned() }));
    problems
}

/// As [`compare_with_layout`], for an open file.
pub(super) fn compare_file(
    weights: &TensorFile,
    config: &ModelConfig,
    dtype: ElementType,
) -> Vec<TensorProblem> {
    compare_entries(weights.entries(), config, dtype)
}

/// As [`compare_with_layout`], for the tensors of a file.
pub(crate) fn compare_entries(
    entries: &BTreeMap<String, TensorEntry>,
    config: &ModelConfig,
    dtype: ElementType,
) -> Vec<TensorProblem> {
    let found =
        entries.iter().map(|(name, entry)| (name.as_str(), entry.shape.as_slice(), entry.element_type));
    compare_with_layout(found, config, dtype)
}

/// Reads a tensor once and checks its checksum and its elements.
fn check_numbers(
    weights: &TensorFile,
    name: &str,
    entry: &TensorEntry,
    expected: Option<Crc32c>,
) -> Vec<TensorProblem> {
    let name = name.to_owned();
    let (found, count) = match scan(weights, entry) {
        Ok(scanned) => scanned,
        Err(error) => {
            let reason = error.to_string();
            return vec![TensorProblem::Unreadable { name, reason }];
        }
    };
    let mut problems = Vec::new();
    if count > 0 {
        problems.push(TensorProblem::NotFinite {
            name: name.clone(),
            count,
            of: entry.length / entry.element_type.size() as u64,
        });
    }
    if let Some(expected) = expected
        && expected != found
    {
        problems.push(TensorProblem::WrongChecksum { name, expected, found });
    }
    problems
}

fn scan(weights: &TensorFile, entry: &TensorEntry) -> io::Result<(Crc32c, u64)> {
    const BLOCK: u64 = 1 << 18;
    let mut buffer = vec![0; entry.length.min(BLOCK) as usize];
    let (mut crc, mut count, mut done) = (Crc32c::default(), 0, 0);
    while done < entry.length {
        let block = &mut buffer[..(entry.length - done).min(BLOCK) as usize];
        weights.read_at(entry, done, block)?;
        crc = crc.append(block);
        count += not_finite(block, entry.element_type);
        done += block.len() as u64;
    }
    Ok((crc, count))
}

/// Counts the elements of a block that are NaN or infinite: their exponent is all ones.
fn not_finite(block: &[u8], element_type: ElementType) -> u64 {
    let halves = |mask: u16| {
        let (words, _) = block.as_chunks::<2>();
        words.iter().filter(|word| u16::from_le_bytes(**word) & mask == mask).count()
    };
    let count = match element_type {
        ElementType::F32 => {
            let (words, _) = block.as_chunks::<4>();
            let mask = 0x7f80_0000;
            words.iter().filter(|word| u32::from_le_bytes(**word) & mask == mask).count()
        }
        ElementType::F16 => halves(0x7c00),
        ElementType::BF16 => halves(0x7f80),
    };
    count as u64
}

fn find_unlisted_files(folder: &Path, manifest: &Manifest) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map_err(Error::io("read", folder))?
        .take(1000)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name != manifest::MANIFEST && manifest.file(name).is_none())
        .collect();
    names.sort();
    Ok(names)
}

impl FileProblem {
    /// Returns the file's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Unreadable { name, .. }
            | Self::WrongSize { name, .. }
            | Self::WrongDigest { name, .. }
            | Self::Malformed { name, .. } => name,
        }
    }
}

impl TensorProblem {
    /// Returns the tensor's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Missing { name }
            | Self::Extra { name }
            | Self::WrongShape { name, .. }
            | Self::WrongType { name, .. }
            | Self::WrongChecksum { name, .. }
            | Self::NotFinite { name, .. }
            | Self::Unreadable { name, .. } => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_infinity_are_counted_in_every_dtype() {
        let f32s = [1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 0.0];
        let bytes = |words: Vec<u16>| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        let whole: Vec<u8> = f32s.iter().flat_map(|x| x.to_le_bytes()).collect();
        let f16 = bytes(f32s.iter().map(|x| half::f16::from_f32(*x / 2.0).to_bits()).collect());
        let bf16 = bytes(f32s.iter().map(|x| half::bf16::from_f32(*x / 2.0).to_bits()).collect());
        assert_eq!(not_finite(&whole, ElementType::F32), 3);
        assert_eq!(not_finite(&f16, ElementType::F16), 4, "f32::MAX overflows a half");
        assert_eq!(not_finite(&bf16, ElementType::BF16), 3);
    }
}
