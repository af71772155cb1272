//! The exchange: a folder of statements, one file each, named by what they are about and who signed them.
//!
//! A shared folder, a memory stick or a mailbox will do: nothing in it is believed before it is verified, and files of two people
//! never have the same name, so copies can be merged in any order. Who can write to it can withhold statements, and put
//! worthless ones beside them; those are passed over.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{
    Denial, ExchangeError, Found, Grant, HandedIn, Request, Statements, Withdrawal, asks, verify_request,
};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::statement::{Envelope, Predicate as _};

/// Most files of one kind that are read.
const MAX_FILES: usize = 100_000;
/// Longest accepted statement.
const MAX_BYTES: u64 = 1 << 20;

/// A folder of statements.
#[derive(Debug, Clone)]
pub struct Exchange {
    folder: PathBuf,
}

impl Exchange {
    /// The exchange in this folder, which need not be there yet.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Takes over a statement that was found in another exchange, under the same name. Returns whether it is new here.
    ///
    /// # Errors
    /// [`ExchangeError::Io`].
    pub fn copy(&self, kind: &'static str, found: &Found) -> Result<bool, ExchangeError> {
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

    /// The files of a kind that [`Statements::list`] passes over.
    ///
    /// # Errors
    /// Those of [`Statements::list`].
    pub fn damaged(&self, kind: &'static str) -> Result<Vec<PathBuf>, ExchangeError> {
        let mut paths = self.paths(kind)?;
        paths.retain(|path| parse(kind, path.clone()).is_none());
        Ok(paths)
    }

    /// A request of the same person that asks for the same and that nobody answered yet.
    fn pending_twin(&self, envelope: &Envelope) -> Result<Option<Found>, ExchangeError> {
        let Ok(claim) = envelope.claim::<Request>() else { return Ok(None) };
        let (Ok(wanted), Some(catalogue)) = (asks(&claim), claim.catalogue()) else { return Ok(None) };
        let digest = envelope.digest();
        for found in self.list(Request::KIND)? {
            let is_twin = found.digest != digest
                && asked(&found.envelope) == Some(wanted)
                && verify_request(&found.envelope, catalogue).is_ok();
            if is_twin && !self.is_answered(found.digest)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn is_answered(&self, request: Sha256Digest) -> Result<bool, ExchangeError> {
        for kind in [Withdrawal::KIND, Denial::KIND, Grant::KIND] {
            if !self.about(kind, request)?.is_empty() {
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
    /// Filed under `kind` and the digest; where several people sign about the same thing, under the signer's key id too. A file that
    /// is there already is replaced as a whole.
    fn put(
        &self,
        kind: &'static str,
        envelope: &Envelope,
        signer: &VerifyingKey,
    ) -> Result<HandedIn, ExchangeError> {
        if kind == Request::KIND
            && let Some(twin) = self.pending_twin(envelope)?
        {
            return Ok(HandedIn { path: twin.path, same_as: Some(twin.digest) });
        }
        let folder = self.folder.join(format!("{kind}s"));
        let path = folder.join(format!("{}.{}.json", envelope.digest(), signer.id().short()));
        write_whole(&folder, &path, envelope.to_json().as_bytes()).map_err(|source| ExchangeError::Io {
            action: "write",
            path: path.clone(),
            source,
        })?;
        Ok(HandedIn { path, same_as: None })
    }

    /// By name; what is no envelope of that kind, or not the one that its name tells, is passed over.
    fn list(&self, kind: &'static str) -> Result<Vec<Found>, ExchangeError> {
        Ok(self.paths(kind)?.into_iter().filter_map(|path| parse(kind, path)).collect())
    }
}

/// What a request asks for, whenever it does.
fn asked(envelope: &Envelope) -> Option<Sha256Digest> {
    asks(&envelope.claim::<Request>().ok()?).ok()
}

/// The statement of a file, if it is of this kind and the one that the file's name tells.
fn parse(kind: &str, path: PathBuf) -> Option<Found> {
    let envelope = Envelope::parse(&read(&path).ok()?).ok()?;
    let digest = envelope.digest();
    let named = path.file_name()?.to_str()?.starts_with(&digest.to_string());
    (named && envelope.kind().ok()? == kind).then_some(Found { digest, path, envelope })
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
