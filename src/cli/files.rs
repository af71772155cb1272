//! Files that commands are given by name: small ones are read whole, bounded, and named in every refusal; what a person wants written
//! somewhere is written there, whatever stands there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::NamedTempFile;

use super::failure::Refusal;
use crate::statement::Envelope;

/// Longest statement or text file that a command accepts.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a file of at most `max` bytes.
pub(super) fn read(path: &Path, max: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > max {
        let message = format!("{} is longer than {max} bytes", path.display());
        return Err(Refusal::unverified(message, "check that it is the right file").into());
    }
    Ok(bytes)
}

/// Reads a signed statement; nothing of it is verified yet.
pub(super) fn envelope(path: &Path) -> anyhow::Result<Envelope> {
    Envelope::parse(&read(path, MAX_BYTES)?).with_context(|| format!("cannot use {}", path.display()))
}

/// Writes the file that a person named.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = || format!("cannot write {}", path.display());
    write_with(path, |file| file.write_all(bytes).with_context(written))
}

/// Writes the file that a person named by `fill`: whole or not at all in the place of a plain file. Anything else that stands there, such as a
/// pipe, a device or a link, stays, and is written through. No folder is made for it.
pub(super) fn write_with<T>(
    path: &Path,
    fill: impl FnOnce(&mut File) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let refused = || format!("cannot write {}", path.display());
    match target(path).with_context(refused)? {
        Target::Stream(mut file) => fill(&mut file),
        Target::File { path, mode } => {
            let parent = parent(&path);
            let mut file = create_temporary(parent).with_context(refused)?;
            let made = fill(file.as_file_mut())?;
            let keep = || {
                file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
                file.as_file().sync_all()?;
                file.persist(&path).map_err(|error| error.error)?;
                File::open(parent)?.sync_all()
            };
            keep().with_context(refused)?;
            Ok(made)
        }
    }
}

/// A new file in a folder, to be given its name once it is whole. Not by `tempfile_in`, whose errors name a file unknown to the user.
pub(super) fn create_temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let open = |new: &Path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(new);
    tempfile::Builder::new().prefix(".new-").make_in(folder, open)
}

/// What is to be written.
enum Target {
    /// A plain file, which is there or will be: it is replaced.
    File { path: PathBuf, mode: u32 },
    /// What takes bytes and is no file.
    Stream(File),
}

fn target(path: &Path) -> io::Result<Target> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(rustix::io::Errno::ISDIR.into()),
        // Where a link leads to.
        Ok(found) if found.is_file() => {
            Ok(Target::File { path: fs::canonicalize(path)?, mode: found.permissions().mode() & 0o7777 })
        }
        Ok(_) => Ok(Target::Stream(OpenOptions::new().write(true).open(path)?)),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        // A link to what is not there yet.
        Err(_) if path.is_symlink() => {
            Ok(Target::Stream(OpenOptions::new().write(true).create(true).truncate(true).open(path)?))
        }
        Err(_) => Ok(Target::File { path: path.to_owned(), mode: 0o644 }),
    }
}

/// The folder that a file is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
