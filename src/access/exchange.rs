//! The exchange: a folder of statements, one file each, named by what they are about and who signed them.
//!
//! A shared folder, a memory stick or a mailbox will do: statements are verified before they are used, and files of two people never have
//! the same name, so copies can be merged in any order. Someone with write access can withhold statements and add invalid ones, which are
//! skipped.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{
    Denial, ExchangeError, FoundStatement, Grant, Request, Statements, Submission, Withdrawal, terms_digest,
    verify_request,
};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::statement::{Envelope, Predicate as _};

/// Maximum number of files of one kind that are read.
const MAX_FILES: usize = 100_000;
/// Maximum size of an accepted statement.
const MAX_BYTES: u64 = 1 << 20;

/// A folder of statements.
#[derive(Debug, Clone)]
pub struct Exchange {
    folder: PathBuf,
}

impl Exchange {
    /// The exchange in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Copies a statement from another exchange under the same name. Returns whether it is new here.
    ///
    /// # Errors
    /// [`ExchangeError::Io`].
    pub fn copy(&self, kind: &'static str, found: &FoundStatement) -> Result<bool, ExchangeError> {
        let folder = self.folder.join(format!("{kind}s"));
        let path = folder.join(found.path.file_name().unwrap_or_default());
        let bytes = found.envelope.to_json().into_bytes();
        if read(&path).is_ok_and(|there| there == bytes) {
            return Ok(false);
        }
        write_whole(&folder, &path, &bytes).map_err(|source| ExchangeError::Io {
            action: "write",
            path: path.clone(),
            source,
        })?;
        Ok(true)
    }

    /// The files of a kind that [`Statements::list`] skips.
    ///
    /// # Errors
    /// Those of [`Statements::list`].
    pub fn damaged(&self, kind: &'static str) -> Result<Vec<PathBuf>, ExchangeError> {
        let mut paths = self.paths(kind)?;
        paths.retain(|path| parse(kind, path.clone()).is_none());
        Ok(paths)
    }

    /// An unanswered request of the same person with the same terms.
    fn pending_twin(&self, envelope: &Envelope) -> Result<Option<FoundStatement>, ExchangeError> {
        let Ok(claim) = envelope.claim::<Request>() else { return Ok(None) };
        let (Ok(wanted), Some(catalogue)) = (terms_digest(&claim), claim.catalogue()) else {
            return Ok(None);
        };
        let digest = envelope.digest();
        for found in self.list(Request::KIND)? {
            let is_twin = found.digest != digest
                && terms_digest_of(&found.envelope) == Some(wanted)
                && verify_request(&found.envelope, catalogue).is_ok();
            if is_twin && !self.is_answered(found.digest)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn is_answered(&self, request: Sha256Digest) -> Result<bool, ExchangeError> {
        for kind in [Withdrawal::KIND, Denial::KIND, Grant::KIND] {
            if !self.list_about(kind, request)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn paths(&self, kind: &'static str) -> Result<Vec<PathBuf>, ExchangeError> {
        let folder = self.folder.join(format!("{kind}s"));
        let refused = |source| ExchangeError::Io { action: "read", path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(refused(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(refused)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
            if paths.len() > MAX_FILES {
                return Err(ExchangeError::TooMany { path: folder, max: MAX_FILES });
            }
        }
        paths.sort();
        Ok(paths)
    }
}

impl Statements for Exchange {
    /// Stores the statement under its kind, digest and the signer's key id. An existing file is replaced as a whole.
    fn put(
        &self,
        kind: &'static str,
        envelope: &Envelope,
        signer: &VerifyingKey,
    ) -> Result<Submission, ExchangeError> {
        if kind == Request::KIND
            && let Some(twin) = self.pending_twin(envelope)?
        {
            return Ok(Submission { path: twin.path, same_as: Some(twin.digest) });
        }
        let folder = self.folder.join(format!("{kind}s"));
        let path = folder.join(format!("{}.{}.json", envelope.digest(), signer.id().short()));
        write_whole(&folder, &path, envelope.to_json().as_bytes()).map_err(|source| ExchangeError::Io {
            action: "write",
            path: path.clone(),
            source,
        })?;
        Ok(Submission { path, same_as: None })
    }

    /// In the order of names. Files that hold no envelope of the kind, or whose name does not match the digest, are skipped.
    fn list(&self, kind: &'static str) -> Result<Vec<FoundStatement>, ExchangeError> {
        Ok(self.paths(kind)?.into_iter().filter_map(|path| parse(kind, path)).collect())
    }
}

/// The digest of a request's terms, without its date.
fn terms_digest_of(envelope: &Envelope) -> Option<Sha256Digest> {
    terms_digest(&envelope.claim::<Request>().ok()?).ok()
}

/// The statement in a file, if it is of the kind and matches the file's name.
fn parse(kind: &str, path: PathBuf) -> Option<FoundStatement> {
    let envelope = Envelope::parse(&read(&path).ok()?).ok()?;
    let digest = envelope.digest();
    let named = path.file_name()?.to_str()?.starts_with(&digest.to_string());
    (named && envelope.kind().ok()? == kind).then_some(FoundStatement { digest, path, envelope })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    use std::os::unix::fs::PermissionsExt as _;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
