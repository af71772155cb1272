//! Import: verifies a published checkpoint against the public record and converts it to the normal form.
//!
//! Two threads read the source's weights: one hashes them, the other writes the normal form. The destination appears only after all
//! digests on record match (P6).

mod hugging_face;
mod normal_form;
mod notes;
mod origin;
mod published;
mod staging;
mod tensorflow;
mod tokenizer;

use std::path::{Path, PathBuf};

use super::Error;
use super::fetch::{FetchOptions, Fetcher, RemoteSource};
use super::folder::Checkpoint;
use super::known::{self, Publication};
use super::layout;
use super::manifest::{self, FileEntry, Manifest, Origin};
use crate::name::CheckpointId;
use crate::progress::Progress;
use crate::visible::one_line;
pub use notes::Note;
use origin::Record;
use published::SourceCheckpoint;
use staging::Staging;

/// A request to import a checkpoint.
#[derive(Debug)]
pub struct ImportRequest {
    /// The id of the checkpoint.
    pub checkpoint: CheckpointId,
    /// The published files.
    pub source: ImportSource,
    /// The folder to create.
    pub destination: PathBuf,
    /// Whether to accept files that differ from those on record: another build of a known checkpoint.
    pub unofficial: bool,
}

/// The location of published files.
#[derive(Debug)]
pub enum ImportSource {
    /// In a folder on this machine.
    Folder(PathBuf),
    /// On a server: fetched to a folder beside the destination, and removed after the import.
    Remote {
        /// The published checkpoint.
        source: RemoteSource,
        /// Options of the fetch; the import adds the digests on record to the expected ones.
        options: Box<FetchOptions>,
    },
}

/// The result of an import.
#[derive(Debug)]
pub struct ImportOutcome {
    /// The opened folder.
    pub checkpoint: Checkpoint,
    /// The bytes of weights that an interrupted run had already written.
    pub resumed_bytes: u64,
    /// Whether the folder already existed, made from the same files.
    pub already_there: bool,
    /// What was left out or stored differently than in the source.
    pub notes: Vec<Note>,
}

/// Resolves a name to an id: that of a known checkpoint by any of its names, or the name itself.
///
/// # Errors
/// [`Error::Name`] if it is neither.
pub fn checkpoint_id(name: &str) -> Result<CheckpointId, Error> {
    let id = known::find(name).map_or(name, |known| known.id);
    id.parse().map_err(|source| Error::Name { source })
}

/// Imports a checkpoint. The destination appears completely or not at all; a second run resumes an interrupted one. The source is never
/// changed.
///
/// # Errors
/// All variants of [`Error`].
pub fn import(request: &ImportRequest, progress: &dyn Progress) -> Result<ImportOutcome, Error> {
    let staging = Staging::open(&request.destination)?;
    let imported = if request.destination.exists() {
        check_existing(request, progress)
    } else {
        build(request, &staging, progress)
    };
    match &imported {
        // An error of the system or a server may be temporary: keep what was written for the next run.
        Err(error) if error.is_passing() && !staging.is_unused() => {}
        _ => staging.discard()?,
    }
    imported
}

fn build(
    request: &ImportRequest,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<ImportOutcome, Error> {
    let (folder, source) = locate(request, staging, progress)?;
    let published = SourceCheckpoint::open(&folder)?;
    let known = known::find(request.checkpoint.as_str());
    if let Some(known) = known {
        origin::require_shape(known, &published.config)?;
    }
    let record = Record { publication: published.publication, known: known.filter(|_| !request.unofficial) };
    let (mut files, large) = record.check_small(&published.files)?;
    progress.begin("importing", Some(published.weights_length()));
    let written = std::thread::scope(|scope| {
        let hashed = scope.spawn(|| record.check_all(&large));
        let written = normal_form::write(&published, &staging.folder(), progress);
        let hashed = hashed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A wrong digest explains other errors of the same file.
        files.extend(hashed?);
        written
    })?;
    let manifest = Manifest::new(
        request.checkpoint.clone(),
        published.element_type,
        layout::parameter_count(&published.config),
        written.tensors,
        written.files,
        Origin { publication: published.publication, source, files },
    );
    let json = manifest.to_json().map_err(|source| Error::Encode { source })?;
    staging::write_whole(staging.folder().join(manifest::MANIFEST), json.as_bytes())?;
    staging.publish()?;
    let checkpoint = Checkpoint::open(&request.destination)?;
    Ok(ImportOutcome {
        checkpoint,
        resumed_bytes: written.kept,
        already_there: false,
        notes: published.notes,
    })
}

/// Returns the folder of published files, fetched if needed, and its name for the manifest.
fn locate(
    request: &ImportRequest,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<(PathBuf, String), Error> {
    match &request.source {
        ImportSource::Folder(folder) => Ok((folder.clone(), source_name(folder))),
        ImportSource::Remote { source, options } => {
            let mut options = FetchOptions::clone(options);
            let known = known::find(request.checkpoint.as_str()).filter(|_| !request.unofficial);
            options.expected.extend(known.into_iter().flat_map(|known| known.digests(publication(source))));
            let fetched = Fetcher::new(options).fetch_blocking(source, &staging.source(), progress)?;
            staging.keep_fetched(&fetched.files)?;
            let name = match (source, fetched.origin.commit) {
                (RemoteSource::HuggingFace { repository, .. }, Some(commit)) => {
                    format!("hf:{repository}@{commit}")
                }
                _ => source.to_string(),
            };
            Ok((staging.source(), name))
        }
    }
}

fn publication(source: &RemoteSource) -> Publication {
    match source {
        RemoteSource::HuggingFace { .. } => Publication::HuggingFace,
        RemoteSource::OpenAi(_) => Publication::Tensorflow,
    }
}

/// A second import of the same files succeeds; an import of other files fails.
fn check_existing(request: &ImportRequest, progress: &dyn Progress) -> Result<ImportOutcome, Error> {
    let exists = || Error::DestinationExists { destination: request.destination.clone() };
    let checkpoint = Checkpoint::open(&request.destination).map_err(|_| exists())?;
    let manifest = checkpoint.manifest();
    let same = match &request.source {
        ImportSource::Folder(folder) => hash_all(folder)? == manifest.origin.files,
        ImportSource::Remote { source, .. } => may_be(source, &manifest.origin.source),
    };
    if !same || manifest.checkpoint != request.checkpoint {
        return Err(exists());
    }
    progress.begin("checking", Some(manifest.size()));
    checkpoint.check_files(progress)?;
    Ok(ImportOutcome { checkpoint, resumed_bytes: 0, already_there: true, notes: Vec::new() })
}

fn hash_all(folder: &Path) -> Result<Vec<FileEntry>, Error> {
    let published = SourceCheckpoint::open(folder)?;
    let record = Record { publication: published.publication, known: None };
    let (mut files, large) = record.check_small(&published.files)?;
    files.extend(record.check_all(&large)?);
    Ok(files)
}

/// Whether `recorded` may be a fetch of `source`: a branch may be any commit of its repository.
fn may_be(source: &RemoteSource, recorded: &str) -> bool {
    let asked = source.to_string();
    let (repository, revision) = asked.split_once('@').unwrap_or((&asked, ""));
    let (recorded_repository, commit) = recorded.split_once('@').unwrap_or((recorded, ""));
    let names_a_commit = revision.len() == 40 && revision.bytes().all(|digit| digit.is_ascii_hexdigit());
    repository == recorded_repository && (revision == commit || !names_a_commit)
}

/// Returns a folder's name without its path, which would be private data in a public manifest.
fn source_name(source: &Path) -> String {
    let absolute = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let name = absolute.file_name().unwrap_or_default().to_string_lossy();
    format!("folder {}", one_line(&name))
}
