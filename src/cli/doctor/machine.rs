//! What this machine gives: the home's files, disk, and memory for keys.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Check;
use crate::cli::home::Home;
use crate::cli::units;

/// Less free space than this stops a journal or a lease from being written.
const NEEDED_SPACE: u64 = 100_000_000;
/// Less free space than this is soon used by a checkpoint.
const GOOD_SPACE: u64 = 2_000_000_000;
/// Keys need a few pages that are not swapped.
const NEEDED_LOCKED: u64 = 64 << 10;

/// The home's folder and the identity in it.
pub(super) fn check_home(home: &Home) -> Vec<Check> {
    let folder = home.path();
    if !folder.exists() {
        let found = format!("{} does not exist yet", folder.display());
        return vec![Check::warning("home", found, "`portcullis identity new --name <your name>` makes it")];
    }
    let identity = home.identity_file();
    let secret = [identity.path().to_owned(), home.session_path()];
    let open = std::iter::once((folder, 0o700))
        .chain(secret.iter().map(|path| (path.as_path(), 0o600)))
        .find(|(path, _)| is_open_to_others(path));
    let home_check = match open {
        Some((path, mode)) => Check::bad(
            "home",
            format!("other users of this machine can access {}", path.display()),
            format!("chmod {mode:o} {}", path.display()),
        ),
        None => Check::good("home", format!("{}, accessible only to you", folder.display())),
    };
    vec![home_check, check_identity(home)]
}

/// Whether other users than the owner may read, write or enter.
fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

fn check_identity(home: &Home) -> Check {
    let file = home.identity_file();
    if !file.path().exists() {
        return Check::warning(
            "identity",
            "there is no identity",
            "make one with `portcullis identity new --name <your name>`",
        );
    }
    match file.is_protected() {
        Ok(true) => Check::good("identity", "protected by a passphrase"),
        Ok(false) => Check::warning(
            "identity",
            "not protected by a passphrase: anyone who reads the file has your key",
            "protect it with `portcullis identity passphrase`",
        ),
        Err(error) => Check::failed("identity", error),
    }
}

/// Disk, dumps and locked memory.
pub(super) fn check_system(home: &Home) -> Vec<Check> {
    vec![check_disk(home.path()), check_dumps(), check_locked_memory()]
}

fn check_disk(folder: &Path) -> Check {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let disk = match rustix::fs::statvfs(there) {
        Ok(disk) => disk,
        Err(error) => return Check::failed("disk", std::io::Error::from(error)),
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} free in {}", units::bytes(free), there.display());
    match free {
        ..NEEDED_SPACE => Check::bad("disk", found, "free some space: a run must write its record first"),
        NEEDED_SPACE..GOOD_SPACE => {
            Check::warning("disk", found, "a checkpoint of GPT-2's largest size takes 3.1 GB")
        }
        _ => Check::good("disk", found),
    }
}

/// The program turned them off for itself when it began; this checks whether the system allowed it.
fn check_dumps() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core).current;
    if limit == Some(0) {
        return Check::good("core dumps", "off: a crash leaves no key on the disk");
    }
    Check::bad("core dumps", "this program cannot turn them off", "run it with `ulimit -c 0`")
}

fn check_locked_memory() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    let shown = limit.map_or_else(|| "any amount".to_owned(), units::bytes);
    let found = format!("{shown} can be kept out of swap");
    if limit.is_none_or(|limit| limit >= NEEDED_LOCKED) {
        return Check::good("memory", found);
    }
    Check::warning(
        "memory",
        found,
        "raise it with `ulimit -l 64`, or encrypt the swap: keys may be swapped out",
    )
}
