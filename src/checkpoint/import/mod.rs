//! Import: a published checkpoint, checked against the public record, into one normal form.
//!
//! The source's weights are read twice at the same time: one thread hashes them, the other writes the normal form. Nothing
//! appears under the destination's name before both have agreed with every digest that is on record (P6).

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
use published::Published;
use staging::Staging;

/// What is to be imported.
#[derive(Debug)]
pub struct ImportRequest {
    /// Which checkpoint it is to be.
    pub checkpoint: CheckpointId,
    /// Where the published files are.
    pub source: ImportSource,
    /// The folder to make.
    pub destination: PathBuf,
    /// Accept files that differ from those on record: another build of a known checkpoint.
    pub unofficial: bool,
}

/// Where published files are.
#[derive(Debug)]
pub enum ImportSource {
    /// In a folder on this machine.
    Folder(PathBuf),
    /// On a server; they are fetched beside the destination first, and removed when the import is done.
    Remote {
        /// What to fetch.
        source: RemoteSource,
        /// How to fetch. Digests on record are added to those that it expects.
        options: Box<FetchOptions>,
    },
}

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// The new folder.
    pub checkpoint: Checkpoint,
    /// Bytes of weights that an interrupted run had written already.
    pub resumed_bytes: u64,
    /// Whether the folder was there before, made from the same files.
    pub already_there: bool,
    /// What was left out or is stored otherwise than in the source.
    pub notes: Vec<Note>,
}

/// The id that a name stands for: a known checkpoint's by any of its names, else the name itself.
///
/// # Errors
/// [`Error::Name`] where it is neither.
pub fn checkpoint_id(name: &str) -> Result<CheckpointId, Error> {
    let id = known::find(name).map_or(name, |known| known.id);
    id.parse().map_err(|source| Error::Name { source })
}

/// Imports a checkpoint. The destination appears complete or not at all; a second run goes on where one was cut off.
///
/// # Errors
/// Every variant of [`Error`]; the source is never changed.
pub fn import(request: &ImportRequest, progress: &dyn Progress) -> Result<Imported, Error> {
    let staging = Staging::open(&request.destination)?;
    let imported = if request.destination.exists() {
        check_existing(request, progress)
    } else {
        build(request, &staging, progress)
    };
    match &imported {
        // What the operating system or a server refused may go well next time: what is there is kept for then.
        Err(error) if error.is_passing() && !staging.is_unused() => {}
        _ => staging.discard()?,
    }
    imported
}

fn build(request: &ImportRequest, staging: &Staging, progress: &dyn Progress) -> Result<Imported, Error> {
    let (folder, source) = locate(request, staging, progress)?;
    let published = Published::open(&folder)?;
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
        // A file that is not the published one explains whatever else went wrong with it.
        files.extend(hashed?);
        written
    })?;
    let manifest = Manifest::new(
        request.checkpoint.clone(),
        published.element_type,
        (layout::parameter_count(&published.config), written.tensors),
        written.files,
        Origin { publication: published.publication, source, files },
    );
    let json = manifest.to_json().map_err(|source| Error::Encode { source })?;
    staging::write_whole(staging.folder().join(manifest::MANIFEST), json.as_bytes())?;
    staging.publish()?;
    let checkpoint = Checkpoint::open(&request.destination)?;
    Ok(Imported { checkpoint, resumed_bytes: written.kept, already_there: false, notes: published.notes })
}

/// The folder of published files, fetched if need be, and what the manifest calls it.
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

/// A second import of the same files is no error; one of others is.
fn check_existing(request: &ImportRequest, progress: &dyn Progress) -> Result<Imported, Error> {
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
    Ok(Imported { checkpoint, resumed_bytes: 0, already_there: true, notes: Vec::new() })
}

fn hash_all(folder: &Path) -> Result<Vec<FileEntry>, Error> {
    let published = Published::open(folder)?;
    let record = Record { publication: published.publication, known: None };
    let (mut files, large) = record.check_small(&published.files)?;
    files.extend(record.check_all(&large)?);
    Ok(files)
}

/// Whether what was fetched as `recorded` is what `source` asks for: a branch may mean any commit of its repository.
fn may_be(source: &RemoteSource, recorded: &str) -> bool {
    let asked = source.to_string();
    let (repository, revision) = asked.split_once('@').unwrap_or((&asked, ""));
    let (recorded_repository, commit) = recorded.split_once('@').unwrap_or((recorded, ""));
    let names_a_commit = revision.len() == 40 && revision.bytes().all(|digit| digit.is_ascii_hexdigit());
    repository == recorded_repository && (revision == commit || !names_a_commit)
}

/// A folder's own name: its path is nobody's business once the manifest is public.
fn source_name(source: &Path) -> String {
    let absolute = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let name = absolute.file_name().unwrap_or_default().to_string_lossy();
    format!("folder {}", one_line(&name))
}
