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
pub(super) fn of_home(home: &Home) -> Vec<Check> {
    let folder = home.path();
    if !folder.exists() {
        let found = format!("{} is not there yet", folder.display());
        return vec![Check::warning("home", found, "`portcullis identity new --name <your name>` makes it")];
    }
    let identity = home.identity_file();
    let secret = [identity.path().to_owned(), home.session_path()];
    let open = std::iter::once((folder, 0o700))
        .chain(secret.iter().map(|path| (path.as_path(), 0o600)))
        .find(|(path, _)| others_may(path));
    let home_check = match open {
        Some((path, mode)) => Check::bad(
            "home",
            format!("others on this machine may use {}", path.display()),
            format!("chmod {mode:o} {}", path.display()),
        ),
        None => Check::good("home", format!("{}, yours alone", folder.display())),
    };
    vec![home_check, identity_check(home)]
}

/// Whether somebody else than the owner may read, write or enter.
fn others_may(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

fn identity_check(home: &Home) -> Check {
    let file = home.identity_file();
    if !file.path().exists() {
        return Check::warning(
            "identity",
            "there is none",
            "make one with `portcullis identity new --name <your name>`",
        );
    }
    match file.is_protected() {
        Ok(true) => Check::good("identity", "protected by a passphrase"),
        Ok(false) => Check::warning(
            "identity",
            "not protected by a passphrase: who reads the file has your key",
            "protect it with `portcullis identity passphrase`",
        ),
        Err(error) => Check::failed("identity", error),
    }
}

/// Disk, dumps and locked memory.
pub(super) fn of_system(home: &Home) -> Vec<Check> {
    vec![disk(home.path()), dumps(), locked_memory()]
}

fn disk(folder: &Path) -> Check {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let disk = match rustix::fs::statvfs(there) {
        Ok(disk) => disk,
        Err(error) => return Check::failed("disk", std::io::Error::from(error)),
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} free in {}", units::bytes(free), there.display());
    match free {
        ..NEEDED_SPACE => {
            Check::bad("disk", found, "free some space: what a run records must be written first")
        }
        NEEDED_SPACE..GOOD_SPACE => {
            Check::warning("disk", found, "a checkpoint of GPT-2's largest size takes 3.1 GB")
        }
        _ => Check::good("disk", found),
    }
}

/// The program turned them off for itself when it began; this tells whether the system let it.
fn dumps() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core).current;
    if limit == Some(0) {
        return Check::good("core dumps", "off: a crash leaves no key on the disk");
    }
    Check::bad(
        "core dumps",
        "the system does not let this program turn them off",
        "run it with `ulimit -c 0`",
    )
}

fn locked_memory() -> Check {
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
